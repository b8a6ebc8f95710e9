"""`ResponseForm`: dtype and shape of a layer's responses that can be counted with others."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from iua_widget.common.tensors import dtype_name, is_tensor
from iua_widget.tally.tally import Tally
from iua_widget.units.rule import Origin

_MOST_RESPONSES: Final = 2**16
"""Responses of a layer in a batch above which it is they that take the time, and not the layer."""
_DTYPES: Final = {"float16", "float32", "float64"}
"""Those that are compared as they are."""


@dataclass(frozen=True, slots=True)
class ResponseForm:
    """What the responses of a layer are like, of one that can be counted together with others.

    Attributes
    ----------
    dtype : numpy.dtype or torch.dtype
    shape : tuple of int
        As they come.
    channel_axis : int or None
        Where every position is a probe, the axis that is none; None where every entry is a unit.
    """

    dtype: Any
    shape: tuple[int, ...]
    channel_axis: int | None

    @classmethod
    def of(cls, value: Any, origin: Origin, tally: Tally, rows: Any) -> ResponseForm | None:
        """That of a response, which was arranged as `rows`; None where it is counted by itself."""
        plain = _plain_tensor(value) if is_tensor(value) else _plain_array(value)
        together = (
            plain
            and dtype_name(value.dtype) in _DTYPES
            and origin.tells_only_units
            and isinstance(rows, np.ndarray)
            and rows.ndim == 2  # noqa: PLR2004
            and 0 < rows.size <= _MOST_RESPONSES
        )
        if not together:
            return None
        by_token = tally.plan.choice == "token"
        return cls(value.dtype, tuple(value.shape), tally.plan.channel_axis if by_token else None)

    @property
    def is_of_arrays(self) -> bool:
        """Whether they are NumPy's."""
        return isinstance(self.dtype, np.dtype)

    @property
    def array_dtype(self) -> np.dtype:
        """The dtype as NumPy has it."""
        return self.dtype if isinstance(self.dtype, np.dtype) else np.dtype(dtype_name(self.dtype))

    def probes(self, shape: tuple[int, ...]) -> int:
        """How many probes a response of some shape has; 0 if its units are others."""
        axis, known = self.channel_axis, self.shape
        if axis is None:
            return shape[0] if shape[1:] == known[1:] else 0
        if len(shape) != len(known) or shape[axis] != known[axis]:
            return 0
        return math.prod(shape) // max(shape[axis], 1)

    def view(self, rows: Any, shape: tuple[int, ...]) -> Any:
        """Rows of shape (probes, units), an array or a tensor, as a response of some shape."""
        axis = self.channel_axis
        if axis is None:
            return rows.reshape(shape)
        positions = rows.reshape(*shape[:axis], *shape[axis + 1 :], shape[axis])
        if isinstance(positions, np.ndarray):
            return np.moveaxis(positions, -1, axis)
        return positions.movedim(-1, axis)


def _plain_array(value: Any) -> bool:
    return type(value) is np.ndarray and value.dtype.isnative


def _plain_tensor(value: Any) -> bool:
    """Whether a tensor is on the host, and can be copied as an array can."""
    import torch

    return type(value) is torch.Tensor and value.is_cpu and value.layout is torch.strided
