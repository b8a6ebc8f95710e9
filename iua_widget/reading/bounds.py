"""Bounds on one layer's figures at one set of tolerances."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from iua_widget.common.arithmetic import as_ieee
from iua_widget.reading.dead_rule import DeadRule
from iua_widget.reading.recount import LayerRecount
from iua_widget.reading.statistics import (
    dead_from,
    inactive_list,
    locate_counts,
    mean_inactive,
    over_channel,
    std_inactive,
)
from iua_widget.reading.thresholds import threshold_of, unit_bounds, unit_thresholds
from iua_widget.tally.tally import Tally
from iua_widget.tolerances import Tolerances


@dataclass(frozen=True, slots=True)
class LayerBounds:
    """Bounds on a layer's figures; both are the same where they are exact.

    Attributes
    ----------
    threshold : float
        NaN where units have their own.
    thresholds : numpy.ndarray of float64, shape (units,), or None
        Theirs, where they have.
    lower, upper : numpy.ndarray of int64, shape (units,)
        On how many probes each unit was inactive.
    exact : bool
        Whether these are the same, because the threshold is a counted stop, or by a recount.
    mean, mean_upper : float
        Mean number of inactive units on one probe.
    std : float
        Its population standard deviation at the lower bound; NaN where that is not known.
    dead, dead_upper : numpy.ndarray of bool, shape (units,)
    inactive : list of int, or None
        Inactive units on each probe, where kept at this threshold.
    """

    threshold: float
    thresholds: np.ndarray | None
    lower: np.ndarray
    upper: np.ndarray
    exact: bool
    mean: float
    mean_upper: float
    std: float
    dead: np.ndarray
    dead_upper: np.ndarray
    inactive: list[int] | None = None

    def dead_channels(self, tally: Tally) -> np.ndarray | None:
        """Channels of which every unit is dead: bool, shape (channels,); None where one has one."""
        return _whole_channels(tally, self.dead)

    def dead_channels_upper(self, tally: Tally) -> np.ndarray | None:
        """The bound above, likewise."""
        return _whole_channels(tally, self.dead_upper)


@as_ieee
def read_bounds(
    tally: Tally, tolerances: Tolerances, recount: LayerRecount | None = None
) -> LayerBounds:
    """Read a tally at tolerances; without a probe means and deviations are NaN."""
    threshold = threshold_of(tally, tolerances)
    rule = DeadRule.of(tally, tolerances)
    needed, probes = rule.needed, tally.probes or math.nan
    if recount is not None:
        counts, dead = recount.counts, recount.counts >= needed
        return LayerBounds(
            threshold,
            recount.thresholds if tolerances.per_unit else None,
            counts,
            counts,
            exact=True,
            mean=recount.mean,
            mean_upper=recount.mean,
            std=recount.std,
            dead=dead,
            dead_upper=dead,
        )
    if tolerances.per_unit:
        lower, upper = unit_bounds(tally, tolerances)
        return LayerBounds(
            threshold,
            unit_thresholds(tally, tolerances),
            lower,
            upper,
            exact=bool((lower == upper).all()),
            mean=int(lower.sum()) / probes,
            mean_upper=int(upper.sum()) / probes,
            std=math.nan,
            dead=lower >= needed,
            dead_upper=upper >= needed,
        )
    bracket, counted = tally.stops.locate(threshold), locate_counts(tally, threshold)
    unit_counts = tally.store.read_counts()
    lower = unit_counts.up_to(counted.lower)
    upper = lower if counted.exact else unit_counts.up_to(counted.upper)
    means = mean_inactive(tally)
    mean, std = float(means[bracket.lower]), float(std_inactive(tally)[bracket.lower])
    inactive = None
    if bracket.exact and threshold == tally.inactive_at:
        inactive = inactive_list(tally)
    if inactive:
        # NumPy's own rounding, so that DNIKit's figures are met to the last bit.
        mean, std = float(np.mean(inactive)), float(np.std(inactive))
    if rule.all_finite_probes:
        dead, dead_upper = (dead_from(tally) <= column for column in (bracket.lower, bracket.upper))
    else:
        dead, dead_upper = lower >= needed, upper >= needed
    return LayerBounds(
        threshold,
        None,
        lower,
        upper,
        exact=counted.exact or not tally.probes,
        mean=mean,
        mean_upper=mean if bracket.exact else float(means[bracket.upper]),
        std=std,
        dead=dead,
        dead_upper=dead_upper,
        inactive=inactive,
    )


def _whole_channels(tally: Tally, units: np.ndarray) -> np.ndarray | None:
    dead = over_channel(tally, units, np.all)
    # A channel without a unit is not dead.
    return None if dead is None else dead & bool(tally.units)
