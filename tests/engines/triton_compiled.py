"""Compiles Triton's kernels for a GPU where there is none: run as a program.

Prints, for each launch that counting a few tensors takes, the kernel and its assembly's operations.
"""

from __future__ import annotations

import functools
import inspect
import json
import re
import sys
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

import numpy as np
import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from iua_widget.engines.device import (
    triton_adding,
    triton_kernels,
    triton_together,
)
from iua_widget.engines.device.blocks import Blocks
from iua_widget.engines.device.by_triton import TritonKernels
from iua_widget.engines.device.counters import DeviceCounters
from iua_widget.engines.device.edges import DeviceEdges
from iua_widget.engines.device.grouped import GroupedLayer
from iua_widget.engines.device.together import BatchesTogether

KERNELS = {
    triton_kernels: ("classify_rows", "classify_positions", "fold_chunks", "sum_probes"),
    triton_adding: ("count_inactive", "add_batch"),
    triton_together: ("count_batches", "add_batches"),
}
NAMES = {
    torch.uint8: "u8",
    torch.int16: "i16",
    torch.int32: "i32",
    torch.int64: "i64",
    torch.float64: "fp64",
}


class Noted:
    """A kernel that is not started: how it would have been is noted."""

    def __init__(self, kernel: Any, into: list[tuple[Any, dict[str, Any]]]) -> None:
        self._kernel, self._into = kernel, into

    def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., None]:
        def note(*args: Any, **options: Any) -> None:
            given = dict(zip(inspect.signature(self._kernel.fn).parameters, args, strict=False))
            self._into.append((self._kernel, given | options))

        return note


@functools.cache
def launches() -> list[tuple[Any, dict[str, Any]]]:
    """Those of rows and maps of one chunk and of several, in every dtype, and in other layouts."""
    noted: list[tuple[Any, dict[str, Any]]] = []
    for module, names in KERNELS.items():
        for name in names:
            setattr(module, name, Noted(getattr(module, name), noted))
    count = TritonKernels()
    for dtype in (torch.float16, torch.float32, torch.float64):
        for shape in ((16, 1, 4096), (1030, 1, 3000), (16, 49, 64), (3, 3000, 65), (1, 2, 1)):
            plain = torch.zeros(shape, dtype=dtype)
            for values in (plain, plain.mT) if dtype is torch.float32 else (plain,):
                thresholds = np.geomspace(1e-6, 1, 70).astype(str(dtype)[6:])
                edges = DeviceEdges.of(thresholds, torch.device("cpu"))
                counters = DeviceCounters.zeros(values.shape[2], edges.columns, values.device)
                for held in (range(edges.columns), [3, edges.columns - 1]):
                    counters.count_at(held)
                    count.add(count.classify(values, edges), counters)
    for shapes in (((16, 1, 4096), (4096, 1, 64)), ((16, 49, 64), (3, 3000, 65))):
        add_together([torch.zeros(shape, dtype=torch.bfloat16) for shape in shapes])
    assert {kernel.fn.__name__ for kernel, _ in noted} == set(chain(*KERNELS.values()))
    return noted


def add_together(responses: list[torch.Tensor]) -> None:
    """Classify a batch of some layers, in bfloat16, and add it."""
    edges = DeviceEdges.of(np.geomspace(1e-6, 1, 70, dtype=np.float32), torch.device("cpu"))
    layers = [
        GroupedLayer(
            Blocks.of(values),
            edges,
            DeviceCounters.zeros(values.shape[2], edges.columns, values.device),
            kept_column=3,
        )
        for values in responses
    ]
    group = BatchesTogether(layers, most_bytes=0)
    for number, values in enumerate(responses):
        bits = values.view(torch.int16)
        group.launches(number)[0](0, stream=None, tensors=lambda given=bits: (given,))
    group.next()
    group.add(0)


def compiled(kernel: Any, given: dict[str, Any], capability: int) -> str:
    """The PTX; Triton's own assembler sees to it that it can be assembled."""
    options = {name: given[name] for name in ("enable_fp_fusion", "num_warps") if name in given}
    constants, signature = {}, {}
    parameter_of = {parameter.name: parameter for parameter in kernel.params}
    for name, parameter in inspect.signature(kernel.fn).parameters.items():
        value = given[name]
        if "constexpr" in str(parameter.annotation) or (
            type(value) is int and value == 1 and not parameter_of[name].do_not_specialize
        ):
            constants[name], signature[name] = value, "constexpr"
        elif isinstance(value, torch.Tensor):
            signature[name] = "*" + NAMES[value.dtype]
        else:
            signature[name] = "i32"
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants)
    made = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
    assert made.asm["cubin"]
    return str(made.asm["ptx"])


def all_compiled(capability: int) -> Iterator[dict[str, Any]]:
    seen = set()
    for kernel, given in launches():
        key = (
            kernel.fn.__name__,
            *(
                value.dtype if isinstance(value, torch.Tensor) else value
                for name, value in given.items()
                if name not in {"probes", "units", "chunks", "positions"} or value == 1
            ),
        )
        if key not in seen:
            seen.add(key)
            assembly = compiled(kernel, given, capability)
            operations = re.findall(r"^\s+(?:@\S+ )?([a-z][\w.:]+)", assembly, re.MULTILINE)
            yield {
                "kernel": kernel.fn.__name__,
                "capability": capability,
                "operations": sorted(set(operations)),
            }


if __name__ == "__main__":
    json.dump([one for given in sys.argv[1:] for one in all_compiled(int(given))], sys.stdout)
