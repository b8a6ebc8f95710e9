"""Kernels of Triton that add some batches of all layers of a group, in two launches.

What differs from layer to layer is in a table on the device, a row of `FIELDS` for each; `layers`
has for each program the layer it is for. Batches wait in slots, which are taken in turn: the first
of them is at `first_slot`, and after the last slot comes slot 0.
"""

from __future__ import annotations

from typing import Final

import triton
import triton.language as tl

from iua_widget.engines.device.triton_adding import (
    add_moments,
    add_squares,
    count_units,
    histogram_of,
    note_odd,
)
from iua_widget.engines.device.triton_kernels import SUMS, folded_chunks, store_sums, summed_probes

FIELDS: Final = (
    # Addresses of what waits, and from one slot to the next: see `triton_kernels`. Parts are sums
    # of chunks, of each probe's positions where these have several; then they are folded first.
    "bins", "bins_by_slot", "parts", "parts_by_slot", "sums", "sums_by_slot",
    "histogram",  # int32, shape (slots, probes, cells), zero before and after
    # Addresses of the counters: see `DeviceCounters`.
    "counts", "place", "highest", "counter_sums", "largest", "odd", "moments", "first_odd",
    # Which column of each probe's inactive units is kept, -1 for none; from where on in a batch.
    "kept_column", "kept_from",
    "probes", "units",
    "chunks",  # of the probes; not used where there are positions
    "position_chunks",  # 0 where there are no positions
    # Which program is the layer's first, in each of the two launches.
    "first_that_counts", "first_that_adds",
    # Of those that count, how many see to units; how many to the histogram of a probe, in steps.
    "for_units", "for_a_probe", "steps",
)  # fmt: skip
"""Of 64 bits each."""

_ROWS_AT_ONCE = tl.constexpr(2)  # few, for few registers
_SUMS = tl.constexpr(SUMS)
_FIELDS = tl.constexpr(len(FIELDS))
_BINS = tl.constexpr(FIELDS.index("bins"))
_BINS_BY_SLOT = tl.constexpr(FIELDS.index("bins_by_slot"))
_PARTS = tl.constexpr(FIELDS.index("parts"))
_PARTS_BY_SLOT = tl.constexpr(FIELDS.index("parts_by_slot"))
_SUMS_OF = tl.constexpr(FIELDS.index("sums"))
_SUMS_BY_SLOT = tl.constexpr(FIELDS.index("sums_by_slot"))
_HISTOGRAM = tl.constexpr(FIELDS.index("histogram"))
_COUNTS = tl.constexpr(FIELDS.index("counts"))
_PLACE = tl.constexpr(FIELDS.index("place"))
_HIGHEST = tl.constexpr(FIELDS.index("highest"))
_COUNTER_SUMS = tl.constexpr(FIELDS.index("counter_sums"))
_LARGEST = tl.constexpr(FIELDS.index("largest"))
_ODD = tl.constexpr(FIELDS.index("odd"))
_MOMENTS = tl.constexpr(FIELDS.index("moments"))
_FIRST_ODD = tl.constexpr(FIELDS.index("first_odd"))
_KEPT_COLUMN = tl.constexpr(FIELDS.index("kept_column"))
_KEPT_FROM = tl.constexpr(FIELDS.index("kept_from"))
_PROBES = tl.constexpr(FIELDS.index("probes"))
_UNITS = tl.constexpr(FIELDS.index("units"))
_CHUNKS = tl.constexpr(FIELDS.index("chunks"))
_POSITION_CHUNKS = tl.constexpr(FIELDS.index("position_chunks"))
_FIRST_THAT_COUNTS = tl.constexpr(FIELDS.index("first_that_counts"))
_FIRST_THAT_ADDS = tl.constexpr(FIELDS.index("first_that_adds"))
_FOR_UNITS = tl.constexpr(FIELDS.index("for_units"))
_FOR_A_PROBE = tl.constexpr(FIELDS.index("for_a_probe"))
_STEPS = tl.constexpr(FIELDS.index("steps"))


@triton.jit
def _array(row: tl.tensor, field: tl.constexpr, element: tl.constexpr) -> tl.tensor:
    """What lies at the address in a field."""
    return tl.multiple_of(tl.load(row + field).to(tl.pointer_type(element)), 16)


@triton.jit
def _rounded(row: tl.tensor, field: tl.constexpr) -> tl.tensor:
    """The number in a field, which is a multiple of 16, as the compiler may know."""
    return tl.multiple_of(tl.load(row + field), 16)


@triton.jit
def _units_of(row: tl.tensor, aligned: tl.constexpr) -> tl.tensor:
    units = tl.load(row + _UNITS)
    if aligned:
        units = tl.multiple_of(units, 16)
    return units


@triton.jit(do_not_specialize=["first_slot", "slots", "columns"])
def count_batches(
    first_slot: tl.tensor,
    table: tl.tensor,
    layers: tl.tensor,
    slots: tl.tensor,
    columns: tl.tensor,
    bin_type: tl.constexpr,
    aligned: tl.constexpr,
    cells: tl.constexpr,
    halvings: tl.constexpr,
    fold_width: tl.constexpr,
    rows: tl.constexpr,
    width: tl.constexpr,
    histogram_width: tl.constexpr,
) -> None:
    """Count the bins of each unit, and those of each probe; a batch each along the second axis.

    A program is for `width` units and `rows` probes, or for `histogram_width` units at a time of
    one probe. Where positions have several chunks, ``2 ** halvings`` at the most, they are folded:
    a program is for `fold_width` units of one probe.
    """
    row = table + tl.load(layers + tl.program_id(0)).to(tl.int64) * _FIELDS
    program = tl.program_id(0) - tl.load(row + _FIRST_THAT_COUNTS)
    slot = ((first_slot + tl.program_id(1)) % slots).to(tl.int64)
    probes = tl.load(row + _PROBES)
    units = _units_of(row, aligned)
    chunks = tl.load(row + _POSITION_CHUNKS)
    bins = _array(row, _BINS, bin_type) + slot * _rounded(row, _BINS_BY_SLOT)
    histogram = _array(row, _HISTOGRAM, tl.int32) + slot * probes * cells
    counts = _array(row, _COUNTS, tl.int32)
    place = _array(row, _PLACE, tl.int64)
    highest = _array(row, _HIGHEST, tl.int32)
    for_units = tl.load(row + _FOR_UNITS)
    if chunks > 1:
        blocks = tl.cdiv(units, fold_width)
        probe = program // blocks
        unit = program % blocks * fold_width + tl.arange(0, fold_width)
        inside = unit < units
        chunk = tl.arange(0, 1 << halvings)[:, None]
        there = (chunk < chunks) & inside[None, :]
        part = probe * chunks + chunk
        parts = _array(row, _PARTS, tl.float64) + slot * _rounded(row, _PARTS_BY_SLOT)
        parts += part * _SUMS * units + unit[None, :]
        sums = _array(row, _SUMS_OF, tl.float64) + slot * _rounded(row, _SUMS_BY_SLOT)
        sums += probe * _SUMS * units + unit
        abs_sum, square_sum, abs_max, nan, infinity = folded_chunks(
            parts, units, there, halvings, fold_width
        )
        store_sums(sums, units, inside, abs_sum, square_sum, abs_max, nan, infinity)
        found = tl.load(bins + part * units + unit[None, :], mask=there, other=0)
        found = tl.max(found.to(tl.int32), axis=0)  # the largest magnitude is in the largest bin
        one = tl.full([fold_width], 1, tl.int32)
        to = counts + tl.load(place + found) * units + unit
        tl.atomic_add(to, one, mask=inside, sem="relaxed")
        finite = inside & (found < columns)
        tl.atomic_max(highest + unit, found, mask=finite, sem="relaxed")
        tl.atomic_add(histogram + probe * cells + found, one, mask=finite, sem="relaxed")
    elif program < for_units:
        blocks = tl.cdiv(units, width)
        first = program // blocks * rows
        unit = program % blocks * width + tl.arange(0, width)
        count_units(
            bins,
            counts,
            place,
            highest,
            first,
            tl.minimum(first + rows, probes),
            unit,
            units,
            columns,
            placed=True,
            width=width,
        )
    else:
        programs = tl.load(row + _FOR_A_PROBE)
        steps = tl.load(row + _STEPS)
        probe = (program - for_units) // programs
        first = (program - for_units) % programs * steps * histogram_width
        of_probe = bins + probe * units
        total = histogram_of(of_probe, first, steps, units, cells, histogram_width)
        column = tl.arange(0, cells)
        some = (column < columns) & (total > 0)
        tl.atomic_add(histogram + probe * cells + column, total, mask=some, sem="relaxed")


@triton.jit
def _summed(
    sums: tl.tensor,
    of_positions: tl.tensor,
    probes: tl.tensor,
    chunks: tl.tensor,
    units: tl.tensor,
    inside: tl.tensor,
    positions: tl.constexpr,
    halvings: tl.constexpr,
    probe_halvings: tl.constexpr,
    width: tl.constexpr,
) -> tl.tensor:
    """The five rows of some units over all probes of a batch."""
    chunk = tl.arange(0, 1 << halvings)[:, None]
    there = (chunk < chunks) & inside[None, :]
    of_chunks = sums + chunk.to(tl.int64) * _SUMS * units
    if positions:
        if of_positions > 0:
            five = summed_probes(sums, 0, probes, units, inside, probe_halvings, width)
        else:
            five = folded_chunks(of_chunks, units, there, halvings, width)
    else:
        five = folded_chunks(of_chunks, units, there, halvings, width)
    return five


@triton.jit(
    do_not_specialize=[
        "first_slot",
        "batches",
        "number",
        "kept_at",
        "kept_by_batch",
        "slots",
        "columns",
    ]
)
def add_batches(  # noqa: PLR0915  (one launch does it all)
    first_slot: tl.tensor,
    batches: tl.tensor,
    number: tl.tensor,
    kept_at: tl.tensor,
    table: tl.tensor,
    layers: tl.tensor,
    kept: tl.tensor,
    kept_by_batch: tl.tensor,
    slots: tl.tensor,
    columns: tl.tensor,
    aligned: tl.constexpr,
    positions: tl.constexpr,
    cells: tl.constexpr,
    halvings: tl.constexpr,
    probe_halvings: tl.constexpr,
    rows: tl.constexpr,
    width: tl.constexpr,
) -> None:
    """Add sums and histograms of batches, the first of them the `number`-th, one after the other.

    A program is for the sums of `width` units, or for the histograms of `rows` probes of each
    batch, which are zero afterwards; their inactive units at one column go to `kept`, of shape
    (batches, probes of all layers), after those of `kept_at` batches.
    """
    layer = table + tl.load(layers + tl.program_id(0)).to(tl.int64) * _FIELDS
    program = tl.program_id(0) - tl.load(layer + _FIRST_THAT_ADDS)
    probes = tl.load(layer + _PROBES)
    units = _units_of(layer, aligned)
    blocks = tl.cdiv(units, width)
    if program < blocks:
        unit = program * width + tl.arange(0, width)
        inside = unit < units
        sums = _array(layer, _SUMS_OF, tl.float64)
        by_slot = _rounded(layer, _SUMS_BY_SLOT)
        chunks = tl.load(layer + _CHUNKS)
        of_positions = tl.load(layer + _POSITION_CHUNKS)
        for_sums = _array(layer, _COUNTER_SUMS, tl.float64) + unit
        for_largest = _array(layer, _LARGEST, tl.float64) + unit
        odd = _array(layer, _ODD, tl.int64)
        first_odd = _array(layer, _FIRST_ODD, tl.int32)
        all_abs = tl.load(for_sums, mask=inside, other=0.0)
        all_squares = tl.load(for_sums + units, mask=inside, other=0.0)
        largest = tl.load(for_largest, mask=inside, other=0.0)
        for batch in range(batches):
            slot = ((first_slot + batch) % slots).to(tl.int64)
            abs_sum, square_sum, abs_max, nan, infinity = _summed(
                sums + slot * by_slot + unit[None, :],
                of_positions,
                probes,
                chunks,
                units,
                inside,
                positions,
                halvings,
                probe_halvings,
                width,
            )
            all_abs += abs_sum
            all_squares += square_sum
            largest = tl.maximum(largest, abs_max)
            nans = nan.to(tl.int64)
            infinities = infinity.to(tl.int64)
            note_odd(odd, first_odd, unit, units, nans, infinities, number + batch, width)
        tl.store(for_sums, all_abs, mask=inside)
        tl.store(for_sums + units, all_squares, mask=inside)
        tl.store(for_largest, largest, mask=inside)
    else:
        first = (program - blocks) * rows
        beyond = tl.minimum(first + rows, probes)
        histogram = _array(layer, _HISTOGRAM, tl.int32)
        kept_column = tl.load(layer + _KEPT_COLUMN)
        to_kept = kept + tl.load(layer + _KEPT_FROM)
        column = tl.arange(0, cells)
        total = tl.zeros([cells], tl.int64)
        low = tl.zeros([cells], tl.int64)
        high = tl.zeros([cells], tl.int64)
        for batch in range(batches):
            slot = ((first_slot + batch) % slots).to(tl.int64)
            for start in range(first, beyond, _ROWS_AT_ONCE):
                probe = start + tl.arange(0, _ROWS_AT_ONCE)
                here = probe < beyond
                there = here[:, None] & (column < columns)[None, :]
                at = histogram + (slot * probes + probe[:, None]) * cells + column[None, :]
                found = tl.load(at, mask=there, other=0)
                tl.store(at, tl.zeros([_ROWS_AT_ONCE, cells], tl.int32), mask=there)
                many = tl.cumsum(found.to(tl.int64), axis=1)
                total, low, high = add_squares(many, total, low, high)
                if kept_column >= 0:
                    of_column = tl.where(column[None, :] == kept_column, many, 0)
                    to = to_kept + (kept_at + batch).to(tl.int64) * kept_by_batch + probe
                    tl.store(to, tl.sum(of_column, axis=1), mask=here)
        moments = _array(layer, _MOMENTS, tl.int64)
        add_moments(moments, total, low, high, columns, cells)
