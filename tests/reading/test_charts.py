"""Altair heatmaps: every unit in its place, with its own figures."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from iua_widget import IUA
from iua_widget.reading.charts import ChartArray


def chart_of(
    values: np.ndarray, options: dict[str, Any] | None = None, **tolerances: float
) -> dict[str, Any]:
    reading = IUA.introspect({"layer": values}, **options or {}).at(**tolerances)
    return IUA.show(reading, vis_type=IUA.VisType.CHART).to_dict()


def rows_of(chart: dict[str, Any]) -> list[dict[str, Any]]:
    (rows,) = chart["datasets"].values()
    return rows


@pytest.mark.parametrize("shape", [(), (1,), (10,), (7, 9), (3, 4, 5), (2, 3, 4, 5)])
def test_every_unit_has_one_cell_with_its_count_and_share(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    values = np.maximum(rng.normal(size=(40, *shape)), 0)
    rows = rows_of(chart_of(values))
    expected = (values == 0).sum(axis=0).ravel()
    assert sorted(row["unit"] for row in rows) == list(range(expected.size))
    assert len({(row["row"], row["column"]) for row in rows}) == expected.size
    for row in rows:
        assert row["count"] == expected[row["unit"]]
        assert row["share"] == row["count"] / 40


def test_a_matrix_keeps_its_rows_and_columns() -> None:
    for row in rows_of(chart_of(np.zeros((1, 7, 9)))):
        assert divmod(row["unit"], 9) == (row["row"], row["column"])


def test_feature_maps_are_tiles_with_a_gap_between() -> None:
    chart = chart_of(np.zeros((1, 4, 3, 3)))
    for axis in ("x", "y"):
        assert chart["encoding"][axis]["scale"]["domain"] == list(range(7)), "the gap has a place"
    for row in rows_of(chart):
        channel, within = divmod(row["unit"], 9)
        assert row["row"] == channel // 2 * 4 + within // 3
        assert row["column"] == channel % 2 * 4 + within % 3


def test_channels_last_are_tiles_of_a_channel_each() -> None:
    for row in rows_of(chart_of(np.zeros((1, 3, 3, 4)), {"channel_axis": -1})):
        within, channel = divmod(row["unit"], 4)
        assert row["row"] == channel // 2 * 4 + within // 3
        assert row["column"] == channel % 2 * 4 + within % 3


def test_the_title_says_what_a_unit_and_a_probe_are() -> None:
    values = np.zeros((2, 3, 4))
    titles = {
        "element": "share of probes on which each unit is inactive",
        "channel": "share of probes on which each channel is inactive",
        "token": "share of tokens on which each channel is inactive",
    }
    for units, title in titles.items():
        assert title in chart_of(values, {"units": units})["title"]["text"]


def test_a_large_layer_is_pooled_and_says_so_and_keeps_a_lone_dead_unit() -> None:
    values = np.ones((2, 100_000), np.float32)
    values[:, 61_803] = 0
    chart = chart_of(values)
    rows = rows_of(chart)
    assert len(rows) <= 5000
    (dead,) = (row for row in rows if row["dead"])
    assert (dead["unit"], dead["dead"], dead["count"]) == (61_803, 1, 2)
    assert dead["share"] == pytest.approx(1 / dead["units"])
    assert sum(row["units"] for row in rows) == 100_000
    assert "mean of 5 × 5 units" in str(chart["title"])


def test_as_much_is_red_as_is_dead() -> None:
    values = np.ones((3, 40, 40))
    values[:, :7] = 0
    values[0, 9, 9] = 0
    chart = chart_of(values)
    assert sum(row["dead"] for row in rows_of(chart)) == 7 * 40
    assert all(row["units"] == 1 for row in rows_of(chart))
    red = {"test": "datum.dead == datum.units", "value": "#e8402a"}
    assert chart["encoding"]["color"]["condition"] == red


def test_lighter_is_active_more_often_and_the_legend_says_so() -> None:
    color = chart_of(np.zeros((1, 4)))["encoding"]["color"]
    domain = color["scale"]["domain"]
    assert (domain[0], domain[-1], sorted(domain)) == (0, 1, domain)
    assert color["legend"]["title"] == ["inactive share", "lighter: more active", "red: dead"]


def test_colors_are_those_of_the_page_on_a_ground_of_their_own() -> None:
    sources = Path(__file__).parents[2] / "js" / "src"
    colors = (sources / "canvas" / "color.ts").read_text("utf-8")
    styles = (sources / "page" / "base.css").read_text("utf-8")
    chart = chart_of(np.zeros((1, 4)))
    color = chart["encoding"]["color"]
    (ramp,) = re.findall(r"blue: {\s*light: {\s*anchors: \[([^\]]*)\]", colors)
    assert color["scale"]["range"] == re.findall(r'"(#\w+)"', ramp)
    assert f"--iua-dead: {color['condition']['value']};" in styles
    assert f"--iua-picture-ground: {chart['view']['fill']};" in styles


def test_between_stops_the_title_says_that_shares_are_bounds() -> None:
    values = np.random.default_rng(0).normal(size=(5, 4))
    assert "at least" in chart_of(values, atol=0.55)["title"]["text"]
    assert "at least" not in chart_of(values, atol=0.5)["title"]["text"]


def test_several_charts_are_an_array_that_shows_itself() -> None:
    iua = IUA.introspect({"a": np.zeros((2, 3)), "b": np.ones((2, 3))})
    charts = IUA.show(iua, vis_type=IUA.VisType.CHART)
    assert isinstance(charts, ChartArray)
    assert [chart.to_dict()["title"]["text"][0] for chart in charts] == ["a", "b"]
    assert len(charts.chart.to_dict()["vconcat"]) == 2
    assert charts._repr_mimebundle_()


def test_a_chart_renders() -> None:
    vl_convert = pytest.importorskip("vl_convert")
    chart = chart_of(np.random.default_rng(0).normal(size=(5, 3, 4, 4)))
    assert vl_convert.vegalite_to_png(chart).startswith(b"\x89PNG")
