"""The loops of the CPU engine, compiled by numba when first called, and kept on disk."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import numba
import numpy as np

from iua_widget.engines.engine import CHUNK, POSITION_LANES, PROBE_LANES
from iua_widget.engines.marks import PRIVATE_FOLDER

Loop = TypeVar("Loop", bound=Callable[..., Any])

_BLOCK: Final = 4096
"""Units whose responses, on a batch of usual size, stay in the second-level cache."""

_SUM_BLOCK: Final = 1024
"""Units whose sums, two doubles for each of a few lanes, stay near the first-level cache."""

POSITION_BLOCK: Final = 64
"""The same for many lanes."""

_SPILL_BLOCK: Final = 8192
_COUNT_BLOCK: Final = 256
"""Units whose counters stay there while all probes pass."""

NARROW_MOST: Final = 255
"""Probes that a counter of one byte can hold."""

_HALF_MAGNITUDE: Final = np.uint16(0x7FFF)
_HALF_INFINITE: Final = np.uint32(0x7C00)
_SINGLE_INFINITE: Final = np.uint32(0x7F800000)
_HALF_TO_SINGLE: Final = np.float32(2.0**112)
"""What the exponents' biases differ by."""


def compiled(loop: Loop) -> Loop:
    """Compile without the interpreter's lock; from disk where a cache can be written.

    In the loops, arrays are made one by one: those unpacked from a larger one are not known to be
    contiguous, and loops over them are not vectorized.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    try:
        return numba.njit(cache=True, **options)(loop)  # type: ignore[no-any-return]
    except RuntimeError:  # numba has nowhere to keep it, unless this raises it, too
        uncached = numba.njit(**options)(loop)
        folder = private_folder(PRIVATE_FOLDER)
        if folder is None:
            return uncached  # type: ignore[no-any-return]
        numba.config.CACHE_DIR = str(folder)  # type: ignore[attr-defined]
        return numba.njit(cache=True, **options)(loop)  # type: ignore[no-any-return]


def private_folder(name: str) -> Path | None:
    """A folder beside other temporary files that nobody else can write to; None where none can be.

    It outlives the process: what is in it serves later ones.
    """
    user = os.getuid() if hasattr(os, "getuid") else ""
    folder = Path(tempfile.gettempdir()) / f"{name}-{user}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    if user != "" and (found.st_uid != user or found.st_mode & 0o022 or not folder.is_dir()):
        return None  # somebody else has put it there
    return None if folder.is_symlink() else folder


def cache_folder() -> Path | None:
    """Where numba keeps what it has compiled; None where it compiles nothing, or keeps nothing."""
    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        return None
    path = rows.stats.cache_path  # type: ignore[attr-defined]
    return None if path is None else Path(path)


@compiled
def _bin_block(  # noqa: PLR0917  (numba takes no keywords cheaply)
    bits: np.ndarray,
    first: int,
    size: int,
    table: np.ndarray,
    shift: np.unsignedinteger[Any],
    bins: np.ndarray,
    at: int,
    histogram: np.ndarray,
    parts: np.ndarray,
) -> None:
    """Look up the bins of `size` units from `first` on, into `bins` from `at` on."""
    columns = histogram.shape[1]
    word = table.dtype.type  # sums are to wrap, and numba would widen them
    whole = size // 4 * 4
    for probe in range(bits.shape[0]):
        row, out = bits[probe, first : first + size], bins[probe, at : at + size]
        parts[:] = 0
        # Four histograms in turn: most of a row may fall into one bin, and an increment
        # would have to wait for the one before.
        for i in range(0, whole, 4):
            one = word(table[row[i] >> shift] + row[i]) >> shift
            two = word(table[row[i + 1] >> shift] + row[i + 1]) >> shift
            three = word(table[row[i + 2] >> shift] + row[i + 2]) >> shift
            four = word(table[row[i + 3] >> shift] + row[i + 3]) >> shift
            out[i], out[i + 1], out[i + 2], out[i + 3] = one, two, three, four
            parts[0, one] += np.uint32(1)
            parts[1, two] += np.uint32(1)
            parts[2, three] += np.uint32(1)
            parts[3, four] += np.uint32(1)
        for i in range(whole, size):
            one = word(table[row[i] >> shift] + row[i]) >> shift
            out[i] = one
            parts[0, one] += np.uint32(1)
        for k in range(columns):
            histogram[probe, k] += parts[0, k] + parts[1, k] + parts[2, k] + parts[3, k]


@compiled
def copy(source: np.ndarray, target: np.ndarray) -> None:
    """Fill the target; numba takes seconds to compile an assignment of a slice."""
    for i in range(len(target)):
        target[i] = source[i]


@compiled
def _fold_rows(parts: np.ndarray, rows: int, size: int) -> None:
    """Add the second half of the rows to the first until one is left; `rows` is a power of two."""
    half = rows // 2
    while half:
        for row in range(half):
            for i in range(size):
                parts[row, i] += parts[row + half, i]
        half //= 2


@compiled
def chunks_of(entries: int) -> int:
    """How many chunks there are of so many entries: a power of two."""
    chunks = 1
    while chunks * CHUNK < entries:
        chunks *= 2
    return chunks


@compiled
def _add_one(total: np.ndarray, square: np.ndarray, largest: np.ndarray, row: np.ndarray) -> None:
    for i in range(len(row)):
        x = np.float64(abs(row[i]))
        total[i] += x
        square[i] += x * x
        largest[i] = max(largest[i], x)


@compiled
def _add_four(  # noqa: PLR0917
    total: np.ndarray,
    square: np.ndarray,
    largest: np.ndarray,
    one: np.ndarray,
    two: np.ndarray,
    three: np.ndarray,
    four: np.ndarray,
) -> None:
    """The same four times, with a quarter of the loads and stores."""
    for i in range(len(one)):
        w, x = np.float64(abs(one[i])), np.float64(abs(two[i]))
        y, z = np.float64(abs(three[i])), np.float64(abs(four[i]))
        total[i] = (((total[i] + w) + x) + y) + z
        square[i] = (((square[i] + w * w) + x * x) + y * y) + z * z
        largest[i] = max(largest[i], w, x, y, z)


@compiled
def _begin_with_four(  # noqa: PLR0917
    total: np.ndarray,
    square: np.ndarray,
    largest: np.ndarray,
    one: np.ndarray,
    two: np.ndarray,
    three: np.ndarray,
    four: np.ndarray,
) -> None:
    """The same where the sums are zero, which need not be written before."""
    for i in range(len(one)):
        w, x = np.float64(abs(one[i])), np.float64(abs(two[i]))
        y, z = np.float64(abs(three[i])), np.float64(abs(four[i]))
        total[i] = ((w + x) + y) + z
        square[i] = ((w * w + x * x) + y * y) + z * z
        largest[i] = max(largest[i], w, x, y, z)


@compiled
def _sum_lane(  # noqa: PLR0917
    values: np.ndarray,
    start: int,
    stop: int,
    step: int,
    first: int,
    total: np.ndarray,
    square: np.ndarray,
    largest: np.ndarray,
) -> None:
    """Add rows `start`, `start + step`, ... one after the other."""
    end = first + len(total)
    row = start
    if row + 3 * step >= stop:
        total[:] = 0.0
        square[:] = 0.0
    while row + 3 * step < stop:
        one, two = values[row, first:end], values[row + step, first:end]
        three, four = values[row + 2 * step, first:end], values[row + 3 * step, first:end]
        if row == start:
            _begin_with_four(total, square, largest, one, two, three, four)
        else:
            _add_four(total, square, largest, one, two, three, four)
        row += 4 * step
    while row < stop:
        _add_one(total, square, largest, values[row, first:end])
        row += step


@compiled
def fold_into(parts: np.ndarray, rows: int, sums: np.ndarray) -> None:
    """Write what `_fold_rows` leaves; four rows at once."""
    if rows != 4:  # noqa: PLR2004
        _fold_rows(parts, rows, len(sums))
        copy(parts[0], sums)
        return
    one, two, three, four = parts[0], parts[1], parts[2], parts[3]
    for i in range(len(sums)):
        sums[i] = (one[i] + three[i]) + (two[i] + four[i])


@compiled
def _sum_block(  # noqa: PLR0917
    values: np.ndarray,
    first: int,
    size: int,
    total: np.ndarray,
    square: np.ndarray,
    largest: np.ndarray,
    lanes: np.ndarray,
    square_lanes: np.ndarray,
) -> None:
    """Sums and largest over the rows of `size` columns from `first` on.

    The lanes are room to work in. Those that no row goes into are left out: they would add zeros.
    """
    rows = values.shape[0]
    chunks = chunks_of(rows)
    largest[:size] = 0.0
    if chunks == 1:
        _sum_chunk(
            values, 0, rows, first, total[:size], square[:size], largest, lanes, square_lanes
        )
        return
    totals, squares = np.zeros((chunks, size)), np.zeros((chunks, size))
    for chunk in range(chunks):
        start, stop = chunk * CHUNK, min((chunk + 1) * CHUNK, rows)
        if start >= stop:
            break
        sums = totals[chunk], squares[chunk]
        _sum_chunk(values, start, stop, first, *sums, largest, lanes, square_lanes)
    fold_into(totals, chunks, total[:size])
    fold_into(squares, chunks, square[:size])


@compiled
def _sum_chunk(  # noqa: PLR0917
    values: np.ndarray,
    start: int,
    stop: int,
    first: int,
    total: np.ndarray,
    square: np.ndarray,
    largest: np.ndarray,
    lanes: np.ndarray,
    square_lanes: np.ndarray,
) -> None:
    size, step = len(total), lanes.shape[0]
    used = 1
    while used < min(step, stop - start):
        used *= 2
    for lane in range(used):
        sums, square_sums = lanes[lane, :size], square_lanes[lane, :size]
        _sum_lane(values, start + lane, stop, step, first, sums, square_sums, largest[:size])
    fold_into(lanes, used, total)
    fold_into(square_lanes, used, square)


@compiled
def bins_of(  # noqa: PLR0917
    bits: np.ndarray,
    table: np.ndarray,
    shift: np.unsignedinteger[Any],
    bins: np.ndarray,
    histogram: np.ndarray,
    start: int,
    stop: int,
) -> None:
    """Look the bin of every magnitude up, and count each probe's.

    One addition finds it: see ``docs/bins.md``.

    Parameters
    ----------
    bits : numpy.ndarray of unsigned integers, shape (probes, units)
        The responses' own bits.
    table : numpy.ndarray of the same dtype, shape (cells,)
    shift : unsigned integer
        Lower bits.
    bins : numpy.ndarray of uint8 or uint16, shape (probes, units)
        Written.
    histogram : numpy.ndarray of int64, shape (probes, bins)
        Added to.
    start, stop : int
        The units to work on.
    """
    parts = np.zeros((4, histogram.shape[1]), np.uint32)
    for first in range(start, stop, _BLOCK):
        size = min(_BLOCK, stop - first)
        _bin_block(bits, first, size, table, shift, bins, first, histogram, parts)


@compiled
def rows(  # noqa: PLR0917
    values: np.ndarray,
    bits: np.ndarray,
    table: np.ndarray,
    shift: np.unsignedinteger[Any],
    bins: np.ndarray,
    histogram: np.ndarray,
    abs_sum: np.ndarray,
    square_sum: np.ndarray,
    abs_max: np.ndarray,
    start: int,
    stop: int,
) -> None:
    """What `bins_of` does, and each unit's sums, while the responses are in the cache.

    Parameters
    ----------
    values : numpy.ndarray of float32 or float64, shape (probes, units)
        `bits` are its bits; the others as in `bins_of`.
    abs_sum, square_sum, abs_max : numpy.ndarray of float64, shape (units,)
        Written: sum of ``abs(x)`` and of its square, and the largest. The sums are not finite where
        a response is not; the largest then leaves NaN out.
    """
    parts = np.zeros((4, histogram.shape[1]), np.uint32)
    lanes = np.empty((PROBE_LANES, _SUM_BLOCK))
    square_lanes = np.empty_like(lanes)
    for first in range(start, stop, _BLOCK):
        size = min(_BLOCK, stop - first)
        for at in range(first, first + size, _SUM_BLOCK):
            units = min(_SUM_BLOCK, first + size - at)
            written = abs_sum[at:], square_sum[at:], abs_max[at:]
            _sum_block(values, at, units, *written, lanes, square_lanes)
        _bin_block(bits, first, size, table, shift, bins, first, histogram, parts)


@compiled
def half_rows(  # noqa: PLR0917
    bits: np.ndarray,
    table: np.ndarray,
    shift: np.unsignedinteger[Any],
    bins: np.ndarray,
    histogram: np.ndarray,
    abs_sum: np.ndarray,
    square_sum: np.ndarray,
    abs_max: np.ndarray,
    start: int,
    stop: int,
) -> None:
    """What `rows` does, for the bits of float16: made float32 a block at a time."""
    parts = np.zeros((4, histogram.shape[1]), np.uint32)
    wide = np.empty((bits.shape[0], _BLOCK), np.float32)
    wide_bits = wide.view(np.uint32)
    lanes = np.empty((PROBE_LANES, _SUM_BLOCK))
    square_lanes = np.empty_like(lanes)
    for first in range(start, stop, _BLOCK):
        size = min(_BLOCK, stop - first)
        for probe in range(bits.shape[0]):
            _widen(bits[probe, first : first + size], wide[probe], wide_bits[probe])
        for at in range(0, size, _SUM_BLOCK):
            units, to = min(_SUM_BLOCK, size - at), first + at
            written = abs_sum[to:], square_sum[to:], abs_max[to:]
            _sum_block(wide, at, units, *written, lanes, square_lanes)
        _bin_block(wide_bits, 0, size, table, shift, bins, first, histogram, parts)


@compiled
def widened(bits: np.ndarray, wide: np.ndarray, start: int, stop: int) -> None:
    """The magnitudes of float16 as float32.

    Parameters
    ----------
    bits : numpy.ndarray of uint16, shape (n,)
    wide : numpy.ndarray of float32, shape (n,)
        Written.
    start, stop : int
        The entries to work on.
    """
    _widen(bits[start:stop], wide[start:stop], wide.view(np.uint32)[start:stop])


@compiled
def _widen(half: np.ndarray, wide: np.ndarray, wide_bits: np.ndarray) -> None:
    for i in range(len(half)):
        wide_bits[i] = np.uint32(half[i] & _HALF_MAGNITUDE) << np.uint32(13)
    for i in range(len(half)):
        wide[i] *= _HALF_TO_SINGLE  # exact, subnormals included
    for i in range(len(half)):
        magnitude = np.uint32(half[i] & _HALF_MAGNITUDE)
        wide_bits[i] |= _SINGLE_INFINITE if magnitude >= _HALF_INFINITE else np.uint32(0)


@compiled
def _fold(parts: np.ndarray, count: int) -> float:
    half = count // 2
    while half:
        for i in range(half):
            parts[i] += parts[i + half]
        half //= 2
    return parts[0]  # type: ignore[no-any-return]


@compiled
def _sum_map(  # noqa: PLR0917
    row: np.ndarray,
    lanes: np.ndarray,
    square_lanes: np.ndarray,
    most: np.ndarray,
    chunk_sums: np.ndarray,
    chunk_squares: np.ndarray,
) -> None:
    """The sums of every chunk of a map, and the largest magnitude of each lane."""
    for i in range(POSITION_LANES):
        most[i] = 0
    for chunk in range(len(chunk_sums)):
        first, last = chunk * CHUNK, min((chunk + 1) * CHUNK, len(row))
        chunk_sums[chunk] = chunk_squares[chunk] = 0.0
        if first >= last:
            continue
        for i in range(POSITION_LANES):
            lanes[i] = square_lanes[i] = 0.0
        whole = first + (last - first) // POSITION_LANES * POSITION_LANES
        for at in range(first, whole, POSITION_LANES):
            part = row[at : at + POSITION_LANES]
            for i in range(POSITION_LANES):  # of known length: the sums stay in registers
                magnitude = abs(part[i])
                x = np.float64(magnitude)
                lanes[i] += x
                square_lanes[i] += x * x
                most[i] = max(most[i], magnitude)
        part = row[whole:last]
        for i in range(len(part)):
            magnitude = abs(part[i])
            x = np.float64(magnitude)
            lanes[i] += x
            square_lanes[i] += x * x
            most[i] = max(most[i], magnitude)
        chunk_sums[chunk] = _fold(lanes, POSITION_LANES)
        chunk_squares[chunk] = _fold(square_lanes, POSITION_LANES)


@compiled
def _most(parts: np.ndarray) -> float:
    half = POSITION_LANES // 2
    for i in range(half):
        parts[i] = max(parts[i], parts[i + half])
    most = parts[0]
    for i in range(1, half):
        most = max(most, parts[i])
    return most  # type: ignore[no-any-return]


@compiled
def maps(  # noqa: PLR0917
    values: np.ndarray,
    largest: np.ndarray,
    abs_sum: np.ndarray,
    square_sum: np.ndarray,
    start: int,
    stop: int,
) -> None:
    """Sums of units with several positions that lie side by side, and each probe's largest.

    Parameters
    ----------
    values : numpy.ndarray of float32 or float64, shape (probes, units, positions)
        C-contiguous.
    largest : numpy.ndarray of the same dtype, shape (probes, units)
        Written: the largest ``abs(x)`` of each probe's positions, leaving NaN out.
    abs_sum, square_sum : numpy.ndarray of float64, shape (units,)
        Written; not finite where a response is not.
    """
    probes, _, positions = values.shape
    chunks = chunks_of(positions)
    lanes, square_lanes = np.empty(POSITION_LANES), np.empty(POSITION_LANES)
    most = np.empty(POSITION_LANES, values.dtype)
    chunk_sums, chunk_squares = np.empty(chunks), np.empty(chunks)
    room = room_for_maps(probes)
    for first in range(start, stop, POSITION_BLOCK):
        size = min(POSITION_BLOCK, stop - first)
        for probe in range(probes):
            for i in range(size):
                row = values[probe, first + i]
                _sum_map(row, lanes, square_lanes, most, chunk_sums, chunk_squares)
                largest[probe, first + i] = _most(most)
                keep_map(chunk_sums, chunk_squares, room, probe, i, size)
        sum_maps(room, abs_sum[first : first + size], square_sum[first : first + size])


@compiled
def room_for_maps(probes: int) -> np.ndarray:
    """Sums of maps by probe: of a block of units, then those of their squares."""
    return np.empty((probes, 2 * POSITION_BLOCK))


@compiled
def keep_map(  # noqa: PLR0917
    chunk_sums: np.ndarray,
    chunk_squares: np.ndarray,
    room: np.ndarray,
    probe: int,
    unit: int,
    units: int,
) -> None:
    """Fold the sums of a map's chunks, for one of so many units of a block."""
    room[probe, unit] = _fold(chunk_sums, len(chunk_sums))
    room[probe, units + unit] = _fold(chunk_squares, len(chunk_squares))


@compiled
def sum_maps(room: np.ndarray, abs_sum: np.ndarray, square_sum: np.ndarray) -> None:
    """Sum what is in the room over the probes, for as many units as `abs_sum` has."""
    size = len(abs_sum)
    both, unused, most_unused = np.empty(2 * size), np.empty(2 * size), np.empty(2 * size)
    few, few_unused = np.empty((PROBE_LANES, 2 * size)), np.empty((PROBE_LANES, 2 * size))
    _sum_block(room, 0, 2 * size, both, unused, most_unused, few, few_unused)
    copy(both, abs_sum)
    copy(both[size:], square_sum)


@compiled
def maps_channels_last(  # noqa: PLR0917
    values: np.ndarray,
    largest: np.ndarray,
    abs_sum: np.ndarray,
    square_sum: np.ndarray,
    start: int,
    stop: int,
) -> None:
    """What `maps` does where the units of a position lie side by side.

    Parameters
    ----------
    values : numpy.ndarray of float32 or float64, shape (probes, positions, units)
        C-contiguous.
    largest, abs_sum, square_sum
        As in `maps`.
    """
    probes = values.shape[0]
    room = room_for_maps(probes)
    most = np.empty(POSITION_BLOCK)
    lanes = np.empty((POSITION_LANES, POSITION_BLOCK))
    square_lanes = np.empty_like(lanes)
    for first in range(start, stop, POSITION_BLOCK):
        size = min(POSITION_BLOCK, stop - first)
        for probe in range(probes):
            sums, squares = room[probe, :size], room[probe, size:]
            _sum_block(values[probe], first, size, sums, squares, most, lanes, square_lanes)
            copy(most, largest[probe, first : first + size])
        sum_maps(room, abs_sum[first : first + size], square_sum[first : first + size])


@compiled
def count_bins(bins: np.ndarray, counts: np.ndarray, start: int, stop: int) -> None:
    """Add one to ``counts[unit, bin]`` for every response of units `start` to `stop`.

    Parameters
    ----------
    bins : numpy.ndarray of uint8 or uint16, shape (probes, units)
    counts : numpy.ndarray of unsigned integers, shape (units, columns)
        C-contiguous. Bins that have no column are left out.
    """
    columns = counts.shape[1]
    flat = counts.reshape(-1)
    for first in range(start, stop, _COUNT_BLOCK):
        last = min(first + _COUNT_BLOCK, stop)
        block = flat[first * columns : last * columns]
        _count_block(bins, 0, bins.shape[0], first, last, block, columns)


@compiled
def count_bins_wide(bins: np.ndarray, counts: np.ndarray, start: int, stop: int) -> None:
    """What `count_bins` does, for many probes: in bytes first, which stay in the cache."""
    columns = counts.shape[1]
    flat = counts.reshape(-1)
    narrow = np.zeros(_COUNT_BLOCK * columns, np.uint8)
    for first in range(start, stop, _COUNT_BLOCK):
        last = min(first + _COUNT_BLOCK, stop)
        wide = flat[first * columns : last * columns]
        for probe in range(0, bins.shape[0], NARROW_MOST):
            end = min(probe + NARROW_MOST, bins.shape[0])
            _count_block(bins, probe, end, first, last, narrow, columns)
            spill(narrow, wide, len(wide))


@compiled
def _count_block(  # noqa: PLR0917
    bins: np.ndarray,
    probe: int,
    end: int,
    first: int,
    last: int,
    flat: np.ndarray,
    columns: int,
) -> None:
    """Count probes `probe` to `end` of units `first` to `last`, whose counters `flat` is."""
    step = np.uint64(columns)
    for each in range(probe, end):
        row = bins[each, first:last]
        at = np.uint64(0)  # unsigned: no test for a negative index
        for i in range(len(row)):
            column = np.uint64(row[i])
            if column < step:
                flat[at + column] += 1
            at += step


@compiled
def spill(narrow: np.ndarray, wide: np.ndarray, size: int) -> None:
    """Add the first so many of narrow counters, of shape (n,), to wide ones, and clear them."""
    for first in range(0, size, _SPILL_BLOCK):  # a slice: loops over one are vectorized
        last = min(first + _SPILL_BLOCK, size)
        held, into = narrow[first:last], wide[first:last]
        for i in range(len(held)):
            into[i] += held[i]
        held[:] = 0


@compiled
def add_sums(onto: np.ndarray, into: np.ndarray, start: int, stop: int) -> None:
    """Add to the sums of units `start` to `stop` what they were, and take the larger largest.

    Parameters
    ----------
    onto, into : numpy.ndarray of float64, shape (3, units)
        ``abs_sum``, ``square_sum`` and ``abs_max``; a largest that is NaN is left as it is.
    start, stop : int
    """
    for row in range(2):
        before, now = onto[row, start:stop], into[row, start:stop]
        for i in range(len(now)):
            now[i] += before[i]
    before, now = onto[2, start:stop], into[2, start:stop]
    for i in range(len(now)):
        now[i] = before[i] if before[i] > now[i] else now[i]  # noqa: FURB136  (NaN stays)
