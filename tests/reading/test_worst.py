"""The worst units of a network, against a ranking by hand of all its channels and units."""

from __future__ import annotations

import math
import threading
from bisect import bisect_right
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import transformers
from by_hand import dead_by_hand, outputs_by_hand
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from unpacking import unpack

from iua_widget import (
    IUA,
    IUAWidget,
    LayerSelectionError,
    NoProbesError,
    ToleranceError,
)
from iua_widget.run.loop import count
from iua_widget.run.open import open_source
from iua_widget.tolerances import SCALES, Scale, Tolerances, default_stops
from iua_widget.widget import worst_feed
from iua_widget.widget.worst_feed import WorstFeed
from iua_widget.widget.worst_snapshot import LISTED, ranked_at, worst_snapshot

pytestmark = pytest.mark.filterwarnings("ignore:Not finite:iua_widget.IUAWarning")

RNG = np.random.default_rng(17)
# Sums of these are exact in any order, so that ties are ties; 0.0625 lies between two stops.
VALUES = (0.0, 0.0, 0.0, 0.0625, -0.25, 0.5, 1.0, 3.0)
ODD = (*VALUES, np.nan, np.inf)
RANKS = ("inactive share", "mean |x|", "rms", "max |x|")


@st.composite
def networks(draw: st.DrawFn, values: tuple[float, ...]) -> tuple[dict[str, Any], dict[str, str]]:
    """Some layers of as many inputs, and what a unit of each is."""
    probes = draw(st.integers(1, 5))
    layers, units = {}, {}
    for number in range(draw(st.integers(1, 4))):
        unit = draw(st.sampled_from(["element", "element", "channel", "token"]))
        axes = draw(st.integers(1, 3)) if unit == "element" else 2
        shape = (probes, *(draw(st.integers(1, 4)) for _ in range(axes)))
        layers[f"l{number}"] = draw(hnp.arrays(np.float64, shape, elements=st.sampled_from(values)))
        units[f"l{number}"] = unit
    return layers, units


def ranked(rows: list[dict[str, Any]], by: str, n: int) -> list[dict[str, Any]]:
    """As the documentation has it: NaN last, and ties broken one after the other."""

    def key(row: dict[str, Any]) -> tuple[float, ...]:
        first = [] if by == "inactive share" else [_last(row[by])]
        shares = [_last(-row["lower"]), _last(-row["upper"])]
        ties = [_last(row["max |x|"]), _last(row["mean |x|"]), -row["finite"]]
        return (*first, *shares, *ties, row["number"], row["unit"])

    return sorted(rows, key=key)[:n]


def _last(value: float) -> float:
    return math.inf if math.isnan(value) else value


def rows_by_hand(
    layers: dict[str, np.ndarray], units: dict[str, str], bounds: tuple[float, float], share: float
) -> list[dict[str, Any]]:
    rows = []
    for number, (name, responses) in enumerate(layers.items()):
        unit = units[name]
        values = responses if unit != "token" else responses.reshape(-1, responses.shape[-1])
        axis = 1 if values.ndim > 3 else values.ndim - 1
        entries = np.moveaxis(values, axis, 1).reshape(len(values), values.shape[axis], -1)
        for place in range(entries.shape[1]):
            entry = np.abs(entries[:, place])  # probes, positions
            finite = entry[np.isfinite(entry)]
            counted = entry
            if unit == "channel":
                counted = np.where(np.isfinite(entry).all(axis=1), entry.max(axis=1), np.nan)
                counted = counted[:, None]
            inactive = [np.isfinite(counted) & (counted <= bound) for bound in bounds]
            dead = [dead_by_hand(counted, one, share) for one in inactive]
            probes = int(np.isfinite(counted).sum())
            rows.append(
                {
                    "number": number,
                    "response": name,
                    "unit": place,
                    "finite": probes,
                    "lower": inactive[0].sum() / probes if probes else math.nan,
                    "upper": inactive[1].sum() / probes if probes else math.nan,
                    "mean |x|": finite.mean() if finite.size else math.nan,
                    "rms": math.sqrt((finite**2).mean()) if finite.size else math.nan,
                    "max |x|": finite.max() if finite.size else math.nan,
                    "units": counted.shape[1],
                    "dead": [int(one.sum()) for one in dead],
                }
            )
    return rows


def assert_is(table: pd.DataFrame, rows: list[dict[str, Any]]) -> None:
    assert table["rank"].tolist() == list(range(1, len(rows) + 1))
    for name in ("response", "unit", "units"):
        assert table[name].tolist() == [row[name] for row in rows]
    for name in ("mean |x|", "rms", "max |x|"):
        np.testing.assert_allclose(table[name], [row[name] for row in rows], rtol=1e-12)
    upper = " upper" if "inactive share upper" in table else ""
    for side, bound in enumerate(("lower", "upper")):
        suffix = upper if side else ""
        shares = table[f"inactive share{suffix}"]
        np.testing.assert_array_equal(shares, [row[bound] for row in rows])
        assert table[f"dead units{suffix}"].tolist() == [row["dead"][side] for row in rows]
        assert table[f"dead{suffix}"].tolist() == [
            row["dead"][side] == row["units"] for row in rows
        ]


@settings(deadline=None, max_examples=80)
@given(
    network=st.one_of(networks(VALUES), networks(ODD)),
    atol=st.sampled_from([0.0, 1e-8, 0.25, 0.05, 0.26, 3.0, 20.0]),
    share=st.sampled_from([1.0, 0.5]),
    by=st.sampled_from(RANKS),
    n=st.integers(0, 12),
)
def test_the_worst_are_those_of_a_ranking_by_hand(
    network: tuple[dict[str, Any], dict[str, str]], atol: float, share: float, by: str, n: int
) -> None:
    layers, units = network
    iua = IUA.introspect(layers, units=units, batch_size=2, engine="reference")
    table = iua.worst(n, by, atol=atol, dead_at=share)
    below = bisect_right(iua.stops, atol) - 1
    on_stop = iua.stops[below] == atol
    above = iua.stops[below + 1] if below + 1 < len(iua.stops) else np.finfo(float).max
    bounds = iua.stops[below], atol if on_stop else above
    assert_is(table, ranked(rows_by_hand(layers, units, bounds, share), by, n))
    assert table.attrs == {
        "by": by,
        "atol": atol,
        "rtol": 1e-05,
        "scale": "zero",
        "dead_at": share,
    }


@settings(deadline=None, max_examples=40)
@given(
    network=networks(ODD),
    scale=st.sampled_from(SCALES),
    rtol=st.sampled_from([0.0, 0.3, 0.9]),
    share=st.sampled_from([1.0, 0.6]),
    recounted=st.booleans(),
)
def test_with_any_scale_and_after_a_recount_units_are_as_their_own_table_says(
    network: tuple[dict[str, Any], dict[str, str]],
    scale: Scale,
    rtol: float,
    share: float,
    recounted: bool,
) -> None:
    layers, units = network
    iua = IUA.introspect(layers, units=units, engine="reference", atol=0.25, rtol=rtol, scale=scale)
    if recounted:
        iua.recount(layers)
    table = iua.worst(1000, positions=True, dead_at=share)
    assert sorted(table["response"] + table["unit"].astype(str)) == sorted(
        f"{name}{unit}" for name in layers for unit in range(len(iua.units(name)))
    )
    for name in layers:
        own = iua.units(name, dead_at=share)
        mine = table[table["response"] == name].set_index("unit").sort_index()
        assert mine["dead"].tolist() == own["dead"].tolist()
        probes = iua.results[name].probes
        finite = probes - (own["nan"] + own["infinite"]) if units[name] != "channel" else None
        if finite is not None:
            counts = mine["inactive share"].mul(finite).fillna(0).round()
            assert counts.tolist() == own["inactive count"].tolist()
            if "inactive share upper" in mine and "inactive count upper" in own:
                uppers = mine["inactive share upper"].mul(finite).fillna(0).round()
                assert uppers.tolist() == own["inactive count upper"].tolist()
        np.testing.assert_array_equal(mine["mean |x|"], own["mean |x|"])
    shares = table["inactive share"].fillna(-1)
    assert shares.is_monotonic_decreasing


def test_a_residual_network_names_the_channels_that_were_killed() -> None:
    torch.manual_seed(5)
    config = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1])
    model = transformers.ResNetModel(config).eval()
    planted = {"embedder.embedder.activation": 5, "encoder.stages.1.layers.0.activation": 11}
    with torch.no_grad():
        norm = model.embedder.embedder.normalization
        norm.weight[5], norm.bias[5] = 0.0, -1.0
        last = model.encoder.stages[1].layers[0]
        for norm in (last.shortcut.normalization, last.layer[-1].normalization):
            norm.weight[11], norm.bias[11] = 0.0, -1.0
    images = [{"pixel_values": torch.randn(4, 3, 32, 32)} for _ in range(2)]
    iua = IUA.introspect(model, images)
    dead = sum(result.dead_channels or 0 for result in iua.results.values())
    worst = iua.worst(dead)
    assert worst["dead"].all()
    assert not iua.worst(dead + 1)["dead"].all()
    assert set(planted.items()) <= set(zip(worst["response"], worst["unit"], strict=True))
    assert worst["unit is"].unique().tolist() == ["channel"]
    assert (worst["max |x|"] == 0).all()
    assert worst["units"].is_monotonic_decreasing, "among equals the larger map comes first"
    assert worst["unit"][0] == planted["embedder.embedder.activation"]
    outputs = outputs_by_hand(model, images, planted)
    layers = {name: np.concatenate(parts) for name, parts in outputs.items()}
    units = dict.fromkeys(layers, "element")
    everywhere = iua.worst(20, layers=list(planted))
    by_hand = ranked(rows_by_hand(layers, units, (1e-8, 1e-8), 1.0), "inactive share", 20)
    assert everywhere["unit"].tolist() == [row["unit"] for row in by_hand]
    assert everywhere["dead units"].tolist() == [row["dead"][0] for row in by_hand]


def network() -> dict[str, np.ndarray]:
    maps = RNG.uniform(0.5, 1, (6, 4, 3, 3))
    maps[:, 2] = 0
    maps[:, 0, 1] = 0
    return {"conv.relu": maps, "head": np.maximum(RNG.normal(size=(6, 5)), 0)}


def test_channels_come_before_positions_which_can_be_asked_for() -> None:
    iua = IUA.introspect(network())
    worst = iua.worst(1)
    assert worst[["response", "unit", "unit is", "units", "dead units"]].values.tolist() == [
        ["conv.relu", 2, "channel", 9, 9]
    ]
    assert "position" not in worst
    positions = iua.worst(12, positions=True)
    assert positions["position"].tolist()[:4] == [(0, 1, 0), (0, 1, 1), (0, 1, 2), (2, 0, 0)]
    assert positions["unit is"].unique().tolist() == ["unit"]
    assert len(iua.worst(10**9)) == 4 + 5
    assert len(iua.worst(10**9, positions=True)) == 36 + 5


def test_layers_are_named_or_matched() -> None:
    iua = IUA.introspect(network())
    assert iua.worst(99, layers="head")["response"].unique().tolist() == ["head"]
    assert iua.worst(1, layers=["conv.*", "head"])["response"].tolist() == ["conv.relu"]
    with pytest.raises(LayerSelectionError, match=r"'heads'.*'head'"):
        iua.worst(layers="heads")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n": -1}, ValueError, "n must be zero or more, such as 10 for ten units; got -1"),
        ({"n": 2.0}, TypeError, "whole number, such as 10 for ten units; got 2.0"),
        ({"n": True}, TypeError, "such as 10 for ten units; got True"),
        ({"n": "ten"}, TypeError, "such as 10 for ten units; got 'ten'"),
        ({"by": "mean x"}, ValueError, "by must be one of 'mean |x|'"),
        ({"by": "shares"}, ValueError, "by must be one of 'inactive share'"),
        ({"by": None}, ValueError, "; got None."),
        ({"atol": -1}, ToleranceError, "atol must be"),
    ],
)
def test_what_cannot_be_ranked_is_refused(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as refused:
        IUA.introspect(network()).worst(**arguments)
    assert message in str(refused.value)


def test_none_and_nothing_are_told_apart() -> None:
    iua = IUA.introspect(network())
    none, some = iua.worst(0), iua.worst(np.int64(2), "RMS")
    assert none.columns.tolist() == some.columns.tolist()
    assert none.dtypes.tolist() == some.dtypes.tolist()
    assert some.attrs["by"] == "rms"
    with pytest.raises(NoProbesError):
        IUA().worst()


def test_thinned_merged_and_loaded_results_rank_alike(tmp_path: Any) -> None:
    data = network()
    whole = IUA.introspect(data)
    halves = [IUA.introspect({n: v[half::2] for n, v in data.items()}) for half in range(2)]
    merged = IUA.merge(*halves)
    loaded = IUA.load(merged.save(tmp_path / "run.iua"))
    keys = ["response", "unit", "inactive share", "max |x|", "dead", "dead units"]
    for atol in (1e-8, 0.7):
        expected = whole.worst(9, atol=atol)[keys]
        for same in (merged, loaded, IUA.introspect(data, engine="device")):
            pd.testing.assert_frame_equal(same.worst(9, atol=atol)[keys], expected)
    thinned = IUA.introspect(data)
    tally = thinned._run.tally("conv.relu")
    tally.thin([*tally.columns[:-1:9], tally.columns[-1]])
    exact = whole.worst(99, atol=0.7).set_index(["response", "unit"])
    held = thinned.worst(99, atol=0.7).set_index(["response", "unit"])
    true = exact["inactive share"].reindex(held.index)
    assert (held["inactive share"] <= true).all()
    assert (true <= held["inactive share upper"]).all()
    assert (held["dead units"] == exact["dead units"].reindex(held.index)).all()


def test_a_widget_ranks_at_the_tolerances_on_show() -> None:
    w = IUAWidget(network(), background=False)
    assert w.worst(1)["unit"].tolist() == [2]
    w.atol = 2.0
    assert w.worst(99)["dead"].tolist() == w.iua.worst(99)["dead"].tolist()
    assert w.worst().attrs["atol"] == 2.0
    assert w.worst(1, by="max |x|")["max |x|"].tolist() == [0.0]
    w.close()


@pytest.mark.parametrize(("engine", "requests"), [("device", 0), ("reference", 1)])
def test_many_counts_on_a_device_stay_there_until_the_run_is_held(
    engine: str, requests: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worst_feed, "_MOST_MOVED", 0)
    sent: list[bytes] = []
    asked: list[bool] = []
    iua = IUA(engine=engine)
    feed = WorstFeed(lambda: (iua._run, iua.tolerances), sent.append)
    monkeypatch.setattr(feed._pacer, "request", lambda: asked.append(True))
    for _ in count(iua._run, open_source({"relu": torch.zeros(4, 3)})):
        feed.counted()
    assert len(asked) == requests
    for _ in range(2):
        feed.flush()
    feed.close()
    assert len(sent) == 1, "nothing more was counted before the second"


def test_tolerances_that_change_while_units_are_ranked_are_ranked_at_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worst_feed, "_SETTLED", 0.0)
    iua = IUA.introspect(network(), engine="reference")
    before, between, after = (
        Tolerances(rtol, atol, "layer_mean")
        for atol, rtol in ((1e-8, 0.1), (1e-3, 0.2), (1e-2, 0.1))
    )
    shown = [before]
    sent: list[bytes] = []
    thrice = threading.Event()

    def send(snapshot: bytes) -> None:
        sent.append(snapshot)
        if len(sent) == 3:
            thrice.set()

    def rank(*of: Any) -> bytes:
        if shown[0] is between:  # the list before answers for what is chosen now, not this one
            shown[0] = after
            feed.tolerances_changed()
        return worst_snapshot(*of)

    monkeypatch.setattr(worst_feed, "worst_snapshot", rank)
    feed = WorstFeed(lambda: (iua._run, shown[0]), send)
    feed.flush()
    shown[0] = between
    feed.flush()
    assert thrice.wait(60)
    feed.close()
    meta, _ = unpack(sent[-1])
    assert [after.rtol, after.atol] in [at[:2] for at in meta["at"]]


@settings(deadline=None, max_examples=15)
@given(
    network=networks(ODD),
    scale=st.sampled_from(SCALES),
    rtol=st.sampled_from([0.0, 0.3]),
    share=st.sampled_from([1.0, 0.6]),
    recounted=st.booleans(),
)
def test_what_crosses_to_the_page_is_the_ranking_at_every_stop(
    network: tuple[dict[str, Any], dict[str, str]],
    scale: Scale,
    rtol: float,
    share: float,
    recounted: bool,
) -> None:
    layers, units = network
    iua = IUA.introspect(layers, units=units, engine="reference", atol=0.26, rtol=rtol, scale=scale)
    if recounted:
        iua.recount(layers)
    tallies = {name: iua._run.tally(name) for name in iua.layers}
    several = ranked_at(tallies, iua._run.options.grid, iua.tolerances.but(dead_at=share))
    assert len(several) == len(iua.stops) + (0 if scale == "zero" else len(default_stops(rtol)) - 1)
    meta, arrays = unpack(worst_snapshot(tallies, several, iua._run.recount))
    assert [(at.rtol, at.atol) for at in several] == [(at[0], at[1]) for at in meta["at"]]
    names = [layer["name"] for layer in meta["layers"]]
    for at, (_, _, number) in list(zip(several, meta["at"], strict=True))[::9]:
        table = iua.worst(LISTED, atol=at.atol, rtol=at.rtol, scale=at.scale, dead_at=share)
        order = arrays["order"][number].astype(int)
        assert [names[layer] for layer in arrays["layer"][order]] == table["response"].tolist()
        assert arrays["unit"][order].tolist() == table["unit"].tolist()
        np.testing.assert_array_equal(arrays["max_abs"][order], table["max |x|"])
        for name, column in (("inactive", "inactive share"), ("dead", "dead units")):
            for upper in ("", "_upper"):
                found = arrays.get(f"{name}{upper}", arrays[name])[number].astype(float)
                with np.errstate(invalid="ignore"):
                    figures = found / arrays["finite"][order] if name == "inactive" else found
                heading = f"{column}{upper.replace('_', ' ')}"
                np.testing.assert_array_equal(figures, table.get(heading, table[column]))
