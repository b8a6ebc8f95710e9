"""Triton's kernels in its interpreter: as the reference, to the last bit. For a GPU: compiled."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from test_counting import interesting_values
from test_engines import GRIDS, assert_same, assert_same_tally, check, on_host

from iua_widget import IUAWarning
from iua_widget.engines.device import check as device_check
from iua_widget.engines.device import choice, engine, triton_launch
from iua_widget.engines.device.blocks import Blocks
from iua_widget.engines.device.counters import DeviceCounters
from iua_widget.engines.device.edges import DeviceEdges
from iua_widget.engines.device.engine import DeviceEngine
from iua_widget.engines.device.fallback import KernelsWithFallback
from iua_widget.engines.device.grouped import GroupedLayer
from iua_widget.engines.device.kernels import DeviceKernels
from iua_widget.engines.device.together import BatchesTogether
from iua_widget.engines.device.torch_kernels import TorchKernels
from iua_widget.engines.device_batch import DeviceBatch
from iua_widget.engines.reference import ReferenceEngine
from iua_widget.tally import device as device_tally
from iua_widget.tally import device_together
from iua_widget.tally.tally import Tally
from iua_widget.tolerances import Stops, default_stops

pytest.importorskip("triton")

from iua_widget.engines.device.by_triton import TritonKernels

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        torch.cuda.is_available(), reason="on a GPU the kernels run as they are: see test_cuda"
    ),
]

HERE = torch.device("cpu")
STOPS = Stops(default_stops())
DTYPES = [np.float16, np.float32, np.float64]


@pytest.fixture(autouse=True)
def by_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    kernels = TritonKernels()
    for module in (engine, device_tally, device_together):
        monkeypatch.setattr(module, "kernels_for", lambda _: kernels)


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_every_batch_gives_what_the_reference_gives(data: st.DataObject) -> None:
    dtype = np.dtype(data.draw(st.sampled_from(DTYPES)))
    shape = data.draw(hnp.array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=9))
    elements = data.draw(interesting_values(dtype))
    values = data.draw(hnp.arrays(dtype, shape, elements=elements, fill=elements))
    check(DeviceEngine(), values, Stops(data.draw(st.sampled_from(GRIDS))))


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((9, 300), np.float16),
        ((1, 2050), np.float32),
        ((3, 64, 5), np.float32),
        ((2, 65, 7), np.float64),
        ((2, 1600, 2), np.float16),
        ((3, 1, 4), np.float64),
        ((3, 600, 1), np.float64),
    ],
)
def test_chunks_and_blocks_end_where_they_should(shape: tuple[int, ...], dtype: Any) -> None:
    values = np.maximum(np.random.default_rng(0).normal(size=shape), 0).astype(dtype)
    values.flat[:: max(values.size // 9, 1)] = np.nan
    values.flat[1 :: max(values.size // 7, 1)] = -np.inf
    check(DeviceEngine(), values, Stops(default_stops()))


@pytest.mark.parametrize(("shape", "dtype"), [((513, 40), np.float64), ((514, 2, 3), np.float32)])
def test_probes_are_summed_in_chunks(shape: tuple[int, ...], dtype: Any) -> None:
    values = np.random.default_rng(0).normal(size=shape).astype(dtype)
    thresholds = STOPS.thresholds(np.dtype(dtype))
    expected = ReferenceEngine().classify(values, thresholds)
    assert_same(on_host(DeviceEngine().classify(values, thresholds)), expected)


@pytest.mark.parametrize("layout", ["strided", "reversed", "units first", "expanded", "negated"])
@pytest.mark.parametrize("shape", [(6, 40, 9), (6, 1, 30)])
def test_the_layout_in_memory_does_not_matter(layout: str, shape: tuple[int, ...]) -> None:
    wide = torch.randn((2 * shape[0], *shape[1:-1], 3 * shape[2]), dtype=torch.float64)
    values = {
        "strided": lambda: wide[::2, :, ::3],
        "reversed": lambda: wide.flip(1)[::2, :, ::3],
        "units first": lambda: wide[::2, :, ::3].transpose(0, 2).contiguous().transpose(0, 2),
        "expanded": lambda: wide[:1, :1, ::3].expand(shape),
        "negated": lambda: torch.complex(wide, wide).conj().imag[::2, :, ::3],
    }[layout]()
    assert values.shape == shape
    thresholds = Stops(default_stops()).thresholds(np.dtype(np.float64))
    held = DeviceEngine().classify(values.to(HERE), thresholds)
    expected = DeviceEngine().classify(values.contiguous().to(HERE), thresholds)
    assert isinstance(held, DeviceBatch)
    assert isinstance(expected, DeviceBatch)
    for name in ("bins", "inactive", "abs_sum", "square_sum", "abs_max"):
        assert torch.equal(getattr(held, name), getattr(expected, name)), name


@pytest.mark.parametrize("stops", [1, 62, 63, 254, 255, 1100])
def test_any_number_of_stops(stops: int) -> None:
    values = np.random.default_rng(0).lognormal(0, 3, (3, 40)).astype(np.float32)
    check(DeviceEngine(), values, Stops(np.geomspace(1e-4, 1e3, stops).tolist()))


def test_a_bin_is_never_counted_for_another_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several programs for the probes, the units and the units of a probe."""
    for name, value in {"ROWS": 4, "WIDTH": 16, "_NARROW": 16, "_FEW_UNITS": 0}.items():
        monkeypatch.setattr(triton_launch, name, value)
    values = np.maximum(np.random.default_rng(0).normal(size=(9, 1100)), 0).astype(np.float32)
    values[3, 7] = np.nan
    check(DeviceEngine(), values, Stops(default_stops()[::9]))


@pytest.mark.parametrize(
    ("name", "most", "shape"),
    [
        ("_MOST_COLUMNS", 70, (5, 4)),
        ("_MOST_CHUNKS", 1, (514, 4)),
        ("_MOST_CHUNKS", 1, (2, 514, 3)),
        ("_MOST_PROGRAMS", 1, (2, 5, 17)),
        ("_MOST_ENTRIES", 9, (2, 5, 3)),
        ("_MOST_BETWEEN", 0, (2, 5, 3)),
    ],
)
def test_what_the_kernels_cannot_take_pytorch_counts(
    name: str, most: int, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    classified = Mock(wraps=TorchKernels().classify)
    monkeypatch.setattr(TorchKernels, "classify", lambda _, *args: classified(*args))
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    smaller = np.repeat(values, 30, axis=1) if name == "_MOST_BETWEEN" else values[:1, ..., :1]
    DeviceEngine().classify(smaller, np.float32([0, 1]))
    assert not classified.called
    monkeypatch.setattr(triton_launch, name, most)
    check(DeviceEngine(), values, Stops(default_stops()))
    assert classified.called


def test_more_probes_than_a_launch_takes_pytorch_adds(monkeypatch: pytest.MonkeyPatch) -> None:
    added = Mock(wraps=TorchKernels().add)
    monkeypatch.setattr(TorchKernels, "add", lambda _, *args: added(*args))
    monkeypatch.setattr(triton_launch, "MOST_SQUARES", 6)
    for probes in (6, 7):
        assert not added.called
        check(DeviceEngine(), np.ones((probes, 3), np.float32), Stops([0.0, 2.0]))
    assert added.called


def test_squares_of_many_units_are_summed_in_two_limbs() -> None:
    generator = torch.Generator().manual_seed(0)
    edges = DeviceEdges.of(np.float32([0, 1]), HERE)
    held = []
    for kernels in (TritonKernels(), TorchKernels()):
        batch = kernels.classify(torch.zeros((70, 1, 3)), edges)
        batch.inactive[:] = torch.randint(2**31, (70, edges.columns), generator=generator)
        generator.manual_seed(0)
        counters = DeviceCounters.zeros(3, edges.columns, HERE)
        counters.count_at(range(edges.columns))
        kernels.add(batch, counters)
        held.append(counters.moments)
    assert int(held[0][2].min()) > 2**20
    assert torch.equal(*held)


@pytest.fixture(scope="module")
def compiled() -> list[dict[str, Any]]:
    """Every launch of rows and maps, for a T4 and for an H100."""
    program = Path(__file__).with_name("triton_compiled.py")
    without = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, program, "75", "90"], capture_output=True, env=without, check=False
    )
    assert done.returncode == 0, done.stderr.decode()[-4000:]
    return json.loads(done.stdout)


def test_every_kernel_compiles_for_a_gpu(compiled: list[dict[str, Any]]) -> None:
    found = {(one["kernel"], one["capability"]) for one in compiled}
    names = {
        "classify_rows", "classify_positions", "fold_chunks", "sum_probes", "count_inactive",
        "add_batch", "count_batches", "add_batches",
    }  # fmt: skip
    assert found == {(name, capability) for name in names for capability in (75, 90)}


def test_no_product_is_rounded_together_with_a_sum(compiled: list[dict[str, Any]]) -> None:
    """Nor is what is subnormal taken for zero: sums would not be those of other engines."""
    operations = {name for one in compiled for name in one["operations"]}
    assert "mul.rn.f64" in operations
    assert not [name for name in operations if name.startswith(("fma", "mad.rn", "mad.f"))]
    assert not [name for name in operations if ".ftz" in name]


def test_a_prepared_launch_gives_the_driver_what_an_ordinary_one_does() -> None:
    """By Triton itself, which launches on a driver that only notes it."""
    program = Path(__file__).with_name("triton_prepared.py")
    without = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run([sys.executable, program], capture_output=True, env=without, check=False)
    assert done.returncode == 0, done.stderr.decode()[-4000:]
    same = json.loads(done.stdout)
    assert {name.split()[1] for name in same} == {
        "classify_rows", "classify_positions", "count_batches", "add_batches",
    }  # fmt: skip
    assert all(same.values()), same


def test_kernels_that_agree_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    smaller = (((70, 1, 6), torch.float32), *device_check._TOGETHER[2:])
    monkeypatch.setattr(device_check, "_TOGETHER", smaller)
    assert isinstance(choice._by_triton(HERE), KernelsWithFallback)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("raises", "RuntimeError: no such instruction"),
        ("sums", "abs sum of (520, 1, 70) in torch.float32 is not the same"),
        ("counts", "counts of (520, 1, 70) in torch.float32 is not the same"),
    ],
)
def test_kernels_that_do_not_agree_are_not_used_and_it_is_said(
    fault: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    classify, add = TritonKernels.classify, TritonKernels.add

    def bad_classify(self: TritonKernels, *args: Any) -> DeviceBatch:
        if fault == "raises":
            raise RuntimeError("no such instruction")
        batch = classify(self, *args)
        if fault == "sums":
            batch.abs_sum[-1] = torch.nextafter(batch.abs_sum[-1], batch.abs_sum[-1] + 1)
        return batch

    def bad_add(self: TritonKernels, batch: DeviceBatch, counters: Any) -> None:
        add(self, batch, counters)
        if fault == "counts":
            counters.counts[1, 3] += 1

    monkeypatch.setattr(TritonKernels, "classify", bad_classify)
    monkeypatch.setattr(TritonKernels, "add", bad_add)
    with pytest.warns(IUAWarning) as warned:
        assert choice._by_triton(HERE) is None
    assert said in str(warned[0].message)
    assert "slower" in str(warned[0].message)


def test_kernels_that_fail_later_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """A compiler may fail at any time: nothing is lost, and nothing counted twice."""

    def fail(*_: Any) -> None:
        raise RuntimeError("no room left on device")

    for name in ("classify", "add"):
        kernels = KernelsWithFallback(TritonKernels(), TorchKernels())
        for module in (engine, device_tally, device_together):
            monkeypatch.setattr(module, "kernels_for", lambda _, chosen=kernels: chosen)
        tallies = [Tally(STOPS, (3,), engine=one()) for one in (DeviceEngine, ReferenceEngine)]

        def count(values: np.ndarray, tallies: list[Tally] = tallies) -> None:
            for tally in tallies:
                tally.add(tally.classify(values))

        before, meanwhile, after = np.random.default_rng(0).normal(size=(3, 4, 3))
        count(before)
        assert not kernels.failed
        with monkeypatch.context() as patched:
            patched.setattr(TritonKernels, name, fail)
            with pytest.warns(IUAWarning) as warned:
                count(meanwhile)
        assert kernels.failed
        assert "RuntimeError: no room left on device" in str(warned[0].message)
        count(after)  # and says no more
        assert_same_tally(*tallies)


def test_for_want_of_memory_nothing_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise torch.cuda.OutOfMemoryError

    monkeypatch.setattr(TritonKernels, "classify", fail)
    kernels = KernelsWithFallback(TritonKernels(), TorchKernels())
    edges = DeviceEdges.of(np.float32([0, 1]), HERE)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        kernels.classify(torch.zeros((4, 1, 3)), edges)
    assert not kernels.failed
    with pytest.raises(torch.cuda.OutOfMemoryError):
        choice._by_triton(HERE)


def test_layers_that_cannot_be_counted_together_are_counted_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kernels = KernelsWithFallback(TritonKernels(), TorchKernels())
    blocks = Blocks.of(torch.zeros((4, 1, 3)))
    edges = DeviceEdges.of(np.float32([0, 1]), HERE)
    layer = GroupedLayer(blocks, edges, DeviceCounters.zeros(3, edges.columns, HERE), None)
    assert kernels.slot_bytes(blocks, edges.columns)

    def fail(*_: Any) -> None:
        raise torch.cuda.OutOfMemoryError

    monkeypatch.setattr(BatchesTogether, "compile", fail)
    assert kernels.together([layer], 0) is None
    assert not kernels.apart

    def fail_to_compile(*_: Any) -> None:
        raise RuntimeError("no such instruction")

    monkeypatch.setattr(BatchesTogether, "compile", fail_to_compile)
    with pytest.warns(IUAWarning, match="counted together on cpu .RuntimeError: no such instr"):
        assert kernels.together([layer], 0) is None
    assert kernels.apart
    assert not kernels.failed
    assert not kernels.slot_bytes(blocks, edges.columns)


def test_layers_counted_together_are_compared_with_pytorchs_on_each_device(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    add = BatchesTogether.add

    def bad_add(self: BatchesTogether, number: int) -> int:
        self._layers[3].counters.odd[0, 2] += number
        return add(self, number)

    monkeypatch.setattr(BatchesTogether, "add", bad_add)
    monkeypatch.setattr(device_check, "_TOGETHER", device_check._TOGETHER[-1:] * 4)
    monkeypatch.setattr(device_check, "_SAMPLES", ())
    with pytest.warns(IUAWarning, match=r"odd of \(3, 49, 20\) in torch.float16 is not the same"):
        kernels = choice._by_triton(HERE)
    assert isinstance(kernels, KernelsWithFallback)
    assert kernels.apart

    def fail(*_: Any) -> None:
        raise RuntimeError("an illegal memory access")

    monkeypatch.setattr(BatchesTogether, "add", fail)
    with pytest.warns(IUAWarning, match="RuntimeError: an illegal memory access"):
        kernels = choice._by_triton(HERE)
    assert isinstance(kernels, KernelsWithFallback)
    assert kernels.apart
    assert not kernels.failed


def test_a_device_is_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[torch.device] = []
    kernels: DeviceKernels = TritonKernels()

    def find(device: torch.device) -> DeviceKernels:
        checked.append(device)
        return kernels

    monkeypatch.setattr(choice, "_by_triton", find)
    monkeypatch.setattr(choice, "_chosen", {})
    cards = [torch.device("cuda", 6), torch.device("cuda", 7)]
    for card in cards * 3:
        assert choice.kernels_for(card) is kernels
    assert checked == cards
    assert isinstance(choice.kernels_for(torch.device("cpu")), TorchKernels)


def test_where_there_is_no_triton_pytorch_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "iua_widget.engines.device.by_triton", None)
    assert choice._by_triton(HERE) is None
