"""Sums in the order that all engines share, on any device."""

from __future__ import annotations

import torch

from iua_widget.engines.engine import CHUNK


def padded_length(entries: int, lanes: int) -> int:
    """To how many entries zeros are appended before they are summed.

    Examples
    --------
    >>> [padded_length(entries, 4) for entries in (3, 512, 513)]
    [4, 512, 1024]
    """
    whole = lanes if entries <= CHUNK else CHUNK
    return -(-entries // whole) * whole


def ordered_sum(values: torch.Tensor, lanes: int) -> torch.Tensor:
    """Sum along the last axis but one, in the order laid down in `iua_widget.engines.engine`.

    No reduction of PyTorch's own is used: their order is not specified, and differs from device to
    device. These are additions of whole tensors, at most `CHUNK` / `lanes` and a few more.

    Parameters
    ----------
    values : torch.Tensor of float64, shape (..., entries, units)
        Zero or more; ideally already of `padded_length`.
    lanes : int

    Returns
    -------
    torch.Tensor of float64, shape (..., units)

    Examples
    --------
    >>> ordered_sum(torch.ones(3, 2, dtype=torch.float64), lanes=4)
    tensor([3., 3.], dtype=torch.float64)
    """
    *outer, entries, units = values.shape
    if not entries:
        return values.new_zeros((*outer, units))
    values = _with_zeros(values, padded_length(entries, lanes))
    chunks = -(-values.shape[-2] // CHUNK)
    steps = values.unflatten(-2, (chunks, -1, lanes))  # type: ignore[no-untyped-call]
    partial = steps[..., 0, :, :].clone()
    for step in range(1, steps.shape[-3]):
        partial += steps[..., step, :, :]
    sums = _folded(partial)
    return _folded(_with_zeros(sums, 1 << (chunks - 1).bit_length()))


def _folded(values: torch.Tensor) -> torch.Tensor:
    """Add the second half of the last axis but one to the first, until one is left."""
    while values.shape[-2] > 1:
        half = values.shape[-2] // 2
        values = values[..., :half, :] + values[..., half:, :]
    return values[..., 0, :]


def _with_zeros(values: torch.Tensor, entries: int) -> torch.Tensor:
    missing = entries - values.shape[-2]
    return torch.nn.functional.pad(values, (0, 0, 0, missing)) if missing else values
