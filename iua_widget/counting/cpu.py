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

from iua_widget.counting import kernels, pages, vector_kernels, vectors
from iua_widget.counting.buffers import Buffers
from iua_widget.counting.engine import BatchCounts, RunningSums
from iua_widget.counting.reference import ReferenceEngine
from iua_widget.counting.threads import UNIT_ALIGNMENT, in_parallel, in_turns

_BITS: Final[dict[np.dtype, type[np.uint32 | np.uint64]]] = {
    np.dtype(np.float32): np.uint32,
    np.dtype(np.float64): np.uint64,
}
_FEWEST_CELL_BITS: Final = 3
_MOST_CELL_BITS: Final = 8

_COUNTED_AT_ONCE: Final = 4096
"""Units whose counters stay in the cache while several batches are counted."""

_MAP_ALIGNMENT: Final = 8
"""Units of which no two threads share a line of the cache: their sums have eight bytes each."""

_NOTHING: Final = np.empty((0, 0))

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

    def classify(
        self, values: np.ndarray, thresholds: np.ndarray, running: RunningSums | None = None
    ) -> BatchCounts:
        """Sort every magnitude of a batch into its bin; see `Engine.classify`."""
        plain = _plain(values)
        half = plain.dtype == np.float16
        wide = np.dtype(np.float32) if half else plain.dtype
        bits = _BITS.get(wide)
        table = None if bits is None else _table(thresholds.tobytes(), thresholds.dtype, wide)
        if bits is None or table is None or not plain.size:
            return self._reference.classify(values, thresholds)
        units = plain.shape[-1]
        sums = running or RunningSums(None, pages.empty((3, units), np.float64))
        highest = None
        if plain.ndim == 2:  # noqa: PLR2004
            plain = np.ascontiguousarray(plain)
            kernel: Callable[..., None] = kernels.half_rows if half else kernels.rows
            responses = [plain.view(np.uint16)] if half else [plain, plain.view(bits)]
            bins, histogram, highest = self._bins(kernel, responses, table, sums, thresholds)
            nan_count, infinite_count = None, None
            if highest is None or highest.max() > len(thresholds):  # beyond every finite value
                nan_count, infinite_count = self._count_odd(plain, sums)
        else:
            plain = _widened(plain) if half else plain
            largest = _largest(plain, sums)
            nan_count, infinite_count = self._count_odd(plain, sums, largest)
            bins, histogram, _ = self._bins(
                kernels.bins_of, [largest.view(bits)], table, None, thresholds
            )
        abs_sum, square_sum, abs_max = sums.into
        return BatchCounts(
            bins=bins,
            inactive=histogram[:, :-1].cumsum(axis=1),
            abs_sum=abs_sum,
            square_sum=square_sum,
            abs_max=abs_max,
            nan_count=nan_count,
            infinite_count=infinite_count,
            entries=plain.size // units,
            running=running,
            highest_bin=highest,
        )

    def _bins(
        self,
        kernel: Callable[..., None],
        responses: Sequence[np.ndarray],
        table: _Table,
        sums: RunningSums | None,
        thresholds: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Every response's bin, how many of each probe's are in each, and each unit's highest.

        Where they are asked for, the sums are written.
        """
        shape = responses[0].shape
        overflow = len(thresholds)
        bins = self._buffers.take(shape, np.uint8 if overflow + 1 < 2**8 else np.uint16)
        packed = table.packed if kernel is kernels.rows and bins.dtype == np.uint8 else None
        highest = None
        if packed is not None and sums is not None and shape[1] >= vector_kernels.FEWEST_UNITS:
            highest = np.empty(shape[1], np.uint8)
            by_step = _rows_in_vectors(responses[1], table, packed, bins, highest, sums)
        else:
            by_step = _rows_one_by_one(kernel, responses, table, bins, sums)
        if table.direct:
            return bins, by_step, highest
        histogram = np.zeros((shape[0], overflow + 2), np.int64)
        histogram[:, table.columns] = by_step
        place = table.columns.astype(bins.dtype)
        return place[bins], histogram, None if highest is None else place[highest]

    def _count_odd(
        self, values: np.ndarray, sums: RunningSums, largest: np.ndarray | None = None
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Count NaN and infinities, and leave them out of `sums`, of the units that have any."""
        if np.isfinite(sums.into[0].sum()):
            return None, None
        odd = np.flatnonzero(~np.isfinite(sums.into[0]))
        if not odd.size:
            return None, None
        responses = values[..., odd]
        careful = self._reference.classify(responses, np.zeros(1, np.abs(responses[:0]).dtype))
        right = np.stack([careful.abs_sum, careful.square_sum, careful.abs_max])
        if sums.onto is not None:
            before = sums.onto[:, odd]
            right[:2] += before[:2]
            np.maximum(right[2], before[2], out=right[2])
        sums.into[:, odd] = right
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

    def accumulate(self, batches: Sequence[np.ndarray], counts: np.ndarray) -> None:
        """Add classified batches to `counts`, in place; see `Engine.accumulate`."""
        units, probes = len(counts), sum(map(len, batches))
        if not probes:
            return
        if _count_in_vectors(batches, probes, counts):
            narrow = counts.dtype == np.uint8
            kernel = vector_kernels.count_bins if narrow else vector_kernels.count_bins_wide
            places = _places(batches, probes)
            in_turns(lambda taken: kernel(taken, places, counts), probes * units)
            return

        def count(start: int, stop: int) -> None:
            for first in range(start, stop, _COUNTED_AT_ONCE):
                last = min(first + _COUNTED_AT_ONCE, stop)
                for bins in batches:
                    wide = counts.dtype != np.uint8 and len(bins) >= _FEWEST_FOR_SCRATCH
                    loop = kernels.count_bins_wide if wide else kernels.count_bins
                    loop(bins, counts, first, last)

        in_parallel(count, units, probes * units, UNIT_ALIGNMENT)

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
    sums: RunningSums | None,
) -> np.ndarray:
    """Write bins and sums; returns how many of each probe's responses are in each step."""
    written = () if sums is None else tuple(sums.into)
    parts: deque[np.ndarray] = deque()  # as many as threads work at once

    def work(start: int, stop: int) -> None:
        try:
            part = parts.pop()
        except IndexError:
            part = np.zeros((len(bins), len(table.columns)), np.int64)
        kernel(*responses, table.cells, table.shift, bins, part, *written, start, stop)
        _add_onto(sums, start, stop)
        parts.append(part)

    in_parallel(work, bins.shape[1], bins.size, UNIT_ALIGNMENT)
    return functools.reduce(np.add, parts)


def _rows_in_vectors(  # noqa: PLR0917
    bits: np.ndarray,
    table: _Table,
    packed: np.ndarray,
    bins: np.ndarray,
    highest: np.ndarray,
    sums: RunningSums,
) -> np.ndarray:
    """What `_rows_one_by_one` does, for float32; each unit's highest bin is written, too."""
    steps = len(table.columns)
    columns = -(-steps // vector_kernels.BINS_AT_ONCE) * vector_kernels.BINS_AT_ONCE
    onto = _NOTHING if sums.onto is None else sums.onto
    if bins.shape[1] < vector_kernels.FEWEST_TOGETHER:
        histogram = np.zeros((len(bins), columns), np.int64)
        in_turns(
            lambda taken: vector_kernels.rows(
                taken, bits, packed, bins, histogram[:0], highest, onto, sums.into
            ),
            bins.size,
        )
        in_turns(lambda taken: vector_kernels.count_rows(taken, bins, histogram), bins.size)
        return histogram[:, :steps]
    parts: deque[np.ndarray] = deque()  # as many as threads work at once

    def work(taken: np.ndarray) -> None:
        part = np.zeros((len(bins), columns), np.int64)
        vector_kernels.rows(taken, bits, packed, bins, part, highest, onto, sums.into)
        parts.append(part)

    in_turns(work, bins.size)
    return functools.reduce(np.add, parts)[:, :steps]


def _add_onto(sums: RunningSums | None, start: int, stop: int) -> None:
    """Add what the sums of some units were to those of the batch."""
    if sums is not None and sums.onto is not None:
        kernels.add_sums(sums.onto, sums.into, start, stop)


def _count_in_vectors(batches: Sequence[np.ndarray], probes: int, counts: np.ndarray) -> bool:
    """Whether loops in vectors can count these, and take less time."""
    most = vector_kernels.MOST_PROBES
    return (
        vectors.available()
        and (probes <= most if counts.dtype == np.uint8 else probes >= _FEWEST_FOR_SCRATCH)
        and probes >= vector_kernels.FEWEST_PROBES
        and counts.shape[1] >= vector_kernels.FEWEST_COLUMNS
        and all(bins.dtype == np.uint8 and bins.flags.c_contiguous for bins in batches)
    )


def _places(batches: Sequence[np.ndarray], probes: int) -> np.ndarray:
    """Where in memory each probe's bins begin: uint64, shape (probes,)."""
    places, end = np.empty(probes, np.uint64), 0
    for bins in batches:
        first = bins.__array_interface__["data"][0]
        begin, end = end, end + len(bins)
        places[begin:end] = np.arange(len(bins), dtype=np.uint64) * np.uint64(bins.shape[1])
        places[begin:end] += np.uint64(first)
    return places


def _widened(half: np.ndarray) -> np.ndarray:
    """Magnitudes of float16 as float32, in the order in which they lie in memory."""
    order = sorted(range(half.ndim), key=lambda axis: -abs(half.strides[axis]))
    bits = np.ascontiguousarray(half.transpose(order)).view(np.uint16)
    wide = np.empty(bits.shape, np.float32)
    _over_units(kernels.widened, bits.size, bits.size, bits.reshape(-1), wide.reshape(-1))
    return wide.transpose(np.argsort(order))


def _largest(values: np.ndarray, sums: RunningSums) -> np.ndarray:
    """Each probe's largest magnitude over its positions; the sums are written."""
    probes, _, units = values.shape
    largest = np.empty((probes, units), values.dtype)
    channels_last = abs(values.strides[2]) < abs(values.strides[1])
    kernel: Callable[..., None] = kernels.maps_channels_last if channels_last else kernels.maps
    aligned = np.ascontiguousarray(values if channels_last else np.moveaxis(values, 1, 2))
    written = aligned, largest
    if kernel is kernels.maps and values.dtype == np.float32 and vectors.available():
        kernel, written = vector_kernels.maps, (aligned.view(np.uint32), largest.view(np.uint32))
    abs_sum, square_sum, abs_max = sums.into

    def work(start: int, stop: int) -> None:
        kernel(*written, abs_sum, square_sum, start, stop)
        abs_max[start:stop] = largest[:, start:stop].max(axis=0)
        _add_onto(sums, start, stop)

    in_parallel(work, units, values.size, UNIT_ALIGNMENT if channels_last else _MAP_ALIGNMENT)
    return largest


def _over_units(kernel: Callable[..., None], units: int, size: int, *arguments: np.ndarray) -> None:
    in_parallel(functools.partial(kernel, *arguments), units, size, UNIT_ALIGNMENT)


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
