"""The engine for CPUs: compiled loops over the responses' bits, on all cores.

See ``docs/bins.md`` for how a magnitude finds its bin.
"""

from __future__ import annotations

import functools
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from iua_widget.common.arithmetic import as_ieee
from iua_widget.engines.cpu import avx512, avx512_kernels, buffers, kernels, probe_kernel
from iua_widget.engines.device_batch import DeviceBatch
from iua_widget.engines.engine import (
    BatchCounts,
    LayerBins,
    LayerResponses,
    ProbeSums,
    RunningSums,
)
from iua_widget.engines.layer_by_layer import LayerByLayer
from iua_widget.engines.reference import ReferenceEngine
from iua_widget.engines.threads import UNIT_ALIGNMENT, in_parallel, in_turns

_BITS: Final[dict[np.dtype, type[np.uint32 | np.uint64]]] = {
    np.dtype(np.float32): np.uint32,
    np.dtype(np.float64): np.uint64,
}
WIDENED: Final = {np.dtype(np.float16): np.dtype(np.float32), **{kind: kind for kind in _BITS}}
"""In which dtype magnitudes are looked up, by the responses'; others go to the reference engine."""
_FEWEST_CELL_BITS: Final = 3
_MOST_CELL_BITS: Final = 8

_COUNTED_AT_ONCE: Final = 4096
"""Units whose counters stay in the cache while several batches are counted."""

_MAP_ALIGNMENT: Final = 8
"""Units of which no two threads share a line of the cache: their sums have eight bytes each."""

FEWEST_FOR_SCRATCH: Final = 64
"""Probes that are counted in bytes first, even where the counters are wider."""


@dataclass(frozen=True, slots=True)
class _Table:
    """How to find a bin: see `kernels.bins_of`."""

    cells: np.ndarray
    shift: np.uint32 | np.uint64
    columns: np.ndarray
    """The bin that each step of `cells` stands for, where stops repeat in this dtype."""

    packed: np.ndarray
    """The same for loops in vectors, empty where there can be none: see `avx512.packed`."""

    @property
    def _direct(self) -> bool:
        return bool(len(self.columns) == self.columns[-1] + 1)

    def bins_of(self, steps: np.ndarray) -> np.ndarray:
        """The bins, given by their steps."""
        if self._direct:
            return steps
        bins: np.ndarray = self.columns.astype(np.min_scalar_type(self.columns[-1]))[steps]
        return bins

    def by_bin(self, by_step: np.ndarray) -> np.ndarray:
        """How many are in each bin: int64, shape (rows, bins)."""
        if self._direct:
            return by_step
        histogram = np.zeros((len(by_step), self.columns[-1] + 1), np.int64)
        histogram[:, self.columns] = by_step
        return histogram


class CPUEngine(LayerByLayer):
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

    @as_ieee
    def classify(
        self, values: np.ndarray, thresholds: np.ndarray, running: RunningSums | None = None
    ) -> BatchCounts:
        """Sort every magnitude of a batch into its bin; see `Engine.classify`."""
        way = way_to_classify(values, thresholds)
        if way is None:
            return self._reference.classify(values, thresholds)
        plain, table = way.values, way.table
        if way.in_vectors:
            (counts,) = self._classify_in_vectors(
                [LayerResponses(plain, thresholds, running)], table
            )
            return counts
        half = plain.dtype == np.float16
        bits = _BITS[WIDENED[plain.dtype]]
        sums = running or _own_sums(plain)
        if way.layout == "rows":
            plain = np.ascontiguousarray(plain)
            kernel: Callable[..., None] = kernels.half_rows if half else kernels.rows
            responses = [plain.view(np.uint16)] if half else [plain, plain.view(bits)]
            bins, by_step = self._one_by_one(kernel, responses, table, sums)
            nan_count, infinite_count = self._count_odd(plain, sums)
        else:
            plain = _widened(plain) if half else plain
            largest = _largest(plain, sums, channels_last=way.layout == "maps-last")
            nan_count, infinite_count = self._count_odd(plain, sums, largest)
            bins, by_step = self._one_by_one(kernels.bins_of, [largest.view(bits)], table, None)
        return BatchCounts(
            table.bins_of(bins),
            table.by_bin(by_step)[:, :-1].cumsum(axis=1),
            *sums.rows,
            nan_count,
            infinite_count,
            entries=plain.size // plain.shape[-1],
            running=running,
        )

    def classify_all(self, layers: Sequence[LayerResponses]) -> list[BatchCounts | DeviceBatch]:
        """Classify several layers; see `Engine.classify_all`."""
        found: dict[int, BatchCounts | DeviceBatch] = {}
        together: dict[int, tuple[_Table, list[int]]] = {}
        for number, one in enumerate(layers):
            # Those to be copied first are not held together.
            contiguous = one.values.flags.c_contiguous
            table = vector_table(one.values, one.thresholds) if contiguous else None
            if table is not None:
                together.setdefault(id(table), (table, []))[1].append(number)
        for table, numbers in together.values():
            counts = self._classify_in_vectors([layers[number] for number in numbers], table)
            found.update(zip(numbers, counts, strict=True))
        others = [number for number in range(len(layers)) if number not in found]
        counted = super().classify_all([layers[number] for number in others])
        found.update(zip(others, counted, strict=True))
        return [found[number] for number in range(len(layers))]

    @as_ieee
    def _classify_in_vectors(
        self, layers: Sequence[LayerResponses], table: _Table
    ) -> list[BatchCounts]:
        """Classify layers for which `vector_table` is one and the same."""
        responses = [np.ascontiguousarray(one.values) for one in layers]
        all_sums = [one.running or _own_sums(one.values) for one in layers]
        bins = [buffers.empty(values.shape, np.uint8) for values in responses]
        highest = [np.empty(values.shape[1], np.uint8) for values in responses]
        ends = list(itertools.accumulate(len(values) for values in responses))
        inactive, any_odd = _rows_in_vectors(
            [
                (
                    *values.shape,
                    end - len(values),
                    _place(values),
                    _place(bins[number]),
                    _place(highest[number]),
                    _place(all_sums[number].onto),
                    _place(all_sums[number].into),
                )
                for number, (values, end) in enumerate(zip(responses, ends, strict=True))
            ],
            table,
            ends[-1],
        )
        found = []
        for number, one in enumerate(layers):
            values, sums = responses[number], all_sums[number]
            probes = slice(ends[number] - len(values), ends[number])
            odd = self._count_odd(values, sums) if any_odd[probes].any() else (None, None)
            found.append(
                BatchCounts(
                    table.bins_of(bins[number]),
                    inactive[probes],
                    *sums.rows,
                    *odd,
                    entries=len(values),
                    running=one.running,
                    highest_bin=table.bins_of(highest[number]) if odd[0] is None else None,
                )
            )
        return found

    def _one_by_one(
        self,
        kernel: Callable[..., None],
        responses: Sequence[np.ndarray],
        table: _Table,
        sums: RunningSums | None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Every response's step, and how many of each probe's are in each.

        Where they are asked for, the sums are written.
        """
        shape = responses[0].shape
        bins = buffers.empty(shape, np.uint8 if len(table.columns) <= 2**8 else np.uint16)
        written = () if sums is None else tuple(sums.into)
        parts: deque[np.ndarray] = deque()  # as many as threads work at once

        def work(start: int, stop: int) -> None:
            try:
                part = parts.pop()
            except IndexError:
                part = np.zeros((shape[0], len(table.columns)), np.int64)
            kernel(*responses, table.cells, table.shift, bins, part, *written, start, stop)
            _add_onto(sums, start, stop)
            parts.append(part)

        in_parallel(work, shape[1], bins.size, UNIT_ALIGNMENT)
        return bins, functools.reduce(np.add, parts)

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

    def accumulate(self, batches: Sequence[np.ndarray], counts: np.ndarray) -> None:
        """Add classified batches to `counts`, in place; see `Engine.accumulate`."""
        layer = LayerBins(batches, counts)
        if not layer.size:
            return
        if counts_in_vectors(layer):
            _count_in_vectors([layer])
            return

        def count(start: int, stop: int) -> None:
            for first in range(start, stop, _COUNTED_AT_ONCE):
                last = min(first + _COUNTED_AT_ONCE, stop)
                for bins in batches:
                    wide = counts.dtype != np.uint8 and len(bins) >= FEWEST_FOR_SCRATCH
                    loop = kernels.count_bins_wide if wide else kernels.count_bins
                    loop(bins, counts, first, last)

        in_parallel(count, len(counts), layer.size, UNIT_ALIGNMENT)

    def accumulate_all(self, layers: Sequence[LayerBins]) -> None:
        """Add classified batches to several layers' counts; see `Engine.accumulate_all`."""
        together: dict[tuple[np.dtype, int], list[LayerBins]] = {}
        others = []
        for layer in layers:
            if counts_in_vectors(layer):
                kind = layer.counts.dtype, layer.counts.shape[1]
                together.setdefault(kind, []).append(layer)
            else:
                others.append(layer)
        for alike in together.values():
            _count_in_vectors(alike)
        super().accumulate_all(others)

    def sum_probes(self, bins: np.ndarray, ends: np.ndarray, columns: int, kept: int) -> ProbeSums:
        """Sum inactive units over the probes of several layers; see `Engine.sum_probes`."""
        layers = len(ends) - 1
        sums = ProbeSums(
            np.zeros((layers, columns), np.int64),
            np.zeros((layers, columns), np.int64),
            np.empty((layers, len(bins)), np.int64),
        )
        of_all = sums.inactive_sum, sums.square_sum, sums.inactive
        in_parallel(
            functools.partial(probe_kernel.sum_probes, bins, ends, kept, *of_all),
            layers,
            bins.size,
            1,
        )
        return sums


@dataclass(frozen=True, slots=True)
class Way:
    """Which loops classify a layer's responses.

    Attributes
    ----------
    values : numpy.ndarray
        The responses, or the magnitudes of complex ones, in the machine's own byte order.
    layout : {"rows", "maps", "maps-last"}
        Whether responses have positions, and then whether channels are last in memory.
    table : _Table
    in_vectors : bool
    """

    values: np.ndarray
    layout: Literal["rows", "maps", "maps-last"]
    table: _Table
    in_vectors: bool


def way_to_classify(values: np.ndarray, thresholds: np.ndarray) -> Way | None:
    """Which loops classify a layer's responses; None where the reference engine does."""
    if values.dtype.kind == "c":
        values = np.abs(values)
    if not values.dtype.isnative:
        values = values.astype(values.dtype.newbyteorder("="))
    looked_up_in = WIDENED.get(values.dtype)
    table = None if looked_up_in is None else table_of(thresholds, looked_up_in)
    if table is None or not values.size:
        return None
    if values.ndim == 2:  # noqa: PLR2004
        return Way(values, "rows", table, vector_table(values, thresholds) is not None)
    channels_last = abs(values.strides[2]) < abs(values.strides[1])
    return Way(values, "maps-last" if channels_last else "maps", table, in_vectors=False)


def _own_sums(values: np.ndarray) -> RunningSums:
    return RunningSums(None, buffers.empty((3, values.shape[-1]), np.float64))


def vector_table(values: np.ndarray, thresholds: np.ndarray) -> _Table | None:
    """How loops in vectors find these responses' bins; None where they cannot, or not as fast."""
    can = (
        values.dtype == np.float32
        and values.dtype.isnative
        and values.ndim == 2  # noqa: PLR2004
        and len(values) > 0
        and values.shape[1] >= avx512_kernels.FEWEST_UNITS
    )
    table = table_of(thresholds, values.dtype) if can else None
    return None if table is None or not len(table.packed) else table


def _rows_in_vectors(
    layers: Sequence[tuple[int, ...]], table: _Table, probes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Do some layers, each given by what `avx512_kernels.ROWS` has from ``probes`` on.

    Returns the inactive units of each probe, and who has any NaN or infinity.
    """
    rows = _with_turns(layers, avx512_kernels.ROWS)
    steps = len(table.columns)
    columns = -(-steps // avx512_kernels.BINS_AT_ONCE) * avx512_kernels.BINS_AT_ONCE
    parts: deque[np.ndarray] = deque()  # as many as threads work at once

    def work(taken: np.ndarray) -> None:
        part = np.zeros((probes, columns), np.int64)
        avx512_kernels.rows(taken, rows, table.packed, part)
        parts.append(part)

    in_turns(work, sum(rows * units for rows, units, *_ in layers))
    histogram = table.by_bin(functools.reduce(np.add, parts)[:, :steps])
    return histogram[:, :-1].cumsum(axis=1), histogram[:, -1] > 0


def _add_onto(sums: RunningSums | None, start: int, stop: int) -> None:
    """Add what the sums of some units were to those of the batch."""
    if sums is not None and sums.onto is not None:
        kernels.add_sums(sums.onto, sums.into, start, stop)


def counts_in_vectors(layer: LayerBins) -> bool:
    """Whether loops in vectors can count these, and take less time."""
    counts, probes = layer.counts, layer.probes
    most = avx512_kernels.MOST_PROBES
    return (
        avx512.available()
        and (probes <= most if counts.dtype == np.uint8 else probes >= FEWEST_FOR_SCRATCH)
        and probes >= avx512_kernels.FEWEST_PROBES
        and len(counts) > 0
        and avx512_kernels.FEWEST_COLUMNS <= counts.shape[1] <= avx512_kernels.MOST_COLUMNS
        and counts.flags.c_contiguous
        and all(bins.dtype == np.uint8 and bins.flags.c_contiguous for bins in layer.batches)
    )


def _count_in_vectors(layers: Sequence[LayerBins]) -> None:
    """Count layers whose counters are alike."""
    places = np.empty(sum(layer.probes for layer in layers), np.uint64)
    to_count, end = [], 0
    for layer in layers:
        to_count.append((layer.probes, len(layer.counts), end, _place(layer.counts)))
        for bins in layer.batches:
            begin, end = end, end + len(bins)
            places[begin:end] = _place(bins) + np.arange(len(bins)) * bins.shape[1]
    counted = _with_turns(to_count, avx512_kernels.COUNTED)
    like, columns = layers[0].counts[:0], layers[0].counts.shape[1]
    in_turns(
        lambda taken: avx512_kernels.count_bins(taken, counted, places, columns, like),
        sum(layer.size for layer in layers),
    )


def _with_turns(layers: Iterable[tuple[int, ...]], kind: np.dtype) -> np.ndarray:
    """Layers as loops in vectors take them, the largest first: no thread is to be left alone."""
    ordered = sorted(layers, key=lambda layer: -layer[1])
    taken = avx512_kernels.turns([units for _, units, *_ in ordered])
    return np.array([(*turn, *layer) for turn, layer in zip(taken, ordered, strict=True)], kind)


def _place(array: np.ndarray | None) -> int:
    """Where in memory an array begins; 0 for none."""
    return 0 if array is None else int(array.__array_interface__["data"][0])


def _widened(half: np.ndarray) -> np.ndarray:
    """Magnitudes of float16 as float32, in the order in which they lie in memory."""
    order = sorted(range(half.ndim), key=lambda axis: -abs(half.strides[axis]))
    bits = np.ascontiguousarray(half.transpose(order)).view(np.uint16)
    wide = np.empty(bits.shape, np.float32)
    _over_units(kernels.widened, bits.size, bits.size, bits.reshape(-1), wide.reshape(-1))
    return wide.transpose(np.argsort(order))


def _largest(values: np.ndarray, sums: RunningSums, *, channels_last: bool) -> np.ndarray:
    """Each probe's largest magnitude over its positions; the sums are written."""
    probes, _, units = values.shape
    largest = np.empty((probes, units), values.dtype)
    kernel: Callable[..., None] = kernels.maps_channels_last if channels_last else kernels.maps
    aligned = np.ascontiguousarray(values if channels_last else np.moveaxis(values, 1, 2))
    written = aligned, largest
    if kernel is kernels.maps and values.dtype == np.float32 and avx512.available():
        kernel, written = avx512_kernels.maps, (aligned.view(np.uint32), largest.view(np.uint32))
    abs_sum, square_sum, abs_max = sums.rows

    def work(start: int, stop: int) -> None:
        kernel(*written, abs_sum, square_sum, start, stop)
        abs_max[start:stop] = largest[:, start:stop].max(axis=0)
        _add_onto(sums, start, stop)

    in_parallel(work, units, values.size, UNIT_ALIGNMENT if channels_last else _MAP_ALIGNMENT)
    return largest


def _over_units(kernel: Callable[..., None], units: int, size: int, *arguments: np.ndarray) -> None:
    in_parallel(functools.partial(kernel, *arguments), units, size, UNIT_ALIGNMENT)


def table_of(thresholds: np.ndarray, plain: np.dtype) -> _Table | None:
    """How loops find the bins of magnitudes of a dtype; None where they cannot."""
    return _table(thresholds.tobytes(), thresholds.dtype, plain)


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
    in_vectors = integer is np.uint32 and avx512.available()
    packed = avx512.packed(edge_bits.astype(np.uint32)) if in_vectors else None
    return _Table(
        both_signs.astype(unsigned),
        integer(shift),
        columns,
        packed if packed is not None else cells[:0],
    )
