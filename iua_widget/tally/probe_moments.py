"""Exact sums over probes: of inactive units, and of their squares."""

from __future__ import annotations

import numpy as np

from iua_widget.engines.engine import LIMB_BITS, LIMB_MASK, ProbeSums


class ProbeMoments:
    """Sums over the probes of the inactive units, and of their squares, at every column.

    All are integers and exact, so that adding is in any order and with any grouping.

    Parameters
    ----------
    *shape : int
        The columns, last; before them the layers, where there are several.

    Attributes
    ----------
    inactive_sum : numpy.ndarray of int64, shape (..., columns)
    square_low, square_high : numpy.ndarray of int64, shape (..., columns)
        The sum of squares is ``square_high * 2 ** 40 + square_low``: 10 million units on 10^10
        probes take 84 bits.

    Examples
    --------
    >>> import numpy as np
    >>> moments = ProbeMoments(2)
    >>> moments.add(np.array([[1, 3], [3, 3]]))
    >>> moments.inactive_sum, moments.square_low
    (array([4, 6]), array([10, 18]))
    """

    def __init__(self, *shape: int) -> None:
        self.inactive_sum = np.zeros(shape, np.int64)
        self.square_low, self.square_high = np.zeros((2, *shape), np.int64)

    def add(self, inactive: np.ndarray) -> None:
        """Add a batch of one layer: int64, shape (probes, columns), ascending along these."""
        self.inactive_sum += inactive.sum(axis=0)
        # A square is below 2^62 (fewer than 2^31 units), so as many as fit are summed at a time.
        largest = int(inactive[:, -1].max(initial=1)) ** 2  # columns ascend
        step = max(1, (1 << 62) // largest)
        for start in range(0, len(inactive), step):
            part = inactive[start : start + step]
            self.square_low += np.einsum("pk,pk->k", part, part)
            self.carry()

    def add_sums(self, sums: ProbeSums) -> None:
        """Add a batch of all layers."""
        self.inactive_sum += sums.inactive_sum
        self.square_low += sums.square_sum
        self.carry()

    def take_in(self, layer: int, moments: ProbeMoments) -> None:
        """Add those of one layer, which then refer to their part of these."""
        for name in ("inactive_sum", "square_low", "square_high"):
            part = getattr(self, name)[layer]
            part += getattr(moments, name)
            setattr(moments, name, part)

    def clear(self) -> None:
        """Forget what was added."""
        self.inactive_sum[:] = 0
        self.square_low[:] = 0
        self.square_high[:] = 0

    def carry(self) -> None:
        """Move what is more than 40 bits of the lower sums to the upper ones."""
        self.square_high += self.square_low >> LIMB_BITS
        self.square_low &= LIMB_MASK
