"""Layers of a run that are counted together on a device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Self

from iua_widget.common.tensors import dtype_name
from iua_widget.memory.budget import LayerBatch, MemoryBudget
from iua_widget.memory.plan import until_doubled
from iua_widget.run.device_slots import DeviceForm, DeviceSlot
from iua_widget.tally.tally import Tally

if TYPE_CHECKING:
    import torch

    from iua_widget.tally.device_together import DeviceLayersTogether

_MOST_WAITING: Final = 2**26
"""Bytes of several batches that wait on a device; one may take more."""

_MOST_IDLE: Final = 4
"""Batches one after the other that are not as before."""


class SteadyDeviceLayers:
    """Layers whose responses are classified as they come, and added together with others.

    Parameters
    ----------
    layers : mapping of str to (Tally, DeviceForm)
        All on one device.
    together : DeviceLayersTogether
        Of the same, in their order.

    Attributes
    ----------
    nbytes : int
        What batches take until they are added.
    slots : dict of str to DeviceSlot
    batch, probes, taken : int
        See `iua_widget.run.slots.Group`.
    """

    thinned: tuple[str, ...] = ()

    def __init__(
        self, layers: Mapping[str, tuple[Tally, DeviceForm]], together: DeviceLayersTogether
    ) -> None:
        self._together = together
        self._layers = dict(layers)
        self._places = {layer: place for place, layer in enumerate(layers)}
        self.batch = self.probes = self.taken = self._idle = 0
        self._bytes = {layer: together.bytes_of(place) for layer, place in self._places.items()}
        self.nbytes = sum(self._bytes.values())
        self.slots = {
            layer: DeviceSlot(self, together, self._places[layer], tally, form)
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
        if self.taken == len(self.slots) or (not self.taken and self._idle < _MOST_IDLE):
            return []
        return [layer for layer, slot in self.slots.items() if not slot.taken]

    @property
    def batches_to_double(self) -> int:
        """How many batches as large can be counted before the probes of a layer have doubled."""
        return min(
            until_doubled(tally.probes) // form.blocks.probes
            for tally, form in self._layers.values()
        )

    @property
    def batches_counted(self) -> int:
        """How many batches were counted."""
        return min(tally.probes // form.blocks.probes for tally, form in self._layers.values())

    def begin_batch(self) -> None:
        """Forget what was taken of the batch at hand."""
        self.batch += 1
        self.taken = 0

    def begin_anew(self) -> None:
        """Begin with nothing, once the tallies were cleared."""
        self.begin_batch()
        for tally, form in self._layers.values():
            tally.note_dtype_and_shape(dtype_name(form.dtype), form.shape[1:])

    def classify(self) -> None:
        """Nothing: each response was classified when it was taken."""

    def layer_batches(self) -> dict[str, LayerBatch]:
        """What was taken of each layer, for the budget."""
        return {
            layer: LayerBatch(
                tally,
                form.blocks.probes,
                self._bytes[layer],
                device=form.device,
            )
            for layer, (tally, form) in self._layers.items()
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

    def leave(self, layer: str) -> None:
        """Have a layer be counted by itself from now on, of which nothing was taken."""
        del self.slots[layer], self._layers[layer]
        self._together.leave(self._places.pop(layer))
        self.nbytes -= self._bytes.pop(layer)
