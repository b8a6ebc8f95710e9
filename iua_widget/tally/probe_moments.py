"""How many units of one layer were inactive on one probe: mean and standard deviation, exactly."""

from __future__ import annotations

import numpy as np

from iua_widget.engines.engine import LIMB_BITS, LIMB_MASK


class ProbeMoments:
    """Sums over the probes of the inactive units, and of their squares, at every column.

    All are integers and exact, so that adding is in any order and with any grouping.

    Parameters
    ----------
    columns : int

    Attributes
    ----------
    probes : int
    inactive_sum : numpy.ndarray of int64, shape (columns,)
    square_low, square_high : numpy.ndarray of int64, shape (columns,)
        The sum of squares is ``square_high * 2 ** 40 + square_low``: 10 million units on 10^10
        probes take 84 bits.

    Examples
    --------
    >>> import numpy as np
    >>> moments = ProbeMoments(2)
    >>> moments.add(np.array([[1, 3], [3, 3]]))
    >>> moments.mean(), moments.std()
    (array([2., 3.]), array([1., 0.]))
    """

    def __init__(self, columns: int) -> None:
        self.probes = 0
        self.inactive_sum = np.zeros(columns, np.int64)
        self.square_low, self.square_high = np.zeros((2, columns), np.int64)

    def add(self, inactive: np.ndarray) -> None:
        """Add a batch's inactive units: int64, shape (probes, columns), ascending along these."""
        self.probes += len(inactive)
        self.inactive_sum += inactive.sum(axis=0)
        # A square is below 2^62 (fewer than 2^31 units), so as many as fit are summed at a time.
        largest = int(inactive[:, -1].max(initial=1)) ** 2  # columns ascend
        step = max(1, (1 << 62) // largest)
        for start in range(0, len(inactive), step):
            part = inactive[start : start + step]
            self.square_low += np.einsum("pk,pk->k", part, part)
            self._carry()

    def absorb(self, other: ProbeMoments) -> None:
        """Add the sums of another part of the stream."""
        self.probes += other.probes
        self.inactive_sum += other.inactive_sum
        self.square_low += other.square_low
        self.square_high += other.square_high
        self._carry()

    def mean(self) -> np.ndarray:
        """Mean of the inactive units of one probe: float64, shape (columns,); NaN without one."""
        return self.inactive_sum.astype(np.float64) / (self.probes or np.nan)

    def std(self) -> np.ndarray:
        """Their population standard deviation: float64, shape (columns,).

        The variance is ``(n * S2 - S1 ** 2) / n ** 2`` in exact integers, with ``S1`` and ``S2``
        the sums over n probes of the inactive units and of their squares; only the square root
        and the division round.
        """
        highest = int(self.square_high.max(initial=0)) + 1
        # Python's integers only where 63 bits do not do: they take ten times as long.
        fits = (highest << LIMB_BITS) * self.probes < 1 << 63
        integers = np.dtype(np.int64 if fits else object)
        sums = self.inactive_sum.astype(integers)
        squares = self.square_high.astype(integers) * (1 << LIMB_BITS) + self.square_low
        variance = (self.probes * squares - sums * sums).astype(np.float64)
        deviation: np.ndarray = np.sqrt(variance) / (self.probes or np.nan)
        return deviation

    def _carry(self) -> None:
        self.square_high += self.square_low >> LIMB_BITS
        self.square_low &= LIMB_MASK
