"""A history tells at any tolerance what runs at it tell, within bounds between stops."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest
from by_hand import dead_by_hand
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from iua_widget import IUA, IUAError, IUAWarning, LayerSelectionError, ToleranceError
from iua_widget.history.history import History
from iua_widget.history.look import Look
from iua_widget.iua import run_of
from iua_widget.reading.curves import dead_curves
from iua_widget.reading.statistics import dormant_counts
from iua_widget.tally.tally import Tally
from iua_widget.tolerances import Stops, Tolerances

pytestmark = pytest.mark.filterwarnings("ignore::iua_widget.IUAWarning")
STOPS = (0.0, 1e-8, 0.05, 0.25, 1.0)
VALUES = st.one_of(
    st.sampled_from([0.0, -0.0, 1e-8, 0.05, 0.25, -0.5, 1.0, np.nan, np.inf]),
    st.floats(-4, 4, width=16),
)
CHANGES = ("newly dead", "revived", "dead in both")
GIB = 2**30


@st.composite
def looks_of_values(draw: st.DrawFn) -> list[np.ndarray]:
    """Responses at some looks, of shape (items, channels, positions), many of them dead."""
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=3))

    def responses() -> np.ndarray:
        values = draw(hnp.arrays("float32", (draw(st.integers(1, 4)), *shape), elements=VALUES))
        dead = draw(hnp.arrays(bool, shape))
        found: np.ndarray = np.where(dead & np.isfinite(values), values * 0.01, values)
        return found

    return [responses() for _ in range(draw(st.integers(1, 3)))]


def introspect(values: np.ndarray, **options: Any) -> IUA:
    return IUA.introspect({"relu": values}, engine="reference", keep_inactive=False, **options)


def history_of(iuas: list[IUA], tolerances: Tolerances, thinned: tuple[int, ...] = ()) -> History:
    history = History(Stops(iuas[0].stops), tolerances, GIB)
    for step, iua in enumerate(iuas):
        run = run_of(iua)
        for tally in run.tallies.values():
            if thinned:
                tally.thin(thinned)
        history.add(Look.of(100 * step, run.tallies, history.stops, tolerances, run.probes))
    return history


def as_told(table: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Some columns, as numbers."""
    return table[names].astype(float).reset_index(drop=True)


@settings(deadline=None, max_examples=60)
@given(
    looks=looks_of_values(),
    unit=st.sampled_from(["element", "channel", "token"]),
    atol=st.sampled_from(STOPS),
    tau=st.sampled_from([0.0, 0.025, 0.7]),
    share=st.sampled_from([1.0, 0.6]),
)
def test_at_stops_it_tells_what_runs_at_that_tolerance_tell(
    looks: list[np.ndarray], unit: str, atol: float, tau: float, share: float
) -> None:
    options: dict[str, Any] = {"stops": STOPS, "units": unit, "channel_axis": 1}
    kept = history_of([introspect(one, **options) for one in looks], Tolerances(dead_at=share))
    table = kept.table(Tolerances(rtol=0, atol=atol, tau=tau, dead_at=share))
    fresh = pd.concat(
        introspect(one, atol=atol, tau=tau, dead_at=share, **options).to_pandas() for one in looks
    )
    columns = ["mean inactive", "std inactive", "inactive share", "dead units", "dead share"]
    columns += ["units", "probes", "nan", "infinite"]
    columns += ["channels", "dead channels"] if "channels" in fresh else []
    pd.testing.assert_frame_equal(
        as_told(table, columns), as_told(fresh, columns), check_exact=True
    )
    assert not {f"{name} upper" for name in columns} & set(table.columns)
    dormant = f"dormant (tau {tau})"
    upper = table.get(f"{dormant} upper", table[dormant])
    assert (table[dormant].to_numpy() <= fresh[dormant].to_numpy()).all()
    assert (fresh[dormant].to_numpy() <= upper.to_numpy()).all()


@settings(deadline=None, max_examples=60)
@given(
    looks=looks_of_values(),
    unit=st.sampled_from(["element", "channel", "token"]),
    atol=st.floats(0, 2),
    scale=st.sampled_from(["zero", "layer_mean"]),
    share=st.sampled_from([1.0, 0.6]),
    thinned=st.booleans(),
)
def test_between_stops_the_truth_lies_within_its_bounds(
    looks: list[np.ndarray], unit: str, atol: float, scale: Any, share: float, *, thinned: bool
) -> None:
    options: dict[str, Any] = {"stops": STOPS, "units": unit, "channel_axis": 1}
    at = Tolerances(rtol=0.5, atol=atol, scale=scale, dead_at=share)
    columns = (0, 2, len(STOPS)) if thinned else ()
    table = history_of([introspect(one, **options) for one in looks], at, columns).table(at)
    exact = []
    for one in looks:
        there = introspect(one, **options).at(atol=atol, rtol=0.5, scale=scale)
        threshold = there.results["relu"].threshold
        exact.append(introspect(one, atol=threshold, dead_at=share, **options))
    truth = pd.concat(one.to_pandas() for one in exact)
    for name in ("mean inactive", "dead units"):
        low, high = table[name], table.get(f"{name} upper", table[name])
        assert (low.to_numpy() <= truth[name].to_numpy()).all()
        assert (truth[name].to_numpy() <= high.to_numpy()).all()


@settings(deadline=None, max_examples=60)
@given(
    looks=looks_of_values(),
    unit=st.sampled_from(["element", "channel", "token"]),
    atol=st.one_of(st.sampled_from(STOPS), st.floats(0, 2)),
    scale=st.sampled_from(["zero", "layer_mean"]),
    share=st.sampled_from([1.0, 0.6]),
    thinned=st.booleans(),
)
def test_churn_is_that_of_the_whole_results(
    looks: list[np.ndarray], unit: str, atol: float, scale: Any, share: float, *, thinned: bool
) -> None:
    at = Tolerances(rtol=0.5, atol=atol, scale=scale, dead_at=share)
    options: dict[str, Any] = {"stops": STOPS, "units": unit, "channel_axis": 1}
    iuas = [introspect(one, **options) for one in looks]
    table = history_of(iuas, at, (0, 2, len(STOPS)) if thinned else ()).table(at)
    assert table.loc[0, list(CHANGES)].isna().all()
    for number, (before, after) in enumerate(itertools.pairwise(iuas), start=1):
        whole = (
            before.compare(after).at(atol=atol, rtol=0.5, scale=scale, dead_at=share).to_pandas()
        )
        for name in CHANGES:
            for heading in (name, f"{name} upper"):
                here = table.get(heading, table[name])[number]
                there = whole.get(heading, whole[name])[0]
                assert (pd.isna(here) and pd.isna(there)) or here == there


def test_churn_by_hand() -> None:
    rng = np.random.default_rng(0)
    looks = [np.where(rng.random((3, 40)) < 0.4, 0, rng.random((3, 40))) for _ in range(3)]
    history = history_of([introspect(one, stops=STOPS) for one in looks], Tolerances())
    for atol in STOPS:
        dead = [dead_by_hand(one, np.isclose(one, 0, atol=atol)) for one in looks]
        table = history.table(Tolerances(atol=atol))
        assert table["dead units"].tolist() == [one.sum() for one in dead]
        pairs = list(itertools.pairwise(dead))
        assert table["newly dead"].tolist()[1:] == [(~a & b).sum() for a, b in pairs]
        assert table["revived"].tolist()[1:] == [(a & ~b).sum() for a, b in pairs]
        assert table["dead in both"].tolist()[1:] == [(a & b).sum() for a, b in pairs]
    ends = history.figures(200, Tolerances(atol=0.25), since=0).columns["newly dead"]
    first, _, last = (dead_by_hand(one, np.isclose(one, 0, atol=0.25)) for one in looks)
    assert ends.tolist() == [(~first & last).sum()]


@settings(deadline=None, max_examples=60)
@given(
    looks=looks_of_values(),
    share=st.sampled_from([1.0, 0.6]),
    thinned=st.booleans(),
)
def test_the_curves_of_a_layer_are_those_of_its_tally(
    looks: list[np.ndarray], share: float, *, thinned: bool
) -> None:
    at = Tolerances(dead_at=share)
    iuas = [introspect(one, stops=STOPS, units="element", channel_axis=1) for one in looks]
    history = history_of(iuas, at, (0, 3, len(STOPS)) if thinned else ())
    taus = (0.0, 0.3, 2.0)
    for iua, look in zip(iuas, history.looks, strict=True):
        tally, layer = run_of(iua).tallies["relu"], look.layer("relu")
        curves = dead_curves(tally, at)
        np.testing.assert_array_equal(layer.dead(), curves.units)
        np.testing.assert_array_equal(layer.dead(upper=True), curves.units_upper)
        for upper, channels in enumerate((curves.channels, curves.channels_upper)):
            found = layer.dead_channels(upper=bool(upper))
            assert channels is None or found is None or found.tolist() == channels.tolist()
            assert (found is None) == (channels is None)
        dormant = dormant_counts(tally, taus)
        assert (layer.dormant(taus) <= dormant).all()
        assert (dormant <= layer.dormant(taus, upper=True)).all()
    for before, after in zip(history.looks, history.looks[1:], strict=False):
        there, here = before.layer("relu"), after.layer("relu")
        for column, atol in enumerate(STOPS):
            now = history.figures(after.step, Tolerances(atol=atol, dead_at=share)).columns
            for name in CHANGES:
                curve = getattr(here, name.replace(" ", "_"))
                for upper in (False, True):
                    told = now.get(f"{name} upper", now[name]) if upper else now[name]
                    assert told[0] in {curve(there, upper=upper)[column], -1}


def test_mean_and_dormancy_are_exact_where_zero_or_of_channels() -> None:
    values = np.zeros((2, 3, 2))
    values[:, 1], values[:, 2] = 1e-60, 1.0
    history = history_of([introspect(values, channel_axis=1, units="element")], Tolerances())
    channels = history.table(Tolerances(tau=0.0))
    assert channels["dormant (tau 0.0)"].tolist() == [1]
    assert "dormant (tau 0.0) upper" not in channels
    flat = history_of([introspect(values.reshape(2, 6))], Tolerances()).table(Tolerances(tau=0.0))
    assert flat["dormant (tau 0.0)"].tolist() == [2]
    assert "dormant (tau 0.0) upper" not in flat


def tally_of(values: np.ndarray | None, units: int, stops: Stops) -> Tally:
    tally = Tally(stops, (units,), kind="ReLU")
    if values is not None:
        tally.add(tally.classify(values))
    return tally


def test_layers_that_come_go_or_change_their_units() -> None:
    stops, at = Stops([0.5]), Tolerances()
    history = History(stops, at, GIB)
    zeros, ones = np.zeros((1, 3)), np.ones((1, 3))
    looks: list[dict[str, tuple[np.ndarray | None, int]]] = [
        {"a": (zeros, 3), "b": (None, 3)},
        {"a": (ones, 3), "b": (zeros, 3)},
        {"b": (ones, 3), "a": (np.zeros((1, 2)), 2), "c": (zeros, 3)},
        {"b": (zeros, 3), "a": (np.zeros((1, 2)), 2), "c": (ones, 3)},
    ]
    for step, look in enumerate(looks):
        tallies = {name: tally_of(values, n, stops) for name, (values, n) in look.items()}
        history.add(Look.of(step, tallies, stops, at))
    table = history.table().set_index(["step", "response"])
    assert table["dead units"].fillna(-1).to_dict() == {
        (0, "a"): 3,
        (0, "b"): -1,
        (1, "a"): 0,
        (1, "b"): 3,
        (2, "b"): 0,
        (2, "a"): 2,
        (2, "c"): 3,
        (3, "b"): 3,
        (3, "a"): 2,
        (3, "c"): 0,
    }
    revived = {key: value for key, value in table["revived"].items() if not pd.isna(value)}
    assert revived == {(1, "a"): 3, (2, "b"): 3, (3, "b"): 0, (3, "a"): 0, (3, "c"): 3}
    assert table.loc[(0, "b"), "mean inactive"] != table.loc[(0, "b"), "mean inactive"]
    assert history.layers == ["b", "a", "c"]
    assert history.looks[2].index is history.looks[3].index
    with pytest.raises(LayerSelectionError, match="'a'"):
        history.looks[3].layer("aa")
    assert set(history.table(layers="b")["response"]) == {"b"}


def test_a_history_without_a_look_is_an_empty_table() -> None:
    table = History(Stops([]), Tolerances(), GIB).table()
    assert len(table) == 0
    assert {"step", "response", "dead units", "newly dead"} <= set(table.columns)


def test_what_it_keeps_too_little_for_is_refused() -> None:
    history = history_of([introspect(np.eye(3))], Tolerances())
    with pytest.raises(ToleranceError, match=r"iua\(step\).at"):
        history.table(Tolerances(rtol=0.1, scale="unit_max"))
    with pytest.raises(ToleranceError, match="dead_at=1 only"):
        history.table(Tolerances(dead_at=0.9))
    with pytest.raises(IUAError, match="Those next to it are at 0 "):
        history.figures(7)


def test_a_look_at_the_same_step_is_replaced_and_an_earlier_one_goes_before() -> None:
    history = history_of([introspect(np.eye(3)), introspect(np.zeros((3, 3)))], Tolerances())
    run = run_of(introspect(np.ones((3, 3))))
    versions = []
    history.on_change.append(lambda: versions.append(history.version))
    for step in (100, 50):
        history.add(Look.of(step, run.tallies, history.stops, history.tolerances))
    assert history.table()["dead units"].tolist() == [0, 0, 0]
    assert history.steps == [0, 50, 100]
    assert (history.made, history.dropped, versions) == (3, 0, [3, 4])


def test_looks_are_dropped_where_they_are_closest_and_it_is_told() -> None:
    iua = introspect(np.eye(20))
    one = Look.of(0, run_of(iua).tallies, Stops(iua.stops), Tolerances()).nbytes
    history = History(Stops(iua.stops), Tolerances(), 10 * one)

    class Event:
        step = 300

    for step in range(0, 4100, 100):
        look = Look.of(step, run_of(iua).tallies, history.stops, history.tolerances)
        if step == 300:
            history.events.append(Event())
        history.add(look)
        assert history.nbytes == sum(each.nbytes for each in history.looks) <= history.budget
    assert len(history.looks) == 10
    assert {0, 300, 4000} <= set(history.steps)
    assert max(np.diff(history.steps)) <= 900
    assert history.dropped_note.startswith("31 of 41 looks were dropped")
    table = history.table()
    assert table["step"].tolist() == history.steps


def test_many_stops_take_two_bytes_a_unit() -> None:
    stops = tuple(float(stop) for stop in range(300))
    values = np.array([[0.0, 254.5, 255.5, 290.0, 400.0, np.nan]])
    history = history_of([introspect(values, stops=stops)], Tolerances())
    layer = history.looks[0].layer("relu")
    assert layer.dead_from.dtype == np.uint16
    assert layer.dead_from.tolist() == [0, 256, 257, 291, 301, 302]
    for atol, dead in ((0, 1), (254, 1), (255, 2), (290, 4), (299, 4)):
        assert history.table(Tolerances(atol=atol))["dead units"].tolist() == [dead]


def test_of_very_many_looks_some_are_dropped_at_once() -> None:
    run = run_of(introspect(np.eye(4)))
    look = Look.of(0, run.tallies, run.options.grid, Tolerances())
    history = History(run.options.grid, Tolerances(), 640 * look.nbytes)
    lengths = []
    for step in range(3000):
        history.add(dataclasses.replace(look, step=step))
        lengths.append(len(history.looks))
    assert max(lengths) == 640
    assert min(lengths[700:]) >= 625
    assert history.nbytes <= history.budget
    assert max(np.diff(history.steps)) <= 16
    assert (history.steps[0], history.steps[-1]) == (0, 2999)


def test_who_fails_at_following_it_disturbs_nobody() -> None:
    history = history_of([introspect(np.eye(3))], Tolerances())
    told = []

    def failing() -> None:
        message = "no page"
        raise ValueError(message)

    history.on_change += [failing, lambda: told.append(history.version)]
    with pytest.warns(IUAWarning, match="what follows the history failed: ValueError: no page"):
        history.changed()
    assert told == [2]
