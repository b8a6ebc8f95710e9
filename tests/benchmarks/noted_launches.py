"""Triton's kernels without a GPU: launches that do nothing but are counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from iua_widget.engines.device import engine, triton_adding, triton_kernels, triton_together
from iua_widget.engines.device.by_triton import TritonKernels
from iua_widget.tally import device, device_together

KERNELS = {
    triton_kernels: ("classify_rows", "classify_positions", "fold_chunks", "sum_probes"),
    triton_adding: ("count_inactive", "add_batch"),
    triton_together: ("count_batches", "add_batches"),
}


class Noted:
    """A kernel, or what is compiled of it, whose launches are counted by its name."""

    def __init__(self, kernel: Any, launches: Counter[str]) -> None:
        self.fn, self._launches = kernel.fn, launches

    def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., Noted]:
        name = self.fn.__name__

        def launch(*_: Any, **__: Any) -> Noted:
            self._launches[name] += 1
            return self

        return launch


@contextmanager
def launches_noted() -> Iterator[Counter[str]]:
    """Count on the host by Triton's kernels, none of which is started: what is read is anything."""
    launches: Counter[str] = Counter()
    kernels = TritonKernels()
    with ExitStack() as patched:
        for module in (engine, device, device_together):
            patched.enter_context(patch.object(module, "kernels_for", lambda _: kernels))
        for module, names in KERNELS.items():
            for name in names:
                noted = Noted(getattr(module, name), launches)
                patched.enter_context(patch.object(module, name, noted))
        yield launches
