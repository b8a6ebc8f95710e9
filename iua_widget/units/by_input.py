"""A response by the inputs that it answers, each with its positions, as top probes are found in."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from iua_widget.units.arrange import channels_last, fit_mask
from iua_widget.units.rule import Origin, UnitPlan

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class ResponseByInput:
    """A response whose first axis counts the inputs of a batch.

    Attributes
    ----------
    values : numpy.ndarray or torch.Tensor, shape (inputs, units, positions)
    positions : tuple of int
        The lengths of the axes of the positions; empty where units are entries, and have none.
    real : numpy.ndarray of bool, shape (inputs, positions), or None
        Which positions are no padding.
    at : int or None
        The one position that all of it is of, where it is known otherwise.
    """

    values: np.ndarray | torch.Tensor
    positions: tuple[int, ...] = ()
    real: np.ndarray | None = None
    at: int | None = None


def by_input(
    values: np.ndarray | torch.Tensor, plan: UnitPlan, origin: Origin, call: int = 0
) -> ResponseByInput | None:
    """A response by the inputs of its batch, a view where possible.

    Parameters
    ----------
    values : numpy.ndarray or torch.Tensor
    plan : UnitPlan
    origin : Origin
        Of which the mask is used, and what tells the inputs.
    call : int
        Which of the calls of a pass that are one layer it is of: the position, where entries are
        units. Positions in further passes, as `model.generate` makes them, are not told.

    Returns
    -------
    ResponseByInput or None
        None where it cannot be told which input a row answers: rows that an expert was given, or
        the windows that an image was cut into.

    Examples
    --------
    >>> from iua_widget.units.rule import UNKNOWN
    >>> maps = np.zeros((2, 3, 4, 5))
    >>> found = by_input(maps, UnitPlan("channel", 1), UNKNOWN)
    >>> found.values.shape, found.positions
    ((2, 3, 20), (4, 5))
    """
    inputs = len(values) if origin.inputs is None else origin.inputs
    if origin.tokens:
        return None
    if plan.choice == "element" or plan.channel_axis is None:
        entries = values.reshape(len(values), math.prod(values.shape[1:]), 1)
        at = call if origin.merged_calls else None
        return ResponseByInput(entries, at=at) if len(values) == inputs else None
    last = channels_last(values, plan.channel_axis)
    real, _ = fit_mask(origin.mask, tuple(last.shape[:-1]))
    if last.ndim == 2:  # noqa: PLR2004
        last, real = _rows(last, real, inputs, origin)
    axis = _axis_of_inputs(tuple(last.shape[:-1]), inputs, origin)
    if axis is None:
        return None
    if axis:
        last = _moved(last, axis, 0)
        real = None if real is None else np.moveaxis(real, axis, 0)
    positions = tuple(last.shape[1:-1])
    return ResponseByInput(
        _moved(last, -1, 1).reshape(len(last), last.shape[-1], math.prod(positions)),
        () if origin.many_passes else positions,
        None if real is None else real.reshape(len(last), math.prod(positions)),
    )


def _rows(
    rows: Any, real: np.ndarray | None, inputs: int, origin: Origin
) -> tuple[Any, np.ndarray | None]:
    """Rows of all positions of all inputs, or of one position each, with an axis of positions."""
    length = 1
    if len(rows) != inputs:
        length = real.size // max(inputs, 1) if real is not None else origin.length or 1
    if len(rows) != inputs * length:
        return rows[:, None], None if real is None else real[:, None]
    shape = (length, inputs) if origin.positions_first else (inputs, length)
    return rows.reshape(*shape, rows.shape[-1]), None if real is None else real.reshape(shape)


def _axis_of_inputs(lengths: tuple[int, ...], inputs: int, origin: Origin) -> int | None:
    """Which axis counts the inputs: the first, or the second where positions come before it."""
    first, second = lengths[:2]
    if origin.inputs is None:
        return 0
    if second == inputs and (origin.positions_first or first != inputs):
        return 1
    return 0 if first == inputs else None


def _moved(values: Any, axis: int, to: int) -> Any:
    if isinstance(values, np.ndarray):
        return np.moveaxis(values, axis, to)
    return values.movedim(axis, to)
