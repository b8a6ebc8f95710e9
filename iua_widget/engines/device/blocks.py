"""`Blocks`: how the responses of a layer lie in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch

from iua_widget.engines.engine import CHUNK


@dataclass(frozen=True, slots=True)
class Blocks:
    """Responses of shape (probes, positions, units), without the responses.

    Attributes
    ----------
    dtype : torch.dtype
    probes, positions, units : int
    by_probe, by_position, by_unit : int
        From one to the next, in entries.

    Examples
    --------
    >>> blocks = Blocks.of(torch.zeros(7, 1, 3))
    >>> blocks.units, blocks.by_probe, blocks.rows
    (3, 3, True)
    """

    dtype: torch.dtype
    probes: int
    positions: int
    units: int
    by_probe: int
    by_position: int
    by_unit: int

    @classmethod
    def of(cls, values: torch.Tensor) -> Self:
        """Those of a tensor of three axes."""
        return cls(values.dtype, *values.shape, *values.stride())

    @property
    def wide(self) -> torch.dtype:
        """In which they are compared: bfloat16, which NumPy lacks, in float32."""
        return torch.float32 if self.dtype is torch.bfloat16 else self.dtype

    @property
    def rows(self) -> bool:
        """Whether a unit has one response on a probe."""
        return self.positions == 1

    @property
    def chunks(self) -> int:
        """In how many chunks its probes are summed."""
        return _chunks(self.probes)

    @property
    def position_chunks(self) -> int:
        """In how many chunks the positions of a probe are summed; 0 for rows."""
        return 0 if self.rows else _chunks(self.positions)

    @property
    def parts(self) -> int:
        """How many sums a unit has once it is classified."""
        return self.chunks if self.rows else self.probes * self.position_chunks


def _chunks(entries: int) -> int:
    return -(-entries // CHUNK)
