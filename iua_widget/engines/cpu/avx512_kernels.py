"""Loops over float32 that look bins up and count them in vectors: see `avx512`.

Counters are held as bit planes: see ``docs/bins.md``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numba
import numpy as np
from numba import carray  # type: ignore[attr-defined]

from iua_widget.engines.cpu import avx512, kernels
from iua_widget.engines.cpu.avx512 import WIDTH
from iua_widget.engines.cpu.kernels import Loop
from iua_widget.engines.engine import CHUNK, POSITION_LANES, PROBE_LANES

FEWEST_PROBES: Final = 32
FEWEST_UNITS: Final = 2048
"""Below, planes cost more than they save: the probes for `count_bins`, the units for `rows`."""

FEWEST_COLUMNS: Final = 8
"""Counters that are added to at once."""

MOST_PROBES: Final = kernels.NARROW_MOST
"""Above, counters of eight planes could wrap."""

_STEP: Final = 16
"""Vectors that are added to the planes at once."""

BINS_AT_ONCE: Final = 8

_TABLE_BINS: Final = 56
"""Bins of one table of indices: 0 and those from 57 on stand for none of them."""


def _hot_tables() -> np.ndarray:
    tables = np.zeros((_TABLE_BINS // BINS_AT_ONCE, WIDTH), np.uint8)
    for bin_ in range(_TABLE_BINS):
        tables[bin_ // BINS_AT_ONCE, 1 + bin_] = 1 << bin_ % BINS_AT_ONCE
    return tables.reshape(-1)


_HOT: Final = _hot_tables()
"""For `avx512.hot`: each table has a bit for each of eight indices, 1 to 56 in all."""

_EIGHTS: Final = np.array(
    [
        0,
        *(1 << bin_ // BINS_AT_ONCE for bin_ in range(_TABLE_BINS)),
        *[0] * (WIDTH - 1 - _TABLE_BINS),
    ],
    np.uint8,
)
"""For `avx512.hot`: a bit for each eight bins of a table, by which is told whether any occurs."""

_ALL_EIGHTS: Final = 0xFF

MOST_COLUMNS: Final = 4 * _TABLE_BINS
"""Above, a bin could not be told from none."""

_FEWEST_AT_ONCE: Final = _STEP * WIDTH
_MOST_AT_ONCE: Final = 8 * _FEWEST_AT_ONCE
_TURNS: Final = 8
"""Units that a thread takes at once: their bins and sums are to stay in the cache, and no thread is
to be left without any."""

_TO_TAKE: Final = [(name, np.int64) for name in ("end", "at_once", "probes", "units", "first")]

ROWS: Final = np.dtype(
    [*_TO_TAKE, *((name, np.int64) for name in ("bits", "bins", "highest", "onto", "into"))]
)
"""A layer for `rows`: its `turns`; the first of its rows in the histogram; and where there begin in
memory, C-contiguous,

- ``bits``: uint32, shape (probes, units), those of float32;
- ``bins``: uint8, likewise, written;
- ``highest``: uint8, shape (units,), the highest bin of each unit, written;
- ``onto``, ``into``: float64, shape (3, units), see `RunningSums`; `onto` may be 0."""

COUNTED: Final = np.dtype([*_TO_TAKE, ("counts", np.int64)])
"""A layer for `count_bins`: its `turns`; the first of its `places`; and where its counters begin in
memory, C-contiguous, shape (units, columns)."""

_ROW_UNITS: Final = 8 * _FEWEST_AT_ONCE
"""Units of one probe that are counted at once: below `MOST_PROBES` vectors, whose counters could
wrap, and few enough for the nearest cache."""

_BLOCK: Final = 1024
_COUNT_BLOCK: Final = 128


def _inlined(loop: Loop) -> Loop:
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "forceinline": True}
    return numba.njit(**options)(loop)  # type: ignore[no-any-return]


@_inlined
def _aligned(size: int) -> np.ndarray:
    """Bytes that begin where a vector may be read at once."""
    room = np.empty(size + WIDTH, np.uint8)
    first = -room.ctypes.data & (WIDTH - 1)
    return room[first : first + size]


def turns(units: Sequence[int]) -> list[tuple[int, int]]:
    """How many units of each layer a thread takes at once.

    Parameters
    ----------
    units : sequence of int
        Those of each layer, one or more.

    Returns
    -------
    list of (int, int)
        ``end`` and ``at_once`` of `ROWS` and `COUNTED`: turns are counted on from one layer to the
        next, up to the last one's end.

    Examples
    --------
    >>> turns([40_000, 3_000])
    [(7, 6144), (8, 3072)]
    """
    most = min(max(sum(units) // _TURNS, _FEWEST_AT_ONCE), _MOST_AT_ONCE)
    found, end = [], 0
    for size in units:
        at_once = -(-size // (max(size // most, 1) * _FEWEST_AT_ONCE)) * _FEWEST_AT_ONCE
        end += -(-size // at_once)
        found.append((end, at_once))
    return found


@_inlined
def _add(ones: Any, one: Any, two: Any) -> tuple[Any, Any]:
    """The sum of three bits, and what is carried."""
    return avx512.sum_bits(ones, one, two), avx512.carry_bits(ones, one, two)


@_inlined
def _hot_pair(indices: np.ndarray, at: int, stride: int, table: Any) -> tuple[Any, Any]:
    """The bits that two vectors of bins set."""
    one, two = avx512.load(indices, at), avx512.load(indices, at + stride)
    return avx512.hot(one, table), avx512.hot(two, table)


@_inlined
def _add_four(  # noqa: PLR0917
    indices: np.ndarray, at: int, stride: int, table: Any, p_1: Any, p_2: Any
) -> tuple[Any, Any, Any]:
    """Add four vectors to the planes of ones and twos; the fours are what is carried."""
    p_1, one = _add(p_1, *_hot_pair(indices, at, stride, table))
    p_1, two = _add(p_1, *_hot_pair(indices, at + 2 * stride, stride, table))
    p_2, carried = _add(p_2, one, two)
    return p_1, p_2, carried


@_inlined
def _add_eight(  # noqa: PLR0917
    indices: np.ndarray, at: int, stride: int, table: Any, p_1: Any, p_2: Any, p_4: Any
) -> tuple[Any, Any, Any, Any]:
    """The same for eight vectors and another plane."""
    p_1, p_2, one = _add_four(indices, at, stride, table, p_1, p_2)
    p_1, p_2, two = _add_four(indices, at + 4 * stride, stride, table, p_1, p_2)
    p_4, carried = _add(p_4, one, two)
    return p_1, p_2, p_4, carried


@_inlined
def _carry(high: Any, carried: Any) -> Any:
    """Add to the planes of 16, 32, 64 and 128."""
    p_16, p_32, p_64, p_128 = high
    p_16, carried = avx512.either(p_16, carried), avx512.both(p_16, carried)
    p_32, carried = avx512.either(p_32, carried), avx512.both(p_32, carried)
    p_64, carried = avx512.either(p_64, carried), avx512.both(p_64, carried)
    return p_16, p_32, p_64, avx512.either(p_128, carried)


@_inlined
def _count_eight_bins(
    indices: np.ndarray, at: int, stride: int, steps: int, table: Any
) -> tuple[Any, ...]:
    """Count how often each of eight bins stands in each of 64 places.

    Parameters
    ----------
    indices : numpy.ndarray of uint8, shape (n,)
        See `avx512.indices`.
    at : int
        Where the first vector begins.
    stride : int
        How far the next is.
    steps : int
        Sixteen vectors each.
    table : Vector
        Which bins: of `_HOT`.

    Returns
    -------
    tuple of Vector
        Eight planes.
    """
    p_1 = p_2 = p_4 = p_8 = avx512.zeros()
    high = p_1, p_1, p_1, p_1
    for _ in range(steps):
        p_1, p_2, p_4, one = _add_eight(indices, at, stride, table, p_1, p_2, p_4)
        at += 8 * stride
        p_1, p_2, p_4, two = _add_eight(indices, at, stride, table, p_1, p_2, p_4)
        at += 8 * stride
        p_8, carried = _add(p_8, one, two)
        high = _carry(high, carried)
    return p_1, p_2, p_4, p_8, *high


@_inlined
def _hot_of(low: int) -> Any:
    """The table of eight bins from `low` on."""
    return avx512.load(_HOT, low % _TABLE_BINS // BINS_AT_ONCE * WIDTH)


@_inlined
def _occurs(seen: int, low: int) -> int:
    """Whether any of eight bins from `low` on occurs: `seen` has eight bits for each table."""
    return seen >> (8 * (low // _TABLE_BINS) + low % _TABLE_BINS // BINS_AT_ONCE) & 1


@_inlined
def _count_row(
    row: np.ndarray, start: int, stop: int, totals: np.ndarray, room: np.ndarray
) -> None:
    """Count the bins of units `start` to `stop` of one probe, where there is room to work."""
    columns = len(totals)
    for first in range(start, stop, _ROW_UNITS):
        last = min(first + _ROW_UNITS, stop)
        whole = first + (last - first) // WIDTH * WIDTH
        steps = -(-(last - first) // (_STEP * WIDTH))
        seen = 0
        for low in range(0, columns, _TABLE_BINS):
            part = room[low // _TABLE_BINS * _ROW_UNITS :]
            eights, here = avx512.load(_EIGHTS, 0), avx512.zeros()
            for at in range(first, whole, WIDTH):
                indices = avx512.indices(avx512.load(row, at), low)
                here = avx512.any_of(here, avx512.hot(indices, eights))
                avx512.store(part, at - first, indices)
            part[whole - first : steps * _STEP * WIDTH] = 0
            for at in range(whole, last):
                part[at - first] = _index(row[at], low)
            occurs = avx512.set_anywhere(here) if whole == last else _ALL_EIGHTS
            seen |= occurs << 8 * (low // _TABLE_BINS)
        for low in range(0, columns, BINS_AT_ONCE):
            if _occurs(seen, low):
                at = low // _TABLE_BINS * _ROW_UNITS
                planes = _count_eight_bins(room, at, WIDTH, steps, _hot_of(low))
                avx512.add_places(*planes, totals, low)


@_inlined
def _index(bin_: int, before: int) -> int:
    """What `avx512.indices` gives for one bin."""
    return min(max(min(bin_ + 1, 255) - before, 0), WIDTH - 1)


@_inlined
def _add_rows(  # noqa: PLR0917
    bits: np.ndarray,
    row: int,
    rows: int,
    at: int,
    sums: np.ndarray,
    squares: np.ndarray,
    largest: np.ndarray,
    to: int,
    column: int,
) -> None:
    """Add 64 units of one row, or of four of a lane, to the lane's sums."""
    for half in range(0, WIDTH, 8):
        place = 8 * (to + half)
        total, square = avx512.load(sums, place), avx512.load(squares, place)
        for k in range(row, row + PROBE_LANES * rows, PROBE_LANES):
            x = avx512.magnitudes(bits[k], at + half)
            total, square = avx512.plus(total, x), avx512.plus_square(square, x)
        avx512.store(sums, place, total)
        avx512.store(squares, place, square)
    for part in range(0, WIDTH, 16):
        place = 4 * (column + part)
        most = avx512.load(largest, place)
        for k in range(row, row + PROBE_LANES * rows, PROBE_LANES):
            most = avx512.larger(most, bits[k], at + part)
        avx512.store(largest, place, most)


@_inlined
def _fetch_four(bits: np.ndarray, bins: np.ndarray, row: int, at: int) -> None:
    """Have 64 units of four rows of a lane fetched from memory, which come soon."""
    for k in range(row, row + 4 * PROBE_LANES, PROBE_LANES):
        avx512.fetch_floats(bits[k], at)
        avx512.fetch_bins(bins[k], at)


@_inlined
def _find_bins(bits: np.ndarray, grid: np.ndarray, bins: np.ndarray) -> None:
    """Write the bin of each, of a multiple of 64."""
    for at in range(0, len(bins), WIDTH):
        avx512.store(bins, at, avx512.bins_at(bits, at, grid))


@_inlined
def _turn(taken: np.ndarray, layers: np.ndarray, layer: int) -> tuple[int, int, int]:
    """Take the next units: their layer, from `layer` on, and the first and last of them."""
    turn = avx512.take(taken, 1)
    while layer < len(layers) and turn >= layers[layer].end:
        layer += 1
    if layer == len(layers):
        return layer, 0, 0
    one = layers[layer]
    before = layers[layer - 1].end if layer else 0
    start = (turn - before) * one.at_once
    return layer, start, min(start + one.at_once, one.units)


@kernels.compiled
def rows(taken: np.ndarray, layers: np.ndarray, grid: np.ndarray, histogram: np.ndarray) -> None:
    """What `kernels.rows` does, for float32 and bins of a byte, and for units not taken yet.

    Parameters
    ----------
    taken : numpy.ndarray of uint64, shape (1,)
        See `iua_widget.engines.threads.in_turns`.
    layers : numpy.ndarray of `ROWS`, shape (layers,)
        With their `turns`.
    grid : numpy.ndarray of uint32
        See `avx512.packed`.
    histogram : numpy.ndarray of int64, shape (probes, columns)
        How many units of each probe are in each bin: added to. A multiple of `BINS_AT_ONCE`
        columns, the last ones perhaps for no bin.
    """
    room = _aligned(-(-histogram.shape[1] // _TABLE_BINS) * _ROW_UNITS)
    layer = 0
    while True:
        layer, start, stop = _turn(taken, layers, layer)
        if layer == len(layers):
            return
        one = layers[layer]
        shape = one.probes, one.units
        bits = carray(avx512.pointer(one.bits), shape, np.uint32)
        bins = carray(avx512.pointer(one.bins), shape, np.uint8)
        highest = carray(avx512.pointer(one.highest), (one.units,), np.uint8)
        into = carray(avx512.pointer(one.into), (3, one.units), np.float64)
        _sum_rows(bits, grid, bins, highest, into[0], into[1], into[2], start, stop)
        for probe in range(one.probes):
            _count_row(bins[probe], start, stop, histogram[one.first + probe], room)
        if one.onto:
            onto = carray(avx512.pointer(one.onto), (3, one.units), np.float64)
            kernels.add_sums(onto, into, start, stop)


@kernels.compiled
def _sum_rows(  # noqa: PLR0917
    bits: np.ndarray,
    grid: np.ndarray,
    bins: np.ndarray,
    highest: np.ndarray,
    abs_sum: np.ndarray,
    square_sum: np.ndarray,
    abs_max: np.ndarray,
    start: int,
    stop: int,
) -> None:
    """What `rows` does, but for the histogram."""
    probes = bits.shape[0]
    chunks = kernels.chunks_of(probes)
    sums = _aligned(PROBE_LANES * 8 * _BLOCK)
    squares, largest = _aligned(len(sums)), _aligned(4 * _BLOCK)
    totals, square_totals = np.empty((chunks, _BLOCK)), np.empty((chunks, _BLOCK))
    whole = start + (stop - start) // WIDTH * WIDTH
    for first in range(start, whole, _BLOCK):
        last = min(first + _BLOCK, whole)
        written = (
            highest[first:last],
            abs_sum[first:last],
            square_sum[first:last],
            abs_max[first:last],
        )
        _sum_block(bits, grid, bins, first, sums, squares, largest, totals, square_totals, *written)
    if whole == stop:
        return
    # What is left over is counted beside zeros.
    left = stop - whole
    few, few_bins = np.zeros((probes, WIDTH), np.uint32), np.empty((probes, WIDTH), np.uint8)
    for probe in range(probes):
        kernels.copy(bits[probe, whole:stop], few[probe, :left])
    few_sums, few_squares, most = np.empty(WIDTH), np.empty(WIDTH), np.empty(WIDTH)
    few_highest = np.empty(WIDTH, np.uint8)
    room = sums, squares, largest, totals, square_totals
    _sum_block(few, grid, few_bins, 0, *room, few_highest, few_sums, few_squares, most)
    for probe in range(probes):
        kernels.copy(few_bins[probe], bins[probe, whole:stop])
    kernels.copy(few_highest, highest[whole:stop])
    kernels.copy(few_sums, abs_sum[whole:stop])
    kernels.copy(few_squares, square_sum[whole:stop])
    kernels.copy(most, abs_max[whole:stop])


@kernels.compiled
def _sum_block(  # noqa: PLR0917
    bits: np.ndarray,
    grid: np.ndarray,
    bins: np.ndarray,
    first: int,
    sums: np.ndarray,
    squares: np.ndarray,
    largest: np.ndarray,
    totals: np.ndarray,
    square_totals: np.ndarray,
    highest: np.ndarray,
    abs_sum: np.ndarray,
    square_sum: np.ndarray,
    abs_max: np.ndarray,
) -> None:
    """Do as many units as `abs_sum` has, from `first` on; the arrays between are room to work."""
    probes, units = bits.shape
    chunks, size = totals.shape[0], len(abs_sum)
    lanes = sums.view(np.float64).reshape(PROBE_LANES, _BLOCK)
    square_lanes = squares.view(np.float64).reshape(PROBE_LANES, _BLOCK)
    largest[:] = 0
    for chunk in range(chunks):
        sums[:] = 0
        squares[:] = 0
        end = min((chunk + 1) * CHUNK, probes)
        for lane in range(PROBE_LANES):
            row = chunk * CHUNK + lane
            while row < end:
                four = row + 3 * PROBE_LANES < end
                after = row + (4 if four else 1) * PROBE_LANES
                soon, ahead = after, 0
                if soon >= end:
                    soon = chunk * CHUNK + (lane + 1) % PROBE_LANES
                    ahead = size if lane + 1 == PROBE_LANES else 0
                fetch = soon + 3 * PROBE_LANES < end and first + size + ahead <= units
                for at in range(first, first + size, WIDTH):
                    to, column = lane * _BLOCK + at - first, at - first
                    if fetch:
                        _fetch_four(bits, bins, soon, at + ahead)
                    if four:
                        _add_rows(bits, row, 4, at, sums, squares, largest, to, column)
                    else:
                        _add_rows(bits, row, 1, at, sums, squares, largest, to, column)
                    for k in range(row, after, PROBE_LANES):
                        avx512.store(bins[k], at, avx512.bins_at(bits[k], at, grid))
                row = after
        kernels.fold_into(lanes, PROBE_LANES, totals[chunk, :size])
        kernels.fold_into(square_lanes, PROBE_LANES, square_totals[chunk, :size])
    kernels.fold_into(totals, chunks, abs_sum)
    kernels.fold_into(square_totals, chunks, square_sum)
    kernels.copy(largest.view(np.float32), abs_max)
    _find_bins(largest.view(np.uint32), grid, highest)


@_inlined
def _sum_map(  # noqa: PLR0917
    row: np.ndarray,
    pad: np.ndarray,
    lanes: np.ndarray,
    square_lanes: np.ndarray,
    chunk_sums: np.ndarray,
    chunk_squares: np.ndarray,
) -> Any:
    """The sums of every chunk of a map, given by its bits; returns its largest magnitudes."""
    most = avx512.zeros()
    for chunk in range(len(chunk_sums)):
        first, last = chunk * CHUNK, min((chunk + 1) * CHUNK, len(row))
        chunk_sums[chunk] = chunk_squares[chunk] = 0.0
        if first >= last:
            continue
        whole = first + (last - first) // POSITION_LANES * POSITION_LANES
        left = last - whole
        if left:
            for at in range(0, POSITION_LANES, 16):
                avx512.store(pad, 4 * at, avx512.zeros())
            kernels.copy(row[whole:last], pad[:left])
            for at in range(0, POSITION_LANES, 16):
                most = avx512.larger(most, pad, at)
        for at in range(first, whole, 16):
            most = avx512.larger(most, row, at)
        for lane in range(0, POSITION_LANES, 8):
            total = square = avx512.zeros()
            for at in range(first + lane, whole, POSITION_LANES):
                x = avx512.magnitudes(row, at)
                total, square = avx512.plus(total, x), avx512.plus_square(square, x)
            if left:
                x = avx512.magnitudes(pad, lane)
                total, square = avx512.plus(total, x), avx512.plus_square(square, x)
            avx512.store(lanes, 8 * lane, total)
            avx512.store(square_lanes, 8 * lane, square)
        chunk_sums[chunk] = avx512.sum_of_lanes(lanes)
        chunk_squares[chunk] = avx512.sum_of_lanes(square_lanes)
    return most


@kernels.compiled
def maps(  # noqa: PLR0917
    bits: np.ndarray,
    largest_bits: np.ndarray,
    abs_sum: np.ndarray,
    square_sum: np.ndarray,
    start: int,
    stop: int,
) -> None:
    """What `kernels.maps` does, for float32; where there is a NaN, the largest is one.

    Parameters
    ----------
    bits : numpy.ndarray of uint32, shape (probes, units, positions)
        C-contiguous.
    largest_bits : numpy.ndarray of uint32, shape (probes, units)
        Written.
    abs_sum, square_sum, start, stop
        As in `kernels.maps`.
    """
    probes, _, positions = bits.shape
    chunks = kernels.chunks_of(positions)
    lanes, square_lanes = _aligned(8 * POSITION_LANES), _aligned(8 * POSITION_LANES)
    pad = _aligned(4 * POSITION_LANES).view(np.uint32)
    chunk_sums, chunk_squares = np.empty(chunks), np.empty(chunks)
    room = kernels.room_for_maps(probes)
    for first in range(start, stop, kernels.POSITION_BLOCK):
        size = min(kernels.POSITION_BLOCK, stop - first)
        for probe in range(probes):
            for i in range(size):
                row = bits[probe, first + i]
                most = _sum_map(row, pad, lanes, square_lanes, chunk_sums, chunk_squares)
                largest_bits[probe, first + i] = avx512.largest_of(most)
                kernels.keep_map(chunk_sums, chunk_squares, room, probe, i, size)
        kernels.sum_maps(room, abs_sum[first : first + size], square_sum[first : first + size])


@_inlined
def _add_to_units(counters: np.ndarray, counts: np.ndarray, to: int, columns: int) -> None:
    """Add the counters of 64 units to theirs, which begin at `to`."""
    whole_groups = columns // WIDTH * 8
    for group in range(0, whole_groups, 8):
        for vector in range(8):
            place = to + 2 * vector * columns + 8 * group
            avx512.add_units(counters, (8 * group + vector) * WIDTH, counts, place, columns)
    for group in range(whole_groups, -(-columns // 8)):
        past = max(8 * group + 8 - columns, 0)  # eight from there on would reach the next unit
        place = to + 8 * group - past
        for unit in range(WIDTH):
            vector, lane = unit % 16 // 2, unit // 16 * 2 + unit % 2
            written = (8 * group + vector) * WIDTH + 8 * lane
            avx512.add_eight(counters, written, counts, place, past)
            place += columns


@kernels.compiled
def count_bins(
    taken: np.ndarray, layers: np.ndarray, places: np.ndarray, columns: int, like: np.ndarray
) -> None:
    """Add one to ``counts[unit, bin]`` for every response of units not taken yet.

    Parameters
    ----------
    taken : numpy.ndarray of uint64, shape (1,)
        See `iua_widget.engines.threads.in_turns`.
    layers : numpy.ndarray of `COUNTED`, shape (layers,)
        With their `turns`.
    places : numpy.ndarray of uint64, shape (n,)
        Where in memory the bins of each probe begin, a byte a unit.
    columns : int
        Of the counters, `FEWEST_COLUMNS` to `MOST_COLUMNS`. Bins that have none are left out.
    like : numpy.ndarray of unsigned integers
        Of the counters' dtype: those of a byte take `MOST_PROBES` probes at the most.
    """
    most = min(layers["probes"].max(), MOST_PROBES)
    tiles, counters = _room(most, columns)
    narrow = np.zeros(_COUNT_BLOCK * columns, np.uint8)
    layer = 0
    while True:
        layer, start, stop = _turn(taken, layers, layer)
        if layer == len(layers):
            return
        one = layers[layer]
        counts = carray(avx512.pointer(one.counts), (one.units * columns,), like.dtype)
        for first in range(start, stop, _COUNT_BLOCK):
            size = min(_COUNT_BLOCK, stop - first)
            block = counts[first * columns : (first + size) * columns]
            for probe in range(one.first, one.first + one.probes, MOST_PROBES):
                end = min(probe + MOST_PROBES, one.first + one.probes)
                seen = _fill_tiles(places, probe, end, first, first + size, columns, tiles)
                whole = size % WIDTH == 0
                if whole and like.itemsize == 1:
                    _count_tiles(tiles, end - probe, size, block, columns, seen, counters)
                else:
                    counted = size if whole else _COUNT_BLOCK
                    _count_tiles(tiles, end - probe, counted, narrow, columns, seen, counters)
                    kernels.spill(narrow, block, len(block))


@_inlined
def _room(probes: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Where `_count_tiles` works: bins of a block of units, and what `_add_to_units` adds."""
    tables = -(-columns // _TABLE_BINS)
    tile = _aligned(tables * -(-probes // _STEP) * _STEP * _COUNT_BLOCK)
    return tile, _aligned(-(-columns // BINS_AT_ONCE) * BINS_AT_ONCE * WIDTH)


@_inlined
def _fill_tile(  # noqa: PLR0917
    places: np.ndarray, probe: int, end: int, first: int, last: int, low: int, tile: np.ndarray
) -> int:
    """Bring where bins from `low` on are looked up, of units `first` to `last`, beside each other.

    The number of units is a multiple of 64. Returns a bit for each eight bins, whether any occurs.
    """
    eights, seen = avx512.load(_EIGHTS, 0), avx512.zeros()
    for each in range(probe, end):
        to = (each - probe) * _COUNT_BLOCK - first
        for at in range(first, last, WIDTH):
            indices = avx512.indices(avx512.load_from(places[each], at), low)
            seen = avx512.any_of(seen, avx512.hot(indices, eights))
            avx512.store(tile, to + at, indices)
            avx512.fetch_from(places[each], at + _COUNT_BLOCK)
    return avx512.set_anywhere(seen)  # type: ignore[no-any-return]


@_inlined
def _fill_rest(  # noqa: PLR0917
    places: np.ndarray, probe: int, end: int, first: int, last: int, low: int, tile: np.ndarray
) -> None:
    """What `_fill_tile` does, for any number of units: past the last, there are no bins."""
    tile[: (end - probe) * _COUNT_BLOCK] = 0
    for each in range(probe, end):
        to = (each - probe) * _COUNT_BLOCK - first
        for at in range(first, last):
            tile[to + at] = _index(avx512.byte_from(places[each], at), low)


@_inlined
def _fill_tiles(  # noqa: PLR0917
    places: np.ndarray,
    probe: int,
    end: int,
    first: int,
    last: int,
    columns: int,
    tiles: np.ndarray,
) -> int:
    """Fill a tile for each table, and what is missing to a multiple of sixteen probes.

    Returns which bins occur: see `_occurs`.
    """
    seen = 0
    size = -(-(end - probe) // _STEP) * _STEP * _COUNT_BLOCK
    for low in range(0, columns, _TABLE_BINS):
        at = low // _TABLE_BINS * size
        tile = tiles[at : at + size]
        here = _ALL_EIGHTS
        if (last - first) % WIDTH == 0:
            here = _fill_tile(places, probe, end, first, last, low, tile)
        else:
            _fill_rest(places, probe, end, first, last, low, tile)
        tile[(end - probe) * _COUNT_BLOCK :] = 0
        seen |= here << 8 * (low // _TABLE_BINS)
    return seen


@_inlined
def _count_tiles(  # noqa: PLR0917
    tiles: np.ndarray,
    probes: int,
    units: int,
    flat: np.ndarray,
    columns: int,
    seen: int,
    counters: np.ndarray,
) -> None:
    """Count the bins that occur in a block of a multiple of 64 units, whose counters `flat` is."""
    steps = -(-probes // _STEP)
    size = steps * _STEP * _COUNT_BLOCK
    for at in range(0, units, WIDTH):
        for low in range(0, columns, BINS_AT_ONCE):
            if _occurs(seen, low):
                first = low // _TABLE_BINS * size + at
                planes = _count_eight_bins(tiles, first, _COUNT_BLOCK, steps, _hot_of(low))
                avx512.write_counters(*planes, counters, low * WIDTH)
            else:
                counters[low * WIDTH : (low + BINS_AT_ONCE) * WIDTH] = 0
        _add_to_units(counters, flat, at * columns, columns)
