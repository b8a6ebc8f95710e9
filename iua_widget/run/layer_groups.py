"""The groups of a run: layers whose responses come as before, counted together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final

from iua_widget.memory.budget import LayerBatch, MemoryBudget
from iua_widget.run.device_layer_group import DeviceLayerGroup
from iua_widget.run.device_slots import DeviceForm
from iua_widget.run.group import AnySlot, Taken
from iua_widget.run.layer_group import LayerGroup
from iua_widget.run.response_form import ResponseForm
from iua_widget.tally.store import HostStore
from iua_widget.tally.tally import Tally

_MOST_TOGETHER: Final = 2**24
"""Responses of a batch of a group at the most."""


class LayerGroups:
    """The layers of a run whose responses come as before, in groups that are counted together.

    To see to each layer by itself takes longer than to count it, where it is small. One whose
    response comes otherwise, or does not come, is counted by itself until groups are formed anew.

    Attributes
    ----------
    slots : dict of str to AnySlot
        Those that take responses.
    """

    def __init__(self) -> None:
        self._groups: list[LayerGroup | DeviceLayerGroup] = []
        self.slots: dict[str, AnySlot] = {}
        self._counted = self._batches = 0
        self._form_at = 2
        self._fitted: tuple[int, int | None] = 0, None

    @property
    def nbytes(self) -> int:
        """What a batch of all groups takes until it is counted, at the most."""
        return sum(group.nbytes for group in self._groups)

    @property
    def taken(self) -> int:
        """Of how many layers a response was taken in the batch at hand."""
        return sum(group.taken for group in self._groups)

    def has(self, layer: str) -> bool:
        """Whether a response of a layer was taken in the batch at hand."""
        slot = self.slots.get(layer)
        return slot is not None and slot.taken

    def give_back(self, layer: str) -> Taken | None:
        """Take no more of a layer in the batch at hand; what was taken of it."""
        slot = self.slots.get(layer)
        if slot is None:
            return None
        if not slot.waits:
            del self.slots[layer]
        return slot.give_back()

    def begin_batch(self) -> None:
        """Forget what was taken of the batch at hand."""
        for group in self._groups:
            group.begin_batch()

    def classify(self) -> None:
        """Classify what was taken, and count nothing yet."""
        for group in self._groups:
            group.classify()

    def drop_untaken(self) -> None:
        """Have layers of which nothing was taken be counted by themselves."""
        for group in self._groups:
            for layer in group.untaken:
                self._leave(group, layer)

    def drop(self, layer: str) -> None:
        """Have a layer be counted by itself, if nothing was taken of it."""
        for group in self._groups:
            if layer in group.slots:
                self._leave(group, layer)

    def fits_as_before(self, total: int | None) -> bool:
        """Whether the memory that is needed cannot have changed since it was planned.

        It is what all that is kept of a layer takes once its probes have doubled.
        """
        until, total_then = self._fitted
        return bool(self._groups) and self._counted < until and total == total_then

    def make_room(self, budget: MemoryBudget, total: int | None) -> dict[str, Taken]:
        """Where memory may become short, have layers on the host be counted by themselves.

        They can be moved out while it is not, and what is planned for each of them then holds.

        Returns
        -------
        dict of str to Taken
            What was taken of them.
        """
        if budget.has_room(self._room, grows=total is None):
            return {}
        groups = [group for group in self._groups if isinstance(group, LayerGroup)]
        return self._taken_out((group, layer) for group in groups for layer in list(group.slots))

    def layer_batches(self) -> dict[str, LayerBatch]:
        """What was taken of each layer, for the budget."""
        batches: dict[str, LayerBatch] = {}
        for group in self._groups:
            batches |= group.layer_batches()
        return batches

    def drop_thinned(self, total: int | None) -> dict[str, Taken]:
        """Take note that memory was planned, and that stops were given up for it.

        Returns
        -------
        dict of str to Taken
            What was taken of layers that now are to be counted by themselves.
        """
        given_back = self._taken_out(
            (group, layer) for group in self._groups for layer in group.thinned
        )
        batches = min((group.batches_to_double for group in self._groups), default=0)
        self._fitted = self._counted + batches, total
        return given_back

    def reserve(self) -> None:
        """Make room for what was taken, so that `count` needs no more memory."""
        for group in self._groups:
            group.reserve()

    def count(self, number: int) -> None:
        """Count what was taken, as the batch of this number."""
        for group in self._groups:
            group.count(number)
        self._counted += 1

    def group_layers(
        self,
        layers: Mapping[str, tuple[Tally, ResponseForm | DeviceForm]],
        budget: MemoryBudget,
        total: int | None,
    ) -> None:
        """Group layers that were counted by themselves, where there is memory for it.

        It is done less and less often, since it takes as long as to count some batches.
        """
        self._batches += 1
        if self._batches < self._form_at:
            return
        self._form_at *= 2
        groups: defaultdict[Any, dict[str, tuple[Tally, ResponseForm]]] = defaultdict(dict)
        responses: defaultdict[Any, int] = defaultdict(int)
        on_device: dict[str, tuple[Tally, DeviceForm]] = {}
        for layer, (tally, form) in layers.items():
            if isinstance(form, DeviceForm):
                on_device[layer] = tally, form
                continue
            probes = form.probes(form.shape)
            kind = form.dtype, probes
            responses[kind] += probes * tally.units
            can = isinstance(tally.store, HostStore) and not tally.thinned
            if can and responses[kind] <= _MOST_TOGETHER:
                groups[kind][layer] = tally, form
        for group in groups.values():
            room = sum(LayerGroup.room_for(*layer) for layer in group.values())
            if budget.has_room(room + self._room, grows=total is None):
                self._add(LayerGroup(group))
        for formed in DeviceLayerGroup.of(on_device, budget) if on_device else ():
            self._add(formed)

    def rest(self) -> None:
        """Keep the groups for another run, which may count as much with what was planned."""
        batches = min((group.batches_counted for group in self._groups), default=0)
        self._fitted = batches if self._fitted[0] else 0, self._fitted[1]
        self._counted = 0

    def begin_anew(self) -> None:
        """Begin another run, once its tallies were cleared."""
        for group in self._groups:
            group.begin_anew()

    def dissolve(self) -> None:
        """Have all layers be counted by themselves."""
        for group in self._groups:
            for layer in list(group.slots):
                self._leave(group, layer)

    @property
    def _room(self) -> int:
        """What there must be room for, as long as there are these groups."""
        return sum(group.room for group in self._groups if isinstance(group, LayerGroup))

    def _taken_out(
        self, layers: Iterable[tuple[LayerGroup | DeviceLayerGroup, str]]
    ) -> dict[str, Taken]:
        """What was taken of layers that are to be counted by themselves."""
        given_back = {}
        for group, layer in layers:
            response = self.give_back(layer)
            self._leave(group, layer)
            if response is not None:
                given_back[layer] = response
        return given_back

    def _add(self, group: LayerGroup | DeviceLayerGroup) -> None:
        self._groups.append(group)
        self.slots |= group.slots
        self._fitted = 0, None

    def _leave(self, group: LayerGroup | DeviceLayerGroup, layer: str) -> None:
        self.slots.pop(layer, None)
        group.leave(layer)
        self._groups = [one for one in self._groups if one.slots]
        self._fitted = 0, None
