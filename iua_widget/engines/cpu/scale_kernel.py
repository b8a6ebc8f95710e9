"""The loop behind curves over rtol where every unit has a threshold of its own, compiled."""

from __future__ import annotations

import numpy as np

from iua_widget.engines.cpu.kernels import compiled


@compiled
def bounds_over_rtol(  # noqa: PLR0917  (numba takes no keywords cheaply)
    counts: np.ndarray,
    stops: np.ndarray,
    scales: np.ndarray,
    atol: float,
    rtols: np.ndarray,
    surely_from: np.ndarray,
    perhaps_from: np.ndarray,
    needed: np.ndarray,
    active_when_finite: np.ndarray,
    sums: np.ndarray,
    first: np.ndarray,
) -> None:
    """Walk each unit's bins and the stops of rtol together; both ascend.

    What it gives is `iua_widget.reading.thresholds.unit_bounds` at every one of `rtols`, summed.

    Parameters
    ----------
    counts : numpy.ndarray of unsigned integers, shape (units, held columns)
    stops : numpy.ndarray of float64, shape (held columns - 1,)
    scales : numpy.ndarray of float64, shape (units,)
    atol : float
    rtols : numpy.ndarray of float64, shape (R,)
    surely_from, perhaps_from : numpy.ndarray of int16, shape (units,)
        From which stop of rtol on no finite response exceeds the threshold.
    needed : numpy.ndarray of int64, shape (units,)
        Probes on which the unit is inactive if it is dead.
    active_when_finite : numpy.ndarray of bool, shape (units,)
        See `iua_widget.reading.thresholds.active_when_finite`.
    sums : numpy.ndarray of int64, shape (2, R)
        Added to: the bounds below and above, summed over the units.
    first : numpy.ndarray of int16, shape (2, units)
        Written: from which stop of rtol on the unit is dead, by either bound.
    """
    largest = np.finfo(np.float64).max
    for unit in range(len(scales)):
        row = counts[unit]
        total = np.int64(0)
        for column in range(len(row)):
            total += np.int64(row[column])
        column, reached = 0, np.int64(row[0])
        dead = dead_upper = len(rtols)
        for place in range(len(rtols)):
            threshold = min(atol + rtols[place] * scales[unit], largest)
            while column + 1 < len(stops) and stops[column + 1] <= threshold:
                column += 1
                reached += np.int64(row[column])
            lower = upper = reached
            if stops[column] != threshold:
                upper += np.int64(row[column + 1])
            if place >= surely_from[unit]:
                lower = upper = total
            elif place < perhaps_from[unit] and active_when_finite[unit]:
                upper = min(upper, total - 1)
            sums[0, place] += lower
            sums[1, place] += upper
            if lower >= needed[unit]:
                dead = min(dead, place)
            if upper >= needed[unit]:
                dead_upper = min(dead_upper, place)
        first[0, unit] = dead
        first[1, unit] = dead_upper
