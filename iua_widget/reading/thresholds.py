"""Thresholds of layers and units, and bounds on counts where each unit has its own."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator
from typing import Final

import numpy as np

from iua_widget.reading.statistics import mean_abs, non_finite_counts, unit_rms
from iua_widget.tally.tally import Tally
from iua_widget.tolerances import Scale, Tolerances, locate_each

UNIT_SCALES: Final[tuple[Scale, ...]] = ("unit_rms", "unit_max")
"""The scales with which every unit has a threshold of its own."""

_BLOCK_UNITS: Final = 2**14
_COMPARED_AS: Final = {
    "float16": np.float16,
    "float32": np.float32,
    "bfloat16": np.float32,
    "complex64": np.float32,
}
"""The dtype in which `numpy.isclose` compares responses of a dtype; float64 for all others."""


def threshold_of(tally: Tally, tolerances: Tolerances) -> float:
    """``atol + rtol * scale`` for one layer, in the responses' own units.

    Returns
    -------
    float
        NaN where every unit has its own: see `unit_thresholds`.
    """
    if tolerances.uniform:
        return tolerances.atol
    if tolerances.scale == "layer_mean":
        return tolerances.atol + tolerances.rtol * mean_abs(tally)
    return float("nan")


def scale_values(tally: Tally, scale: Scale) -> np.ndarray:
    """What rtol multiplies in each unit.

    Returns
    -------
    numpy.ndarray of float64, shape (units,)
        The RMS of the unit's finite responses, or the largest magnitude of them; 0 where it has
        none.
    """
    values = unit_rms(tally) if scale == "unit_rms" else tally.store.read_magnitudes().abs_max
    finite: np.ndarray = np.nan_to_num(values, nan=0.0, posinf=sys.float_info.max)
    return finite


def unit_thresholds(tally: Tally, tolerances: Tolerances) -> np.ndarray:
    """``atol + rtol * scale`` of every unit.

    Returns
    -------
    numpy.ndarray of float64, shape (units,)
    """
    if tolerances.per_unit:
        scales = scale_values(tally, tolerances.scale)
        return thresholds_at(scales, tolerances.atol, tolerances.rtol)
    return np.full(tally.units, threshold_of(tally, tolerances))


def thresholds_at(scales: np.ndarray, atol: float, rtol: float | np.ndarray) -> np.ndarray:
    """``atol + rtol * scale``, never infinite."""
    with np.errstate(over="ignore"):
        return np.minimum(atol + rtol * scales, sys.float_info.max)


def unit_bounds(tally: Tally, tolerances: Tolerances) -> tuple[np.ndarray, np.ndarray]:
    """Bounds on how often each unit was inactive, where every unit has its own threshold.

    Each unit is bracketed by the counted stops around its own threshold. Where its
    largest response lies below the threshold, its count is known; where it does not, it was active
    at least once: so which units were inactive on every finite probe is exact at any threshold,
    but for those of `active_when_finite`.

    Parameters
    ----------
    tally : Tally
    tolerances : Tolerances
        Of a unit scale.

    Returns
    -------
    lower, upper : numpy.ndarray of int64, shape (units,)
    """
    scales, counts = scale_values(tally, tolerances.scale), tally.store.read_counts().counts
    largest = tally.store.read_magnitudes().abs_max
    lower, upper = (np.empty(tally.units, np.int64) for _ in range(2))
    stops, active = counted_stops(tally), active_when_finite(tally)
    for block in _blocks(tally.units):
        totals = counts[block].cumsum(axis=1, dtype=np.int64)
        thresholds = thresholds_at(scales[block], tolerances.atol, tolerances.rtol)
        lower[block], upper[block] = bounds_at(
            thresholds, totals, stops, largest[block], tally.dtypes, active=active[block]
        )
    return lower, upper


def bounds_at(
    thresholds: np.ndarray,
    totals: np.ndarray,
    stops: np.ndarray,
    largest: np.ndarray,
    dtypes: Collection[str],
    *,
    active: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Bounds on how often units were inactive at their thresholds.

    Parameters
    ----------
    thresholds : numpy.ndarray of float64, shape (..., units)
    totals : numpy.ndarray of int64, shape (units, counted columns)
        Up to each of the columns at which units are counted.
    stops : numpy.ndarray of float64, shape (counted columns - 1,)
    largest : numpy.ndarray of float64, shape (units,)
        Largest finite responses.
    dtypes : collection of str
        In which the responses came.
    active : numpy.ndarray of bool, shape (units,)
        See `active_when_finite`.

    Returns
    -------
    lower, upper : numpy.ndarray of int64, shape (..., units)
    """
    below, above = locate_each(stops, thresholds)
    rows = np.arange(len(totals))
    least, most, all_of_it = totals[rows, below], totals[rows, above], totals[:, -1]
    surely, perhaps = all_inactive(largest, thresholds, dtypes)
    most = np.where(perhaps | ~active, most, np.minimum(most, all_of_it - 1))
    return np.where(surely, all_of_it, least), np.where(surely, all_of_it, most)


def active_when_finite(tally: Tally) -> np.ndarray:
    """Of which units a finite response above the threshold means a finite probe above it.

    Of a channel, one position can be large on a probe on which another was NaN.

    Returns
    -------
    numpy.ndarray of bool, shape (units,)
    """
    if tally.plan.choice == "channel":
        nan, infinite = non_finite_counts(tally)
        return np.asarray(nan + infinite == 0)
    return np.ones(tally.units, np.bool_)


def counted_stops(tally: Tally) -> np.ndarray:
    """The stops at which units are counted: float64."""
    return np.array([tally.stops.values[column] for column in tally.columns[:-1]])


def all_inactive(
    largest: np.ndarray, thresholds: np.ndarray, dtypes: Collection[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Where no finite response of a unit exceeds its threshold, in the responses' own dtype.

    Parameters
    ----------
    largest : numpy.ndarray of float64, shape (units,)
    thresholds : numpy.ndarray of float64, shape (..., units)
    dtypes : collection of str
        In which the responses came.

    Returns
    -------
    surely, perhaps : numpy.ndarray of bool
        They differ only where responses came in several dtypes, which round differently.
    """
    compared = {_COMPARED_AS.get(_plain(dtype), np.float64) for dtype in dtypes}
    with np.errstate(over="ignore", under="ignore"):
        rounded = [
            thresholds.astype(dtype).astype(np.float64) for dtype in compared or {np.float64}
        ]
    return largest <= np.minimum.reduce(rounded), largest <= np.maximum.reduce(rounded)


def _plain(dtype: str) -> str:
    return "float32" if dtype.startswith("float8") else dtype


def _blocks(units: int) -> Iterator[slice]:
    for start in range(0, units, _BLOCK_UNITS):
        yield slice(start, min(start + _BLOCK_UNITS, units))
