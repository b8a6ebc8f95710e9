"""The running counts of one layer on the device that counts, until something reads them."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import numpy as np
import torch

from iua_widget.common.forks import free_in_child
from iua_widget.common.interrupts import interrupts_held
from iua_widget.engines.device.choice import kernels_for
from iua_widget.engines.device.counters import NO_BATCH, DeviceCounters
from iua_widget.engines.device_batch import DeviceBatch
from iua_widget.tally.probe_moments import ProbeMoments
from iua_widget.tally.unit_counts import UnitCounts
from iua_widget.tally.unit_magnitudes import UnitMagnitudes

_MOST_PROBES: Final = 2**31 - 1
"""What a counter of 32 bits with a sign can hold."""

_MOST_KEPT: Final = 2**16
"""Probes whose inactive units are kept on the device before they are moved to the host."""

_MOST_VIEWED: Final = 2**17
"""Bytes kept of all columns, for want of a copy of the one that is wanted."""

_BLOCK: Final = 2**22
"""Counters brought to the host at once."""


class DeviceTally:
    """Counters of one layer on a device, beside those of its `Tally` on the host.

    What can be added in any order (all counts) begins with zero here, is added to the host's when
    that is read, and begins with zero again. The floating-point sums begin with the host's and take
    their place, so that they are the same however often they are read.

    Parameters
    ----------
    device : torch.device
    columns : int
        Of the tally.
    held : sequence of int
        Those at which counts of units are held.
    magnitudes : UnitMagnitudes
        The host's.
    inactive_column : int or None
        Where the inactive units of each probe are kept.
    """

    def __init__(
        self,
        device: torch.device,
        *,
        columns: int,
        held: Sequence[int],
        magnitudes: UnitMagnitudes,
        inactive_column: int | None,
    ) -> None:
        self.device = device
        self._columns = columns
        self._units = len(magnitudes.abs_sum)
        self._inactive_column = inactive_column
        # A reader that does not hold the run's lock must not move anything twice, all the same.
        self._turn = free_in_child(threading.RLock())
        self._counted = self._kept = self._viewed = 0
        self._has_magnitudes = self._has_moments = False
        self._inactive: list[torch.Tensor] = []
        self._views: list[torch.Tensor] = []
        self._kernels = kernels_for(device)
        with _on_one_stream(device):
            counters = DeviceCounters.zeros(self._units, columns, device)
            counters.sums = self._copied(np.stack([magnitudes.abs_sum, magnitudes.square_sum]))
            counters.abs_max = self._copied(magnitudes.abs_max)
            counters.highest = self._copied(magnitudes.highest_bin.astype(np.int32))
            self._counters = counters
        self.hold(held)

    def hold(self, held: Sequence[int]) -> None:
        """Hold counts of units at these columns, once those counted have been moved."""
        with self._turn, _on_one_stream(self.device):
            self._counters.hold(held)

    def has_room(self, probes: int) -> bool:
        """Whether so many further probes can be added before what is held must be moved."""
        return self._counted + probes <= _MOST_PROBES and self._kept < _MOST_KEPT

    def reserve(self, probes: int) -> None:
        """Have the memory that `add` will take, so that it cannot fail for want of it."""
        self._kernels.reserve(probes, self._counters)
        with self._turn:
            if self._viewed >= _MOST_VIEWED:
                self._copy_views()

    def add(self, batch: DeviceBatch, number: int) -> None:
        """Count a classified batch, of this number; nothing waits for the device."""
        with self._turn, _on_one_stream(self.device):
            probes = len(batch.bins)
            if not probes:
                return
            self._counters.batch = number
            self._kernels.add(batch, self._counters)
            if self._inactive_column is not None:
                self._views.append(batch.inactive[:, self._inactive_column])
                self._viewed += batch.inactive.nbytes
                self._kept += probes
            self._counted += probes
            self._has_magnitudes = self._has_moments = True

    def move_counts(self, counts: UnitCounts) -> None:
        """Add the counters to the host's, which have room for them, and begin with zero."""
        if not self._counted:
            return
        with interrupts_held(), self._turn, _on_one_stream(self.device):
            counts.add_counted(self._by_unit(), self._counted)
            self._counters.counts.zero_()
            self._counted = 0

    def move_magnitudes(self, magnitudes: UnitMagnitudes) -> None:
        """Bring the host's up to what has been counted."""
        if not self._has_magnitudes:
            return
        with interrupts_held(), self._turn, _on_one_stream(self.device):
            sums, odd = _on_host(self._counters.sums), _on_host(self._counters.odd)
            magnitudes.abs_sum[:], magnitudes.square_sum[:] = sums
            magnitudes.abs_max[:] = _on_host(self._counters.abs_max)
            magnitudes.highest_bin[:] = _on_host(self._counters.highest)
            if odd.any():
                first = int(_on_host(self._counters.first_odd)[0])
                magnitudes.add_non_finite(odd[0], odd[1], first)
                self._counters.odd.zero_()
                self._counters.first_odd.fill_(NO_BATCH)
            self._has_magnitudes = False

    def move_moments(self, moments: ProbeMoments) -> None:
        """Add the moments to the host's, whose probes are counted already."""
        if not self._has_moments:
            return
        with interrupts_held(), self._turn, _on_one_stream(self.device):
            part = ProbeMoments(self._columns)
            part.inactive_sum, part.square_low, part.square_high = _on_host(self._counters.moments)
            moments.absorb(part)
            self._counters.moments.zero_()
            self._counters.squared = 0
            self._has_moments = False

    def move_inactive(self, inactive: list[np.ndarray]) -> None:
        """Append the inactive units of each probe to the host's list."""
        if not self._kept:
            return
        with interrupts_held(), self._turn, _on_one_stream(self.device):
            if self._kept:
                inactive.append(_on_host(torch.cat([*self._inactive, *self._views])))
                self._inactive.clear()
                self._views.clear()
                self._kept = self._viewed = 0

    def _copy_views(self) -> None:
        # To copy a column takes longer than to see to it; but a view keeps all columns.
        with _on_one_stream(self.device):
            self._inactive.append(torch.cat(self._views))
            if self.device.type == "cuda":
                for view in self._views:  # which another stream may have allocated
                    view.record_stream(torch.cuda.current_stream(self.device))
        self._views.clear()
        self._viewed = 0

    def _by_unit(self) -> Iterator[np.ndarray]:
        """The counters on the host, some units after the other: shape (units, columns)."""
        columns = len(self._counters.counts) - 1
        step = max(1, _BLOCK // columns)
        for start in range(0, self._units, step):
            yield _on_host(self._counters.counts[:columns, start : start + step].T.contiguous())

    def _copied(self, array: np.ndarray) -> torch.Tensor:
        """On the device, and never the array's own memory."""
        return torch.from_numpy(array.copy()).to(self.device, non_blocking=True)


def _on_host(tensor: torch.Tensor) -> np.ndarray:
    array: np.ndarray = tensor.to("cpu", copy=True).numpy()
    return array


@functools.cache
def _common_stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.default_stream(device)


@contextmanager
def _on_one_stream(device: torch.device) -> Iterator[None]:
    """Work in the order in which this is entered, from whatever thread and stream.

    In inference mode, so that what is made in it can be added to outside of it, and the reverse.
    """
    with torch.inference_mode():
        if device.type != "cuda" or not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            yield
            return
        here, common = torch.cuda.current_stream(device), _common_stream(device)
        if here == common:
            yield
            return
        common.wait_stream(here)
        try:
            with torch.cuda.stream(common):
                yield
        finally:
            here.wait_stream(common)
