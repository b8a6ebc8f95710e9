"""Rows of tokens: those that a module is given, and where they stand in another tensor."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import torch

_SEQUENCE: Final = 3


def rows_of(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> torch.Tensor | None:
    """A module's input, one row a token: a position of a sequence, or an item."""
    tensors = (one for one in (*args, *kwargs.values()) if isinstance(one, torch.Tensor))
    first = next((one for one in tensors if one.is_floating_point()), None)
    if first is None or not first.ndim:
        return None
    if first.ndim > _SEQUENCE:
        return first.flatten(1)
    return first.reshape(math.prod(first.shape[:-1]), first.shape[-1])


def places_among(
    rows: torch.Tensor, among: torch.Tensor, real: np.ndarray | None = None
) -> torch.Tensor | None:
    """Which of other rows these are, bit for bit; None if one is not among them.

    Parameters
    ----------
    rows, among : torch.Tensor, shape (..., channels)
    real : numpy.ndarray of bool, optional
        Which of the others are no padding. Where only some of those are there that are equal, and
        these differ in this, it is None as well.

    Returns
    -------
    torch.Tensor of int64, shape (rows,)
        Equal rows in order.

    Examples
    --------
    >>> among = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    >>> places_among(among[[2, 0, 0]], among)
    tensor([2, 0, 0])
    """
    if rows.shape[1:] != among.shape[1:] or rows.dtype != among.dtype or not len(among):
        return None
    keys, order = _keys(among).sort(stable=True)
    found, back = _keys(rows).sort(stable=True)
    # Equal rows one by one: where all that are equal are there, so are those that are no padding.
    first = torch.searchsorted(keys, found)
    many = torch.searchsorted(keys, found, right=True) - first
    ours = torch.searchsorted(found, found)
    rank = torch.arange(len(found), device=found.device) - ours
    place = order[(first + torch.minimum(rank, (many - 1).clamp(min=0))).clamp(max=len(keys) - 1)]
    label = on_device(real, keys.device)
    if label is not None:
        fewer = torch.searchsorted(found, found, right=True) - ours != many
        labels = torch.cat([label.new_zeros(1).long(), label[order].long().cumsum(0)])
        kept = labels[(first + many).clamp(max=len(keys))] - labels[first]
        if bool((fewer & (kept > 0) & (kept < many)).any()):
            return None
    places = torch.empty_like(place)
    places[back] = place
    return places if torch.equal(rows, among[places]) else None


def _keys(rows: torch.Tensor) -> torch.Tensor:
    """A hash of each row that no order of summation changes: int64."""
    width = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[rows.element_size()]
    draw = np.random.default_rng(0).integers(-(2**62), 2**62, rows.shape[-1])
    odd = torch.from_numpy(draw * 2 + 1).to(rows.device)
    return (rows.contiguous().view(width).long() * odd).sum(dim=-1)


def count_rows(hidden: torch.Tensor) -> int:
    """The number of tokens of hidden states; -1 if they have no axis of tokens."""
    return math.prod(hidden.shape[:-1]) if hidden.ndim > 1 else -1


def on_device(real: np.ndarray | None, device: torch.device) -> torch.Tensor | None:
    """Which tokens are not padding, as a tensor on a device."""
    return None if real is None else torch.from_numpy(np.ascontiguousarray(real)).to(device)
