"""Padding masks laid on responses the way the model has its axes, call by call."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from iua_widget.capture.watch import Capture
from iua_widget.common.words import named

_FLAT, _SEQUENCE = 2, 3


class Laid(NamedTuple):
    """A response with its mask.

    Attributes
    ----------
    tensor : torch.Tensor
        Items first.
    channel_axis : int or None
    mask : numpy.ndarray of bool or None
        In the order of the response's positions.
    """

    tensor: torch.Tensor
    channel_axis: int | None
    mask: np.ndarray | None


class MaskLayout:
    """What is known of how a model's responses lie: items first, or positions.

    A batch of as many items as positions tells nothing; any other does, and so one of these is
    given to `learn` first where the mask would say something else the other way round.
    """

    def __init__(self) -> None:
        self._turned: dict[str, bool] = {}
        self._untold: dict[str, None] = {}
        self._beyond: dict[str, None] = {}
        self._stepwise: dict[str, None] = {}
        self._calls = 0

    def learn(self, capture: Capture, mask: np.ndarray | None) -> None:
        """Note how a response lies, where its shape beside the mask's tells."""
        if mask is None:
            return
        told = _told(capture, mask)
        if told is not None:
            self._turned[capture.name] = told

    def lay(self, capture: Capture, mask: np.ndarray | None) -> Laid:
        """Lay a mask of shape (items, positions) on a response."""
        tensor, channel_axis = capture.tensor, capture.channel_axis
        if mask is None or capture.load is not None:  # which comes without a row
            return Laid(tensor, channel_axis, None)
        self.learn(capture, mask)
        turned = self._turned.get(capture.name)
        if turned is None and _fits_both_ways(capture, mask):
            self._untold[capture.name] = None
        if turned and tensor.ndim == _SEQUENCE:
            tensor = tensor.transpose(0, 1)
            channel_axis = channel_axis if channel_axis == _SEQUENCE - 1 else None
        elif turned:
            mask = mask.T
        if capture.merged and tensor.ndim == _FLAT and len(tensor) == len(mask) != mask.sum():
            self._stepwise[capture.name] = None
        if capture.number:
            rows = len(tensor) if capture.tokens is None else capture.tokens.among
            positions = tensor.shape[1] if tensor.ndim == _SEQUENCE else rows / len(mask)
            if tensor.ndim <= _SEQUENCE:
                mask = self._of_later_call(capture.name, positions, mask, capture.number)
        if mask is not None and capture.tokens is not None and mask.size == capture.tokens.among:
            mask = mask.ravel()[capture.tokens.index.cpu().numpy()]
        return Laid(tensor, channel_axis, mask)

    def real(
        self, mask: np.ndarray | None, layer: str, tokens: int, *, turned: bool | None, number: int
    ) -> np.ndarray | None:
        """Which tokens of a pass are no padding.

        Parameters
        ----------
        mask : numpy.ndarray of bool, shape (items, positions), or None
        layer : str
        tokens : int
            How many there are.
        turned, number
            As of a `Capture`.

        Returns
        -------
        numpy.ndarray of bool, shape (tokens,), or None
            None where there is no mask, or it does not tell of these.
        """
        if mask is None:
            return None
        if turned is not None and len(mask) != mask.shape[1]:
            self._turned[layer] = turned
        laid = mask.T if self._turned.get(layer) else mask
        known = self._of_later_call(None, tokens / len(laid), laid, number) if number else laid
        return known.ravel() if known is not None and known.size == tokens else None

    def _of_later_call(
        self, layer: str | None, positions: float, mask: np.ndarray, number: int
    ) -> np.ndarray | None:
        """The mask where more positions have come to the batch's, as `model.generate` adds them."""
        known = mask.shape[1]
        if positions == known or positions % 1:
            return mask
        self._calls = max(self._calls, number + 1)
        if layer is not None:
            self._beyond[layer] = None
        if positions < known:
            return None
        return np.pad(mask, ((0, 0), (0, int(positions) - known)), constant_values=True)

    @property
    def notes(self) -> list[str]:
        """What the reader of the figures should know."""
        notes = []
        if self._untold:
            notes.append(
                f"In a batch of as many items as positions the padding mask fits "
                f"{named(list(self._untold))} both ways, and it could not be told which axis "
                "counts the items: it was taken for the first. Batches of another size tell."
            )
        if self._stepwise:
            notes.append(
                f"The padding mask is not laid on {named(list(self._stepwise))}, of which each "
                "call gives one response an item: steps that are padding are counted, too."
            )
        if self._beyond:
            notes.append(
                f"The model was called up to {self._calls} times a batch, as model.generate calls "
                "it. The batch's padding mask tells of the positions of the 1st call; those new in "
                f"calls 2 to {self._calls} all count in {named(list(self._beyond))}, also after "
                "a text has ended."
            )
        return notes


def _told(capture: Capture, mask: np.ndarray) -> bool | None:
    """Whether positions come first in a response; None where its shape does not tell."""
    items, positions = mask.shape
    if items == positions:
        return None
    if capture.tensor.ndim == _SEQUENCE:
        first_two = tuple(capture.tensor.shape[:2])
        return first_two == (positions, items) if set(first_two) == {items, positions} else None
    return capture.turned if _of_all_positions(capture, mask) else None


def _of_all_positions(capture: Capture, mask: np.ndarray) -> bool:
    rows = capture.tensor.ndim == _FLAT and len(capture.tensor) == mask.size
    return rows or capture.tokens is not None


def _fits_both_ways(capture: Capture, mask: np.ndarray) -> bool:
    if len(mask) != mask.shape[1] or (mask == mask.T).all():
        return False
    sequence = capture.tensor.ndim == _SEQUENCE and capture.tensor.shape[:2] == mask.shape
    return sequence or _of_all_positions(capture, mask)
