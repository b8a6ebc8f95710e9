"""The engine for CPUs: compiled loops over the responses' bits, on all cores.

The bin of a magnitude is found by its bits as an unsigned integer, which order as the magnitudes
do: the upper ones choose a cell of a small table, and one addition tells on which side of the stop
in that cell the magnitude lies.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from iua_widget.counting import kernels, vector_kernels, vectors
from iua_widget.counting.buffers import Buffers
from iua_widget.counting.engine import BatchCounts
from iua_widget.counting.reference import ReferenceEngine
from iua_widget.counting.threads import in_parallel

_BITS: Final[dict[np.dtype, type[np.uint32 | np.uint64]]] = {
    np.dtype(np.float32): np.uint32,
    np.dtype(np.float64): np.uint64,
}
_FEWEST_CELL_BITS: Final = 3
_MOST_CELL_BITS: Final = 8
_UNIT_ALIGNMENT: Final = 64

_FEWEST_FOR_SCRATCH: Final = 64
"""Probes that are counted in bytes first, even where the counters are wider."""


@dataclass(frozen=True, slots=True)
class _Table:
    """How to find a bin: see `kernels.bins_of`."""

    cells: np.ndarray
    shift: np.uint32 | np.uint64
    columns: np.ndarray
    """The bin that each step of `cells` stands for, where stops repeat in this dtype."""

    packed: np.ndarray | None
    """The same for loops in vectors, where there can be such: see `vectors.packed`."""

    @property
    def direct(self) -> bool:
        return bool(len(self.columns) == self.columns[-1] + 1)


class CPUEngine:
    """Counting by table lookup, compiled by numba and spread over the cores.

    What it cannot do (`numpy.longdouble`, stops closer to each other than a 2,000th, stops that
    are infinite in the responses' dtype) goes to the reference engine.

    Raises
    ------
    ImportError
        If numba is not there.

    Examples
    --------
    >>> import numpy as np
    >>> batch = CPUEngine().classify(np.array([[0.0, 0.5, 9.0]]), np.array([0.0, 1.0]))
    >>> batch.bins
    array([[0, 1, 2]], dtype=uint8)
    """

    def __init__(self) -> None:
        self._reference = ReferenceEngine()
        self._buffers = Buffers()

    def classify(self, values: np.ndarray, thresholds: np.ndarray) -> BatchCounts:
        """Sort every magnitude of a batch into its bin; see `Engine.classify`."""
        plain = _plain(values)
        half = plain.dtype == np.float16
        wide = np.dtype(np.float32) if half else plain.dtype
        bits = _BITS.get(wide)
        table = None if bits is None else _table(thresholds.tobytes(), thresholds.dtype, wide)
        if bits is None or table is None or not plain.size:
            return self._reference.classify(values, thresholds)
        units = plain.shape[-1]
        abs_sum, square_sum, abs_max = sums = tuple(
            self._buffers.take((units,), np.float64) for _ in range(3)
        )
        if plain.ndim == 2:  # noqa: PLR2004
            plain = np.ascontiguousarray(plain)
            kernel: Callable[..., None] = kernels.half_rows if half else kernels.rows
            responses = [plain.view(np.uint16)] if half else [plain, plain.view(bits)]
            bins, histogram = self._bins(kernel, responses, table, sums, thresholds)
            nan_count, infinite_count = self._count_odd(plain, sums)
        else:
            plain = _widened(plain) if half else plain
            largest = _largest(plain, abs_sum, square_sum)
            abs_max[:] = largest.max(axis=0)
            nan_count, infinite_count = self._count_odd(plain, sums, largest)
            bins, histogram = self._bins(
                kernels.bins_of, [largest.view(bits)], table, (), thresholds
            )
        return BatchCounts(
            bins=bins,
            inactive=histogram[:, :-1].cumsum(axis=1),
            abs_sum=abs_sum,
            square_sum=square_sum,
            abs_max=abs_max,
            nan_count=nan_count,
            infinite_count=infinite_count,
            entries=plain.size // units,
        )

    def _bins(
        self,
        kernel: Callable[..., None],
        responses: Sequence[np.ndarray],
        table: _Table,
        sums: tuple[np.ndarray, ...],
        thresholds: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Every response's bin, and how many of each probe's are in each; `sums` are written."""
        shape = responses[0].shape
        overflow = len(thresholds)
        bins = self._buffers.take(shape, np.uint8 if overflow + 1 < 2**8 else np.uint16)
        packed = table.packed if kernel is kernels.rows and bins.dtype == np.uint8 else None
        if packed is not None and shape[1] >= vector_kernels.FEWEST_UNITS:
            by_step = _rows_in_vectors(responses[1], packed, len(table.columns), bins, sums)
        else:
            by_step = _rows_one_by_one(kernel, responses, table, bins, sums)
        if table.direct:
            return bins, by_step
        histogram = np.zeros((shape[0], overflow + 2), np.int64)
        histogram[:, table.columns] = by_step
        return table.columns.astype(bins.dtype)[bins], histogram

    def _count_odd(
        self, values: np.ndarray, sums: tuple[np.ndarray, ...], largest: np.ndarray | None = None
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Count NaN and infinities, and leave them out of `sums`, of the units that have any."""
        odd = np.flatnonzero(~np.isfinite(sums[0]))
        if not odd.size:
            return None, None
        responses = values[..., odd]
        careful = self._reference.classify(responses, np.zeros(1, np.abs(responses[:0]).dtype))
        for held, right in zip(
            sums, (careful.abs_sum, careful.square_sum, careful.abs_max), strict=True
        ):
            held[odd] = right
        if largest is not None:
            largest[:, odd] = np.abs(responses).max(axis=1)
        if careful.nan_count is None or careful.infinite_count is None:
            return None, None  # it was the sum that has overflowed
        nan_count, infinite_count = np.zeros((2, values.shape[-1]), np.int64)
        nan_count[odd], infinite_count[odd] = careful.nan_count, careful.infinite_count
        return nan_count, infinite_count

    def takes(self, tensor: object) -> bool:  # noqa: ARG002
        """No tensor: see `Engine.takes`."""
        return False

    def accumulate(self, bins: np.ndarray, counts: np.ndarray) -> None:
        """Add a classified batch to `counts`, in place; see `Engine.accumulate`."""
        kernel = _count_kernel(bins, counts)
        _over_units(kernel, len(counts), bins.size, bins, counts)

    def spill(self, narrow: np.ndarray, wide: np.ndarray) -> None:
        """Move counts from narrow counters to wide ones; see `Engine.spill`."""
        size = narrow.size
        _over_units(kernels.spill, size, size, narrow.reshape(-1), wide.reshape(-1))

    def rest(self) -> None:
        """Let go of memory that is kept for the next batch; see `Engine.rest`."""
        self._buffers.clear()


def _plain(values: np.ndarray) -> np.ndarray:
    """The values, or the magnitudes of complex ones, in the machine's own byte order."""
    if values.dtype.kind == "c":
        values = np.abs(values)
    if not values.dtype.isnative:
        values = values.astype(values.dtype.newbyteorder("="))
    return values


def _rows_one_by_one(
    kernel: Callable[..., None],
    responses: Sequence[np.ndarray],
    table: _Table,
    bins: np.ndarray,
    sums: tuple[np.ndarray, ...],
) -> np.ndarray:
    """Write bins and sums; returns how many of each probe's responses are in each step."""
    parts: deque[np.ndarray] = deque()  # as many as threads work at once

    def work(start: int, stop: int) -> None:
        try:
            part = parts.pop()
        except IndexError:
            part = np.zeros((len(bins), len(table.columns)), np.int64)
        kernel(*responses, table.cells, table.shift, bins, part, *sums, start, stop)
        parts.append(part)

    in_parallel(work, bins.shape[1], bins.size, _UNIT_ALIGNMENT)
    return functools.reduce(np.add, parts)


def _rows_in_vectors(
    bits: np.ndarray, packed: np.ndarray, steps: int, bins: np.ndarray, sums: tuple[np.ndarray, ...]
) -> np.ndarray:
    """What `_rows_one_by_one` does, for float32."""
    _over_units(vector_kernels.rows, bins.shape[1], bins.size, bits, packed, bins, *sums)
    by_step = np.zeros((len(bins), steps), np.int64)
    count = functools.partial(vector_kernels.count_rows, bins, by_step)
    in_parallel(count, len(bins), bins.size, 1)
    return by_step


def _count_kernel(bins: np.ndarray, counts: np.ndarray) -> Callable[..., None]:
    """The loop that adds bins to counters."""
    probes, columns = len(bins), counts.shape[1]
    in_vectors = (
        vectors.available()
        and bins.dtype == np.uint8
        and bins.flags.c_contiguous
        and probes >= vector_kernels.FEWEST_PROBES
        and columns >= vector_kernels.FEWEST_COLUMNS
    )
    if counts.dtype == np.uint8 and in_vectors and probes <= vector_kernels.MOST_PROBES:
        return vector_kernels.count_bins
    if counts.dtype == np.uint8 or probes < _FEWEST_FOR_SCRATCH:
        return kernels.count_bins
    return vector_kernels.count_bins_wide if in_vectors else kernels.count_bins_wide


def _widened(half: np.ndarray) -> np.ndarray:
    """Magnitudes of float16 as float32, in the order in which they lie in memory."""
    order = sorted(range(half.ndim), key=lambda axis: -abs(half.strides[axis]))
    bits = np.ascontiguousarray(half.transpose(order)).view(np.uint16)
    wide = np.empty(bits.shape, np.float32)
    _over_units(kernels.widened, bits.size, bits.size, bits.reshape(-1), wide.reshape(-1))
    return wide.transpose(np.argsort(order))


def _largest(values: np.ndarray, abs_sum: np.ndarray, square_sum: np.ndarray) -> np.ndarray:
    """Each probe's largest magnitude over its positions; the sums are written."""
    probes, _, units = values.shape
    largest = np.empty((probes, units), values.dtype)
    channels_last = abs(values.strides[2]) < abs(values.strides[1])
    kernel: Callable[..., None] = kernels.maps_channels_last if channels_last else kernels.maps
    aligned = np.ascontiguousarray(values if channels_last else np.moveaxis(values, 1, 2))
    written = aligned, largest
    if kernel is kernels.maps and values.dtype == np.float32 and vectors.available():
        kernel, written = vector_kernels.maps, (aligned.view(np.uint32), largest.view(np.uint32))
    _over_units(kernel, units, values.size, *written, abs_sum, square_sum)
    return largest


def _over_units(kernel: Callable[..., None], units: int, size: int, *arguments: np.ndarray) -> None:
    in_parallel(functools.partial(kernel, *arguments), units, size, _UNIT_ALIGNMENT)


@functools.lru_cache(maxsize=64)
def _table(stops: bytes, dtype: np.dtype, plain: np.dtype) -> _Table | None:
    """The cells of a tolerance grid, or None where no table of reasonable size can hold it."""
    info = np.finfo(plain)
    integer = _BITS[plain]
    unsigned = np.dtype(integer)
    limit = np.finfo(dtype).max.astype(plain)
    thresholds = np.append(np.frombuffer(stops, dtype).astype(plain), limit)
    edges, columns = np.unique(thresholds, return_index=True)
    if not np.isfinite(thresholds).all() or edges[-1] != limit:
        return None
    columns = np.append(columns, len(thresholds))
    edge_bits = edges.view(unsigned).astype(np.uint64)
    sign = unsigned.itemsize * 8 - 1
    for cell_bits in range(_FEWEST_CELL_BITS, _MOST_CELL_BITS + 1):
        shift = int(info.nmant) - cell_bits
        cell = (edge_bits >> np.uint64(shift)).astype(np.int64)
        if len(set(cell.tolist())) == len(cell) and len(edges) < 2 ** (sign + 1 - shift):
            break
    else:
        return None
    low = np.uint64(2**shift - 1)
    first = np.searchsorted(cell, np.arange(2 ** (sign - shift)), side="left")
    cells = first.astype(np.uint64) << np.uint64(shift)
    cells[cell] += low - (edge_bits & low)
    both_signs = np.tile(cells, 2)
    # Unsigned, so that what is taken away comes off where the bits themselves are added.
    both_signs -= np.arange(len(both_signs), dtype=np.uint64) << np.uint64(shift)
    in_vectors = integer is np.uint32 and vectors.available()
    packed = vectors.packed(edge_bits.astype(np.uint32)) if in_vectors else None
    return _Table(both_signs.astype(unsigned), integer(shift), columns, packed)
