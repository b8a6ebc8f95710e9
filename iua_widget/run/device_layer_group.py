"""Layers of a run that are counted together on a device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Self

from iua_widget.memory.budget import LayerBatch, MemoryBudget
from iua_widget.run.device_slots import DeviceForm, DeviceSlot
from iua_widget.run.group import Group, Member
from iua_widget.tally.tally import Tally

if TYPE_CHECKING:
    import torch

    from iua_widget.tally.device_together import DeviceLayersTogether

_MOST_WAITING: Final = 2**26
"""Bytes of several batches that wait on a device; one may take more."""

_MOST_IDLE: Final = 4
"""Batches one after the other that are not as before."""


class DeviceLayerGroup(Group[DeviceSlot]):
    """Layers whose responses are classified as they come, and added together with others.

    Parameters
    ----------
    layers : mapping of str to (Tally, DeviceForm)
        All on one device.
    together : DeviceLayersTogether
        Of the same, in their order.
    """

    thinned: tuple[str, ...] = ()

    def __init__(
        self, layers: Mapping[str, tuple[Tally, DeviceForm]], together: DeviceLayersTogether
    ) -> None:
        members = {
            layer: Member(tally, place, form.blocks.probes, together.bytes_of(place))
            for place, (layer, (tally, form)) in enumerate(layers.items())
        }
        super().__init__(members, together)
        self._together = together
        self._idle = 0
        self.slots = {
            layer: DeviceSlot(self, together, members[layer].place, tally, form)
            for layer, (tally, form) in layers.items()
        }

    @classmethod
    def of(cls, layers: Mapping[str, tuple[Tally, DeviceForm]], budget: MemoryBudget) -> list[Self]:
        """Those of layers that can be counted together, where there is memory for it."""
        from iua_widget.tally.device_together import DeviceLayersTogether, slot_bytes

        by_device: dict[torch.device, dict[str, tuple[Tally, DeviceForm]]] = {}
        nbytes: dict[torch.device, int] = {}
        for layer, (tally, form) in layers.items():
            taken = slot_bytes(tally, form.blocks)
            if taken:
                by_device.setdefault(form.device, {})[layer] = tally, form
                nbytes[form.device] = nbytes.get(form.device, 0) + taken
        groups = []
        for device, group in by_device.items():
            several = nbytes[device] + 2 * _MOST_WAITING  # with what is kept of each probe
            waiting = _MOST_WAITING if budget.has_room(several) else 0
            if not waiting and not budget.has_room(nbytes[device]):
                continue
            tallies, forms = zip(*group.values(), strict=True)
            together = DeviceLayersTogether.of(tallies, [form.blocks for form in forms], waiting)
            if together is not None:
                groups.append(cls(group, together))
        return groups

    @property
    def untaken(self) -> list[str]:
        """Layers that must be counted by themselves from now on.

        Where nothing was taken of any layer, as of a last batch that is smaller, the next may be
        as before.
        """
        return super().untaken if self.taken or self._idle >= _MOST_IDLE else []

    def begin_anew(self) -> None:
        """Begin with nothing, once the tallies were cleared."""
        self.begin_batch()
        for slot in self.slots.values():
            slot.note_dtype_and_shape()

    def classify(self) -> None:
        """Nothing: each response was classified when it was taken."""

    def layer_batches(self) -> dict[str, LayerBatch]:
        """What was taken of each layer, for the budget."""
        return {
            layer: LayerBatch(one.tally, one.probes, one.nbytes, device=self._together.device)
            for layer, one in self.members.items()
        }

    def reserve(self) -> None:
        """Make room for the batch, so that `count` needs no more memory."""
        if self.taken:
            self._together.reserve()

    def count(self, number: int) -> None:
        """Count what was taken, as the batch of this number."""
        self._idle = 0 if self.taken else self._idle + 1
        if self.taken:
            self._together.count(number)
