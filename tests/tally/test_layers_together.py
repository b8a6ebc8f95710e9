"""Layers that are counted together come to what each comes to by itself, to the last bit."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iua_widget.engines.cpu.engine import CPUEngine
from iua_widget.engines.engine import Engine
from iua_widget.engines.reference import ReferenceEngine
from iua_widget.tally.tally import Tally
from iua_widget.tally.together import LayersTogether
from iua_widget.tolerances import Stops, default_stops

STOPS = Stops(default_stops())
ODD = 0.0, -0.0, 1e-8, 1e-3, -0.02, 1.0, 1e-41, 7e4, np.nan, np.inf, -np.inf
DTYPES = np.float16, np.float32, np.float64


def tallies_of(
    units: Sequence[int], engine: Engine | None = None, inactive_at: float | None = 1e-8
) -> list[Tally]:
    return [Tally(STOPS, (count,), engine=engine, inactive_at=inactive_at) for count in units]


def add(tally: Tally, values: np.ndarray, number: int) -> None:
    tally.add(tally.classify(values), number=number)


def add_together(together: LayersTogether, batch: Sequence[np.ndarray], number: int) -> None:
    """Add a batch of all layers; of those that have left, what comes is not looked at."""
    probes = len(batch[0])
    for place, values in enumerate(batch):
        together.responses[:probes, together.units_of(place)] = values
    together.classify(probes)
    together.reserve(probes)
    together.count(number)


def assert_same(one: Tally, other: Tally) -> None:
    here, there = one.state(), other.state()
    assert here.facts == there.facts
    assert here.arrays.keys() == there.arrays.keys()
    for name, array in here.arrays.items():
        np.testing.assert_array_equal(array, there.arrays[name], name)
        assert array.dtype == there.arrays[name].dtype, name


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[int], list[list[np.ndarray]]]:
    """Units of some layers, and batches of all of them, some with NaN and infinities."""
    units = draw(st.lists(st.integers(1, 7), min_size=1, max_size=5))
    dtype = draw(st.sampled_from(DTYPES))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    batches = []
    for _ in range(draw(st.integers(1, 7))):
        probes, most = draw(st.integers(1, 6)), draw(st.sampled_from([4, 8, len(ODD)]))
        batches.append([random.choice(np.array(ODD[:most]), (probes, count)) for count in units])
    with np.errstate(over="ignore", under="ignore"):
        return units, [[values.astype(dtype) for values in batch] for batch in batches]


@settings(max_examples=100, deadline=None)
@given(streams(), st.data())
def test_layers_join_stay_and_leave_at_any_batch(
    stream: tuple[list[int], list[list[np.ndarray]]], data: st.DataObject
) -> None:
    units, batches = stream
    kept = data.draw(st.sampled_from([None, 1e-8, 0.02]))
    alone, joined = tallies_of(units, inactive_at=kept), tallies_of(units, inactive_at=kept)
    begin = data.draw(st.integers(0, len(batches)))
    leave = {place: data.draw(st.integers(begin, len(batches))) for place, _ in enumerate(units)}
    together = None
    for number, batch in enumerate(batches):
        if number == begin:
            together = LayersTogether(joined, batch[0].dtype, max(len(one[0]) for one in batches))
        for place, (values, by_itself, tally) in enumerate(zip(batch, alone, joined, strict=True)):
            add(by_itself, values, number)
            if together is not None and leave[place] == number:
                together.leave(place)
            if together is None or leave[place] <= number:
                add(tally, values, number)
        if together is not None and number < max(leave.values()):
            add_together(together, batch, number)
        for by_itself, tally in zip(alone, joined, strict=True):
            assert_same(tally, by_itself)
    for place in leave if together is not None else ():
        together.leave(place)  # once more, for those that have left
    for by_itself, tally in zip(alone, joined, strict=True):
        assert_same(tally, by_itself)


def normal(random: np.random.Generator, probes: int, units: Sequence[int]) -> list[np.ndarray]:
    return [random.standard_normal((probes, count), np.float32) for count in units]


@pytest.mark.parametrize("engine", [ReferenceEngine(), CPUEngine()], ids=["reference", "cpu"])
def test_counters_are_widened_for_all(engine: Engine) -> None:
    units, random = (3, 1, 40), np.random.default_rng(0)
    alone, joined = tallies_of(units, engine), tallies_of(units, engine)
    first = normal(random, 100, units)
    for tally, values in zip((*alone, *joined), (*first, *first), strict=True):
        add(tally, values, 0)
    together = LayersTogether(joined, np.dtype(np.float32), 500)
    for number in range(1, 140):
        batch = normal(random, 500 if number > 2 else 60, units)
        for tally, values in zip(alone, batch, strict=True):
            add(tally, values, number)
        add_together(together, batch, number)
        if number in {2, 3, 70, 139}:
            for one, other in zip(joined, alone, strict=True):
                assert_same(one, other)
    assert joined[0].store.read_counts().counts.dtype == np.uint32


def test_tallies_with_columns_given_up_are_as_before() -> None:
    """Stops given up while together are those of the layer's own counts from then on."""
    units, random = (5, 4), np.random.default_rng(1)
    alone, joined = tallies_of(units), tallies_of(units)
    together = LayersTogether(joined, np.dtype(np.float32), 8)
    columns = [0, 9, 30, len(STOPS)]
    for number in range(6):
        batch = normal(random, 8, units)
        for place, values in enumerate(batch):
            add(alone[place], values, number)
        if number == 3:
            alone[0].thin(columns)
            joined[0].thin(columns)
            together.leave(0)
        if number >= 3:
            add(joined[0], batch[0], number)
        add_together(together, batch, number)
    for one, other in zip(joined, alone, strict=True):
        assert_same(one, other)


def test_begun_anew_after_clearing() -> None:
    units, random = (5, 4), np.random.default_rng(2)
    joined = tallies_of(units)
    together = LayersTogether(joined, np.dtype(np.float32), 8)
    for odd in (True, False, True):
        alone = tallies_of(units)
        for number in range(3):
            batch = normal(random, 8, units)
            if odd and number == 1:
                batch[1][3, 2] = np.nan
            for place, values in enumerate(batch):
                add(alone[place], values, number)
            add_together(together, batch, number)
        for one, other in zip(joined, alone, strict=True):
            assert_same(one, other)
        for tally in joined:
            tally.clear()
        together.forget_non_finite()


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))], ids=["deep", "pickle"]
)
def test_copies_and_merges_have_counts_of_their_own(copied: Any) -> None:
    units, random = (5, 4), np.random.default_rng(3)
    joined = tallies_of(units)
    together = LayersTogether(joined, np.dtype(np.float32), 8)
    add_together(together, normal(random, 8, units), 0)
    before = [tally.state() for tally in map(copied, joined)]
    merged = [tally.merged(tally) for tally in joined]
    twins = list(map(copied, joined))
    add_together(together, normal(random, 8, units), 1)
    for tally, state, both, twin in zip(joined, before, merged, twins, strict=True):
        assert tally.probes == both.probes == 16
        assert twin.probes == 8
        again = twin.state()
        assert again.facts == state.facts
        for name, array in again.arrays.items():
            np.testing.assert_array_equal(array, state.arrays[name])
            assert array.base is None or not np.shares_memory(array, together.responses)
        add(twin, np.zeros((1, *twin.unit_shape), np.float32), 1)
        assert tally.probes == 16


def test_what_is_classified_and_not_counted_is_forgotten() -> None:
    units, random = (2, 3), np.random.default_rng(4)
    alone, joined = tallies_of(units), tallies_of(units)
    together = LayersTogether(joined, np.dtype(np.float32), 4)
    dropped, batch = normal(random, 4, units), normal(random, 2, units)
    for place, values in enumerate(dropped):
        together.responses[:, together.units_of(place)] = values
    together.classify(4)
    add_together(together, batch, 0)
    together.count(0)  # nothing was classified
    for one, other, values in zip(joined, alone, batch, strict=True):
        add(other, values, 0)
        assert_same(one, other)


def test_a_layer_that_left_does_not_share_memory() -> None:
    joined = tallies_of((2, 3))
    together = LayersTogether(joined, np.dtype(np.float32), 4)
    together.leave(0)
    together.leave(0)  # has left already
    parts = [tally.store.read() for tally in joined]
    for one in parts[0].arrays().values():
        for other in parts[1].arrays().values():
            assert not np.shares_memory(one, other)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=6),
    st.integers(0, 70),
    st.integers(1, 300),
    st.data(),
)
def test_engines_sum_probes_alike(
    units: list[int], probes: int, columns: int, data: st.DataObject
) -> None:
    random = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    ends = np.cumsum([0, *units], dtype=np.int64)
    bins = random.integers(0, columns + 1, (probes, int(ends[-1])))
    bins = bins.astype(np.uint8 if columns < 2**8 else np.uint16)
    kept = data.draw(st.integers(0, columns - 1))
    one = ReferenceEngine().sum_probes(bins, ends, columns, kept)
    other = CPUEngine().sum_probes(bins, ends, columns, kept)
    for name in ("inactive_sum", "square_sum", "inactive"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    for layer, (start, end) in enumerate(pairwise(ends)):
        by_hand = (bins[:, start:end, None] <= np.arange(columns)).sum(axis=1)
        np.testing.assert_array_equal(one.inactive_sum[layer], by_hand.sum(axis=0))
        np.testing.assert_array_equal(one.square_sum[layer], (by_hand**2).sum(axis=0))
        np.testing.assert_array_equal(one.inactive[layer], by_hand[:, kept])
