"""Laying padding masks on responses, whichever axis counts items and which positions."""

from __future__ import annotations

import numpy as np
import torch

from iua_widget.capture.captured_response import CapturedResponse
from iua_widget.common.words import named
from iua_widget.units.rule import Origin

_FLAT, _SEQUENCE = 2, 3


class MaskLayout:
    """Whether items or positions come first in a model's responses, as far as it is known.

    A batch of as many items as positions tells nothing; any other does, and so one of these is
    given to `learn` first where the mask would say something else the other way round.
    """

    def __init__(self) -> None:
        self._positions_first: dict[str, bool] = {}
        self._ambiguous: dict[str, None] = {}
        self._past_mask: dict[str, None] = {}
        self._stepwise: dict[str, None] = {}
        self._calls = 0

    def learn(self, captured: CapturedResponse, mask: np.ndarray | None) -> None:
        """Note which axis of a response counts items, where the mask's shape shows it."""
        if mask is None:
            return
        told = _told(captured, mask)
        if told is not None:
            self._positions_first[captured.name] = told

    def lay(
        self,
        captured: CapturedResponse,
        mask: np.ndarray | None,
        text_length: int | None,
        inputs: int,
        input_axis: int,
    ) -> tuple[torch.Tensor, Origin]:
        """Lay a mask on a response.

        Parameters
        ----------
        captured : CapturedResponse
        mask : numpy.ndarray of bool, shape (items, positions), or None
        text_length : int or None
            Positions of each item, where the batch is text.
        inputs : int
            Of the batch.
        input_axis : int
            Which axis of the model's own input counts them.

        Returns
        -------
        torch.Tensor
            Items first.
        Origin
            With the mask in the order of the response's positions.
        """
        tensor, channel_axis = captured.tensor, captured.channel_axis
        later_axis = input_axis == 1
        before, parameters = captured.before, captured.parameters
        if captured.load is not None:  # which comes without a row
            mask = None
        if mask is not None:
            self.learn(captured, mask)
            positions_first = self._positions_first.get(captured.name)
            if positions_first is None and _fits_both_ways(captured, mask):
                self._ambiguous[captured.name] = None
            later_axis = bool(positions_first) and tensor.ndim != _SEQUENCE
            if positions_first and tensor.ndim == _SEQUENCE:
                tensor = tensor.transpose(0, 1)
                before = None if before is None else before.transpose(0, 1)
                last = parameters is not None and parameters.axis == _SEQUENCE - 1
                parameters = parameters if last else None
                channel_axis = channel_axis if channel_axis == _SEQUENCE - 1 else None
            elif positions_first:
                mask = mask.T
            mask = self._of_call(captured, tensor, mask)
        return tensor, Origin(
            kind=captured.layer.typename,
            traced=captured.sequence,
            channel_axis=channel_axis,
            mask=mask,
            tokens=captured.tokens is not None,
            length=text_length,
            merged_calls=captured.merged,
            many_passes=captured.number > 0,
            load=captured.load,
            inputs=inputs,
            positions_first=later_axis,
            before=before,
            activation=captured.activation,
            parameters=parameters,
            routed=captured.routed or captured.tokens is not None,
        )

    def real(
        self,
        mask: np.ndarray | None,
        layer: str,
        tokens: int,
        *,
        positions_first: bool | None,
        number: int,
    ) -> np.ndarray | None:
        """Which tokens of a pass are not padding.

        Parameters
        ----------
        mask : numpy.ndarray of bool, shape (items, positions), or None
        layer : str
        tokens : int
            How many there are.
        positions_first, number
            As of a `CapturedResponse`.

        Returns
        -------
        numpy.ndarray of bool, shape (tokens,), or None
            None where there is no mask, or it does not tell of these.
        """
        if mask is None:
            return None
        if positions_first is not None and len(mask) != mask.shape[1]:
            self._positions_first[layer] = positions_first
        laid = mask.T if self._positions_first.get(layer) else mask
        known = self._of_later_pass(None, tokens / len(laid), laid, number) if number else laid
        return known.ravel() if known is not None and known.size == tokens else None

    def _of_call(
        self, captured: CapturedResponse, tensor: torch.Tensor, mask: np.ndarray
    ) -> np.ndarray | None:
        """The mask of the tokens that the layer was given in this call."""
        tokens, known = captured.tokens, mask
        if captured.merged and tensor.ndim == _FLAT and len(tensor) == len(mask) != mask.sum():
            self._stepwise[captured.name] = None
        if captured.number and tensor.ndim <= _SEQUENCE:
            rows = len(tensor) if tokens is None else tokens.total
            positions = tensor.shape[1] if tensor.ndim == _SEQUENCE else rows / len(mask)
            later = self._of_later_pass(captured.name, positions, mask, captured.number)
            if later is None:
                return None
            known = later
        if tokens is not None and known.size == tokens.total:
            known = known.ravel()[tokens.index.cpu().numpy()]
        return known

    def _of_later_pass(
        self, layer: str | None, positions: float, mask: np.ndarray, number: int
    ) -> np.ndarray | None:
        """The mask in a later pass, with the positions that `model.generate` has added."""
        known = mask.shape[1]
        if positions == known or positions % 1:
            return mask
        self._calls = max(self._calls, number + 1)
        if layer is not None:
            self._past_mask[layer] = None
        if positions < known:
            return None
        return np.pad(mask, ((0, 0), (0, int(positions) - known)), constant_values=True)

    @property
    def notes(self) -> list[str]:
        """Notes for whoever reads the counts."""
        notes = []
        if self._ambiguous:
            notes.append(
                f"In a batch of as many items as positions the padding mask fits "
                f"{named(list(self._ambiguous))} both ways, and it could not be told which axis "
                "counts the items: it was taken for the first. Batches of another size tell."
            )
        if self._stepwise:
            notes.append(
                f"The padding mask is not laid on {named(list(self._stepwise))}, of which each "
                "call gives one response an item: steps that are padding are counted, too."
            )
        if self._past_mask:
            notes.append(
                f"The model was called up to {self._calls} times a batch, as model.generate calls "
                "it. The batch's padding mask tells of the positions of the 1st call; those new in "
                f"calls 2 to {self._calls} all count in {named(list(self._past_mask))}, also after "
                "a text has ended."
            )
        return notes


def _told(captured: CapturedResponse, mask: np.ndarray) -> bool | None:
    """Whether positions come first in a response; None where its shape does not show it."""
    items, positions = mask.shape
    if items == positions:
        return None
    if captured.tensor.ndim == _SEQUENCE:
        first_two = tuple(captured.tensor.shape[:2])
        return first_two == (positions, items) if set(first_two) == {items, positions} else None
    return captured.positions_first if _of_all_positions(captured, mask) else None


def _of_all_positions(captured: CapturedResponse, mask: np.ndarray) -> bool:
    rows = captured.tensor.ndim == _FLAT and len(captured.tensor) == mask.size
    return rows or captured.tokens is not None


def _fits_both_ways(captured: CapturedResponse, mask: np.ndarray) -> bool:
    if len(mask) != mask.shape[1] or (mask == mask.T).all():
        return False
    sequence = captured.tensor.ndim == _SEQUENCE and captured.tensor.shape[:2] == mask.shape
    return sequence or _of_all_positions(captured, mask)
