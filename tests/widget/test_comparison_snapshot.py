"""What became of units, as the page reads it from what is packed, is what `IUA.compare` says."""

from __future__ import annotations

import bisect
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unpacking import unpack

from iua_widget import IUA, IUAWarning
from iua_widget.iua import run_of
from iua_widget.reading.thresholds import UNIT_SCALES
from iua_widget.tolerances import Tolerances, default_stops
from iua_widget.widget.compared_with import ComparedWith, notes_between
from iua_widget.widget.snapshots import table_snapshot, units_snapshot

pytestmark = pytest.mark.filterwarnings("ignore:Not finite:iua_widget.IUAWarning")
CHANGES = ("newly_dead", "revived", "dead_in_both")
ALIVE, NEWLY_DEAD, REVIVED, DEAD_IN_BOTH, UNSURE, NOT_COMPARED = range(6)
AT = Tolerances(0.0, 1e-8, "layer_mean")


def responses(seed: int, probes: int) -> dict[str, np.ndarray]:
    """A dense layer, maps of which the last axis counts channels, and one with NaN among them."""
    rng = np.random.default_rng(seed)
    dense = np.maximum(rng.normal(size=(probes, 40)), 0) * 10 ** rng.uniform(-5, 1, size=40)
    maps = np.maximum(rng.normal(size=(probes, 3, 4, 5)), 0) * (rng.random((3, 4, 5)) < 0.7)
    broken = np.maximum(rng.normal(size=(probes, 12)), 0) * (rng.random(12) < 0.6)
    broken[:, rng.integers(12)] = np.nan
    broken[rng.random(broken.shape) < 0.05] = np.inf
    return {"dense": dense, "maps": maps.astype(np.float32), "broken": broken}


def introspect(seed: int, probes: int, **options: Any) -> IUA:
    with warnings.catch_warnings(category=IUAWarning, action="ignore"):
        return IUA.introspect(
            responses(seed, probes), engine="reference", channel_axis={"maps": -1}, **options
        )


def place(stops: list[float], threshold: float, counted: list[int] | None) -> tuple[int, int]:
    """The columns up to which a unit is surely dead, and up to which it may be."""
    lower = bisect.bisect_right(stops, threshold) - 1
    upper = lower if stops[lower] == threshold else lower + 1
    if counted is not None:
        upper = next(column for column in counted if column >= upper)
    return lower, upper


def threshold(at: Tolerances, mean_abs: float) -> float:
    return at.atol + (at.rtol * mean_abs if at.scale == "layer_mean" else 0)


def read_table(snapshot: bytes, row: int, at: Tolerances) -> dict[str, int]:
    """A layer's figures at tolerances, from what is packed alone."""
    meta, arrays = unpack(snapshot)
    comparison, scales = meta["comparison"], meta["unit_scales"]
    bounds = [f"{change}{upper}" for change in CHANGES for upper in ("", "_upper")]
    if at.scale in scales and at.rtol:
        curves = arrays["scale_changes"][scales.index(at.scale), :, :, row]
        figures = curves[:, :, meta["rtol_stops"].index(at.rtol)].ravel().tolist()
        return dict(zip(bounds, figures, strict=True))
    layer, ends = comparison["layers"][row], [0, *arrays["pair_end"].tolist()]
    before, before_upper = place(
        comparison["stops"], threshold(at, layer["mean_abs"]), layer["counted"]
    )
    after, after_upper = place(
        meta["stops"], threshold(at, meta["layers"][row]["mean_abs"]), layer["counted_after"]
    )
    pairs = slice(ends[row], ends[row + 1])
    there, here, units = (
        arrays[name][pairs] for name in ("pair_before", "pair_after", "pair_units")
    )
    was, maybe_was, is_dead, maybe = (
        there <= before,
        there <= before_upper,
        here <= after,
        here <= after_upper,
    )
    masks = (
        is_dead & ~maybe_was,
        maybe & ~was,
        was & ~maybe,
        maybe_was & ~is_dead,
        was & is_dead,
        maybe_was & maybe,
    )
    return {name: int(units[mask].sum()) for name, mask in zip(bounds, masks, strict=True)}


def read_units(snapshot: bytes, table: bytes, row: int, at: Tolerances) -> list[int]:
    """What became of each unit, in the layer's own order."""
    meta, arrays = unpack(snapshot)
    layer = meta["comparison"]
    if at.scale == layer["scale"] and at.rtol:
        stop = default_stops(at.rtol).index(at.rtol)
        was, maybe_was, is_dead, maybe = arrays["scale_dead_from"] <= stop
    else:
        mean_abs = unpack(table)[0]["layers"][row]["mean_abs"]
        stops = (layer["stops"], meta["stops"])
        counted = (layer["counted"], layer["counted_after"])
        thresholds = (threshold(at, layer["mean_abs"]), threshold(at, mean_abs))
        (before, before_upper), (after, after_upper) = map(place, stops, thresholds, counted)
        was, maybe_was = (arrays["before_dead_from"] <= up for up in (before, before_upper))
        is_dead, maybe = (arrays["dead_from"] <= up for up in (after, after_upper))
    fates = np.full(meta["units"], UNSURE)
    fates[~maybe_was & ~maybe] = ALIVE
    fates[~maybe_was & is_dead], fates[was & ~maybe] = NEWLY_DEAD, REVIVED
    fates[was & is_dead] = DEAD_IN_BOTH
    unknown = arrays["before_dead_from"] == len(layer["stops"]) + 1
    fates[unknown | (arrays["dead_from"] == len(meta["stops"]) + 1)] = NOT_COMPARED
    return own_order(fates, meta)


def own_order(fates: np.ndarray, meta: dict[str, Any]) -> list[int]:
    shape, axis = meta["shape"], meta["channel_axis"]
    return np.moveaxis(fates.reshape(shape), 0, axis).ravel().tolist()


def fates_by_masks(comparison: Any) -> list[int]:
    fates = np.full(comparison.compared.shape, UNSURE)
    uppers = [getattr(comparison, f"{change}_upper") for change in CHANGES]
    fates[~np.logical_or.reduce(uppers)] = ALIVE
    for fate, change in zip((NEWLY_DEAD, REVIVED, DEAD_IN_BOTH), CHANGES, strict=True):
        fates[getattr(comparison, change)] = fate
    fates[~comparison.compared] = NOT_COMPARED
    return fates.ravel().tolist()


def snapshots(before: IUA, after: IUA, at: Tolerances) -> tuple[bytes, dict[str, bytes]]:
    run = run_of(after)
    there = ComparedWith(before).read(at, scales=UNIT_SCALES, recount=run.recount)
    table = table_snapshot(
        run.tallies,
        run.options.grid,
        at,
        unit_scales=UNIT_SCALES,
        recount=run.recount,
        before=there,
    )
    units = {
        name: units_snapshot(name, tally, at, 2**20, recount=run.recount, before=there)
        for name, tally in run.tallies.items()
    }
    return table, units


def assert_as_compared(before: IUA, after: IUA, at: Tolerances, read_at: Tolerances) -> None:
    table, units = snapshots(before, after, at)
    comparison = before.compare(after).at(
        atol=read_at.atol, rtol=read_at.rtol, scale=read_at.scale, dead_at=read_at.dead_at
    )
    for row, layer in enumerate(comparison):
        masks = comparison[layer]
        for name, figure in read_table(table, row, read_at).items():
            assert figure == getattr(masks, name).sum(), (layer, name)
        assert read_units(units[layer], table, row, read_at) == fates_by_masks(masks), layer


RUNS = {
    "of one grid": (introspect(1, 20), introspect(2, 33)),
    "of other grids": (introspect(3, 40, stops=(0, 1e-6, 0.01, 0.3, 2)), introspect(4, 9)),
    "thinned": (
        introspect(5, 30, memory=45_000, batch_size=4),
        introspect(6, 30, memory=44_000, batch_size=4),
    ),
}


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(RUNS)), st.data())
def test_page_and_python_say_the_same(runs: str, data: st.DataObject) -> None:
    stops = st.sampled_from(default_stops())
    scale = data.draw(st.sampled_from(["zero", "layer_mean", *UNIT_SCALES]))
    at = Tolerances(0.0, data.draw(stops), scale, data.draw(st.sampled_from([1.0, 0.9, 0.5])))
    atol = at.atol if scale in UNIT_SCALES else data.draw(st.one_of(stops, st.floats(0, 12)))
    assert_as_compared(*RUNS[runs], at, replace(at, atol=atol, rtol=data.draw(stops)))


def test_runs_are_thinned_where_they_are_said_to_be() -> None:
    table, _ = snapshots(*RUNS["thinned"], replace(AT, dead_at=0.9))
    layers = unpack(table)[0]["comparison"]["layers"]
    assert any(layer["counted"] for layer in layers)
    assert any(layer["counted_after"] for layer in layers)


@pytest.mark.parametrize("side", ["before", "after"])
def test_what_was_counted_again_is_compared_exactly(side: str) -> None:
    before, after = introspect(7, 20), introspect(8, 20)
    (before if side == "before" else after).recount(
        responses(7 if side == "before" else 8, 20), atol=0.123, rtol=0.0
    )
    at = Tolerances(0.0, 0.123, "zero")
    table, units = snapshots(before, after, AT)
    meta, arrays = unpack(table)
    assert [exact["atol"] for exact in meta["comparison"]["exact_at"]] == [0.123]
    comparison = before.compare(after).at(atol=at.atol, rtol=at.rtol, scale=at.scale)
    for row, (layer, masks) in enumerate(comparison.results.items()):
        expected = [
            [getattr(masks, change + upper).sum() for upper in ("", "_upper")] for change in CHANGES
        ]
        assert arrays["exact_changes"][0, :, :, row].tolist() == expected
        found, unit_arrays = unpack(units[layer])
        fates = own_order(unit_arrays["exact_changes"][0], found)
        assert fates == fates_by_masks(masks)


def test_notes_on_the_page_are_those_of_the_comparison() -> None:
    before, after = introspect(1, 20), introspect(2, 20)
    notes = notes_between(ComparedWith(before).read(AT), run_of(after).tallies)
    assert [*notes] == before.compare(after).notes
    assert notes
