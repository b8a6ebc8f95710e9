"""What evidence tells of units: pre-activations, what is constant, and shares at a bound."""

from __future__ import annotations

import numpy as np

from iua_widget.reading.statistics import finite_responses
from iua_widget.tally.tally import Tally

_FEWEST = 2
"""Responses below which nothing can be told to be constant."""


def highest_pre_activation(tally: Tally) -> np.ndarray | None:
    """The largest finite pre-activation of each unit, with its sign.

    Returns
    -------
    numpy.ndarray of float64, shape (units,), or None
        NaN where none was finite; None where they were not at hand on all of the data.
    """
    return _extreme(tally, "pre_highest")


def lowest_pre_activation(tally: Tally) -> np.ndarray | None:
    """The smallest, likewise."""
    return _extreme(tally, "pre_lowest")


def mean_pre_activation(tally: Tally) -> np.ndarray | None:
    """Mean of the finite pre-activations of each unit, likewise."""
    evidence = tally.evidence
    if evidence is None or not tally.has_pre_activations or evidence.pre_sum is None:
        return None
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(evidence.pre_sum / evidence.pre_finite)


def response_range(tally: Tally) -> np.ndarray | None:
    """The largest finite response of each unit less the smallest, with their signs.

    Returns
    -------
    numpy.ndarray of float64, shape (units,), or None
        NaN where fewer than two were finite; None where there is no evidence.
    """
    evidence = tally.evidence
    if evidence is None or evidence.highest is None or evidence.lowest is None:
        return None
    several = (np.asarray(finite_responses(tally)) >= _FEWEST) & (tally.probes >= _FEWEST)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.where(several, evidence.highest - evidence.lowest, np.nan)


def constant_units(tally: Tally, atol: float) -> np.ndarray | None:
    """Which units had the same response throughout: their largest and smallest are within `atol`.

    Returns
    -------
    numpy.ndarray of bool, shape (units,), or None
        False where a unit had fewer than two finite responses; None where there is no evidence.
    """
    ranges = response_range(tally)
    return None if ranges is None else np.less_equal(ranges, atol)


def at_bound(tally: Tally) -> np.ndarray | None:
    """How many finite responses of each unit were at a bound of the activation.

    Returns
    -------
    numpy.ndarray of int64, shape (units,), or None
        None where the activation has no bound, or there is no evidence.
    """
    evidence, activation = tally.evidence, tally.activation
    if evidence is None or activation is None or not activation.bounded:
        return None
    return np.asarray(evidence.at_lower + evidence.at_upper)  # type: ignore[operator]


def unit_share_at_bound(tally: Tally) -> np.ndarray | None:
    """The share of each unit's finite responses that were at a bound: float64, shape (units,).

    NaN where none was finite; None as in `at_bound`.
    """
    counts = at_bound(tally)
    if counts is None:
        return None
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(counts / np.asarray(finite_responses(tally), np.float64))


def share_at_bound(tally: Tally) -> float | None:
    """The share of all finite responses of a layer that were at a bound; None as in `at_bound`."""
    counts = at_bound(tally)
    if counts is None:
        return None
    finite = int(np.broadcast_to(finite_responses(tally), tally.units).sum())
    return int(counts.sum()) / finite if finite else float("nan")


def _extreme(tally: Tally, name: str) -> np.ndarray | None:
    evidence = tally.evidence
    if evidence is None or not tally.has_pre_activations:
        return None
    extreme: np.ndarray = getattr(evidence, name)
    return np.where(np.isfinite(extreme), extreme, np.nan)
