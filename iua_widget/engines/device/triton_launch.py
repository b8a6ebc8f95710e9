"""Counting on a GPU by fused kernels of Triton, in a few launches a layer.

PyTorch's operations take hundreds, and of most layers' size a GPU is done with each of them before
the next can be launched.
"""

from __future__ import annotations

import functools
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

import torch
import triton
import triton.language as tl

from iua_widget.engines.device import triton_kernels as kernels
from iua_widget.engines.device.bits import INTEGERS, infinity_bits, magnitude_mask
from iua_widget.engines.device.counters import MOST_SQUARES, DeviceCounters
from iua_widget.engines.device.edges import DeviceEdges
from iua_widget.engines.device.torch_kernels import TorchKernels
from iua_widget.engines.device_batch import DeviceBatch
from iua_widget.engines.engine import CHUNK, POSITION_LANES, PROBE_LANES

_FLOATING: Final = {
    torch.float16: tl.float16,
    torch.float32: tl.float32,
    torch.float64: tl.float64,
}
_MOST_COLUMNS: Final = 1000
_MOST_CHUNKS: Final = 256
"""Above, a program would hold more than its registers do."""

_MOST_PROGRAMS: Final = 2**16 - 1
"""Along the second axis of a grid, by CUDA."""

_MOST_ENTRIES: Final = 2**31 - 1
"""Responses of a unit, of which so many may be NaN."""

_PART_BYTES: Final = 3 * 8
_MOST_BETWEEN: Final = 2**28
"""Bytes of the sums of each probe's positions, unless the responses take more than that."""

_PROGRAMS: Final = 1024
"""How many keep a GPU busy."""

_FEW_UNITS: Final = 2**15
"""Units, times the chunks of their probes, of which wide programs would be too few."""

_WIDTH, _NARROW = 64, 32
"""Units of a program that takes rows: of many units, and of few."""

_MAP_WIDTH: Final = 16
"""Units of a program that takes maps."""

_WARPS: Final = 4
"""Threads of a program, in groups of 32, unless one group does better."""

_ROWS: Final = 64
"""Probes of a program that counts."""


class TritonKernels:
    """`DeviceKernels` by Triton; what its kernels cannot take, PyTorch's operations do."""

    def __init__(self) -> None:
        self._otherwise = TorchKernels()

    def classify(self, values: torch.Tensor, edges: DeviceEdges) -> DeviceBatch:
        """Sort magnitudes into bins; see `DeviceKernels.classify`."""
        probes, positions, units = values.shape
        between = 0 if positions == 1 else _PART_BYTES * probes * _chunks(positions) * units
        if (
            not values.numel()
            or edges.columns > _MOST_COLUMNS
            or max(_chunks(probes), _chunks(positions)) > _MOST_CHUNKS
            or (positions > 1 and triton.cdiv(units, _MAP_WIDTH) > _MOST_PROGRAMS)
            or probes * positions > _MOST_ENTRIES
            or between > max(_MOST_BETWEEN, values.nbytes)
        ):
            return self._otherwise.classify(values, edges)
        with _current(values):
            bins = values.new_empty((probes, units), dtype=edges.bins)
            classify = _classify_rows if positions == 1 else _classify_positions
            sums, odd = classify(values, edges, bins)
            return DeviceBatch(
                bins=bins,
                inactive=_inactive(bins, edges.columns),
                abs_sum=sums[0],
                square_sum=sums[1],
                abs_max=sums[2],
                nan_count=odd[0],
                infinite_count=odd[1],
                entries=probes * positions,
            )

    def reserve(self, probes: int, counters: DeviceCounters) -> None:
        """Nothing: `add` takes no memory; see `DeviceKernels.reserve`."""
        if not _takes(probes, counters):
            self._otherwise.reserve(probes, counters)

    def add(self, batch: DeviceBatch, counters: DeviceCounters) -> None:
        """Count a batch; see `DeviceKernels.add`."""
        probes, units = batch.bins.shape
        if not (units and _takes(probes, counters)):
            self._otherwise.add(batch, counters)
            return
        counters.expect_squares(probes)
        columns = batch.inactive.shape[1]
        grid = triton.cdiv(units, _WIDTH) + 1, triton.cdiv(probes, _ROWS)
        with _current(batch.bins):
            kernels.add_batch[grid](
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
                rows=_ROWS,
                width=_WIDTH,
                enable_fp_fusion=False,
            )


def _current(tensor: torch.Tensor) -> AbstractContextManager[None]:
    """Triton launches on the current device."""
    if not tensor.is_cuda or tensor.device.index == torch.cuda.current_device():
        return nullcontext()
    guard: AbstractContextManager[None] = torch.cuda.device_of(tensor)  # type: ignore[no-untyped-call]
    return guard


def _takes(probes: int, counters: DeviceCounters) -> bool:
    columns = counters.moments.shape[1]
    return columns <= _MOST_COLUMNS and probes <= min(MOST_SQUARES, _ROWS * _MOST_PROGRAMS)


def _chunks(entries: int) -> int:
    return -(-entries // CHUNK)


def _halvings(entries: int) -> int:
    return (entries - 1).bit_length()


def _fold_width(chunks: int) -> int:
    """Units of a program that folds so many chunks."""
    return max(_MAP_WIDTH, 1024 >> _halvings(chunks))


@functools.lru_cache(maxsize=64)
def _constants(dtype: torch.dtype, levels: int, lanes: int) -> dict[str, Any]:
    return {
        "levels": levels,
        "magnitude": magnitude_mask(dtype),
        "infinite": infinity_bits(dtype),
        "floating": _FLOATING[dtype],
        "halvings": _halvings(lanes),
        "enable_fp_fusion": False,
    }


def _classify_rows(
    values: torch.Tensor, edges: DeviceEdges, bins: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    probes, _, units = values.shape
    chunks = _chunks(probes)
    sums = values.new_empty((chunks, 3, units), dtype=torch.float64)
    odd = values.new_empty((chunks, 2, units), dtype=torch.int32)
    many = units * chunks > _FEW_UNITS
    width = _WIDTH if many else _NARROW
    kernels.classify_rows[triton.cdiv(units, width), chunks](
        values.view(INTEGERS[values.dtype]),
        edges.table,
        bins,
        sums,
        odd,
        probes,
        units,
        values.stride(0),
        values.stride(2),
        width=width,
        num_warps=1 if many and chunks == 1 else _WARPS,
        **_constants(values.dtype, edges.levels, PROBE_LANES),
    )
    return _folded(sums), odd[0] if chunks == 1 else odd.sum(dim=0)


def _classify_positions(
    values: torch.Tensor, edges: DeviceEdges, bins: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    probes, positions, units = values.shape
    chunks = _chunks(positions)
    bits = values.view(INTEGERS[values.dtype])
    sums = values.new_empty((3, probes, chunks, units), dtype=torch.float64)
    odd = values.new_zeros((2, units), dtype=torch.int32)
    largest = bits.new_empty((probes, chunks, units)) if chunks > 1 else bits
    kernels.classify_positions[probes * chunks, triton.cdiv(units, _MAP_WIDTH)](
        bits,
        edges.table,
        bins,
        largest,
        sums,
        odd,
        probes,
        positions,
        units,
        chunks,
        *values.stride(),
        whole=chunks == 1,
        width=_MAP_WIDTH,
        num_warps=1 if positions <= POSITION_LANES else _WARPS,
        **_constants(values.dtype, edges.levels, POSITION_LANES),
    )
    if chunks > 1:
        parts, sums = sums, sums.new_empty((3, probes, units))
        width = _fold_width(chunks)
        kernels.fold_positions[probes, triton.cdiv(units, width)](
            largest,
            parts,
            edges.table,
            bins,
            sums,
            probes,
            units,
            chunks,
            levels=edges.levels,
            halvings=_halvings(chunks),
            width=width,
            enable_fp_fusion=False,
        )
    of_chunks = sums.new_empty((_chunks(probes), 3, units))
    kernels.sum_probes[triton.cdiv(units, _NARROW), len(of_chunks)](
        sums,
        of_chunks,
        probes,
        units,
        halvings=_halvings(PROBE_LANES),
        width=_NARROW,
        enable_fp_fusion=False,
    )
    return _folded(of_chunks), odd


def _folded(parts: torch.Tensor) -> torch.Tensor:
    """The sums of chunks as one: shape (chunks, 3, units) to (3, units)."""
    chunks, _, units = parts.shape
    if chunks == 1:
        return parts[0]
    sums = parts.new_empty((3, units))
    width = _fold_width(chunks)
    kernels.fold_chunks[triton.cdiv(units, width),](
        parts,
        sums,
        units,
        chunks,
        halvings=_halvings(chunks),
        width=width,
        enable_fp_fusion=False,
    )
    return sums


def _inactive(bins: torch.Tensor, columns: int) -> torch.Tensor:
    """Units of each probe in bins up to each column: shape (probes, columns)."""
    probes, units = bins.shape
    width = 1024
    wanted = min(triton.cdiv(units, width), max(1, _PROGRAMS // probes))
    steps = triton.cdiv(units, width * wanted)
    programs = triton.cdiv(units, width * steps)
    make = bins.new_empty if programs == 1 else bins.new_zeros
    inactive = make((probes, columns), dtype=torch.int64)
    kernels.count_inactive[probes, programs](
        bins,
        inactive,
        units,
        columns,
        steps,
        alone=programs == 1,
        cells=max(64, triton.next_power_of_2(columns + 2)),
        width=width,
        enable_fp_fusion=False,
    )
    return inactive
