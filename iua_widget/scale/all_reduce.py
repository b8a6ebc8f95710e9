"""Sums the counts of all ranks' runs, so that every rank has those of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from iua_widget.run.run import Run
from iua_widget.scale.description import Description, Whole, whole_of
from iua_widget.scale.part import run_of_whole
from iua_widget.scale.ranks import Ranks
from iua_widget.scale.telling import failures_told
from iua_widget.tally.store import STATES, State
from iua_widget.tally.tally import Tally, TallyState
from iua_widget.tally.unit_counts import counter_dtype

BUCKET_BYTES: Final = 2**26
"""What is summed at a time, at the most."""


@dataclass(frozen=True, slots=True)
class _Array:
    """An array that is summed: what this rank has of it, from where on, and where the sum goes.

    Where it has nothing, it has `empty`. The smallest values are the largest of what is negated.
    """

    here: np.ndarray
    start: int
    whole: np.ndarray
    empty: float = 0
    negated: bool = False


_Kind = tuple[str, bool]
"""In which dtype arrays are sent, and whether the largest values are looked for, not sums."""


def all_reduced(run: Run, ranks: Ranks, step: int | None = None) -> Run:
    """A new run of what all ranks have counted: the same on each of them.

    Descriptions are exchanged once. Then arrays are summed, in buffers that have the same shape on
    all ranks and at most `BUCKET_BYTES`: counters, other whole numbers, floating sums, and largest
    values.

    Parameters
    ----------
    run : Run
        Stays as it is.
    ranks : Ranks
    step : int, optional
        Of training, at which all ranks look.

    Raises
    ------
    DistributedError
        If a rank does not answer, or could not count its part.
    MergeError
        If the ranks' runs cannot be one.
    ProducerError
        If something is counted into the run.
    """
    with failures_told(ranks):
        run.check_not_counted()
    with run.lock:
        with failures_told(ranks):
            description = replace(Description.of(run), step=step)
        told: list[Description] = ranks.exchange(description)
        whole = whole_of(told, run.options)
        here, groups = run.groups or {}, whole.groups or {}
        parts = [(run.tallies, whole)]
        parts += [
            (here[name].tallies if name in here else {}, group) for name, group in groups.items()
        ]
        arrays, *of_groups = _summed(parts, ranks)
        for tallies, part in parts:
            for layer, joined in part.layers.items():
                _gather_top(tallies.get(layer), joined, part.before[layer], ranks)
    result = run_of_whole(run, whole)
    _fill(result, whole, arrays)
    if whole.groups is not None:
        result.groups, result.not_by_group = {}, dict.fromkeys(whole.not_by_group)
    for (name, group), arrays in zip(groups.items(), of_groups, strict=True):
        of_group = run_of_whole(result, group)
        of_group.labels = group.labels
        _fill(of_group, group, arrays)
        result.add_groups({name: of_group})
    return result


_Arrays = dict[str, dict[str, np.ndarray]]
"""By layer, and by their own names."""


def _fill(run: Run, whole: Whole, arrays: _Arrays) -> None:
    """Have the tallies of a run hold what was counted on all ranks."""
    for layer, joined in whole.layers.items():
        facts = {
            **joined.facts,
            "probes": sum(whole.probes[layer]),
            "first_non_finite": whole.first_non_finite[layer],
            "top": None,
        }
        state = TallyState(facts, arrays[layer])
        tally = Tally.from_state(run.options.grid, state, run.engine)
        tally.store.read_moments().carry()
        tally.top = joined.top
        run.tallies[layer] = tally


def _summed(parts: Sequence[tuple[Mapping[str, Tally], Whole]], ranks: Ranks) -> list[_Arrays]:
    """The arrays of each layer, summed over all ranks: of all probes, and of each group.

    Parameters
    ----------
    parts : sequence of (mapping of str to Tally, Whole)
        What this rank has of each, and what all have together: that of all probes first.
    ranks : Ranks
    """
    most = max((sum(probes) for probes in parts[0][1].probes.values()), default=0)
    counters = _counters_sent(most)
    kinds: dict[_Kind, list[_Array]] = {
        (dtype, largest): []
        for dtype, largest in (
            (counters, False),
            ("int64", False),
            ("float64", False),
            ("float64", True),
        )
    }
    summed = [_gathered(tallies, whole, kinds, ranks.rank) for tallies, whole in parts]
    for (dtype, largest), of_kind in kinds.items():
        _sum(of_kind, np.dtype(dtype), ranks, largest=largest)
    return summed


def _gathered(
    tallies: Mapping[str, Tally], whole: Whole, kinds: Mapping[_Kind, list[_Array]], rank: int
) -> _Arrays:
    """The arrays that are to be summed, added to those of their kind."""
    counters = next(dtype for dtype, _ in kinds)
    arrays: _Arrays = {}
    for layer, joined in whole.layers.items():
        arrays[layer] = {}
        here = _arrays_of(tallies.get(layer), joined)
        probes = whole.probes[layer]
        for state in STATES:
            if state.optional and state.optional not in whole.optional[layer]:
                continue
            array = np.zeros(_shape(state, joined), _dtype(state, joined, sum(probes)))
            arrays[layer][state.name] = array
            kind = _kind(state, counters)
            negated = state.both is np.minimum
            one = here.get(state.name, _NOTHING)
            empty = -state.empty if negated else state.empty
            kinds[kind].append(_Array(-one if negated else one, 0, array, empty, negated))
        if joined.inactive_at is not None:
            array = arrays[layer]["inactive"] = np.zeros(sum(probes), np.int64)
            start = sum(probes[:rank])
            kinds["int64", False].append(_Array(here.get("inactive", _NOTHING), start, array))
    return arrays


def _gather_top(here: Tally | None, whole: Tally, before: list[int], ranks: Ranks) -> None:
    """Give the whole the top probes of all ranks, moved by the inputs of the ranks before."""
    if whole.top is None:
        return
    told = ranks.exchange(None if here is None or not here.seen else here.top)
    for top, inputs in zip(told, before, strict=True):
        if top is not None:
            whole.top.absorb(top, inputs)


_NOTHING: Final = np.zeros(0, np.uint8)


def _counters_sent(probes: int) -> str:
    """The narrowest of the dtypes in which all backends sum, for counts up to so many probes.

    Examples
    --------
    >>> _counters_sent(255), _counters_sent(256), _counters_sent(2**31)
    ('uint8', 'int32', 'int64')
    """
    fitting = (name for name in ("uint8", "int32") if probes <= np.iinfo(name).max)
    return next(fitting, "int64")


def _kind(state: State, counters: str) -> _Kind:
    if state.both in {np.maximum, np.minimum}:
        return "float64", True
    if state.name == "counts":
        return counters, False
    return np.dtype(state.dtype).name, False


def _shape(state: State, tally: Tally) -> tuple[int, ...]:
    lengths = {
        "units": tally.units,
        "columns": len(tally.columns),
        "stops": len(tally.stops) + 1,
    }
    return tuple(lengths[axis] for axis in state.axes)


def _dtype(state: State, tally: Tally, probes: int) -> np.dtype[Any]:
    if state.name == "counts":
        return counter_dtype(probes)
    if state.name == "highest_bin":
        return np.min_scalar_type(len(tally.stops) + 1)
    return np.dtype(state.dtype)


def _arrays_of(tally: Tally | None, joined: Tally) -> Mapping[str, np.ndarray]:
    """The arrays of a layer on this rank, flat, with the columns that all ranks have."""
    if tally is None or not tally.seen:
        return {}
    arrays = dict(tally.state().arrays)
    arrays["counts"] = tally.store.read_counts().thinned(joined.columns).counts
    return {name: np.ascontiguousarray(array).reshape(-1) for name, array in arrays.items()}


def _sum(arrays: Sequence[_Array], dtype: np.dtype[Any], ranks: Ranks, *, largest: bool) -> None:
    """Sum arrays over all ranks as if they were one, as much as a bucket holds at a time."""
    ends = np.cumsum([0, *(array.whole.size for array in arrays)]).tolist()
    room = BUCKET_BYTES // dtype.itemsize
    for start in range(0, ends[-1], room):
        stop = min(start + room, ends[-1])
        bucket = np.zeros(stop - start, dtype)
        parts = [
            (array, max(first, start), min(end, stop), first)
            for array, first, end in zip(arrays, ends, ends[1:], strict=False)
            if first < stop and end > start
        ]
        for array, begin, end, first in parts:
            bucket[begin - start : end - start] = array.empty
            # What is here of the array begins at `array.start` of it, and may end before it does.
            offset = first + array.start
            have = slice(max(begin, offset), min(end, offset + array.here.size))
            if have.start < have.stop:
                piece = array.here[have.start - offset : have.stop - offset]
                bucket[have.start - start : have.stop - start] = piece
        ranks.sum(bucket, largest=largest)
        for array, begin, end, first in parts:
            part = bucket[begin - start : end - start]
            array.whole.reshape(-1)[begin - first : end - first] = -part if array.negated else part
