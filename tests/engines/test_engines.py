"""All counting engines give the same, to the last bit."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from test_counting import DTYPES, interesting_values

import iua_widget.engines.cpu
from iua_widget import IUA, EngineError, IUAWarning
from iua_widget.engines.choice import AutoEngine, choose_engine
from iua_widget.engines.compiling import LoopCompiler
from iua_widget.engines.cpu import avx512, avx512_kernels
from iua_widget.engines.cpu import engine as cpu
from iua_widget.engines.cpu.engine import CPUEngine
from iua_widget.engines.device.engine import DeviceEngine
from iua_widget.engines.device_batch import DeviceBatch
from iua_widget.engines.engine import (
    BatchCounts,
    Engine,
    LayerBins,
    LayerResponses,
    RunningSums,
)
from iua_widget.engines.reference import ReferenceEngine
from iua_widget.options import SourceOptions
from iua_widget.reading.statistics import inactive_list
from iua_widget.run.loop import count
from iua_widget.run.open import open_source
from iua_widget.tally.tally import Tally
from iua_widget.tolerances import Stops, default_stops
from iua_widget.units.rule import CHOICES

pytestmark = pytest.mark.slow


torch = pytest.importorskip("torch")

ENGINES: list[type[Engine]] = [CPUEngine, DeviceEngine]
NAMES = ["cpu", "device"]
FLOATING = [dtype for dtype in DTYPES if np.dtype(dtype).kind in "fc"]
GRIDS = [
    default_stops(),
    (0.0, 1e-8),
    (0.0, 1e-9, 2e-9, 1.0, 1.0001),  # two stops in one cell of the smallest table
    tuple(np.linspace(0, 3, 300).tolist()),
    (0.0, 0.5, 1e39, 1e300),  # infinite in float32
    (0.0, 1e-300, 65504.0, 1e5),  # repeated and infinite in float16
    tuple(1 + step * 1e-7 for step in range(9)),  # closer than any table tells apart
]


TENSOR_DTYPES = [
    torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.float8_e4m3fn,
    torch.float8_e5m2, torch.complex64, torch.complex128, torch.int8, torch.int16, torch.int32,
    torch.int64, torch.uint8, torch.uint16, torch.uint32, torch.uint64, torch.bool,
]  # fmt: skip
LAYOUTS = [
    "contiguous", "strided", "channels_last", "transposed", "expanded", "flipped", "conjugated",
]  # fmt: skip


def on_host(batch: BatchCounts | DeviceBatch) -> BatchCounts:
    """What the reference gives where a batch was classified on a device."""
    if isinstance(batch, BatchCounts):
        return batch
    many = batch.inactive.shape[1] >= 2**8
    nan, infinite = (
        one.numpy().astype(np.int64) for one in (batch.nan_count, batch.infinite_count)
    )
    odd = nan.any() or infinite.any()
    return BatchCounts(
        bins=batch.bins.numpy().astype(np.uint16 if many else np.uint8, casting="unsafe"),
        inactive=batch.inactive.numpy(),
        abs_sum=batch.abs_sum.numpy(),
        square_sum=batch.square_sum.numpy(),
        abs_max=batch.abs_max.numpy(),
        nan_count=nan if odd else None,
        infinite_count=infinite if odd else None,
        entries=batch.entries,
    )


def assert_same(one: BatchCounts, other: BatchCounts) -> None:
    assert one.entries == other.entries
    for name in (
        "bins", "inactive", "abs_sum", "square_sum", "abs_max", "nan_count", "infinite_count",
    ):  # fmt: skip
        here, there = getattr(one, name), getattr(other, name)
        assert (here is None) == (there is None), name
        if here is not None:
            assert here.dtype == there.dtype, name
            np.testing.assert_array_equal(here, there, err_msg=name)


def assert_same_tally(one: Tally, other: Tally) -> None:
    here, there = one.state(), other.state()
    assert here.facts == there.facts
    assert list(here.arrays) == list(there.arrays)
    for name, array in here.arrays.items():
        assert array.dtype == there.arrays[name].dtype, name
        np.testing.assert_array_equal(array, there.arrays[name], err_msg=name)
    assert inactive_list(one) == inactive_list(other)


def check(engine: Engine, values: np.ndarray, stops: Stops) -> None:
    thresholds = stops.thresholds(np.empty(0, values.dtype).real.dtype)
    reference = ReferenceEngine()
    expected = reference.classify(values, thresholds)
    assert_same(on_host(engine.classify(values, thresholds)), expected)
    for dtype in (np.uint16, np.uint32, np.uint64):
        counts = np.ones((2, values.shape[-1], len(stops) + 1), dtype)
        engine.accumulate([expected.bins], counts[0])
        reference.accumulate([expected.bins], counts[1])
        np.testing.assert_array_equal(counts[0], counts[1])
    tallies = [
        Tally(stops, values.shape[-1:], engine=one, inactive_at=0.0) for one in (engine, reference)
    ]
    for tally in tallies:
        for part in (values, values[:1], values[:0]):
            tally.add(tally.classify(part, running=tally is tallies[0]))
    assert_same_tally(*tallies)


@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=200, deadline=None)
@given(st.data())
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_every_engine_gives_what_the_reference_gives(
    engine: type[Engine], data: st.DataObject
) -> None:
    dtype = np.dtype(data.draw(st.sampled_from(FLOATING)))
    shape = data.draw(hnp.array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=19))
    elements = data.draw(interesting_values(dtype))
    values = data.draw(hnp.arrays(dtype, shape, elements=elements, fill=elements))
    check(engine(), values, Stops(data.draw(st.sampled_from(GRIDS))))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", FLOATING)
@pytest.mark.parametrize(
    "shape", [(64, 3000), (3, 70_001), (9, 196, 65), (2, 5000, 3), (1500, 40), (7, 1)]
)
def test_large_batches_give_the_same(
    engine: type[Engine], dtype: type[np.inexact], shape: tuple[int, ...]
) -> None:
    rng = np.random.default_rng(0)
    values = np.maximum(rng.normal(size=shape), 0).astype(dtype)
    check(engine(), values, Stops(default_stops()))
    values[0, ..., 0], values[-1, ..., -1] = np.nan, np.inf
    check(engine(), values, Stops(default_stops()))


NEAR = (0.0, 0.5, 0.51, 1.0)
PACKED = [
    default_stops(), default_stops(2e-8, 0.9), (0.0, 1e-8), (0.5, 2.0), (0.0, 1e-30, 1e-25),
    (3e38,),
    tuple(np.geomspace(1e-5, 1e3, 93).tolist()),
]  # fmt: skip


@pytest.fixture
def in_vectors() -> None:
    if not avx512.available():
        pytest.skip("this processor lacks what the loops in vectors need")


def bits_of(stops: tuple[float, ...]) -> np.ndarray:
    return np.array([*stops, np.finfo(np.float32).max], np.float32).view(np.uint32)


@pytest.mark.usefixtures("in_vectors")
@pytest.mark.parametrize("stops", PACKED)
@pytest.mark.parametrize("shape", [(1, 2048), (64, 3000), (5, 20_063), (33, 2175), (1030, 2049)])
def test_loops_in_vectors_give_the_same(
    stops: tuple[float, ...], shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("rows", "count_bins")
    spies = {name: Mock(wraps=getattr(avx512_kernels, name)) for name in names}
    for name, spy in spies.items():
        monkeypatch.setattr(avx512_kernels, name, spy)
    rng = np.random.default_rng(0)
    edges = np.array(stops, np.float32)
    near = [edges, np.nextafter(edges, np.float32(np.inf)), np.nextafter(edges, np.float32(0))]
    pool = np.concatenate([*near, np.array([0, 1e-45, np.finfo(np.float32).max], np.float32)])
    values = rng.choice(np.concatenate([pool, -pool]), shape)
    drawn = rng.random(shape) < 0.5
    values[drawn] = rng.integers(0, 2**32, drawn.sum(), np.uint32).view(np.float32)
    few = rng.random(shape[1]) < 0.9  # units
    values[:, few] = np.where(np.isfinite(values[:, few]), values[:, few], np.float32(0.7))
    values[:, few] = np.where(np.abs(values[:, few]) < 1e15, values[:, few], np.float32(-3.0))
    with np.errstate(all="ignore"):
        check(CPUEngine(), values, Stops(stops))
    assert spies["rows"].called
    enough = len(stops) + 1 >= avx512_kernels.FEWEST_COLUMNS
    assert spies["count_bins"].called == (enough and shape[0] >= 32)


@pytest.mark.usefixtures("in_vectors")
@pytest.mark.parametrize("positions", [2, 49, 64, 65, 512, 513, 1500, 3136])
def test_vectors_sum_maps_of_any_size(positions: int, monkeypatch: pytest.MonkeyPatch) -> None:
    spy = Mock(wraps=avx512_kernels.maps)
    monkeypatch.setattr(avx512_kernels, "maps", spy)
    rng = np.random.default_rng(positions)
    maps = rng.standard_normal((9, 71, positions)).astype(np.float32)
    maps[:, 3] = 0
    maps[2, 5, -1] = np.nan
    maps[4, 6, 0] = -np.inf
    maps[1, 7] *= np.float32(1e30)
    maps[1, 8] *= np.float32(1e-40)
    with np.errstate(all="ignore"):
        check(CPUEngine(), np.moveaxis(maps, 1, 2), Stops(default_stops()))
    assert spy.called


@pytest.mark.usefixtures("in_vectors")
@pytest.mark.parametrize("columns", [8, 15, 55, 56, 57, 63, 64, 65, 72, 112, 128, 201, 224])
def test_vectors_count_in_any_number_of_columns(columns: int) -> None:
    rng = np.random.default_rng(columns)
    bins = rng.integers(0, columns + 1, (100, 333)).astype(np.uint8)
    bins[:, ::2] = bins[0, ::2]
    counts = rng.integers(0, 155, (2, 333, columns)).astype(np.uint8)
    counts[1] = counts[0]
    cpu._count_in_vectors([LayerBins([bins], counts[0])])
    ReferenceEngine().accumulate([bins], counts[1])
    np.testing.assert_array_equal(counts[0], counts[1])


@pytest.mark.usefixtures("in_vectors")
@pytest.mark.parametrize("dtype", [np.uint16, np.uint32, np.uint64])
@pytest.mark.parametrize("probes", [64, 255, 256, 700])
def test_vectors_count_more_probes_than_a_byte_can_hold(dtype: type, probes: int) -> None:
    rng = np.random.default_rng(probes)
    bins = rng.integers(0, 72, (probes, 333)).astype(np.uint8)
    bins[:, ::2] = bins[0, ::2]
    counts = rng.integers(0, 60_000, (2, 333, 71)).astype(dtype)
    counts[1] = counts[0]
    cpu._count_in_vectors([LayerBins([bins], counts[0])])
    ReferenceEngine().accumulate([bins], counts[1])
    np.testing.assert_array_equal(counts[0], counts[1])


@pytest.mark.usefixtures("in_vectors")
@pytest.mark.parametrize("columns", [56, 72, 201, 224])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_vectors_miss_no_bin_where_few_occur(columns: int, dtype: type) -> None:
    """Eight bins of which none occurs are passed over."""
    rng = np.random.default_rng(columns)
    units = 128 * columns + 30
    bins = np.empty((96, units), np.uint8)
    for block in range(columns + 1):
        some = slice(128 * block, min(128 * block + 128, units))
        bins[:, some] = np.minimum(block, columns - 1)
        bins[rng.integers(96), some.start + rng.integers(30)] = rng.integers(columns)
    counts = np.ones((2, units, columns), dtype)
    cpu._count_in_vectors([LayerBins([bins[:64], bins[64:]], counts[0])])
    ReferenceEngine().accumulate([bins], counts[1])
    np.testing.assert_array_equal(counts[0], counts[1])


@pytest.mark.usefixtures("in_vectors")
@pytest.mark.parametrize("units", [2048, 8192 + 64, 3001])
def test_vectors_miss_no_bin_of_a_probe_where_few_occur(units: int) -> None:
    stops = Stops(default_stops())
    edges = np.array([*default_stops(), 1e9], np.float32)
    values = np.repeat(edges[:, None], units, axis=1)
    rng = np.random.default_rng(units)
    for row in values:
        row[rng.integers(units)] = rng.choice(edges)
    check(CPUEngine(), values, stops)


@pytest.mark.parametrize(
    ("stops", "fits"),
    [(stops, True) for stops in PACKED]
    + [(NEAR, False), ((0.0, 1e-12, 1.0), False), (tuple(np.linspace(0, 3, 96)), False)],
)
def test_a_grid_is_packed_where_its_cells_and_edges_fit(
    stops: tuple[float, ...], fits: bool
) -> None:
    assert (avx512.packed(bits_of(stops)) is not None) == fits


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint64])
@pytest.mark.parametrize("bins_dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("batches", [(3,), (64, 64), (16, 40, 1, 70), (200,), (0, 5)])
def test_several_batches_are_counted_together(
    engine: type[Engine], dtype: type, bins_dtype: type, batches: tuple[int, ...]
) -> None:
    rng = np.random.default_rng(sum(batches))
    given = [rng.integers(0, 73, (probes, 4500)).astype(bins_dtype) for probes in batches]
    counts = np.zeros((4500, 72), dtype)
    engine().accumulate(given, counts)
    bins = np.concatenate(given)
    for column in (0, 1, 35, 70, 71):
        np.testing.assert_array_equal(counts[:, column], (bins == column).sum(axis=0))


@pytest.fixture
def loops_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """No engine waits for loops to be compiled elsewhere."""
    monkeypatch.setattr(LoopCompiler, "has", lambda *_: True)


@pytest.mark.usefixtures("loops_there")
@pytest.mark.parametrize("engine", [*ENGINES, ReferenceEngine, AutoEngine])
def test_several_layers_at_once_are_each_what_they_are_alone(engine: type[Engine]) -> None:
    rng, one = np.random.default_rng(0), engine()
    grids = [np.array(default_stops()), np.array([0.0, 0.5]), np.array([0.0, 1e-9, 2e-9, 1.0])]
    layers = []
    for number, units in enumerate([2048, 1, 70_000, 3000, 2049, 9000, 0, 500, 25_000]):
        for dtype in (np.float32, np.float16, np.complex64):
            values = rng.normal(size=(33 + number, units)).astype(dtype)
            values[:, ::3] = 0
            if units > 2 and number % 2:
                values[number, 1], values[2, 2] = np.nan, np.inf
            thresholds = grids[number % 3].astype(np.abs(values[:0]).dtype)
            onto = None if number % 4 else np.abs(rng.normal(size=(3, units)))
            layers.append(
                LayerResponses(values, thresholds, RunningSums(onto, np.empty((3, units))))
            )
    layers.append(LayerResponses(rng.normal(size=(3, 40, 50)), grids[0]))
    layers.append(LayerResponses(np.zeros((64, 6000), np.float32)[:, ::2], layers[0].thresholds))
    found = one.classify_all(layers)
    assert len(found) == len(layers)
    for layer, counts in zip(layers, found, strict=True):
        running = layer.running
        before = RunningSums(running.onto, np.empty_like(running.into)) if running else None
        alone = one.classify(layer.values, layer.thresholds, before)
        assert_same(on_host(counts), on_host(alone))
    assert one.classify_all([]) == []


@pytest.mark.usefixtures("in_vectors")
def test_layers_that_must_be_copied_are_not_held_together(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, together = CPUEngine(), []
    classify = engine._classify_in_vectors
    monkeypatch.setattr(
        engine,
        "_classify_in_vectors",
        lambda layers, table: together.append(len(layers)) or classify(layers, table),
    )
    values = np.ones((4, 6000), np.float32)
    thresholds = np.array(default_stops(), np.float32)
    engine.classify_all([LayerResponses(values, thresholds)] * 3)
    assert together == [3]
    engine.classify_all([LayerResponses(values[:, ::2], thresholds)] * 3)
    assert together == [3, 1, 1, 1]


@pytest.mark.usefixtures("loops_there")
@pytest.mark.parametrize("engine", [*ENGINES, ReferenceEngine, AutoEngine])
def test_several_layers_at_once_are_counted_as_each_alone(engine: type[Engine]) -> None:
    rng, one = np.random.default_rng(0), engine()
    layers = []
    for units in (1, 64, 130, 5000, 0, 20_000):
        for dtype, batches in (
            (np.uint8, (40, 60)),
            (np.uint16, (300,)),
            (np.uint8, (3,)),
            (np.uint32, ()),
        ):
            for columns in (5, 72):
                bins = [rng.integers(0, columns + 1, (n, units)).astype(np.uint8) for n in batches]
                layers.append(LayerBins(bins, np.ones((units, columns), dtype)))
    alone = [layer.counts.copy() for layer in layers]
    one.accumulate_all(layers)
    for layer, counts in zip(layers, alone, strict=True):
        one.accumulate(layer.batches, counts)
        np.testing.assert_array_equal(layer.counts, counts)


@pytest.mark.parametrize("shape", [(64, 3000), (5, 3000), (40, 30), (6, 50, 20)])
@pytest.mark.parametrize("odd", [False, True])
def test_sums_that_run_are_those_added_batch_by_batch(shape: tuple[int, ...], *, odd: bool) -> None:
    rng, stops = np.random.default_rng(0), Stops(default_stops())
    running, plain = (Tally(stops, shape[-1:], engine=CPUEngine()) for _ in range(2))
    for number in range(4):
        values = rng.normal(size=shape).astype(np.float32)
        if odd and number in {0, 2}:
            values.reshape(-1)[:: shape[-1] + 7] = np.nan
            values.reshape(-1)[1 :: shape[-1] + 5] = -np.inf
        batch = running.classify(values, running=True)
        assert isinstance(batch, BatchCounts)
        assert batch.running is not None
        before = running.store.read_magnitudes().abs_sum.copy()
        running.classify(values * 3, running=True)  # one that came to nothing
        np.testing.assert_array_equal(running.store.read_magnitudes().abs_sum, before)
        running.add(running.classify(values, running=True))
        plain.add(plain.classify(values))
    assert_same_tally(running, plain)


def test_where_there_are_no_vectors_the_other_loops_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(avx512, "available", lambda: False)
    for name in ("rows", "count_bins", "maps"):
        monkeypatch.delattr(avx512_kernels, name)
    cpu._table.cache_clear()
    for shape in ((64, 3000), (300, 3000), (3, 50, 40)):
        values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        check(CPUEngine(), values, Stops(default_stops()))
    cpu._table.cache_clear()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (2, 0, 4), (0, 2, 4), (2, 3, 0), (3, 1, 4)])
def test_nothing_is_counted_the_same(engine: type[Engine], shape: tuple[int, ...]) -> None:
    check(engine(), np.ones(shape, np.float32), Stops(default_stops()))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("layout", ["strided", "fortran", "reversed", "readonly", "swapped"])
def test_the_layout_in_memory_does_not_matter(engine: type[Engine], layout: str) -> None:
    values = np.random.default_rng(0).normal(size=(12, 40, 33)).astype(np.float32)
    if layout == "strided":
        values = values[::2, :, ::3]
    elif layout == "fortran":
        values = np.asfortranarray(values)
    elif layout == "reversed":
        values = values[:, ::-1, ::-1]
    elif layout == "readonly":
        values.flags.writeable = False
    else:
        values = values.astype(">f4")
    check(engine(), values, Stops(default_stops()))
    check(engine(), values[:, 0], Stops(default_stops()))


def counted(
    batches: Iterable[Any], engine: str, reads: Iterator[bool] | None = None, **options: Any
) -> IUA:
    """A run, read after some of its batches."""
    mask = options.pop("mask", None)
    iua = IUA(engine=engine, **options)
    for _ in count(iua._run, open_source(list(batches), options=SourceOptions(mask=mask))):
        if reads is not None and next(reads) and iua._run.tally("layer").probes:
            iua.at()
            iua.units("layer")
    return iua


def assert_same_run(one: IUA, other: IUA) -> None:
    assert one.layers == other.layers
    for layer in one.layers:
        assert_same_tally(one._run.tally(layer), other._run.tally(layer))


def laid_out(values: Any, layout: str) -> Any:  # noqa: PLR0911  (one a layout)
    """The same shape and values, lying in memory in another way; or other values of that shape."""
    if layout == "strided":
        wide = torch.zeros((*values.shape[:-1], 2 * values.shape[-1]), dtype=values.dtype)
        wide[..., ::2] = values
        return wide[..., ::2]
    if layout == "channels_last" and values.ndim == 4:
        return values.contiguous(memory_format=torch.channels_last)
    if layout == "transposed":
        return values.transpose(0, -1).contiguous().transpose(0, -1)
    if layout == "expanded":
        return values[..., :1].expand(values.shape)
    if layout == "conjugated" and values.is_complex():
        return values.conj().imag if values.shape[0] % 2 else values.conj()
    if layout == "flipped" and values.dtype.is_floating_point and values.dtype.itemsize > 1:
        return values.flip(0)
    return values


@pytest.mark.parametrize("engine", NAMES)
@settings(max_examples=250, deadline=None)
@given(st.data())
@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::iua_widget.IUAWarning")
def test_tensors_of_every_dtype_layout_and_choice_of_units(
    engine: str, data: st.DataObject
) -> None:
    dtype = data.draw(st.sampled_from(TENSOR_DTYPES))
    layout = data.draw(st.sampled_from(LAYOUTS))
    units = data.draw(st.sampled_from(CHOICES))
    shape = data.draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=1, max_side=5))
    sizes = data.draw(st.lists(st.integers(0, 6), min_size=1, max_size=5).filter(sum))
    channel_axis = data.draw(st.sampled_from([1, -1])) if shape else None
    rng = np.random.default_rng(data.draw(st.integers(0, 2**16)))
    pool = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 1e-8, 1e-3, 0.5, 1e5, 1e-40, 1e-46])
    batches = []
    for size in sizes:
        drawn = rng.normal(size=(size, *shape))
        odd = rng.random(drawn.shape) < rng.choice([0, 0.3])
        if dtype.is_floating_point or dtype.is_complex:
            drawn[odd] = rng.choice(pool, odd.sum())
        else:
            drawn = np.abs(np.trunc(drawn))
        values = torch.from_numpy(drawn).to(dtype)
        if dtype.is_complex:
            values = values * (1 + 0.7j)
        batches.append({"layer": laid_out(values, layout) if shape else values})
    masked = len(shape) == 2 and units in {"token", "channel"} and data.draw(st.booleans())
    positions = shape[0 if channel_axis == -1 else -1] if shape else 1
    masks = [rng.random((size, positions)) < 0.6 for size in sizes]

    def mask(batch: Any) -> np.ndarray:
        return masks[next(n for n, one in enumerate(batches) if one is batch)]

    options: dict[str, Any] = {
        "units": units,
        "channel_axis": channel_axis,
        "mask": mask if masked else None,
    }
    reads = iter(data.draw(st.lists(st.booleans(), min_size=len(sizes), max_size=len(sizes))))
    expected = counted(batches, "reference", **options)
    assert_same_run(counted(batches, engine, reads, **options), expected)


def forget_what_needs_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the modules that import numba imported anew."""
    for package, modules in (
        (iua_widget.engines, ("compiling", "needs")),
        (iua_widget.engines.cpu, ("engine", "kernels")),
    ):
        for module in modules:
            monkeypatch.delitem(sys.modules, f"{package.__name__}.{module}", raising=False)
            monkeypatch.delattr(package, module, raising=False)


def test_where_numba_is_missing_the_reference_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_what_needs_numba(monkeypatch)
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.setattr("iua_widget.engines.auto._beside", lambda work: work())
    monkeypatch.setattr("iua_widget.engines.auto._WORTH_LOADING", 0)
    monkeypatch.setattr("iua_widget.engines.auto._WORTH_COMPILING", 0)
    values = np.zeros((4, 2**18), np.float32)
    assert IUA.introspect([{"a": values}] * 2).results["a"].dead == 2**18
    with pytest.raises(EngineError, match=r"needs numba.*pip install numba"):
        IUA.introspect({"a": values}, engine="cpu")


BROKEN = {
    "OSError": "raise OSError('libllvm.so: cannot open shared object file')",
    "AttributeError": "from math import inf; inf.nothing",
    "SystemError": "raise SystemError('initialization failed')",
    "RuntimeError": "def njit(*_, **__): raise RuntimeError('no LLVM')",
}


@pytest.mark.parametrize("kind", BROKEN)
def test_where_numba_is_broken_numpy_counts_and_it_is_told(
    kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "numba.py").write_text(BROKEN[kind])
    monkeypatch.syspath_prepend(tmp_path)
    forget_what_needs_numba(monkeypatch)
    monkeypatch.delitem(sys.modules, "numba")
    monkeypatch.setattr("iua_widget.engines.auto._beside", lambda work: work())
    monkeypatch.setattr("iua_widget.engines.auto._WORTH_LOADING", 0)
    monkeypatch.setattr("iua_widget.engines.auto._WORTH_COMPILING", 0)
    values = np.zeros((4, 2**18), np.float32)
    with pytest.warns(IUAWarning, match=f"numba is here and fails .{kind}.*NumPy counts"):
        iua = IUA.introspect([{"a": values}] * 2)
    assert iua.results["a"].dead == 2**18
    with pytest.raises(EngineError, match=f"needs numba, which fails here with {kind}: .*again"):
        IUA.introspect({"a": values}, engine="cpu")


@pytest.mark.usefixtures("loops_there")
def test_where_something_cannot_be_compiled_numpy_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> None:
        message = "LLVM cannot select"
        raise SystemError(message)

    data = {"a": np.zeros((40, 3)), "b": np.ones((40, 4), np.float32)}
    monkeypatch.setattr(CPUEngine, "_one_by_one", failing)
    monkeypatch.setattr(CPUEngine, "_classify_in_vectors", failing)
    with pytest.warns(IUAWarning, match="fails .SystemError: LLVM cannot select") as caught:
        iua = IUA.introspect(data)
    assert len(caught) == 1
    assert [iua.results[name].dead for name in data] == [3, 0]
    assert iua.results["a"].inactive == [3] * 40


def test_an_engine_that_there_is_not_is_told_so() -> None:
    names = "'auto', 'cpu', 'device', 'reference'"
    with pytest.raises(EngineError, match=f"one of {names}, and is 'gpu'"):
        IUA.introspect({"a": np.zeros((1, 1))}, engine="gpu")
    assert isinstance(choose_engine("cpu"), CPUEngine)
    assert isinstance(choose_engine("device"), DeviceEngine)


def test_where_pytorch_is_missing_the_device_engine_is_told_to_need_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "iua_widget.engines.device.engine")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(EngineError, match=r"needs PyTorch.*pip install torch"):
        IUA(engine="device")
