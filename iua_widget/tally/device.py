"""The counts of one layer on the device that counts, until they are read."""

from __future__ import annotations

import copy
import functools
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, Protocol

import numpy as np
import torch

from iua_widget.common.forks import free_in_child
from iua_widget.common.interrupts import interrupts_held
from iua_widget.engines.device.choice import kernels_for
from iua_widget.engines.device.counters import NO_BATCH, DeviceCounters
from iua_widget.engines.device_batch import DeviceBatch
from iua_widget.tally.probe_moments import ProbeMoments
from iua_widget.tally.store import HostStore
from iua_widget.tally.unit_counts import UnitCounts
from iua_widget.tally.unit_evidence import BatchEvidence, UnitEvidence
from iua_widget.tally.unit_magnitudes import UnitMagnitudes

_MOST_PROBES: Final = 2**31 - 1
"""What a counter of 32 bits with a sign can hold."""

_MOST_KEPT: Final = 2**16
"""Probes whose inactive units are kept on the device before they are moved to the host."""

_MOST_VIEWED: Final = 2**17
"""Bytes kept of all columns, for want of a copy of the one that is wanted."""

_BLOCK: Final = 2**22
"""Counters brought to the host at once."""

# A reader that has not taken the run's lock must not move anything twice, all the same.
_turn: Final = free_in_child(threading.RLock())


class Waiting(Protocol):
    """Batches of several layers that have been counted, and wait to be added on the device."""

    def settle(self) -> None:
        """Add all that wait."""

    def hand_out(self) -> None:
        """Give each store the inactive units of the probes that were added."""

    def counters_changed(self) -> None:
        """Take note that a store has other counters."""


class DeviceStore:
    """Counts of one layer on a device, and a store on the host to which they are moved when read.

    What can be added in any order (all counts) begins with zero here, is added to the host's when
    that is read, and begins with zero again. The floating-point sums begin with the host's and take
    their place, so that they are the same however often they are read.

    Parameters
    ----------
    device : torch.device
    host : HostStore
        What was counted before, in which nothing waits.

    Attributes
    ----------
    counters : DeviceCounters
        To which batches are added, in turn: see `in_turn`.
    together : Waiting or None
        Where batches of this layer wait with those of others.
    """

    def __init__(self, device: torch.device, host: HostStore) -> None:
        self.device = device
        self._host = host
        self.together: Waiting | None = None
        self._counted = self._kept = self._viewed = 0
        self._has_magnitudes = self._has_moments = False
        self._inactive: list[torch.Tensor] = []
        self._views: list[torch.Tensor] = []
        self._kernels = kernels_for(device)
        magnitudes = host.magnitudes
        with in_turn(device):
            counters = DeviceCounters.zeros(host.units, host.all_columns, device)
            counters.sums = self._copied(magnitudes.sums[:2])
            counters.abs_max = self._copied(magnitudes.abs_max)
            counters.highest = self._copied(magnitudes.highest_bin.astype(np.int32))
            self.counters = counters
            self.counters.count_at(host.columns)

    @property
    def probes(self) -> int:
        """Probes added so far, here and on the host."""
        return self._host.probes

    @property
    def columns(self) -> tuple[int, ...]:
        """Columns at which units are counted."""
        return self._host.columns

    @property
    def nbytes(self) -> int:
        """Bytes that the counts of the units take on the host, once they are read."""
        return self._host.nbytes

    def reserve(self, probes: int, to_come: int = 0) -> None:  # noqa: ARG002  (room is on the host)
        """Have the memory that `add` will take, so that it cannot fail for want of it."""
        if self._counted + probes > _MOST_PROBES:
            self.read()
        if self._kept >= _MOST_KEPT:
            self.read_inactive()
        self._kernels.reserve(probes, self.counters)
        with in_turn(self.device):
            if self._viewed >= _MOST_VIEWED:
                self._copy_views()

    def add(self, batch: DeviceBatch, number: int) -> None:
        """Add a batch that was classified on this device; nothing waits for the device."""
        self._hand_out()
        probes = len(batch.bins)
        with in_turn(self.device):
            if not probes:
                return
            self.counters.batch = number
            self._kernels.add(batch, self.counters)
            if self._host.inactive_column is not None:
                self._views.append(batch.inactive[:, self._host.inactive_column])
                self._viewed += batch.inactive.nbytes
                self._kept += probes
            self.note_added(probes)
        self._host.probes += probes

    @property
    def evidence(self) -> UnitEvidence:
        """Evidence, which is brought to the host with each batch."""
        return self._host.evidence

    def add_evidence(self, batch: BatchEvidence) -> None:
        """Add what a batch tells."""
        self._host.add_evidence(batch)

    @property
    def inactive_column(self) -> int | None:
        """At which the inactive units of each probe are kept."""
        return self._host.inactive_column

    @property
    def room(self) -> int:
        """How many further probes can be added before the counters must be read."""
        return _MOST_PROBES - self._counted

    def expect(self, probes: int) -> None:
        """Take note of a batch that has been counted and waits to be added."""
        self._host.probes += probes

    def note_added(self, probes: int) -> None:
        """Take note of what has been added to the counters."""
        self._counted += probes
        self._has_magnitudes = self._has_moments = True

    def keep(self, inactive: torch.Tensor) -> None:
        """Keep the inactive units of probes, of any shape, after those that are kept."""
        if self._views:
            self._copy_views()
        self._inactive.append(inactive)
        self._kept += inactive.numel()

    def thin(self, columns: Sequence[int]) -> None:
        """Count units at these columns only from now on, some of those until now."""
        self.read_counts().thin(columns)
        with in_turn(self.device):
            self.counters.count_at(columns)
            if self.together is not None:
                self.together.counters_changed()

    def clear(self) -> None:
        """Forget what was counted, here and on the host, and keep all that was made for it."""
        self.read().clear()
        with in_turn(self.device):
            for tensor in (self.counters.sums, self.counters.abs_max, self.counters.highest):
                tensor.zero_()

    def read(self) -> HostStore:
        """The store on the host, to which everything is moved."""
        self.read_counts()
        self.read_magnitudes()
        self.read_moments()
        self.read_inactive()
        return self._host

    def read_counts(self) -> UnitCounts:
        """The host's counts, to which those of the device are added, which begin with zero."""
        self._settle()
        counts = self._host.counts
        if self._counted:
            counts.reserve(self.probes)
            with interrupts_held(), in_turn(self.device):
                counts.add_counted(self._by_unit())
                self.counters.counts.zero_()
                self._counted = 0
        return counts

    def read_magnitudes(self) -> UnitMagnitudes:
        """The host's magnitudes, brought up to what has been counted."""
        self._settle()
        magnitudes = self._host.magnitudes
        if not self._has_magnitudes:
            return magnitudes
        with interrupts_held(), in_turn(self.device):
            sums, odd = _on_host(self.counters.sums), _on_host(self.counters.odd)
            magnitudes.abs_sum, magnitudes.square_sum = sums
            magnitudes.abs_max = _on_host(self.counters.abs_max)
            magnitudes.highest_bin[:] = _on_host(self.counters.highest)
            if odd.any():
                first = int(_on_host(self.counters.first_odd)[0])
                magnitudes.add_non_finite(odd[0], odd[1], first)
                self.counters.odd.zero_()
                self.counters.first_odd.fill_(NO_BATCH)
            self._has_magnitudes = False
        return magnitudes

    def read_moments(self) -> ProbeMoments:
        """The host's sums over the probes, to which those of the device are added."""
        self._settle()
        moments = self._host.moments
        if not self._has_moments:
            return moments
        with interrupts_held(), in_turn(self.device):
            inactive_sum, square_low, square_high = _on_host(self.counters.moments)
            moments.inactive_sum += inactive_sum
            moments.square_low += square_low
            moments.square_high += square_high
            moments.carry()
            self.counters.moments.zero_()
            self.counters.squared = 0
            self._has_moments = False
        return moments

    def read_inactive(self) -> list[np.ndarray] | None:
        """The host's list of the inactive units of each probe, to which the device's are added."""
        self._hand_out()
        inactive = self._host.inactive
        if inactive is None or not self._kept:
            return inactive
        with interrupts_held(), in_turn(self.device):
            if self._kept:
                kept = *self._inactive, *self._views
                inactive.append(_on_host(torch.cat([one.reshape(-1) for one in kept])))
                self._inactive.clear()
                self._views.clear()
                self._kept = self._viewed = 0
        return inactive

    def __deepcopy__(self, memo: dict[int, Any]) -> HostStore:
        """A copy on the host."""
        return copy.deepcopy(self.read(), memo)

    def _settle(self) -> None:
        """Have what waits added, so that all is done in its order."""
        if (together := self.together) is not None:
            together.settle()

    def _hand_out(self) -> None:
        """Have the inactive units of the probes that were added."""
        self._settle()
        if (together := self.together) is not None:
            together.hand_out()

    def _copy_views(self) -> None:
        # To copy a column takes longer than to see to it; but a view keeps all columns.
        with in_turn(self.device):
            self._inactive.append(torch.cat(self._views))
            if self.device.type == "cuda":
                for view in self._views:  # which another stream may have allocated
                    view.record_stream(torch.cuda.current_stream(self.device))
        self._views.clear()
        self._viewed = 0

    def _by_unit(self) -> Iterator[np.ndarray]:
        """The counters on the host, some units after the other: shape (units, columns)."""
        columns = len(self.counters.counts) - 1
        step = max(1, _BLOCK // columns)
        for start in range(0, self._host.units, step):
            yield _on_host(self.counters.counts[:columns, start : start + step].T.contiguous())

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
def in_turn(device: torch.device) -> Iterator[None]:
    """Work in the order in which this is entered, from whatever thread and stream.

    In inference mode, so that what is made in it can be added to outside of it, and the reverse.
    """
    with _turn, torch.inference_mode():
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
