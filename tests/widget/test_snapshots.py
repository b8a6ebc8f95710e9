"""Snapshots sent to the browser say what the tallies say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from unpacking import unpack

from iua_widget import IUA
from iua_widget.reading.statistics import mean_abs
from iua_widget.tally.tally import Tally
from iua_widget.tolerances import Bracket, Stops, Tolerances
from iua_widget.widget.snapshots import choose_columns, pack, table_snapshot, units_snapshot

pytestmark = pytest.mark.filterwarnings("ignore:Not finite:iua_widget.IUAWarning")

RNG = np.random.default_rng(0)
AT = Tolerances(rtol=0.0, atol=0.0, scale="zero")


@given(st.text(max_size=40), st.lists(st.integers(0, 9), max_size=4))
def test_arrays_come_out_as_they_went_in_whatever_the_header(text: str, sizes: list[int]) -> None:
    arrays = {
        f"{index} {text}": np.arange(size, dtype=dtype)
        for index, (size, dtype) in enumerate(zip(sizes, ["u1", "u2", "u4", "f8"], strict=False))
    }
    meta, unpacked = unpack(pack({"text": text}, arrays))
    assert meta == {"text": text}
    assert list(unpacked) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(unpacked[name], array)
        assert unpacked[name].dtype == array.dtype


def test_the_table_holds_every_layers_curves_at_every_stop() -> None:
    data = {"a": RNG.normal(size=(20, 5)), "b": np.maximum(RNG.normal(size=(20, 2, 3)), 0)}
    data["a"][0, 0] = np.nan
    iua = IUA.introspect(data)
    meta, arrays = unpack(
        table_snapshot({name: iua._run.tally(name) for name in data}, Stops(iua.stops), AT)
    )
    assert tuple(meta["stops"]) == iua.stops
    assert meta["rtol_stops"][0] == 0
    assert [layer["name"] for layer in meta["layers"]] == ["a", "b"]
    assert meta["layers"][0]["nan"] == 1
    assert meta["layers"][1]["shape"] == [2, 3]
    assert meta["layers"][1]["mean_abs"] == mean_abs(iua._run.tally("b"))
    for column, stop in enumerate(iua.stops):
        for row, result in enumerate(iua.at(atol=stop).results.values()):
            assert arrays["mean"][row, column] == pytest.approx(result.mean_inactive, rel=1e-14)
            assert arrays["std"][row, column] == pytest.approx(result.std_inactive, rel=1e-14)
            assert arrays["dead"][row, column] == result.dead
    assert arrays["mean"][:, -1].tolist() == [5 - 1 / 20, 6]


def test_the_table_says_what_a_unit_is_and_which_channels_are_dead() -> None:
    maps = np.maximum(RNG.normal(size=(20, 3, 4, 4)), 0)
    maps[:, 1] = 0.02
    text = [RNG.normal(size=(2, length, 5)) for length in (3, 4)]
    stream = [{"maps": maps[:2], "text": text[0]}, {"maps": maps[2:4], "text": text[1]}]
    mask = {"text": np.array([[1, 1, 0], [1, 1, 1]])}
    iua = IUA.introspect(
        stream, units={"text": "token"}, mask=lambda batch: mask if batch is stream[0] else None
    )
    meta, arrays = unpack(
        table_snapshot({n: iua._run.tally(n) for n in iua.layers}, Stops(iua.stops), AT)
    )
    first, second = meta["layers"]
    assert (first["unit"], first["channels"], first["masked"]) == ("element", 3, 0)
    assert first["response_shape"] == [3, 4, 4]
    assert (second["unit"], second["channels"], second["masked"]) == ("token", None, 1)
    assert (second["response_shape"], second["probes"]) == ([None, 5], 13)
    for column, stop in enumerate(iua.stops):
        expected = np.isclose(maps[:4], 0, atol=stop).all(axis=(0, 2, 3)).sum()
        assert arrays["dead_channels"][:, column].tolist() == [expected, 0]


def test_units_come_channel_by_channel_whatever_axis_counts_them() -> None:
    values = np.maximum(RNG.normal(size=(9, 4, 5, 3)), 0)
    tally = IUA.introspect({"a": values}, channel_axis=-1)._run.tally("a")
    meta, arrays = unpack(units_snapshot("a", tally, AT, 10**6))
    assert (meta["shape"], meta["channel_axis"]) == ([3, 4, 5], 2)
    expected = (values == 0).sum(axis=0).transpose(2, 0, 1).ravel()
    assert arrays["counts"][0].tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("probes", "dtype"), [(255, "u1"), (256, "u2"), (2**16, "u4"), (2**32, "f8")]
)
def test_units_are_sent_as_narrow_as_the_probes_allow(probes: int, dtype: str) -> None:
    tally = Tally(Stops([0.0, 1.0]), (3,))
    tally.store.read().restore({"counts": probes * np.eye(3, dtype=np.uint64)}, probes)
    meta, arrays = unpack(units_snapshot("a", tally, AT, 10**6))
    assert arrays["counts"].dtype == np.dtype(dtype)
    assert arrays["counts"].tolist() == [[probes, 0, 0], [probes, probes, 0], [probes] * 3]
    assert (meta["layer"], meta["shape"], meta["columns"]) == ("a", [3], [0, 1, 2])


def test_a_layer_too_large_for_the_budget_keeps_the_stops_in_view() -> None:
    iua = IUA.introspect({"a": np.maximum(RNG.normal(size=(10, 1000)), 0)})
    tally = iua._run.tally("a")
    meta, arrays = unpack(units_snapshot("a", tally, replace(AT, atol=0.05), 9000))
    assert len(meta["columns"]) == 9
    assert iua.stops.index(0.05) in meta["columns"]
    for row, column in enumerate(meta["columns"]):
        np.testing.assert_array_equal(
            arrays["counts"][row], tally.store.read_counts().up_to(column)
        )


@given(st.integers(4, 300), st.integers(0, 400), st.data())
def test_the_columns_chosen_hold_the_ends_and_those_in_view(
    columns: int, most: int, data: st.DataObject
) -> None:
    lower = data.draw(st.integers(0, columns - 2))
    bracket = Bracket(lower, lower + data.draw(st.integers(0, 1)))
    chosen = choose_columns(columns, most, bracket)
    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(max(most, 4), columns)
    assert {0, columns - 1, bracket.lower, bracket.upper} <= set(chosen)


def test_units_come_with_their_magnitudes_unless_there_is_no_room() -> None:
    values = np.maximum(RNG.normal(size=(9, 4, 5, 3)), 0)
    values[2, 1, 1, 1], values[3, 1, 1, 1] = np.nan, np.inf
    tally = IUA.introspect({"a": values}, channel_axis=-1)._run.tally("a")
    _, arrays = unpack(units_snapshot("a", tally, AT, 10**6))
    finite = np.where(np.isfinite(values), values, np.nan)
    expected = {
        "mean_abs": np.nanmean(finite, axis=0),
        "rms": np.sqrt(np.nanmean(finite**2, axis=0)),
        "max_abs": np.nanmax(finite, axis=0),
    }
    for name, by_hand in expected.items():
        assert arrays[name].dtype == np.float32
        np.testing.assert_allclose(arrays[name], by_hand.transpose(2, 0, 1).ravel(), rtol=1e-6)
    assert set(unpack(units_snapshot("a", tally, AT, 60 * 4 * 3 - 1))[1]) == {"counts"}


def test_dormant_units_are_those_of_the_formula() -> None:
    values = RNG.normal(size=(30, 40)) * 10 ** RNG.uniform(-4, 1, size=40)
    values[:, 3] = 0
    tally = IUA.introspect({"a": values})._run.tally("a")
    meta, arrays = unpack(table_snapshot({"a": tally}, tally.stops, AT))
    ratio = np.abs(values).mean(axis=0) / np.abs(values).mean()
    expected = [int((ratio <= tau).sum()) for tau in meta["tau_stops"]]
    assert arrays["dormant"][0].tolist() == expected
    assert expected[0] == 1
    assert {0, 0.025, 0.1} <= set(meta["tau_stops"])
