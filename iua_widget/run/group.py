"""`Group` and `AnySlot`: bases for layers that are counted together, on the host or a device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar

import numpy as np

from iua_widget.engines.device_batch import DeviceBatch
from iua_widget.memory.plan import until_doubled
from iua_widget.tally.tally import Tally
from iua_widget.units.rule import Origin

_Slot = TypeVar("_Slot", bound="AnySlot")


class Taken(NamedTuple):
    """What a slot took of the batch at hand: a copy, or classified where it lay."""

    response: np.ndarray | DeviceBatch
    origin: Origin


class Member(NamedTuple):
    """A layer of a group.

    Attributes
    ----------
    tally : Tally
    place : int
        Among the layers that the group was made of.
    probes : int
        Of a batch, the most.
    nbytes : int
        What such a batch takes until it is counted.
    """

    tally: Tally
    place: int
    probes: int
    nbytes: int


class Together(Protocol):
    """The counts of a group's layers: `LayersTogether` or `DeviceLayersTogether`."""

    def leave(self, place: int, /) -> None:
        """Have a layer be counted by itself from now on."""
        ...


class Group(Generic[_Slot]):
    """Layers that are counted together: a base for those on the host, and for those on a device.

    Parameters
    ----------
    members : mapping of str to Member
    together : Together

    Attributes
    ----------
    slots : dict of str to AnySlot
        What takes the responses of each.
    nbytes : int
        What a batch takes until it is counted, at the most.
    batch : int
        Which batch is at hand, those that were begun anew included.
    probes : int
        Of what was taken of it; 0 before.
    taken : int
        How many layers' responses were.
    """

    slots: dict[str, _Slot]

    def __init__(self, members: Mapping[str, Member], together: Together) -> None:
        self.members = dict(members)
        self.nbytes = sum(member.nbytes for member in members.values())
        self.batch = self.probes = self.taken = 0
        self._leave = together.leave

    @property
    def untaken(self) -> list[str]:
        """Layers of which nothing was taken in the batch at hand."""
        if self.taken == len(self.slots):
            return []
        return [layer for layer, slot in self.slots.items() if not slot.taken]

    @property
    def batches_to_double(self) -> int:
        """How many batches as large can be counted before the probes of a layer have doubled."""
        return min(until_doubled(one.tally.probes) // one.probes for one in self.members.values())

    @property
    def batches_counted(self) -> int:
        """How many batches as large as the largest were counted."""
        return min(one.tally.probes // one.probes for one in self.members.values())

    def begin_batch(self) -> None:
        """Forget what was taken of the batch at hand."""
        self.batch += 1
        self.probes = self.taken = 0

    def leave(self, layer: str) -> None:
        """Have a layer be counted by itself from now on, of which nothing was taken."""
        del self.slots[layer]
        member = self.members.pop(layer)
        self.nbytes -= member.nbytes
        self._leave(member.place)


class AnySlot:
    """What takes the responses of one layer, as long as they come as before: a base.

    Parameters
    ----------
    group : Group
        That of its layer.

    Attributes
    ----------
    waits : bool
        Whether it takes responses again after a batch that was otherwise.
    """

    __slots__ = ("_batch", "_group", "_origin")

    waits: ClassVar = False

    def __init__(self, group: Group[Any]) -> None:
        self._group = group
        self._origin: Origin | None = None
        self._batch = -1

    @property
    def taken(self) -> bool:
        """Whether a response was taken in the batch at hand."""
        return self._batch == self._group.batch

    def take(self, value: object, origin: Origin) -> bool:
        """Read a response, if it is as before and the first of its batch; or do nothing."""
        raise NotImplementedError

    def give_back(self) -> Taken | None:
        """What was taken in the batch at hand, which then was not."""
        if self._origin is None or not self.taken:
            return None
        self._batch = -1
        self._group.taken -= 1
        return Taken(self._response(), self._origin)

    def _response(self) -> np.ndarray | DeviceBatch:
        """What was taken."""
        raise NotImplementedError
