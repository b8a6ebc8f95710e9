"""The launches of Triton's kernels for one layer: what each is given, and how many programs."""

from __future__ import annotations

import functools
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

import torch
import triton
import triton.language as tl

from iua_widget.engines.device import triton_adding, triton_kernels
from iua_widget.engines.device.bits import infinity_bits, magnitude_mask
from iua_widget.engines.device.blocks import Blocks
from iua_widget.engines.device.counters import MOST_SQUARES, DeviceCounters
from iua_widget.engines.device.edges import DeviceEdges
from iua_widget.engines.device.prepared import Launch
from iua_widget.engines.device_batch import DeviceBatch
from iua_widget.engines.engine import POSITION_LANES, PROBE_LANES

_NUMBERS: Final = {
    torch.float16: (tl.int16, tl.float16),
    torch.float32: (tl.int32, tl.float32),
    torch.float64: (tl.int64, tl.float64),
}
BIN_TYPES: Final = {torch.uint8: tl.uint8, torch.int16: tl.int16, torch.int32: tl.int32}
_MOST_COLUMNS: Final = 1000
_MOST_CHUNKS: Final = 256
"""Above, a program would hold more than its registers do."""

_MOST_PROGRAMS: Final = 2**16 - 1
"""Along the second axis of a grid, by CUDA."""

_MOST_ENTRIES: Final = 2**31 - 1
"""Responses of a unit, of which so many may be NaN."""

_PART_BYTES: Final = triton_kernels.SUMS * 8
_MOST_BETWEEN: Final = 2**28
"""Bytes of the sums of each probe's positions, unless the responses take more than that."""

_PROGRAMS: Final = 1024
"""How many keep a GPU busy."""

_FEW_UNITS: Final = 2**15
"""Units, times the chunks of their probes, of which wide programs would be too few."""

WIDTH, _NARROW = 64, 32
"""Units of a program that takes rows: of many units, and of few."""

_MAP_WIDTH: Final = 16
"""Units of a program that takes maps."""

_WARPS: Final = 4
"""Threads of a program, in groups of 32, unless one group does better."""

ROWS: Final = 64
"""Probes of a program that counts."""

HISTOGRAM_WIDTH: Final = 1024
"""Units of which a program counts a histogram at once."""


def batch_of(blocks: Blocks, bins: torch.Tensor, sums: torch.Tensor, columns: int) -> DeviceBatch:
    """The batch of a layer that `classifying` has classified, in a few launches more."""
    bins, sums = _whole_probes(blocks, bins, sums)
    return DeviceBatch(
        bins=bins,
        inactive=_inactive(bins, columns),
        abs_sum=sums[0],
        square_sum=sums[1],
        abs_max=sums[2],
        nan_count=sums[3],
        infinite_count=sums[4],
        entries=blocks.probes * blocks.positions,
    )


def takes(blocks: Blocks, columns: int) -> bool:
    """Whether the kernels can classify such responses into so many bins."""
    between = 0 if blocks.rows else _PART_BYTES * blocks.parts * blocks.units
    size = blocks.probes * blocks.positions * blocks.units
    return bool(
        size
        and columns <= _MOST_COLUMNS
        and max(blocks.chunks, blocks.position_chunks) <= _MOST_CHUNKS
        and (blocks.rows or triton.cdiv(blocks.units, _MAP_WIDTH) <= _MOST_PROGRAMS)
        and blocks.probes * blocks.positions <= _MOST_ENTRIES
        and between <= max(_MOST_BETWEEN, size * blocks.dtype.itemsize)
    )


def bins_shape(blocks: Blocks) -> tuple[int, ...]:
    """Of the bins that classifying finds: (probes, units), or those of each chunk of positions."""
    return (
        *((blocks.probes,) if blocks.rows else (blocks.probes, blocks.position_chunks)),
        blocks.units,
    )


def classifying(
    blocks: Blocks, edges: DeviceEdges, bins: torch.Tensor, sums: torch.Tensor
) -> Launch:
    """The launch that classifies such responses; its first argument are their bits.

    Parameters
    ----------
    blocks : Blocks
    edges : DeviceEdges
        In the dtype of the responses; of bfloat16 in float32.
    bins : torch.Tensor, shape `bins_shape`
    sums : torch.Tensor of float64, shape (parts, 5, units)
    """
    chunks, width, warps = blocks.chunks, _MAP_WIDTH, _WARPS
    if blocks.rows:
        many = blocks.units * chunks > _FEW_UNITS
        width = WIDTH if many else _NARROW
        warps = 1 if many and chunks == 1 else _WARPS
        kernel, lanes = triton_kernels.classify_rows, PROBE_LANES
        grid = triton.cdiv(blocks.units, width), chunks
        strides: tuple[int, ...] = blocks.probes, blocks.units, blocks.by_probe, blocks.by_unit
    else:
        warps = 1 if blocks.positions <= POSITION_LANES else _WARPS
        kernel, lanes = triton_kernels.classify_positions, POSITION_LANES
        grid = blocks.parts, triton.cdiv(blocks.units, width)
        sizes = blocks.positions, blocks.units, blocks.position_chunks
        strides = (*sizes, blocks.by_probe, blocks.by_position, blocks.by_unit)
    options = {"width": width, "num_warps": warps}
    constants = _constants(blocks.wide, edges.levels, lanes, brain=blocks.wide != blocks.dtype)
    return Launch(kernel, grid, (edges.table, bins, sums, *strides), constants | options)


@functools.lru_cache(maxsize=64)
def _constants(wide: torch.dtype, levels: int, lanes: int, *, brain: bool) -> dict[str, Any]:
    integer, floating = _NUMBERS[wide]
    return {
        "levels": levels,
        "magnitude": magnitude_mask(wide),
        "infinite": infinity_bits(wide),
        "integer": integer,
        "floating": floating,
        "brain": brain,
        "halvings": halvings(lanes),
        "enable_fp_fusion": False,
    }


def adds(probes: int, counters: DeviceCounters) -> bool:
    """Whether the kernels can add so many probes."""
    columns = counters.moments.shape[1]
    return columns <= _MOST_COLUMNS and probes <= min(MOST_SQUARES, ROWS * _MOST_PROGRAMS)


def add(batch: DeviceBatch, counters: DeviceCounters) -> None:
    """Launch what adds a batch of a layer to its counters."""
    probes, units = batch.bins.shape
    counters.expect_squares(probes)
    columns = batch.inactive.shape[1]
    grid = triton.cdiv(units, WIDTH) + 1, triton.cdiv(probes, ROWS)
    with on_device_of(batch.bins):
        triton_adding.add_batch[grid](
            batch.bins,
            batch.inactive,
            batch.abs_sum,
            batch.square_sum,
            batch.abs_max,
            batch.nan_count,
            batch.infinite_count,
            counters.counts,
            counters.counts if counters.place is None else counters.place,
            counters.highest,
            counters.sums,
            counters.abs_max,
            counters.odd,
            counters.moments,
            counters.first_odd,
            counters.batch,
            probes,
            units,
            columns,
            placed=counters.place is not None,
            cells=triton.next_power_of_2(columns),
            rows=ROWS,
            width=WIDTH,
            enable_fp_fusion=False,
        )


def halvings(entries: int) -> int:
    """How often so many are halved until one is left."""
    return (entries - 1).bit_length()


def fold_width(chunks: int, at_once: int = 1024) -> int:
    """Units of a program that folds so many chunks."""
    return max(_MAP_WIDTH, at_once >> halvings(chunks))


def histogram_steps(probes: int, units: int) -> tuple[int, int]:
    """How many programs count the histogram of a probe, and in how many steps each."""
    wanted = min(triton.cdiv(units, HISTOGRAM_WIDTH), max(1, _PROGRAMS // probes))
    steps = triton.cdiv(units, HISTOGRAM_WIDTH * wanted)
    return triton.cdiv(units, HISTOGRAM_WIDTH * steps), steps


def on_device_of(tensor: torch.Tensor) -> AbstractContextManager[None]:
    """Triton launches on the current device."""
    if not tensor.is_cuda or tensor.device.index == torch.cuda.current_device():
        return nullcontext()
    guard: AbstractContextManager[None] = torch.cuda.device_of(tensor)  # type: ignore[no-untyped-call]
    return guard


def _whole_probes(
    blocks: Blocks, bins: torch.Tensor, sums: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Bins of shape (probes, units) and sums of shape (5, units), from those of chunks."""
    units = blocks.units
    if not blocks.rows:
        bins, sums = _folded(bins.view(blocks.probes, -1, units), sums, blocks.probes)
        parts, sums = sums, sums.new_empty((blocks.chunks, triton_kernels.SUMS, units))
        triton_kernels.sum_probes[triton.cdiv(units, _NARROW), blocks.chunks](
            parts,
            sums,
            blocks.probes,
            units,
            halvings=halvings(PROBE_LANES),
            width=_NARROW,
            enable_fp_fusion=False,
        )
    return bins, _folded(None, sums, 1)[1][0]


def _folded(
    chunk_bins: torch.Tensor | None, parts: torch.Tensor, rows: int
) -> tuple[Any, torch.Tensor]:
    """Bins of shape (rows, units) and sums of shape (rows, 5, units)."""
    chunks, units = len(parts) // rows, parts.shape[2]
    if chunks == 1:
        return None if chunk_bins is None else chunk_bins[:, 0], parts
    sums = parts.new_empty((rows, triton_kernels.SUMS, units))
    bins = None if chunk_bins is None else chunk_bins.new_empty((rows, units))
    width = fold_width(chunks)
    triton_kernels.fold_chunks[rows * triton.cdiv(units, width),](
        parts if chunk_bins is None else chunk_bins,
        parts,
        parts if bins is None else bins,
        sums,
        units,
        chunks,
        binned=bins is not None,
        halvings=halvings(chunks),
        width=width,
        enable_fp_fusion=False,
    )
    return bins, sums


def _inactive(bins: torch.Tensor, columns: int) -> torch.Tensor:
    """Units of each probe in bins up to each column: shape (probes, columns)."""
    probes, units = bins.shape
    programs, steps = histogram_steps(probes, units)
    make = bins.new_empty if programs == 1 else bins.new_zeros
    inactive = make((probes, columns), dtype=torch.int64)
    triton_adding.count_inactive[probes, programs](
        bins,
        inactive,
        units,
        columns,
        steps,
        alone=programs == 1,
        cells=cells_of(columns),
        width=HISTOGRAM_WIDTH,
        enable_fp_fusion=False,
    )
    return inactive


def cells_of(columns: int) -> int:
    """Of a histogram: a power of two above all bins."""
    return max(64, int(triton.next_power_of_2(columns + 2)))
