"""A layer that no probe has reached is a row without figures; the others are as ever."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from unpacking import unpack

from iua_widget import IUA, IUAWarning, IUAWidget, MergeError, NoProbesError
from iua_widget.tolerances import SCALES, Stops, Tolerances
from iua_widget.widget.snapshots import table_snapshot

pytestmark = pytest.mark.filterwarnings("ignore::iua_widget.IUAWarning")
RNG = np.random.default_rng(0)
EMPTY = ("experts.2.1", "boxes")


class Rows(nn.Module):
    """Passes on some rows of its input, reshaped."""

    def __init__(self, rows: slice, *shape: int) -> None:
        super().__init__()
        self.rows, self.shape = rows, shape

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        chosen = x[self.rows]
        return chosen.new_zeros(len(chosen), *self.shape)


class Routed(nn.Module):
    """Three experts of which the last gets no row, a head without proposals, one without units."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.experts = nn.ModuleList(nn.Sequential(nn.Linear(4, 6), nn.ReLU()) for _ in range(3))
        self.boxes, self.nothing = Rows(slice(0), 3, 4, 4), Rows(slice(None), 0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        to, out = torch.arange(len(x)) % 2, torch.zeros(len(x), 6)
        for number, expert in enumerate(self.experts):
            out[to == number] = expert(x[to == number])
        self.boxes(x)
        self.nothing(x)
        return out


DATA = [torch.randn(8, 4, generator=torch.Generator().manual_seed(n)) for n in range(2)]


def routed(**options: Any) -> IUA:
    return IUA.introspect(Routed(), DATA, layers=[nn.ReLU, Rows], **options)


def alone(**options: Any) -> IUA:
    """The same without the layers that nothing reaches."""
    return IUA.introspect(Routed(), DATA, layers=["experts.[01].1", "nothing"], **options)


@pytest.mark.parametrize("engine", ["reference", "device"])
def test_it_is_a_row_without_figures(engine: str) -> None:
    table = routed(engine=engine).to_pandas().set_index("response")
    assert list(table.index) == ["experts.0.1", "experts.1.1", "experts.2.1", "boxes", "nothing"]
    for layer, units in zip(EMPTY, (6, 48), strict=True):
        row = table.loc[layer]
        figures = ["mean inactive", "std inactive", "inactive share", "dead units", "dead share"]
        assert row[[*figures, "dormant (tau 0.025)", "dead channels"]].isna().all()
        assert (row["units"], row["probes"], row["nan"], row["masked"]) == (units, 0, 0, 0)
    assert table.loc["boxes", "shape"] == (3, 4, 4)
    assert table.loc["boxes", "channels"] == 3
    assert table["dead units"].dtype == table["dormant (tau 0.025)"].dtype == "Int64"
    expected = alone().to_pandas().set_index("response")
    pd.testing.assert_frame_equal(
        table.loc[expected.index, expected.columns], expected, check_dtype=False
    )
    assert expected["dead units"].dtype == np.int64


def test_a_note_says_why() -> None:
    with pytest.warns(IUAWarning, match="no row"):
        notes = routed().notes
    assert [note for note in notes if "No input reached 'boxes'" in note and "no row" in note]
    assert [note for note in notes if "No token was routed" in note and "'experts.2'" in note]
    assert [note for note in notes if "'nothing'" in note and "no unit" in note]
    assert not [note for note in notes if "0 responses" in note]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("share", [1.0, 0.5])
def test_everything_reads_it_at_any_tolerance(scale: str, share: float) -> None:
    iua = routed()
    reading = iua.at(atol=0.0123, rtol=0.1, scale=scale, dead_at=share)  # type: ignore[arg-type]
    for layer in EMPTY:
        result = reading.results[layer]
        assert np.isnan([result.mean_inactive, result.std_inactive, result.mean_inactive_upper])[
            [0, 2]
        ].all()
        assert (result.probes, result.dead, result.dead_upper, result.dormant) == (0, 0, 0, 0)
        assert not result.unit_inactive_count.any()
        assert np.isnan(result.unit_inactive_proportion).all()
        assert result.exact
        units = iua.units(layer, rtol=0.1, scale=scale, dead_at=share)  # type: ignore[arg-type]
        assert units[["inactive share", "mean |x|", "max |x|"]].isna().all(axis=None)
        assert not units[["dead", "dormant"]].any(axis=None)
        channels = iua.channels(layer, scale=scale)  # type: ignore[arg-type]
        assert channels["inactive share"].isna().all()
        assert not channels["dead"].any()
    assert reading.results["experts.0.1"].probes == 8


def test_charts_saved_tables_and_pages_have_it(tmp_path: Path) -> None:
    iua = routed()
    charts = IUA.show(iua, vis_type="chart")
    titles = [chart.to_dict()["title"] for chart in charts]
    assert "no probe has reached its 6 units" in titles[2]["subtitle"][0]
    assert "dead" in titles[0]["subtitle"][0]
    widget = IUAWidget(iua)
    page = widget._repr_mimebundle_()[0]["text/html"]
    layers = page.partition(">Layers<")[2]
    assert layers.count("<td") == (5 + 1) * 6
    assert layers.count(">–<") == 2 * 3 + 2  # noqa: RUF001
    assert "nan" not in page.lower()
    assert widget.to_html(tmp_path / "page.html").stat().st_size > 0
    widget.layer = EMPTY[0]
    widget.selected = [0, 5]
    assert widget.selection()["inactive count"].tolist() == [0, 0]
    assert "NaN" in iua._repr_html_()


@pytest.mark.parametrize("ascending", [True, False])
@pytest.mark.parametrize(
    "column",
    ["mean inactive", "inactive share", "std inactive", "dead units", "dead share", "dormant"],
)
def test_it_sorts_last_and_passes_no_filter_of_figures(column: str, ascending: bool) -> None:
    widget = IUAWidget(routed())
    widget.sort = {"column": column, "ascending": ascending}
    without = {"inactive share": 1, "dead share": 1}.get(column, 0)  # those of no units
    assert set(EMPTY) <= set(widget.table()["response"].tolist()[-2 - without :])
    widget.filter = f"{column}>=0"
    assert not set(EMPTY) & set(widget.table()["response"])


def test_the_page_is_sent_no_figure_of_it() -> None:
    iua = routed()
    tallies = {name: iua._run.tally(name) for name in iua.layers}
    at = Tolerances(0.1, 0.0, "unit_max")
    again = iua.recount(Routed(), DATA, layers=[nn.ReLU, Rows], rtol=at.rtol, scale=at.scale)
    assert again.exact
    assert np.isnan(again.results["boxes"].mean_inactive)
    meta, arrays = unpack(table_snapshot(tallies, Stops(iua.stops), at, recount=iua._run.recount))
    rows = {layer["name"]: (n, layer) for n, layer in enumerate(meta["layers"])}
    for layer in EMPTY:
        row, facts = rows[layer]
        assert (facts["probes"], facts["finite_probes"]) == (0, 0)
        assert not arrays["mean"][row].any()
        assert not arrays["dead"][row].any()


def test_files_keep_it_and_merging_fills_it(tmp_path: Path) -> None:
    iua = routed()
    again = IUA.load(iua.save(tmp_path / "run.iua"))
    pd.testing.assert_frame_equal(again.to_pandas(), iua.to_pandas())
    assert again.notes == iua.notes
    twice = IUA.merge(again, iua)
    assert twice.to_pandas()["probes"].tolist() == [16, 16, 0, 0, 32]


class Sometimes(nn.Module):
    """Passes rows to an expert only where there are some above zero, or calls it with none."""

    def __init__(self, *, called: bool) -> None:
        super().__init__()
        self.called, self.first, self.expert = called, nn.ReLU(), nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        chosen = x[x[:, 0] > 0]
        if len(chosen) or self.called:
            self.expert(chosen)
        return self.first(x)


@pytest.mark.parametrize("called", [True, False])
def test_shards_of_which_one_never_reached_a_layer_merge(called: bool) -> None:
    net = Sometimes(called=called)
    never, some = -torch.ones(4, 3), torch.tensor([[1.0, 0.0, -1.0], [-1.0, 1.0, 1.0]])
    shards = [IUA.introspect(net, [data]) for data in (never, some)]
    whole = IUA.introspect(net, [never, some])
    for one, other in itertools.permutations(shards):
        merged = IUA.merge(one, other)
        assert merged.probes == 6
        result = merged.results["expert"]
        assert (result.probes, result.unit_inactive_count.tolist()) == (1, [0, 1, 1])
        assert result.inactive == [2]
        assert result.unit == whole.results["expert"].unit
        assert set(merged.layers) == set(whole.layers)
    assert IUA.merge(*shards).layers == whole.layers
    if not called:
        assert shards[0].layers == ["first"]
        notes = IUA.merge(*shards, shards[0]).notes
        assert any("Only in some of the runs" in note and "'expert'" in note for note in notes)
        never_called = [note for note in notes if "ever called" in note]
        assert [note.index("In one of the merged runs: ") for note in never_called] == [0]


def test_arrays_of_other_names_are_not_merged(tmp_path: Path) -> None:
    one = IUA.introspect({"a": np.zeros((2, 3)), "b": np.zeros((2, 3))})
    other = IUA.introspect({"a": np.zeros((2, 3))})
    for it in (other, IUA.load(other.save(tmp_path / "run.iua"))):
        with pytest.raises(MergeError, match=r"only here \['b'\]"):
            IUA.merge(one, it)


def test_what_a_unit_is_is_told_by_the_first_response_with_rows() -> None:
    class Late(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.relu = nn.ReLU()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.relu(torch.zeros(0, 5, 0, 0) if x.sum() == 0 else x)

    maps = torch.randn(4, 5, 3, 2)
    zeros = torch.zeros_like(maps)
    for data in ([zeros, maps], [maps, zeros], [zeros, maps, zeros, maps]):
        iua = IUA.introspect(Late(), data)
        expected = IUA.introspect(Late(), [batch for batch in data if batch.any()])
        assert iua._run.tally("relu").unit_shape == (5, 3, 2)
        counts = iua.results["relu"].unit_inactive_count
        assert counts.tolist() == expected.results["relu"].unit_inactive_count.tolist()


@pytest.mark.parametrize("units", ["token", "channel"])
def test_a_layer_that_is_all_padding_says_so(units: str) -> None:
    data = {"a": RNG.normal(size=(4, 6, 3)), "b": RNG.normal(size=(4, 3))}
    with pytest.warns(IUAWarning, match="padding"):
        iua = IUA.introspect(data, units={"a": units}, mask=lambda _: {"a": np.zeros((4, 6), bool)})
    table = iua.to_pandas()
    assert table["probes"].tolist() == [0, 4]
    assert table["masked"].tolist() == [24, 0]
    assert table["mean inactive"].isna().tolist() == [True, False]
    assert [note for note in iua.notes if "'a' is padding" in note]
    real = IUA.introspect(data, units={"a": units}, mask=lambda _: {"a": np.ones((4, 6), bool)})
    assert IUA.merge(iua, real).results["a"].probes == real.results["a"].probes


def test_a_run_of_nothing_but_such_a_layer_is_read_too() -> None:
    iua = IUA.introspect(Routed(), [torch.randn(8, 4)], layers="experts.2.1")
    assert len(IUA.show(iua)) == 1
    widget = IUAWidget(iua)
    assert len(widget.table()) == 1
    assert "experts.2.1" in widget._repr_mimebundle_()[0]["text/html"]


def test_without_any_input_there_is_nothing_to_read() -> None:
    iua = IUA.introspect({"a": np.zeros((0, 3))})
    assert iua.notes == []
    for ask in (iua.to_pandas, lambda: iua.units("a"), lambda: iua.channels("a")):
        with pytest.raises(NoProbesError, match="only empty batches"):
            ask()


def test_a_map_without_positions_is_no_probe_of_its_channels() -> None:
    iua = IUA.introspect({"a": np.zeros((4, 3, 0, 2)), "b": np.zeros((4, 3))}, units="channel")
    assert iua.to_pandas()["probes"].tolist() == [0, 4]
    assert iua.results["a"].dead == 0
    assert not iua.channels("a")["dead"].any()


def test_how_many_tokens_an_expert_got_is_its_load_and_no_note() -> None:
    iua = IUAWidget(Routed(), [torch.ones(8, 4)], background=False).iua
    assert iua.results["experts.0.1"].probes == 4
    assert not [note for note in iua.notes if "responses for" in note]
