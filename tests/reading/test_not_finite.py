"""NaN and infinities: what is dead is told from a unit's finite probes, and they are told of."""

from __future__ import annotations

import json
import zipfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from by_hand import dead_by_hand
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import nn
from unpacking import unpack

from iua_widget import IUA, IUAWarning, IUAWidget, ProducerError
from iua_widget.files.container import write_container
from iua_widget.run.loop import count
from iua_widget.run.open import open_source
from iua_widget.tolerances import SCALES, Scale, Tolerances
from iua_widget.widget.snapshots import table_snapshot

pytestmark = pytest.mark.filterwarnings("ignore:Not finite:iua_widget.IUAWarning")
STOPS = (0.0, 1e-8, 0.05, 1.0)
ENGINES = ("reference", "cpu", "device")
VALUES = st.sampled_from([0.0, -0.0, 1e-8, 0.05, 0.3, -1.0, 7.0])
ODD = st.sampled_from([np.nan, np.inf, -np.inf])


def first_non_finite(iua: IUA, layer: str) -> int | None:
    return iua._run.tally(layer).store.read_magnitudes().first_non_finite


@st.composite
def responses(draw: st.DrawFn) -> np.ndarray:
    """Of shape (items, positions, channels), NaN and infinities anywhere among few values."""
    shape = draw(hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=5))
    dtype = draw(st.sampled_from(["float16", "float32", "float64", "complex64"]))
    values = draw(hnp.arrays("float32", shape, elements=VALUES))
    where = draw(hnp.arrays(bool, shape, elements=st.sampled_from([False, False, True])))
    odd = draw(hnp.arrays("float32", shape, elements=ODD))
    found: np.ndarray = np.where(where, odd, values).astype(dtype)
    return found


def probes_of(values: np.ndarray, unit: str) -> np.ndarray:
    """What each unit is on each probe: magnitudes of shape (probes, units)."""
    magnitudes = np.abs(values)
    if unit == "channel":
        largest: np.ndarray = magnitudes.max(axis=1)  # NaN where one position is
        return largest
    return magnitudes.reshape(-1, values.shape[2] if unit == "token" else values[0].size)


@pytest.mark.slow
@settings(deadline=None, max_examples=150)
@given(
    values=responses(),
    unit=st.sampled_from(["element", "channel", "token"]),
    share=st.sampled_from([1.0, 0.99, 0.5, 0.3]),
    engine=st.sampled_from(ENGINES),
    batch_size=st.integers(1, 5),
)
def test_dead_is_what_numpy_finds_on_finite_probes(
    values: np.ndarray, unit: str, share: float, engine: str, batch_size: int
) -> None:
    options: dict[str, Any] = {"units": unit, "stops": STOPS, "atol": 0.05, "engine": engine}
    iua = IUA.introspect({"a": values}, batch_size=batch_size, **options)
    halves = [IUA.introspect({"a": part}, **options) for part in np.array_split(values, 2)]
    by_probe = probes_of(values, unit)
    for atol in STOPS:
        inactive = np.isclose(by_probe, 0, atol=atol)
        dead = dead_by_hand(by_probe, inactive, share)
        for run in [iua, *([IUA.merge(*halves)] if len(values) > 1 else [])]:
            result = run.at(atol=atol, dead_at=share).results["a"]
            assert result.unit_inactive_count.ravel().tolist() == inactive.sum(axis=0).tolist()
            assert (result.dead, result.dead_upper) == (dead.sum(), dead.sum())
            units = run.units("a", atol=atol, dead_at=share)
            assert units["dead"].tolist() == dead.tolist()
            if unit == "element":
                whole = dead.reshape(values.shape[1:]).all(axis=0)
                assert run.channels("a", atol=atol, dead_at=share)["dead"].tolist() == (
                    whole.tolist()
                )
                assert result.dead_channels == whole.sum()
    tally = iua._run.tally("a")
    meta, arrays = unpack(
        table_snapshot({"a": tally}, tally.stops, Tolerances(0, 0, "zero", share))
    )
    finite = np.isfinite(by_probe).sum(axis=0)
    assert meta["layers"][0]["finite_probes"] == finite[finite > 0].min(initial=10**6) % 10**6
    for column, atol in enumerate(STOPS):
        dead = dead_by_hand(by_probe, np.isclose(by_probe, 0, atol=atol), share)
        assert arrays["dead"][0, column] == dead.sum()
    assert arrays["dead"][0, len(STOPS)] == (finite > 0).sum()


@settings(deadline=None, max_examples=100)
@given(
    values=responses(),
    unit=st.sampled_from(["element", "channel", "token"]),
    scale=st.sampled_from(SCALES),
    share=st.sampled_from([1.0, 0.5]),
    engine=st.sampled_from(["reference", "device"]),
    thinned=st.booleans(),
)
def test_bounds_and_a_recount_hold_between_stops_and_for_units_of_their_own(
    values: np.ndarray, unit: str, scale: Scale, share: float, engine: str, *, thinned: bool
) -> None:
    iua = IUA.introspect({"a": values}, units=unit, stops=STOPS, atol=0.05, engine=engine)
    if thinned:
        iua._run.tally("a").thin([0, 1, len(STOPS)])
    at: dict[str, Any] = {"rtol": 0.3, "atol": 1e-3, "scale": scale}
    result = iua.at(**at, dead_at=share).results["a"]
    exact = iua.recount({"a": values}, **at).results["a"]
    again = iua.at(**at, dead_at=share).results["a"]
    by_probe = probes_of(values, unit)
    finite = np.isfinite(by_probe).sum(axis=0)
    counts = exact.unit_inactive_count.ravel()
    needed = [max(-(-Fraction(repr(share)) * int(n) // 1), 1) for n in finite]
    dead = int((counts >= np.array(needed, np.int64)).sum())
    assert (again.dead, again.dead_upper) == (dead, dead)
    assert result.dead <= dead <= result.dead_upper
    assert (result.lower.ravel() <= counts).all()
    assert (counts <= result.upper.ravel()).all()


def test_a_channel_can_be_large_beside_a_nan() -> None:
    """Its largest response was on a probe that is left out: it is dead all the same."""
    values = np.array([[[5.0], [np.nan]], [[0.1], [0.0]]])
    iua = IUA.introspect({"a": values}, units="channel", stops=[0.1])
    result = iua.at(rtol=0.5, atol=0.0, scale="unit_max").results["a"]
    assert (result.lower.tolist(), result.upper.tolist()) == ([1], [1])
    assert (result.dead, result.dead_upper) == (1, 1)


def test_nan_under_padding_is_no_response() -> None:
    values = np.zeros((2, 3, 4))
    values[:, 2] = np.nan
    mask = np.array([[1, 1, 0]] * 2, bool)
    for units in ("channel", "token"):
        iua = IUA.introspect({"a": values}, units=units, mask=lambda _: mask)
        assert iua.results["a"].dead == 4
        assert iua.notes == []


class Breaks(nn.Module):
    """Gives NaN from some batch on, in its second layer, and then everywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.ReLU(), nn.ReLU(), nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        there = x[:, :1]
        x = self.a(torch.where(there == 5, torch.inf, x))
        return self.c(self.b(torch.where(there >= 3, torch.nan, x)))


def broken(engine: str = "reference", start: int = 0, **options: Any) -> IUA:
    data = [torch.full((2, 4), float(number)) for number in range(start, 7)]
    return IUA.introspect(Breaks(), data, engine=engine, layers=nn.ReLU, **options)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_note_says_how_many_in_which_layers_and_from_which_batch_on(engine: str) -> None:
    match = (
        r"^Not finite: 64 NaN and 8 infinite responses, in 'b' \(first in batch 3\), 'c' \(first"
    )
    with pytest.warns(IUAWarning, match=match) as warned:
        iua = broken(engine)
    (note,) = [str(one.message) for one in warned if "Not finite" in str(one.message)]
    assert note in iua.notes
    assert "'c' (first in batch 3), 'a' (first in batch 5); batches are counted from 0" in note


@pytest.mark.parametrize("engine", ENGINES)
def test_it_says_so_however_often_it_is_read_meanwhile(engine: str) -> None:
    batches = [{"a": np.full((2, 3), np.nan if number in (2, 4) else 0.0)} for number in range(6)]
    iua = IUA(engine=engine)
    told = [
        [
            iua._run.tally("a").store.read_magnitudes().first_non_finite,
            iua.results["a"].dead,
            len(iua.notes),
        ]
        for _ in count(iua._run, open_source(batches))
    ]
    assert told == [[None, 3, 0]] * 2 + [[2, 3, 1]] * 4
    assert "12 NaN and 0 infinite responses, in 'a' (first in batch 2)" in iua.notes[0]


@pytest.mark.parametrize("engine", ["reference", "device"])
def test_the_note_outlives_files_merging_and_resuming(engine: str, tmp_path: Path) -> None:
    iua = broken(engine)
    notes = iua.notes
    assert IUA.load(iua.save(tmp_path / "run.iua")).notes == notes
    whole = broken(engine, start=6)
    assert first_non_finite(IUA.merge(iua, whole), "a") == 5
    assert first_non_finite(IUA.merge(whole, iua), "b") == 0
    with pytest.raises(ProducerError, match="cut"):
        broken(engine, resume=tmp_path / "half.iua", forward=_cut_after(4))
    again = broken(engine, resume=tmp_path / "half.iua")
    assert again.probes == 14
    assert again.notes == notes


def _cut_after(batches: int) -> Any:
    left = iter(range(batches))

    def forward(model: nn.Module, batch: torch.Tensor) -> torch.Tensor:
        if next(left, None) is None:
            raise RuntimeError("cut")
        found: torch.Tensor = model(batch)
        return found

    return forward


def test_a_file_of_before_is_read_as_one_of_now(tmp_path: Path) -> None:
    """In these a NaN's bin stood for the unit's highest, and the first batch was not kept."""
    values = np.array([[0.0, np.nan, np.nan], [np.nan, 0.3, np.nan], [0.0, 0.0, np.nan]])
    iua = IUA.introspect({"a": values})
    path = iua.save(tmp_path / "run.iua")
    with zipfile.ZipFile(path) as archive:
        facts = json.loads(archive.read("facts.json"))
    file = np.load(path)
    arrays = {name: file[name] for name in file.files if name.startswith("layers/")}
    arrays["layers/0/highest_bin"][:] = len(iua.stops) + 1
    del facts["steady"], facts["layers"][0]["first_non_finite"]
    write_container(tmp_path / "old.iua", 1, facts, iter(arrays.items()))
    old = IUA.load(tmp_path / "old.iua")
    for atol in (0.0, 0.3):
        assert old.at(atol=atol).results["a"].dead == iua.at(atol=atol).results["a"].dead
    assert old.units("a")["dead"].tolist() == [True, False, False]
    assert "4 NaN" in old.notes[0] or "5 NaN" in old.notes[0]
    assert "first in batch" not in old.notes[0]


def test_the_widget_says_it_too() -> None:
    widget = IUAWidget(Breaks(), [torch.full((2, 4), float(n)) for n in range(7)])
    widget.wait()
    assert [note for note in widget._run["notes"] if "'b' (first in batch 3)" in note]
    assert widget.table()["dead units"].tolist() == [0, 0, 0]


@pytest.mark.slow
def test_one_bad_input_of_a_thousand_hides_no_dead_unit() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 16), nn.ReLU())
    with torch.no_grad():
        net[0].bias[:5] = -100
    x = torch.randn(1000, 8)
    x[500] = float("nan")
    for engine in ENGINES:
        iua = IUA.introspect(net, [x[:400], x[400:]], engine=engine)
        assert IUA.show(iua)["dead units"].tolist() == [5]
        # DNIKit's own are over all probes.
        assert iua.results["1"].unit_inactive_count[:5].tolist() == [999] * 5
        assert iua.results["1"].unit_inactive_proportion[0] == 0.999
        assert "16 NaN and 0 infinite responses, in '1' (first in batch 1)" in iua.notes[0]


@pytest.mark.parametrize("engine", ENGINES)
def test_wide_layers_are_told_alike_by_every_engine(engine: str) -> None:
    rng = np.random.default_rng(4)
    values = np.maximum(rng.normal(size=(150, 300)), 0).astype(np.float32)
    values[:, ::3] = 0
    values[rng.random(values.shape) < 0.003] = np.nan
    values[rng.random(values.shape) < 0.003] = np.inf
    values[:, 6] = np.nan
    values[:, 9] = np.where(np.arange(150) == 149, 0, np.nan)
    iua = IUA.introspect({"a": values}, batch_size=40, engine=engine)
    for share in (1.0, 0.97, 0.5):
        for atol in (0.0, 0.1):
            dead = dead_by_hand(values, np.isclose(values, 0, atol=atol), share)
            assert iua.units("a", atol=atol, dead_at=share)["dead"].tolist() == dead.tolist()
            assert iua.at(atol=atol, dead_at=share).results["a"].dead == dead.sum() > 50
    assert not iua.units("a")["dead"][6]
    assert iua.units("a")["dead"][9]
