"""Functions of a tally's counts at no particular tolerance: means, deviations, dead and dormant."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from iua_widget.engines.engine import LIMB_BITS
from iua_widget.tally.probe_moments import ProbeMoments
from iua_widget.tally.tally import Tally
from iua_widget.tolerances import Bracket


def mean_inactive(tally: Tally) -> np.ndarray:
    """Mean of the inactive units of one probe: float64, shape (K + 1,); NaN without a probe."""
    sums = tally.store.read_moments().inactive_sum
    return np.asarray(sums.astype(np.float64) / (tally.probes or np.nan))


def std_inactive(tally: Tally) -> np.ndarray:
    """Population standard deviation of it, likewise."""
    return deviation(tally.store.read_moments(), tally.probes)


def deviation(moments: ProbeMoments, probes: int) -> np.ndarray:
    """Population standard deviation of the inactive units of one probe: float64, shape (columns,).

    The variance is ``(n * S2 - S1 ** 2) / n ** 2`` in exact integers, with ``S1`` and ``S2`` the
    sums over n probes of the inactive units and of their squares; only the square root and the
    division round.

    Examples
    --------
    >>> moments = ProbeMoments(2)
    >>> moments.add(np.array([[1, 3], [3, 3]]))
    >>> deviation(moments, probes=2)
    array([1., 0.])
    """
    highest = int(moments.square_high.max(initial=0)) + 1
    # Python's integers only where 63 bits do not do: they take ten times as long.
    fits = (highest << LIMB_BITS) * probes < 1 << 63
    integers = np.dtype(np.int64 if fits else object)
    sums = moments.inactive_sum.astype(integers)
    squares = moments.square_high.astype(integers) * (1 << LIMB_BITS) + moments.square_low
    variance = (probes * squares - sums * sums).astype(np.float64)
    std: np.ndarray = np.sqrt(variance) / (probes or np.nan)
    return std


def mean_abs(tally: Tally) -> float:
    """Mean of ``abs(x)`` over all finite responses of the layer; 0.0 where there is none."""
    finite = tally.entries * tally.units - sum(non_finite(tally))
    return float(tally.store.read_magnitudes().abs_sum.sum()) / finite if finite else 0.0


def unit_mean_abs(tally: Tally) -> np.ndarray:
    """Mean of each unit's finite ``abs(x)``: float64, shape (units,); NaN where none is."""
    return _per_finite(tally, tally.store.read_magnitudes().abs_sum)


def unit_rms(tally: Tally) -> np.ndarray:
    """Root of the mean of ``abs(x) ** 2``, likewise."""
    return np.asarray(np.sqrt(_per_finite(tally, tally.store.read_magnitudes().square_sum)))


def neuron_mean_abs(tally: Tally) -> np.ndarray:
    """Mean finite ``abs(x)`` of each neuron, over its positions and all probes.

    A neuron is a channel where a channel has several units, otherwise a unit.

    Returns
    -------
    numpy.ndarray of float64, shape (channels,) or (units,)
        NaN where a neuron had no finite response.
    """
    return _per_neuron(tally, tally.store.read_magnitudes().abs_sum)


def neuron_rms(tally: Tally) -> np.ndarray:
    """Root of the mean of ``abs(x) ** 2`` of each neuron, likewise."""
    return np.asarray(np.sqrt(_per_neuron(tally, tally.store.read_magnitudes().square_sum)))


def dormant_neurons(tally: Tally, tau: float) -> np.ndarray:
    """Which neurons are tau-dormant: bool, shape as `neuron_mean_abs`."""
    means, mean = _dormancy(tally)
    dormant: np.ndarray = means <= tau * mean
    return dormant


def dormant_units(tally: Tally, tau: float) -> np.ndarray:
    """Which units are of a dormant neuron: bool, shape (units,)."""
    dormant, axis = dormant_neurons(tally, tau), tally.channel_axis
    if axis is None:
        return dormant
    along = [1] * len(tally.unit_shape)
    along[axis] = len(dormant)
    return np.broadcast_to(dormant.reshape(along), tally.unit_shape).ravel()


def dormant_counts(tally: Tally, taus: Sequence[float]) -> np.ndarray:
    """How many neurons are tau-dormant, at each of several tau.

    A neuron is dormant whose mean ``abs(x)`` over the data is at most tau times the mean of
    that over the neurons of its layer.

    Parameters
    ----------
    tally : Tally
    taus : sequence of float
        Ascending, zero or more.

    Returns
    -------
    numpy.ndarray of int64, shape (len(taus),)

    References
    ----------
    Sokar et al., "The Dormant Neuron Phenomenon in Deep Reinforcement Learning" (2023).
    """
    means, mean = _dormancy(tally)
    # A mean that is NaN sorts above every limit.
    place = np.searchsorted(np.array(taus, np.float64) * mean, means)
    return at_or_below(place, len(taus))


def non_finite(tally: Tally) -> tuple[int, int]:
    """Responses that were NaN, and that were infinite."""
    magnitudes = tally.store.read_magnitudes()
    if magnitudes.nan_count is None or magnitudes.infinite_count is None:
        return 0, 0
    return int(magnitudes.nan_count.sum()), int(magnitudes.infinite_count.sum())


def non_finite_counts(tally: Tally) -> tuple[np.ndarray, np.ndarray]:
    """Responses of each unit that were NaN, and that were infinite: int64, shape (units,)."""
    magnitudes = tally.store.read_magnitudes()
    if magnitudes.nan_count is None or magnitudes.infinite_count is None:
        none = np.zeros(tally.units, np.int64)
        return none, none
    return magnitudes.nan_count, magnitudes.infinite_count


def finite_responses(tally: Tally) -> int | np.ndarray:
    """Finite responses of each unit: int64, shape (units,); one number where all were finite."""
    magnitudes = tally.store.read_magnitudes()
    if magnitudes.nan_count is None or magnitudes.infinite_count is None:
        return tally.entries
    finite: np.ndarray = tally.entries - magnitudes.nan_count - magnitudes.infinite_count
    return finite


def finite_probes(tally: Tally) -> int | np.ndarray:
    """Probes on which each unit was finite, at every position.

    Returns
    -------
    int, or numpy.ndarray of int64, shape (units,)
        One number where all units were so on all probes.
    """
    if tally.store.read_magnitudes().all_finite:
        return tally.probes
    if tally.plan.choice == "channel":  # which has several positions
        return tally.store.read_counts().up_to(tally.columns[-1])
    return finite_responses(tally)


def dead_from(tally: Tally) -> np.ndarray:
    """The column from which on each unit is dead on all its finite probes: shape (units,).

    Beyond all columns where it was never finite.
    """
    highest, never = tally.store.read_magnitudes().highest_bin, len(tally.stops) + 1
    finite = finite_probes(tally)
    if isinstance(finite, int):
        return highest if finite else np.full_like(highest, never)
    return np.where(finite > 0, highest, highest.dtype.type(never))


def last_of_channel(tally: Tally, first: np.ndarray, columns: int) -> np.ndarray | None:
    """The largest of each channel's values, from where on all its units are dead.

    Above all columns for a channel without a unit, which is not dead; None where a channel has one.
    """
    return over_channel(tally, first, partial(np.max, initial=0 if tally.units else columns))


def over_channel(
    tally: Tally, units: np.ndarray, reduce: Callable[..., np.ndarray]
) -> np.ndarray | None:
    """Values of units reduced over each channel: shape (channels,); None where it has one unit."""
    axis = tally.channel_axis
    if axis is None:
        return None
    others = tuple(other for other in range(len(tally.unit_shape)) if other != axis)
    return np.asarray(reduce(units.reshape(tally.unit_shape), axis=others))


def by_channel(units: np.ndarray, axis: int) -> np.ndarray:
    """What is told of units, one row a channel."""
    channels = units.shape[axis]
    return np.moveaxis(units, axis, 0).reshape(channels, units.size // max(channels, 1))


def at_or_below(first: np.ndarray, columns: int) -> np.ndarray:
    """How many begin at a column or before it: int64, shape (columns,)."""
    return np.bincount(first, minlength=columns + 1)[:columns].cumsum()


def locate_counts(tally: Tally, threshold: float) -> Bracket:
    """The columns at which units are counted that bound every unit's count at a threshold.

    They are those of `Stops.locate`, or further apart where units are counted at fewer stops.
    """
    exact, columns = tally.stops.locate(threshold), tally.columns
    lower = columns[bisect.bisect_right(columns, exact.lower) - 1]
    upper = columns[bisect.bisect_left(columns, exact.upper)]
    return Bracket(lower, upper)


def inactive_list(tally: Tally) -> list[int] | None:
    """Inactive units on each probe, in the order of the stream; None where not kept."""
    kept = tally.store.read_inactive()
    return None if kept is None else [count for part in kept for count in part.tolist()]


def _per_finite(tally: Tally, sums: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        means: np.ndarray = sums / finite_responses(tally)
    return means


def _per_neuron(tally: Tally, sums: np.ndarray) -> np.ndarray:
    if tally.channels is None:
        return _per_finite(tally, sums)
    finite: Any = tally.entries * (tally.units // max(tally.channels, 1))
    if not tally.store.read_magnitudes().all_finite:
        nan, infinite = non_finite_counts(tally)
        finite = finite - over_channel(tally, nan + infinite, np.sum)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(over_channel(tally, sums, np.sum) / finite)


def _dormancy(tally: Tally) -> tuple[np.ndarray, float]:
    """The mean of each neuron, and the mean of those means."""
    means = neuron_mean_abs(tally)
    known = means[~np.isnan(means)]
    return means, float(known.mean()) if len(known) else 0.0
