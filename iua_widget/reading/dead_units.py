"""Which channels or units of a layer are dead, and how rarely others like them can be active."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from iua_widget.common.arithmetic import as_ieee
from iua_widget.reading.bounds import LayerBounds, read_bounds
from iua_widget.reading.recount import LayerRecount
from iua_widget.reading.statistics import finite_probes
from iua_widget.tally.tally import Tally
from iua_widget.tolerances import Tolerances

_DOUBT: Final = 0.05
"""One in twenty: what is said holds with 95 % confidence."""


@as_ieee
def dead_units(
    tally: Tally, tolerances: Tolerances, recount: LayerRecount | None = None
) -> np.ndarray:
    """Indices of what is surely dead: channels where a channel has several units, else units.

    Returns
    -------
    numpy.ndarray of int64, shape (dead,)
        Ascending.
    """
    bounds = read_bounds(tally, tolerances, recount)
    channels = bounds.dead_channels(tally)
    return np.flatnonzero(bounds.dead if channels is None else channels).astype(np.int64)


@as_ieee
def active_rate_below(probes: np.ndarray | float) -> np.ndarray:
    """Below which rate what was never active is active, with 95 % confidence.

    Had it been active on a share r of the data, n probes drawn at random had all missed it with
    probability ``(1 - r) ** n``: less than 0.05 from ``r = 1 - 0.05 ** (1 / n)`` on, which is a
    little less than ``3 / n`` (the *rule of three*). It says nothing of other data, and less where
    probes are alike, as the tokens of one text are.

    Parameters
    ----------
    probes : numpy.ndarray or float
        On how many it was inactive, of as many.

    Returns
    -------
    numpy.ndarray of float64
        Of the same shape; 1 where there was no probe.

    References
    ----------
    B. D. Jovanovic, P. S. Levy: "A Look at the Rule of Three", The American Statistician 51(2),
    137-139, 1997.

    Examples
    --------
    >>> active_rate_below(np.array([1, 100, 1000])).round(5)
    array([0.95   , 0.02951, 0.00299])
    """
    return np.asarray(-np.expm1(math.log(_DOUBT) / np.asarray(probes, np.float64)))


def never_active_rate(
    tally: Tally, bounds: LayerBounds, tolerances: Tolerances, recount: LayerRecount | None
) -> np.ndarray:
    """`active_rate_below` of units inactive on all their finite probes: NaN for others."""
    if tolerances.dead_at != 1:
        bounds = read_bounds(tally, tolerances.but(dead_at=1.0), recount)
    return np.where(bounds.dead, active_rate_below(finite_probes(tally)), np.nan)
