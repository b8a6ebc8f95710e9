"""What is sent of a history says what the history says, at any tolerance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from histories import AT, STOPS, alarm, history_of, responses
from unpacking import unpack

from iua_widget.history.history import History
from iua_widget.history.look import Look
from iua_widget.iua import IUA, run_of
from iua_widget.widget.history_snapshot import SHARES, HistorySnapshots, spread_looks
from iua_widget.widget.life_snapshot import life_snapshot
from iua_widget.widget.look_snapshot import dead_snapshot, look_table, look_units
from iua_widget.widget.snapshots import drawn_order, table_snapshot, units_snapshot

STEPS = [0, 100, 300, 400, 800]
ALL = 2**22


@pytest.fixture(scope="module")
def history() -> History:
    made = history_of(STEPS)
    made.events = [alarm(400)]
    return made


@pytest.mark.parametrize("column", [0, 30, len(STOPS) - 1])
def test_figures_are_those_of_the_history(history: History, column: int) -> None:
    meta, arrays = unpack(HistorySnapshots(history).pack(AT, ALL).data)
    assert meta["steps"] == STEPS
    assert [layer["name"] for layer in meta["layers"]] == ["head.relu", "conv"]
    assert meta["columns"] == list(range(len(STOPS) + 1))
    table = history.table(replace(AT, atol=STOPS.values[column]))
    place = meta["columns"].index(column)
    for name, told in (
        ("dead", "dead units"),
        ("newly_dead", "newly dead"),
        ("revived", "revived"),
    ):
        expected = table[told].fillna(0).to_numpy(np.int64)
        np.testing.assert_array_equal(arrays[name][place].ravel(), expected)
    shares = table["inactive share"].to_numpy()
    np.testing.assert_allclose(arrays["inactive"][place].ravel() / SHARES, shares, atol=1e-5)
    dormant = table["dormant (tau 0.025)"].to_numpy(np.int64)
    np.testing.assert_array_equal(arrays["dormant"][meta["taus"].index(0.025)].ravel(), dormant)


def test_none_and_all_are_told_only_where_it_is_so() -> None:
    history = History(STOPS, AT, ALL)
    values = np.ones((1, 200_000), np.float32)
    for step, few in ((0, 1), (1, 199_999), (2, 0), (3, 200_000)):
        values[0] = 1
        values[0, :few] = 0
        run = run_of(IUA.introspect({"relu": values}, atol=1e-8, engine="reference"))
        history.add(Look.of(step, run.tallies, STOPS, AT))
    _, arrays = unpack(HistorySnapshots(history).pack(AT, ALL).data)
    assert arrays["inactive"][0, :, 0].tolist() == [1, SHARES - 1, 0, SHARES]


def test_alarms_and_looks_kept_whole_are_named(history: History) -> None:
    meta, _ = unpack(HistorySnapshots(history).pack(AT, ALL).data)
    assert meta["alarms"] == [{"step": 400, "rule": "dead-share>=50%", "layers": ["head.relu"]}]
    assert meta["whole"] == STEPS
    assert meta["looks"] == len(STEPS)


def test_with_little_room_columns_in_view_are_sent_and_others_asked_for(history: History) -> None:
    few = HistorySnapshots(history).pack(AT, 600)
    at = STOPS.values.index(1e-8)
    assert at in few.columns
    assert len(few.columns) < len(STOPS)
    assert few.answers(AT)
    assert not few.answers(replace(AT, tau=0.3))
    missing = next(k for k in range(len(STOPS)) if k not in few.columns)
    assert not few.answers(replace(AT, atol=STOPS.values[missing]))
    whole = HistorySnapshots(history).pack(AT, ALL)
    assert whole.answers(replace(AT, atol=STOPS.values[missing], rtol=0.3))


def test_very_many_looks_are_spread_with_both_ends_and_alarms() -> None:
    looks = history_of(list(range(0, 900, 100))).looks
    kept = spread_looks(looks, 4, {300})
    assert {0, 3, 8} <= set(kept)
    assert len(kept) <= 4
    assert spread_looks(looks, 9, set()) == list(range(9))


def test_looks_that_come_and_go_are_followed(history: History) -> None:
    growing = history_of(STEPS[:2])
    snapshots = HistorySnapshots(growing)
    snapshots.pack(AT, ALL)
    for look in history.looks[2:]:
        growing.add(look)
    again = snapshots.pack(AT, ALL).data
    assert again == HistorySnapshots(growing).pack(AT, ALL).data


def test_layers_that_come_later_and_change_have_places_of_their_own() -> None:
    history = history_of([0, 100])
    other = {"head.relu": responses(200)["head.relu"][:, :5], "new": np.zeros((20, 3))}
    run = run_of(IUA.introspect(other, atol=1e-8, engine="reference"))
    history.add(Look.of(200, run.tallies, STOPS, AT))
    meta, arrays = unpack(HistorySnapshots(history).pack(AT, ALL).data)
    assert [layer["name"] for layer in meta["layers"]] == ["head.relu", "new", "conv"]
    counted = ~np.isnan(arrays["mean_abs"])
    assert counted.tolist() == [[True, False, True], [True, False, True], [True, True, False]]
    assert arrays["newly_dead"][:, 2].sum() == 0


def test_lives_are_those_of_the_units_as_they_are_drawn(history: History) -> None:
    meta, arrays = unpack(life_snapshot(history, "conv", []))
    assert (meta["steps"], meta["units"], meta["length"]) == (STEPS, None, 12)
    for look, dead_from in zip(history.looks, arrays["dead_from"], strict=True):
        np.testing.assert_array_equal(dead_from, look.layer("conv").dead_from)
    assert life_snapshot(history, "nowhere", []) == b""


def test_of_a_large_layer_the_lives_of_selected_units_are_sent(history: History) -> None:
    meta, arrays = unpack(life_snapshot(history, "head.relu", [7, 2], budget=60))
    assert meta["units"] == [2, 7]
    expected = history.looks[-1].layer("head.relu").mean_abs[[2, 7]]
    np.testing.assert_array_equal(arrays["mean_abs"][-1], expected)


@pytest.mark.parametrize("atol", [0.0, 1e-8, 0.3])
def test_a_look_tells_the_table_that_the_whole_tells(history: History, atol: float) -> None:
    at = replace(AT, atol=atol)
    look, run = history.looks[2], history.whole[STEPS[2]]
    meta, arrays = unpack(look_table(look, STOPS, at))
    whole_meta, whole = unpack(table_snapshot(run.tallies, STOPS, at))
    for name in ("mean", "std", "dead", "dead_channels", "dormant"):
        np.testing.assert_array_equal(arrays[name], whole[name])
    assert meta["stops"] == whole_meta["stops"]
    for layer, other in zip(meta["layers"], whole_meta["layers"], strict=True):
        assert {**layer, "dtype": "float64"} == {**other}


@pytest.mark.parametrize("layer", ["head.relu", "conv"])
def test_its_units_come_in_the_order_in_which_they_are_drawn(history: History, layer: str) -> None:
    look, run = history.looks[1], history.whole[STEPS[1]]
    meta, arrays = unpack(look_units(look, layer, STOPS, AT))
    whole_meta, whole = unpack(units_snapshot(layer, run.tallies[layer], AT, ALL))
    for name in ("layer", "shape", "channel_axis", "units", "probes"):
        assert meta[name] == whole_meta[name]
    dead = whole["counts"] == meta["probes"]
    np.testing.assert_array_equal(arrays["dead_from"], np.argmax(dead, axis=0))
    np.testing.assert_array_equal(arrays["mean_abs"], whole["mean_abs"])
    assert meta["columns"] == []


def test_what_is_dead_in_all_layers_comes_in_one(history: History) -> None:
    look = history.looks[-1]
    meta, arrays = unpack(dead_snapshot(look, STOPS, 1.0))
    assert [layer["units"] for layer in meta["layers"]] == [12, 12]
    np.testing.assert_array_equal(arrays["dead_from"], look.dead_from)


def test_units_are_drawn_channel_by_channel() -> None:
    np.testing.assert_array_equal(drawn_order((2, 2, 3), 2), [0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11])
