"""Counting: batches on their way into a run, each checked and classified, then counted at once."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np

from iua_widget.common.arithmetic import FLUSHED, as_ieee, flushes
from iua_widget.common.interrupts import interrupts_held
from iua_widget.common.tensors import is_tensor
from iua_widget.engines.device_batch import DeviceBatch
from iua_widget.errors import NoBatchError, ProducerError
from iua_widget.memory.budget import LayerBatch, top_bytes
from iua_widget.memory.plan import batch_bytes
from iua_widget.run.counting_by_group import CountingByGroup, GroupStream
from iua_widget.run.device_slots import DeviceForm
from iua_widget.run.failure import Failure
from iua_widget.run.group import Taken
from iua_widget.run.layer_errors import came_late, came_twice, other_shape, vanished
from iua_widget.run.layer_groups import LayerGroups
from iua_widget.run.layer_order import by_expert, merged_order
from iua_widget.run.recorded_response import RecordedResponse, is_copy, work_bytes
from iua_widget.run.response_form import ResponseForm
from iua_widget.run.run import Run
from iua_widget.sources.position import Position
from iua_widget.sources.source import Stream
from iua_widget.tally.tally import Tally, count_overdue, count_waiting
from iua_widget.units.arrange import arrange
from iua_widget.units.expert_load import ExpertLoad, of_both
from iua_widget.units.masking import ON_HOST, OnDevice
from iua_widget.units.response import Response, as_response
from iua_widget.units.rule import UNKNOWN, Origin, UnitPlan


@dataclass(slots=True)
class _Room:
    """What a batch takes, that of all probes and of each group.

    Attributes
    ----------
    nbytes : int
        Until it is counted.
    new : int
        In tallies of layers that came with it, at least.
    """

    nbytes: int = 0
    new: int = 0


class Counting:
    """Counts the batches of a source into a run.

    Nothing of a batch is counted until all of it has proved countable, so one that breaks off half
    way leaves the run as it was.

    Parameters
    ----------
    run : Run
    source : Stream
    onward : bool
        Whether to pass over the batches that have been counted before.
    groups : LayerGroups, optional
        Those of a run before, of the same source, which then are kept for another.
    within : Counting, optional
        Where only the probes of one group are counted, what counts all of them.

    Attributes
    ----------
    position : Position
        Where in the stream it is.
    number : int
        The batch at hand, from 0.

    Raises
    ------
    ProducerError
        If the run is being counted already.
    """

    def __init__(
        self,
        run: Run,
        source: Stream,
        *,
        onward: bool = False,
        groups: LayerGroups | None = None,
        within: Counting | None = None,
    ) -> None:
        self._run, self._source, self._within = run, source, within
        run.check_not_counted()
        self.position = run.position or Position()
        if within is None:
            self.position = self._begin_stream(onward=onward)
        self._room: _Room = _Room() if within is None else within._room  # noqa: SLF001
        self.position.merged = run.merged_calls
        self.position.layers = frozenset(run.tallies)
        self.number = self.position.batches
        self._groups = groups or LayerGroups()
        self._is_last = groups is None
        self._by_group: CountingByGroup | None = None
        if source.labels is not None:
            self._by_group = CountingByGroup(run, source.labels, self._begin_group)
        self.restart()
        run.counted_by = weakref.ref(self)

    def _begin_stream(self, *, onward: bool) -> Position:
        run, source = self._run, self._source
        position = run.begin(source.weights, onward=onward)
        run.steady = run.steady and source.steady
        if run.probes and (run.groups is None) is not (source.labels is None):
            message = (
                "the probes that were counted before and those to come must all be told apart by "
                "group, or none: count these into a run of their own."
            )
            raise ProducerError(message)
        return position

    def _begin_group(self, run: Run) -> Counting:
        """What counts the probes of one group of the batches."""
        return Counting(run, GroupStream(self._source.label), within=self)

    @property
    def kept(self) -> str:
        """What becomes of the batches before one that fails, to end a message."""
        return " What was counted before it is kept." if self.number else ""

    def restart(self) -> None:
        """Forget what was recorded of the batch at hand."""
        self._masking = OnDevice()
        self._groups.begin_batch()
        self._taken = self._groups.nbytes
        if self._within is None:
            self._room.nbytes, self._room.new = self._taken, 0
        else:
            self.number = self._within.number
        if self._by_group is not None:
            self._by_group.restart()
        self._came: dict[str, None] = {}
        self._layers: dict[str, list[RecordedResponse]] = {}
        self._loads: dict[str, ExpertLoad | None] = {}

    def record(self, layer: str, value: Any, origin: Origin = UNKNOWN, /) -> None:
        """Check and classify one layer's response in the batch at hand.

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
        self._came[layer] = None
        slot = self._groups.slots.get(layer)
        if slot is not None and slot.take(value, origin):
            return
        before = self._groups.give_back(layer)
        if before is not None:
            self._take_back(layer, before)
        self._record(layer, value, origin)

    def _all_taken_back(self, taken: Mapping[str, Taken]) -> dict[str, LayerBatch]:
        """What layers then bring of the batch at hand, if what was taken of some is taken back."""
        if not taken:
            return {}
        self._room.nbytes += self._groups.nbytes - self._taken
        self._taken = self._groups.nbytes
        for layer, one in taken.items():
            self._take_back(layer, one)
        return self.layer_batches()

    def _take_back(self, layer: str, taken: Taken) -> None:
        """Have what was taken of a layer in the batch at hand be counted by itself."""
        before = taken.response
        if not isinstance(before, DeviceBatch):
            self._record(layer, before, taken.origin)
            return
        pending = RecordedResponse.of_classified(self._run.tallies[layer], before)
        self._layers[layer] = [pending]
        self._room.nbytes += pending.nbytes

    @as_ieee
    def _record(self, layer: str, value: Any, origin: Origin) -> None:
        """Check and classify a response that may be like none before."""
        self._check_expected(layer)
        if origin.load is not None:
            self._loads[layer] = of_both(self._loads.get(layer), origin.load)
        tally = self._tally(layer)
        engine = self._run.engine if tally is None else tally.engine
        response = as_response(value, layer=layer, batch=self.number, stays=engine.takes)
        self._take(layer, response, origin, value)
        tally = self._tally(layer)
        if self._by_group is not None and tally is not None:
            self._by_group.record(layer, response, origin, tally)

    @as_ieee
    def record_rows(self, layer: str, response: Response, origin: Origin) -> None:
        """Classify those rows of a response that are of this group."""
        self._came[layer] = None
        self._take(layer, response, origin, None)

    def leave(self, layer: str) -> None:
        """Forget what was recorded of a layer in the batch at hand."""
        self._room.nbytes -= sum(part.nbytes for part in self._layers.pop(layer, ()))

    def _take(self, layer: str, response: Response, origin: Origin, value: Any) -> None:
        """Arrange and classify a response, once it has been checked."""
        tally, run, steady = self._tally(layer), self._run, self._source.steady
        if tally is not None and not steady and not response.shape[0]:
            return  # routed past it this time: there is nothing to count
        provisional = None
        if tally is not None and response.shape[0] and self._is_provisional(layer, tally):
            self._layers.pop(layer, None)
            provisional, tally = tally, None
        plan = self._plan(layer, tally, response, origin)
        stays = is_tensor(response.values)
        arranged = arrange(response.values, plan, origin.mask, self._masking if stays else ON_HOST)
        if provisional is not None:
            known = provisional.plan == plan and provisional.unit_shape == arranged.unit_shape
            tally, plan = (provisional, provisional.plan) if known else (None, plan)
        if tally is None:
            self._groups.drop(layer)
            tally = run.new_tally(layer, arranged.unit_shape, origin.kind, plan)
        elif tally.unit_shape != arranged.unit_shape:
            raise other_shape(layer, tally, response.shape[1:], self.number)
        units, probes = tally.units, len(arranged.values)
        if is_tensor(arranged.values):
            run.budget.counts_on(arranged.values.device)
        copied = not stays and is_copy(arranged.values, value)
        grouped = self._within is not None or self._by_group is not None
        one_by_one = grouped or run.options.causes or tally.top is not None
        pending = RecordedResponse(
            tally,
            arranged.values,
            response.shape[1:],
            response.dtype,
            probes,
            batch_bytes(probes, units, len(tally.stops)),
            first=layer not in self._layers,
            masked=arranged.masked,
            zeroed=arranged.zeroed,
            fits_mask=arranged.fits_mask,
            work=work_bytes(arranged.values, copied=copied),
            merged_calls=origin.merged_calls,
            many_passes=origin.many_passes,
            form=None
            if one_by_one or plan is not tally.plan
            else (DeviceForm if stays else ResponseForm).of(value, origin, tally, arranged.values),
        )
        self._note_evidence(pending, response, plan, origin, layer)
        room = self._room
        if layer not in run.tallies and pending.first:
            to_come = max(self._source.total or 0, probes)
            room.new += run.budget.least(units, to_come, top_bytes(tally))
        run.budget.check_room(
            layer, tally, pending=room.nbytes + pending.nbytes + pending.work, new=room.new
        )
        call = len(self._layers.get(layer, ()))
        pending.find_top(response.values, plan, origin, call)
        if not self._source.whole_batches or stays or copied:
            pending.classify()
        self._layers.setdefault(layer, []).append(pending)
        self._room.nbytes += pending.nbytes

    def _note_evidence(
        self, pending: RecordedResponse, response: Response, plan: UnitPlan, origin: Origin, /,
        layer: str,
    ) -> None:  # fmt: skip
        """Take what a response tells of why units are dead or stuck, where that is asked for."""
        if self._run.options.causes:
            place = {"layer": layer, "batch": self.number}
            pending.note_evidence(response, plan, origin, self._masking, **place)

    def commit(self, probes: int) -> None:
        """Count the batch at hand, of so many inputs.

        Raises
        ------
        ProducerError
            If a layer has not come that the batches before had.
        UnitsError, LayerSelectionError
            If this is the first batch and the user chose units, or how many top probes to keep, for
            a layer that is not there.
        MemoryBudgetError
            If there is no memory to count it.
        """
        run, groups, batches = self._run, self._groups, self.layer_batches()
        by_group, passed = self._by_group, run.inputs_passed
        of_groups = {} if by_group is None else by_group.layer_batches()
        groups.classify()
        with interrupts_held(), run.lock:
            inputs, total = run.probes + probes, self._source.total
            groups.drop_untaken()
            if batches or not groups.fits_as_before(total):
                batches = self._all_taken_back(groups.make_room(run.budget, total)) or batches
                coming = groups.layer_batches() | batches | of_groups
                held = run.tallies if by_group is None else run.tallies | by_group.held()
                run.budget.fit(held, coming, inputs=inputs, total=total)
                batches = self._all_taken_back(groups.drop_thinned(total)) or batches
            self.reserve(batches)
            if by_group is not None:
                by_group.reserve()
            run.tallies = self.count(batches, passed + np.arange(probes))
            run.recount = run.tally_notes = None  # they lack these probes
            run.probes = inputs
            run.inputs_passed = passed + probes
            run.source_notes = self._notes()
            if by_group is not None:
                by_group.count(passed)
            self.position.counted(probes)
            self.number += 1
            groups.group_layers(self._alike(), run.budget, total)
        self.restart()

    def finish(self) -> None:
        """Count what waits, at the end of the stream.

        Raises
        ------
        NoBatchError
            If no response has come.
        """
        run = self._run
        with interrupts_held(), run.lock:
            count_waiting(run.held.values())
        if not run.tallies:
            message = (
                f"{self._source.label} gave no batch with a response: there is nothing to count."
            )
            raise NoBatchError(message)
        if not run.weights:  # those of lazy modules come with the first batch
            run.note_weights(self._source.weights)
        run.source_notes = self._notes()
        run.share_with_groups()

    def broke_off(self, error: BaseException) -> None:
        """Note what ended the run."""
        self._run.failure = Failure.of(error, self._run.probes)
        self._run.share_with_groups()

    def close(self) -> None:
        """Free what is kept for the next batch only."""
        with interrupts_held(), self._run.lock:
            if self._is_last:
                self._groups.dissolve()
            else:
                self._groups.rest()
            for tally in self._run.tallies.values():
                tally.release_buffers()
            if self._by_group is not None:
                self._by_group.close()
            self._run.counted_by = None

    def _notes(self) -> list[str]:
        """What was noted about the source, and about the thread that counts it."""
        return list(dict.fromkeys([*self._source.notes, *([FLUSHED] if flushes() else [])]))

    @as_ieee
    def layer_batches(self) -> dict[str, LayerBatch]:
        """Check that every promised layer has come, and classify what has not been classified."""
        known = self._run.tallies
        if not known and self._layers and self._within is None:
            self._run.options.check_used(self._layers)
        came = len(self._layers) + self._groups.taken
        if came < len(known) and self._source.steady:
            missing = [
                layer
                for layer in known
                if layer not in self._layers and not self._groups.has(layer)
            ]
            raise vanished(missing, self.number)
        self._classify_rest()
        return {
            layer: LayerBatch(
                parts[0].tally,
                sum(part.probes for part in parts),
                sum(part.nbytes for part in parts),
                max(part.work for part in parts),
                next((part.device for part in parts if part.device is not None), None),
            )
            for layer, parts in self._layers.items()
        }

    @as_ieee
    def reserve(self, batches: Mapping[str, LayerBatch]) -> None:
        """Make room for the batch: the last that could fail, before anything is added."""
        for layer in batches.values():
            layer.tally.reserve(layer.probes, layer.device)
        self._groups.reserve()

    @as_ieee
    def count(self, batches: Mapping[str, LayerBatch], places: np.ndarray) -> dict[str, Tally]:
        """Count the batch, of the inputs of these places, and return all tallies in order."""
        self._groups.count(self.number)
        for part in self._parts():
            part.count(self.number, places)
        count_overdue([layer.tally for layer in batches.values()])
        known, new = self._run.tallies, {name: one.tally for name, one in batches.items()}
        if not new and not self._loads:
            return known
        came = [layer for layer in self._came if layer in known or layer in new]
        tallies = {name: new.get(name) or known[name] for name in merged_order(known, came)}
        for name, load in self._loads.items():
            before = known[name].load if name in known else None
            tallies[name].load = of_both(before, load)
        if len(tallies) == len(known):
            return tallies
        return {layer: tallies[layer] for layer in by_expert(tallies)}

    def _classify_rest(self) -> None:
        by_engine: dict[int, list[RecordedResponse]] = {}
        for part in self._parts():
            if part.values is not None:
                by_engine.setdefault(id(part.tally.engine), []).append(part)
        for parts in by_engine.values():
            responses = [part.tally.responses(part.values, running=part.first) for part in parts]
            all_counts = parts[0].tally.engine.classify_all(responses)
            for part, counts in zip(parts, all_counts, strict=True):
                part.take(counts)

    def _alike(self) -> dict[str, tuple[Tally, ResponseForm | DeviceForm]]:
        """The layers of the batch that may come alike again, and could be counted together."""
        return {
            layer: (parts[0].tally, parts[0].form)
            for layer, parts in self._layers.items()
            if len(parts) == 1 and parts[0].form is not None
        }

    def _parts(self) -> Iterator[RecordedResponse]:
        return chain.from_iterable(self._layers.values())

    def _check_expected(self, layer: str) -> None:
        steady, known = self._source.steady, self._run.tallies
        if steady and layer in self._layers:
            raise came_twice(layer, self.number)
        if steady and known and layer not in known:
            raise came_late(layer, self.number)

    def _is_provisional(self, layer: str, tally: Tally) -> bool:
        """Whether none has come but empty ones: what a unit is there cannot be told from those."""
        parts = self._layers.get(layer, ())
        return not tally.seen and not any(part.probes or part.masked for part in parts)

    def _plan(
        self, layer: str, tally: Tally | None, response: Response, origin: Origin
    ) -> UnitPlan:
        if tally is None:
            return self._run.options.rule.plan(layer, response.shape, origin)
        ndim, known = len(response.shape), tally.response_shape
        before = 1 + len(self._layers[layer][0].shape if known is None else known)
        axis = tally.plan.channel_axis
        if tally.plan.choice == "element" or (ndim == before and (axis is None or axis < ndim)):
            return tally.plan
        if axis is not None and axis >= before - 1:
            return replace(tally.plan, channel_axis=ndim - 1)
        raise other_shape(layer, tally, response.shape[1:], self.number)

    def _tally(self, layer: str) -> Tally | None:
        if layer in self._layers:
            return self._layers[layer][0].tally
        return self._run.tallies.get(layer)
