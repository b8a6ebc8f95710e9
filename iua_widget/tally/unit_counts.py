"""Counters of one layer's units: on how many probes each fell between one stop and the next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from iua_widget.engines.cpu import buffers
from iua_widget.engines.engine import Engine, LayerBins
from iua_widget.engines.threads import UNIT_ALIGNMENT, in_parallel

COUNTER_DTYPES: Final = (np.uint8, np.uint16, np.uint32, np.uint64)
"""What counters begin with, and what they are widened to before they could wrap."""

_MOST: Final[dict[np.dtype[np.unsignedinteger], int]] = {
    np.dtype(dtype): int(np.iinfo(dtype).max) for dtype in COUNTER_DTYPES
}

_BLOCK_UNITS: Final = 2**14


def counter_dtype(probes: int) -> np.dtype[np.unsignedinteger]:
    """The narrowest counters that can hold this many probes.

    Examples
    --------
    >>> counter_dtype(255), counter_dtype(256), counter_dtype(65_536)
    (dtype('uint8'), dtype('uint16'), dtype('uint32'))
    """
    for dtype, most in _MOST.items():
        if probes <= most:
            return dtype
    message = f"{probes} probes are more than 64 bits can count."
    raise OverflowError(message)


def counter_bytes(probes: int) -> int:
    """What one counter takes once so many probes are counted.

    Examples
    --------
    >>> counter_bytes(255), counter_bytes(256), counter_bytes(65_536)
    (1, 2, 4)
    """
    return counter_dtype(probes).itemsize


class UnitCounts:
    """Counters of every unit, at all columns of a tally or some of them.

    The columns of a tally are its stops and, last, "any finite value". There is a counter for each
    column, or for some of them only where memory is short: then it counts everything since the
    counted column before it, so that sums up to a counted column stay exact.

    Every counter is fetched from memory and put back whenever it is counted in, so classified
    batches wait and are counted together, by `count_waiting`. Counters are allocated when they are
    first needed, and widened before they could wrap.

    Parameters
    ----------
    units : int
    columns : sequence of int
        Those counted: ascending, the last of all among them.
    engine : Engine
        What counts.

    Attributes
    ----------
    units : int
    columns : tuple of int
        Those counted.
    engine : Engine

    Examples
    --------
    >>> import numpy as np
    >>> from iua_widget.engines.reference import ReferenceEngine
    >>> counters = UnitCounts(2, [0, 1, 2], ReferenceEngine())
    >>> counters.add(np.array([[0, 1], [0, 2]], np.uint8))
    >>> counters.count_waiting()
    >>> counters.up_to(1)
    array([2, 1])
    >>> counters.thin([0, 2])
    >>> counters.counts
    array([[2, 0],
           [0, 2]], dtype=uint8)
    """

    def __init__(self, units: int, columns: Sequence[int], engine: Engine) -> None:
        self.units = units
        self.columns = tuple(columns)
        self.engine = engine
        self._counts: np.ndarray | None = None
        self._waiting: list[np.ndarray] = []

    @property
    def counts(self) -> np.ndarray:
        """Probes on which the unit fell into each bin, but for those that wait to be counted.

        Returns
        -------
        numpy.ndarray of unsigned integers, shape (units, len(columns))
            Wide enough for the probes.
        """
        if self._counts is None:
            self._counts = buffers.zeros((self.units, len(self.columns)), np.dtype(np.uint8))
        return self._counts

    @counts.setter
    def counts(self, counts: np.ndarray) -> None:
        self._counts = counts

    @property
    def waiting(self) -> int:
        """Probes that wait to be counted."""
        return sum(map(len, self._waiting))

    def bytes_for(self, probes: int) -> int:
        """Bytes that the counters of so many probes take, and what waits."""
        if self._counts is None:
            return self.units * len(self.columns) * counter_bytes(probes)
        return self._counts.nbytes + sum(bins.nbytes for bins in self._waiting)

    def reserve(self, probes: int, to_come: int = 0) -> None:
        """Make room for this many probes in all: adding them then needs no more memory.

        Parameters
        ----------
        probes : int
        to_come : int
            How many there will be, as far as that is known: then nothing need be widened.
        """
        dtype = counter_dtype(probes)
        if self._counts is None:
            # Not wider than that: most of what is widened later on never comes to it.
            expected = counter_dtype(min(to_come, np.iinfo(COUNTER_DTYPES[1]).max))
            dtype = max(dtype, expected, key=lambda one: one.itemsize)
            self._counts = buffers.zeros((self.units, len(self.columns)), dtype)
            return
        narrow = self._counts
        if dtype.itemsize <= narrow.dtype.itemsize:
            return
        wide = buffers.empty(narrow.shape, dtype)

        def widen(start: int, stop: int) -> None:
            wide[start:stop] = narrow[start:stop]

        in_parallel(widen, len(wide), wide.size, UNIT_ALIGNMENT)
        self._counts = wide

    def clear(self) -> None:
        """Forget what was counted, and keep the array."""
        self._waiting = []
        if self._counts is not None:
            self._counts[:] = 0

    def move_to(self, counts: np.ndarray) -> None:
        """Have another array, as wide at least, hold the counts from now on."""
        counts[:] = self.counts
        self._counts = counts

    def thin(self, columns: Sequence[int]) -> None:
        """Count these columns only, some of those until now, the last of them among them."""
        if self._counts is not None:
            self.count_waiting()
            self._counts = self.thinned(columns).counts
        self.columns = tuple(columns)

    def thinned(self, columns: Sequence[int]) -> UnitCounts:
        """The same counts at these columns only; itself where these are its own."""
        columns = tuple(columns)
        if columns == self.columns:
            return self
        starts = [0, *(self.columns.index(column) + 1 for column in columns[:-1])]
        counts = self.counts
        result = UnitCounts(self.units, columns, self.engine)
        result.counts = thinner = np.empty((len(counts), len(columns)), counts.dtype)
        for start in range(0, len(counts), _BLOCK_UNITS):
            block = slice(start, start + _BLOCK_UNITS)
            thinner[block] = np.add.reduceat(counts[block], starts, axis=1, dtype=counts.dtype)
        return result

    def add(self, bins: np.ndarray) -> None:
        """Take in a classified batch, whose bins are those of all columns.

        Parameters
        ----------
        bins : numpy.ndarray of uint8 or uint16, shape (probes, units)
            Kept as it is until it is counted. See `iua_widget.engines.engine.BatchCounts`.
        """
        self._waiting.append(bins)

    @property
    def is_thinned(self) -> bool:
        """Whether there are columns that are not counted."""
        return len(self.columns) <= self.columns[-1]

    @property
    def to_count(self) -> LayerBins:
        """What waits, as an engine takes it where nothing is thinned; say when it is `counted`."""
        return LayerBins(self._waiting, self.counts)

    def counted(self) -> None:
        """Take note that what waited was counted."""
        self._waiting = []

    def count_waiting(self) -> None:
        """Count all that waits, on all cores."""
        if self.is_thinned:
            for bins in self._waiting:
                self._count_thinned(bins)
        elif self._waiting:
            self.engine.accumulate(self._waiting, self.counts)
        self.counted()

    def _count_thinned(self, bins: np.ndarray) -> None:
        place = np.searchsorted(self.columns, np.arange(self.columns[-1] + 2)).astype(bins.dtype)
        for start in range(0, bins.shape[1], _BLOCK_UNITS):
            block = slice(start, start + _BLOCK_UNITS)
            self.engine.accumulate([place[bins[:, block]]], self.counts[block])

    def add_counted(self, parts: Iterable[np.ndarray]) -> None:
        """Add what was counted elsewhere, once there is room for it.

        Parameters
        ----------
        parts : iterable of numpy.ndarray of integers, shape (some units, len(columns))
            Together all units, in order.
        """
        counts, start = self.counts, 0
        for part in parts:
            block = counts[start : start + len(part)]
            np.add(block, part, out=block, casting="unsafe")
            start += len(part)

    def up_to(self, column: int) -> np.ndarray:
        """Probes on which each unit fell into a bin up to a counted column.

        Returns
        -------
        numpy.ndarray of int64, shape (units,)
        """
        end = self.columns.index(column) + 1
        total: np.ndarray = self.counts[:, :end].sum(axis=1, dtype=np.int64)
        return total

    def cumulative(self, columns: Sequence[int]) -> np.ndarray:
        """What `up_to` gives for several columns at once.

        Parameters
        ----------
        columns : sequence of int
            Ascending, and counted.

        Returns
        -------
        numpy.ndarray of the counters' dtype, shape (len(columns), units), C-contiguous
        """
        places = [self.columns.index(column) for column in columns]
        counts = self.counts
        result = np.empty((len(places), len(counts)), counts.dtype)
        for start in range(0, len(counts), _BLOCK_UNITS):
            block = slice(start, start + _BLOCK_UNITS)
            by_column = np.ascontiguousarray(counts[block].T)
            total, begin = np.zeros_like(by_column[0]), 0
            for row, place in enumerate(places):
                for added in by_column[begin : place + 1]:
                    total += added
                result[row, block] = total
                begin = place + 1
        return result


def count_all_waiting(layers: Iterable[UnitCounts]) -> None:
    """Count all that waits in several layers, on all cores."""
    by_engine: dict[int, list[UnitCounts]] = {}
    for counts in layers:
        if counts.is_thinned:
            counts.count_waiting()
        elif counts.waiting:
            by_engine.setdefault(id(counts.engine), []).append(counts)
    for alike in by_engine.values():
        alike[0].engine.accumulate_all([counts.to_count for counts in alike])
        for counts in alike:
            counts.counted()
