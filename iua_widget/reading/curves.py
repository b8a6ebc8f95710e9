"""Curves of one layer's inactive and dead units over a tolerance, for the sliders of the page."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from iua_widget.reading.dead_rule import DeadRule, dead_from_bounds
from iua_widget.reading.statistics import at_or_below, last_of_channel
from iua_widget.reading.thresholds import (
    active_when_finite,
    all_inactive,
    bounds_at,
    counted_stops,
    scale_values,
    thresholds_at,
)
from iua_widget.tally.tally import Tally
from iua_widget.tolerances import Tolerances

_WORTH_COMPILING: Final = 2**21
"""Positions of units on the slider, from which on numba is worth loading."""
_BLOCK_UNITS: Final = 2**14
_BLOCK_VALUES: Final = 2**18


@dataclass(frozen=True, slots=True)
class DeadCurves:
    """Dead units and channels at every column of a tally: int64, shape (K + 1,).

    Attributes
    ----------
    units, units_upper : numpy.ndarray
        They differ only where units are counted at fewer stops.
    channels, channels_upper : numpy.ndarray, or None
        None where a channel is one unit.
    first : numpy.ndarray of an integer dtype, shape (units,)
        The column from which on each unit is surely dead; beyond all columns where it was never
        finite.
    counted : tuple of int, or None
        The only columns that can be in `first`: where a unit is not surely dead yet, it may be from
        the column that follows the one before. None where every column can.
    """

    units: np.ndarray
    units_upper: np.ndarray
    channels: np.ndarray | None
    channels_upper: np.ndarray | None
    first: np.ndarray
    counted: tuple[int, ...] | None


def dead_curves(tally: Tally, tolerances: Tolerances) -> DeadCurves:
    """Dead units at every stop, for the `dead_at` of the tolerances."""
    surely, perhaps = dead_from_bounds(tally, tolerances)
    columns = len(tally.stops) + 1
    units, units_upper = (at_or_below(where, columns) for where in (surely, perhaps))
    channels, channels_upper = (
        None if by_channel is None else at_or_below(by_channel, columns)
        for by_channel in (last_of_channel(tally, where, columns) for where in (surely, perhaps))
    )
    counted = None if perhaps is surely else tally.columns
    return DeadCurves(units, units_upper, channels, channels_upper, surely, counted)


@dataclass(frozen=True, slots=True)
class RtolCurves:
    """Bounds at every stop of rtol, where units have thresholds of their own.

    Attributes
    ----------
    mean : numpy.ndarray of float64, shape (2, R)
        Lower and upper bound on the mean number of inactive units on one probe.
    dead : numpy.ndarray of int64, shape (2, R)
        On dead units.
    channels : numpy.ndarray of int64, shape (2, R), or None
        On channels of which every unit is dead.
    first : numpy.ndarray of int16, shape (2, units)
        The stop from which on each unit is dead: surely, and perhaps; R where it is at none.
    """

    mean: np.ndarray
    dead: np.ndarray
    channels: np.ndarray | None
    first: np.ndarray


def rtol_curves(tally: Tally, tolerances: Tolerances, rtols: Sequence[float]) -> RtolCurves:
    """A layer's curves over rtol, `atol` and the scale being those of the tolerances."""
    needed = np.broadcast_to(DeadRule.of(tally, tolerances).needed, tally.units)
    loaded = "iua_widget.engines.cpu.scale_kernel" in sys.modules
    worth_it = loaded or tally.units * len(rtols) >= _WORTH_COMPILING
    found = _curves_compiled(tally, tolerances, rtols, needed) if worth_it else None
    sums, first = found or _curves_by_numpy(tally, tolerances, rtols, needed)
    channels = [last_of_channel(tally, where, len(rtols)) for where in first]
    return RtolCurves(
        sums / (tally.probes or np.nan),
        np.stack([at_or_below(where, len(rtols)) for where in first]),
        None
        if any(by_channel is None for by_channel in channels)
        else np.stack([at_or_below(where, len(rtols)) for where in channels if where is not None]),
        first,
    )


def _curves_by_numpy(
    tally: Tally, tolerances: Tolerances, rtols: Sequence[float], needed: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    sums = np.zeros((2, len(rtols)), np.int64)
    first = np.empty((2, tally.units), np.int16)
    scales, counts = scale_values(tally, tolerances.scale), tally.store.read_counts().counts
    largest = tally.store.read_magnitudes().abs_max
    stops, active = counted_stops(tally), active_when_finite(tally)
    column = np.array(rtols, np.float64)[:, None]
    step = max(1, _BLOCK_VALUES // len(rtols))
    for start in range(0, tally.units, step):
        block = slice(start, start + step)
        totals = counts[block].cumsum(axis=1, dtype=np.int64)
        thresholds = thresholds_at(scales[block], tolerances.atol, column)
        bounds = bounds_at(
            thresholds, totals, stops, largest[block], tally.dtypes, active=active[block]
        )
        for side, inactive in enumerate(bounds):
            sums[side] += inactive.sum(axis=1)
            first[side, block] = (inactive < needed[block]).sum(axis=0)
    return sums, first


def _inactive_from(
    tally: Tally, tolerances: Tolerances, rtols: Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
    """From which stop on no response of a unit exceeds its threshold: surely, and perhaps."""
    scales = scale_values(tally, tolerances.scale)
    abs_max = tally.store.read_magnitudes().abs_max
    largest = np.finfo(np.float64).max
    beyond = np.array([*rtols, np.inf])
    first = np.empty((2, tally.units), np.int16)
    for start in range(0, tally.units, _BLOCK_UNITS):
        block = slice(start, start + _BLOCK_UNITS)
        for side in range(2):
            low = np.zeros(len(scales[block]), np.int64)
            high = np.full_like(low, len(rtols))
            for _ in range(len(rtols).bit_length()):
                middle = (low + high) // 2
                with np.errstate(over="ignore", invalid="ignore"):
                    thresholds = tolerances.atol + beyond[middle] * scales[block]
                thresholds = np.minimum(np.nan_to_num(thresholds, nan=largest), largest)
                inactive = all_inactive(abs_max[block], thresholds, tally.dtypes)[side]
                high = np.where(inactive, middle, high)
                low = np.where(inactive | (low == high), low, middle + 1)
            first[side, block] = low
            if len(tally.dtypes) == 1:  # then both are the same
                first[1, block] = low
                break
    return first[0], first[1]


def _curves_compiled(
    tally: Tally, tolerances: Tolerances, rtols: Sequence[float], needed: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """What `_curves_by_numpy` gives; None where numba has not compiled it, is missing, or fails."""
    sums = np.zeros((2, len(rtols)), np.int64)
    first = np.empty((2, tally.units), np.int16)
    try:
        from iua_widget.engines.compiling import loop_compiler
        from iua_widget.engines.cpu.scale_kernel import bounds_over_rtol
        from iua_widget.engines.needs import BoundingOverRtol

        counts, compiler = tally.store.read_counts().counts, loop_compiler()
        if compiler is None or not compiler.has([BoundingOverRtol(str(counts.dtype))]):
            return None
        bounds_over_rtol(
            counts,
            counted_stops(tally),
            scale_values(tally, tolerances.scale),
            tolerances.atol,
            np.array(rtols, np.float64),
            *_inactive_from(tally, tolerances, rtols),
            np.ascontiguousarray(needed, np.int64),
            active_when_finite(tally),
            sums,
            first,
        )
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001  (a compiler's: it can be any)
        return None
    return sums, first
