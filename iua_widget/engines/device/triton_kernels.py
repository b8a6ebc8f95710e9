"""Kernels of Triton that count on a GPU in a few launches a layer; `triton_launch` starts them.

Magnitudes come as the bits of the responses, which order as they do. What is added as integers may
be added in any order, and by several programs at once; sums of floating point are added in the
order laid down in `engine`, each by one program.
"""

from __future__ import annotations

import triton
import triton.language as tl

from iua_widget.engines.engine import CHUNK, LIMB_BITS, LIMB_MASK, POSITION_LANES, PROBE_LANES

_CHUNK = tl.constexpr(CHUNK)
_POSITION_LANES = tl.constexpr(POSITION_LANES)
_PROBE_LANES = tl.constexpr(PROBE_LANES)
_LIMB_BITS = tl.constexpr(LIMB_BITS)
_LIMB_MASK = tl.constexpr(LIMB_MASK)
_ROWS_AT_ONCE = tl.constexpr(8)


@triton.jit
def _located(bits: tl.tensor, edges: tl.tensor, levels: tl.constexpr) -> tl.tensor:
    """How many of the edges, ``2 ** levels - 1`` in ascending order, are below each magnitude."""
    found = tl.full(bits.shape, 0, tl.int32)
    for level in tl.static_range(levels):
        edge = tl.load(edges + found + ((1 << (levels - 1 - level)) - 1))
        found = tl.where(edge < bits, found + (1 << (levels - 1 - level)), found)
    return found


@triton.jit
def _folded(values: tl.tensor, halvings: tl.constexpr, width: tl.constexpr) -> tl.tensor:
    """Add the second half of the rows to the first, until of ``2 ** halvings`` one is left."""
    for step in tl.static_range(halvings):
        halves = tl.reshape(values, [2, 1 << (halvings - 1 - step), width])
        first, second = tl.split(tl.permute(halves, (1, 2, 0)))
        values = first + second
    return tl.reshape(values, [width])


@triton.jit
def _store_sums(
    sums: tl.tensor,
    abs_sum: tl.tensor,
    square_sum: tl.tensor,
    abs_max: tl.tensor,
    by_sum: tl.tensor,
    inside: tl.tensor,
    halvings: tl.constexpr,
    width: tl.constexpr,
) -> None:
    """Store both sums, folded, and the largest magnitude, `by_sum` apart."""
    tl.store(sums, _folded(abs_sum, halvings, width), mask=inside)
    tl.store(sums + by_sum, _folded(square_sum, halvings, width), mask=inside)
    tl.store(sums + by_sum + by_sum, abs_max, mask=inside)


@triton.jit
def _fold_parts(
    parts: tl.tensor,
    by_part: tl.tensor,
    there: tl.tensor,
    sums: tl.tensor,
    by_sum: tl.tensor,
    inside: tl.tensor,
    halvings: tl.constexpr,
    width: tl.constexpr,
) -> None:
    """Sums from those of ``2 ** halvings`` chunks, where `there`: the others are zero."""
    abs_max = tl.load(parts + by_part + by_part, mask=there, other=0.0)
    _store_sums(
        sums,
        tl.load(parts, mask=there, other=0.0),
        tl.load(parts + by_part, mask=there, other=0.0),
        tl.max(abs_max, axis=0),
        by_sum,
        inside,
        halvings,
        width,
    )


@triton.jit
def _as_double(bits: tl.tensor, floating: tl.constexpr) -> tl.tensor:
    return bits.to(floating, bitcast=True).to(tl.float64)


@triton.jit
def _told_apart(bits: tl.tensor, infinite: tl.constexpr) -> tl.tensor:
    """What is finite, zero in place of all else; and one for each NaN, and for each infinity."""
    finite = tl.where(bits < infinite, bits, 0).to(bits.dtype)
    return finite, (bits > infinite).to(tl.int32), (bits == infinite).to(tl.int32)


@triton.jit(do_not_specialize=["probes"])
def classify_rows(
    values: tl.tensor,
    edges: tl.tensor,
    bins: tl.tensor,
    sums: tl.tensor,
    odd: tl.tensor,
    probes: tl.tensor,
    units: tl.tensor,
    by_probe: tl.tensor,
    by_unit: tl.tensor,
    levels: tl.constexpr,
    magnitude: tl.constexpr,
    infinite: tl.constexpr,
    floating: tl.constexpr,
    halvings: tl.constexpr,
    width: tl.constexpr,
) -> None:
    """Bins of values (probes, units); for each chunk of probes, sums and how many are not finite.

    `bins` is of shape (probes, units), `sums` of (chunks, 3, units), `odd` of (chunks, 2, units).
    """
    chunk = tl.program_id(1).to(tl.int64)
    unit = tl.program_id(0).to(tl.int64) * width + tl.arange(0, width)
    lane = tl.arange(0, _PROBE_LANES)
    inside = unit < units
    abs_sum = tl.zeros([_PROBE_LANES, width], tl.float64)
    square_sum = tl.zeros([_PROBE_LANES, width], tl.float64)
    largest = tl.zeros([_PROBE_LANES, width], values.dtype.element_ty)
    nan = tl.zeros([_PROBE_LANES, width], tl.int32)
    infinity = tl.zeros([_PROBE_LANES, width], tl.int32)
    for start in range(0, tl.minimum(probes - chunk * _CHUNK, _CHUNK), _PROBE_LANES):
        probe = chunk * _CHUNK + start + lane
        there = (probe < probes)[:, None] & inside[None, :]
        place = probe[:, None] * by_probe + unit[None, :] * by_unit
        bits = tl.load(values + place, mask=there, other=0) & magnitude
        found = _located(bits, edges, levels)
        to = bins + probe[:, None] * units + unit[None, :]
        tl.store(to, found.to(bins.dtype.element_ty), mask=there)
        finite, nans, infinities = _told_apart(bits, infinite)
        nan += nans
        infinity += infinities
        largest = tl.maximum(largest, finite)
        wide = _as_double(finite, floating)
        abs_sum += wide
        square_sum += wide * wide
    abs_max = tl.max(largest, axis=0).to(values.dtype.element_ty)
    _store_sums(
        sums + chunk * 3 * units + unit,
        abs_sum,
        square_sum,
        _as_double(abs_max, floating),
        units,
        inside,
        halvings,
        width,
    )
    not_finite = odd + chunk * 2 * units + unit
    tl.store(not_finite, tl.sum(nan, axis=0), mask=inside)
    tl.store(not_finite + units, tl.sum(infinity, axis=0), mask=inside)


@triton.jit(do_not_specialize=["probes", "positions", "chunks"])
def classify_positions(
    values: tl.tensor,
    edges: tl.tensor,
    bins: tl.tensor,
    largest: tl.tensor,
    sums: tl.tensor,
    odd: tl.tensor,
    probes: tl.tensor,
    positions: tl.tensor,
    units: tl.tensor,
    chunks: tl.tensor,
    by_probe: tl.tensor,
    by_position: tl.tensor,
    by_unit: tl.tensor,
    levels: tl.constexpr,
    magnitude: tl.constexpr,
    infinite: tl.constexpr,
    floating: tl.constexpr,
    halvings: tl.constexpr,
    whole: tl.constexpr,
    width: tl.constexpr,
) -> None:
    """Sums over each chunk of the positions of values (probes, positions, units).

    `sums` is of shape (3, probes, chunks, units). Where a chunk is the `whole`, the bins of shape
    (probes, units) are found as well, else the bits of the largest magnitude of each chunk, in
    `largest` of shape (probes, chunks, units). To `odd`, of shape (2, units), is added.
    """
    row = tl.program_id(0).to(tl.int64)  # a chunk of a probe
    probe = row // chunks
    chunk = row % chunks
    unit = tl.program_id(1).to(tl.int64) * width + tl.arange(0, width)
    lane = tl.arange(0, _POSITION_LANES)
    inside = unit < units
    abs_sum = tl.zeros([_POSITION_LANES, width], tl.float64)
    square_sum = tl.zeros([_POSITION_LANES, width], tl.float64)
    most = tl.zeros([_POSITION_LANES, width], values.dtype.element_ty)
    most_finite = tl.zeros([_POSITION_LANES, width], values.dtype.element_ty)
    nan = tl.zeros([_POSITION_LANES, width], tl.int32)
    infinity = tl.zeros([_POSITION_LANES, width], tl.int32)
    for start in range(0, tl.minimum(positions - chunk * _CHUNK, _CHUNK), _POSITION_LANES):
        position = chunk * _CHUNK + start + lane
        there = (position < positions)[:, None] & inside[None, :]
        place = probe * by_probe + position[:, None] * by_position + unit[None, :] * by_unit
        bits = tl.load(values + place, mask=there, other=0) & magnitude
        most = tl.maximum(most, bits)
        finite, nans, infinities = _told_apart(bits, infinite)
        nan += nans
        infinity += infinities
        most_finite = tl.maximum(most_finite, finite)
        wide = _as_double(finite, floating)
        abs_sum += wide
        square_sum += wide * wide
    abs_max = tl.max(most_finite, axis=0).to(values.dtype.element_ty)
    _store_sums(
        sums + row * units + unit,
        abs_sum,
        square_sum,
        _as_double(abs_max, floating),
        probes.to(tl.int64) * chunks * units,
        inside,
        halvings,
        width,
    )
    top = tl.max(most, axis=0).to(values.dtype.element_ty)
    if whole:
        found = _located(top, edges, levels)
        tl.store(bins + row * units + unit, found.to(bins.dtype.element_ty), mask=inside)
    else:
        tl.store(largest + row * units + unit, top, mask=inside)
    all_nan = tl.sum(nan, axis=0)
    all_infinite = tl.sum(infinity, axis=0)
    tl.atomic_add(odd + unit, all_nan, mask=inside & (all_nan > 0), sem="relaxed")
    of_unit = odd + units + unit
    tl.atomic_add(of_unit, all_infinite, mask=inside & (all_infinite > 0), sem="relaxed")


@triton.jit(do_not_specialize=["probes", "chunks"])
def fold_positions(
    largest: tl.tensor,
    parts: tl.tensor,
    edges: tl.tensor,
    bins: tl.tensor,
    sums: tl.tensor,
    probes: tl.tensor,
    units: tl.tensor,
    chunks: tl.tensor,
    levels: tl.constexpr,
    halvings: tl.constexpr,
    width: tl.constexpr,
) -> None:
    """Bins and sums of each probe from those of the chunks of its positions.

    `largest` and `parts` are what `classify_positions` gave, `sums` is of shape
    (3, probes, units); chunks are ``2 ** halvings`` at the most.
    """
    probe = tl.program_id(0).to(tl.int64)
    unit = tl.program_id(1).to(tl.int64) * width + tl.arange(0, width)
    inside = unit < units
    chunk = tl.arange(0, 1 << halvings)
    there = (chunk < chunks)[:, None] & inside[None, :]
    place = (probe * chunks + chunk[:, None]) * units + unit[None, :]
    by_sum = probes.to(tl.int64) * units
    to = sums + probe * units + unit
    _fold_parts(parts + place, by_sum * chunks, there, to, by_sum, inside, halvings, width)
    top = tl.max(tl.load(largest + place, mask=there, other=0), axis=0)
    found = _located(top.to(largest.dtype.element_ty), edges, levels)
    tl.store(bins + probe * units + unit, found.to(bins.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=["probes"])
def sum_probes(
    parts: tl.tensor,
    sums: tl.tensor,
    probes: tl.tensor,
    units: tl.tensor,
    halvings: tl.constexpr,
    width: tl.constexpr,
) -> None:
    """Sums over each chunk of probes: `parts` (3, probes, units), `sums` (chunks, 3, units)."""
    chunk = tl.program_id(1).to(tl.int64)
    unit = tl.program_id(0).to(tl.int64) * width + tl.arange(0, width)
    lane = tl.arange(0, _PROBE_LANES)
    inside = unit < units
    abs_sum = tl.zeros([_PROBE_LANES, width], tl.float64)
    square_sum = tl.zeros([_PROBE_LANES, width], tl.float64)
    largest = tl.zeros([_PROBE_LANES, width], tl.float64)
    by_part = probes.to(tl.int64) * units
    for start in range(0, tl.minimum(probes - chunk * _CHUNK, _CHUNK), _PROBE_LANES):
        probe = chunk * _CHUNK + start + lane
        there = (probe < probes)[:, None] & inside[None, :]
        place = parts + probe[:, None] * units + unit[None, :]
        abs_sum += tl.load(place, mask=there, other=0.0)
        square_sum += tl.load(place + by_part, mask=there, other=0.0)
        largest = tl.maximum(largest, tl.load(place + 2 * by_part, mask=there, other=0.0))
    _store_sums(
        sums + chunk * 3 * units + unit,
        abs_sum,
        square_sum,
        tl.max(largest, axis=0),
        units,
        inside,
        halvings,
        width,
    )


@triton.jit(do_not_specialize=["chunks"])
def fold_chunks(
    parts: tl.tensor,
    sums: tl.tensor,
    units: tl.tensor,
    chunks: tl.tensor,
    halvings: tl.constexpr,
    width: tl.constexpr,
) -> None:
    """Sums from those of chunks: `parts` is of shape (chunks, 3, units), `sums` of (3, units)."""
    unit = tl.program_id(0).to(tl.int64) * width + tl.arange(0, width)
    inside = unit < units
    chunk = tl.arange(0, 1 << halvings)
    there = (chunk < chunks)[:, None] & inside[None, :]
    place = parts + chunk[:, None].to(tl.int64) * 3 * units + unit[None, :]
    _fold_parts(place, units, there, sums + unit, units, inside, halvings, width)


@triton.jit(do_not_specialize=["columns", "steps"])
def count_inactive(
    bins: tl.tensor,
    inactive: tl.tensor,
    units: tl.tensor,
    columns: tl.tensor,
    steps: tl.tensor,
    alone: tl.constexpr,
    cells: tl.constexpr,
    width: tl.constexpr,
) -> None:
    """Units of each probe in bins up to each column, in so many steps of `width` units.

    `inactive` is of shape (probes, columns); unless a program is `alone` with a probe, it is added
    to. Of the `cells`, a power of two above the bins, the last is for what is beyond the units.
    """
    probe = tl.program_id(0).to(tl.int64)
    first = tl.program_id(1).to(tl.int64) * steps * width
    total = tl.zeros([cells], tl.int32)
    for step in range(steps):
        unit = first + step * width + tl.arange(0, width)
        found = tl.load(bins + probe * units + unit, mask=unit < units, other=0).to(tl.int32)
        total += tl.histogram(tl.where(unit < units, found, cells - 1), cells)
    column = tl.arange(0, cells)
    to = inactive + probe * columns + column
    up_to = tl.cumsum(total.to(tl.int64), axis=0)
    if alone:
        tl.store(to, up_to, mask=column < columns)
    else:
        tl.atomic_add(to, up_to, mask=column < columns, sem="relaxed")


@triton.jit(do_not_specialize=["batch", "probes", "columns"])
def add_batch(  # noqa: PLR0915  (one launch does it all)
    bins: tl.tensor,
    inactive: tl.tensor,
    abs_sum: tl.tensor,
    square_sum: tl.tensor,
    abs_max: tl.tensor,
    nan: tl.tensor,
    infinity: tl.tensor,
    counts: tl.tensor,
    place: tl.tensor,
    highest: tl.tensor,
    sums: tl.tensor,
    largest: tl.tensor,
    odd: tl.tensor,
    moments: tl.tensor,
    first_odd: tl.tensor,
    batch: tl.tensor,
    probes: tl.tensor,
    units: tl.tensor,
    columns: tl.tensor,
    placed: tl.constexpr,
    cells: tl.constexpr,
    rows: tl.constexpr,
    width: tl.constexpr,
) -> None:
    """Add a batch to the counters of a layer, `rows` of its probes a program.

    The last programs of the first axis see to the moments, the others each to `width` units.
    """
    first = tl.program_id(1).to(tl.int64) * rows
    beyond = tl.minimum(first + rows, probes)
    unit = tl.program_id(0).to(tl.int64) * width + tl.arange(0, width)
    if tl.program_id(0) < tl.num_programs(0) - 1:
        inside = unit < units
        one = tl.full([width], 1, tl.int32)
        top = tl.zeros([width], tl.int32)
        for probe in range(first, beyond):
            found = tl.load(bins + probe * units + unit, mask=inside, other=0).to(tl.int32)
            top = tl.maximum(top, tl.where(found < columns, found, 0))
            row = found.to(tl.int64)
            if placed:
                row = tl.load(place + row)
            tl.atomic_add(counts + row * units + unit, one, mask=inside, sem="relaxed")
        known = tl.load(highest + unit, mask=inside, other=0)
        tl.atomic_max(highest + unit, top, mask=inside & (top > known), sem="relaxed")
        if tl.program_id(1) == 0:
            for_abs = sums + unit
            for_squares = sums + units + unit
            added = tl.load(for_abs, mask=inside) + tl.load(abs_sum + unit, mask=inside)
            tl.store(for_abs, added, mask=inside)
            added = tl.load(for_squares, mask=inside) + tl.load(square_sum + unit, mask=inside)
            tl.store(for_squares, added, mask=inside)
            before = tl.load(largest + unit, mask=inside)
            now = tl.load(abs_max + unit, mask=inside)
            tl.store(largest + unit, now, mask=inside & (now > before))
            nans = tl.load(nan + unit, mask=inside, other=0).to(tl.int64)
            some = nans > 0
            tl.store(odd + unit, tl.load(odd + unit, mask=some) + nans, mask=some)
            infinities = tl.load(infinity + unit, mask=inside, other=0).to(tl.int64)
            some = infinities > 0
            of_unit = odd + units + unit
            tl.store(of_unit, tl.load(of_unit, mask=some) + infinities, mask=some)
            some = (nans > 0) | (infinities > 0)
            nothing = tl.zeros([width], tl.int32)
            tl.atomic_min(first_odd + nothing, nothing + batch, mask=some, sem="relaxed")
    else:
        column = tl.arange(0, cells)
        total = tl.zeros([cells], tl.int64)
        low = tl.zeros([cells], tl.int64)
        high = tl.zeros([cells], tl.int64)
        for start in range(first, beyond, _ROWS_AT_ONCE):
            probe = start + tl.arange(0, _ROWS_AT_ONCE)
            there = (probe < beyond)[:, None] & (column < columns)[None, :]
            at = inactive + probe[:, None] * columns + column[None, :]
            many = tl.load(at, mask=there, other=0)
            squares = many * many
            total += tl.sum(many, axis=0)
            low += tl.sum(squares & _LIMB_MASK, axis=0)
            high += tl.sum(squares >> _LIMB_BITS, axis=0)
        known_column = column < columns
        tl.atomic_add(moments + column, total, mask=known_column, sem="relaxed")
        tl.atomic_add(moments + columns + column, low, mask=known_column, sem="relaxed")
        tl.atomic_add(moments + 2 * columns + column, high, mask=known_column, sem="relaxed")
