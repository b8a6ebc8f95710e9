"""`IUA.dead_units`: indices as pruning tools take them; and the bound on what was never active."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iua_widget import IUA, LayerSelectionError, NoProbesError, ToleranceError
from iua_widget.reading.dead_units import active_rate_below


def responses() -> dict[str, np.ndarray]:
    """Twenty probes: a map of which channel 2 is dead, and channel 1 but for one position."""
    rng = np.random.default_rng(0)
    maps = rng.uniform(0.1, 1, (20, 4, 3, 3))
    maps[:, 2] = 0
    maps[:, 1] = 0
    maps[7, 1, 2, 0] = 0.5
    dense = rng.uniform(0.1, 1, (20, 6))
    dense[:, [0, 5]] = 0
    dense[:19, 3] = 0  # active on one of twenty
    dense[:, 4] = 1e-3
    return {"conv": maps, "fc": dense}


def told(found: dict[str, np.ndarray]) -> dict[str, list[int]]:
    assert all(indices.dtype == np.int64 for indices in found.values())
    return {layer: indices.tolist() for layer, indices in found.items()}


@pytest.mark.parametrize("units", ["element", "channel"])
def test_of_maps_they_are_channels_and_of_dense_layers_units(units: str) -> None:
    iua = IUA.introspect(responses(), units={"conv": units}, engine="reference")
    assert told(iua.dead_units()) == {"conv": [2], "fc": [0, 5]}
    assert told(iua.dead_units(dead_share=0.95)) == {"conv": [1, 2], "fc": [0, 3, 5]}
    assert told(iua.dead_units(layers="f*", atol=1e-3)) == {"fc": [0, 4, 5]}


def test_of_tokens_they_are_channels() -> None:
    tokens = np.ones((4, 5, 3))
    tokens[..., 1] = 0
    iua = IUA.introspect({"mlp": tokens}, units="token", engine="reference")
    assert told(iua.dead_units()) == {"mlp": [1]}
    n = 4 * 5  # every position is a probe
    assert iua.units("mlp")["active rate below"][1] == pytest.approx(1 - 0.05 ** (1 / n))


def test_they_are_as_the_run_was_asked_where_nothing_else_is_said() -> None:
    iua = IUA.introspect(responses(), dead_at=0.95, atol=1e-3, engine="reference")
    assert told(iua.dead_units()) == {"conv": [1, 2], "fc": [0, 3, 4, 5]}
    assert told(iua.dead_units(dead_share=1, atol=0)) == {"conv": [2], "fc": [0, 5]}


def test_between_stops_they_are_what_is_surely_dead() -> None:
    data = {"fc": np.array([[0.12, 0.3, 0.0]])}
    iua = IUA.introspect(data, stops=[0.1, 0.2, 0.4], engine="reference")
    assert told(iua.dead_units(atol=0.15)) == {"fc": [2]}
    assert iua.units("fc", atol=0.15)["dead upper"].tolist() == [True, False, True]
    iua.recount(data, atol=0.15)
    assert told(iua.dead_units(atol=0.15)) == {"fc": [0, 2]}


def test_one_nan_hides_none_and_what_was_finite_nowhere_is_not_among_them() -> None:
    dense = np.zeros((10, 3))
    dense[4, 0] = dense[:, 1] = np.nan
    with pytest.warns(match="NaN"):
        iua = IUA.introspect({"fc": dense}, engine="reference")
    assert told(iua.dead_units()) == {"fc": [0, 2]}
    below = iua.units("fc")["active rate below"]
    assert below[0] == pytest.approx(1 - 0.05 ** (1 / 9))  # finite on nine
    assert np.isnan(below[1])
    assert below[2] == pytest.approx(1 - 0.05 ** (1 / 10))


def test_the_bound_is_of_units_that_were_never_active_whatever_is_called_dead() -> None:
    iua = IUA.introspect(responses(), engine="reference")
    for dead_at in (1.0, 0.5):
        table = iua.units("fc", dead_at=dead_at)
        assert np.flatnonzero(table["active rate below"].notna()).tolist() == [0, 5]
    assert iua.units("fc")["dead"].sum() == 2
    assert iua.units("fc", dead_at=0.5)["dead"].sum() == 3


@given(st.integers(1, 10**12))
def test_the_bound_is_the_exact_one_and_a_little_less_than_three_in_n(probes: int) -> None:
    below = float(active_rate_below(probes))
    # Where it were active at that rate, it would be missed on all probes one time in twenty.
    assert np.exp(probes * np.log1p(-below)) == pytest.approx(0.05, rel=1e-6)
    assert below < 3 / probes


@pytest.mark.parametrize(
    ("given_share", "error", "message"),
    [
        (0, ToleranceError, "dead_share must be above 0 and at most 1, such as dead_share=1 "),
        ("all", ToleranceError, "dead_share must be above 0 and at most 1"),
    ],
)
def test_a_share_that_is_none_is_refused_by_its_name(
    given_share: Any, error: type[Exception], message: str
) -> None:
    iua = IUA.introspect(responses(), engine="reference")
    with pytest.raises(error, match=message):
        iua.dead_units(dead_share=given_share)


def test_layers_that_there_are_not_and_runs_without_probes_are_refused() -> None:
    iua = IUA.introspect(responses(), engine="reference")
    with pytest.raises(LayerSelectionError, match="no layer is named 'relu'"):
        iua.dead_units(layers="relu")
    with pytest.raises(NoProbesError, match="nothing has been counted"):
        IUA().dead_units()
