"""Slots: each copies a layer's response to its place in a group, if it is as those before."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, Protocol

import numpy as np

from iua_widget.common.cell_context import plain_torch
from iua_widget.common.tensors import dtype_name, is_tensor
from iua_widget.engines.device_batch import DeviceBatch
from iua_widget.tally.tally import Tally
from iua_widget.units.rule import Origin

if TYPE_CHECKING:
    import torch

_MOST_RESPONSES: Final = 2**16
"""Responses of a layer in a batch above which it is they that take the time, and not the layer."""
_DTYPES: Final = {"float16", "float32", "float64"}
"""Those that are compared as they are."""


@dataclass(frozen=True, slots=True)
class Form:
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
    def of(cls, value: Any, origin: Origin, tally: Tally, rows: Any) -> Form | None:
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


class Group(Protocol):
    """What the layers of several slots have in common.

    Attributes
    ----------
    batch : int
        Which batch is at hand, those that were begun anew included.
    probes : int
        Of what was taken of it; 0 before.
    taken : int
        How many layers' responses were.
    """

    batch: int
    probes: int
    taken: int


class Taken(NamedTuple):
    """What a slot took of the batch at hand: a copy, or classified where it lay."""

    response: np.ndarray | DeviceBatch
    origin: Origin


class AnySlot(Protocol):
    """What takes the responses of one layer, as long as they come as before.

    Attributes
    ----------
    waits : bool
        Whether it takes responses again after a batch that was otherwise.
    """

    waits: ClassVar[bool]

    @property
    def taken(self) -> bool:
        """Whether a response was taken in the batch at hand."""
        ...

    def take(self, value: Any, origin: Origin) -> bool:
        """Read a response, if it is as before and the first of its batch; or do nothing."""
        ...

    def give_back(self) -> Taken | None:
        """What was taken in the batch at hand, which then was not."""
        ...


class Slot:
    """Where the responses of one layer go, as long as they come as before.

    Parameters
    ----------
    group : Group
    rows : numpy.ndarray or torch.Tensor, shape (probes, units)
        Where they go, as many as there is room for.
    form : Form

    Attributes
    ----------
    probes : int
        Of a batch.
    is_new_shape : bool
        Whether the shape of what is taken has changed since it was `noted`.
    """

    __slots__ = (
        "_batch", "_copied", "_dtype", "_form", "_group", "_into", "_kind", "_origin", "_rows",
        "_shape", "is_new_shape", "probes",
    )  # fmt: skip

    waits: ClassVar = False

    def __init__(self, group: Group, rows: Any, form: Form) -> None:
        self._group = group
        self._rows = rows
        self._form = form
        self._kind = type(rows)
        self._dtype = form.dtype
        self._copied = _copied_array if isinstance(rows, np.ndarray) else _copier_of_tensors()
        self._origin: Origin | None = None
        self._batch = -1
        self._shape: tuple[int, ...] = ()
        self._fits(form.shape)
        self.is_new_shape = False

    @property
    def taken(self) -> bool:
        """Whether a response was taken in the batch at hand."""
        return self._batch == self._group.batch

    def take(self, value: Any, origin: Origin) -> bool:
        """Copy a response, if it is as before and the first of its batch; otherwise do nothing."""
        group = self._group
        if (
            type(value) is not self._kind
            or value.dtype != self._dtype
            or self._batch == group.batch
            or not (origin is self._origin or origin.tells_only_units)
            or (value.shape != self._shape and not self._fits(tuple(value.shape)))
            or self.probes != (group.probes or self.probes)
            or not self._copied(self._into, value)
        ):
            return False
        self._batch, self._origin = group.batch, origin
        group.probes = self.probes
        group.taken += 1
        return True

    def give_back(self) -> Taken | None:
        """What was taken in the batch at hand, which then was not."""
        if self._origin is None or not self.taken:
            return None
        self._batch = -1
        self._group.taken -= 1
        return Taken(np.asarray(self._into).copy(), self._origin)

    def noted(self) -> tuple[str, tuple[int, ...]]:
        """The dtype and shape of one input's response, which are not new any more."""
        self.is_new_shape = False
        return dtype_name(self._dtype), self._shape[1:]

    def _fits(self, shape: tuple[int, ...]) -> bool:
        """Whether responses of a shape can be taken, and go where the next does."""
        probes = self._form.probes(shape)
        if not 0 < probes <= len(self._rows):
            return False
        self.probes, self._shape, self.is_new_shape = probes, shape, True
        with plain_torch():
            self._into = self._form.view(self._rows[:probes], shape)
        return True


def _plain_array(value: Any) -> bool:
    return type(value) is np.ndarray and value.dtype.isnative


def _plain_tensor(value: Any) -> bool:
    """Whether a tensor is on the host, and can be copied as an array can."""
    import torch

    return type(value) is torch.Tensor and value.is_cpu and value.layout is torch.strided


def _copied_array(into: np.ndarray, value: np.ndarray) -> bool:
    into[...] = value
    return True


def _copier_of_tensors() -> Callable[[Any, Any], bool]:
    import torch

    strided, records = torch.strided, torch.is_grad_enabled

    def copied(into: torch.Tensor, value: torch.Tensor) -> bool:
        """Copy a tensor, unless it is elsewhere, of another layout, or this would be recorded."""
        if not value.is_cpu or value.layout is not strided or (value.requires_grad and records()):
            return False
        into.copy_(value)
        return True

    return copied
