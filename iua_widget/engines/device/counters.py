"""The counters of one layer on a device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

from iua_widget.engines.engine import LIMB_BITS, LIMB_MASK

NO_BATCH: Final = 2**31 - 1
"""Above the number of every batch."""

MOST_SQUARES: Final = 2**22
"""Squares whose lower limbs can be added before they must be carried."""


@dataclass(slots=True)
class DeviceCounters:
    """What batches are added to, all on one device.

    Attributes
    ----------
    counts : torch.Tensor of int32, shape (counted columns + 1, units)
        Probes on which a unit fell into a column; the last row, for what no column includes, is
        never read.
    place : torch.Tensor of int64, shape (columns + 1,), or None
        The row of each bin, where some columns are not counted.
    highest : torch.Tensor of int32, shape (units,)
        The largest bin of each unit on the probes on which it was finite.
    sums : torch.Tensor of float64, shape (2, units)
        Of magnitudes, and of their squares.
    abs_max : torch.Tensor of float64, shape (units,)
    odd : torch.Tensor of int64, shape (2, units)
        How many responses were NaN, and how many infinite.
    moments : torch.Tensor of int64, shape (3, columns)
        Inactive units of all probes, and the lower and upper limbs of their squares.
    first_odd : torch.Tensor of int32, shape (1,)
        The first batch with a response that was NaN or infinite; `NO_BATCH` where none was.
    batch : int
        The number of the batch that is added next.
    squared : int
        Squares added to the lower limbs since they were carried.
    """

    counts: torch.Tensor
    place: torch.Tensor | None
    highest: torch.Tensor
    sums: torch.Tensor
    abs_max: torch.Tensor
    odd: torch.Tensor
    moments: torch.Tensor
    first_odd: torch.Tensor
    batch: int = 0
    squared: int = 0

    @classmethod
    def zeros(cls, units: int, columns: int, device: torch.device) -> DeviceCounters:
        """Nothing counted, and units at no column yet: see `count_at`."""
        return cls(
            counts=torch.zeros((1, units), dtype=torch.int32, device=device),
            place=None,
            highest=torch.zeros(units, dtype=torch.int32, device=device),
            sums=torch.zeros((2, units), dtype=torch.float64, device=device),
            abs_max=torch.zeros(units, dtype=torch.float64, device=device),
            odd=torch.zeros((2, units), dtype=torch.int64, device=device),
            moments=torch.zeros((3, columns), dtype=torch.int64, device=device),
            first_odd=torch.full((1,), NO_BATCH, dtype=torch.int32, device=device),
        )

    def count_at(self, counted: Sequence[int]) -> None:
        """Count units at these columns, from zero."""
        units, columns = len(self.highest), self.moments.shape[1]
        self.counts = self.counts.new_zeros((len(counted) + 1, units))
        self.place = None
        if len(counted) < columns:
            place = torch.from_numpy(np.searchsorted(counted, np.arange(columns + 1)))
            self.place = place.to(self.counts.device, non_blocking=True)

    def expect_squares(self, probes: int) -> None:
        """Carry the lower limbs if so many further squares could make them wrap.

        Parameters
        ----------
        probes : int
            Up to `MOST_SQUARES`.
        """
        if self.squared + probes > MOST_SQUARES:
            self.moments[2] += self.moments[1] >> LIMB_BITS
            self.moments[1] &= LIMB_MASK
            self.squared = 1  # what is left is less than one limb
        self.squared += probes
