"""The counting core against `numpy.isclose`, bit for bit."""

from __future__ import annotations

import warnings
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from by_hand import dead_by_hand
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from iua_widget.engines.choice import ENGINES, EngineName, choose_engine
from iua_widget.iua import IUA
from iua_widget.reading.curves import dead_curves
from iua_widget.reading.statistics import mean_inactive, std_inactive
from iua_widget.tally.tally import Tally
from iua_widget.tolerances import Stops, Tolerances, default_stops

pytestmark = [pytest.mark.slow] + [
    pytest.mark.filterwarnings(f"ignore:{note}:iua_widget.IUAWarning")
    for note in (".*below the smallest float16", "Not finite", ".*without an entry")
]

DTYPES = [
    np.float16,
    np.float32,
    np.float64,
    np.longdouble,
    np.complex64,
    np.complex128,
    np.int8,
    np.int16,
    np.int64,
    np.uint8,
    np.uint64,
    np.bool_,
]


def isclose_to_zero(x: np.ndarray, atol: float, rtol: float = 1e-5) -> np.ndarray:
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.isclose(x, 0, rtol=rtol, atol=atol)


def assert_same_as_isclose(iua: IUA, layer: str, batches: list[np.ndarray]) -> None:
    """Every statistic, at every stop, against a count that shares no code with ours."""
    with np.errstate(all="ignore"):
        magnitudes = np.concatenate([np.abs(batch) for batch in batches])
    for stop in iua.stops:
        inactive = np.concatenate([isclose_to_zero(batch, stop) for batch in batches])
        per_probe = inactive.reshape(len(inactive), -1).sum(axis=1)
        result = iua.at(atol=stop).results[layer]
        np.testing.assert_array_equal(result.unit_inactive_count, inactive.sum(axis=0))
        assert result.unit_inactive_count.shape == inactive.shape[1:]
        np.testing.assert_array_equal(
            result.unit_inactive_proportion, inactive.sum(axis=0) / len(inactive)
        )
        assert result.mean_inactive == pytest.approx(per_probe.mean(), rel=1e-12)
        assert result.std_inactive == pytest.approx(exact_std(per_probe), rel=1e-9, abs=0)
        flat = inactive.reshape(len(inactive), -1)
        assert result.dead == dead_by_hand(magnitudes.reshape(flat.shape), flat).sum()
        assert result.exact


def exact_std(counts: np.ndarray) -> float:
    values = [int(count) for count in counts]
    mean = Fraction(sum(values), len(values))
    return float(sum((value - mean) ** 2 for value in values) / len(values)) ** 0.5


@st.composite
def interesting_values(draw: st.DrawFn, dtype: np.dtype) -> st.SearchStrategy:
    """Values of a dtype, many of them on a stop, beside one, zero, subnormal or not finite."""
    if dtype.kind not in "fc":
        return draw(st.just(hnp.from_dtype(dtype)))
    info = np.finfo(dtype)
    stops = [np.array(stop, np.float64).astype(info.dtype) for stop in default_stops()]
    special = [info.smallest_subnormal, info.tiny, info.max, np.nan, np.inf, 0.0, -0.0]
    beside = [np.nextafter(stop, info.dtype.type(way)) for stop in stops for way in (0, np.inf)]
    pool = np.array([*special, *stops, *beside], info.dtype)
    signed = np.concatenate([pool, -pool]).astype(dtype)
    return st.one_of(st.sampled_from(list(signed)), hnp.from_dtype(dtype))


@st.composite
def streams(draw: st.DrawFn) -> list[np.ndarray]:
    """Some batches of uneven size, of one unit shape and dtype, at least one probe in all."""
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
    sizes = draw(st.lists(st.integers(0, 4), min_size=1, max_size=4).filter(sum))
    elements = draw(interesting_values(dtype))
    return [draw(hnp.arrays(dtype, (size, *shape), elements=elements)) for size in sizes]


@settings(max_examples=150, deadline=None)
@given(streams())
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_every_count_is_what_isclose_gives_at_every_stop(batches: list[np.ndarray]) -> None:
    iua = IUA.introspect([{"layer": batch} for batch in batches])
    assert_same_as_isclose(iua, "layer", batches)
    whole = np.concatenate(batches)
    result = iua.results["layer"]
    # Of the magnitude, which is what isclose compares: NumPy calls inf+nanj both.
    magnitude = np.abs(whole.astype(np.float64) if whole.dtype.kind in "iub" else whole)
    assert result.nan == np.isnan(magnitude).sum()
    assert result.infinite == np.isinf(magnitude).sum()


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(np.float32, (7, 5), elements=st.floats(-2, 2, width=32)),
    st.floats(0, 1e3),
    st.floats(0, 1e3),
)
def test_a_tolerance_of_ones_own_is_exact_whatever_rtol(
    values: np.ndarray, atol: float, rtol: float
) -> None:
    iua = IUA.introspect({"a": values}, atol=atol, rtol=rtol)
    expected = isclose_to_zero(values, atol, rtol)
    np.testing.assert_array_equal(iua.results["a"].unit_inactive_count, expected.sum(axis=0))
    assert iua.results["a"].inactive == expected.sum(axis=1).tolist()
    assert iua.at().exact


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.float64, (6, 4), elements=st.floats(-20, 20)), st.floats(0, 50))
def test_between_stops_the_bracket_holds_what_isclose_gives(
    values: np.ndarray, atol: float
) -> None:
    reading = IUA.introspect({"a": values}).at(atol=atol)
    truth = isclose_to_zero(values, atol)
    result = reading.results["a"]
    assert (result.lower <= truth.sum(axis=0)).all()
    assert (truth.sum(axis=0) <= result.upper).all()
    mean = truth.sum(axis=1).mean()
    assert result.mean_inactive <= mean + 1e-12
    assert mean <= result.mean_inactive_upper + 1e-12
    assert result.dead <= truth.all(axis=0).sum() <= result.dead_upper
    assert result.exact == (atol in default_stops(1e-8))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble])
def test_values_on_and_beside_every_stop(dtype: type[np.floating]) -> None:
    stops = np.array(default_stops()).astype(dtype)
    beside = [stops, np.nextafter(stops, dtype(0)), np.nextafter(stops, dtype(np.inf))]
    values = np.stack([sign * part for part in beside for sign in (1, -1)])
    assert_same_as_isclose(IUA.introspect({"a": values}), "a", [values])


def test_more_stops_than_a_byte_can_number() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(20, 30))
    iua = IUA.introspect({"a": values}, stops=np.linspace(0, 3, 300))
    assert_same_as_isclose(iua, "a", [values])


@pytest.mark.parametrize("order", ["strided", "fortran", "reversed", "readonly", "transposed"])
def test_the_layout_in_memory_does_not_matter(order: str) -> None:
    rng = np.random.default_rng(0)
    values = np.maximum(rng.normal(size=(12, 4, 6, 8)), 0).astype(np.float32)
    if order == "strided":
        values = values[::2, :, ::3]
    elif order == "fortran":
        values = np.asfortranarray(values)
    elif order == "reversed":
        values = values[:, ::-1]
    elif order == "readonly":
        values.flags.writeable = False
    else:
        values = values.transpose(0, 2, 3, 1)
    assert_same_as_isclose(IUA.introspect({"a": values}, batch_size=5), "a", [values])


def test_a_layer_larger_than_one_block_of_work() -> None:
    rng = np.random.default_rng(1)
    values = np.maximum(rng.normal(size=(3, 400_000)), 0).astype(np.float32)
    iua = IUA.introspect({"a": values}, stops=[1e-8, 0.5])
    assert_same_as_isclose(iua, "a", [values])


def test_bfloat16_counts_as_float32() -> None:
    torch = pytest.importorskip("torch")
    values = torch.tensor([[0.0, 1e-8, 1e-3, 1.0, -1e-9]], dtype=torch.bfloat16)
    iua = IUA.introspect({"a": values})
    assert_same_as_isclose(iua, "a", [values.float().numpy()])
    assert iua._run.tally("a").dtypes == {"bfloat16"}


def test_a_response_is_converted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    convert, converted = torch.Tensor.to, []

    def counted(tensor: Any, *to: Any) -> Any:
        converted.append(to)
        return convert(tensor, *to)

    monkeypatch.setattr(torch.Tensor, "to", counted)
    IUA.introspect({"a": torch.ones(2, 3, dtype=torch.bfloat16)})
    assert converted == [(torch.float32,)]


def test_lists_and_scalars_a_probe_are_responses_too() -> None:
    iua = IUA.introspect([{"a": [[0, 1], [0, 0]], "b": [0.0, 2.0]}])
    assert iua.results["a"].unit_inactive_count.tolist() == [2, 1]
    assert iua.results["b"].unit_inactive_count.shape == ()
    assert iua.results["b"].unit_inactive_count == 1


def test_one_probe_has_no_spread() -> None:
    result = IUA.introspect({"a": np.array([[0.0, 1.0, 0.0]])}).at(atol=0).results["a"]
    assert (result.mean_inactive, result.std_inactive) == (2, 0)


def test_the_std_keeps_its_digits_where_float_sums_lose_them() -> None:
    units = 3_000_000
    stops = Stops([0.0])
    tally = Tally(stops, (units,))
    rows = np.zeros((2, units), np.float32)
    rows[1, :1] = 1  # the per-probe counts are 3,000,000 and 2,999,999
    for _ in range(3):
        tally.add(tally.classify(rows))
    assert std_inactive(tally)[0] == pytest.approx(0.5, rel=1e-12)


@pytest.mark.parametrize("limit", [2**8 - 1, 2**16 - 1, 2**32 - 1])
def test_counters_widen_before_they_wrap(limit: int) -> None:
    """Reached by merging: each doubling adds a tally to itself."""
    tally = Tally(Stops([0.0]), (2,))
    tally.add(tally.classify(np.array([[0.0, 1.0]])))
    while tally.probes <= limit:
        tally = tally.merged(tally)
    assert tally.store.read_counts().up_to(0).tolist() == [tally.probes, 0]
    assert tally.store.read_counts().up_to(1).tolist() == [tally.probes, tally.probes]
    assert mean_inactive(tally)[0] == 1
    assert std_inactive(tally)[0] == 0
    assert dead_curves(tally, Tolerances()).units.tolist() == [1, 2]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("batches", "dtype"),
    [
        ([254, 1], np.uint8),
        ([254, 1, 1], np.uint16),
        ([256], np.uint16),
        ([100, 156, 255, 255, 1, 1000], np.uint16),
        ([2**15, 2**15 - 1], np.uint16),
        ([2**15, 2**15], np.uint32),
        ([2**15] * 3, np.uint32),
    ],
)
def test_counters_widen_while_counting(
    engine: EngineName, batches: list[int], dtype: type[np.unsignedinteger]
) -> None:
    """Read after each batch, or only at the end."""
    often, once = (Tally(Stops([0.0, 1.0]), (3,), engine=choose_engine(engine)) for _ in range(2))
    seen = 0
    for probes in batches:
        values = np.zeros((probes, 3), np.float32)
        values[:, 1], values[0, 2] = 0.5, 7
        for tally in (often, once):
            tally.add(tally.classify(values))
        seen += probes
        assert often.store.read_counts().up_to(1).tolist()[:2] == [seen, seen]
    for tally in (often, once):
        assert tally.store.read_counts().counts.dtype == dtype
        assert tally.store.read_counts().up_to(0).tolist() == [seen, 0, seen - len(batches)]
        assert tally.store.read_counts().up_to(1).tolist() == [seen, seen, seen - len(batches)]
        assert tally.store.read_counts().up_to(2).tolist() == [seen] * 3


def test_the_moments_hold_past_sixty_four_bits() -> None:
    """Ten million units on 10^10 probes: the sum of squares takes 84 bits."""
    tally = Tally(Stops([0.0]), (1,))
    tally.add(tally.classify(np.zeros((1, 1), np.float32)))
    moments = tally.store.read_moments()
    moments.inactive_sum[:] = 10_000_000
    moments.square_low[:] = 10_000_000**2 % 2**40
    moments.square_high[:] = 10_000_000**2 // 2**40
    while tally.probes < 10**10:
        tally = tally.merged(tally)
    assert mean_inactive(tally)[0] == 10_000_000
    assert std_inactive(tally)[0] == 0
