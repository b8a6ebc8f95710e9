"""The loops of the CPU engine, compiled by numba when first called, and kept on disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import numba
import numpy as np

from iua_widget.counting.engine import LANES

Loop = TypeVar("Loop", bound=Callable[..., None])

_SUM_BLOCK: Final = 1024
"""Units whose sums, two doubles and a maximum each, stay in the first-level cache."""

_COUNT_BLOCK: Final = 256
"""Units whose counters stay there while all probes pass."""


def _compiled(loop: Loop) -> Loop:
    """Compile without the interpreter's lock; from disk where a cache can be written."""
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    try:
        return numba.njit(cache=True, **options)(loop)  # type: ignore[no-any-return]
    except RuntimeError:  # nowhere to keep it
        return numba.njit(**options)(loop)  # type: ignore[no-any-return]


@_compiled
def carry_bins(  # noqa: PLR0917  (numba takes no keywords cheaply)
    bits: np.ndarray,
    magnitude: np.unsignedinteger[Any],
    table: np.ndarray,
    shift: np.unsignedinteger[Any],
    bins: np.ndarray,
    histogram: np.ndarray,
    start: int,
    stop: int,
) -> None:
    """Look the bin of every magnitude up, and count each probe's.

    The upper bits of a magnitude choose a cell of `table`, which holds in its own upper bits the
    first bin of the cell, and in its lower bits what the lower bits of a stop in that cell lack to
    the next carry: so one addition takes a magnitude above the stop into the next bin.

    Parameters
    ----------
    bits : numpy.ndarray of unsigned integers, shape (probes, units)
        The responses' own bits.
    magnitude : unsigned integer
        All bits but the sign.
    table : numpy.ndarray of unsigned integers, shape (cells,)
    shift : unsigned integer
        Lower bits.
    bins : numpy.ndarray of uint8 or uint16, shape (probes, units)
        Written.
    histogram : numpy.ndarray of int64, shape (probes, bins)
        Added to.
    start, stop : int
        The units to work on.
    """
    columns = histogram.shape[1]
    low = (np.uint64(1) << np.uint64(shift)) - np.uint64(1)
    parts = np.zeros((4, columns), np.uint32)
    for first in range(start, stop, _SUM_BLOCK):
        size = min(_SUM_BLOCK, stop - first)
        whole = size // 4 * 4
        for probe in range(bits.shape[0]):
            row, out = bits[probe, first : first + size], bins[probe, first : first + size]
            parts[:] = 0
            # Four histograms in turn: most of a row may fall into one bin, and an increment
            # would have to wait for the one before.
            for i in range(0, whole, 4):
                one, two = row[i] & magnitude, row[i + 1] & magnitude
                three, four = row[i + 2] & magnitude, row[i + 3] & magnitude
                at_one = (table[one >> shift] + (one & low)) >> shift
                at_two = (table[two >> shift] + (two & low)) >> shift
                at_three = (table[three >> shift] + (three & low)) >> shift
                at_four = (table[four >> shift] + (four & low)) >> shift
                out[i], out[i + 1], out[i + 2], out[i + 3] = at_one, at_two, at_three, at_four
                parts[0, at_one] += np.uint32(1)
                parts[1, at_two] += np.uint32(1)
                parts[2, at_three] += np.uint32(1)
                parts[3, at_four] += np.uint32(1)
            for i in range(whole, size):
                one = row[i] & magnitude
                at_one = (table[one >> shift] + (one & low)) >> shift
                out[i] = at_one
                parts[0, at_one] += np.uint32(1)
            for k in range(columns):
                histogram[probe, k] += parts[0, k] + parts[1, k] + parts[2, k] + parts[3, k]


@_compiled
def sums(  # noqa: PLR0917  (numba takes no keywords cheaply)
    values: np.ndarray,
    abs_sum: np.ndarray,
    square_sum: np.ndarray,
    abs_max: np.ndarray,
    start: int,
    stop: int,
) -> None:
    """Sum ``abs(x)`` and its square, and find the largest, for units `start` to `stop`.

    Parameters
    ----------
    values : numpy.ndarray of float32 or float64, shape (probes, units)
        Row after row, so that every unit's sum is in the order of the probes.
    abs_sum, square_sum, abs_max : numpy.ndarray of float64, shape (units,)
        Written; NaN or infinite where a response is.
    """
    total, squares = np.empty(_SUM_BLOCK), np.empty(_SUM_BLOCK)
    largest = np.empty(_SUM_BLOCK, values.dtype)
    for first in range(start, stop, _SUM_BLOCK):
        size = min(_SUM_BLOCK, stop - first)
        total[:] = 0.0
        squares[:] = 0.0
        largest[:] = 0
        for probe in range(values.shape[0]):
            row = values[probe, first : first + size]
            for i in range(size):
                x = np.float64(abs(row[i]))
                total[i] += x
                squares[i] += x * x
            for i in range(size):
                x = abs(row[i])
                largest[i] = max(largest[i], x)
        abs_sum[first : first + size] = total[:size]
        square_sum[first : first + size] = squares[:size]
        abs_max[first : first + size] = largest[:size]


@_compiled
def position_sums(  # noqa: PLR0917  (numba takes no keywords cheaply)
    values: np.ndarray,
    largest: np.ndarray,
    abs_sum: np.ndarray,
    square_sum: np.ndarray,
    start: int,
    stop: int,
) -> None:
    """As `sums` where every unit has several positions, and each probe's largest of these.

    Parameters
    ----------
    values : numpy.ndarray of float32 or float64, shape (probes, units, positions)
        Fastest where it is C-contiguous.
    largest : numpy.ndarray of the same dtype, shape (probes, units)
        Written: the largest ``abs(x)`` of each probe's positions, leaving NaN out.
    abs_sum, square_sum : numpy.ndarray of float64, shape (units,)
        Written; not finite where a response is not. Position ``s`` goes into lane ``s % LANES``.
    """
    probes, _, positions = values.shape
    whole = positions // LANES * LANES
    total, squares = np.empty(LANES), np.empty(LANES)
    most = np.empty(LANES, values.dtype)
    for unit in range(start, stop):
        total[:] = 0.0
        squares[:] = 0.0
        for probe in range(probes):
            most[:] = 0
            row = values[probe, unit]
            for first in range(0, whole, LANES):
                for lane in range(LANES):
                    x = abs(row[first + lane])
                    most[lane] = max(most[lane], x)
                    wide = np.float64(x)
                    total[lane] += wide
                    squares[lane] += wide * wide
            for lane in range(positions - whole):
                x = abs(row[whole + lane])
                most[lane] = max(most[lane], x)
                wide = np.float64(x)
                total[lane] += wide
                squares[lane] += wide * wide
            largest[probe, unit] = most.max()
        # In pairs, as `reference.fold_lanes`.
        half = LANES // 2
        while half:
            for lane in range(half):
                total[lane] += total[lane + half]
                squares[lane] += squares[lane + half]
            half //= 2
        abs_sum[unit] = total[0]
        square_sum[unit] = squares[0]


@_compiled
def count_bins(bins: np.ndarray, counts: np.ndarray, start: int, stop: int) -> None:
    """Add one to ``counts[unit, bin]`` for every response of units `start` to `stop`.

    Parameters
    ----------
    bins : numpy.ndarray of uint8 or uint16, shape (probes, units)
    counts : numpy.ndarray of unsigned integers, shape (units, columns)
        Bins that have no column are left out.
    """
    columns = np.uint64(counts.shape[1])
    for first in range(start, stop, _COUNT_BLOCK):
        last = min(first + _COUNT_BLOCK, stop)
        for probe in range(bins.shape[0]):
            row = bins[probe]
            for unit in range(first, last):
                column = np.uint64(row[unit])
                if column < columns:
                    counts[np.uint64(unit), column] += 1  # unsigned: no test for a negative index
