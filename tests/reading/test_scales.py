"""Thresholds relative to the layer or to each unit, and dead_at, against numpy.isclose."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from by_hand import dead_by_hand
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from unpacking import unpack

from iua_widget import IUA, ProducerError, ToleranceError
from iua_widget.reading.curves import rtol_curves
from iua_widget.reading.thresholds import UNIT_SCALES
from iua_widget.tally.tally import Tally
from iua_widget.tolerances import SCALES, Scale, Tolerances, default_stops
from iua_widget.widget.snapshots import table_snapshot

pytestmark = pytest.mark.filterwarnings("ignore:Not finite:iua_widget.IUAWarning")

DTYPES = ("float16", "float32", "float64", "complex64")
RNG = np.random.default_rng(8)


@st.composite
def layers(draw: st.DrawFn) -> np.ndarray:
    """Responses of one layer: zeros, ties with the stops, NaN and infinities among them."""
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=4, min_side=1, max_side=5))
    dtype = draw(st.sampled_from(DTYPES))
    elements = st.one_of(
        st.sampled_from([0.0, -0.0, 1e-8, 0.05, 0.25, -0.5, 1.0, 3.0, 20.0, np.nan, np.inf]),
        st.floats(-12, 12, width=16),
    )
    flat = draw(st.lists(elements, min_size=int(np.prod(shape)), max_size=int(np.prod(shape))))
    return np.array(flat).reshape(shape).astype(dtype)


tolerances = st.builds(
    Tolerances,
    rtol=st.one_of(st.sampled_from([0.0, 0.025, 0.1, 0.5, 1.0, 3.0]), st.floats(0, 30)),
    atol=st.one_of(st.sampled_from([0.0, 1e-8, 0.05, 0.25]), st.floats(0, 15)),
    scale=st.sampled_from(SCALES),
    dead_at=st.one_of(st.sampled_from([1.0, 0.99, 0.5, 0.07]), st.floats(1e-3, 1)),
)


def by_hand(values: np.ndarray, at: Tolerances) -> dict[str, Any]:
    """Each unit by itself: its threshold, and how often numpy.isclose calls it zero."""
    units = values.reshape(len(values), -1)
    magnitudes = np.abs(units)
    finite = np.where(np.isfinite(magnitudes), magnitudes, np.nan).astype(np.float64)
    known = np.isfinite(finite).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        scale: Any = {
            "zero": np.zeros(units.shape[1]),
            "layer_mean": np.full(units.shape[1], np.nansum(finite) / max(known.sum(), 1)),
            "unit_rms": np.sqrt(np.nansum(finite**2, axis=0) / known),
            "unit_max": np.where(known > 0, np.nanmax(np.nan_to_num(finite), axis=0), 0),
        }[at.scale]
    thresholds = at.atol + at.rtol * np.nan_to_num(scale)
    inactive = np.column_stack(
        [
            np.isclose(units[:, unit], 0, rtol=0, atol=float(threshold))
            for unit, threshold in enumerate(thresholds)
        ]
    )
    return {"thresholds": thresholds, "inactive": inactive, "counts": inactive.sum(axis=0)}


def read(values: np.ndarray, at: Tolerances, **options: Any) -> tuple[IUA, Any]:
    iua = IUA.introspect({"a": values}, batch_size=2, keep_inactive=False, **options)
    reading = iua.at(atol=at.atol, rtol=at.rtol, scale=at.scale, dead_at=at.dead_at)
    return iua, reading.results["a"]


@pytest.mark.filterwarnings("ignore::iua_widget.IUAWarning")
@settings(deadline=None, max_examples=250)
@given(values=layers(), at=tolerances, memory=st.sampled_from([None, "few"]))
def test_the_truth_lies_within_every_bracket(
    values: np.ndarray, at: Tolerances, memory: str | None
) -> None:
    stops = None if memory is None else [0.0, 1e-8, 0.05, 1.0]
    truth = by_hand(values, at)
    assert truth["thresholds"].max(initial=0) < 6e4  # beyond, float16 rounds to infinity
    iua, result = read(values, at, stops=stops)
    counts, lower, upper = truth["counts"], result.lower.ravel(), result.upper.ravel()
    # The sums behind a scale may round otherwise than here: a threshold that meets a response to
    # the last bit may then fall on the other side of it.
    near = _ties(values, truth["thresholds"]) if at.rtol else np.zeros(counts.shape, bool)
    sure = ~near
    assert (lower <= counts)[sure].all()
    assert (counts <= upper)[sure].all()
    if near.any():
        return
    dead = dead_by_hand(values.reshape(len(values), -1), truth["inactive"], at.dead_at)
    assert result.dead <= dead.sum() <= result.dead_upper
    mean = truth["inactive"].sum(axis=1).mean()
    assert result.mean_inactive <= mean * (1 + 1e-12)
    assert mean <= result.mean_inactive_upper * (1 + 1e-12)
    if at.dead_at == 1 and at.per_unit:
        assert result.dead == result.dead_upper == dead.sum()
    if result.exact:
        assert lower.tolist() == counts.tolist()
        assert result.dead == result.dead_upper
    exact = iua.recount({"a": values}, batch_size=3, atol=at.atol, rtol=at.rtol, scale=at.scale)
    again = iua.at(atol=at.atol, rtol=at.rtol, scale=at.scale, dead_at=at.dead_at).results["a"]
    assert exact.exact
    assert again.unit_inactive_count.ravel().tolist() == counts.tolist()
    assert (again.dead, again.dead_upper) == (dead.sum(), dead.sum())
    assert again.mean_inactive == pytest.approx(mean, rel=1e-12)
    assert again.std_inactive == pytest.approx(truth["inactive"].sum(axis=1).std(), abs=1e-9)


def _ties(values: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    magnitudes = np.abs(values.reshape(len(values), -1)).astype(np.float64)
    spacing = np.finfo(values.dtype).eps * 2
    ties: np.ndarray = (np.abs(magnitudes - thresholds) <= spacing * magnitudes).any(axis=0)
    return ties & (thresholds > 0)


@pytest.mark.filterwarnings("ignore::iua_widget.IUAWarning")
@settings(deadline=None, max_examples=60)
@given(
    values=layers(),
    atol=st.sampled_from([0.0, 1e-8, 0.05, 0.3]),
    scale=st.sampled_from(UNIT_SCALES),
    share=st.sampled_from([1.0, 0.5]),
)
@example(values=np.full((1, 1), 6e-8, np.float16), atol=0.0, scale="unit_rms", share=1.0)
def test_both_ways_to_a_curve_over_rtol_agree_with_reading_each_stop(
    values: np.ndarray, atol: float, scale: Scale, share: float
) -> None:
    import iua_widget.engines.cpu.scale_kernel  # noqa: F401  (it is taken once it is loaded)

    tally = IUA.introspect({"a": values})._run.tally("a")
    at = Tolerances(0.0, atol, scale, share)
    rtols = default_stops(0.0123)
    compiled = rtol_curves(tally, at, rtols)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("iua_widget.reading.curves._curves_compiled", lambda *_: None)
        plain = rtol_curves(tally, at, rtols)
    for name in ("mean", "dead", "channels"):
        np.testing.assert_array_equal(getattr(plain, name), getattr(compiled, name))
    for place in (0, 7, 30, 55, 70):
        iua = IUA.introspect({"a": values}, keep_inactive=False)
        result = iua.at(atol=atol, rtol=rtols[place], scale=scale, dead_at=share).results["a"]
        assert plain.mean[:, place].tolist() == pytest.approx(
            [result.mean_inactive, result.mean_inactive_upper], rel=1e-12
        )
        assert plain.dead[:, place].tolist() == [result.dead, result.dead_upper]
        if plain.channels is not None:
            bounds = [result.dead_channels, result.dead_channels_upper]
            assert plain.channels[:, place].tolist() == bounds


@settings(deadline=None, max_examples=60)
@given(data=st.data(), share=st.floats(0.01, 1), held=st.sampled_from([None, [0, 20, 40, 70]]))
def test_the_table_tells_what_is_dead_at_every_stop_for_any_share(
    data: st.DataObject, share: float, held: list[int] | None
) -> None:
    shape = data.draw(st.sampled_from([(12, 5), (12, 2, 3, 2)]))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    values = np.where(rng.random(shape) < 0.7, 0, 10 ** rng.uniform(-7, 1, shape))
    tally = IUA.introspect({"a": values})._run.tally("a")
    if held is not None:
        tally.thin(held)
    at = Tolerances(0.0, 0.0, "zero", share)
    meta, arrays = unpack(table_snapshot({"a": tally}, tally.stops, at))
    assert meta["dead_at"] == share
    needed = at.probes_needed(12)
    for column, stop in enumerate(tally.stops.values):
        dead = (values <= stop).sum(axis=0) >= needed
        low, high = arrays["dead"][0, column], arrays.get("dead_upper", arrays["dead"])[0, column]
        assert low <= dead.sum() <= high
        if held is None or column in held:
            assert low == high
        if dead.ndim > 1:
            whole = dead.all(axis=(1, 2)).sum()
            upper = arrays.get("dead_channels_upper", arrays["dead_channels"])
            assert arrays["dead_channels"][0, column] <= whole <= upper[0, column]


def test_a_unit_max_of_one_makes_everything_finite_inactive() -> None:
    values = RNG.normal(size=(40, 6)).astype(np.float32)
    values[3, 2] = np.nan
    _, result = read(values, Tolerances(1.0, 0.0, "unit_max"))
    assert result.exact
    assert result.unit_inactive_count.tolist() == [40, 40, 39, 40, 40, 40]
    assert (result.dead, result.dead_upper) == (6, 6)  # on its finite probes each unit is
    assert np.isnan(result.std_inactive)
    assert np.isnan(result.threshold)
    assert result.unit_thresholds.tolist() == np.nanmax(np.abs(values), axis=0).tolist()


def test_units_and_channels_tell_their_thresholds_and_both_bounds() -> None:
    maps = RNG.normal(size=(40, 3, 2, 2))
    maps[:, 1] = 0
    iua = IUA.introspect({"a": maps})
    units = iua.units("a", rtol=0.3, atol=0.0, scale="unit_rms", dead_at=0.2)
    rms = np.sqrt((maps**2).mean(axis=0)).ravel()
    np.testing.assert_allclose(units["threshold"], 0.3 * rms)
    counts = (np.abs(maps).reshape(40, -1) <= 0.3 * rms).sum(axis=0)
    assert (units["inactive count"] <= counts).all()
    assert (counts <= units["inactive count upper"]).all()
    assert (units["dead"] <= (counts >= 8)).all()
    assert ((counts >= 8) <= units["dead upper"]).all()
    assert units["dormant"].tolist() == [place // 4 == 1 for place in range(12)]
    channels = iua.channels("a", rtol=0.3, atol=0.0, scale="unit_rms", dead_at=1.0)
    assert channels["dead"].tolist() == channels["dead upper"].tolist() == [False, True, False]


def test_dormant_units_are_exact_at_any_tau() -> None:
    values = np.abs(RNG.normal(size=(50, 30))) * 10 ** RNG.uniform(-3, 0, 30)
    iua = IUA.introspect({"a": values})
    for tau in (0.0, 0.0123, 0.1, 7.0):
        expected = (values.mean(axis=0) <= tau * values.mean()).sum()
        assert iua.at(tau=tau).results["a"].dormant == expected
        assert iua.at(tau=tau).to_pandas()[f"dormant (tau {tau})"].tolist() == [expected]
        assert iua.units("a", tau=tau)["dormant"].sum() == expected


def test_dormant_are_the_channels_of_maps_as_in_sokar_et_al() -> None:
    rng = np.random.default_rng(5)
    maps = np.maximum(rng.normal(size=(20, 8, 6, 6)), 0) * 10.0 ** -np.arange(8)[:, None, None]
    maps[:, 0, :3] = 0  # half of its positions never fire, the channel does
    score = maps.mean(axis=(0, 2, 3))
    score /= score.mean()
    for arranged, options in (
        (maps, {}),
        (np.moveaxis(maps, 1, -1), {"channel_axis": -1}),
        (maps, {"units": "channel"}),
        (maps, {"units": "token"}),
    ):
        iua = IUA.introspect({"a": arranged}, **options)
        for tau in (0.0, 0.025, 0.2, 1.0):
            reading = iua.at(tau=tau, rtol=0.7, scale="unit_max")
            assert reading.results["a"].dormant == (score <= tau).sum()
            channels = iua.channels("a", tau=tau)
            assert channels["dormant"].tolist() == (score <= tau).tolist()
            np.testing.assert_allclose(channels["mean |x|"], maps.mean(axis=(0, 2, 3)))
    assert (score <= 0.025).sum() == 5


def test_rtol_has_no_part_in_what_is_dormant() -> None:
    values = np.abs(RNG.normal(size=(50, 30))) * 10 ** RNG.uniform(-3, 0, 30)
    iua = IUA.introspect({"a": values}, tau=0.1)
    expected = (values.mean(axis=0) <= 0.1 * values.mean()).sum()
    for scale in ("zero", "layer_mean", "unit_max"):
        for rtol in (0.0, 0.5, 3.0):
            assert iua.at(rtol=rtol, scale=scale).results["a"].dormant == expected
    with pytest.raises(ToleranceError, match="tau must be a finite number, zero or more"):
        iua.at(tau=-1)


@pytest.mark.parametrize(
    ("share", "probes", "needed"),
    [
        (1.0, 7, 7),
        (0.99, 100, 99),
        (0.99, 101, 100),
        (0.07, 100, 7),
        (1 / 3, 3, 1),
        (1e-12, 10, 1),
        (0.1, 2**62, 461168601842738791),
    ],
)
def test_dead_at_is_the_decimal_number_it_prints_as(share: float, probes: int, needed: int) -> None:
    assert Tolerances(0.0, 0.0, "zero", share).probes_needed(probes) == needed


@pytest.mark.parametrize("share", [0, -0.5, 1.01, 50, "0.5", None, float("nan"), True])
def test_what_is_no_share_is_refused(share: object) -> None:
    with pytest.raises(ToleranceError, match="dead_at must be above 0 and at most 1"):
        IUA(dead_at=share)  # type: ignore[arg-type]


def test_a_recount_of_other_data_is_refused_and_nothing_of_it_kept() -> None:
    values = np.maximum(RNG.normal(size=(40, 6)), 0)
    iua = IUA.introspect({"a": values})
    at = {"rtol": 0.1, "scale": "layer_mean"}
    for other, words in [
        (values[:30], "30 probes"),
        (values + 1, "inactive on other numbers of probes"),
        (values[:, :5], "shape"),
    ]:
        with pytest.raises(ProducerError, match=words):
            iua.recount({"a": other}, **at)  # type: ignore[arg-type]
        assert not iua.at(**at).exact  # type: ignore[arg-type]
    with pytest.raises(ProducerError, match=r"gave 0 probes"):
        iua.recount({"b": values}, **at)  # type: ignore[arg-type]


def test_a_recount_counts_tokens_and_masks_as_the_first_run_did() -> None:
    text = [RNG.normal(size=(2, length, 5)).astype(np.float32) for length in (3, 4, 6)]
    masks = [np.arange(part.shape[1])[None] < [[2], [part.shape[1]]] for part in text]
    stream = [{"text": part} for part in text]

    def mask(batch: dict[str, np.ndarray]) -> np.ndarray:
        place = next(n for n, other in enumerate(stream) if other is batch)
        return masks[place].astype(int)

    for units in ("token", "channel"):
        iua = IUA.introspect(stream, units=units, mask=mask)
        exact = iua.recount(stream, mask=mask, atol=0.0, rtol=0.777, scale="unit_rms")
        result = exact.results["text"]
        if units == "token":
            rows = np.concatenate([p[m] for p, m in zip(text, masks, strict=True)])
            inactive = np.abs(rows) <= result.unit_thresholds.astype(np.float32)
        else:
            rows = np.concatenate(
                [
                    np.where(m[..., None], np.abs(p), 0).max(axis=1)
                    for p, m in zip(text, masks, strict=True)
                ]
            )
            inactive = rows <= result.unit_thresholds.astype(np.float32)
        assert result.unit_inactive_count.tolist() == inactive.sum(axis=0).tolist()
        assert result.std_inactive == pytest.approx(inactive.sum(axis=1).std())


def test_counting_on_lets_go_of_a_recount() -> None:
    from iua_widget.run.loop import count
    from iua_widget.run.open import open_source

    values = np.maximum(RNG.normal(size=(40, 6)), 0)
    iua = IUA.introspect({"a": values})
    assert iua.recount({"a": values}, rtol=0.1, scale="layer_mean").exact
    assert list(count(iua._run, open_source({"a": values}))) == [32, 8]
    assert not iua.at(rtol=0.1, scale="layer_mean").exact


def test_a_tally_of_no_probe_has_no_curves() -> None:
    tally = Tally(IUA()._run.options.grid, (3,))
    meta, arrays = unpack(
        table_snapshot(
            {"a": tally}, tally.stops, Tolerances(0.1, 0.0, "unit_max"), unit_scales=UNIT_SCALES
        )
    )
    assert meta["unit_scales"] == ["unit_rms", "unit_max"]
    assert not arrays["unit_mean"].any()


def test_a_models_recount_is_exact_in_every_layer_and_leaves_no_trace() -> None:
    import torch
    from by_hand import assert_untouched, everything, outputs_by_hand
    from torch import nn

    torch.manual_seed(1)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.GELU(), nn.Flatten(), nn.Linear(144, 30), nn.ReLU(inplace=True)
    )
    images = torch.randn(70, 1, 8, 8)
    iua = IUA.introspect(model, images, batch_size=16)
    before = everything(model)
    for scale in SCALES:
        exact = iua.recount(model, images, batch_size=16, atol=1e-3, rtol=0.0777, scale=scale)
        assert exact.exact
        outputs = outputs_by_hand(model, images.split(16), ["1", "4"])
        for name, parts in outputs.items():
            values = np.concatenate(parts)
            truth = by_hand(values, Tolerances(0.0777, 1e-3, scale))
            result = exact.results[name]
            assert result.unit_inactive_count.ravel().tolist() == truth["counts"].tolist()
            assert result.std_inactive == pytest.approx(truth["inactive"].sum(axis=1).std())
            assert result.dead == (truth["counts"] == 70).sum()
    assert_untouched(before, everything(model))
