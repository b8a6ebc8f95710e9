"""Layers of a run that are counted together on the host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from iua_widget.common.cell_context import plain_torch
from iua_widget.memory.budget import LayerBatch
from iua_widget.memory.plan import batch_bytes
from iua_widget.run.group import Group, Member
from iua_widget.run.response_form import ResponseForm
from iua_widget.run.slots import Slot
from iua_widget.tally.tally import Tally
from iua_widget.tally.together import LayersTogether

if TYPE_CHECKING:
    import torch

_MOVED: Final = 3
"""Counters of a group, wider ones, and those of layers that have left it, of what it holds now."""


class LayerGroup(Group[Slot]):
    """Layers of a run that are counted together.

    Parameters
    ----------
    layers : mapping of str to (Tally, ResponseForm)
        Of responses of one dtype, with as many probes a batch.
    """

    def __init__(self, layers: Mapping[str, tuple[Tally, ResponseForm]]) -> None:
        form = next(form for _, form in layers.values())
        probes, dtype = form.probes(form.shape), form.array_dtype
        self._itemsize = dtype.itemsize
        self._together = LayersTogether([tally for tally, _ in layers.values()], dtype, probes)
        members = {
            layer: Member(tally, place, probes, self._bytes(tally, probes))
            for place, (layer, (tally, _)) in enumerate(layers.items())
        }
        super().__init__(members, self._together)
        responses: Any = self._together.responses
        with plain_torch():
            rows = responses if form.is_of_arrays else _as_tensor(responses)
            self.slots = {
                layer: Slot(self, rows[:, self._together.units_of(members[layer].place)], form)
                for layer, (_, form) in layers.items()
            }

    @property
    def room(self) -> int:
        """What is held besides while layers are moved out, or their counters are widened."""
        return _MOVED * self._together.nbytes

    @property
    def thinned(self) -> list[str]:
        """Layers whose units are no longer counted at all stops."""
        return [layer for layer, member in self.members.items() if member.tally.thinned]

    def begin_anew(self) -> None:
        """Begin with nothing, once the tallies were cleared."""
        self.begin_batch()
        self._together.forget_non_finite()
        for slot in self.slots.values():
            slot.is_new_shape = True

    def classify(self) -> None:
        """Classify what was taken, and count nothing yet."""
        if self.taken:
            self._together.classify(self.probes)

    def layer_batches(self) -> dict[str, LayerBatch]:
        """What was taken of each layer, for the budget."""
        return {
            layer: LayerBatch(one.tally, self.probes, self._bytes(one.tally, self.probes))
            for layer, one in self.members.items()
        }

    def reserve(self) -> None:
        """Make room for the batch, so that `count` needs no more memory."""
        if self.taken:
            self._together.reserve(self.probes)

    def count(self, number: int) -> None:
        """Count the batch that was classified, as that of this number."""
        if not self.taken:
            return
        self._together.count(number)
        for layer, slot in self.slots.items():
            if slot.is_new_shape:
                self.members[layer].tally.note_dtype_and_shape(*slot.noted())

    @staticmethod
    def room_for(tally: Tally, form: ResponseForm) -> int:
        """What there must be room for when a layer is to be counted together with others."""
        responses = form.probes(form.shape) * tally.units * form.array_dtype.itemsize
        return _MOVED * (tally.nbytes + responses)

    def _bytes(self, tally: Tally, probes: int) -> int:
        classified = batch_bytes(probes, tally.units, len(tally.stops))
        return classified + probes * tally.units * self._itemsize


def _as_tensor(array: np.ndarray) -> torch.Tensor:
    """A tensor over an array's memory, to be written to in any mode."""
    import torch

    with torch.inference_mode(mode=False):
        return torch.from_numpy(array)
