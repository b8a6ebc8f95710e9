"""How large the responses of every unit of one layer were, and which were no numbers."""

from __future__ import annotations

from typing import Final

import numpy as np

from iua_widget.counting import pages
from iua_widget.counting.engine import BatchCounts
from iua_widget.counting.threads import in_parallel

BYTES_PER_UNIT: Final = 5 * 8 + 2
"""At the most: three sums and two counts of 8 bytes, and a bin of up to 2."""

_ALIGNMENT: Final = 64


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
        Sum of ``abs(x)``, sum of ``abs(x) ** 2``, largest ``abs(x)``, over finite responses.
    highest_bin : numpy.ndarray of uint8 or uint16, shape (units,)
        The bin of each unit's largest response: it is dead at every column from there on.
    """

    def __init__(self, units: int, columns: int) -> None:
        self.abs_sum, self.square_sum, self.abs_max = (
            pages.zeros((units,), np.float64) for _ in range(3)
        )
        self.highest_bin = pages.zeros((units,), np.min_scalar_type(columns))
        self._nan_count: np.ndarray | None = None
        self._infinite_count: np.ndarray | None = None

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

    def add(self, batch: BatchCounts) -> None:
        """Add a classified batch."""

        def add_part(start: int, stop: int) -> None:
            part = slice(start, stop)
            self.abs_sum[part] += batch.abs_sum[part]
            self.square_sum[part] += batch.square_sum[part]
            _raise_to(self.abs_max[part], batch.abs_max[part])
            if len(batch.bins):
                _raise_to(self.highest_bin[part], batch.bins[:, part].max(axis=0))

        in_parallel(add_part, len(self.abs_sum), batch.bins.size, _ALIGNMENT)
        self.add_non_finite(batch.nan_count, batch.infinite_count)

    def absorb(self, other: UnitMagnitudes) -> None:
        """Add those of another part of the stream."""
        _raise_to(self.highest_bin, other.highest_bin)
        self.abs_sum += other.abs_sum
        self.square_sum += other.square_sum
        _raise_to(self.abs_max, other.abs_max)
        self.add_non_finite(other._nan_count, other._infinite_count)

    def add_non_finite(self, nan: np.ndarray | None, infinite: np.ndarray | None) -> None:
        """Add counts of NaN and infinities, of shape (units,); None where there were none."""
        if nan is None or infinite is None:
            return
        if self._nan_count is None or self._infinite_count is None:
            # Kept only once there are any: they take as much as eight stops.
            self._nan_count, self._infinite_count = np.zeros((2, len(self.abs_sum)), np.int64)
        self._nan_count += nan
        self._infinite_count += infinite

    def _or_zeros(self, counts: np.ndarray | None) -> np.ndarray:
        return np.zeros(len(self.abs_sum), np.int64) if counts is None else counts


def _raise_to(largest: np.ndarray, values: np.ndarray) -> None:
    np.maximum(largest, values, out=largest)
