"""Tolerances by name."""

from __future__ import annotations

import numpy as np
import pytest

from iua_widget import IUA, PRESETS, IUAWidget, ToleranceError
from iua_widget.tolerances import Tolerances, default_stops

RNG = np.random.default_rng(5)
DATA = {"a": np.maximum(RNG.normal(size=(64, 20)), 0) * 10 ** RNG.uniform(-9, 0, 20)}
DATA["a"][:, 4] = 0


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_can_be_read_and_lies_on_stops(name: str) -> None:
    settings = PRESETS[name].settings
    reading = IUA.introspect(DATA).at(**settings)
    assert reading.results["a"].dead >= 1
    for tolerance in ("rtol", "atol"):
        assert settings.get(tolerance, 0.0) in default_stops()
    assert PRESETS[name].formula
    assert PRESETS[name].source


@pytest.mark.parametrize("name", PRESETS)
def test_the_widget_takes_a_preset_by_name(name: str) -> None:
    widget = IUAWidget(DATA, rtol=0.3, atol=0.2, scale="unit_max", background=False)
    before = widget.tolerances
    widget.preset(name)
    expected = {**vars_of(before), **PRESETS[name].settings}
    assert vars_of(widget.tolerances) == expected


def vars_of(tolerances: Tolerances) -> dict[str, object]:
    return {name: getattr(tolerances, name) for name in ("rtol", "atol", "scale", "dead_at", "tau")}


def test_presets_say_what_their_formulas_say() -> None:
    iua = IUA.introspect(DATA)
    magnitudes = np.abs(DATA["a"])
    for name, limit in [("exact zero", 0), ("DNIKit", 1e-8), ("SAE", 1e-6), ("near zero", 0.05)]:
        counts = iua.at(**PRESETS[name].settings).results["a"].unit_inactive_count
        assert counts.tolist() == (magnitudes <= limit).sum(axis=0).tolist()
    for tau in (0, 0.025, 0.1):
        dormant = iua.at(**PRESETS[f"tau-dormant {tau:g}"].settings).results["a"].dormant
        assert dormant == (magnitudes.mean(axis=0) <= tau * magnitudes.mean()).sum()
    rarely = iua.at(**PRESETS["rarely active"].settings).results["a"].dead
    assert rarely == ((magnitudes > 1e-8).mean(axis=0) <= 0.01).sum()


def test_an_unknown_preset_is_refused_with_the_nearest() -> None:
    widget = IUAWidget(DATA, background=False)
    with pytest.raises(ToleranceError, match=r"Did you mean 'near zero'\?"):
        widget.preset("near-zero")
    with pytest.raises(KeyError, match=r"no preset is called 'SAEs'.*Did you mean 'SAE'\?"):
        PRESETS["SAEs"]
    assert PRESETS.get("SAEs") is None
