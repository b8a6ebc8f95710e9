"""Sums and maxima of one layer's units, and counts of their NaN and infinities."""

from __future__ import annotations

import numpy as np

from iua_widget.engines.cpu import buffers
from iua_widget.engines.engine import BatchCounts, RunningSums
from iua_widget.engines.threads import UNIT_ALIGNMENT, in_parallel


class _Row:
    """A row of the sums as an attribute."""

    def __init__(self, row: int) -> None:
        self._row = row

    def __get__(self, owner: UnitMagnitudes, _: object = None) -> np.ndarray:
        row: np.ndarray = owner.sums[self._row]
        return row

    def __set__(self, owner: UnitMagnitudes, values: np.ndarray) -> None:
        owner.sums[self._row] = values


class UnitMagnitudes:
    """Sums, largest values and counts of NaN and infinities, unit by unit.

    Parameters
    ----------
    units : int
    columns : int
        Of the tally.

    Attributes
    ----------
    abs_sum, square_sum, abs_max : numpy.ndarray of float64, shape (units,)
        Sum of ``abs(x)`` over finite responses, sum of ``abs(x) ** 2``, and largest ``abs(x)``.
    highest_bin : numpy.ndarray of uint8 or uint16, shape (units,)
        The largest bin of each unit on the probes on which it was finite: it is dead at every
        column from there on, if there was one; otherwise 0.
    nan_count, infinite_count : numpy.ndarray of int64, shape (units,), or None
        Responses that were NaN, and infinite; None where there were none of both.
    first_non_finite : int or None
        The number of the first batch with a NaN or an infinity; None where there was none, or
        where it is not known.
    """

    abs_sum = _Row(0)
    square_sum = _Row(1)
    abs_max = _Row(2)

    def __init__(self, units: int, columns: int) -> None:
        self._shape = 3, units
        self._not_finite = columns
        self._written: np.ndarray | None = None
        self._others: np.ndarray | None = None
        self.highest_bin = buffers.zeros((units,), np.min_scalar_type(columns))
        self.first_non_finite: int | None = None
        self.nan_count: np.ndarray | None = None
        self.infinite_count: np.ndarray | None = None

    @property
    def sums(self) -> np.ndarray:
        """``abs_sum``, ``square_sum`` and ``abs_max``: allocated when they are first needed."""
        if self._written is None:
            self._written = buffers.zeros(self._shape, np.float64)
        return self._written

    def running(self) -> RunningSums | None:
        """What the next batch may be added to: nothing else must be added before it is.

        None where the sums are a part of those of several layers: engines take whole arrays.
        """
        if self._written is not None and not self._written.flags.c_contiguous:
            return None
        if self._others is None:
            self._others = buffers.empty(self._shape, np.float64)
        return RunningSums(self._written, self._others)

    def clear(self) -> None:
        """Forget what was counted, and keep the arrays."""
        if self._written is not None:
            self._written[:] = 0
        self.highest_bin[:] = 0
        self.nan_count = self.infinite_count = self.first_non_finite = None

    def move_to(self, sums: np.ndarray, highest_bin: np.ndarray) -> None:
        """Have other arrays hold the sums and the highest bins from now on."""
        sums[:], highest_bin[:] = self.sums, self.highest_bin
        self._written, self._others, self.highest_bin = sums, None, highest_bin

    def release_buffers(self) -> None:
        """Free what is kept for the next batch only."""
        self._others = None

    @property
    def all_finite(self) -> bool:
        """Whether no response was NaN or infinite."""
        return self.nan_count is None

    def add(self, batch: BatchCounts, number: int) -> None:
        """Add a classified batch, of this number, on all cores where that is worth it."""
        # Sums that ran have the batch in them; others are made before several threads add to them.
        sums = self.sums if batch.running is None else None

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

    def add_non_finite(
        self, nan: np.ndarray | None, infinite: np.ndarray | None, number: int | None
    ) -> None:
        """Add counts of NaN and infinities, of shape (units,); None where there were none.

        `number` is that of the batch they came in, or first came in.
        """
        if nan is None or infinite is None:
            return
        if self.nan_count is None or self.infinite_count is None:
            # Kept only once there are any: they take as much as eight stops.
            self.nan_count, self.infinite_count = np.zeros((2, self._shape[1]), np.int64)
            self.first_non_finite = number
        self.nan_count += nan
        self.infinite_count += infinite


def _raise_to(largest: np.ndarray, values: np.ndarray) -> None:
    np.maximum(largest, values, out=largest)
