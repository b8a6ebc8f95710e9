"""How large the responses of every unit of one layer were, and which were no numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from iua_widget.engines.cpu import pages
from iua_widget.engines.engine import BatchCounts, RunningSums
from iua_widget.engines.threads import UNIT_ALIGNMENT, in_parallel

BYTES_PER_UNIT: Final = 5 * 8 + 2
"""At the most: three sums and two counts of 8 bytes, and a bin of up to 2."""


class UnitMagnitudes:
    """Sums, largest values and counts of NaN and infinities, unit by unit.

    Parameters
    ----------
    units : int
    columns : int
        Of the tally.

    Attributes
    ----------
    highest_bin : numpy.ndarray of uint8 or uint16, shape (units,)
        The largest bin of each unit on the probes on which it was finite: it is dead at every
        column from there on, if there was one; otherwise 0.
    first_odd : int or None
        The number of the first batch with a NaN or an infinity; None where there was none, or
        where it is not known.
    """

    def __init__(self, units: int, columns: int) -> None:
        self._shape = 3, units
        self._not_finite = columns
        self._written: np.ndarray | None = None
        self._others: np.ndarray | None = None
        self.highest_bin = pages.zeros((units,), np.min_scalar_type(columns))
        self.first_odd: int | None = None
        self._nan_count: np.ndarray | None = None
        self._infinite_count: np.ndarray | None = None

    @property
    def _sums(self) -> np.ndarray:
        if self._written is None:
            self._written = pages.zeros(self._shape, np.float64)
        return self._written

    @property
    def abs_sum(self) -> np.ndarray:
        """Sum of ``abs(x)`` over finite responses: float64, shape (units,)."""
        abs_sum: np.ndarray = self._sums[0]
        return abs_sum

    @property
    def square_sum(self) -> np.ndarray:
        """Sum of ``abs(x) ** 2``, likewise."""
        square_sum: np.ndarray = self._sums[1]
        return square_sum

    @property
    def abs_max(self) -> np.ndarray:
        """Largest ``abs(x)``, likewise."""
        abs_max: np.ndarray = self._sums[2]
        return abs_max

    def running(self) -> RunningSums:
        """What the next batch may be added to: nothing else must be added before it is."""
        if self._others is None:
            self._others = pages.empty(self._shape, np.float64)
        return RunningSums(self._written, self._others)

    def rest(self) -> None:
        """Let go of what is kept for the next batch only."""
        self._others = None

    def restore(self, sums: Sequence[np.ndarray], highest_bin: np.ndarray) -> None:
        """Take these as its own: ``abs_sum``, ``square_sum``, ``abs_max``, and the highest bins."""
        for row, held in zip(self._sums, sums, strict=True):
            row[:] = held
        self.highest_bin = highest_bin

    @property
    def nan_count(self) -> np.ndarray:
        """Responses that were NaN: int64, shape (units,)."""
        return self._or_zeros(self._nan_count)

    @property
    def infinite_count(self) -> np.ndarray:
        """Responses that were infinite: int64, shape (units,)."""
        return self._or_zeros(self._infinite_count)

    @property
    def all_finite(self) -> bool:
        """Whether no response was NaN or infinite."""
        return self._nan_count is None

    def add(self, batch: BatchCounts, number: int) -> None:
        """Add a classified batch, of this number, on all cores where that is worth it."""
        # Sums that ran have the batch in them; others are made before several threads add to them.
        sums = self._sums if batch.running is None else None

        def add(start: int, stop: int) -> None:
            units = slice(start, stop)
            if sums is not None:
                sums[0, units] += batch.abs_sum[units]
                sums[1, units] += batch.square_sum[units]
                _raise_to(sums[2, units], batch.abs_max[units])
            if batch.highest_bin is not None:
                _raise_to(self.highest_bin[units], batch.highest_bin[units])
            elif len(batch.bins):
                bins = batch.bins[:, units]
                if batch.nan_count is not None:
                    bins = np.where(bins < self._not_finite, bins, 0)
                _raise_to(self.highest_bin[units], bins.max(axis=0))

        if batch.running is None:
            in_parallel(add, len(self.highest_bin), len(self.highest_bin), UNIT_ALIGNMENT)
        else:
            add(0, len(self.highest_bin))
            self._written, self._others = batch.running.into, self._written
        self.add_non_finite(batch.nan_count, batch.infinite_count, number)

    def absorb(self, other: UnitMagnitudes) -> None:
        """Add those of another part of the stream."""
        _raise_to(self.highest_bin, other.highest_bin)
        self._sums[:2] += other._sums[:2]
        _raise_to(self.abs_max, other.abs_max)
        self.add_non_finite(other._nan_count, other._infinite_count, other.first_odd)

    def add_non_finite(
        self, nan: np.ndarray | None, infinite: np.ndarray | None, number: int | None
    ) -> None:
        """Add counts of NaN and infinities, of shape (units,); None where there were none.

        `number` is that of the batch they came in, or first came in.
        """
        if nan is None or infinite is None:
            return
        if self._nan_count is None or self._infinite_count is None:
            # Kept only once there are any: they take as much as eight stops.
            self._nan_count, self._infinite_count = np.zeros((2, len(self.abs_sum)), np.int64)
            self.first_odd = number
        self._nan_count += nan
        self._infinite_count += infinite

    def _or_zeros(self, counts: np.ndarray | None) -> np.ndarray:
        return np.zeros(len(self.abs_sum), np.int64) if counts is None else counts


def _raise_to(largest: np.ndarray, values: np.ndarray) -> None:
    np.maximum(largest, values, out=largest)
