"""Tallies merge, in any order, to the tally of all their streams."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from iua_widget.engines.cpu import buffers
from iua_widget.errors import MergeError
from iua_widget.reading.curves import dead_curves
from iua_widget.reading.statistics import (
    dead_from,
    deviation,
    inactive_list,
    locate_counts,
    mean_abs,
    mean_inactive,
    non_finite_counts,
    std_inactive,
)
from iua_widget.tally.probe_moments import ProbeMoments
from iua_widget.tally.tally import Tally, count_waiting
from iua_widget.tolerances import Stops, Tolerances, default_stops

parts = st.lists(
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(0, 5), st.just(4)),
        elements=st.sampled_from([0.0, 1e-8, 1e-3, -0.02, 1.0, np.nan, np.inf]),
    ),
    min_size=2,
    max_size=4,
)


def tally_of(values: np.ndarray, stops: Stops, inactive_at: float | None = 1e-8) -> Tally:
    tally = Tally(stops, values.shape[1:], inactive_at=inactive_at)
    tally.add(tally.classify(values))
    return tally


@pytest.mark.parametrize("size", [1, 100, 3000])
def test_what_is_kept_of_each_probe_is_in_few_arrays(size: int) -> None:
    values = np.random.default_rng(0).integers(0, 2, (20_000, 3)).astype(np.float64)
    tally = Tally(Stops([0]), (3,), inactive_at=0.0)
    for start in range(0, 9000 if size == 1 else len(values), size):
        tally.add(tally.classify(values[start : start + size]))
    expected = (values[: tally.probes] == 0).sum(1).tolist()
    assert inactive_list(tally) == inactive_list(copy.deepcopy(tally)) == expected
    assert inactive_list(tally.merged(tally)) == expected * 2
    kept = tally.store.read_inactive()
    assert kept is not None
    assert sum(one.nbytes for one in kept if one.nbytes < 2**16) < 2**16
    again = Tally.from_state(tally.stops, tally.state())
    for start in range(0, 9000, size):
        again.add(again.classify(values[start : start + size]))
    assert inactive_list(again) == expected + expected[: again.probes - tally.probes]
    tally.clear()
    tally.add(tally.classify(values[:size]))
    assert inactive_list(tally) == expected[:size]


def counts_of(tally: Tally) -> np.ndarray:
    return tally.store.read_counts().counts


def up_to(tally: Tally, column: int) -> np.ndarray:
    return tally.store.read_counts().up_to(column)


def dead_counts(tally: Tally) -> np.ndarray:
    return dead_curves(tally, Tolerances()).units


def assert_equal(one: Tally, other: Tally) -> None:
    assert one.probes == other.probes
    np.testing.assert_array_equal(counts_of(one), counts_of(other))
    np.testing.assert_array_equal(non_finite_counts(one), non_finite_counts(other))
    np.testing.assert_array_equal(
        one.store.read_magnitudes().abs_max, other.store.read_magnitudes().abs_max
    )
    np.testing.assert_allclose(
        one.store.read_magnitudes().abs_sum, other.store.read_magnitudes().abs_sum, rtol=1e-12
    )
    np.testing.assert_allclose(
        one.store.read_magnitudes().square_sum, other.store.read_magnitudes().square_sum, rtol=1e-12
    )
    assert inactive_list(one) == inactive_list(other)
    if one.probes:
        for statistic in (mean_inactive, std_inactive, dead_counts):
            np.testing.assert_array_equal(statistic(one), statistic(other))


@settings(max_examples=100, deadline=None)
@given(parts)
def test_merged_parts_equal_the_whole(arrays: list[np.ndarray]) -> None:
    stops = Stops(default_stops())
    whole = tally_of(np.concatenate(arrays), stops)
    tallies = [tally_of(array, stops) for array in arrays]
    from_left = tallies[0]
    for tally in tallies[1:]:
        from_left = from_left.merged(tally)
    from_right = tallies[-1]
    for tally in tallies[-2::-1]:
        from_right = tally.merged(from_right)
    assert_equal(from_left, whole)
    assert_equal(from_right, whole)


def test_merging_leaves_both_parts_as_they_were() -> None:
    stops = Stops([0, 1])
    one, other = tally_of(np.zeros((2, 3)), stops), tally_of(np.ones((4, 3)), stops)
    one.merged(other)
    assert (one.probes, other.probes) == (2, 4)
    assert up_to(one, 0).tolist() == [2, 2, 2]
    assert up_to(other, 0).tolist() == [0, 0, 0]


def test_tallies_that_do_not_match_are_refused_saying_how() -> None:
    tally = tally_of(np.zeros((2, 3)), Stops([0, 1]))
    with pytest.raises(MergeError, match=r"stops differ: 2 here and 3 there, first at 0.5"):
        tally.merged(tally_of(np.zeros((2, 3)), Stops([0, 0.5, 1])))
    with pytest.raises(MergeError, match=r"units differ: shape \(3,\) here, \(4,\) there"):
        tally.merged(tally_of(np.zeros((2, 4)), Stops([0, 1])))


def test_the_list_of_each_probe_is_kept_only_where_both_have_it() -> None:
    stops = Stops([0, 1e-8])
    kept = tally_of(np.zeros((2, 3)), stops)
    unkept = tally_of(np.zeros((2, 3)), stops, inactive_at=None)
    assert inactive_list(kept.merged(kept)) == [3, 3, 3, 3]
    assert inactive_list(kept.merged(unkept)) is None


def test_without_a_probe_there_are_no_figures() -> None:
    tally = tally_of(np.zeros((0, 3)), Stops([0]))
    assert mean_abs(tally) == 0
    assert np.isnan([*mean_inactive(tally), *std_inactive(tally)]).all()
    assert not dead_counts(tally).any()
    assert not (dead_from(tally) <= 1).any()


def test_unit_statistics_leave_out_what_is_not_finite() -> None:
    values = np.array([[1.0, np.nan], [-3.0, 2.0], [np.inf, -2.0]])
    tally = tally_of(values, Stops([0]))
    assert tally.store.read_magnitudes().abs_sum.tolist() == [4, 4]
    assert tally.store.read_magnitudes().square_sum.tolist() == [10, 8]
    assert tally.store.read_magnitudes().abs_max.tolist() == [3, 2]
    assert np.array(non_finite_counts(tally)).tolist() == [[0, 1], [1, 0]]
    assert mean_abs(tally) == 2


def test_memory_does_not_grow_with_probes_unless_the_list_is_kept() -> None:
    stops = Stops(default_stops())
    tally = Tally(stops, (50,))
    batch = tally.classify(np.zeros((64, 50), np.float32))
    tally.reserve(201 * 64)  # or its counters would be widened
    tally.add(batch)
    size = sum(array.nbytes for array in tally.state().arrays.values())
    for _ in range(200):
        tally.add(batch)
    assert sum(array.nbytes for array in tally.state().arrays.values()) == size
    assert inactive_list(tally) is None


magnitudes = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 12), st.just(5)),
    elements=st.sampled_from([0.0, 1e-8, 2e-4, -0.02, 0.5, 1.0, 99.0, np.nan, np.inf]),
)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_batches_that_wait_are_counted_whenever_they_are_read(data: st.DataObject) -> None:
    stops = Stops(default_stops())
    waiting, plain = Tally(stops, (5,)), Tally(stops, (5,))
    waiting.most_waiting = data.draw(st.integers(0, 400))
    for _ in range(data.draw(st.integers(1, 8))):
        values = np.resize(data.draw(magnitudes), (data.draw(st.integers(1, 150)), 5))
        for tally in (waiting, plain):
            tally.reserve(len(values))
            tally.add(tally.classify(values, running=tally is waiting))
        assert waiting.waiting <= waiting.most_waiting
        assert not plain.waiting
        match data.draw(st.sampled_from(["read", "thin", "merge", "state", "wait less", "go on"])):
            case "read":
                column = waiting.columns[len(waiting.columns) // 2]
                counts = (up_to(tally, column) for tally in (waiting, plain))
                np.testing.assert_array_equal(*counts)
                assert not waiting.waiting
            case "thin":
                columns = [*waiting.columns[:: data.draw(st.integers(1, 3))], len(stops)]
                for tally in (waiting, plain):
                    tally.thin(sorted({0, *columns}))
            case "merge":
                waiting, plain = (one.merged(one) for one in (waiting, plain))
                waiting.most_waiting = 200
            case "state":
                waiting = Tally.from_state(stops, copy.deepcopy(waiting.state()))
                waiting.most_waiting = 90
            case "wait less":
                waiting.most_waiting //= 2
                count_waiting([waiting])
    assert waiting.columns == plain.columns
    assert counts_of(waiting).dtype == counts_of(plain).dtype
    np.testing.assert_array_equal(counts_of(waiting), counts_of(plain))
    np.testing.assert_array_equal(
        waiting.store.read_magnitudes().abs_sum, plain.store.read_magnitudes().abs_sum
    )


def test_threads_that_add_the_first_batch_add_to_the_same_sums() -> None:
    values = np.ones((4, 200_000))
    stops = Stops([0.0, 0.5])
    buffers.keep_at_most(2**27)  # memory that must be cleared, which takes a while
    try:
        for _ in range(40):
            tally = Tally(stops, (200_000,))
            tally.add(tally.classify(values))
            assert (tally.store.read_magnitudes().abs_sum == 4).all()
            assert (tally.store.read_magnitudes().abs_max == 1).all()
    finally:
        buffers.keep_at_most(0)


def test_cumulative_columns_are_the_unit_counts() -> None:
    rng = np.random.default_rng(0)
    tally = tally_of(np.maximum(rng.normal(size=(40, 20_000)), 0), Stops(default_stops()))
    columns = [0, 1, 30, 31, 69, 70]
    cumulative = tally.store.read_counts().cumulative(columns)
    for row, column in enumerate(columns):
        np.testing.assert_array_equal(cumulative[row], up_to(tally, column))


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_thinned_counts_are_exact_where_they_are_held_and_bounds_elsewhere(
    data: st.DataObject,
) -> None:
    stops = Stops(default_stops())
    before, after = data.draw(magnitudes), data.draw(magnitudes)
    full, thinned = tally_of(before, stops), tally_of(before, stops)
    top = len(stops)
    inner = data.draw(st.sets(st.integers(1, top - 1), max_size=8))
    thinned.thin([0, *sorted(inner), top])
    for tally in (full, thinned):
        tally.add(tally.classify(after))
    for threshold in (*stops.values, 1.5e-7, 0.77, 50.0):
        bracket, held = stops.locate(threshold), locate_counts(thinned, threshold)
        assert held.lower <= bracket.lower <= bracket.upper <= held.upper
        assert (up_to(full, bracket.lower) >= up_to(thinned, held.lower)).all()
        assert (up_to(full, bracket.upper) <= up_to(thinned, held.upper)).all()
    for column in thinned.columns:
        np.testing.assert_array_equal(up_to(thinned, column), up_to(full, column))
    for statistic in (mean_inactive, std_inactive, dead_counts):
        np.testing.assert_array_equal(statistic(full), statistic(thinned))


def test_tallies_held_at_different_stops_merge_to_those_they_share() -> None:
    stops = Stops([0, 1, 2, 3])
    one, other = tally_of(np.eye(3) * 2.5, stops), tally_of(np.ones((2, 3)), stops)
    one.thin([0, 1, 3, 4])
    other.thin([0, 2, 3, 4])
    merged = one.merged(other)
    assert merged.columns == (0, 3, 4)
    assert up_to(merged, 3).tolist() == [5, 5, 5]
    assert one.columns == (0, 1, 3, 4)


@pytest.mark.parametrize("last", [2**16, 2**32, 2**40])
def test_counters_are_wide_enough_at_every_boundary(last: int) -> None:
    tally = tally_of(np.array([[0.0, 0.5]]), Stops([0, 1]), inactive_at=None)
    doubles = [tally]
    while doubles[-1].probes < last:
        doubles.append(doubles[-1].merged(doubles[-1]))
    below = doubles[0]
    for part in doubles[1:-1]:
        below = below.merged(part)
    assert below.probes == last - 1
    for whole in (below, doubles[-1], below.merged(tally), doubles[-1].merged(tally)):
        assert up_to(whole, 0).tolist() == [whole.probes, 0]
        assert up_to(whole, 1).tolist() == [whole.probes, whole.probes]
    continued = below.merged(Tally(Stops([0, 1]), (2,)))
    continued.add(continued.classify(np.zeros((3, 2))))
    assert up_to(continued, 0).tolist() == [last + 2, 3]


@settings(max_examples=50, deadline=None)
@given(magnitudes, magnitudes)
def test_a_tally_goes_on_from_its_state(before: np.ndarray, after: np.ndarray) -> None:
    stops = Stops(default_stops())
    tally = tally_of(before, stops)
    tally.note_dtype_and_shape("float32", (5,))
    restored = Tally.from_state(stops, copy.deepcopy(tally.state()))
    for one in (tally, restored):
        one.add(one.classify(after))
    assert_equal(restored, tally)
    assert restored.state().facts == tally.state().facts


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=6),
    st.sampled_from([0, 1, 20, 23, 28]),
)
def test_the_deviation_is_exact_whatever_the_integers_take(counts: list[int], doubled: int) -> None:
    moments = ProbeMoments(1)
    moments.add(np.array(counts)[:, None])
    for _ in range(doubled):
        moments.inactive_sum *= 2
        moments.square_low *= 2
        moments.square_high *= 2
        moments.carry()
    times = 2**doubled
    total, squares = sum(counts) * times, sum(count**2 for count in counts) * times
    probes = len(counts) * times
    variance = float(probes * squares - total**2)
    assert deviation(moments, probes) == np.sqrt(variance) / probes
