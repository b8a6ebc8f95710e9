"""Run: what was counted of a stream, with all that it takes to read, save, merge or continue it."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from iua_widget.common.labels import Label, label_order, with_type
from iua_widget.common.layer_names import base_of, unknown_layer
from iua_widget.common.plain_values import plain
from iua_widget.common.turn_lock import TurnLock
from iua_widget.common.words import did_you_mean, named
from iua_widget.engines.choice import choose_engine
from iua_widget.engines.engine import Engine
from iua_widget.errors import GroupError, NoProbesError, ProducerError
from iua_widget.memory.budget import MemoryBudget
from iua_widget.options import CountOptions
from iua_widget.reading.recount import LayerRecount, Recount
from iua_widget.run.failure import Failure
from iua_widget.sources.position import Position
from iua_widget.tally.tally import Tally, first_difference
from iua_widget.tolerances import Tolerances
from iua_widget.units.rule import UnitPlan


class Run:
    """What was counted of a stream so far.

    Parameters
    ----------
    options : CountOptions
    engine : Engine, optional
        What counts; made of the options where left out.

    Attributes
    ----------
    budget : MemoryBudget
    tallies : dict of str to Tally
        The counts of each layer, in the order of the network.
    probes : int
        Inputs counted so far.
    inputs_passed : int
        Inputs of the stream so far, counted here or not: the next one has this place in it.
    position : Position or None
        Where in its stream it is; None where it is of several streams.
    source_notes : list of str
        What was noted about the stream.
    steady : bool
        Whether every batch must give the same layers.
    weights : list of str
        Fingerprints of the models' weights that were counted with.
    failure : Failure or None
        What it broke off with.
    recount : Recount or None
        The last one, unless more has been counted since.
    tally_notes : list of str or None
        What the counts tell whatever the tolerances, once it was asked for since the last batch.
    groups : dict of str to Run, or None
        What was counted of each group of probes, by name, in the order of their labels; None where
        it is not counted by group. They share its budget, engine and lock.
    labels : set of Label
        Where it is a group of another run, the labels of its probes.
    not_by_group : dict of str to None
        Layers that are counted as a whole only, since their rows are not the probes.
    counted_by : weakref.ref or None
        To what counts a source into it, until that has come to its end.
    lock : TurnLock
        Taken while a batch is counted: take it to read several of these of the same moment.

    Raises
    ------
    EngineError
        If the engine cannot be had here.
    """

    def __init__(self, options: CountOptions, engine: Engine | None = None) -> None:
        self.options = options
        self.engine = engine or choose_engine(options.engine)
        self.budget = MemoryBudget(options)
        self.tallies: dict[str, Tally] = {}
        self.probes = self.inputs_passed = 0
        self.position: Position | None = Position()
        self.source_notes: list[str] = []
        self.steady = True
        self.weights: list[str] = []
        self.failure: Failure | None = None
        self.recount: Recount | None = None
        self.tally_notes: list[str] | None = None
        self.groups: dict[str, Run] | None = None
        self.labels: set[Label] = set()
        self.not_by_group: dict[str, None] = {}
        self.counted_by: weakref.ref[object] | None = None
        self.lock = TurnLock()

    def __deepcopy__(self, memo: dict[int, Any]) -> Run:
        """A copy of one moment: a run that is counted into may be copied, too."""
        twin = object.__new__(type(self))
        memo[id(self)] = twin
        with self.lock:
            vars(twin).update(copy.deepcopy(vars(self), memo))
        twin.counted_by = None
        return twin

    def __getstate__(self) -> dict[str, Any]:
        """What is pickled: of one moment, too."""
        return vars(copy.deepcopy(self))

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Have what was pickled share again what groups share."""
        vars(self).update(state)
        self.share_with_groups()

    @property
    def nbytes(self) -> int:
        """Bytes that the counts take now."""
        return sum(tally.nbytes for tally in self.held.values())

    @property
    def held(self) -> dict[str, Tally]:
        """All tallies, those of groups too, by names under which memory is planned for them."""
        held = dict(self.tallies)
        for name, group in (self.groups or {}).items():
            held |= {held_name(layer, name): tally for layer, tally in group.tallies.items()}
        return held

    @property
    def merged_calls(self) -> frozenset[str] | None:
        """Whose calls are merged in what was counted; None where nothing was."""
        if not self.tallies:
            return None
        return frozenset(base_of(name) for name, t in self.tallies.items() if t.merged_calls)

    @property
    def kept_notes(self) -> list[str]:
        """Notes that cannot be told from the counts, and are saved with them."""
        return [*self.source_notes, *([] if self.failure is None else [self.failure.note])]

    def new_tally(
        self, layer: str, unit_shape: tuple[int, ...], kind: str, plan: UnitPlan
    ) -> Tally:
        """An empty tally, of a layer that is new to the run."""
        return Tally(
            self.options.grid,
            unit_shape,
            kind=kind,
            plan=plan,
            inactive_at=self.options.tolerances.atol if self.options.keep_inactive else None,
            engine=self.engine,
            top_probes=self.options.top_probes_of(layer),
        )

    def new_group(self, labels: set[Label]) -> Run:
        """A run for a group of the probes: `add_groups` has it be one of the groups."""
        group = Run(self.options, self.engine)
        group.labels, group.position = set(labels), None
        group.lock, group.budget, group.steady = self.lock, self.budget, self.steady
        return group

    def add_groups(self, groups: Mapping[str, Run]) -> None:
        """Take further groups, or others in the place of those of the same names."""
        known = {**(self.groups or {}), **groups}
        names = sorted(known, key=lambda name: (label_order(list(known[name].labels)), name))
        self.groups = {name: known[name] for name in names}
        self.share_with_groups()

    def share_with_groups(self) -> None:
        """Have groups share the lock, the budget, and what is known of all probes."""
        for group in (self.groups or {}).values():
            group.lock, group.budget, group.engine = self.lock, self.budget, self.engine
            group.steady, group.weights, group.failure = self.steady, self.weights, self.failure
            group.source_notes, group.inputs_passed = self.source_notes, self.inputs_passed

    def group(self, label: Label) -> Run:
        """What was counted of one group.

        Parameters
        ----------
        label : Label
            The group's name, or one of its labels.

        Raises
        ------
        GroupError
            If there is no such group.
        """
        groups = self.groups
        if groups is None:
            raise _not_told_apart()
        label = plain(label)
        if isinstance(label, str) and label in groups:
            return groups[label]
        for one in groups.values():
            if with_type(label) in map(with_type, one.labels):
                return one
        if str(label) in groups:
            return groups[str(label)]
        there = f"there are {named(list(groups), 10)}" if groups else "no probe was counted yet"
        message = f"there is no group {label!r}: {there}.{did_you_mean(label, groups)}"
        raise GroupError(message)

    def name_of_group(self, label: Label) -> str:
        """What the group of a label is called; a GroupError as `group`."""
        found = self.group(label)
        return next(name for name, run in (self.groups or {}).items() if run is found)

    def tally_by_group(self, layer: str) -> dict[str, Tally | None]:
        """The counts of one layer in each group; None in those whose probes have not reached it.

        Raises
        ------
        GroupError
            If this is not counted by group, or the layer is not.
        """
        if self.groups is None:
            raise _not_told_apart()
        if layer in self.not_by_group:
            message = (
                f"layer {layer!r} is counted as a whole only, and not by group: a row of its "
                "response is no probe of the batch."
            )
            raise GroupError(message)
        return {name: group.tallies.get(layer) for name, group in self.groups.items()}

    def clear(self) -> None:
        """Forget what was counted, and keep the tallies for another run of the same source.

        Raises
        ------
        ProducerError
            If it is being counted.
        """
        self.check_not_counted()
        with self.lock:
            for tally in self.tallies.values():
                tally.clear()
            self.probes = self.inputs_passed = 0
            self.position = Position()
            self.source_notes = []
            self.groups, self.not_by_group = (None if self.groups is None else {}), {}
            self.failure = self.recount = self.tally_notes = None

    def begin(self, weights: str | None, *, onward: bool) -> Position:
        """Get ready to count a stream into it, and return where in that to begin.

        Parameters
        ----------
        weights : str or None
            The fingerprint of its model's parameters.
        onward : bool
            Whether it goes on where this run stands; otherwise it is another part of the data.
        """
        self.failure = None
        if not self.probes:
            self.weights = []
        self.note_weights(weights)
        if not onward:
            self.position = None if self.probes else Position()
        return self.position or Position()

    def check_not_counted(self) -> None:
        """Check that no source is counted into it.

        Raises
        ------
        ProducerError
            If one is: two would add to the same counts at once.
        """
        if self.counted_by is not None and self.counted_by() is not None:
            message = (
                "this run is being counted: let that come to its end, or close it, before another "
                "source is counted into it, or count that into a run of its own and merge the two."
            )
            raise ProducerError(message)

    def tally(self, layer: str) -> Tally:
        """The counts of one layer.

        Raises
        ------
        LayerSelectionError
            If there is no such layer.
        NoProbesError
            If there are no layers because the run broke off.
        """
        if not self.tallies and self.failure is not None:
            so = "there are no layers"
            raise self.nothing_counted(so)
        try:
            return self.tallies[layer]
        except (KeyError, TypeError):
            raise unknown_layer(layer, list(self.tallies)) from None

    @contextmanager
    def being_read(self) -> Iterator[Run]:
        """Have nothing counted meanwhile, so that what is read is of one moment.

        Raises
        ------
        NoProbesError
            If nothing has been counted.
        """
        with self.lock:
            if not self.probes and self.tallies and self.failure is None:
                message = "the producer gave only empty batches: there is nothing to read."
                raise NoProbesError(message)
            if not self.probes:
                so = "there is nothing to read"
                raise self.nothing_counted(so)
            yield self

    def recounted(self, layer: str, tolerances: Tolerances) -> LayerRecount | None:
        """What the last recount says of a layer, if it was made at these tolerances."""
        if self.recount is None or not self.recount.answers(tolerances):
            return None
        return self.recount.layers[layer]

    def nothing_counted(self, so: str) -> NoProbesError:
        """The error for a reader of what is not there, which tells what ended the run.

        Parameters
        ----------
        so : str
            What cannot be done, such as ``"there is nothing to read"``.
        """
        if self.failure is None:
            return NoProbesError(f"nothing has been counted yet, so {so}.")
        return self.failure.reported(f"nothing was counted, so {so}")

    def note_weights(self, fingerprint: str | None) -> None:
        """Note the weights of a model that is counted; None where they are not known."""
        if fingerprint is not None and fingerprint not in self.weights:
            self.weights.append(fingerprint)

    def why_not_continued(
        self, options: CountOptions, weights: str | None, *, by_group: bool
    ) -> str:
        """Why it cannot be continued with these options, on a model of these weights; "" if it can.

        Parameters
        ----------
        options : CountOptions
        weights : str or None
            Their fingerprint.
        by_group : bool
            Whether the probes to come are told apart by group.
        """
        names = ["units", "channel_axis", "keep_inactive", "top_probes", "causes"]
        pairs = {name: (getattr(self.options, name), getattr(options, name)) for name in names}
        if options.keep_inactive:
            pairs["atol"] = self.options.tolerances.atol, options.tolerances.atol
        for name, (there, here) in pairs.items():
            if here != there:
                return f"{name} was {there!r} and is {here!r} now"
        here, there = options.grid, self.options.grid
        if here != there:
            first = first_difference(here.values, there.values)
            numbers = f"it has {len(there)} stops, and here there are {len(here)}"
            return f"{numbers}: they first differ at {first:g}"
        if weights is not None and self.weights and weights not in self.weights:
            return "the model had other weights"
        if self.position is None:
            return "it holds several runs, merged, or counted one after the other"
        if self.probes and by_group is not (self.groups is not None):
            was, now = ("", "not ") if self.groups is not None else ("not ", "")
            return f"it was {was}counted by group, and is {now}to be now (groups=)"
        return ""

    def continue_with(self, options: CountOptions) -> None:
        """Take the options of whoever continues it: see `why_not_continued`."""
        self.options, self.budget = options, MemoryBudget(options)
        for group in (self.groups or {}).values():
            group.options = options
        self.share_with_groups()


def _not_told_apart() -> GroupError:
    message = (
        "the probes were not told apart by group: say where their labels are, such as "
        "IUA.introspect(model, loader, groups=1) for batches (x, y)."
    )
    return GroupError(message)


def held_name(layer: str, group: str) -> str:
    """The name under which memory is planned for what is counted of a layer in a group.

    Examples
    --------
    >>> held_name("relu", "cat")
    "relu of group 'cat'"
    """
    return f"{layer} of group {group!r}"
