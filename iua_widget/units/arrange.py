"""Responses arranged as they are counted: probes first, units last, without padding."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from iua_widget.units.masking import ON_HOST, Masking
from iua_widget.units.rule import UnitPlan

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class ArrangedResponse:
    """A response in the order in which it is counted.

    Attributes
    ----------
    values : numpy.ndarray or torch.Tensor, shape (probes, units) or (probes, positions, units)
        With positions, a unit is inactive on a probe where it is so at every one of them.
    unit_shape : tuple of int
        Of the units of one probe.
    masked : int
        Positions that the mask says are padding.
    zeroed : int
        Those of them that are still among the values, as zeros.
    fits_mask : bool
        False where there is a mask and it cannot belong to this response.
    """

    values: np.ndarray | torch.Tensor
    unit_shape: tuple[int, ...]
    masked: int = 0
    zeroed: int = 0
    fits_mask: bool = True


def arrange(
    values: np.ndarray | torch.Tensor,
    plan: UnitPlan,
    mask: np.ndarray | None = None,
    masking: Masking = ON_HOST,
) -> ArrangedResponse:
    """Arrange a response as it is counted, as a view where possible.

    Parameters
    ----------
    values : numpy.ndarray or torch.Tensor, shape (probes, ...)
    plan : UnitPlan
    mask : numpy.ndarray of bool, shape (probes, positions), optional
    masking : Masking
        For `values` of this sort.

    Returns
    -------
    ArrangedResponse

    Examples
    --------
    >>> tokens = np.arange(12.0).reshape(2, 3, 2)
    >>> mask = np.array([[True, True, False], [True, False, False]])
    >>> arranged = arrange(tokens, UnitPlan("token", 2), mask)
    >>> arranged.values.tolist(), arranged.masked
    ([[0.0, 1.0], [2.0, 3.0], [6.0, 7.0]], 3)
    """
    probes, unit_shape = len(values), tuple(values.shape[1:])
    if plan.choice == "element" or plan.channel_axis is None:
        flat = values.reshape(probes, math.prod(unit_shape))
        return ArrangedResponse(flat, unit_shape)
    channels = values.shape[plan.channel_axis]
    last = channels_last(values, plan.channel_axis)
    real, fits_mask = fit_mask(mask, tuple(last.shape[:-1]))
    if plan.choice == "token":
        rows = last.reshape(math.prod(last.shape[:-1]), channels)
        if real is not None:
            rows = masking.rows(rows, real)
        masked = 0 if real is None else int(real.size - real.sum())
        return ArrangedResponse(rows, (channels,), masked, fits_mask=fits_mask)
    positions = last.reshape(probes, math.prod(last.shape[1:-1]), channels)
    if not positions.shape[1]:  # no response at all, as where all are padding
        return ArrangedResponse(positions[:0], (channels,), fits_mask=fits_mask)
    if real is None or real.ndim == 1:
        return ArrangedResponse(positions, (channels,), fits_mask=fits_mask)
    # A zero makes no channel active and adds to no sum.
    kept = masking.items(positions, real)
    return ArrangedResponse(
        kept,
        (channels,),
        masked=int(real.size - real.sum()),
        zeroed=int(real[real.any(axis=1)].size - real.sum()),
    )


def channels_last(values: Any, axis: int) -> Any:
    """A view of an array or tensor with its channels on the last axis."""
    return (
        np.moveaxis(values, axis, -1)
        if isinstance(values, np.ndarray)
        else values.movedim(axis, -1)
    )


def fit_mask(mask: np.ndarray | None, positions: tuple[int, ...]) -> tuple[np.ndarray | None, bool]:
    """The mask in the shape of a response's positions, and whether it fits there."""
    if mask is None:
        return None, True
    if mask.shape == positions:
        return mask, True
    if positions == (mask.size,):
        return mask.ravel(), True
    pooled = len(positions) == 1 and positions[0] == len(mask)
    images = len(positions) > mask.ndim
    return None, pooled or images
