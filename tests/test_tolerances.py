"""The tolerance grid, and where a threshold falls on it."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iua_widget.errors import ToleranceError
from iua_widget.tolerances import Stops, check_scale, check_tolerance, default_stops

tolerances = st.floats(0, allow_nan=False, allow_infinity=False)


def test_default_stops_are_zero_then_two_then_twelve_a_decade() -> None:
    stops = default_stops()
    assert stops[0] == 0
    assert stops[1] == 1e-8
    assert stops[-1] == 10
    assert list(stops) == sorted(set(stops))
    for power in range(-8, -4):
        assert sum(10.0**power * 0.999 <= stop < 10.0**power * 9.99 for stop in stops) == 2
    for power in range(-4, 1):
        assert sum(10.0**power * 0.999 <= stop < 10.0**power * 9.99 for stop in stops) == 12


def test_default_stops_are_numbers_a_person_would_type() -> None:
    assert all(len(f"{stop:g}".replace("e-0", "e-")) <= 7 for stop in default_stops())
    assert {1e-8, 1e-6, 1e-3, 0.025, 0.05, 0.1, 1.0} <= set(default_stops())


def test_default_stops_above_1e_4_are_close_enough_to_tune_by() -> None:
    fine = [stop for stop in default_stops() if stop >= 1e-4]
    assert max(b / a for a, b in pairwise(fine)) < 1.35


@given(tolerances)
def test_a_tolerance_of_ones_own_is_always_a_stop(atol: float) -> None:
    assert atol in default_stops(atol)
    assert Stops(default_stops(atol)).locate(atol).exact


@pytest.mark.parametrize("value", [-1, -1e-300, math.nan, math.inf, "1e-8", None, True, 1j, [1]])
def test_what_is_no_tolerance_is_refused_with_its_value(value: object) -> None:
    with pytest.raises(ToleranceError, match=r"atol must be a finite number") as caught:
        check_tolerance("atol", value)
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize("value", [0, 1, 1e-8, np.float32(0.5), np.int64(2), 5e-324])
def test_any_number_from_zero_is_a_tolerance(value: float) -> None:
    assert check_tolerance("rtol", value) == float(value)


def test_minus_zero_is_zero() -> None:
    assert math.copysign(1, check_tolerance("atol", -0.0)) == 1


def test_an_unknown_scale_is_refused_with_those_there_are() -> None:
    with pytest.raises(
        ToleranceError, match=r"'zero', 'layer_mean', 'unit_rms', 'unit_max'.*'layer'"
    ):
        check_scale("layer")


@given(st.lists(tolerances, max_size=20), tolerances)
def test_locate_brackets_every_threshold(values: list[float], threshold: float) -> None:
    stops = Stops(values)
    bracket = stops.locate(threshold)
    assert stops.values[bracket.lower] <= threshold
    if bracket.exact:
        assert stops.values[bracket.lower] == threshold
    elif bracket.upper < len(stops):
        assert threshold < stops.values[bracket.upper]
        assert bracket.upper == bracket.lower + 1
    else:
        assert threshold > stops.values[-1]


def test_stops_are_sorted_without_repeats_and_begin_with_zero() -> None:
    assert Stops([3, 1, 1.0, 2]).values == (0, 1, 2, 3)
    with pytest.raises(ToleranceError, match=r"stops must be finite numbers.*; got -2 among them"):
        Stops([1, -2])


def test_float16_thresholds_round_as_numpy_rounds_them() -> None:
    thresholds = Stops([0, 1e-8, 1e6]).thresholds(np.dtype(np.float16))
    assert thresholds.dtype == np.float16
    assert thresholds.tolist() == [0, 0, math.inf]
