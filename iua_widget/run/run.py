"""Run: what was counted of a stream, with all that it takes to read, save, merge or continue it."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from iua_widget.common.layer_names import base_of, unknown_layer
from iua_widget.common.turn_lock import TurnLock
from iua_widget.engines.choice import choose_engine
from iua_widget.engines.engine import Engine
from iua_widget.errors import NoProbesError, ProducerError
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

    @property
    def nbytes(self) -> int:
        """Bytes that the counts take now."""
        return sum(tally.nbytes for tally in self.tallies.values())

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
            self.failure = self.recount = self.tally_notes = None

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

    def why_not_continued(self, options: CountOptions, weights: str | None) -> str:
        """Why it cannot be continued with these options, on a model of these weights; "" if it can.

        Parameters
        ----------
        options : CountOptions
        weights : str or None
            Their fingerprint.
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
        return ""

    def continue_with(self, options: CountOptions) -> None:
        """Take the options of whoever continues it: see `why_not_continued`."""
        self.options, self.budget = options, MemoryBudget(options)
