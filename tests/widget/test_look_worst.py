"""The worst units of a look that is not kept whole: bounds that hold those of the whole."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from histories import AT, STOPS, history_of
from unpacking import unpack

from iua_widget.reading.worst_units import find_worst
from iua_widget.widget.look_worst import look_worst


@pytest.mark.parametrize(
    "at", [AT, replace(AT, atol=0.5), replace(AT, atol=0.0, rtol=0.7)], ids=lambda at: at.in_words
)
def test_they_are_ranked_by_what_is_known_of_them(at: object) -> None:
    history = history_of([0, 600])
    look, run = history.looks[1], history.whole[600]
    meta, arrays = unpack(look_worst(look, STOPS, [at]))
    names = [layer["name"] for layer in meta["layers"]]
    whole = find_worst(run.tallies, [at], 50).entries
    known = {
        (list(run.tallies)[layer], int(unit)): (low, up, dead)
        for layer, unit, low, up, dead in zip(
            whole.layer,
            whole.unit,
            whole.lower[0],
            whole.upper[0],
            whole.dead_units[0],
            strict=True,
        )
    }
    shares = []
    upper = arrays.get("inactive_upper", arrays["inactive"])[0]
    dead_upper = arrays.get("dead_upper", arrays["dead"])[0]
    for place, low, up, dead, most in zip(
        arrays["order"][0], arrays["inactive"][0], upper, arrays["dead"][0], dead_upper, strict=True
    ):
        key = names[arrays["layer"][place]], int(arrays["unit"][place])
        assert low <= known[key][0] <= known[key][1] <= up
        assert dead <= known[key][2] <= most
        shares.append(low / arrays["finite"][place])
    assert shares == sorted(shares, reverse=True)
    assert len(shares) == 12 + 3
    assert np.isnan(arrays["rms"]).all()
    assert np.isnan(arrays["max_abs"]).all()


def test_of_units_with_thresholds_of_their_own_atol_counts() -> None:
    look = history_of([0]).looks[0]
    several = [replace(AT, scale="unit_rms", rtol=rtol) for rtol in (0.1, 0.2)]
    meta, _ = unpack(look_worst(look, STOPS, several))
    assert len(meta["at"]) == 1


def test_of_a_look_without_probes_none_is_listed() -> None:
    history = history_of([0])
    look = replace(history.looks[0], probes=np.zeros(2, np.int64))
    meta, _ = unpack(look_worst(look, STOPS, [AT]))
    assert meta["listed"] == 0
