"""The mergeable counts of one layer: how often every unit was inactive, at every stop."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from operator import add, or_
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from iua_widget.common.arithmetic import as_ieee
from iua_widget.common.tensors import is_tensor, magnitude_dtype
from iua_widget.engines.device_batch import DeviceBatch
from iua_widget.engines.engine import BatchCounts, Engine, LayerResponses
from iua_widget.engines.reference import ReferenceEngine
from iua_widget.errors import MergeError
from iua_widget.tally.store import CountStore, HostStore
from iua_widget.tally.top_candidates import TopCandidates
from iua_widget.tally.top_probes import TopProbes
from iua_widget.tally.unit_counts import count_all_waiting
from iua_widget.tally.unit_evidence import BatchEvidence, UnitEvidence
from iua_widget.tolerances import Stops
from iua_widget.units.activation import Activation
from iua_widget.units.activation import of_both as of_activations
from iua_widget.units.expert_load import ExpertLoad, of_both
from iua_widget.units.parameters import Parameters
from iua_widget.units.rule import UNKNOWN, UnitPlan, UnitRule

if TYPE_CHECKING:
    import torch

_OF_BOTH: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "entries": add,
    "masked": add,
    "mask_missed": or_,
    "merged_calls": or_,
    "many_passes": or_,
    "evidence_entries": add,
    "pre_entries": add,
}
"""Attributes of a tally beside its counts, and what makes one of those of two streams."""


@dataclass(frozen=True, slots=True)
class TallyState:
    """A tally taken apart, to be kept or sent.

    Attributes
    ----------
    facts : dict
        Numbers, strings, and tuples of them: what JSON can hold.
    arrays : dict of str to numpy.ndarray
        Those of `iua_widget.tally.store.STATES`, ``inactive``, and those of `TopProbes`.
    """

    facts: dict[str, Any]
    arrays: dict[str, np.ndarray]


class Tally:
    """Counts of one layer, of fixed size however many probes are seen.

    For stops ``e_0 = 0 < ... < e_(K-1)`` everything is counted in K + 1 columns: column ``k < K``
    answers for ``numpy.isclose(x, 0, rtol, atol=e_k)``, bit for bit and in the response's own
    dtype; column ``K`` for "x is finite", which bounds every tolerance above the last stop.

    All counts are integers and exact, the sums of squares behind the standard deviation included,
    so merging is addition, in any order and with any grouping. Only ``abs_sum`` and ``square_sum``
    are floating point.

    The counts are in its `store`. Batches that were classified on a device are counted there, and
    are moved to the host by the ``read`` of the store. What follows from them is told by
    `iua_widget.reading.statistics`.

    Parameters
    ----------
    stops : Stops
    unit_shape : tuple of int
        Shape of one probe's response; ``()`` for a single unit.
    kind : str, optional
        What made the response, such as ``"ReLU"``, for display.
    plan : UnitPlan, optional
        What a unit is; every entry where left out.
    inactive_at : float, optional
        A stop at which the number of inactive units on each probe is kept as a list (DNIKit's
        ``inactive``): the only thing that grows with the number of probes. None keeps none.
    engine : Engine, optional
        What counts; the NumPy reference by default.
    top_probes : int
        How many of the inputs with the largest responses to keep of each unit.

    Attributes
    ----------
    store : CountStore
        Where its counts are.
    entries : int
        Responses of each unit so far: probes times positions.
    masked : int
        Positions left out as padding.
    merged_calls : bool
        Whether several calls of a module or function in a pass are this layer.
    many_passes : bool
        Whether the model was called several times a batch, as `model.generate` calls it.
    mask_missed : bool
        Whether a mask was given that cannot belong to this layer's responses.
    load : ExpertLoad or None
        Where it is an expert's layer, what that got of the tokens.
    top : TopProbes or None
        The inputs with the largest responses of each unit, where these are kept.
    evidence_entries, pre_entries : int
        Responses of each unit of which there is evidence, and of which there are pre-activations:
        what these tell holds where it is all of `entries`.
    activation : Activation or None
        What is known of the function that made the responses, where that was asked for.
    parameters : dict or None
        What is known of the module before that: see `iua_widget.units.parameters.Parameters.facts`.
        Its evidence holds only where this is known, of all of the data.
    response_shape : tuple of int or None
        Shape of one batch item's response as it came; None for an axis whose length varies.
    dtypes : set of str
        The dtypes the responses came in.
    to_come : int
        Probes it will have, as far as that is known when the first are added.
    most_waiting : int
        Probes that may wait to be counted, which takes less time for many together.

    Examples
    --------
    >>> import numpy as np
    >>> stops = Stops([0, 0.5])
    >>> tally = Tally(stops, (2,))
    >>> tally.add(tally.classify(np.array([[0.0, 1.0], [0.0, 0.25]])))
    >>> tally.store.read_counts().up_to(1)
    array([2, 1])
    """

    def __init__(
        self,
        stops: Stops,
        unit_shape: tuple[int, ...],
        *,
        kind: str = "array",
        plan: UnitPlan | None = None,
        inactive_at: float | None = None,
        engine: Engine | None = None,
        top_probes: int = 0,
    ) -> None:
        self.stops = stops
        self.unit_shape = tuple(unit_shape)
        self.units = math.prod(self.unit_shape)
        self.kind = kind
        self.plan = plan or UnitPlan("element", _conventional_axis(self.unit_shape))
        self.engine: Engine = engine or ReferenceEngine()
        self.inactive_at = inactive_at
        column = None if inactive_at is None else stops.locate(inactive_at).lower
        self.store: CountStore = HostStore(self.units, len(stops) + 1, self.engine, column)
        self.top = TopProbes(self.units, top_probes) if top_probes else None
        self.to_come = 0
        self.most_waiting = 0
        self._count_nothing()

    def _count_nothing(self) -> None:
        self.response_shape: tuple[int | None, ...] | None = None
        self.dtypes: set[str] = set()
        self.entries = self.masked = 0
        self.evidence_entries = self.pre_entries = 0
        self.activation: Activation | None = None
        self.parameters: dict[str, Any] | None = None
        self.mask_missed = self.merged_calls = self.many_passes = False
        self.load: ExpertLoad | None = None

    @property
    def probes(self) -> int:
        """Probes counted so far: tokens, where these are the probes."""
        return self.store.probes

    @property
    def seen(self) -> bool:
        """Whether any response has come, be it padding: one of no rows tells little of units."""
        return bool(self.entries or self.masked)

    @property
    def nbytes(self) -> int:
        """What the counts of its units take now, and their top probes."""
        return self.store.nbytes + (0 if self.top is None else self.top.nbytes)

    @property
    def columns(self) -> tuple[int, ...]:
        """The columns at which units are counted: all, where memory was not short."""
        return self.store.columns

    @property
    def thinned(self) -> bool:
        """Whether units are counted at fewer than all stops."""
        return len(self.columns) <= len(self.stops)

    @property
    def waiting(self) -> int:
        """Probes that were added and wait to be counted: at the latest until they are read."""
        return self.store.counts.waiting if isinstance(self.store, HostStore) else 0

    @property
    def channel_axis(self) -> int | None:
        """The axis of `unit_shape` that counts channels, where a channel has several units."""
        axis = self.plan.channel_axis
        several = self.plan.choice == "element" and len(self.unit_shape) > 1
        return axis - 1 if several and axis is not None else None

    @property
    def channels(self) -> int | None:
        """Channels of a layer whose units are the entries of several channels; otherwise None."""
        axis = self.channel_axis
        return None if axis is None else self.unit_shape[axis]

    def clear(self) -> None:
        """Forget what was counted, and keep all that was made for it."""
        self.store.clear()
        if self.top is not None:
            self.top.clear()
        self._count_nothing()

    def thin(self, columns: Sequence[int]) -> None:
        """Count units at these columns only, some of those until now, with the last of them.

        Means, standard deviations and what is dead stay exact at every stop; counts of units are
        known within bounds at the stops left out.
        """
        if tuple(columns) != self.columns:
            self.store.thin(columns)

    def reserve(self, probes: int, device: torch.device | None = None) -> None:
        """Make room for this many further probes: what `add` then does needs no more memory.

        Parameters
        ----------
        probes : int
        device : torch.device, optional
            Where they are counted; on the host where left out.
        """
        if self.store.device != device:
            self.store = self.store.read()
            if device is not None:
                from iua_widget.tally.device import DeviceStore

                self.store = DeviceStore(device, self.store)
        self.store.reserve(probes, self.to_come)
        if self.top is not None:
            self.top.reserve()

    def classify(
        self, values: np.ndarray | torch.Tensor, *, running: bool = False
    ) -> BatchCounts | DeviceBatch:
        """Sort a batch's magnitudes into bins, without counting them yet.

        Parameters
        ----------
        values : numpy.ndarray or torch.Tensor, shape (probes, units) or (probes, positions, units)
            Real floating or complex; a tensor where the engine takes it. See `Engine.classify`.
        running : bool
            Whether nothing will be added before this batch is: then it may be added to the sums
            that there are at once.

        Returns
        -------
        BatchCounts or DeviceBatch
            To be given to `add`.
        """
        one = self.responses(values, running=running)
        return self.engine.classify(one.values, one.thresholds, one.running)

    def responses(
        self, values: np.ndarray | torch.Tensor, *, running: bool = False
    ) -> LayerResponses:
        """What `classify` gives to the engine, which takes several layers at once as well."""
        thresholds = self.stops.thresholds(magnitude_dtype(values))
        if not running or is_tensor(values) or not isinstance(self.store, HostStore):
            return LayerResponses(values, thresholds)
        return LayerResponses(values, thresholds, self.store.magnitudes.running())

    def add(
        self,
        batch: BatchCounts | DeviceBatch,
        *,
        number: int = 0,
        masked: int = 0,
        among_others: bool = False,
    ) -> None:
        """Count a classified batch.

        Parameters
        ----------
        batch : BatchCounts or DeviceBatch
        number : int
            Which batch of the stream it is, from 0.
        masked : int
            Positions of it that are padding, left out or zeros.
        among_others : bool
            Whether other layers of the batch are added, too: room for all of them has been made by
            `reserve`, and `count_overdue` will be called once they are.
        """
        device = batch.bins.device if isinstance(batch, DeviceBatch) else None
        if not among_others or self.store.device != device:
            self.reserve(len(batch.bins), device)
        self.store.add(batch, number)
        if not among_others:
            count_overdue([self])
        self.entries += batch.entries
        self.masked += masked

    def add_top(self, found: TopCandidates | None, indices: np.ndarray) -> None:
        """Keep the largest of what was found in a response; None where its inputs are not known.

        `indices`, of int64 and shape (inputs,), are the places of the batch's inputs in the stream.
        """
        if self.top is not None and found is not None:
            self.top.add(found, indices)
        elif self.top is not None:
            self.top.missed = True

    def add_evidence(
        self, batch: BatchEvidence, activation: Activation | None, parameters: Parameters | None
    ) -> None:
        """Add what a batch tells of why units are dead or stuck; before `add` counts it."""
        self.activation = (
            activation if not self.seen else of_activations(self.activation, activation)
        )
        self._note_parameters(parameters)
        self.store.add_evidence(batch)
        self.evidence_entries += batch.entries
        self.pre_entries += 0 if batch.before is None else batch.entries

    def _note_parameters(self, parameters: Parameters | None) -> None:
        facts = None if parameters is None else parameters.facts
        if parameters is None or (self.seen and self.parameters != facts):
            self.parameters = None
            return
        if self.parameters is None or self.store.evidence.weight_max is None:
            plan = self.plan
            arrays = parameters.of_units(self.unit_shape, plan.choice, plan.channel_axis)
            for name, array in (arrays or {}).items():
                setattr(self.store.evidence, name, array)
            facts = None if arrays is None else facts
        self.parameters = facts

    @property
    def evidence(self) -> UnitEvidence | None:
        """What is known of the extremes of its units; None where not all of the data is."""
        complete = self.entries and self.evidence_entries == self.entries
        return self.store.evidence if complete else None

    @property
    def has_pre_activations(self) -> bool:
        """Whether the evidence has the pre-activations of all of the data."""
        return self.evidence is not None and self.pre_entries == self.entries

    def note_dtype_and_shape(self, dtype: str, shape: tuple[int | None, ...]) -> None:
        """Note the dtype and the shape in which a batch's response came."""
        self.dtypes.add(dtype)
        self.response_shape = _common_shape(self.response_shape, shape)

    def release_buffers(self) -> None:
        """Free what is kept for the next batch only."""
        if isinstance(self.store, HostStore):
            self.store.magnitudes.release_buffers()

    def state(self) -> TallyState:
        """Everything that is needed to go on from here, or to merge.

        Returns
        -------
        TallyState
            Its arrays are the tally's own where it had seen a probe: copy what is to last.
        """
        store = self.store.read()
        arrays = store.arrays()
        if store.inactive is not None:
            arrays["inactive"] = np.concatenate([np.zeros(0, np.int64), *store.inactive])
        if self.top is not None:
            arrays |= self.top.arrays()
        return TallyState(self.facts, arrays)

    @property
    def facts(self) -> dict[str, Any]:
        """What is known of it beside arrays: see `TallyState`."""
        return {
            "kind": self.kind,
            "unit": self.plan.choice,
            "channel_axis": self.plan.channel_axis,
            "unit_shape": self.unit_shape,
            "response_shape": self.response_shape,
            "dtypes": sorted(self.dtypes),
            "probes": self.probes,
            **{name: getattr(self, name) for name in _OF_BOTH},
            "load": None if self.load is None else asdict(self.load),
            "activation": None if self.activation is None else asdict(self.activation),
            "parameters": self.parameters,
            "columns": self.columns,
            "inactive_at": self.inactive_at,
            "top": None if self.top is None else self.top.facts,
            "first_non_finite": self.store.read_magnitudes().first_non_finite,
        }

    @classmethod
    def from_state(cls, stops: Stops, state: TallyState, engine: Engine | None = None) -> Tally:
        """The tally of a state, which is believed: the arrays become the tally's own."""
        tally = cls.from_facts(stops, state.facts, engine)
        store = tally.store.read()
        store.restore(state.arrays, state.facts["probes"])
        store.magnitudes.first_non_finite = state.facts["first_non_finite"]
        if store.inactive is not None:
            store.inactive.append(state.arrays["inactive"])
        if state.facts["top"] is not None:
            tally.top = TopProbes.of(state.facts["top"], state.arrays)
        return tally

    @classmethod
    def from_facts(
        cls, stops: Stops, facts: Mapping[str, Any], engine: Engine | None = None
    ) -> Tally:
        """A tally of such facts, for the arrays that go with them: it has no probes yet."""
        tally = cls(
            stops,
            tuple(facts["unit_shape"]),
            kind=facts["kind"],
            plan=UnitPlan(facts["unit"], facts["channel_axis"]),
            inactive_at=facts["inactive_at"],
            engine=engine,
            top_probes=0 if facts["top"] is None else facts["top"]["k"],
        )
        shape, load = facts["response_shape"], facts["load"]
        tally.response_shape = None if shape is None else tuple(shape)
        tally.dtypes = set(facts["dtypes"])
        for name in _OF_BOTH:
            setattr(tally, name, facts[name])
        tally.load = None if load is None else ExpertLoad(**load)
        activation = facts["activation"]
        tally.activation = None if activation is None else Activation(**activation)
        tally.parameters = facts["parameters"]
        tally.thin(facts["columns"])
        return tally

    @as_ieee
    def merged(self, other: Tally, inputs: int = 0) -> Tally:
        """A new tally of both streams, this one's probes first: see `joined`.

        `inputs` are those of this stream, by which the places of the other's are moved.
        """
        merged = self.joined(other)
        merged.reserve(self.probes + other.probes)
        for part in (self, other):
            if part.seen:
                merged.store.read().absorb(part.store.read())
        if merged.top is not None:
            for part, before in ((self, 0), (other, inputs)):
                if part.seen and part.top is not None:
                    merged.top.absorb(part.top, before)
        return merged

    def joined(self, other: Tally) -> Tally:
        """A tally for the counts of both streams, without them: what it is of, and its facts.

        One that nothing has reached agrees with any other.

        Raises
        ------
        MergeError
            If the stops or the units differ, or what a unit is.
        """
        if self.stops != other.stops:
            message = (
                f"the stops differ: {len(self.stops)} here and {len(other.stops)} there, "
                f"first at {first_difference(self.stops.values, other.stops.values)}. "
                "Count both with the same `stops=` and `atol=`."
            )
            raise MergeError(message)
        seen = [part for part in (self, other) if part.seen]
        parts = seen or [self if self.dtypes else other]
        first, last = parts[0], parts[-1]
        if first.unit_shape != last.unit_shape:
            message = (
                f"the units differ: shape {self.unit_shape} here, {other.unit_shape} there. Count "
                "both with the same model, and inputs of the same size."
            )
            raise MergeError(message)
        if first.plan != last.plan:
            message = (
                f"what a unit is differs: {self.plan} here, {other.plan} there. Count both with "
                "the same `units=` and `channel_axis=`."
            )
            raise MergeError(message)
        joined = Tally(
            self.stops,
            first.unit_shape,
            kind=first.kind,
            plan=first.plan,
            inactive_at=self.inactive_at if self.inactive_at == other.inactive_at else None,
            engine=self.engine,
            top_probes=min(0 if part.top is None else part.top.k for part in parts),
        )
        held = [set(part.columns) for part in seen or (self, other)]
        joined.thin(sorted(set.intersection(*held)))
        for part in parts:
            joined._take_facts(part)
        joined.dtypes = self.dtypes | other.dtypes
        joined.load = of_both(self.load, other.load)
        joined.activation = of_activations(first.activation, last.activation)
        joined.parameters = first.parameters if first.parameters == last.parameters else None
        return joined

    def _take_facts(self, part: Tally) -> None:
        for name, of_both_streams in _OF_BOTH.items():
            setattr(self, name, of_both_streams(getattr(self, name), getattr(part, name)))
        if part.response_shape is not None:
            self.response_shape = _common_shape(self.response_shape, part.response_shape)


def first_difference(here: Sequence[float], there: Sequence[float]) -> float:
    """The smallest stop that only one of two grids has.

    Examples
    --------
    >>> first_difference((0.0, 0.1, 1.0), (0.0, 0.5, 1.0))
    0.1
    """
    return min(set(here) ^ set(there))


def _conventional_axis(unit_shape: tuple[int, ...]) -> int | None:
    """The channel axis of a response by convention: see `UnitRule`."""
    return UnitRule().plan("", (0, *unit_shape), UNKNOWN).channel_axis


def _common_shape(
    known: tuple[int | None, ...] | None, shape: tuple[int | None, ...]
) -> tuple[int | None, ...]:
    if known is None or len(known) != len(shape):
        return shape
    return tuple(one if one == other else None for one, other in zip(known, shape, strict=True))


def count_waiting(tallies: Iterable[Tally]) -> None:
    """Count the probes that wait in some tallies, on all cores."""
    stores = (tally.store for tally in tallies)
    count_all_waiting(store.counts for store in stores if isinstance(store, HostStore))


def count_overdue(tallies: Iterable[Tally]) -> None:
    """Count those of which more wait than may."""
    count_waiting(tally for tally in tallies if tally.waiting > tally.most_waiting)
