"""Comparisons of two results: against numpy.isclose, at any tolerance, and what is refused."""

from __future__ import annotations

import copy
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from by_hand import dead_by_hand
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import nn

from iua_widget import (
    IUA,
    Comparison,
    ComparisonError,
    IUAWarning,
    LayerComparison,
    LayerSelectionError,
    NoProbesError,
    ToleranceError,
)
from iua_widget.reading.charts import ChartArray
from iua_widget.run.loop import count
from iua_widget.run.open import open_source
from iua_widget.tolerances import SCALES, Tolerances

pytestmark = pytest.mark.filterwarnings("ignore:Not finite:iua_widget.IUAWarning")
CHANGES = ("newly_dead", "revived", "dead_in_both")
GRIDS = (None, (0.0, 1e-8, 0.05, 1.0), (0.0, 0.25, 3.0))
VALUES = st.one_of(
    st.sampled_from([0.0, -0.0, 1e-8, 0.05, 0.25, -0.5, 1.0, np.nan, np.inf, -np.inf]),
    st.floats(-4, 4, width=16),
)
RNG = np.random.default_rng(11)


def introspect(producer: Any, *args: Any, **options: Any) -> IUA:
    return IUA.introspect(producer, *args, engine="reference", **options)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Responses before and after, of shape (items, channels, positions), many of them dead."""
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=4))

    def responses() -> np.ndarray:
        items = draw(st.integers(1, 5))
        values = draw(hnp.arrays("float32", (items, *shape), elements=VALUES))
        dead = draw(hnp.arrays(bool, shape))
        dtype = draw(st.sampled_from(["float16", "float32", "float64", "complex64"]))
        found: np.ndarray = np.where(dead & np.isfinite(values), values * 0.01, values)
        return found.astype(dtype)

    return responses(), responses()


def by_unit(values: np.ndarray, unit: str) -> np.ndarray:
    """Magnitudes of shape (probes, units)."""
    magnitudes = np.abs(values)
    if unit == "channel":
        largest: np.ndarray = magnitudes.max(axis=2)  # NaN where one position is
        return largest
    if unit == "token":
        return np.moveaxis(magnitudes, 1, 2).reshape(-1, values.shape[1])
    return magnitudes.reshape(len(values), -1)


def by_hand(magnitudes: np.ndarray, thresholds: np.ndarray, share: float) -> dict[str, np.ndarray]:
    inactive = np.column_stack(
        [
            np.isclose(magnitudes[:, unit], 0, rtol=0, atol=float(threshold))
            for unit, threshold in enumerate(thresholds)
        ]
    )
    return {
        "dead": dead_by_hand(magnitudes, inactive, share),
        "finite": np.isfinite(magnitudes).any(axis=0),
        "share": inactive.mean(axis=0),
    }


def thresholds_of(result: Any) -> np.ndarray:
    """As the library has them: sums behind a scale may round otherwise here."""
    if result.unit_thresholds is not None:
        found: np.ndarray = result.unit_thresholds.ravel()
        return found
    return np.full(result.units, result.threshold)


@pytest.mark.filterwarnings("ignore::iua_widget.IUAWarning")
@settings(deadline=None, max_examples=150)
@given(
    values=pairs(),
    unit=st.sampled_from(["element", "channel", "token"]),
    at=st.builds(
        Tolerances,
        atol=st.one_of(st.sampled_from([0.0, 1e-8, 0.05, 0.25]), st.floats(0, 5)),
        rtol=st.sampled_from([0.0, 0.1, 0.7]),
        scale=st.sampled_from(SCALES),
        dead_at=st.one_of(st.just(1.0), st.sampled_from([0.99, 0.5]), st.floats(0.01, 1)),
    ),
    grids=st.tuples(st.sampled_from(GRIDS), st.sampled_from(GRIDS)),
    thinned=st.booleans(),
)
def test_it_is_what_numpy_finds_or_bounds_it(
    values: tuple[np.ndarray, np.ndarray],
    unit: str,
    at: Tolerances,
    grids: tuple[Any, Any],
    *,
    thinned: bool,
) -> None:
    iuas = [
        introspect({"a": part}, units=unit, channel_axis=1, stops=stops, keep_inactive=False)
        for part, stops in zip(values, grids, strict=True)
    ]
    if thinned:
        iuas[1]._run.tally("a").thin([0, 2, len(iuas[1].stops)])
    comparison = (
        iuas[0].compare(iuas[1]).at(atol=at.atol, rtol=at.rtol, scale=at.scale, dead_at=at.dead_at)
    )
    result = comparison["a"]
    before, after = (
        by_hand(by_unit(part, unit), thresholds_of(side), at.dead_at)
        for part, side in zip(values, (result.before, result.after), strict=True)
    )
    compared = before["finite"] & after["finite"]
    truth = {
        "newly_dead": compared & ~before["dead"] & after["dead"],
        "revived": compared & before["dead"] & ~after["dead"],
        "dead_in_both": compared & before["dead"] & after["dead"],
    }
    assert result.compared.ravel().tolist() == compared.tolist()
    for name in CHANGES:
        lower, upper = (getattr(result, name + end).ravel() for end in ("", "_upper"))
        assert (lower <= truth[name]).all()
        assert (truth[name] <= upper).all()
        if comparison.exact:
            assert lower.tolist() == upper.tolist()
    lower, upper = result.change_of_inactive_share, result.change_of_inactive_share_upper
    change = np.where(compared, after["share"] - before["share"], np.nan)
    assert np.isnan(lower.ravel()).tolist() == (~compared).tolist()
    assert (lower.ravel() <= change + 1e-12)[compared].all()
    assert (change <= upper.ravel() + 1e-12)[compared].all()
    on_grids = all(at.atol in iua.stops for iua in iuas) and not thinned
    if on_grids and at.uniform:
        assert comparison.exact
    assert_tables_agree(comparison, truth)
    if comparison.exact and unit == "element":
        whole = {
            name: dead.reshape(values[0].shape[1:]).all(axis=1)
            for name, dead in (("before", before["dead"]), ("after", after["dead"]))
        }
        known = compared.reshape(values[0].shape[1:]).all(axis=1)
        channels = comparison.channels("a")
        assert channels["newly dead"].tolist() == (
            (known & ~whole["before"] & whole["after"]).tolist()
        )
        assert channels["revived"].tolist() == (
            (known & whole["before"] & ~whole["after"]).tolist()
        )


def assert_tables_agree(comparison: Comparison, truth: dict[str, np.ndarray]) -> None:
    result, units = comparison["a"], comparison.units("a")
    (row,) = comparison.to_pandas().to_dict("records")
    for name in CHANGES:
        heading = name.replace("_", " ")
        assert units[heading].tolist() == getattr(result, name).ravel().tolist()
        if not result.nothing_compared:
            assert row[heading] == getattr(result, name).sum() <= truth[name].sum()
        if not comparison.exact:
            assert units[f"{heading} upper"].tolist() == (
                getattr(result, f"{name}_upper").ravel().tolist()
            )
            if not result.nothing_compared:
                assert row[f"{heading} upper"] >= truth[name].sum()
    for side, found in (("before", result.before), ("after", result.after)):
        assert row[f"dead units {side}"] == found.dead == units[f"dead {side}"].sum()
        assert row[f"inactive share {side}"] == found.mean_inactive / found.units
    assert comparison.exact == (not [name for name in units if name.endswith("upper")])
    np.testing.assert_array_equal(
        units["change of inactive share"], result.change_of_inactive_share.ravel()
    )


BEFORE = {"conv": np.ones((6, 3, 2, 2)), "fc": np.ones((6, 5), np.float32)}
AFTER = {"conv": np.ones((9, 3, 2, 2)), "fc": np.ones((9, 5), np.float32)}
BEFORE["conv"][:, 0], BEFORE["conv"][:, 1, 1] = 0, 0
AFTER["conv"][:, 1] = 0
BEFORE["fc"][:, :2], AFTER["fc"][:, 1:4] = 0, 0
BEFORE["fc"][0, 4] = 0


def both(**options: Any) -> Comparison:
    return introspect(BEFORE, **options).compare(introspect(AFTER, **options))


def test_the_table_has_a_row_a_layer_in_the_order_of_the_network() -> None:
    table = both().to_pandas()
    assert list(table.columns) == [
        *("response", "units", "dead units before", "dead units after"),
        *("newly dead", "revived", "dead in both"),
        *("inactive share before", "inactive share after", "change of inactive share"),
        *("kind", "unit", "probes before", "probes after"),
        *("channels", "newly dead channels", "revived channels", "channels dead in both"),
    ]
    conv, dense = table.to_dict("records")
    assert (conv["response"], dense["response"]) == ("conv", "fc")
    assert [conv[name] for name in ("newly dead", "revived", "dead in both")] == [2, 4, 2]
    assert [dense[name] for name in ("newly dead", "revived", "dead in both")] == [2, 1, 1]
    assert dense["change of inactive share"] == 3 / 5 - (2 + 1 / 6) / 5
    assert (conv["probes before"], conv["probes after"]) == (6, 9)
    assert [conv[name] for name in table.columns[-4:]] == [3, 1, 1, 0]
    assert table.iloc[1, -4:].isna().all()
    pd.testing.assert_frame_equal(
        both().to_pandas("fc"), table.iloc[1:, :-4].reset_index(drop=True)
    )


def test_units_and_channels_say_where_they_are() -> None:
    comparison = both()
    units = comparison.units("conv")
    assert list(units.columns[:4]) == ["unit", "channel", "row", "column"]
    assert units.loc[units["revived"], "channel"].tolist() == [0] * 4
    assert units.loc[units["newly dead"], ["channel", "row"]].to_numpy().tolist() == [[1, 0]] * 2
    channels = comparison.channels("conv")
    assert channels["newly dead units"].tolist() == [0, 2, 0]
    assert channels["revived units"].tolist() == [4, 0, 0]
    assert channels["newly dead"].tolist() == [False, True, False]
    assert channels["revived"].tolist() == [True, False, False]
    assert comparison.channels("fc").columns[0] == "channel"
    assert comparison.newly_dead["conv"].shape == (3, 2, 2)
    assert {name: int(mask.sum()) for name, mask in comparison.revived.items()} == {
        "conv": 4,
        "fc": 1,
    }
    assert comparison.dead_in_both["fc"].tolist() == [False, True, False, False, False]


def test_it_is_read_like_a_mapping_and_says_what_it_is() -> None:
    comparison = both()
    assert list(comparison) == comparison.keys() == ["conv", "fc"]
    assert len(comparison) == 2
    assert "fc" in comparison
    assert isinstance(dict(comparison)["fc"], LayerComparison)
    assert repr(comparison) == (
        "Comparison(2 layers at rtol=1e-05, atol=1e-08, scale='zero': 4 newly dead, 5 revived, "
        "exact)"
    )
    between = comparison.at(atol=0.0123, dead_at=0.5)
    assert "dead_at=0.5: at least 4 newly dead, 5 revived, between stops" in repr(between)
    assert comparison._repr_html_().count("<tr") == 3
    with pytest.raises(LayerSelectionError, match=r"no layer is named 'fcc'. Try one of: 'fc'"):
        comparison.units("fcc")
    with pytest.raises(LayerSelectionError, match="no layer was asked for"):
        comparison.to_pandas([])
    with pytest.raises(ToleranceError, match="dead_at must be above 0"):
        comparison.at(dead_at=0)


def test_a_unit_is_not_called_dead_where_that_is_only_possible() -> None:
    before = introspect({"a": np.full((4, 2), 0.9)}, stops=[0.5, 1.0])
    after = introspect({"a": np.array([[0.6, 0.2]] * 4)}, stops=[0.5, 1.0])
    result = before.compare(after).at(atol=0.7)["a"]
    assert not result.exact
    assert result.newly_dead.tolist() == [False, False], "before they may have been dead, too"
    assert result.newly_dead_upper.tolist() == [True, True]
    assert result.dead_in_both.tolist() == [False, False]
    assert result.dead_in_both_upper.tolist() == [True, True]
    assert result.revived_upper.tolist() == [True, False], "the second is dead after for sure"


def test_a_recount_on_both_sides_makes_it_exact() -> None:
    parts = [{"a": np.full((4, 2), 0.9)}, {"a": np.array([[0.6, 0.2]] * 4)}]
    iuas = [introspect(part, stops=[0.5, 1.0]) for part in parts]
    comparison = iuas[0].compare(iuas[1])
    for iua, part in zip(iuas, parts, strict=True):
        assert not comparison.at(atol=0.7).exact
        iua.recount(part, atol=0.7)
    exact = comparison.at(atol=0.7)
    assert exact.exact
    assert exact["a"].newly_dead.tolist() == exact["a"].newly_dead_upper.tolist() == [True, True]


def test_what_was_read_stays_and_at_reads_what_is_there_then() -> None:
    before, after = introspect({"a": np.zeros((4, 3))}), introspect({"a": np.zeros((4, 3))})
    comparison = before.compare(after)
    twins = copy.deepcopy(comparison), pickle.loads(pickle.dumps(comparison))
    list(count(after._run, open_source({"a": np.ones((4, 3))})))
    assert comparison["a"].dead_in_both.all()
    assert comparison.at()["a"].revived.all()
    for twin in twins:
        assert twin.at()["a"].dead_in_both.all()


def test_nothing_is_said_of_units_that_were_finite_on_no_probe() -> None:
    before, after = np.zeros((4, 3)), np.zeros((5, 3))
    after[:, 0], after[0, 1], before[0, 2] = np.nan, np.nan, 1
    comparison = introspect({"a": before}).compare(introspect({"a": after}))
    result = comparison["a"]
    assert result.compared.tolist() == [False, True, True]
    assert not (result.newly_dead | result.revived | result.dead_in_both)[0]
    assert np.isnan(result.change_of_inactive_share).tolist() == [True, False, False]
    assert result.dead_in_both.tolist() == [False, True, False], "on its finite probes it is"
    (row,) = comparison.to_pandas().to_dict("records")
    assert (row["not compared"], row["dead units before"], row["dead in both"]) == (1, 2, 1)
    assert comparison.notes == [
        (
            "Units finite on no probe, before or after, in 'a' (1): they are not compared, and "
            "neither newly dead nor revived."
        )
    ]
    diverged = introspect({"a": before}).compare(introspect({"a": after[:, :1] * np.ones(3)}))
    row = diverged.to_pandas().iloc[0]
    assert diverged["a"].nothing_compared
    assert row[["newly dead", "revived", "dead in both", "change of inactive share"]].isna().all()
    assert row["dead units before"] == 2


class Experts(nn.Module):
    """Routes all rows to one of two experts; the other gets none."""

    def __init__(self, chosen: int) -> None:
        super().__init__()
        self.experts = nn.ModuleList(nn.Sequential(nn.Identity(), nn.ReLU()) for _ in range(2))
        self.chosen = chosen

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = [
            expert(x if number == self.chosen else x[:0])
            for number, expert in enumerate(self.experts)
        ]
        return torch.cat(parts)


@pytest.mark.filterwarnings("ignore::iua_widget.IUAWarning")
def test_a_layer_that_nothing_reached_in_one_of_the_two_has_no_figures_and_a_note() -> None:
    rows = -torch.ones(6, 3)
    before, after = (introspect(Experts(chosen), [rows]) for chosen in (0, 1))
    comparison = before.compare(after).at(rtol=0.1, scale="unit_rms", dead_at=0.5)
    table = comparison.to_pandas().set_index("response")
    assert list(table.index) == ["experts.0.1", "experts.1.1"]
    figures = ["newly dead", "revived", "dead in both", "change of inactive share"]
    assert table[figures].isna().all(axis=None)
    assert table["newly dead"].dtype == "Int64"
    assert table["dead units before"].isna().tolist() == [False, True]
    assert table["dead units after"].isna().tolist() == [True, False]
    assert table.loc["experts.0.1", "dead units before"] == 3
    assert comparison.notes == [
        f"No probe reached 'experts.{number}.1' {when}: nothing is compared there."
        for number, when in ((1, "before"), (0, "after"))
    ]
    for layer in comparison:
        units = comparison.units(layer)
        assert not units[["newly dead", "revived", "dead in both", "compared"]].any(axis=None)
        assert units["change of inactive share"].isna().all()
    charts = comparison.show(vis_type="chart")
    assert "nothing is known of how its 3 units changed" in str(charts[0].to_dict()["title"])
    alike = before.compare(before).to_pandas().set_index("response")
    assert alike.loc["experts.0.1", "dead in both"] == 3


class Rows(nn.Module):
    """Gives so many rows of so many units."""

    def __init__(self, rows: int, *shape: int) -> None:
        super().__init__()
        self.rows, self.shape = rows, shape

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.new_zeros(self.rows, *self.shape)


@pytest.mark.filterwarnings("ignore::iua_widget.IUAWarning")
def test_a_layer_that_nothing_reached_may_not_know_its_units() -> None:
    empty, full = (
        introspect(nn.Sequential(part), torch.zeros(2, 1), layers=Rows)
        for part in (Rows(0, 7), Rows(2, 3, 4, 4))
    )
    for comparison in (empty.compare(full), full.compare(empty)):
        assert comparison["0"].newly_dead.shape == (3, 4, 4)
        assert not comparison["0"].newly_dead_upper.any()
        row = comparison.to_pandas().iloc[0]
        assert (row["units"], row["not compared"]) == (48, 48)
        assert row[["newly dead", "newly dead channels", "revived"]].isna().all()
        assert comparison.units("0")["change of inactive share"].isna().all()
        assert len(comparison.channels("0")) == 3
        assert comparison.show(vis_type="chart").to_dict()
    with pytest.raises(ComparisonError, match=r"the shape .* '0': \(3,\) before and \(4,\) after"):
        introspect({"0": np.zeros((2, 3))}).compare(introspect({"0": np.zeros((2, 4))}))


def test_merged_shards_of_one_model_compare_as_any_other() -> None:
    relu = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    inputs = torch.randn(12, 3, generator=torch.Generator().manual_seed(0))
    whole = introspect(relu, inputs)
    merged = IUA.merge(introspect(relu, inputs[:5]), introspect(relu, inputs[5:]))
    result = whole.compare(merged)["1"]
    assert not (result.newly_dead | result.revived).any()
    assert not result.change_of_inactive_share.any()


def test_results_of_several_models_are_refused() -> None:
    inputs = torch.randn(12, 3)
    one, other = (introspect(nn.Sequential(nn.Linear(3, 4), nn.ReLU()), inputs) for _ in range(2))
    with pytest.warns(IUAWarning, match="weights were not the same"):
        merged = IUA.merge(one, other)
    one.compare(other)
    with pytest.raises(ComparisonError, match="the result after was counted with 2 different weig"):
        one.compare(merged)
    with pytest.raises(ComparisonError, match=r"the result before was .* before they are merged"):
        merged.compare(one)


MAPS = np.zeros((4, 3, 2, 3))


@pytest.mark.parametrize(
    ("other", "options", "words"),
    [
        ({"conv": MAPS}, {}, r"only before there is 'fc' \(nearest there: 'conv'\)|'fc'\. Count"),
        ({"conv": MAPS, "fc2": MAPS}, {}, r"before there is 'fc' \(nearest there: 'fc2'\); only a"),
        ({"conv": MAPS, "fc": MAPS, "head": MAPS}, {}, r"only after there is 'head'.*both have"),
        ({"other": MAPS}, {}, "they have no layer in common"),
        (
            {"conv": MAPS[:, :2], "fc": MAPS},
            {},
            r"the shape of the units differs in 'conv': \(3, 2, 3\) before and \(2, 2, 3\) after\.",
        ),
        (
            {"conv": MAPS, "fc": MAPS},
            {"units": "channel"},
            "'conv', 'fc': 'element' before and 'channel' after of 'conv'.*the same `units=`",
        ),
        (
            {"conv": MAPS, "fc": MAPS},
            {"channel_axis": {"conv": 3}},
            "the axis that counts channels differs in 'conv': 1 before and 3 after. .*channel_axis",
        ),
    ],
)
def test_what_is_not_of_one_architecture_is_refused_with_the_difference(
    other: dict[str, np.ndarray], options: dict[str, Any], words: str
) -> None:
    one = introspect({"conv": MAPS, "fc": MAPS})
    with pytest.raises(ComparisonError, match=words):
        one.compare(introspect(other, **options))


def test_layers_chosen_are_all_that_must_be_alike() -> None:
    one = introspect({"conv": MAPS, "fc": MAPS})
    other = introspect({"conv": MAPS, "fc": MAPS[:, :1], "head": MAPS})
    comparison = one.compare(other, layers="c*")
    assert list(comparison) == list(comparison.at(atol=1.0)) == ["conv"]
    with pytest.raises(ComparisonError, match="only after there is 'head'"):
        one.compare(other, layers=["conv", "head"])
    with pytest.raises(LayerSelectionError, match="no layer is named 'con'"):
        one.compare(other, layers="con")


def test_many_missing_layers_are_named_in_part() -> None:
    one, other = (
        introspect({f"{name}.{number}.relu": np.ones((1, 1)) for number in range(9)})
        for name in ("layer1", "layer2")
    )
    with pytest.raises(ComparisonError) as caught:
        one.compare(other)
    words = str(caught.value)
    assert "'layer1.0.relu' (nearest there: 'layer2.0.relu')" in words
    assert words.count("and 6 more") == 2


def test_what_is_no_result_and_what_has_none_is_refused() -> None:
    iua = introspect(BEFORE)
    with pytest.raises(TypeError, match=r"compare takes the IUA.*got dict.*`w\.iua`"):
        iua.compare(AFTER)  # type: ignore[arg-type]
    for one, other in ((IUA(), iua), (iua, IUA())):
        with pytest.raises(NoProbesError, match="nothing has been counted"):
            one.compare(other)


@pytest.mark.filterwarnings("ignore:Hardly any exact zero")
def test_another_activation_is_compared_and_noted() -> None:
    inputs = torch.randn(8, 3)
    before, after = (
        introspect(nn.Sequential(nn.Linear(3, 4), act()), inputs) for act in (nn.ReLU, nn.GELU)
    )
    assert before.compare(after).notes == [
        "Not made by the same in both: '1' (ReLU before, GELU after)."
    ]


def test_a_file_compares_as_the_run_it_was_saved_from(tmp_path: Path) -> None:
    before, after = introspect(BEFORE), introspect(AFTER)
    loaded = IUA.load(before.save(tmp_path / "before.iua")).compare(after)
    pd.testing.assert_frame_equal(loaded.to_pandas(), before.compare(after).to_pandas())


def cells_of(chart: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    made = chart.to_dict()
    (rows,) = made["datasets"].values()
    return made, rows


def test_a_picture_has_each_unit_in_the_color_of_what_became_of_it() -> None:
    comparison = both()
    made, rows = cells_of(comparison.show(vis_type=IUA.VisType.CHART, response_names="fc"))
    fates = {row["unit"]: row["fate"] for row in rows}
    assert [fates[unit] for unit in range(5)] == [
        *("revived", "dead in both", "newly dead", "newly dead", "alive")
    ]
    assert "2 newly dead, 1 revived, 1 dead in both of 5 units" in made["title"]["subtitle"][0]
    assert not any(row["others"] for row in rows)
    charts = IUA.show(comparison, vis_type=IUA.VisType.CHART)
    assert isinstance(charts, ChartArray)
    pd.testing.assert_frame_equal(IUA.show(comparison), comparison.to_pandas())
    with pytest.raises(ValueError, match=r"got 'chrat'. Did you mean 'chart'"):
        comparison.show(vis_type="chrat")


def test_in_a_pooled_picture_a_lone_newly_dead_unit_is_outlined() -> None:
    before, after = np.ones((2, 2, 100_000), np.float32)
    after[:, 61_803] = 0
    comparison = introspect({"a": before}).compare(introspect({"a": after}))
    made, rows = cells_of(comparison.show(vis_type="chart"))
    assert len(rows) <= 5000
    (outlined,) = (row for row in rows if row["others"])
    assert (outlined["fate"], outlined["others"], outlined["newly dead"]) == (
        *("alive", "newly dead"),
        1,
    )
    assert sum(row["units"] for row in rows) == 100_000
    assert "most of 5 × 5 units" in str(made["title"])
    vl_convert = pytest.importorskip("vl_convert")
    assert vl_convert.vegalite_to_png(made).startswith(b"\x89PNG")


def test_newly_dead_has_the_color_of_the_dead_on_the_page() -> None:
    styles = Path(__file__).parents[2] / "js" / "src" / "page" / "base.css"
    made, _ = cells_of(both().show(vis_type="chart", response_names="fc"))
    scale = made["encoding"]["color"]["scale"]
    newly_dead = scale["range"][scale["domain"].index("newly dead")]
    assert re.search(f"--iua-dead: {newly_dead};", styles.read_text("utf-8"))
