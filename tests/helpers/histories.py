"""Histories of small nets that several tests share."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from iua_widget.history.history import History
from iua_widget.history.look import Look
from iua_widget.iua import IUA, run_of
from iua_widget.tolerances import Stops, Tolerances, default_stops

STOPS = Stops(default_stops(1e-8))
AT = Tolerances(0.0, 1e-8, "layer_mean")


def responses(step: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Of two layers: units die with the steps, and some revive."""
    rng = np.random.default_rng(seed + step)
    alive = np.random.default_rng(seed).permutation(12) >= step // 100
    flat = np.maximum(rng.normal(size=(20, 12)), 0) * alive
    maps = np.maximum(rng.normal(size=(20, 3, 2, 2)), 0) * (rng.random((3, 1, 1)) > 0.3)
    return {"head.relu": flat, "conv": maps}


def history_of(steps: list[int], *, whole: list[int] | None = None, keep: int = 2**24) -> History:
    """Looks at these steps, kept whole where that is said; at all of them where nothing is."""
    history = History(STOPS, AT, keep)
    for step in steps:
        run = run_of(IUA.introspect(responses(step), atol=1e-8, engine="reference"))
        kept = run if whole is None or step in whole else None
        history.add(Look.of(step, run.tallies, STOPS, AT, run.probes), kept)
    return history


def alarm(step: int) -> SimpleNamespace:
    return SimpleNamespace(step=step, rule="dead-share>=50%", layers=["head.relu"])
