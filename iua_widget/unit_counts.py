"""How often every unit of one layer fell between one stop and the next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from iua_widget.counting import pages
from iua_widget.counting.engine import Engine

COUNTER_DTYPES: Final = (np.uint8, np.uint16, np.uint32, np.uint64)
"""What counters begin with, and what they are widened to before they could wrap."""

_NARROW_MOST: Final = np.iinfo(COUNTER_DTYPES[0]).max

_BLOCK_UNITS: Final = 2**14


def counter_dtype(probes: int) -> np.dtype[np.unsignedinteger]:
    """The narrowest counters that can hold this many probes.

    Examples
    --------
    >>> counter_dtype(255), counter_dtype(256), counter_dtype(65_536)
    (dtype('uint8'), dtype('uint16'), dtype('uint32'))
    """
    for dtype in COUNTER_DTYPES:
        if probes <= np.iinfo(dtype).max:
            return np.dtype(dtype)
    message = f"{probes} probes are more than 64 bits can count."
    raise OverflowError(message)


def counter_bytes(probes: int) -> int:
    """What one counter takes once so many probes are counted, the narrow one before it included.

    Examples
    --------
    >>> counter_bytes(255), counter_bytes(256), counter_bytes(65_536)
    (1, 3, 5)
    """
    width = counter_dtype(probes).itemsize
    narrow = counter_dtype(0).itemsize
    return width if width == narrow else width + narrow


class UnitCounts:
    """Counters of every unit, at the stops that are held.

    The columns of a tally are its stops and, last, "any finite value". A counter is held for each
    column, or for some of them only where memory is short: then it counts everything since the
    column held before it, so that sums up to a held column stay exact.

    Counting is in bytes, which is fastest, since every counter is fetched from memory and put back
    for each batch. Before they could wrap, they are spilled into wider counters. A batch of more
    probes than bytes can hold goes into the wider ones at once.

    Parameters
    ----------
    units : int
    columns : sequence of int
        Those held: ascending, the last of all among them.
    engine : Engine
        What counts.

    Attributes
    ----------
    columns : tuple of int
        Those held.

    Examples
    --------
    >>> import numpy as np
    >>> from iua_widget.counting.reference import ReferenceEngine
    >>> held = UnitCounts(2, [0, 1, 2], ReferenceEngine())
    >>> held.add(np.array([[0, 1], [0, 2]], np.uint8))
    >>> held.up_to(1)
    array([2, 1])
    >>> held.thin([0, 2])
    >>> held.counts
    array([[2, 0],
           [0, 2]], dtype=uint8)
    """

    def __init__(self, units: int, columns: Sequence[int], engine: Engine) -> None:
        self.columns = tuple(columns)
        self._engine = engine
        self._narrow = pages.zeros((units, len(self.columns)), COUNTER_DTYPES[0])
        self._in_narrow = 0
        self._wide: np.ndarray | None = None

    @property
    def counts(self) -> np.ndarray:
        """Probes on which the unit fell into each bin.

        Returns
        -------
        numpy.ndarray of unsigned integers, shape (units, len(columns))
            As narrow as the probes allow.
        """
        if self._wide is None:
            return self._narrow
        self._spill(self._wide)
        return self._wide

    @property
    def nbytes(self) -> int:
        """Bytes that the counters take."""
        return self._narrow.nbytes + (0 if self._wide is None else self._wide.nbytes)

    def reserve(self, probes: int) -> None:
        """Make room for this many probes in all: adding them then needs no more memory."""
        dtype = counter_dtype(probes)
        if self._wide is None and dtype.itemsize > self._narrow.dtype.itemsize:
            self._wide = pages.zeros(self._narrow.shape, dtype)
        elif self._wide is not None and dtype.itemsize > self._wide.dtype.itemsize:
            self._wide = self._wide.astype(dtype)

    def restore(self, counts: np.ndarray, probes: int) -> None:
        """Take counters of so many probes as its own."""
        self._narrow, self._in_narrow, self._wide = counts, probes, None
        if counts.dtype != COUNTER_DTYPES[0]:
            self._narrow = pages.zeros(counts.shape, COUNTER_DTYPES[0])
            self._in_narrow, self._wide = 0, counts

    def thin(self, columns: Sequence[int]) -> None:
        """Hold these columns only, some of those held until now, the last of them among them."""
        counts = self.thinned(columns).counts
        self.columns = tuple(columns)
        self.restore(counts, self._in_narrow)

    def thinned(self, columns: Sequence[int]) -> UnitCounts:
        """The same counts held at these columns only; itself where these are its own."""
        columns = tuple(columns)
        if columns == self.columns:
            return self
        starts = [0, *(self.columns.index(column) + 1 for column in columns[:-1])]
        counts = self.counts
        thinner = np.empty((len(counts), len(columns)), counts.dtype)
        for start in range(0, len(counts), _BLOCK_UNITS):
            block = slice(start, start + _BLOCK_UNITS)
            thinner[block] = np.add.reduceat(counts[block], starts, axis=1, dtype=counts.dtype)
        result = UnitCounts(0, columns, self._engine)
        result.restore(thinner, self._in_narrow)
        return result

    def add(self, bins: np.ndarray) -> None:
        """Count a classified batch, whose bins are those of all columns.

        Parameters
        ----------
        bins : numpy.ndarray of uint8 or uint16, shape (probes, units)
            See `iua_widget.counting.engine.BatchCounts`.
        """
        if self._wide is not None and len(bins) > _NARROW_MOST:
            self._accumulate(bins, self._wide)
            return
        start = 0
        while start < len(bins):
            room = _NARROW_MOST - self._in_narrow
            if self._wide is not None and room < min(len(bins) - start, _NARROW_MOST):
                self._spill(self._wide)
                room = _NARROW_MOST
            part = bins[start : start + room]
            self._accumulate(part, self._narrow)
            self._in_narrow += len(part)
            start += len(part)

    def _accumulate(self, bins: np.ndarray, counts: np.ndarray) -> None:
        last = self.columns[-1]
        if len(self.columns) == last + 1:
            self._engine.accumulate(bins, counts)
            return
        place = np.searchsorted(self.columns, np.arange(last + 2)).astype(bins.dtype)
        for start in range(0, bins.shape[1], _BLOCK_UNITS):
            block = slice(start, start + _BLOCK_UNITS)
            self._engine.accumulate(place[bins[:, block]], counts[block])

    def _spill(self, wide: np.ndarray) -> None:
        if self._in_narrow:
            self._engine.spill(self._narrow, wide)
            self._in_narrow = 0

    def add_counted(self, parts: Iterable[np.ndarray], probes: int) -> None:
        """Add what was counted elsewhere, once there is room for it.

        Parameters
        ----------
        parts : iterable of numpy.ndarray of integers, shape (some units, len(columns))
            Together all units, in order.
        probes : int
            Counted there.
        """
        counts, start = self.counts, 0
        for part in parts:
            block = counts[start : start + len(part)]
            np.add(block, part, out=block, casting="unsafe")
            start += len(part)
        if self._wide is None:
            self._in_narrow += probes

    def absorb(self, other: UnitCounts) -> None:
        """Add counters of the same columns, once there is room for both."""
        counts = self.counts
        np.add(counts, other.counts, out=counts, casting="unsafe")
        if self._wide is None:
            self._in_narrow += other._in_narrow

    def up_to(self, column: int) -> np.ndarray:
        """Probes on which each unit fell into a bin up to a held column.

        Returns
        -------
        numpy.ndarray of int64, shape (units,)
        """
        held = self.columns.index(column) + 1
        total: np.ndarray = self.counts[:, :held].sum(axis=1, dtype=np.int64)
        return total

    def cumulative(self, columns: Sequence[int]) -> np.ndarray:
        """What `up_to` gives for several columns at once.

        Parameters
        ----------
        columns : sequence of int
            Ascending, and held.

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
