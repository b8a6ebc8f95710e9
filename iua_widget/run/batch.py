"""One batch on its way into the tallies: all of it checked and classified, then counted at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Final

import numpy as np

from iua_widget.common.arithmetic import as_ieee
from iua_widget.common.tensors import address, is_tensor
from iua_widget.engines.device_batch import DeviceBatch
from iua_widget.engines.engine import BatchCounts, Engine
from iua_widget.engines.threads import cores
from iua_widget.errors import ProducerError
from iua_widget.memory.budget import Coming, MemoryBudget
from iua_widget.memory.plan import batch_bytes
from iua_widget.tally.tally import Tally, count_overdue
from iua_widget.units.arrange import arrange
from iua_widget.units.expert_load import ExpertLoad, of_both
from iua_widget.units.masking import ON_HOST, OnDevice
from iua_widget.units.response import Response, as_response
from iua_widget.units.rule import UNKNOWN, Origin, UnitPlan, UnitRule

NewTally = Callable[[tuple[int, ...], str, UnitPlan], Tally]
"""Makes the tally of a layer seen for the first time, from its unit shape, kind and plan."""

_SINGLE: Final = 4
_WIDENED_AT_ONCE: Final = 2**12
"""Units of float16 that a thread makes float32 at a time; of maps, all are."""


@dataclass(slots=True)
class _PendingLayer:
    tally: Tally
    values: Any
    """What is to be classified; None once it is."""

    shape: tuple[int, ...]
    dtype: str
    masked: int
    zeroed: int
    fits_mask: bool
    probes: int
    nbytes: int
    work: int
    first: bool
    """Whether it is the layer's first, or only, part of the batch."""

    merged_calls: bool
    many_passes: bool
    counts: BatchCounts | DeviceBatch | None = None

    @property
    def device(self) -> Any:
        """The device on which it is counted; None on the host."""
        return self.counts.bins.device if isinstance(self.counts, DeviceBatch) else None

    def classify(self) -> None:
        """Classify it by itself."""
        self.take(self.tally.classify(self.values, running=self.first))

    def take(self, counts: BatchCounts | DeviceBatch) -> None:
        if self.zeroed:
            counts = replace(counts, entries=counts.entries - self.zeroed)
        self.counts, self.values = counts, None
        self.nbytes = max(self.nbytes, counts.nbytes)

    def count(self, number: int) -> None:
        """Count it, as a part of the batch of this number."""
        if self.counts is not None:
            self.tally.add(self.counts, number=number, masked=self.masked, among_others=True)
        self.tally.note_dtype_and_shape(self.dtype, self.shape)
        self.tally.mask_missed |= not self.fits_mask
        self.tally.merged_calls |= self.merged_calls
        self.tally.many_passes |= self.many_passes


class PendingBatch:
    """Collects the classified responses of one batch.

    Nothing of it is counted until all of it has proved countable, so a batch that breaks off half
    way leaves every tally as it was.

    Parameters
    ----------
    number : int
        The batch, counted from 0.
    tallies : mapping of str to Tally
        The tallies so far.
    rule : UnitRule
        What a unit is, in layers seen for the first time.
    new_tally : callable
        Makes the tallies of these.
    budget : MemoryBudget
        What may be held.
    engine : Engine
        What counts in these.
    steady : bool
        Whether every batch must give the layers of the first. A model may route a batch past some.
    whole : bool
        Whether responses stay as they are until all of the batch have come: they are then
        classified at once, which takes less time. What had to be copied does not wait.
    total : int, optional
        Inputs to be counted in all, where known.
    """

    def __init__(
        self,
        number: int,
        tallies: Mapping[str, Tally],
        *,
        rule: UnitRule,
        new_tally: NewTally,
        budget: MemoryBudget,
        engine: Engine,
        steady: bool = True,
        whole: bool = False,
        total: int | None = None,
    ) -> None:
        self.number = number
        self._known = tallies
        self._rule = rule
        self._new_tally = new_tally
        self._budget = budget
        self._engine = engine
        self._masking = OnDevice()
        self._steady = steady
        self._whole = whole
        self._total = total or 0
        self._nbytes = self._new = 0
        self._layers: dict[str, list[_PendingLayer]] = {}
        self._loads: dict[str, ExpertLoad | None] = {}

    def _coming(self) -> dict[str, Coming]:
        return {
            layer: Coming(
                parts[0].tally,
                sum(part.probes for part in parts),
                sum(part.nbytes for part in parts),
                max(part.work for part in parts),
                next((part.device for part in parts if part.device is not None), None),
            )
            for layer, parts in self._layers.items()
        }

    @as_ieee
    def record(self, layer: str, value: Any, origin: Origin = UNKNOWN) -> None:
        """Check and classify one layer's response.

        Nothing refers to `value` afterwards, or once all of the batch have come.

        Raises
        ------
        ProducerError
            If it is not an array of numbers, comes twice, comes late, or has another shape than in
            the batches before.
        UnitsError
            If the user's choice of units does not fit it.
        MemoryBudgetError
            If there is no memory to take it in.
        """
        self._check_expected(layer)
        if origin.load is not None:
            self._loads[layer] = of_both(self._loads.get(layer), origin.load)
        tally = self._tally(layer)
        engine = self._engine if tally is None else tally.engine
        response = as_response(value, layer=layer, batch=self.number, stays=engine.takes)
        if tally is not None and not self._steady and not response.shape[0]:
            return  # routed past it this time: there is nothing to count
        if tally is not None and response.shape[0] and self._is_provisional(layer, tally):
            self._layers.pop(layer, None)
            tally = None
        plan = self._plan(layer, tally, response, origin)
        stays = is_tensor(response.values)
        arranged = arrange(response.values, plan, origin.mask, self._masking if stays else ON_HOST)
        if tally is None:
            tally = self._new_tally(arranged.unit_shape, origin.kind, plan)
        elif tally.unit_shape != arranged.unit_shape:
            raise self._shape_error(layer, tally, response)
        units, probes = tally.units, len(arranged.values)
        if is_tensor(arranged.values):
            self._budget.counts_on(arranged.values.device)
        is_copy = not stays and _is_copy(arranged.values, value)
        pending = _PendingLayer(
            tally,
            arranged.values,
            response.shape[1:],
            response.dtype,
            arranged.masked,
            arranged.zeroed,
            arranged.fits_mask,
            probes,
            nbytes=batch_bytes(probes, units, len(tally.stops)),
            work=_work(arranged.values, is_copy=is_copy),
            first=layer not in self._layers,
            merged_calls=origin.merged_calls,
            many_passes=origin.many_passes,
        )
        if layer not in self._known and pending.first:
            self._new += self._budget.least(units, max(self._total, probes))
        self._budget.check_room(
            layer, units, pending=self._nbytes + pending.nbytes + pending.work, new=self._new
        )
        if not self._whole or stays or is_copy:
            pending.classify()
        self._layers.setdefault(layer, []).append(pending)
        self._nbytes += pending.nbytes

    @as_ieee
    def check_complete(self) -> dict[str, Coming]:
        """Check that every layer of the batches before has come, where that is promised.

        What has not been classified by then, is.

        Returns
        -------
        dict of str to Coming
            What the batch brings, layer by layer.

        Raises
        ------
        ProducerError
            If one has not.
        UnitsError
            If this is the first batch and the user chose units for a layer that is not there.
        """
        if not self._known and self._layers:
            self._rule.check_used(self._layers)
        missing = [layer for layer in self._known if layer not in self._layers]
        if missing and self._steady:
            more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
            message = (
                f"layer {missing[0]!r}{more} vanished: batch {self.number} has no response of it, "
                "and the batches before had one. Every batch must give the same layers."
            )
            raise ProducerError(message, layer=missing[0], batch=self.number)
        self._classify_rest()
        return self._coming()

    @as_ieee
    def commit(self, coming: Mapping[str, Coming]) -> dict[str, Tally]:
        """Count the batch, and return all tallies in the order the layers came.

        Parameters
        ----------
        coming : mapping of str to Coming
            As `check_complete` has returned it.
        """
        for layer in coming.values():
            # The last that could fail, before anything is added.
            layer.tally.reserve(layer.probes, layer.device)
        for part in self._parts():
            part.count(self.number)
        count_overdue([layer.tally for layer in coming.values()])
        new = {layer: parts[0].tally for layer, parts in self._layers.items()}
        tallies = {
            layer: new.get(layer) or self._known[layer] for layer in merged_order(self._known, new)
        }
        for name, load in self._loads.items():
            before = self._known[name].load if name in self._known else None
            tallies[name].load = of_both(before, load)
        if len(tallies) == len(self._known):
            return tallies
        return {layer: tallies[layer] for layer in _by_expert(tallies)}

    def _classify_rest(self) -> None:
        by_engine: dict[int, list[_PendingLayer]] = {}
        for part in self._parts():
            if part.values is not None:
                by_engine.setdefault(id(part.tally.engine), []).append(part)
        for parts in by_engine.values():
            responses = [part.tally.responses(part.values, running=part.first) for part in parts]
            all_counts = parts[0].tally.engine.classify_all(responses)
            for part, counts in zip(parts, all_counts, strict=True):
                part.take(counts)

    def _parts(self) -> Iterator[_PendingLayer]:
        return chain.from_iterable(self._layers.values())

    def _check_expected(self, layer: str) -> None:
        if self._steady and layer in self._layers:
            message = f"layer {layer!r} comes twice in batch {self.number}."
            raise ProducerError(message, layer=layer, batch=self.number)
        if self._steady and self._known and layer not in self._known:
            message = (
                f"layer {layer!r} appears late: batch {self.number} has a response of it, and "
                "the batches before had none. Every batch must give the same layers."
            )
            raise ProducerError(message, layer=layer, batch=self.number)

    def _is_provisional(self, layer: str, tally: Tally) -> bool:
        """Whether only empty responses have come: what a unit is there cannot be told from them."""
        parts = self._layers.get(layer, ())
        return not tally.seen and not any(part.probes or part.masked for part in parts)

    def _plan(
        self, layer: str, tally: Tally | None, response: Response, origin: Origin
    ) -> UnitPlan:
        if tally is None:
            return self._rule.plan(layer, response.shape, origin)
        ndim, known = len(response.shape), tally.response_shape
        before = 1 + len(self._layers[layer][0].shape if known is None else known)
        if ndim == before or tally.plan.choice == "element":
            return tally.plan
        if tally.plan.channel_axis == before - 1:
            return replace(tally.plan, channel_axis=ndim - 1)
        raise self._shape_error(layer, tally, response)

    def _tally(self, layer: str) -> Tally | None:
        if layer in self._layers:
            return self._layers[layer][0].tally
        return self._known.get(layer)

    def _shape_error(self, layer: str, tally: Tally, response: Response) -> ProducerError:
        shape = response.shape[1:]
        if tally.plan.choice == "element":
            advice = (
                "Every entry is a unit here, and can be followed only where the shape stays. For "
                f"sequences or images of several sizes count by channel: units={{{layer!r}: "
                "'token'} (each position is a probe) or 'channel' (inactive at every position); "
                "or crop or pad the inputs to one size."
            )
        else:
            advice = (
                "The number of channels must stay; say which axis counts them with "
                f"channel_axis={{{layer!r}: ...}}."
            )
        message = (
            f"layer {layer!r}: a probe's response has shape {shape} in batch {self.number} and "
            f"had {tally.response_shape} before. {advice}"
        )
        return ProducerError(message, layer=layer, batch=self.number)


def _by_expert(tallies: Mapping[str, Tally]) -> list[str]:
    """The layers, those of a mixture's experts together, where the first of them is, in order."""
    places = {layer: place for place, layer in enumerate(tallies)}
    first: dict[str, int] = {}
    for layer, tally in tallies.items():
        if tally.load is not None:
            first.setdefault(tally.load.module, places[layer])

    def key(layer: str) -> tuple[int, int, int]:
        load = tallies[layer].load
        if load is None:
            return places[layer], 0, 0
        return first[load.module], load.expert, places[layer]

    return sorted(tallies, key=key)


def merged_order(known: Iterable[str], batch: Iterable[str]) -> list[str]:
    """The known layers, with new ones after that which came before them in this batch."""
    order, batch = list(known), list(batch)
    if set(order).issuperset(batch):
        return order
    first_known = next((layer for layer in batch if layer in order), None)
    place = 0 if first_known is None else order.index(first_known)
    for layer in batch:
        if layer in order:
            place = order.index(layer) + 1
        else:
            order.insert(place, layer)
            place += 1
    return order


def _is_copy(values: Any, given: Any) -> bool:
    """Whether values had to be copied from what was given, to be compared or arranged."""
    given_in_memory = isinstance(given, np.ndarray) or is_tensor(given)
    return not given_in_memory or address(values) != address(given)


def _work(values: Any, *, is_copy: bool) -> int:
    """What is held beside a batch of a layer, and beside what was given, while it is classified."""
    if is_tensor(values):
        return 0
    copies = int(is_copy) + (not values.flags.c_contiguous)
    wide = 0
    if values.dtype == np.float16:
        at_once = len(values) * _WIDENED_AT_ONCE * cores()
        wide = _SINGLE * (values.size if values.ndim > 2 else min(values.size, at_once))  # noqa: PLR2004
    return copies * int(values.nbytes) + wide
