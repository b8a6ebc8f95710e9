"""Kernels of Triton that add a classified batch to the counters of a layer."""

from __future__ import annotations

import triton
import triton.language as tl

from iua_widget.engines.engine import LIMB_BITS, LIMB_MASK

_LIMB_BITS = tl.constexpr(LIMB_BITS)
_LIMB_MASK = tl.constexpr(LIMB_MASK)
_ROWS_AT_ONCE = tl.constexpr(8)


@triton.jit
def histogram_of(
    bins: tl.tensor,
    first: tl.tensor,
    steps: tl.tensor,
    units: tl.tensor,
    cells: tl.constexpr,
    width: tl.constexpr,
) -> tl.tensor:
    """How many of the bins of a probe are each, from a unit on, in so many steps of `width`.

    Of the `cells`, a power of two above the bins, the last is for what is beyond the units.
    """
    total = tl.zeros([cells], tl.int32)
    for step in range(steps):
        unit = first + step * width + tl.arange(0, width)
        found = tl.load(bins + unit, mask=unit < units, other=0).to(tl.int32)
        total += tl.histogram(tl.where(unit < units, found, cells - 1), cells)
    return total


@triton.jit
def count_units(
    bins: tl.tensor,
    counts: tl.tensor,
    place: tl.tensor,
    highest: tl.tensor,
    first: tl.tensor,
    beyond: tl.tensor,
    unit: tl.tensor,
    units: tl.tensor,
    columns: tl.tensor,
    placed: tl.constexpr,
    width: tl.constexpr,
) -> None:
    """Add one to the counter of each bin that some units have on some probes."""
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


@triton.jit
def note_odd(
    odd: tl.tensor,
    first_odd: tl.tensor,
    unit: tl.tensor,
    units: tl.tensor,
    nans: tl.tensor,
    infinities: tl.tensor,
    batch: tl.tensor,
    width: tl.constexpr,
) -> None:
    """Add how many responses of some units were NaN, and infinite; nearly always none were."""
    inside = unit < units
    some = inside & (nans > 0)
    tl.store(odd + unit, tl.load(odd + unit, mask=some) + nans, mask=some)
    of_unit = odd + units + unit
    some = inside & (infinities > 0)
    tl.store(of_unit, tl.load(of_unit, mask=some) + infinities, mask=some)
    some = inside & ((nans > 0) | (infinities > 0))
    nothing = tl.zeros([width], tl.int32)
    tl.atomic_min(first_odd + nothing, nothing + batch, mask=some, sem="relaxed")


@triton.jit
def add_squares(many: tl.tensor, total: tl.tensor, low: tl.tensor, high: tl.tensor) -> tl.tensor:
    """Add the inactive units of some probes, shape (probes, cells), and their squares' limbs."""
    squares = many * many
    return (
        total + tl.sum(many, axis=0),
        low + tl.sum(squares & _LIMB_MASK, axis=0),
        high + tl.sum(squares >> _LIMB_BITS, axis=0),
    )


@triton.jit
def add_moments(
    moments: tl.tensor,
    total: tl.tensor,
    low: tl.tensor,
    high: tl.tensor,
    columns: tl.tensor,
    cells: tl.constexpr,
) -> None:
    """Add the three sums over some probes to those of all."""
    column = tl.arange(0, cells)
    known = column < columns
    tl.atomic_add(moments + column, total, mask=known, sem="relaxed")
    tl.atomic_add(moments + columns + column, low, mask=known, sem="relaxed")
    tl.atomic_add(moments + 2 * columns + column, high, mask=known, sem="relaxed")


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
    """Units of each probe in bins up to each column: `inactive` is of shape (probes, columns).

    Unless a program is `alone` with a probe, it is added to.
    """
    probe = tl.program_id(0).to(tl.int64)
    first = tl.program_id(1).to(tl.int64) * steps * width
    total = histogram_of(bins + probe * units, first, steps, units, cells, width)
    column = tl.arange(0, cells)
    to = inactive + probe * columns + column
    up_to = tl.cumsum(total.to(tl.int64), axis=0)
    if alone:
        tl.store(to, up_to, mask=column < columns)
    else:
        tl.atomic_add(to, up_to, mask=column < columns, sem="relaxed")


@triton.jit(do_not_specialize=["batch", "probes", "columns"])
def add_batch(
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
        count_units(
            bins, counts, place, highest, first, beyond, unit, units, columns, placed, width
        )
        if tl.program_id(1) == 0:
            inside = unit < units
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
            infinities = tl.load(infinity + unit, mask=inside, other=0).to(tl.int64)
            note_odd(odd, first_odd, unit, units, nans, infinities, batch, width)
    else:
        column = tl.arange(0, cells)
        total = tl.zeros([cells], tl.int64)
        low = tl.zeros([cells], tl.int64)
        high = tl.zeros([cells], tl.int64)
        for start in range(first, beyond, _ROWS_AT_ONCE):
            probe = start + tl.arange(0, _ROWS_AT_ONCE)
            there = (probe < beyond)[:, None] & (column < columns)[None, :]
            at = inactive + probe[:, None] * columns + column[None, :]
            total, low, high = add_squares(tl.load(at, mask=there, other=0), total, low, high)
        add_moments(moments, total, low, high, columns, cells)
