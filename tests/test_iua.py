"""IUA as its users meet it: producers, results, tables, merging, and what goes wrong."""

from __future__ import annotations

import copy
import pickle
import threading
from collections import UserDict
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from iua_widget import (
    IUA,
    IUAWarning,
    LayerSelectionError,
    MergeError,
    NoProbesError,
    ProducerError,
    ToleranceError,
)
from iua_widget.run.loop import count
from iua_widget.sources.producers import as_source

RNG = np.random.default_rng(7)
DATA = {
    "second": np.maximum(RNG.normal(size=(84, 6)), 0).astype(np.float32),
    "first": np.maximum(RNG.normal(size=(84, 3, 4, 5)), 0),
}
DATA["second"][:, 2] = 0


def batches(size: int = 32) -> list[dict[str, np.ndarray]]:
    return [
        {layer: response[start : start + size] for layer, response in DATA.items()}
        for start in range(0, 84, size)
    ]


def generator(batch_size: int) -> Any:
    yield from batches(batch_size)


def generator_without_size() -> Any:
    yield from batches()


class Producer:
    """DNIKit's protocol: called with a batch size, yields objects with fields."""

    def __call__(self, batch_size: int) -> Any:
        return (SimpleNamespace(fields=UserDict(batch)) for batch in batches(batch_size))


PRODUCERS = {
    "mapping": lambda: DATA,
    "user mapping": lambda: UserDict(DATA),
    "list": batches,
    "tuple": lambda: tuple(batches(10)),
    "iterator": lambda: iter(batches()),
    "callable": lambda: generator,
    "callable without a size": lambda: generator_without_size,
    "callable object with fields": Producer,
    "iterable of objects with fields": lambda: [SimpleNamespace(fields=b) for b in batches()],
    "callable that returns one mapping": lambda: lambda: DATA,
    "lists of lists": lambda: {layer: response.tolist() for layer, response in DATA.items()},
}


@pytest.mark.parametrize("kind", PRODUCERS)
def test_every_kind_of_producer_gives_the_same_counts(kind: str) -> None:
    iua = IUA.introspect(PRODUCERS[kind](), batch_size=20)
    assert iua.layers == ["second", "first"]
    for layer, response in DATA.items():
        expected = np.isclose(response, 0).sum(axis=0)
        np.testing.assert_array_equal(iua.results[layer].unit_inactive_count, expected)


def test_batch_size_decides_what_a_callable_is_asked_for_and_how_a_mapping_is_cut() -> None:
    asked: list[int] = []

    def producer(batch_size: int) -> Any:
        asked.append(batch_size)
        yield from batches(batch_size)

    IUA.introspect(producer, batch_size=13)
    assert asked == [13]


@pytest.mark.parametrize("batch_size", [0, -1, 1.5, "32", None, True])
def test_a_batch_size_that_is_none_is_refused(batch_size: object) -> None:
    with pytest.raises(ProducerError, match=r"batch_size must be a whole number above 0"):
        IUA.introspect(DATA, batch_size=batch_size)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("producer", "message"),
    [
        (3, "producer must be a mapping.*got int"),
        (np.zeros((3, 4)), "got ndarray"),
        ("relu", "got str"),
        ("run.iua", r"got str\. A saved run is read by IUA\.load"),
        ({}, "empty"),
        ([], "gave no batch"),
        (lambda _: iter(()), "gave no batch"),
        ([{}], "gave no batch with a response"),
        (lambda _: 3, "must give an iterable of batches, .* got int"),
        (lambda a, b: (a, b), r"\(a, b\) cannot be called as producer\(batch_size\)"),
        ([np.zeros((3, 4))], "batch 0 is a ndarray, not a mapping.*IUAWidget\\(model, loader\\)"),
        ([(np.zeros(3), 1)], r"batch 0 is a tuple of \(ndarray, int\)"),
        ([{1: np.zeros((3, 4))}], "layers must be named by strings; got 1"),
        ({"a": np.zeros((3, 4)), "b": np.zeros((4, 4))}, "'a' has 3 probes and layer 'b' has 4"),
        ({"a": 3.0}, "'a'.*no batch axis"),
        ([{"a": np.float32(3)}], "'a', batch 0.*no batch axis"),
        ([{"a": np.array(["x", "y"])}], "'a', batch 0.*dtype 'str.*not numeric"),
        ([{"a": [[1, 2], [3]]}], "'a', batch 0.*not one array"),
        ([{"a": [object(), None]}], "'a', batch 0.*dtype 'object'.*not numeric"),
        ([{"a": np.array(["2020"], "datetime64[D]")}], "not numeric"),
    ],
)
def test_a_producer_that_is_none_is_told_so(producer: Any, message: str) -> None:
    with pytest.raises(ProducerError, match=message):
        IUA.introspect(producer)


@pytest.mark.parametrize(
    ("bad", "layer", "message"),
    [
        ({"a": np.zeros((2, 4)), "b": np.zeros((2, 1))}, "a", r"shape \(4,\) in batch 2.*\(3,\)"),
        (
            {"a": np.zeros((2, 3)), "b": np.zeros((2, 1)), "c": np.zeros((2, 1))},
            "c",
            "'c' appears late: batch 2",
        ),
        ({"a": np.zeros((2, 3))}, "b", "'b' vanished: batch 2"),
        ({"a": np.zeros((2, 3)), "b": np.array([["x"], ["y"]])}, "b", "'b', batch 2.*not numeric"),
        ({"a": np.zeros((2, 3)), "b": np.zeros((3, 1))}, "b", "2 probes and layer 'b' has 3"),
        (None, None, "batch 2 is a NoneType"),
    ],
)
def test_what_breaks_off_names_layer_and_batch_and_keeps_what_was_counted(
    bad: Any, layer: str | None, message: str
) -> None:
    good = {"a": np.array([[0.0, 1, 2], [0, 0, 2]]), "b": np.array([[0.0], [1]])}
    with pytest.raises(ProducerError, match=message) as caught:
        IUA.introspect([good, good, bad])
    assert (caught.value.layer, caught.value.batch) == (layer, 2)
    partial = caught.value.partial
    assert partial is not None
    assert partial.results["a"].unit_inactive_count.tolist() == [4, 2, 0]
    assert partial.results["b"].unit_inactive_count.tolist() == [2]
    assert partial.results["a"].probes == partial.results["b"].probes == 4


def test_an_error_of_the_producers_own_is_the_cause_and_keeps_what_was_counted() -> None:
    def producer(_: int) -> Any:
        yield {"a": np.zeros((5, 2))}
        raise OSError("the disk is gone")

    with pytest.raises(ProducerError, match=r"producer raised OSError in batch 1") as caught:
        IUA.introspect(producer)
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.partial is not None
    assert caught.value.partial.probes == 5


def test_a_model_goes_with_a_loader_and_nothing_else_does() -> None:
    with pytest.raises(ProducerError, match=r"`loader` goes with a torch.nn.Module"):
        IUA.introspect(DATA, DATA)
    with pytest.raises(ProducerError, match=r"`layers` goes with a torch.nn.Module"):
        IUA.introspect(DATA, layers="first")


def test_zero_probes_are_an_error_when_asked_about_and_not_before() -> None:
    iua = IUA.introspect({"a": np.zeros((0, 3))})
    assert iua.layers == ["a"]
    for ask in (lambda: iua.results, iua.at, iua.to_pandas, lambda: IUA.show(iua)):
        with pytest.raises(NoProbesError, match=r"only empty batches"):
            ask()
    with pytest.raises(NoProbesError, match=r"nothing has been counted"):
        IUA().at()
    assert "0 probes" in repr(iua)


def test_empty_batches_among_others_change_nothing() -> None:
    empty = {layer: response[:0] for layer, response in DATA.items()}
    iua = IUA.introspect([empty, *batches(), empty])
    assert iua.probes == 84
    assert iua.results["second"].inactive == IUA.introspect(DATA).results["second"].inactive


def test_dtypes_may_change_between_batches_and_each_is_compared_in_its_own() -> None:
    small = np.array([[4e-8]])
    iua = IUA.introspect([{"a": small.astype(np.float16)}, {"a": small}], atol=3e-8)
    expected = (
        np.isclose(small.astype(np.float16), 0, atol=3e-8) + 0 + np.isclose(small, 0, atol=3e-8)
    )
    np.testing.assert_array_equal(iua.results["a"].unit_inactive_count, expected[0])
    assert iua._run.tally("a").dtypes == {"float16", "float64"}


@pytest.mark.parametrize("tolerance", [{"atol": -1.0}, {"rtol": float("nan")}, {"atol": "1e-8"}])
def test_a_tolerance_that_is_none_is_refused_before_anything_runs(tolerance: Any) -> None:
    def producer(_: int) -> Any:
        raise AssertionError("ran")
        yield

    with pytest.raises(ToleranceError, match=next(iter(tolerance))):
        IUA.introspect(producer, **tolerance)
    with pytest.raises(ToleranceError, match=next(iter(tolerance))):
        IUA.introspect(DATA).at(**tolerance)


def test_rtol_has_no_effect_against_zero_and_is_relative_to_the_layer_mean_otherwise() -> None:
    iua = IUA.introspect(DATA, rtol=1e3)
    np.testing.assert_array_equal(
        iua.results["second"].unit_inactive_count,
        np.isclose(DATA["second"], 0, rtol=1e3).sum(axis=0),
    )
    mean = float(np.abs(DATA["second"].astype(np.float64)).mean())
    result = iua.at(atol=0, rtol=0.5, scale="layer_mean").results["second"]
    assert result.threshold == pytest.approx(0.5 * mean)
    truth = (np.abs(DATA["second"]) <= result.threshold).sum(axis=0)
    assert (result.lower <= truth).all()
    assert (truth <= result.upper).all()
    at_zero = iua.at(atol=0, rtol=0.5, scale="zero").results["second"]
    assert at_zero.threshold == 0


def test_the_list_of_each_probe_is_there_at_the_tolerance_asked_for_only() -> None:
    iua = IUA.introspect(DATA, atol=0.1)
    expected = (DATA["second"] <= np.float32(0.1)).sum(axis=1).tolist()
    assert iua.results["second"].inactive == expected
    with pytest.raises(ToleranceError, match=r"kept at 0\.1 only.*atol=0\.5\)"):
        _ = iua.at(atol=0.5).results["second"].inactive
    unkept = IUA.introspect(DATA, keep_inactive=False)
    with pytest.raises(ToleranceError, match=r"was not kept"):
        _ = unkept.results["second"].inactive
    assert unkept.results["second"].std_inactive == pytest.approx(
        IUA.introspect(DATA).results["second"].std_inactive, rel=1e-12
    )


def test_stops_of_ones_own() -> None:
    iua = IUA.introspect(DATA, stops=[0.5, 0.25], atol=0.75)
    assert iua.stops == (0, 0.25, 0.5, 0.75)
    assert iua.at(atol=0.25).exact
    assert not iua.at(atol=0.3).exact


def test_show_gives_dnikits_columns_first_and_the_order_of_the_network() -> None:
    iua = IUA.introspect(DATA)
    table = IUA.show(iua)
    assert list(table.columns[:3]) == ["response", "mean inactive", "std inactive"]
    assert table["response"].tolist() == ["second", "first"]
    assert table["units"].tolist() == [6, 60]
    assert table["dead units"].tolist() == [1, 0]
    assert table["dead share"].tolist() == [1 / 6, 0]
    assert table["inactive share"].tolist() == (table["mean inactive"] / table["units"]).tolist()
    pd.testing.assert_frame_equal(table, iua.to_pandas())
    one = IUA.show(iua, response_names=["first"])
    assert one["response"].tolist() == ["first"]
    assert "second" in iua._repr_html_()


def test_show_takes_a_reading_at_other_tolerances_and_gives_its_bounds() -> None:
    iua = IUA.introspect(DATA)
    assert "mean inactive upper" not in IUA.show(iua.at(atol=0.5)).columns
    between = IUA.show(iua.at(atol=0.55))
    assert (between["mean inactive"] <= between["mean inactive upper"]).all()
    assert not iua.at(atol=0.55).exact
    assert iua.at(atol=0.55).lower["first"].shape == (3, 4, 5)


def test_show_refuses_what_is_not_there() -> None:
    iua = IUA.introspect(DATA)
    with pytest.raises(
        LayerSelectionError, match=r"no layer is named 'frist'. Try one of: 'first'"
    ):
        IUA.show(iua, response_names=["frist"])
    with pytest.raises(ValueError, match=r"empty"):
        IUA.show(iua, response_names=[])
    with pytest.raises(ValueError, match=r"vis_type must be.*got 'pie'"):
        IUA.show(iua, vis_type="pie")


def test_units_has_one_row_a_unit_with_its_place_and_figures() -> None:
    iua = IUA.introspect(DATA)
    table = iua.units("first", atol=0.1)
    assert len(table) == 60
    row = table[(table["channel"] == 2) & (table["row"] == 1) & (table["column"] == 4)].iloc[0]
    values = DATA["first"][:, 2, 1, 4]
    assert row["inactive count"] == (values <= 0.1).sum()
    assert row["inactive share"] == (values <= 0.1).mean()
    assert row["mean |x|"] == pytest.approx(values.mean())
    assert row["rms"] == pytest.approx(np.sqrt((values**2).mean()))
    assert row["max |x|"] == values.max()
    assert iua.units("second")["dead"].tolist() == [False, False, True, False, False, False]
    assert "inactive count upper" in iua.units("second", atol=0.55).columns
    with pytest.raises(LayerSelectionError, match=r"no layer is named 'third'"):
        iua.units("third")


def test_merging_two_runs_equals_one_run() -> None:
    parts = batches(30)
    merged = IUA.introspect(parts[:1]).merge(IUA.introspect(parts[1:]))
    whole = IUA.introspect(DATA)
    pd.testing.assert_frame_equal(merged.to_pandas(), whole.to_pandas())
    assert merged.results["first"].inactive == whole.results["first"].inactive
    for stop in whole.stops:
        pd.testing.assert_frame_equal(
            merged.at(atol=stop).to_pandas(), whole.at(atol=stop).to_pandas()
        )


def test_runs_that_are_not_of_one_kind_are_not_merged() -> None:
    iua = IUA.introspect(DATA)
    with pytest.raises(MergeError, match=r"only here.*'first'"):
        iua.merge(IUA.introspect({"second": DATA["second"]}))
    with pytest.raises(MergeError, match=r"layer 'second': the stops differ"):
        iua.merge(IUA.introspect(DATA, atol=2e-8))
    with pytest.raises(MergeError, match=r"takes IUA results; got dict"):
        iua.merge({})  # type: ignore[arg-type]


def test_nan_and_infinities_are_counted_and_reported() -> None:
    values = np.array([[0.0, np.nan, np.inf], [0.0, 0.0, -np.inf]])
    with pytest.warns(
        IUAWarning, match=r"1 NaN and 2 infinite responses, in 'a' \(first in batch 0\)"
    ):
        table = IUA.introspect({"a": values}).to_pandas()
    assert (table["nan"][0], table["infinite"][0]) == (1, 2)
    assert table["dead units"][0] == 2  # the second is, on the probe on which it is finite


def test_progress_is_drawn_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    IUA.introspect(DATA, progress=True)
    assert "84/84" in capsys.readouterr().err


def test_merging_both_ways_at_once_does_not_lock_up() -> None:
    one, other = IUA.introspect(DATA), IUA.introspect(DATA)
    threads = [
        threading.Thread(target=lambda a=a, b=b: [a.merge(b) for _ in range(50)], daemon=True)
        for a, b in ((one, other), (other, one), (one, one))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


def test_a_result_can_be_copied_and_pickled() -> None:
    iua = IUA.introspect(DATA)
    for twin in (copy.deepcopy(iua), pickle.loads(pickle.dumps(iua))):
        pd.testing.assert_frame_equal(twin.to_pandas(), iua.to_pandas())


def test_show_says_what_it_takes() -> None:
    with pytest.raises(TypeError, match=r"got dict.*show `w\.iua`"):
        IUA.show(IUA.introspect(DATA).results)  # type: ignore[arg-type]


def test_a_lazy_sequence_is_not_read_before_the_run() -> None:
    class Lazy(Sequence[dict[str, np.ndarray]]):
        read = 0

        def __len__(self) -> int:
            return 3

        def __getitem__(self, index: int) -> dict[str, np.ndarray]:  # type: ignore[override]
            if index >= 3:
                raise IndexError
            Lazy.read += 1
            return DATA

    steps = count(IUA()._run, as_source(Lazy()))
    assert Lazy.read == 0
    assert sum(steps) == 3 * 84


def test_a_result_reads_like_a_mapping_of_layers() -> None:
    iua = IUA.introspect(DATA, atol=0.1)
    assert len(iua) == 2
    assert list(iua) == ["second", "first"]
    assert "first" in iua
    assert "third" not in iua
    assert iua["first"].mean_inactive == iua.results["first"].mean_inactive
    assert iua["first"].inactive == iua.results["first"].inactive
    with pytest.raises(LayerSelectionError, match=r"no layer is named 'frist'"):
        iua["frist"]
    with pytest.raises(NoProbesError):
        IUA()["first"]
    assert len(IUA()) == 0


def test_show_and_plot_are_methods_too() -> None:
    iua = IUA.introspect(DATA)
    pd.testing.assert_frame_equal(iua.show(), IUA.show(iua))
    chart = IUA.show(iua, vis_type=IUA.VisType.CHART, response_names="second")
    assert iua.plot("second").to_dict() == chart.to_dict()
    assert iua.plot().shape == IUA.show(iua, vis_type=IUA.VisType.CHART).shape == (2,)
    with pytest.raises(TypeError, match=r"'response_name'.*'response_names'"):
        iua.plot(response_name="second")  # type: ignore[call-arg]


def test_tolerances_are_named_where_results_are_read_at_others() -> None:
    iua = IUA.introspect(DATA, atol=0.25, scale="unit_max")
    assert (iua.tolerances.atol, iua.tolerances.scale) == (0.25, "unit_max")
    assert iua.at(atol=0.5).tolerances == iua.tolerances.but(atol=0.5)
    with pytest.raises(TypeError):
        iua.at(0.5)  # type: ignore[misc]
    with pytest.raises(AttributeError):
        iua.tolerances.atol = 0.5  # type: ignore[attr-defined]
