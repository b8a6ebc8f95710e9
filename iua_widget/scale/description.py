"""What ranks tell each other of their runs before they sum, and what all then know of the whole."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import reduce
from typing import Any, Final

from iua_widget.common.labels import Label, label_of_two
from iua_widget.common.words import listed, named
from iua_widget.errors import DistributedError, MergeError
from iua_widget.options import CountOptions
from iua_widget.reading.notes import notes_of_both
from iua_widget.run.layer_order import merged_order
from iua_widget.run.run import Run
from iua_widget.tally.store import STATES
from iua_widget.tally.tally import Tally


@dataclass(frozen=True, slots=True)
class Description:
    """A rank's run without its counts, of a size that does not grow with units or probes.

    Attributes
    ----------
    failed : str
        What kept the rank from counting its part; empty otherwise.
    options : dict
        Those that all ranks must share.
    layers : dict of str to dict
        Facts of each layer: see `iua_widget.tally.tally.TallyState`, and what it has of the arrays
        that are not always there: see `iua_widget.tally.store.State`.
    probes, inputs_passed, steady, weights, notes
        Those of the run.
    step : int or None
        Of training, where a model is looked at while it trains.
    groups : dict of str to Description, or None
        Of each group of the probes; None where these are not told apart.
    labels : frozenset of Label
        Of a group, those of its probes.
    not_by_group : tuple of str
        Layers that are counted as a whole only.
    """

    failed: str = ""
    step: int | None = None
    options: dict[str, Any] = field(default_factory=dict)
    layers: dict[str, dict[str, Any]] = field(default_factory=dict)
    probes: int = 0
    inputs_passed: int = 0
    steady: bool = True
    weights: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    groups: dict[str, Description] | None = None
    labels: frozenset[Label] = frozenset()
    not_by_group: tuple[str, ...] = ()

    @classmethod
    def of(cls, run: Run) -> Description:
        """Of a run, into which nothing may be counted meanwhile."""
        layers = {
            name: {**tally.facts, **_optional_arrays(tally)} for name, tally in run.tallies.items()
        }
        return cls(
            options=options_of(run.options),
            layers=layers,
            probes=run.probes,
            inputs_passed=run.inputs_passed,
            steady=run.steady,
            weights=tuple(run.weights),
            notes=tuple(run.kept_notes),
            groups=None
            if run.groups is None
            else {name: replace(cls.of(group), notes=()) for name, group in run.groups.items()},
            labels=frozenset(run.labels),
            not_by_group=tuple(run.not_by_group),
        )

    def group(self, name: str, left_out: Iterable[str]) -> Description:
        """Of a group, without some layers; of nothing where there is no such group here."""
        group = (self.groups or {}).get(name)
        if group is None:
            return Description(options=self.options)
        layers = {name: one for name, one in group.layers.items() if name not in left_out}
        return replace(group, layers=layers)


@dataclass(frozen=True, slots=True)
class Whole:
    """What the ranks' runs are together, but for the counts: the same on every rank.

    Attributes
    ----------
    layers : dict of str to Tally
        What each is of, and its facts: without counts.
    probes : dict of str to list of int
        Of each layer on every rank.
    optional : dict of str to set of str
        What a layer has of the arrays that are not always there: see `State`.
    first_non_finite : dict of str to int or None
        The first batch with any, of the first rank that had one.
    inputs, inputs_passed : int
        Inputs counted, and those of the stream.
    before : dict of str to list of int
        Of each layer, how many inputs the ranks before each one have passed of its stream.
    steady : bool
    weights, notes : list of str
    groups : dict of str to Whole, or None
        Each group of the probes, likewise; None where these are not told apart.
    labels : set of Label
        Of a group, those of its probes.
    not_by_group : list of str
        Layers that are counted as a whole only.
    """

    layers: dict[str, Tally]
    probes: dict[str, list[int]]
    optional: dict[str, set[str]]
    first_non_finite: dict[str, int | None]
    inputs: int
    inputs_passed: int
    before: dict[str, list[int]]
    steady: bool
    weights: list[str]
    notes: list[str]
    groups: dict[str, Whole] | None
    labels: set[Label]
    not_by_group: list[str]


_OPTIONAL: Final = tuple(dict.fromkeys(state.optional for state in STATES if state.optional))


def _optional_arrays(tally: Tally) -> dict[str, bool]:
    """Which of the arrays that are not always there a tally has."""
    store = tally.store.read()
    return {state.optional: state.of(store) is not None for state in STATES if state.optional}


def options_of(options: CountOptions) -> dict[str, Any]:
    """Those that all ranks must share."""
    return {
        **asdict(options.tolerances),
        "stops": options.grid.values,
        "keep_inactive": options.keep_inactive,
        "causes": options.causes,
        "units": options.units,
        "channel_axis": options.channel_axis,
        "top_probes": options.top_probes,
    }


def whole_of(told: Sequence[Description], options: CountOptions) -> Whole:
    """What the runs of all ranks are together: all come to the same, or to the same error.

    Ranks that have a layer in common count parts of one stream; those that have none, as stages of
    a pipeline have not, count the same inputs.

    Raises
    ------
    DistributedError
        If a rank could not count its part.
    MergeError
        If they cannot be one run: the message says how they differ, and on which ranks.
    """
    check_alike(told)
    streams = _streams(told)
    _check_weights(told, streams)
    order = reduce(_order, (list(one.layers) for one in told))
    begun = [one for one in told if one.layers]
    noted = [list(one.notes) for one in told if one.layers or one.notes]
    notes = reduce(notes_of_both, noted) if noted else []
    steady = all(one.steady for one in begun)
    apart = [layer for layer in order if any(layer not in one.layers for one in begun)]
    if apart:
        _check_may_differ(told, apart, steady=steady)
        notes.append(
            f"Only some of the ranks had {named(apart)}: each layer is counted over those that had "
            "it."
        )
    before = {layer: _before(told, layer, streams) for layer in order}
    return Whole(
        layers={layer: _joined(told, layer, options) for layer in order},
        probes={layer: _facts(told, layer, "probes", 0) for layer in order},
        optional={
            layer: {name for name in _OPTIONAL if any(_facts(told, layer, name, 0))}
            for layer in order
        },
        first_non_finite={layer: _first_non_finite(told, layer) for layer in order},
        inputs=max(
            (sum(told[rank].probes for rank in ranks) for ranks in streams),
            default=sum(one.probes for one in told),
        ),
        inputs_passed=max(
            (sum(told[rank].inputs_passed for rank in ranks) for ranks in streams), default=0
        ),
        before=before,
        steady=steady,
        weights=list(dict.fromkeys(mark for one in begun for mark in one.weights)),
        notes=notes,
        groups=_groups(told, options, before),
        labels=set().union(*(one.labels for one in told)),
        not_by_group=_not_by_group(told),
    )


def _not_by_group(told: Sequence[Description]) -> list[str]:
    return list(dict.fromkeys(layer for one in told for layer in one.not_by_group))


def _groups(
    told: Sequence[Description], options: CountOptions, before: dict[str, list[int]]
) -> dict[str, Whole] | None:
    """What the groups of all ranks are together, by name: not every rank has them all."""
    begun = [rank for rank, one in enumerate(told) if one.layers or one.groups is not None]
    without = [rank for rank in begun if told[rank].groups is None]
    if len(without) == len(begun):
        return None
    if without:
        message = (
            f"rank {without[0]} does not count by group (groups=), and others do: give the same to "
            "all of them."
        )
        raise MergeError(message)
    left_out = _not_by_group(told)
    names = dict.fromkeys(name for one in told for name in one.groups or ())
    wholes = {}
    for name in names:
        whole = whole_of([one.group(name, left_out) for one in told], options)
        wholes[name] = replace(whole, before=before)  # also ranks that lack the group had inputs
    twice = label_of_two((name, whole.labels) for name, whole in wholes.items())
    if twice is not None:
        label, first, second = twice
        message = (
            f"the label {label!r} is of the group {first!r} on one rank and of "
            f"{second!r} on another: give the same group_names to all of them."
        )
        raise MergeError(message)
    return wholes


def _facts(told: Sequence[Description], layer: str, name: str, absent: Any) -> list[Any]:
    """A fact of a layer on every rank."""
    return [one.layers[layer][name] if layer in one.layers else absent for one in told]


def _before(told: Sequence[Description], layer: str, streams: Sequence[Sequence[int]]) -> list[int]:
    """How many inputs of a layer's stream the ranks before each one have passed."""
    stream = next(ranks for ranks in streams if any(layer in told[rank].layers for rank in ranks))
    passed = [one.inputs_passed if rank in stream else 0 for rank, one in enumerate(told)]
    return [sum(passed[:rank]) for rank in range(len(told))]


def _first_non_finite(told: Sequence[Description], layer: str) -> int | None:
    having = [one.layers[layer] for one in told if layer in one.layers]
    return next((facts["first_non_finite"] for facts in having if facts["non_finite"]), None)


def _order(known: list[str], layers: list[str]) -> list[str]:
    """The order of layers: those of the next stage of a pipeline come after."""
    return merged_order(known, layers) if {*known} & {*layers} else [*known, *layers]


def _joined(told: Sequence[Description], layer: str, options: CountOptions) -> Tally:
    having = [rank for rank, one in enumerate(told) if layer in one.layers]
    tallies = [Tally.from_facts(options.grid, told[rank].layers[layer]) for rank in having]
    whole = tallies[0]
    for rank, tally in zip(having[1:], tallies[1:], strict=True):
        try:
            whole = whole.joined(tally)
        except MergeError as error:
            message = f"layer {layer!r}, on ranks {having[0]} and {rank}: {error}"
            raise MergeError(message) from None
    return whole


def _streams(told: Sequence[Description]) -> list[list[int]]:
    """The ranks that count parts of one stream together: each has a layer in common with another.

    Examples
    --------
    >>> layers = [{"a": {}}, {"b": {}}, {}, {"a": {}, "c": {}}, {"c": {}}]
    >>> _streams([Description(layers=one) for one in layers])
    [[0, 3, 4], [1]]
    """
    streams: list[tuple[set[str], list[int]]] = []
    for rank, one in enumerate(told):
        if not one.layers:
            continue
        near = [stream for stream in streams if not stream[0].isdisjoint(one.layers)]
        streams = [stream for stream in streams if stream not in near]
        layers = set(one.layers).union(*(stream[0] for stream in near))
        streams.append((layers, [*(r for stream in near for r in stream[1]), rank]))
    return sorted(sorted(ranks) for _, ranks in streams)


def check_alike(told: Sequence[Description]) -> None:
    """Check that no rank has failed, and that all have the same options, at the same step.

    Raises
    ------
    DistributedError, MergeError
        Otherwise: the message names the ranks.
    """
    _check_none_failed(told)
    _check_steps(told)
    _check_options(told)


def _check_none_failed(told: Sequence[Description]) -> None:
    failed = [f"rank {rank}: {one.failed}" for rank, one in enumerate(told) if one.failed]
    if failed:
        message = (
            f"{len(failed)} of {len(told)} ranks could not count their part ({listed(failed)}), so "
            "there are no counts of all. What was counted on this rank is kept."
        )
        raise DistributedError(message)


def _check_steps(told: Sequence[Description]) -> None:
    for rank, one in enumerate(told):
        if one.step != told[0].step:
            message = (
                f"the ranks look at different steps of training: at step {told[0].step} on rank 0, "
                f"at step {one.step} on rank {rank}. Call monitor.step() on every rank after each "
                "step of the optimizer."
            )
            raise MergeError(message)


def _check_options(told: Sequence[Description]) -> None:
    first = told[0].options
    for rank, one in enumerate(told):
        for name, there in one.options.items():
            if there != first[name]:
                message = (
                    f"the ranks count with other options: {name} is {first[name]!r:.200} on rank 0 "
                    f"and {there!r:.200} on rank {rank}. Give the same to all of them."
                )
                raise MergeError(message)


def _check_weights(told: Sequence[Description], streams: Iterable[Iterable[int]]) -> None:
    for ranks in streams:
        known = {rank: told[rank].weights for rank in ranks if told[rank].weights}
        (first, there), *others = known.items() or [(0, ())]
        for rank, here in others:
            if set(here) != set(there):
                message = (
                    "the model has other weights on some ranks: their fingerprints are "
                    f"{listed(there)} on rank {first} and {listed(here)} on rank {rank}. Load the "
                    "same on all, or wrap the model by DistributedDataParallel, which sends those "
                    "of rank 0; ranks with parts of a layer (tensor parallel) count it only in "
                    "groups that have the same part: iua.all_reduce(group)."
                )
                raise MergeError(message)


def _check_may_differ(told: Sequence[Description], apart: Sequence[str], *, steady: bool) -> None:
    """A model may pass by a layer, or be a stage of a pipeline; arrays must have the same names."""
    if steady or any(one.steady for one in told if one.layers):
        without = next(
            rank for rank, one in enumerate(told) if one.layers and apart[0] not in one.layers
        )
        message = (
            f"the layers differ: {named(apart)} are not on all ranks, {apart[0]!r} not on rank "
            f"{without}. Give arrays of the same names on all of them."
        )
        raise MergeError(message)
