"""Layers that are counted together on a device: one launch each, and two to add batches of all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

import numpy as np
import torch

from iua_widget.common.interrupts import interrupts_held
from iua_widget.common.tensors import dtype_name
from iua_widget.engines.device.blocks import Blocks
from iua_widget.engines.device.choice import kernels_for
from iua_widget.engines.device.edges import DeviceEdges
from iua_widget.engines.device.grouped import GroupedLayer
from iua_widget.engines.device.prepared import PreparedLaunch, stream_of
from iua_widget.engines.device_batch import DeviceBatch
from iua_widget.tally.device import DeviceStore, in_turn
from iua_widget.tally.tally import Tally

if TYPE_CHECKING:
    from iua_widget.engines.device.together import BatchesTogether


class DeviceLayersTogether:
    """The counts of several layers on a device, to which some batches of all are added at once.

    A batch waits on the device until some are there, or something is read. The stores of the
    tallies stay what they were, and have what waits added before they are read. All is done on the
    device's default stream.

    Parameters
    ----------
    tallies : sequence of Tally
        Each with a `DeviceStore`, on one device.
    layers : sequence of GroupedLayer
        Of the same.
    batches : BatchesTogether

    Attributes
    ----------
    device : torch.device
    stream : callable
        The stream of a launch, here and now: 0 or None is the default one.
    """

    def __init__(
        self, tallies: Sequence[Tally], layers: Sequence[GroupedLayer], batches: BatchesTogether
    ) -> None:
        self._tallies = dict(enumerate(tallies))
        self._stores = {place: device_store(tally) for place, tally in self._tallies.items()}
        self.device = self._stores[0].device
        self.stream = stream_of(self.device)
        self._blocks = [layer.blocks for layer in layers]
        self._batches = batches
        self._first_number = self._room = 0
        for store in self._stores.values():
            store.together = self

    @classmethod
    def of(cls, tallies: Sequence[Tally], blocks: Sequence[Blocks], most_bytes: int) -> Self | None:
        """Those of tallies whose responses come as blocks; None where it cannot be done.

        Parameters
        ----------
        tallies : sequence of Tally
            Each with a `DeviceStore`, on one device, and of one grid of stops.
        blocks : sequence of Blocks
            Of the same, of which each takes some `slot_bytes`.
        most_bytes : int
            What batches that wait may take; one may take more.
        """
        device = device_store(tallies[0]).device
        edges: dict[torch.dtype, DeviceEdges] = {}
        layers = []
        with in_turn(device):
            for tally, one in zip(tallies, blocks, strict=True):
                store, dtype = device_store(tally), one.wide
                if dtype not in edges:
                    thresholds = tally.stops.thresholds(np.dtype(dtype_name(dtype)))
                    edges[dtype] = DeviceEdges.of(thresholds, device)
                column = store.inactive_column
                layers.append(GroupedLayer(one, edges[dtype], store.counters, column))
            batches = kernels_for(device).together(layers, most_bytes)
        return None if batches is None else cls(tallies, layers, batches)

    @property
    def nbytes(self) -> int:
        """What is held on the device beside the counters."""
        return self._batches.nbytes

    @property
    def layers(self) -> int:
        """How many there are that have not left."""
        return len(self._tallies)

    @property
    def slot(self) -> int:
        """Where the batch at hand goes: which of a layer's launches classifies it."""
        return self._batches.slot

    def bytes_of(self, place: int) -> int:
        """What a layer's batches take that wait, or are at hand."""
        return self._batches.bytes_of(place)

    def launches(self, place: int) -> list[PreparedLaunch]:
        """Those that classify a layer, given by its place among the tallies, one for each slot."""
        return self._batches.launches(place)

    def give_back(self, place: int) -> DeviceBatch:
        """What was classified of a layer in the batch at hand, to be counted by itself."""
        with in_turn(self.device):
            return self._batches.give_back(place)

    def reserve(self) -> None:
        """Make room for a batch, so that `count` needs no more memory."""
        if self._batches.kept_is_full:
            self.settle()
            self.hand_out()
            for store in self._stores.values():
                store.reserve(0)
        if self._room:
            return
        self.settle()
        room = []
        for place, store in self._stores.items():
            if store.room < self._blocks[place].probes:
                store.read_counts()
            room.append(store.room // self._blocks[place].probes)
        self._room = min(room, default=0)

    def count(self, number: int) -> None:
        """Count the batch at hand, of this number; a layer that did not come must have left."""
        if self._first_number + self._batches.waiting != number:
            self.settle()
        with in_turn(self.device):
            if not self._batches.waiting:
                self._first_number = number
            self._batches.next()
        self._room -= 1
        for place, tally in self._tallies.items():
            blocks = self._blocks[place]
            tally.entries += blocks.probes * blocks.positions
            self._stores[place].expect(blocks.probes)
        if self._batches.waiting == self._batches.slots:
            self.settle()

    def leave(self, place: int) -> None:
        """Have a layer be counted by itself from now on."""
        self.settle()
        self.hand_out()
        with in_turn(self.device):
            del self._tallies[place]
            self._stores.pop(place).together = None
            self._batches.leave(place)

    def dissolve(self) -> None:
        """Have all layers leave."""
        for place in list(self._tallies):
            self.leave(place)

    def settle(self) -> None:
        """Add the batches that wait, all layers at once."""
        if not self._batches.waiting:
            return
        with interrupts_held(), in_turn(self.device):
            batches = self._batches.add(self._first_number)
            for place, store in self._stores.items():
                store.note_added(batches * self._blocks[place].probes)

    def hand_out(self) -> None:
        """Give the stores the inactive units of each probe that was added."""
        with interrupts_held(), in_turn(self.device):
            for place, inactive in self._batches.hand_out().items():
                self._stores[place].keep(inactive)

    def counters_changed(self) -> None:
        """Take note that a store counts at other columns, of which nothing waits."""
        self._batches.counters_changed()


def slot_bytes(tally: Tally, blocks: Blocks) -> int:
    """What a batch of a layer takes that waits with others; 0 where it is counted by itself."""
    store = tally.store
    if not isinstance(store, DeviceStore) or store.together is not None:
        return 0
    return kernels_for(store.device).slot_bytes(blocks, len(tally.stops) + 1)


def device_store(tally: Tally) -> DeviceStore:
    """The store of a tally that is counted on a device."""
    assert isinstance(tally.store, DeviceStore)  # noqa: S101
    return tally.store
