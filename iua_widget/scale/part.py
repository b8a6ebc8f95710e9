"""The part of a run that a rank tells while it counts, and what such parts come to together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import accumulate
from typing import Final

from iua_widget.memory.plan import FEWEST_STOPS, LayerNeed, plan_memory
from iua_widget.run.run import Run
from iua_widget.scale.description import Description, Whole, whole_of
from iua_widget.tally.store import BYTES_PER_UNIT, STATES
from iua_widget.tally.tally import Tally, TallyState

_LAYER_BYTES: Final = 3072
_STOP_BYTES: Final = 24
"""What a layer takes in a file beside its units: headers, and sums over the probes."""


@dataclass(frozen=True, slots=True)
class Part:
    """A copy of a run at one moment.

    Attributes
    ----------
    run : Run
        Without what is kept of each probe, top probes and groups.
    left_out : tuple of str
        Layers that it has no room for.
    """

    run: Run
    left_out: tuple[str, ...] = ()


def part_of(run: Run, room: int | None = None) -> Part:
    """What a run has counted, in so many bytes.

    Layers of which not all counts fit are held at fewer stops, as where memory is short: the
    largest first. Of what does not fit at three stops either, the largest layers are left out.

    Parameters
    ----------
    run : Run
        It may be counted into meanwhile, and stays as it is.
    room : int, optional
        Bytes; all there is where left out.
    """
    twin = Run(replace(run.options, keep_inactive=False, top_probes=0), run.engine)
    with run.lock:
        columns = {name: tally.columns for name, tally in run.tallies.items()}
        held = columns if room is None else _columns(run, room)
        for name in held:
            twin.tallies[name] = _copied(run.tallies[name], held[name])
        twin.probes, twin.inputs_passed, twin.position = run.probes, run.inputs_passed, None
        twin.source_notes, twin.weights = run.kept_notes, list(run.weights)
    twin.steady = run.steady and len(held) == len(columns)
    return Part(twin, tuple(name for name in columns if name not in held))


def _columns(run: Run, room: int) -> dict[str, tuple[int, ...]]:
    """At which columns each layer is told; without those that there is no room for."""
    needs = [_need(name, tally) for name, tally in run.tallies.items()]
    by_size = sorted(needs, key=lambda need: need.units)
    held = accumulate(need.fixed + need.bytes_with(FEWEST_STOPS + 1) for need in by_size)
    fitting = {need.layer for need, total in zip(by_size, held, strict=True) if total <= room}
    plans = plan_memory(
        [need for need in needs if need.layer in fitting],
        room,
        run.options.grid.values,
        [run.options.tolerances.atol],
    )
    return {plan.need.layer: plan.columns for plan in plans}


def _need(name: str, tally: Tally) -> LayerNeed:
    width = tally.store.read_counts().counts.dtype.itemsize
    fixed = _LAYER_BYTES + len(name) + _STOP_BYTES * (len(tally.stops) + 1)
    evidence = 0 if tally.evidence is None else tally.evidence.nbytes // max(tally.units, 1)
    beside = BYTES_PER_UNIT + evidence
    return LayerNeed(
        name, tally.units, tally.columns, width, width, 0, fixed=fixed, unit_bytes=beside
    )


def _copied(tally: Tally, columns: Sequence[int]) -> Tally:
    state = tally.state()
    told = {state.name for state in STATES}
    arrays = {name: array.copy() for name, array in state.arrays.items() if name in told}
    arrays["counts"] = tally.store.read_counts().thinned(columns).counts.copy()
    facts = {**state.facts, "columns": tuple(columns), "inactive_at": None, "top": None}
    return Tally.from_state(tally.stops, TallyState(facts, arrays), tally.engine)


def together(runs: Sequence[Run]) -> Run:
    """What the parts of all ranks come to, in their order, by the rules of `all_reduced`.

    Raises
    ------
    MergeError
        If they cannot be one run: see `whole_of`.
    """
    first, told = runs[0], [Description.of(run) for run in runs]
    steady = all(one.steady for one in told if one.layers)
    told = [replace(one, steady=steady) for one in told]  # of one that has no room for all layers
    result = run_of_whole(first, whole_of(told, first.options))
    for layer in result.tallies:
        tallies = [run.tallies[layer] for run in runs if layer in run.tallies]
        result.tallies[layer] = reduce(Tally.merged, tallies)
    return result


def run_of_whole(run: Run, whole: Whole) -> Run:
    """A run of all ranks, with the options of one, and tallies that have no counts yet."""
    result = Run(run.options, run.engine)
    result.position = None
    result.probes, result.steady = whole.inputs, whole.steady
    result.inputs_passed = whole.inputs_passed
    result.weights, result.source_notes = whole.weights, whole.notes
    result.tallies = dict(whole.layers)
    return result
