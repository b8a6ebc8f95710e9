"""Slots: each copies a layer's response to its place in a group, if it is as those before."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from iua_widget.common.cell_context import plain_torch
from iua_widget.common.tensors import dtype_name
from iua_widget.run.group import AnySlot, Group
from iua_widget.run.response_form import ResponseForm
from iua_widget.units.rule import Origin

if TYPE_CHECKING:
    import torch


class Slot(AnySlot):
    """Where the responses of one layer go, as long as they come as before.

    Parameters
    ----------
    group : Group
    rows : numpy.ndarray or torch.Tensor, shape (probes, units)
        Where they go, as many as there is room for.
    form : ResponseForm

    Attributes
    ----------
    probes : int
        Of a batch.
    is_new_shape : bool
        Whether the shape of what is taken has changed since it was `noted`.
    """

    __slots__ = (
        "_copied", "_dtype", "_form", "_into", "_kind", "_rows", "_shape", "is_new_shape", "probes",
    )  # fmt: skip

    def __init__(self, group: Group[Any], rows: Any, form: ResponseForm) -> None:
        super().__init__(group)
        self._rows = rows
        self._form = form
        self._kind = type(rows)
        self._dtype = form.dtype
        self._copied = _copied_array if isinstance(rows, np.ndarray) else _copier_of_tensors()
        self._shape: tuple[int, ...] = ()
        self._fits(form.shape)
        self.is_new_shape = False

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

    def noted(self) -> tuple[str, tuple[int, ...]]:
        """The dtype and shape of one input's response, which are not new any more."""
        self.is_new_shape = False
        return dtype_name(self._dtype), self._shape[1:]

    def _response(self) -> np.ndarray:
        return np.asarray(self._into).copy()

    def _fits(self, shape: tuple[int, ...]) -> bool:
        """Whether responses of a shape can be taken, and go where the next does."""
        probes = self._form.probes(shape)
        if not 0 < probes <= len(self._rows):
            return False
        self.probes, self._shape, self.is_new_shape = probes, shape, True
        with plain_torch():
            self._into = self._form.view(self._rows[:probes], shape)
        return True


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
