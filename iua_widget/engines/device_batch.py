"""`DeviceBatch`: what a batch adds to a layer's tally, on the device of its responses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class DeviceBatch:
    """`BatchCounts` in tensors, all on one device; what is read of it there is not known here.

    Attributes
    ----------
    bins : torch.Tensor of uint8, int16 or int32, shape (probes, units)
    inactive : torch.Tensor of int64, shape (probes, K + 1)
    abs_sum, square_sum, abs_max : torch.Tensor of float64, shape (units,)
    nan_count, infinite_count : torch.Tensor of int64 or float64, shape (units,)
        Zeros where none was: whether that is so cannot be told without waiting for the device.
    entries : int
    """

    bins: torch.Tensor
    inactive: torch.Tensor
    abs_sum: torch.Tensor
    square_sum: torch.Tensor
    abs_max: torch.Tensor
    nan_count: torch.Tensor
    infinite_count: torch.Tensor
    entries: int

    @property
    def nbytes(self) -> int:
        """What it takes on its device."""
        sums = self.abs_sum, self.square_sum, self.abs_max
        arrays = self.bins, self.inactive, *sums, self.nan_count, self.infinite_count
        return sum(int(one.nbytes) for one in arrays)
