"""Checks that two implementations of the kernels agree on a device, to the last bit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from iua_widget.common.tensors import dtype_name
from iua_widget.engines.device.bits import as_bits
from iua_widget.engines.device.blocks import Blocks
from iua_widget.engines.device.counters import DeviceCounters
from iua_widget.engines.device.edges import DeviceEdges
from iua_widget.engines.device.grouped import GroupedLayer
from iua_widget.engines.device.kernels import DeviceKernels
from iua_widget.engines.device.prepared import stream_of

if TYPE_CHECKING:
    from iua_widget.engines.device.together import BatchesTogether

_SAMPLES: Final = (
    ((520, 1, 70), torch.float32),
    ((3, 600, 20), torch.float64),
    ((1, 1, 33_000), torch.float32),
    ((5, 49, 20), torch.float16),
)
_TOGETHER: Final = (
    ((513, 1, 5), torch.float32),
    ((2, 520, 3), torch.float64),
    ((1, 1, 2100), torch.bfloat16),
    ((3, 49, 20), torch.float16),
)
_BATCHES: Final = 4
_TWO_SLOTS: Final = 2**19
"""Bytes for two of them at once: of four, each launch is made twice."""

_ODD: Final = (float("nan"), float("inf"), -float("inf"), 1e-40, -1e-3)


def disagreement(one: DeviceKernels, other: DeviceKernels, device: torch.device) -> str | None:
    """What is not the same, in words; None where all is.

    Rows and maps are seen, of one chunk and of several, of few units and of many, in every dtype
    (float64 for how sums are rounded). This waits for the device.

    Examples
    --------
    >>> from iua_widget.engines.device.torch_kernels import TorchKernels
    >>> disagreement(TorchKernels(), TorchKernels(), torch.device("cpu")) is None
    True
    """
    for number, values in enumerate(_samples(device, _SAMPLES)):
        edges = DeviceEdges.of(_thresholds(values), device)
        batches = [kernels.classify(values, edges) for kernels in (one, other)]
        counters = []
        for kernels, batch in zip((one, other), batches, strict=True):
            held = DeviceCounters.zeros(values.shape[2], edges.columns, device)
            held.count_at(range(number % 2, edges.columns))
            for _ in range(2):
                kernels.add(batch, held)
            counters.append(held)
        for name, here, there in [*compared(*batches), *compared(*counters)]:
            if not torch.equal(here.to(there.dtype), there):
                return f"{name} of {tuple(values.shape)} in {values.dtype} is not the same"
    return None


def disagreement_together(
    kernels: DeviceKernels, other: DeviceKernels, device: torch.device
) -> str | None:
    """What is not the same where layers are counted together, in words; None where all is.

    Each launch is made again, so that prepared ones are seen, too. This waits for the device.
    """
    samples = list(_samples(device, _TOGETHER))
    edges = [DeviceEdges.of(_thresholds(values), device) for values in samples]
    held = [DeviceCounters.zeros(one.shape[2], edges[0].columns, device) for one in samples * 2]
    for counters in held:
        counters.count_at(range(edges[0].columns))
    layers = [
        GroupedLayer(Blocks.of(values), edge, counters, kept_column=1)
        for values, edge, counters in zip(samples, edges, held[: len(samples)], strict=True)
    ]
    batches = kernels.together(layers, _TWO_SLOTS)
    if batches is None:  # which has been said
        return None
    for number in range(_BATCHES):
        for place, values in enumerate(samples):
            _classify(batches, place, values)
        batches.next()
        if number % 2:
            batches.add(number - 1)
    kept = batches.hand_out()
    for place, (values, counters) in enumerate(zip(samples, held[len(samples) :], strict=True)):
        batch = other.classify(values.to(layers[place].blocks.wide), edges[place])
        for counters.batch in range(_BATCHES):
            other.add(batch, counters)
        inactive = batch.inactive[:, 1].repeat(_BATCHES)
        for name, here, there in [
            ("inactive", kept[place].reshape(-1), inactive),
            *compared(held[place], counters),
        ]:
            if not torch.equal(here.to(there.dtype), there):
                return f"{name} of {tuple(values.shape)} in {values.dtype} is not the same"
    return None


def _classify(batches: BatchesTogether, place: int, values: torch.Tensor) -> None:
    bits = as_bits(values)
    launch = batches.launches(place)[batches.slot]
    launch(bits.data_ptr(), stream=stream_of(values.device)(), tensors=lambda: (bits,))


def _thresholds(values: torch.Tensor) -> np.ndarray:
    return np.geomspace(1e-8, 1, 20).astype(dtype_name(Blocks.of(values).wide))


def _samples(
    device: torch.device, shapes: Sequence[tuple[tuple[int, ...], torch.dtype]]
) -> Iterator[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    for shape, dtype in shapes:
        values = torch.randn(shape, generator=generator, dtype=torch.float64, device="cpu")
        values = values.clamp_min_(0).to(dtype)
        for number, odd in enumerate(_ODD):
            values.view(-1)[97 * number] = odd
        yield values.to(device)


def compared(one: object, other: object) -> Iterator[tuple[str, torch.Tensor, torch.Tensor]]:
    """The tensors of two dataclasses of one type, and the name of each field in words."""
    for field in fields(one):  # type: ignore[arg-type]
        here, there = getattr(one, field.name), getattr(other, field.name)
        if isinstance(here, torch.Tensor):
            yield field.name.replace("_", " "), here, there
