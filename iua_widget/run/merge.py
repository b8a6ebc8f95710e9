"""Merges runs into one, as if one had counted all their streams one after another."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import reduce

from iua_widget.common.labels import Label, label_of_two
from iua_widget.common.words import named
from iua_widget.errors import IUAWarning, MergeError
from iua_widget.reading.notes import notes_of_both
from iua_widget.run.layer_order import merged_order
from iua_widget.run.notes import OTHER_WEIGHTS
from iua_widget.run.run import Run
from iua_widget.sources.position import Position
from iua_widget.tally.tally import Tally


def merged(given: Sequence[object]) -> Run:
    """One run of several, the first one's probes first; the run itself where it is only one.

    Parameters
    ----------
    given : sequence of Run
        As they come from whoever calls `IUA.merge`: checked here.

    Raises
    ------
    MergeError
        If they cannot be one run, saying how they differ, or one is no run.

    Warns
    -----
    IUAWarning
        If they were counted with different weights of the model, as far as that is known.
    """
    runs = [_checked(one) for one in given]
    if not runs:
        message = "there is nothing to merge: write IUA.merge(one, other)."
        raise MergeError(message)
    whole = reduce(_merged, runs)
    if len({frozenset(run.weights) for run in runs if run.weights}) > 1:
        warnings.warn(OTHER_WEIGHTS, IUAWarning, stacklevel=3)
    return whole


def _checked(one: object) -> Run:
    if not isinstance(one, Run):
        message = (
            f"IUA.merge takes IUA results; got {type(one).__name__}: write "
            "IUA.merge(one, other), of files IUA.merge(*map(IUA.load, paths))."
        )
        raise MergeError(message)
    return one


def _merged(one: Run, other: Run) -> Run:
    both = set(one.tallies) & set(other.tallies)
    layers = merged_order(one.tallies, other.tallies)
    apart = [name for name in layers if name not in both]
    # A model may pass by a layer; arrays of other names are another network's.
    if apart and one.tallies and other.tallies and (not both or one.steady or other.steady):
        only_here, only_there = (sorted(set(run.tallies) - both)[:5] for run in (one, other))
        message = (
            f"the layers differ: only here {only_here}, only there {only_there}. Count both with "
            "the same model, or names of arrays, and the same `layers=`."
        )
        raise MergeError(message)
    keep = one.options.keep_inactive and other.options.keep_inactive
    options = replace(
        one.options,
        keep_inactive=keep,
        causes=one.options.causes and other.options.causes,
        top_probes=_top_probes(one, other),
    )
    run = Run(options, one.engine)
    # In one order whichever is merged into which: two threads may merge both ways at once.
    first, second = sorted((one.lock, other.lock), key=id)
    with first, second:
        run.position = _position(one, other)
        run.probes = one.probes + other.probes
        run.inputs_passed = one.inputs_passed + other.inputs_passed
        run.source_notes = notes_of_both(one.kept_notes, other.kept_notes)
        run.steady = one.steady and other.steady
        run.weights = list(dict.fromkeys([*one.weights, *other.weights]))
        if apart and both:
            note = f"Only in some of the runs that were merged was there {named(apart)}."
            run.source_notes.append(note)
        for name in layers:
            like = one.tallies.get(name) or other.tallies[name]
            here, there = (_tally_or_empty(part, name, like) for part in (one, other))
            try:
                run.tallies[name] = here.merged(there, one.inputs_passed)
            except MergeError as error:
                message = f"layer {name!r}: {error}"
                raise MergeError(message) from None
        _merge_groups(run, one, other)
    return run


def _merge_groups(run: Run, one: Run, other: Run) -> None:
    """Merge the groups of two runs into those of one, by name."""
    begun = [part for part in (one, other) if part.probes or part.groups is not None]
    if all(part.groups is None for part in begun):
        return
    if any(part.groups is None for part in begun):
        message = (
            "one was counted by group (groups=), and the other was not: what groups have would not "
            "be the whole. Count both by group, or neither."
        )
        raise MergeError(message)
    run.groups, run.not_by_group = {}, one.not_by_group | other.not_by_group
    labels: list[tuple[str, set[Label]]] = []
    for name in (one.groups or {}) | (other.groups or {}):
        parts = [_part_of_group(run, part, name) for part in (one, other)]
        group = _merged(*parts)
        group.labels = parts[0].labels | parts[1].labels
        labels.append((name, group.labels))
        run.add_groups({name: group})
    twice = label_of_two(labels)
    if twice is not None:
        label, first, second = twice
        message = (
            f"the label {label!r} is of the group {first!r} in one and of "
            f"{second!r} in the other: count both with the same group_names."
        )
        raise MergeError(message)


def _part_of_group(run: Run, whole: Run, name: str) -> Run:
    """What is merged of a group of one of two runs, which may lack it."""
    part, group = run.new_group(set()), (whole.groups or {}).get(name)
    part.inputs_passed = whole.inputs_passed
    if group is not None:
        part.labels, part.probes, part.steady = group.labels, group.probes, group.steady
        part.tallies = {
            name: tally for name, tally in group.tallies.items() if name not in run.not_by_group
        }
    return part


def _position(one: Run, other: Run) -> Position | None:
    """The place in the stream of which both are: known where at most one has counted of any."""
    begun = [part for part in (one, other) if part.tallies or part.position != Position()]
    return None if len(begun) > 1 else copy(begun[0].position) if begun else Position()


def _top_probes(one: Run, other: Run) -> int | Mapping[str, int]:
    """The fewer of the top probes that runs have kept, of each layer; those of a begun one."""
    here, there = one.options, other.options
    if here.top_probes == there.top_probes or not other.tallies:
        return here.top_probes
    if not one.tallies:
        return there.top_probes
    layers = merged_order(one.tallies, other.tallies)
    return {name: min(here.top_probes_of(name), there.top_probes_of(name)) for name in layers}


def _tally_or_empty(run: Run, layer: str, like: Tally) -> Tally:
    """A layer's tally; one of no probe where only another run has reached the layer."""
    return run.tallies.get(layer) or run.new_tally(layer, like.unit_shape, like.kind, like.plan)
