"""The upper edges of the bins, on a device."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True, slots=True)
class DeviceEdges:
    """The upper edges of all bins but the last, as bits, which order as magnitudes do.

    Attributes
    ----------
    table : torch.Tensor of integers, shape (2 ** levels - 1,)
        The edges in ascending order, and after them what no magnitude exceeds.
    columns : int
        How many edges there are: all bins but the last.
    bins : torch.dtype
        What bins are given in: uint8, int16 or int32.

    Examples
    --------
    >>> edges = DeviceEdges.of(np.float16([0, 1]), torch.device("cpu"))
    >>> edges.bits.view(torch.float16).tolist()
    [0.0, 1.0, 65504.0]
    >>> edges.levels, edges.columns, edges.bins
    (2, 3, torch.uint8)
    """

    table: torch.Tensor
    columns: int
    bins: torch.dtype

    @classmethod
    def of(cls, thresholds: np.ndarray, device: torch.device) -> DeviceEdges:
        """Those of bins that end at thresholds and, last, at the largest finite value."""
        limit = np.finfo(thresholds.dtype).max
        # Above the last finite bin is what no stop includes: infinities, unless a stop is
        # infinite in this dtype, and NaN, whose bits are above those of infinity.
        edges = np.append(thresholds, max(limit, thresholds.max(initial=0)))
        bits = edges.view(f"i{edges.itemsize}")
        table = np.full((1 << len(bits).bit_length()) - 1, np.iinfo(bits.dtype).max, bits.dtype)
        table[: len(bits)] = bits
        tensor = torch.from_numpy(table).to(device, non_blocking=True)
        return cls(tensor, len(bits), bins_dtype(len(bits)))

    @property
    def bits(self) -> torch.Tensor:
        """The edges alone."""
        return self.table[: self.columns]

    @property
    def levels(self) -> int:
        """How often the table can be halved until a bin is found."""
        return len(self.table).bit_length()


def bins_dtype(columns: int) -> torch.dtype:
    """What bins are given in that are up to the number of columns."""
    if columns < 2**8:
        return torch.uint8
    return torch.int16 if columns < 2**15 else torch.int32
