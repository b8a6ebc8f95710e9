"""Runs merge as a commutative monoid: any order, any grouping, and what has counted nothing."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from iua_widget import IUA, MergeError
from iua_widget.sources.position import Position

pytestmark = [
    pytest.mark.filterwarnings("ignore:Not finite:iua_widget.IUAWarning"),
    pytest.mark.filterwarnings("ignore:No input reached:iua_widget.IUAWarning"),
]

FLOATING = {"abs_sum", "square_sum"}
LAST = 70
"""The column of any finite value."""

responses = hnp.arrays(
    np.float32,
    st.tuples(st.integers(0, 5), st.just(4)),
    elements=st.sampled_from([0.0, 1e-8, 1e-3, -0.02, 1.0, 3e30, np.nan, np.inf]),
)


def nothing_counted() -> IUA:
    return IUA(engine="reference")


def counted(values: np.ndarray, columns: list[int]) -> IUA:
    iua = IUA.introspect({"a": values, "b": np.abs(values[:, :2])}, engine="reference")
    iua._run.tallies["a"].thin(columns)
    return iua


columns = st.sampled_from([list(range(LAST + 1)), [0, 5, 20, LAST], [0, 20, LAST], [0, LAST]])
parts = st.lists(
    st.one_of(st.builds(nothing_counted), st.builds(counted, responses, columns)),
    min_size=1,
    max_size=5,
)


def grouped(iuas: list[IUA], chance: Any) -> IUA:
    """Merged two at a time, any two that are neighbors; some were sent to another process."""
    left = list(iuas)
    while len(left) > 1:
        at = chance.randrange(len(left) - 1)
        one, other = left[at : at + 2]
        if chance.random() < 0.3:
            one = IUA.from_bytes(one.to_bytes(), engine="reference")
        left[at : at + 2] = [IUA.merge(one, other)]
    return left[0]


def assert_same_counts(one: IUA, other: IUA) -> None:
    assert one.probes == other.probes
    assert sorted(one.layers) == sorted(other.layers)
    for layer in one.layers:
        here, there = (iua._run.tallies[layer].state() for iua in (one, other))
        for name in ("unit", "unit_shape", "dtypes", "probes", "entries", "masked", "columns"):
            assert here.facts[name] == there.facts[name], name
        assert here.arrays.keys() == there.arrays.keys()
        for name, array in here.arrays.items():
            if name in FLOATING:
                np.testing.assert_allclose(array, there.arrays[name], rtol=1e-12)
            elif name == "inactive":
                np.testing.assert_array_equal(np.sort(array), np.sort(there.arrays[name]))
            else:
                np.testing.assert_array_equal(array, there.arrays[name], err_msg=name)


@settings(max_examples=60, deadline=None)
@given(parts, st.randoms(use_true_random=False))
def test_counts_are_the_same_in_any_order_and_with_any_grouping(
    iuas: list[IUA], chance: Any
) -> None:
    shuffled = list(iuas)
    chance.shuffle(shuffled)
    whole = IUA.merge(*iuas)
    assert_same_counts(grouped(shuffled, chance), whole)
    in_order = grouped(iuas, chance)
    assert_same_counts(in_order, whole)
    assert in_order.layers == whole.layers
    for layer in whole.layers:
        lists = (iua._run.tallies[layer].state().arrays["inactive"] for iua in (in_order, whole))
        np.testing.assert_array_equal(*lists)


@settings(max_examples=20, deadline=None)
@given(responses, columns, st.booleans())
def test_what_has_counted_nothing_adds_nothing(
    values: np.ndarray, columns: list[int], first: bool
) -> None:
    iua, zero = counted(values, columns), nothing_counted()
    merged = IUA.merge(*((zero, iua) if first else (iua, zero)))
    assert merged.to_bytes() == iua.to_bytes(), "its place in the stream, too"
    assert merged._run.position is not iua._run.position


def test_nothing_and_nothing_are_nothing_and_can_be_sent() -> None:
    sent = IUA.from_bytes(nothing_counted().to_bytes(), engine="reference")
    merged = IUA.merge(nothing_counted(), sent)
    assert (merged.layers, merged.probes, merged._run.position) == ([], 0, Position())
    assert IUA.merge(merged, counted(np.zeros((2, 4), np.float32), [0, LAST])).probes == 2


def test_what_has_counted_nothing_at_other_stops_is_refused() -> None:
    iua = counted(np.zeros((2, 4), np.float32), [0, LAST])
    with pytest.raises(MergeError, match="the stops differ"):
        IUA.merge(iua, IUA(stops=[0.5], engine="reference"))


def test_parts_that_are_merged_stay_as_they_were() -> None:
    iua = counted(np.eye(4, dtype=np.float32), list(range(LAST + 1)))
    before = copy.deepcopy(iua._run).tallies["a"].state()
    IUA.merge(iua, iua, nothing_counted())
    after = iua._run.tallies["a"].state()
    assert before.facts == after.facts
    for name, array in before.arrays.items():
        np.testing.assert_array_equal(array, after.arrays[name])
