"""All counting engines give the same, to the last bit."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from test_counting import DTYPES, interesting_values

from iua_widget import IUA, EngineError, counting
from iua_widget.counting.choice import AutoEngine, choose_engine
from iua_widget.counting.cpu import CPUEngine
from iua_widget.counting.engine import BatchCounts
from iua_widget.counting.reference import ReferenceEngine
from iua_widget.tolerances import Stops, default_stops

FLOATING = [dtype for dtype in DTYPES if np.dtype(dtype).kind in "fc"]
GRIDS = [
    default_stops(),
    (0.0, 1e-8),
    (0.0, 1e-9, 2e-9, 1.0, 1.0001),  # two stops in one cell of the smallest table
    tuple(np.linspace(0, 3, 300).tolist()),
    (0.0, 0.5, 1e39, 1e300),  # infinite in float32
    (0.0, 1e-300, 65504.0, 1e5),  # repeated and infinite in float16
    tuple(1 + step * 1e-7 for step in range(9)),  # closer than any table tells apart
]


def assert_same(one: BatchCounts, other: BatchCounts) -> None:
    assert one.entries == other.entries
    for name in (
        "bins", "inactive", "abs_sum", "square_sum", "abs_max", "nan_count", "infinite_count",
    ):  # fmt: skip
        here, there = getattr(one, name), getattr(other, name)
        assert (here is None) == (there is None), name
        if here is not None:
            assert here.dtype == there.dtype, name
            np.testing.assert_array_equal(here, there, err_msg=name)


def check(values: np.ndarray, stops: Stops) -> None:
    thresholds = stops.thresholds(np.empty(0, values.dtype).real.dtype)
    cpu, reference = CPUEngine(), ReferenceEngine()
    expected = reference.classify(values, thresholds)
    assert_same(cpu.classify(values, thresholds), expected)
    for dtype in (np.uint16, np.uint32, np.uint64):
        counts = np.ones((2, values.shape[-1], len(stops) + 1), dtype)
        cpu.accumulate(expected.bins, counts[0])
        reference.accumulate(expected.bins, counts[1])
        np.testing.assert_array_equal(counts[0], counts[1])


@settings(max_examples=200, deadline=None)
@given(st.data())
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_cpu_engine_gives_what_the_reference_gives(data: st.DataObject) -> None:
    dtype = np.dtype(data.draw(st.sampled_from(FLOATING)))
    shape = data.draw(hnp.array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=19))
    elements = data.draw(interesting_values(dtype))
    values = data.draw(hnp.arrays(dtype, shape, elements=elements, fill=elements))
    check(values, Stops(data.draw(st.sampled_from(GRIDS))))


@pytest.mark.parametrize("dtype", FLOATING)
@pytest.mark.parametrize("shape", [(64, 3000), (3, 70_001), (9, 196, 65), (2, 5000, 3), (7, 1)])
def test_large_batches_on_several_cores_give_the_same(
    dtype: type[np.inexact], shape: tuple[int, ...]
) -> None:
    rng = np.random.default_rng(0)
    values = np.maximum(rng.normal(size=shape), 0).astype(dtype)
    check(values, Stops(default_stops()))
    values[0, ..., 0], values[-1, ..., -1] = np.nan, np.inf
    check(values, Stops(default_stops()))


@pytest.mark.parametrize("layout", ["strided", "fortran", "reversed", "readonly", "swapped"])
def test_the_layout_in_memory_does_not_matter(layout: str) -> None:
    values = np.random.default_rng(0).normal(size=(12, 40, 33)).astype(np.float32)
    if layout == "strided":
        values = values[::2, :, ::3]
    elif layout == "fortran":
        values = np.asfortranarray(values)
    elif layout == "reversed":
        values = values[:, ::-1, ::-1]
    elif layout == "readonly":
        values.flags.writeable = False
    else:
        values = values.astype(">f4")
    check(values, Stops(default_stops()))
    check(values[:, 0], Stops(default_stops()))


def test_auto_takes_the_compiled_loops_once_there_is_enough_to_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "iua_widget.counting.kernels")
    engine = AutoEngine()
    thresholds = np.array([0.0], np.float32)
    engine.classify(np.zeros((4, 8), np.float32), thresholds)
    assert isinstance(engine._engine, ReferenceEngine)
    engine.classify(np.zeros((4, 2**18), np.float32), thresholds)
    assert isinstance(engine._engine, CPUEngine)
    monkeypatch.undo()
    engine = AutoEngine()
    engine.classify(np.zeros((1, 1), np.float32), thresholds)
    assert isinstance(engine._engine, CPUEngine), "they are loaded, and cost nothing more"


def test_where_numba_is_missing_the_reference_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "iua_widget.counting.cpu")
    monkeypatch.delitem(sys.modules, "iua_widget.counting.kernels")
    monkeypatch.delattr(counting, "kernels")
    monkeypatch.setitem(sys.modules, "numba", None)
    values = np.zeros((4, 2**18), np.float32)
    assert IUA.introspect({"a": values}).results["a"].dead == 2**18
    with pytest.raises(EngineError, match=r"needs numba.*pip install numba"):
        IUA.introspect({"a": values}, engine="cpu")


def test_an_engine_that_there_is_not_is_told_so() -> None:
    with pytest.raises(EngineError, match="one of 'auto', 'cpu', 'reference', and is 'gpu'"):
        IUA.introspect({"a": np.zeros((1, 1))}, engine="gpu")
    assert isinstance(choose_engine("cpu"), CPUEngine)
