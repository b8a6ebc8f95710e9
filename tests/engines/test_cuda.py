"""The device engine on a real GPU: as the reference, and nothing waits. Skipped where none is."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from test_device import Text, images, model, texts
from test_engines import (
    FLOATING,
    GRIDS,
    LAYOUTS,
    TENSOR_DTYPES,
    assert_same_run,
    assert_same_tally,
    counted,
    laid_out,
)

from iua_widget import IUA
from iua_widget.engines.device import engine
from iua_widget.engines.device.choice import kernels_for
from iua_widget.engines.device.engine import DeviceEngine
from iua_widget.engines.device.fallback import KernelsWithFallback
from iua_widget.engines.device.prepared import PreparedLaunch
from iua_widget.engines.device.torch_kernels import TorchKernels
from iua_widget.engines.reference import ReferenceEngine
from iua_widget.options import SourceOptions
from iua_widget.run.device_slots import DeviceSlot
from iua_widget.run.loop import count
from iua_widget.run.open import open_source
from iua_widget.tally import device as device_tally
from iua_widget.tally import device_together
from iua_widget.tally.tally import Tally
from iua_widget.tolerances import Stops, default_stops

pytestmark = pytest.mark.gpu


@pytest.fixture(params=["triton", "torch"], autouse=True)
def kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are chosen by themselves, and PyTorch's operations."""
    if request.param == "torch":
        for module in (engine, device_tally, device_together):
            monkeypatch.setattr(module, "kernels_for", lambda _: TorchKernels())


SPECIAL = [0.0, -0.0, np.nan, np.inf, -np.inf, 1e-8, 1e-3, 0.5, 1e5, 1e-40, 1e-46]


@contextlib.contextmanager
def nothing_waits() -> Iterator[None]:
    """Whatever makes the program wait for the device raises an error."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Synchronization debug mode is a prototype")
        torch.cuda.set_sync_debug_mode("error")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode("default")


def drawn(shape: tuple[int, ...], dtype: Any, *, odd: float, seed: int = 0) -> np.ndarray:
    """Half zeros, and some of what is not a number like others."""
    rng = np.random.default_rng(seed)
    with np.errstate(over="ignore"):
        values = np.maximum(rng.normal(size=shape), 0).astype(dtype)
        where = rng.random(shape) < odd
        values[where] = rng.choice(SPECIAL, where.sum()).astype(dtype)
    return values


@pytest.mark.skipif(sys.platform != "linux", reason="Triton is for Linux")
def test_tritons_kernels_are_chosen() -> None:
    kernels = kernels_for(torch.device("cuda", 0))
    assert isinstance(kernels, KernelsWithFallback)
    assert not kernels.failed
    assert not kernels.apart


@pytest.mark.parametrize("odd", [0, 0.05])
@pytest.mark.parametrize("dtype", [one for one in FLOATING if np.dtype(one).itemsize <= 8])
@pytest.mark.parametrize(
    "shape",
    [(64, 3000), (3, 70_001), (9, 196, 65), (2, 5000, 3), (1500, 40), (7, 1), (16, 3136, 64)],
)
def test_large_batches_give_the_same(dtype: Any, shape: tuple[int, ...], odd: float) -> None:
    if np.dtype(dtype).kind == "c":
        pytest.skip("magnitudes are taken on the host")
    values = drawn(shape, dtype, odd=odd)
    stops = Stops(default_stops())
    held, expected = (
        Tally(stops, shape[-1:], engine=engine, inactive_at=0.0)
        for engine in (DeviceEngine(), ReferenceEngine())
    )
    for part in (values, values[:1], values[:0], values[::2, ..., ::-1].copy()):
        held.add(held.classify(torch.from_numpy(part).cuda()))
        expected.add(expected.classify(part))
    assert_same_tally(held, expected)


@pytest.mark.parametrize("grid", GRIDS)
def test_every_grid_gives_the_same(grid: tuple[float, ...]) -> None:
    stops = Stops(grid)
    for dtype in (np.float16, np.float32, np.float64):
        values = drawn((20, 500), dtype, odd=0.3)
        values[:5] = np.resize(np.asarray(stops.thresholds(np.dtype(dtype))), (5, 500))
        with np.errstate(over="ignore"):
            values[5:9] = np.nextafter(values[1:5], np.array(np.inf, dtype))
        held, expected = (
            Tally(stops, (500,), engine=engine) for engine in (DeviceEngine(), ReferenceEngine())
        )
        held.add(held.classify(torch.from_numpy(values).cuda()))
        expected.add(expected.classify(values))
        assert_same_tally(held, expected)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", TENSOR_DTYPES)
@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::iua_widget.IUAWarning")
def test_tensors_of_every_dtype_and_layout(dtype: torch.dtype, layout: str) -> None:
    for units in ("element", "channel", "token"):
        batches = []
        for seed, size in enumerate((5, 1, 12)):
            values = drawn((size, 6, 4), np.float64, odd=0.3, seed=seed)
            if not (dtype.is_floating_point or dtype.is_complex):
                values = np.trunc(np.abs(np.nan_to_num(values, posinf=0, neginf=0)) % 100)
            tensor = torch.from_numpy(values).to(dtype)
            tensor = tensor * (1 + 0.7j) if dtype.is_complex else tensor
            batches.append({"layer": laid_out(tensor, layout)})
        on_device = [{"layer": batch["layer"].cuda()} for batch in batches]
        expected = counted(batches, "reference", units=units)
        assert_same_run(counted(on_device, "auto", units=units), expected)


@pytest.mark.parametrize("units", ["auto", "element", "channel", "token"])
@pytest.mark.parametrize("text", [False, True])
def test_a_model_is_counted_as_by_the_reference(units: str, text: bool) -> None:
    torch.manual_seed(0)
    net = (Text() if text else model()).cuda()
    loader = texts() if text else list(images().split(7))
    runs = [
        IUA.introspect(net, loader, units=units, engine=engine) for engine in ("auto", "reference")
    ]
    assert runs[0]._run.tally(runs[0].layers[0]).probes
    assert_same_run(*runs)


@pytest.mark.parametrize("units", ["auto", "element", "channel", "token"])
@pytest.mark.parametrize("text", [False, True])
def test_nothing_waits_in_the_pass_of_a_later_batch(units: str, text: bool) -> None:
    """But for the mask of a batch, where that lies on the device: here it does not."""
    net = (Text() if text else model()).cuda()
    loader: list[Any] = texts() if text else list(images().split(10))
    masks = iter([batch["attention_mask"].numpy() for batch in loader] if text else [])
    on_device = [
        {name: one.cuda() for name, one in batch.items()} if text else batch.cuda()
        for batch in loader
    ]
    iua = IUA(units=units)
    options = SourceOptions(mask=(lambda _: next(masks)) if text else None)
    steps = count(iua._run, open_source(net, on_device, options))
    next(steps)
    with nothing_waits():
        assert next(steps)
        assert next(steps)
    assert iua.results


def test_two_streams_are_counted_in_order() -> None:
    """A model may run on a stream of its own."""
    values = [drawn((64, 5000), np.float32, odd=0, seed=seed) for seed in range(6)]
    stops = Stops(default_stops())
    held, expected = (
        Tally(stops, (5000,), engine=engine) for engine in (DeviceEngine(), ReferenceEngine())
    )
    streams = [torch.cuda.Stream() for _ in range(2)]
    for number, part in enumerate(values):
        with torch.cuda.stream(streams[number % 2]):
            moved = torch.from_numpy(part).cuda()
            busy = torch.randn(2000, 2000, device="cuda")
            for _ in range(10):
                busy = busy @ busy / 2000
            held.add(held.classify(moved + 0 * busy.nan_to_num(0, 0, 0)[0, 0]))
        expected.add(expected.classify(part))
    assert_same_tally(held, expected)


@pytest.mark.parametrize("units", ["auto", "element", "channel", "token"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_layers_are_counted_together_by_prepared_launches(
    units: str,
    dtype: torch.dtype,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken, ordinary = [], []
    take, launch = DeviceSlot.take, PreparedLaunch.__call__

    def noted_take(slot: DeviceSlot, value: Any, origin: Any) -> bool:
        taken.append(take(slot, value, origin))
        return taken[-1]

    def noted_launch(self: PreparedLaunch, *args: Any, **options: Any) -> None:
        launch(self, *args, **options)
        ordinary.append(self.ordinary)

    monkeypatch.setattr(DeviceSlot, "take", noted_take)
    monkeypatch.setattr(PreparedLaunch, "__call__", noted_launch)
    net = model().to("cuda", dtype)
    batches = [batch.to(dtype) for batch in images(200).split(10)]
    batches[15][3, 0, 2] = torch.nan
    runs = [
        IUA.introspect(net, batches, units=units, engine=engine) for engine in ("auto", "reference")
    ]
    assert_same_run(*runs)
    by_triton = "triton" in request.node.name
    assert (sum(taken) >= 18) == by_triton  # what must be copied to be arranged is not taken
    assert not any(ordinary)


def test_what_comes_on_another_stream_is_counted_by_itself() -> None:
    batches = [
        {"a": torch.from_numpy(drawn((16, 100), np.float32, odd=0.1, seed=seed)).cuda()}
        for seed in range(12)
    ]
    torch.cuda.synchronize()
    iua, expected = IUA(), IUA(engine="reference")
    side = torch.cuda.Stream()
    steps = count(iua._run, open_source(batches))
    for number in range(12):
        with torch.cuda.stream(side) if number in {5, 6, 9} else contextlib.nullcontext():
            next(steps)
    assert not list(steps)
    list(count(expected._run, open_source(batches)))
    assert_same_run(iua, expected)
