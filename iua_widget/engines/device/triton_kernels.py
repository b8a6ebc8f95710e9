"""Kernels of Triton that sort responses into bins and sum them; `triton_launch` starts them.

Magnitudes come as the bits of the responses, which order as they do. No program adds to what
another has written, so nothing has to be zero beforehand; sums of floating point are added in the
order laid down in `engine`. Each entry of `sums` is five rows: both sums, the largest magnitude,
and how many responses were NaN and infinite.
"""

from __future__ import annotations

from typing import Final

import triton
import triton.language as tl

from iua_widget.engines.engine import CHUNK, POSITION_LANES, PROBE_LANES

SUMS: Final = 5
"""Rows of doubles that a unit takes in `sums`."""

_CHUNK = tl.constexpr(CHUNK)
_POSITION_LANES = tl.constexpr(POSITION_LANES)
_PROBE_LANES = tl.constexpr(PROBE_LANES)
_SUMS = tl.constexpr(SUMS)


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
def _magnitudes(
    values: tl.tensor,
    there: tl.tensor,
    magnitude: tl.constexpr,
    brain: tl.constexpr,
) -> tl.tensor:
    """The bits of magnitudes, zero where none is `there`; those of bfloat16 as float32's."""
    bits = tl.load(values, mask=there, other=0)
    if brain:
        bits = bits.to(tl.int32) << 16
    return bits & magnitude


@triton.jit
def _as_double(bits: tl.tensor, floating: tl.constexpr) -> tl.tensor:
    return bits.to(floating, bitcast=True).to(tl.float64)


@triton.jit
def _told_apart(bits: tl.tensor, infinite: tl.constexpr) -> tl.tensor:
    """What is finite, zero in place of all else; and one for each NaN, and for each infinity."""
    finite = tl.where(bits < infinite, bits, 0).to(bits.dtype)
    return finite, (bits > infinite).to(tl.int32), (bits == infinite).to(tl.int32)


@triton.jit
def store_sums(
    sums: tl.tensor,
    units: tl.tensor,
    inside: tl.tensor,
    abs_sum: tl.tensor,
    square_sum: tl.tensor,
    abs_max: tl.tensor,
    nan: tl.tensor,
    infinity: tl.tensor,
) -> None:
    """Store the five rows of some units."""
    tl.store(sums, abs_sum, mask=inside)
    tl.store(sums + units, square_sum, mask=inside)
    tl.store(sums + 2 * units, abs_max, mask=inside)
    tl.store(sums + 3 * units, nan, mask=inside)
    tl.store(sums + 4 * units, infinity, mask=inside)


@triton.jit
def folded_chunks(
    parts: tl.tensor,
    units: tl.tensor,
    there: tl.tensor,
    halvings: tl.constexpr,
    width: tl.constexpr,
) -> tl.tensor:
    """The five rows from those of ``2 ** halvings`` chunks, where `there`: the others are zero."""
    abs_sum = tl.load(parts, mask=there, other=0.0)
    square_sum = tl.load(parts + units, mask=there, other=0.0)
    abs_max = tl.load(parts + 2 * units, mask=there, other=0.0)
    nan = tl.load(parts + 3 * units, mask=there, other=0.0)
    infinity = tl.load(parts + 4 * units, mask=there, other=0.0)
    return (
        _folded(abs_sum, halvings, width),
        _folded(square_sum, halvings, width),
        tl.max(abs_max, axis=0),
        tl.sum(nan, axis=0),  # counts, which any order adds alike
        tl.sum(infinity, axis=0),
    )


@triton.jit
def summed_probes(
    parts: tl.tensor,
    first: tl.tensor,
    beyond: tl.tensor,
    units: tl.tensor,
    inside: tl.tensor,
    halvings: tl.constexpr,
    width: tl.constexpr,
) -> tl.tensor:
    """The five rows from those of the probes of a chunk."""
    lane = tl.arange(0, _PROBE_LANES)
    abs_sum = tl.zeros([_PROBE_LANES, width], tl.float64)
    square_sum = tl.zeros([_PROBE_LANES, width], tl.float64)
    largest = tl.zeros([_PROBE_LANES, width], tl.float64)
    nan = tl.zeros([_PROBE_LANES, width], tl.float64)
    infinity = tl.zeros([_PROBE_LANES, width], tl.float64)
    for start in range(first, beyond, _PROBE_LANES):
        probe = start + lane
        there = (probe < beyond)[:, None] & inside[None, :]
        place = parts + probe[:, None].to(tl.int64) * _SUMS * units
        abs_sum += tl.load(place, mask=there, other=0.0)
        square_sum += tl.load(place + units, mask=there, other=0.0)
        largest = tl.maximum(largest, tl.load(place + 2 * units, mask=there, other=0.0))
        nan += tl.load(place + 3 * units, mask=there, other=0.0)
        infinity += tl.load(place + 4 * units, mask=there, other=0.0)
    return (
        _folded(abs_sum, halvings, width),
        _folded(square_sum, halvings, width),
        tl.max(largest, axis=0),
        tl.sum(nan, axis=0),
        tl.sum(infinity, axis=0),
    )


@triton.jit(do_not_specialize=["probes"])
def classify_rows(
    values: tl.tensor,
    edges: tl.tensor,
    bins: tl.tensor,
    sums: tl.tensor,
    probes: tl.tensor,
    units: tl.tensor,
    by_probe: tl.tensor,
    by_unit: tl.tensor,
    levels: tl.constexpr,
    magnitude: tl.constexpr,
    infinite: tl.constexpr,
    integer: tl.constexpr,
    floating: tl.constexpr,
    brain: tl.constexpr,
    halvings: tl.constexpr,
    width: tl.constexpr,
) -> None:
    """Bins of values (probes, units), and sums over each chunk of the probes.

    `bins` is of shape (probes, units), `sums` of (chunks, 5, units).
    """
    chunk = tl.program_id(1).to(tl.int64)
    unit = tl.program_id(0).to(tl.int64) * width + tl.arange(0, width)
    lane = tl.arange(0, _PROBE_LANES)
    inside = unit < units
    abs_sum = tl.zeros([_PROBE_LANES, width], tl.float64)
    square_sum = tl.zeros([_PROBE_LANES, width], tl.float64)
    largest = tl.zeros([_PROBE_LANES, width], integer)
    nan = tl.zeros([_PROBE_LANES, width], tl.int32)
    infinity = tl.zeros([_PROBE_LANES, width], tl.int32)
    for start in range(0, tl.minimum(probes - chunk * _CHUNK, _CHUNK), _PROBE_LANES):
        probe = chunk * _CHUNK + start + lane
        there = (probe < probes)[:, None] & inside[None, :]
        place = probe[:, None] * by_probe + unit[None, :] * by_unit
        bits = _magnitudes(values + place, there, magnitude, brain)
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
    abs_max = tl.max(largest, axis=0).to(integer)
    store_sums(
        sums + chunk * _SUMS * units + unit,
        units,
        inside,
        _folded(abs_sum, halvings, width),
        _folded(square_sum, halvings, width),
        _as_double(abs_max, floating),
        tl.sum(nan, axis=0).to(tl.float64),
        tl.sum(infinity, axis=0).to(tl.float64),
    )


@triton.jit(do_not_specialize=["positions", "chunks"])
def classify_positions(
    values: tl.tensor,
    edges: tl.tensor,
    bins: tl.tensor,
    sums: tl.tensor,
    positions: tl.tensor,
    units: tl.tensor,
    chunks: tl.tensor,
    by_probe: tl.tensor,
    by_position: tl.tensor,
    by_unit: tl.tensor,
    levels: tl.constexpr,
    magnitude: tl.constexpr,
    infinite: tl.constexpr,
    integer: tl.constexpr,
    floating: tl.constexpr,
    brain: tl.constexpr,
    halvings: tl.constexpr,
    width: tl.constexpr,
) -> None:
    """Bins and sums of each chunk of the positions of values (probes, positions, units).

    `bins` is of shape (probes, chunks, units), `sums` of (probes, chunks, 5, units).
    """
    row = tl.program_id(0).to(tl.int64)  # a chunk of a probe
    probe = row // chunks
    chunk = row % chunks
    unit = tl.program_id(1).to(tl.int64) * width + tl.arange(0, width)
    lane = tl.arange(0, _POSITION_LANES)
    inside = unit < units
    abs_sum = tl.zeros([_POSITION_LANES, width], tl.float64)
    square_sum = tl.zeros([_POSITION_LANES, width], tl.float64)
    most = tl.zeros([_POSITION_LANES, width], integer)
    most_finite = tl.zeros([_POSITION_LANES, width], integer)
    nan = tl.zeros([_POSITION_LANES, width], tl.int32)
    infinity = tl.zeros([_POSITION_LANES, width], tl.int32)
    for start in range(0, tl.minimum(positions - chunk * _CHUNK, _CHUNK), _POSITION_LANES):
        position = chunk * _CHUNK + start + lane
        there = (position < positions)[:, None] & inside[None, :]
        place = probe * by_probe + position[:, None] * by_position + unit[None, :] * by_unit
        bits = _magnitudes(values + place, there, magnitude, brain)
        most = tl.maximum(most, bits)
        finite, nans, infinities = _told_apart(bits, infinite)
        nan += nans
        infinity += infinities
        most_finite = tl.maximum(most_finite, finite)
        wide = _as_double(finite, floating)
        abs_sum += wide
        square_sum += wide * wide
    found = _located(tl.max(most, axis=0).to(integer), edges, levels)
    tl.store(bins + row * units + unit, found.to(bins.dtype.element_ty), mask=inside)
    abs_max = tl.max(most_finite, axis=0).to(integer)
    store_sums(
        sums + row * _SUMS * units + unit,
        units,
        inside,
        _folded(abs_sum, halvings, width),
        _folded(square_sum, halvings, width),
        _as_double(abs_max, floating),
        tl.sum(nan, axis=0).to(tl.float64),
        tl.sum(infinity, axis=0).to(tl.float64),
    )


@triton.jit(do_not_specialize=["chunks"])
def fold_chunks(
    chunk_bins: tl.tensor,
    parts: tl.tensor,
    bins: tl.tensor,
    sums: tl.tensor,
    units: tl.tensor,
    chunks: tl.tensor,
    binned: tl.constexpr,
    halvings: tl.constexpr,
    width: tl.constexpr,
) -> None:
    """Sums from those of chunks, of each row; and bins, where rows are `binned`.

    `parts` is of shape (rows, chunks, 5, units), `sums` of (rows, 5, units); `chunk_bins` of
    (rows, chunks, units), `bins` of (rows, units). Chunks are ``2 ** halvings`` at the most.
    """
    blocks = tl.cdiv(units, width)
    row = (tl.program_id(0) // blocks).to(tl.int64)
    unit = (tl.program_id(0) % blocks).to(tl.int64) * width + tl.arange(0, width)
    inside = unit < units
    chunk = tl.arange(0, 1 << halvings)[:, None]
    there = (chunk < chunks) & inside[None, :]
    place = row * chunks + chunk
    from_parts = parts + place * _SUMS * units + unit[None, :]
    abs_sum, square_sum, abs_max, nan, infinity = folded_chunks(
        from_parts, units, there, halvings, width
    )
    to = sums + row * _SUMS * units + unit
    store_sums(to, units, inside, abs_sum, square_sum, abs_max, nan, infinity)
    if binned:  # the largest magnitude is in the largest bin
        found = tl.load(chunk_bins + place * units + unit[None, :], mask=there, other=0)
        found = tl.max(found.to(tl.int32), axis=0)
        tl.store(bins + row * units + unit, found.to(bins.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=["probes"])
def sum_probes(
    parts: tl.tensor,
    sums: tl.tensor,
    probes: tl.tensor,
    units: tl.tensor,
    halvings: tl.constexpr,
    width: tl.constexpr,
) -> None:
    """Sums over each chunk of probes: `parts` (probes, 5, units), `sums` (chunks, 5, units)."""
    chunk = tl.program_id(1).to(tl.int64)
    unit = tl.program_id(0).to(tl.int64) * width + tl.arange(0, width)
    inside = unit < units
    first = chunk * _CHUNK
    abs_sum, square_sum, abs_max, nan, infinity = summed_probes(
        parts + unit[None, :],
        first,
        tl.minimum(first + _CHUNK, probes),
        units,
        inside,
        halvings,
        width,
    )
    to = sums + chunk * _SUMS * units + unit
    store_sums(to, units, inside, abs_sum, square_sum, abs_max, nan, infinity)
