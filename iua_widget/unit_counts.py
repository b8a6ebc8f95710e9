"""How often every unit of one layer fell between one stop and the next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from iua_widget.counting.engine import Engine

COUNTER_DTYPES: Final = (np.uint16, np.uint32, np.uint64)
"""What counters begin with, and what they are widened to before they could wrap."""

_BLOCK_UNITS: Final = 2**14


def counter_dtype(probes: int) -> np.dtype[np.unsignedinteger]:
    """The narrowest counters that can hold this many probes.

    Examples
    --------
    >>> counter_dtype(65_535), counter_dtype(65_536)
    (dtype('uint16'), dtype('uint32'))
    """
    for dtype in COUNTER_DTYPES:
        if probes <= np.iinfo(dtype).max:
            return np.dtype(dtype)
    message = f"{probes} probes are more than 64 bits can count."
    raise OverflowError(message)


class UnitCounts:
    """Counters of every unit, at the stops that are held.

    The columns of a tally are its stops and, last, "any finite value". A counter is held for each
    column, or for some of them only where memory is short: then it counts everything since the
    column held before it, so that sums up to a held column stay exact.

    Parameters
    ----------
    units : int
    columns : sequence of int
        Those held: ascending, the last of all among them.

    Attributes
    ----------
    columns : tuple of int
        Those held.
    counts : numpy.ndarray of uint16, uint32 or uint64, shape (units, len(columns))
        Probes on which the unit fell into each bin.

    Examples
    --------
    >>> import numpy as np
    >>> from iua_widget.counting.reference import ReferenceEngine
    >>> held = UnitCounts(2, [0, 1, 2])
    >>> held.add(np.array([[0, 1], [0, 2]], np.uint8), ReferenceEngine())
    >>> held.up_to(1)
    array([2, 1])
    >>> held.thin([0, 2])
    >>> held.counts
    array([[2, 0],
           [0, 2]], dtype=uint16)
    """

    def __init__(self, units: int, columns: Sequence[int]) -> None:
        self.columns = tuple(columns)
        self.counts: np.ndarray = np.zeros((units, len(self.columns)), COUNTER_DTYPES[0])

    @property
    def nbytes(self) -> int:
        """Bytes that the counters take."""
        return self.counts.nbytes

    def reserve(self, probes: int) -> None:
        """Widen the counters, so that they can hold this many probes."""
        dtype = counter_dtype(probes)
        if dtype.itemsize > self.counts.dtype.itemsize:
            self.counts = self.counts.astype(dtype)

    def thin(self, columns: Sequence[int]) -> None:
        """Hold these columns only, some of those held until now, the last of them among them."""
        self.counts, self.columns = self.thinned(columns).counts, tuple(columns)

    def thinned(self, columns: Sequence[int]) -> UnitCounts:
        """The same counts held at these columns only; itself where these are its own."""
        columns = tuple(columns)
        if columns == self.columns:
            return self
        starts = [0, *(self.columns.index(column) + 1 for column in columns[:-1])]
        result = UnitCounts(0, columns)
        result.counts = np.empty((len(self.counts), len(columns)), self.counts.dtype)
        for start in range(0, len(self.counts), _BLOCK_UNITS):
            block = slice(start, start + _BLOCK_UNITS)
            sums = np.add.reduceat(self.counts[block], starts, axis=1, dtype=self.counts.dtype)
            result.counts[block] = sums
        return result

    def add(self, bins: np.ndarray, engine: Engine) -> None:
        """Count a classified batch, whose bins are those of all columns.

        Parameters
        ----------
        bins : numpy.ndarray of uint8 or uint16, shape (probes, units)
            See `iua_widget.counting.engine.BatchCounts`.
        engine : Engine
        """
        last = self.columns[-1]
        if len(self.columns) == last + 1:
            engine.accumulate(bins, self.counts)
            return
        place = np.searchsorted(self.columns, np.arange(last + 2)).astype(bins.dtype)
        for start in range(0, bins.shape[1], _BLOCK_UNITS):
            block = slice(start, start + _BLOCK_UNITS)
            engine.accumulate(place[bins[:, block]], self.counts[block])

    def absorb(self, other: UnitCounts) -> None:
        """Add counters of the same columns, once there is room for both."""
        np.add(self.counts, other.counts, out=self.counts, casting="unsafe")

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
        result = np.empty((len(places), len(self.counts)), self.counts.dtype)
        for start in range(0, len(self.counts), _BLOCK_UNITS):
            block = slice(start, start + _BLOCK_UNITS)
            totals = self.counts[block].cumsum(axis=1, dtype=self.counts.dtype)
            result[:, block] = totals[:, places].T
        return result
