"""Vectors of 64 bytes for loops that numba compiles: registers of AVX-512.

Numba has no vectors: they are made a type of its own here, and each operation on them an intrinsic,
written as what LLVM is to build.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, Final

import numba
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import types
from numba.core.registry import cpu_target
from numba.extending import intrinsic, models, register_model

WIDTH: Final = 64

_FEATURES: Final = ("avx512f", "avx512bw", "avx512vbmi", "avx512bitalg", "gfni")
_CELLS: Final = 256
_EDGES: Final = 96
_SHIFT: Final = 20
"""The upper bits of a float32 that choose its cell: the exponent and three of the fraction."""

_BYTE, _WORD, _INT, _LONG = (ir.IntType(bits) for bits in (8, 16, 32, 64))
_BYTES: Final = ir.VectorType(_BYTE, 64)
_WORDS: Final = ir.VectorType(_WORD, 32)
_INTS: Final = ir.VectorType(_INT, 16)
_LONGS: Final = ir.VectorType(_LONG, 8)
_DOUBLES: Final = ir.VectorType(ir.DoubleType(), 8)
_POINTER: Final = _BYTE.as_pointer()


class _Vector(types.Type):
    """64 bytes."""

    def __init__(self) -> None:
        super().__init__(name="iua_widget.Vector")


_vector: Final = _Vector()


def _model(manager: Any, kind: Any) -> Any:
    return models.PrimitiveModel(manager, kind, _BYTES)  # type: ignore[no-untyped-call]


register_model(_Vector)(_model)


def _intrinsic(code: Callable[..., Any], result: Any = _vector) -> Any:
    """Make what `code` builds callable from a loop; arrays come as pointers to their first byte."""

    def typed(_context: Any, *kinds: Any) -> Any:
        def build(context: Any, builder: Any, _: Any, values: Sequence[Any]) -> Any:
            plain = [
                builder.bitcast(context.make_array(kind)(context, builder, value).data, _POINTER)
                if isinstance(kind, types.Array)
                else value
                for kind, value in zip(kinds, values, strict=True)
            ]
            made = code(builder, *plain)
            return context.get_dummy_value() if result is types.void else made

        return result(*kinds), build

    # Numba asks for a fixed number of arguments: those of `code`, whose first is LLVM's builder.
    typed.__signature__ = inspect.signature(code)  # type: ignore[attr-defined]
    return intrinsic(typed)


def _call(builder: Any, name: str, result: Any, *values: Any) -> Any:
    kind = ir.FunctionType(result, [value.type for value in values])
    function = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
    return builder.call(function, values)


def _constant(kind: Any, values: int | Sequence[int]) -> Any:
    return ir.Constant(kind, [values] * kind.count if isinstance(values, int) else list(values))


def _spread(builder: Any, value: Any, kind: Any) -> Any:
    """A vector of the same value throughout."""
    unset = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(unset, value, ir.Constant(_INT, 0))
    return _picked(builder, first, unset, [0] * kind.count)


def _picked(builder: Any, one: Any, two: Any, places: Sequence[int]) -> Any:
    """Elements of two vectors, those of the second counted on from the first."""
    return builder.shuffle_vector(
        one, two, ir.Constant(ir.VectorType(_INT, len(places)), list(places))
    )


def _at(builder: Any, pointer: Any, at: Any, kind: Any) -> Any:
    return builder.bitcast(builder.gep(pointer, [at]), kind.as_pointer())


def _read(builder: Any, pointer: Any, at: Any, kind: Any) -> Any:
    value = builder.load(_at(builder, pointer, at, kind))
    value.align = 1
    return value


def _write(builder: Any, pointer: Any, at: Any, value: Any) -> None:
    builder.store(value, _at(builder, pointer, at, value.type)).align = 1


def _number(value: int) -> Any:
    return ir.Constant(_LONG, value)


def _logic(builder: Any, rule: int, *values: Any) -> Any:
    """Any function of three bits, given by its table of eight."""
    one, two, three = (builder.bitcast(value, _INTS) for value in values)
    name = "llvm.x86.avx512.pternlog.d.512"
    made = _call(builder, name, _INTS, one, two, three, ir.Constant(_INT, rule))
    return builder.bitcast(made, _BYTES)


def _indices(builder: Any, bins: Any, before: Any) -> Any:
    """Where `hot` looks bins up: from 1 on those after so many, outside of its table the others."""
    one_on = _call(builder, "llvm.uadd.sat.v64i8", _BYTES, bins, _constant(_BYTES, 1))
    left_out = _spread(builder, builder.trunc(before, _BYTE), _BYTES)
    left = _call(builder, "llvm.usub.sat.v64i8", _BYTES, one_on, left_out)
    return _call(builder, "llvm.umin.v64i8", _BYTES, left, _constant(_BYTES, WIDTH - 1))


def _hot(builder: Any, indices: Any, table: Any) -> Any:
    """The byte that a table of 64 has at each index."""
    return _call(builder, "llvm.x86.avx512.permvar.qi.512", _BYTES, table, indices)


def _set_anywhere(builder: Any, value: Any) -> Any:
    """The bits that one byte of a vector has, or another."""
    longs = builder.bitcast(value, _LONGS)
    found = _call(builder, "llvm.vector.reduce.or.v8i64", _LONG, longs)
    for shift in (32, 16, 8):
        found = builder.or_(found, builder.lshr(found, _number(shift)))
    return builder.and_(found, _number(0xFF))


_BITS: Final = tuple(1 << bit for bit in range(8))


def _take(builder: Any, taken: Any, more: Any) -> Any:
    """What a number was before more was added, by this thread alone."""
    return builder.atomic_rmw("add", builder.bitcast(taken, _LONG.as_pointer()), more, "acq_rel")


take = _intrinsic(_take, types.int64)
load = _intrinsic(lambda b, array, at: _read(b, array, at, _BYTES))
load_from = _intrinsic(lambda b, address, at: _read(b, b.inttoptr(address, _POINTER), at, _BYTES))
byte_from = _intrinsic(
    lambda b, address, at: b.load(b.gep(b.inttoptr(address, _POINTER), [at])), types.uint8
)
pointer = _intrinsic(lambda b, address: b.inttoptr(address, _POINTER), types.voidptr)
store = _intrinsic(_write, types.void)
zeros = _intrinsic(lambda _: _constant(_BYTES, 0))
both = _intrinsic(lambda b, one, two: b.and_(one, two))
either = _intrinsic(lambda b, one, two: b.xor(one, two))
set_anywhere = _intrinsic(_set_anywhere, types.int64)
any_of = _intrinsic(lambda b, one, two: b.or_(one, two))
sum_bits = _intrinsic(lambda b, one, two, three: _logic(b, 0x96, one, two, three))
carry_bits = _intrinsic(lambda b, one, two, three: _logic(b, 0xE8, one, two, three))
indices = _intrinsic(_indices)
hot = _intrinsic(_hot)


def _turned(builder: Any, bits: Any) -> Any:
    """Turn each square of eight by eight bits: what was bit ``b`` of its bytes is byte ``b``."""
    unit = _constant(_BYTES, [*_BITS] * 8)
    name = "llvm.x86.vgf2p8affineqb.512"
    return _call(builder, name, _BYTES, unit, bits, ir.Constant(_BYTE, 0))


def _add_places(  # noqa: PLR0917
    builder: Any,
    plane_1: Any,
    plane_2: Any,
    plane_4: Any,
    plane_8: Any,
    plane_16: Any,
    plane_32: Any,
    plane_64: Any,
    plane_128: Any,
    totals: Any,
    at: Any,
) -> None:
    """Add the counters of eight bins, summed over the 64 places, to eight totals of 64 bits."""

    def weighted(planes: Sequence[Any]) -> Any:
        """Each eight places' sum, a byte a bin: below 128, since there are four planes."""
        total = None
        for plane in planes:
            ones = _call(builder, "llvm.ctpop.v64i8", _BYTES, _turned(builder, plane))
            total = ones if total is None else builder.add(builder.add(total, total), ones)
        return builder.bitcast(total, _WORDS)

    low = weighted((plane_8, plane_4, plane_2, plane_1))
    high = weighted((plane_128, plane_64, plane_32, plane_16))

    def folded(parts: Sequence[Any]) -> Any:
        """Four words, first in the vector, each the sum of every fourth."""
        one, sixteen = parts
        words = builder.add(one, builder.shl(sixteen, _constant(_WORDS, 4)))
        for left in (16, 8, 4):
            turned = [*range(left, 32), *range(left)]
            words = builder.add(words, _picked(builder, words, words, turned))
        return words

    even = folded([builder.and_(part, _constant(_WORDS, 0xFF)) for part in (low, high)])
    odd = folded([builder.lshr(part, _constant(_WORDS, 8)) for part in (low, high)])
    counts = builder.zext(_picked(builder, even, odd, [0, 32, 1, 33, 2, 34, 3, 35]), _LONGS)
    place = builder.shl(at, _number(3))
    _write(builder, totals, place, builder.add(_read(builder, totals, place, _LONGS), counts))


add_places = _intrinsic(_add_places, types.void)


def _find_bins(builder: Any, row: Any, at: Any, grid: Any) -> Any:
    """The bins of 64 float32, given by their bits, from `at` on: see `packed`."""

    def held(byte: int, kind: Any) -> Any:
        value = _read(builder, grid, _number(byte), kind)
        value.set_metadata("invariant.load", builder.module.add_metadata([]))
        return value

    cells = [held(WIDTH * part, _BYTES) for part in range(_CELLS // WIDTH)]
    edges = [held(_CELLS + WIDTH * part, _INTS) for part in range(_EDGES // 16)]
    lowest = _spread(builder, builder.trunc(held(_CELLS + 4 * _EDGES, _INT), _WORD), _WORDS)
    first = builder.shl(at, _number(2))
    magnitudes = [
        builder.and_(
            _read(builder, row, builder.add(first, _number(WIDTH * part)), _INTS),
            _constant(_INTS, 0x7FFFFFFF),
        )
        for part in range(4)
    ]
    upper = [builder.lshr(part, _constant(_INTS, _SHIFT)) for part in magnitudes]
    # These clip at 0 and 255, and take 16 bytes of each of the four in turn.
    narrow = [
        builder.sub(_call(builder, "llvm.x86.avx512.packusdw.512", _WORDS, *pair), lowest)
        for pair in (upper[:2], upper[2:])
    ]
    mixed = _call(builder, "llvm.x86.avx512.packuswb.512", _BYTES, *narrow)
    mixed = builder.bitcast(mixed, _INTS)
    order = [4 * lane + part for part in range(4) for lane in range(4)]
    cell = builder.bitcast(_picked(builder, mixed, mixed, order), _BYTES)
    low, high = (
        _call(builder, "llvm.x86.avx512.vpermi2var.qi.512", _BYTES, one, cell, two)
        for one, two in (cells[:2], cells[2:])
    )
    upper_half = builder.icmp_signed("<", cell, _constant(_BYTES, 0))
    bins = builder.select(upper_half, high, low)
    above = []
    for part, magnitude in enumerate(magnitudes):
        quarter = _picked(builder, bins, bins, range(16 * part, 16 * part + 16))
        bin_ = builder.zext(quarter, _INTS)
        edge = None
        for pair in range(_EDGES // 32):
            one, two = edges[2 * pair : 2 * pair + 2]
            name = "llvm.x86.avx512.vpermi2var.d.512"
            found = _call(builder, name, _INTS, one, bin_, two)
            here = builder.icmp_unsigned(">=", bin_, _constant(_INTS, 32 * pair))
            edge = found if edge is None else builder.select(here, found, edge)
        above.append(builder.icmp_unsigned(">", magnitude, edge))
    low_half, high_half = (
        _picked(builder, above[pair], above[pair + 1], range(32)) for pair in (0, 2)
    )
    one_above = _picked(builder, low_half, high_half, range(64))
    return builder.add(bins, builder.zext(one_above, _BYTES))


bins_at = _intrinsic(_find_bins)


def _doubles(builder: Any, value: Any) -> Any:
    return builder.bitcast(value, _DOUBLES)


def _magnitudes(builder: Any, row: Any, at: Any) -> Any:
    """Eight float32, given by their bits, as the magnitudes of doubles."""
    single = ir.VectorType(ir.FloatType(), 8)
    wide = builder.fpext(_read(builder, row, builder.shl(at, _number(2)), single), _DOUBLES)
    return builder.bitcast(_call(builder, "llvm.fabs.v8f64", _DOUBLES, wide), _BYTES)


def _plus(builder: Any, total: Any, value: Any) -> Any:
    total, value = _doubles(builder, total), _doubles(builder, value)
    return builder.bitcast(builder.fadd(total, value), _BYTES)


def _plus_square(builder: Any, total: Any, value: Any) -> Any:
    """Rounded once, which makes no difference: the square of a float32 is exact."""
    total, value = _doubles(builder, total), _doubles(builder, value)
    return builder.bitcast(_call(builder, "llvm.fma.v8f64", _DOUBLES, value, value, total), _BYTES)


def _larger(builder: Any, largest: Any, row: Any, at: Any) -> Any:
    """The bits of the larger of sixteen magnitudes each."""
    value = _read(builder, row, builder.shl(at, _number(2)), _INTS)
    value = builder.and_(value, _constant(_INTS, 0x7FFFFFFF))
    largest = builder.bitcast(largest, _INTS)
    return builder.bitcast(_call(builder, "llvm.umax.v16i32", _INTS, largest, value), _BYTES)


def _sum_of_lanes(builder: Any, lanes: Any) -> Any:
    """Sum 64 doubles, the second half of them added to the first until one is left."""
    parts = [_read(builder, lanes, _number(WIDTH * part), _DOUBLES) for part in range(8)]
    while len(parts) > 1:
        half = len(parts) // 2
        parts = [
            builder.fadd(one, two) for one, two in zip(parts[:half], parts[half:], strict=True)
        ]
    (total,) = parts
    for left in (4, 2, 1):
        turned = [*range(left, 8), *range(left)]
        total = builder.fadd(total, _picked(builder, total, total, turned))
    return builder.extract_element(total, ir.Constant(_INT, 0))


def _largest_of(builder: Any, bits: Any) -> Any:
    """The largest of sixteen unsigned integers."""
    bits = builder.bitcast(bits, _INTS)
    return _call(builder, "llvm.vector.reduce.umax.v16i32", _INT, bits)


def _prefetch(builder: Any, array: Any, first: Any, size: int, *, to_write: bool) -> None:
    """Have so many bytes fetched from memory, that will be used soon."""
    kinds = [_POINTER, _INT, _INT, _INT]
    name = "llvm.prefetch.p0i8"
    function = builder.module.globals.get(name) or ir.Function(
        builder.module, ir.FunctionType(ir.VoidType(), kinds), name
    )
    for at in range(0, size, WIDTH):
        place = builder.gep(array, [builder.add(first, _number(at))])
        write, keep, data = (ir.Constant(_INT, value) for value in (int(to_write), 3, 1))
        builder.call(function, [place, write, keep, data])


def _fetch_floats(builder: Any, row: Any, at: Any) -> None:
    """Have 64 elements of four bytes fetched, that will be read soon."""
    _prefetch(builder, row, builder.shl(at, _number(2)), 4 * WIDTH, to_write=False)


def _fetch_from(builder: Any, address: Any, at: Any) -> None:
    """Have the 64 bytes there fetched, that will be read soon; there need not be any."""
    pointer = builder.inttoptr(address, _POINTER)
    _prefetch(builder, pointer, at, WIDTH, to_write=False)


def _fetch_bins(builder: Any, row: Any, at: Any) -> None:
    """Have 64 bytes fetched, that will be written soon."""
    _prefetch(builder, row, at, WIDTH, to_write=True)


fetch_floats = _intrinsic(_fetch_floats, types.void)
fetch_from = _intrinsic(_fetch_from, types.void)
fetch_bins = _intrinsic(_fetch_bins, types.void)
sum_of_lanes = _intrinsic(_sum_of_lanes, types.float64)
largest_of = _intrinsic(_largest_of, types.uint32)
magnitudes = _intrinsic(_magnitudes)
plus = _intrinsic(_plus)
plus_square = _intrinsic(_plus_square)
larger = _intrinsic(_larger)


def _interleaved(builder: Any, one: Any, two: Any, size: int, half: int) -> Any:
    """Elements of so many bytes from two vectors in turn: a half of each sixteen bytes."""
    places = [
        vector + lane + element + byte
        for lane in range(8 * half, WIDTH, 16)
        for element in range(0, 8, size)
        for vector in (0, WIDTH)
        for byte in range(size)
    ]
    return _picked(builder, one, two, places)


def _write_counters(  # noqa: PLR0917
    builder: Any,
    plane_1: Any,
    plane_2: Any,
    plane_4: Any,
    plane_8: Any,
    plane_16: Any,
    plane_32: Any,
    plane_64: Any,
    plane_128: Any,
    out: Any,
    at: Any,
) -> None:
    """From eight planes the eight counters of each of 64 places, as bytes side by side.

    Of the eight vectors written, vector ``v`` holds places ``2 * v`` and ``2 * v + 1`` of each
    sixteen.
    """
    high, low = [plane_128, plane_64, plane_32, plane_16], [plane_8, plane_4, plane_2, plane_1]
    families = [[plane] for plane in (*high, *low)]
    for size in (1, 2, 4):
        families = [
            [
                _interleaved(builder, *pair, size, half)
                for pair in zip(one, two, strict=True)
                for half in (0, 1)
            ]
            for one, two in zip(families[::2], families[1::2], strict=True)
        ]
    for vector, bits in enumerate(families[0]):
        place = builder.add(at, _number(WIDTH * vector))
        _write(builder, out, place, _turned(builder, bits))


write_counters = _intrinsic(_write_counters, types.void)


def _add_units(  # noqa: PLR0917
    builder: Any, written: Any, at: Any, counts: Any, to: Any, columns: Any
) -> None:
    """Add 64 counters each to eight units, from what `write_counters` wrote of eight groups."""
    groups = [
        _read(builder, written, builder.add(at, _number(8 * WIDTH * group)), _LONGS)
        for group in range(8)
    ]
    even, odd = [0, 8, 2, 10, 4, 12, 6, 14], [1, 9, 3, 11, 5, 13, 7, 15]
    low, high = [0, 1, 4, 5, 8, 9, 12, 13], [2, 3, 6, 7, 10, 11, 14, 15]
    for second, places in enumerate((even, odd)):
        pairs = [
            _picked(builder, groups[pair], groups[pair + 1], places) for pair in range(0, 8, 2)
        ]
        for part, quarter in enumerate((low, high)):
            halves = [_picked(builder, pairs[pair], pairs[pair + 1], quarter) for pair in (0, 2)]
            for last, half in enumerate((low, high)):
                counters = builder.bitcast(_picked(builder, halves[0], halves[1], half), _BYTES)
                unit = _number(16 * (2 * last + part) + second)
                place = builder.add(to, builder.mul(columns, unit))
                _write(
                    builder,
                    counts,
                    place,
                    builder.add(_read(builder, counts, place, _BYTES), counters),
                )


def _add_eight(  # noqa: PLR0917
    builder: Any, written: Any, at: Any, counts: Any, to: Any, missing: Any
) -> None:
    """Add eight counters to one unit, the first `missing` of them left out at the other end."""
    counters = _read(builder, written, at, _LONG)
    counters = builder.shl(counters, builder.shl(missing, _number(3)))
    _write(builder, counts, to, builder.add(_read(builder, counts, to, _LONG), counters))


add_units = _intrinsic(_add_units, types.void)
add_eight = _intrinsic(_add_eight, types.void)


@functools.cache
def available() -> bool:
    """Whether numba compiles for a processor that has what the operations need.

    Returns
    -------
    bool
    """
    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        return False
    features = cpu_target.target_context.codegen().magic_tuple()[2].split(",")
    return all(f"+{feature}" in features for feature in _FEATURES)


def packed(edges: np.ndarray) -> np.ndarray | None:
    """A tolerance grid as `bins_at` takes it: in registers, where it fits into them.

    Parameters
    ----------
    edges : numpy.ndarray of uint32
        The bits of the stops and of the largest finite float32: ascending, without repeats.

    Returns
    -------
    numpy.ndarray of uint32, or None
        For each of 256 cells, from the lowest on, the first bin that begins there, a byte each;
        then the edges; then the lowest cell's number. All cells below the lowest are one with it,
        and those above the highest with that: no cell holds two edges.
    """
    cells = (edges >> np.uint32(_SHIFT)).astype(np.int64)
    if not 2 <= len(edges) < _EDGES or (np.diff(cells) == 0).any():  # noqa: PLR2004
        return None
    lowest = cells[1] - 1
    first = np.searchsorted(cells, lowest + np.arange(_CELLS))
    first[0] = 0
    if first[-1] < len(edges) - 1:
        return None
    held = np.full(_EDGES, np.iinfo(np.uint32).max, np.uint32)
    held[: len(edges)] = edges
    return np.concatenate((first.astype(np.uint8).view(np.uint32), held, [np.uint32(lowest)]))
