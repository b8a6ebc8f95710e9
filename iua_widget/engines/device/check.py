"""Checks that two implementations of the kernels agree on a device, to the last bit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Final

import numpy as np
import torch

from iua_widget.common.tensors import magnitude_dtype
from iua_widget.engines.device.counters import DeviceCounters
from iua_widget.engines.device.edges import DeviceEdges
from iua_widget.engines.device.kernels import DeviceKernels

_SAMPLES: Final = (
    ((520, 1, 70), torch.float32),
    ((3, 600, 20), torch.float64),
    ((1, 1, 33_000), torch.float32),
    ((5, 49, 20), torch.float16),
)
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
    for number, values in enumerate(_samples(device)):
        thresholds = np.geomspace(1e-8, 1, 20).astype(magnitude_dtype(values))
        edges = DeviceEdges.of(thresholds, device)
        batches = [kernels.classify(values, edges) for kernels in (one, other)]
        counters = []
        for kernels, batch in zip((one, other), batches, strict=True):
            held = DeviceCounters.zeros(values.shape[2], edges.columns, device)
            held.count_at(range(number % 2, edges.columns))
            for _ in range(2):
                kernels.add(batch, held)
            counters.append(held)
        for name, here, there in [*_compared(*batches), *_compared(*counters)]:
            if not torch.equal(here.to(there.dtype), there):
                return f"{name} of {tuple(values.shape)} in {values.dtype} is not the same"
    return None


def _samples(device: torch.device) -> Iterator[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    for shape, dtype in _SAMPLES:
        values = torch.randn(shape, generator=generator, dtype=torch.float64, device="cpu")
        values = values.clamp_min_(0).to(dtype)
        for number, odd in enumerate(_ODD):
            values.view(-1)[97 * number] = odd
        yield values.to(device)


def _compared(one: object, other: object) -> Iterator[tuple[str, torch.Tensor, torch.Tensor]]:
    for field in fields(one):  # type: ignore[arg-type]
        here, there = getattr(one, field.name), getattr(other, field.name)
        if isinstance(here, torch.Tensor):
            yield field.name.replace("_", " "), here, there
