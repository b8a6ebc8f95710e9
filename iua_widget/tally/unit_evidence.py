"""Evidence of why units are dead or stuck: their extremes, and those of what they are given."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from iua_widget.common.tensors import is_complex, is_tensor
from iua_widget.units.activation import Activation

if TYPE_CHECKING:
    import torch


@dataclass(slots=True)
class UnitEvidence:
    """The extremes of each unit's responses and pre-activations; None for what none has come of.

    Attributes
    ----------
    highest, lowest : numpy.ndarray of float64, shape (units,), or None
        The largest and the smallest finite response, with their signs; -inf and inf where none was.
    at_lower, at_upper : numpy.ndarray of int64, shape (units,), or None
        Finite responses at the bounds of the activation.
    pre_highest, pre_lowest : numpy.ndarray of float64, shape (units,), or None
        The largest and the smallest finite pre-activation, likewise.
    pre_sum : numpy.ndarray of float64, shape (units,), or None
        Sum of the finite pre-activations.
    pre_finite : numpy.ndarray of int64, shape (units,), or None
        How many were finite.
    weight_max, bias, gain, shift, at_zero : numpy.ndarray of float64, shape (units,), or None
        Of the module before: see `iua_widget.units.parameters.Parameters`.
    """

    highest: np.ndarray | None = None
    lowest: np.ndarray | None = None
    at_lower: np.ndarray | None = None
    at_upper: np.ndarray | None = None
    pre_highest: np.ndarray | None = None
    pre_lowest: np.ndarray | None = None
    pre_sum: np.ndarray | None = None
    pre_finite: np.ndarray | None = None
    weight_max: np.ndarray | None = None
    bias: np.ndarray | None = None
    gain: np.ndarray | None = None
    shift: np.ndarray | None = None
    at_zero: np.ndarray | None = None

    @property
    def nbytes(self) -> int:
        """What it takes."""
        arrays = (getattr(self, field.name) for field in fields(self))
        return sum(array.nbytes for array in arrays if array is not None)


@dataclass(frozen=True, slots=True)
class BatchEvidence:
    """What a batch of a layer tells, where the batch lies: on the host or on a device.

    Attributes
    ----------
    responses : numpy.ndarray or torch.Tensor of float64, shape (4, units)
        ``highest``, ``lowest``, ``at_lower`` and ``at_upper`` of a `UnitEvidence`.
    before : numpy.ndarray or torch.Tensor of float64, shape (4, units), or None
        ``pre_highest``, ``pre_lowest``, ``pre_sum`` and ``pre_finite``.
    entries : int
        Responses of each unit.
    """

    responses: np.ndarray | torch.Tensor
    before: np.ndarray | torch.Tensor | None
    entries: int

    @classmethod
    def of(cls, rows: Any, before: Any, activation: Activation | None) -> Self | None:
        """That of a batch.

        Parameters
        ----------
        rows : numpy.ndarray or torch.Tensor, shape (rows, units)
            Its responses.
        before : numpy.ndarray or torch.Tensor, shape (rows, units), or None
            Their pre-activations.
        activation : Activation, optional

        Returns
        -------
        BatchEvidence or None
            None of complex responses, which have no order.
        """
        if is_complex(rows):
            return None
        activation = activation or Activation()
        responses = _of_rows(rows, activation.lower, activation.upper)
        return cls(responses, None if before is None else _of_inputs(before), len(rows))

    @property
    def nbytes(self) -> int:
        """What it takes."""
        return self.responses.nbytes + (0 if self.before is None else self.before.nbytes)

    def read(self) -> UnitEvidence:
        """The same on the host, which waits for a device."""
        highest, lowest, at_lower, at_upper = _on_host(self.responses)
        found = UnitEvidence(highest, lowest, at_lower.astype(np.int64), at_upper.astype(np.int64))
        if self.before is not None:
            found.pre_highest, found.pre_lowest, found.pre_sum, finite = _on_host(self.before)
            found.pre_finite = finite.astype(np.int64)
        return found


def _on_host(found: Any) -> np.ndarray:
    return np.array(found.cpu().numpy() if is_tensor(found) else found)


def _of_rows(rows: Any, lower: float | None, upper: float | None) -> Any:
    high, low, finite = _extremes(rows)
    units = rows.shape[1]
    below = above = 0
    if lower is not None:
        below = ((rows <= lower) if finite is None else (rows <= lower) & finite).sum(0)
    if upper is not None:
        above = ((rows >= upper) if finite is None else (rows >= upper) & finite).sum(0)
    return _stacked(rows, [high, low, below, above], units)


def _of_inputs(rows: Any) -> Any:
    high, low, finite = _extremes(rows)
    units = rows.shape[1]
    if finite is None:
        total, count = _total(rows), len(rows)
    else:
        total, count = _total(_where(finite, rows, 0.0)), finite.sum(0)
    return _stacked(rows, [high, low, total, count], units)


def _extremes(rows: Any) -> tuple[Any, Any, Any]:
    """The largest and the smallest finite entry of each column, and which are, if not all are."""
    if not len(rows):
        return -np.inf, np.inf, None
    if isinstance(rows, np.ndarray):
        high, low = rows.max(axis=0), rows.min(axis=0)
        if np.isfinite(high).all() and np.isfinite(low).all():
            return high, low, None
        finite = np.isfinite(rows)
    else:
        finite = rows.isfinite()  # to ask whether all are would wait for the device
    return (
        _largest(_where(finite, rows, -np.inf)),
        -_largest(_where(finite, -rows, -np.inf)),
        finite,
    )


def _largest(rows: Any) -> Any:
    return rows.max(axis=0) if isinstance(rows, np.ndarray) else rows.amax(dim=0)


def _total(rows: Any) -> Any:
    if isinstance(rows, np.ndarray):
        return rows.sum(axis=0, dtype=np.float64)
    import torch

    return rows.sum(dim=0, dtype=torch.float64)


def _where(finite: Any, rows: Any, other: float) -> Any:
    if isinstance(rows, np.ndarray):
        return np.where(finite, rows, rows.dtype.type(other))
    return rows.masked_fill(~finite, other)


def _stacked(rows: Any, found: list[Any], units: int) -> Any:
    """Numbers a unit, or one for all, as rows of float64."""
    if isinstance(rows, np.ndarray):
        return np.stack([np.broadcast_to(np.asarray(one, np.float64), units) for one in found])
    import torch

    stacked = torch.empty((len(found), units), dtype=torch.float64, device=rows.device)
    for row, one in zip(stacked, found, strict=True):
        row.copy_(one) if is_tensor(one) else row.fill_(one)
    return stacked
