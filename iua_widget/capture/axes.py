"""Finds the channel axis of a response, and whether its positions come before its items."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import torch

_CHANNELS_LAST: Final = {
    "linear", "matmul", "mm", "bmm", "addmm", "baddbmm", "einsum", "bilinear", "embedding",
    "layer_norm", "rms_norm", "lstm", "gru", "rnn_tanh", "rnn_relu", "grouped_mm",
}  # fmt: skip
_CHANNELS_SECOND: Final = {
    "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
    "batch_norm", "instance_norm", "group_norm",
}  # fmt: skip


class Axes:
    """What the functions of a pass have shown of the axes of its responses.

    Parameters
    ----------
    mask_shapes : iterable of tuple of int
        Items and positions of the masks, to tell which axis is which.

    Attributes
    ----------
    positions_first : bool or None
        Whether positions came before items in the latest result whose shape told.
    """

    def __init__(self, mask_shapes: Iterable[tuple[int, ...]]) -> None:
        oblong = {shape for shape in mask_shapes if shape[0] != shape[1]}
        self._orders = {shape[::-1]: True for shape in oblong} | dict.fromkeys(oblong, False)
        self._last_channels: tuple[int, int] | None = None
        self.positions_first: bool | None = None

    def note_result(self, function: str, result: Any) -> None:
        """Note the result of a function, by its name as `function_name` gives it."""
        if self._orders and isinstance(result, torch.Tensor) and result.ndim == 3:  # noqa: PLR2004
            shape = tuple(result.shape[:2])
            self.positions_first = self._orders.get(shape, self.positions_first)
        axis = -1 if function in _CHANNELS_LAST else 1 if function in _CHANNELS_SECOND else None
        if axis is None:
            return
        output = result[0] if isinstance(result, tuple) and result else result
        if isinstance(output, torch.Tensor) and output.ndim > 1:
            self._last_channels = (axis, output.shape[axis])

    def channel_axis(self, tensor: torch.Tensor) -> int | None:
        """The axis of the channels that the last convolution, linear layer or the like made."""
        if self._last_channels is None or tensor.ndim < 3:  # noqa: PLR2004
            return None
        axis, channels = self._last_channels
        if tensor.shape[axis] == channels:
            return axis % tensor.ndim
        same = [place for place in range(1, tensor.ndim) if tensor.shape[place] == channels]
        if len(same) == 1:
            return same[0]
        part = tensor.shape[axis] and channels % tensor.shape[axis] == 0  # half of it, in a gate
        return axis % tensor.ndim if part else None
