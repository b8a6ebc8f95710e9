"""Counting on a device: nothing waits for it, and what is read is what the reference counts."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from test_engines import assert_same_run, assert_same_tally
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from iua_widget import IUA
from iua_widget.engines.choice import AutoEngine
from iua_widget.engines.device import counters, engine, torch_kernels
from iua_widget.engines.device.engine import DeviceEngine, can_count_on
from iua_widget.engines.device_batch import DeviceBatch
from iua_widget.engines.reference import ReferenceEngine
from iua_widget.reading.statistics import inactive_list, mean_inactive
from iua_widget.run.loop import count
from iua_widget.run.open import open_source
from iua_widget.tally import device as device_tally
from iua_widget.tally import device_together
from iua_widget.tally.device import DeviceStore
from iua_widget.tally.tally import Tally
from iua_widget.tolerances import Stops, default_stops
from iua_widget.units.arrange import arrange
from iua_widget.units.masking import OnDevice
from iua_widget.units.rule import UnitPlan

pytestmark = pytest.mark.slow


UNITS = ["auto", "element", "channel", "token"]
STOPS = Stops(default_stops())
WAITING = {
    "_local_scalar_dense", "nonzero", "nonzero_numpy", "masked_select", "is_nonzero", "equal",
    "bincount", "unique2", "_unique2", "unique_dim", "unique_consecutive", "repeat_interleave",
}  # fmt: skip


class NothingWaits(TorchDispatchMode):
    """Fails on what a program on a GPU would have to wait for."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        name = func.overloadpacket.__name__
        generator = name == "equal" and args[0].dtype is torch.uint8  # its state is on the host
        assert generator or name not in WAITING, f"{func} waits for the device"
        if name in {"index", "index_put", "index_put_"}:
            masks = [index for index in args[1] if index is not None]
            assert all(index.dtype is torch.int64 for index in masks), f"{func} by a mask waits"
        result = func(*args, **(kwargs or {}))
        for moved in [result] if isinstance(result, torch.Tensor) else []:
            given = next((one for one in args if isinstance(one, torch.Tensor)), moved)
            to_host = given.device.type != "cpu" and moved.device.type == "cpu"
            assert not to_host, f"{func} brings something to the host"
        return result


@pytest.fixture(params=["torch", "triton"])
def kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both implementations, Triton's in its interpreter."""
    if request.param == "triton":
        pytest.importorskip("triton")
        if torch.cuda.is_available():
            pytest.skip("on a GPU the kernels run as they are: see test_cuda")
        from iua_widget.engines.device.by_triton import TritonKernels

        by_triton = TritonKernels()
        for module in (engine, device_tally, device_together):
            monkeypatch.setattr(module, "kernels_for", lambda _: by_triton)


class Text(nn.Module):
    """Tokens, some of them padding, and maps over their positions."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 6)
        self.up, self.relu = nn.Linear(6, 12), nn.ReLU()

    def forward(self, input_ids: Any, attention_mask: Any) -> Any:  # noqa: ARG002
        return self.relu(self.up(self.embed(input_ids)))


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.BatchNorm2d(8), nn.Conv2d(8, 4, 3), nn.GELU(),
        nn.Flatten(), nn.Linear(4 * 16, 5), nn.ReLU(inplace=True),
    )  # fmt: skip


def images(count: int = 30) -> torch.Tensor:
    return torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def texts() -> list[dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(2)
    ids = [torch.randint(20, (size, 7), generator=generator) for size in (4, 4, 3)]
    lengths = [torch.randint(0, 8, (len(batch), 1), generator=generator) for batch in ids]
    return [
        {"input_ids": batch, "attention_mask": (torch.arange(7) < length).long()}
        for batch, length in zip(ids, lengths, strict=True)
    ]


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize(
    ("kernels", "units", "memory_format"),
    [
        *itertools.product(["torch"], UNITS, [torch.contiguous_format, torch.channels_last]),
        *itertools.product(["triton"], UNITS[1:], [torch.contiguous_format]),
        ("triton", "channel", torch.channels_last),
    ],
    indirect=["kernels"],
)
def test_a_model_is_counted_as_by_the_reference(
    units: str, memory_format: torch.memory_format
) -> None:
    net, batch = model().to(memory_format=memory_format), images()
    runs = [
        IUA.introspect(net, batch, batch_size=7, units=units, engine=engine)
        for engine in ("device", "reference")
    ]
    assert_same_run(*runs)


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("units", ["element", "channel", "token"])
def test_padding_is_left_out_as_by_the_reference(units: str) -> None:
    runs = [
        IUA.introspect(Text(), texts(), units=units, engine=engine)
        for engine in ("device", "reference")
        if torch.manual_seed(0)
    ]
    padding = sum(int((batch["attention_mask"] == 0).sum()) for batch in texts())
    assert runs[0]._run.tally("relu").masked == (0 if units == "element" else padding)
    assert_same_run(*runs)


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int32]
)
@pytest.mark.parametrize("shape", [(9, 40), (3, 5, 40), (3, 1, 40), (0, 4), (2, 0, 4)])
def test_nothing_waits_while_a_batch_is_classified_and_counted(
    dtype: torch.dtype, shape: tuple[int, ...]
) -> None:
    from iua_widget.units.response import as_response

    tally = Tally(STOPS, shape[-1:], engine=DeviceEngine(), inactive_at=0.0)
    with NothingWaits():
        for _ in range(3):
            values = as_response(
                torch.ones(shape).to(dtype), layer="a", batch=0, stays=tally.engine.takes
            ).values
            assert isinstance(values, torch.Tensor)
            tally.add(tally.classify(values))
    assert tally.probes == 3 * shape[0]


@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize(
    ("make", "loader"), [(model, lambda: images().split(10)), (Text, texts)], ids=["maps", "text"]
)
def test_nothing_waits_in_the_pass_of_a_later_batch(
    units: str, make: Callable[[], nn.Module], loader: Callable[[], Any]
) -> None:
    iua = IUA(engine="device", units=units)
    steps = count(iua._run, open_source(make(), list(loader())))
    next(steps)  # what the model changes is looked for once
    with NothingWaits():
        assert next(steps)
        assert next(steps)
    assert iua.results


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("unit", ["element", "channel", "token"])
def test_of_another_device_nothing_comes_to_the_host(dtype: torch.dtype, unit: Any) -> None:
    """Meta tensors hold nothing: whatever would read one fails."""
    mask = np.array([[True, True, False], [True, False, False], [False, False, False]])
    plan = UnitPlan(unit, 2)
    with NothingWaits():
        values = torch.empty((3, 3, 600), dtype=dtype, device="meta")
        arranged = arrange(values, plan, mask, OnDevice())
        kept = {"element": (3, 1800), "channel": (2, 3, 600), "token": (3, 600)}[unit]
        assert arranged.values.shape == kept
        tally = Tally(STOPS, arranged.unit_shape, engine=AutoEngine(), inactive_at=0.0)
        for _ in range(2):
            batch = tally.classify(arranged.values)
            assert isinstance(batch, DeviceBatch)
            tally.add(batch)
        assert batch.bins.device.type == batch.abs_sum.device.type == "meta"
        assert tally.probes == 2 * kept[0]
        assert isinstance(tally.store, DeviceStore)
        assert not tally.store._host.counts.counts.any()
    with pytest.raises(NotImplementedError, match="meta"):
        tally.store.read_counts()  # what is read must be brought here


def test_auto_takes_the_device_for_tensors_on_cuda_only(monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeTensorMode():
        on_cuda = torch.empty(2, device="cuda:0")
    monkeypatch.setattr(DeviceEngine, "takes", lambda *_: True)  # what it is, is fake
    assert AutoEngine().takes(on_cuda)
    monkeypatch.undo()
    assert not AutoEngine().takes(torch.zeros(2))
    assert DeviceEngine().takes(torch.zeros(2))
    assert not can_count_on(torch.device("mps"))
    assert can_count_on(torch.device("cuda", 1))


def both(seed: int = 0, **options: Any) -> tuple[Tally, Tally, Iterator[np.ndarray]]:
    """A tally counted on a device, one by the reference, and batches for both."""
    rng = np.random.default_rng(seed)
    held, expected = (
        Tally(STOPS, (13,), engine=engine, inactive_at=1e-3, **options)
        for engine in (DeviceEngine(), None)
    )

    def batches() -> Iterator[np.ndarray]:
        while True:
            values = np.maximum(rng.normal(size=(rng.integers(0, 40), 13)), 0).astype(np.float32)
            values[rng.random(values.shape) < 0.02] = rng.choice([np.nan, np.inf])
            held.add(held.classify(torch.from_numpy(values)))
            expected.add(expected.classify(values))
            yield values

    return held, expected, batches()


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize(
    ("kernels", "seed"),
    [*(("torch", seed) for seed in range(20)), *(("triton", seed) for seed in range(3))],
    indirect=["kernels"],
)
def test_reading_thinning_and_counting_elsewhere_between_batches_change_nothing(seed: int) -> None:
    held, expected, batches = both(seed)
    chance = random.Random(seed)

    def elsewhere() -> None:
        values = np.ones((3, 13), np.float64)
        held.add(expected.classify(values))
        expected.add(expected.classify(values))

    def thin() -> None:
        if len(held.columns) > 8:
            columns = [*held.columns[:-1:2], held.columns[-1]]
            held.thin(columns)
            expected.thin(columns)

    deeds: list[Callable[[], Any]] = [
        lambda: held.store.read_counts().counts,
        lambda: held.store.read_magnitudes().abs_sum,
        lambda: inactive_list(held),
        lambda: mean_inactive(held),
        held.state,
        lambda: assert_same_tally(held, expected),
        elsewhere,
        thin,
        lambda: None,
    ]
    for _ in range(25):
        next(batches)
        chance.choice(deeds)()
    assert_same_tally(held, expected)


@pytest.mark.usefixtures("kernels")
def test_merged_saved_and_restored_it_goes_on_as_one_run() -> None:
    held, expected, batches = both()
    for _ in range(4):
        next(batches)
    assert_same_tally(held.merged(held), expected.merged(expected))
    state = held.state()
    again = Tally.from_state(STOPS, state, DeviceEngine())
    values = next(batches)
    again.add(again.classify(torch.from_numpy(values)))
    assert_same_tally(again, expected)


@pytest.mark.usefixtures("kernels")
def test_counters_are_moved_before_they_could_wrap(monkeypatch: pytest.MonkeyPatch) -> None:
    moved: list[int] = []
    read = DeviceStore.read_counts

    def noted(self: DeviceStore) -> Any:
        if self._counted:
            moved.append(self._counted)
        return read(self)

    held = Tally(Stops([0.0]), (2,), engine=DeviceEngine())
    batch = held.classify(torch.tensor([[0.0, 1.0]] * 3))
    held.add(batch)
    on_device = held.store
    assert isinstance(on_device, DeviceStore)
    with torch.inference_mode():
        on_device.counters.counts.fill_(2**31 - 1 - 3)  # one more batch fits, and no other
    on_device._counted = 2**31 - 1 - 3
    on_device._host.probes = 2**31 - 1 - 3
    monkeypatch.setattr(DeviceStore, "read_counts", noted)
    held.add(batch)
    assert not moved
    assert on_device.counters.counts.max() == 2**31 - 1
    held.add(batch)
    assert moved == [2**31 - 1]
    assert held.store.read_counts().up_to(0).tolist() == [2**31 - 1 + 3, 2**31 - 1 - 3]
    assert held.store.read_counts().counts.dtype == np.uint32


@pytest.mark.usefixtures("kernels")
def test_squares_are_carried_and_what_is_kept_is_moved_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in (counters, torch_kernels):
        monkeypatch.setattr(module, "MOST_SQUARES", 7)
    monkeypatch.setattr(device_tally, "_MOST_KEPT", 30)
    monkeypatch.setattr(torch_kernels, "_DEVICE_BLOCK_VALUES", 40)
    monkeypatch.setattr(device_tally, "_BLOCK", 40)
    monkeypatch.setattr(device_tally, "_MOST_VIEWED", 25)
    held, expected, batches = both()
    large = torch.full((20, len(STOPS) + 1), 2**31 - 1)
    for _ in range(10):
        next(batches)
        on_device = held.store
        assert isinstance(on_device, DeviceStore)
        assert on_device._kept < 30 + 40
        with torch.inference_mode():
            torch_kernels._add_squares(large, on_device.counters)
        expected.store.read_moments().add(large.numpy())
        assert int(on_device.counters.moments[1].max()) < 8 * 2**40
    assert_same_tally(held, expected)


@pytest.mark.usefixtures("kernels")
def test_a_state_begun_in_inference_mode_goes_on_outside_of_it_and_back() -> None:
    held, expected, batches = both()
    with torch.inference_mode():
        next(batches)
    next(batches)
    with torch.inference_mode():
        next(batches)
    assert_same_tally(held, expected)


def test_readers_without_the_lock_move_nothing_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_tally, "_MOST_VIEWED", 1)
    held, expected, batches = both()
    done = threading.Event()
    failures: list[BaseException] = []

    def read() -> None:
        try:
            while not done.wait(1e-4):  # or nobody else would have a turn
                held.store.read_moments()
                held.store.read_magnitudes()
                held.store.read_inactive()
        except BaseException as error:  # noqa: BLE001  (raised below)
            failures.append(error)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for _ in range(40):
        next(batches)
    done.set()
    for reader in readers:
        reader.join(30)
    assert not failures
    np.testing.assert_array_equal(mean_inactive(held), mean_inactive(expected))


@pytest.mark.usefixtures("kernels")
def test_parts_of_one_batch_may_be_counted_in_two_places() -> None:
    held, expected, _ = both()
    parts = np.random.default_rng(0).normal(size=(4, 5, 13)).astype(np.float32)
    held.reserve(20, torch.device("cpu"))
    for number, part in enumerate(parts):
        engine = ReferenceEngine() if number % 2 else DeviceEngine()
        held.add(engine.classify(part, held.responses(part).thresholds), among_others=True)
        expected.add(expected.classify(part))
    assert_same_tally(held, expected)


@pytest.mark.filterwarnings("ignore:Units are counted at fewer tolerances")
@pytest.mark.parametrize("memory", ["30 kB", "36 kB", "1 MB"])
def test_a_budget_thins_what_is_counted_on_a_device(memory: str) -> None:
    batches = [{"a": torch.randn(16, 100)} for _ in range(3)]
    iua = IUA.introspect(batches, engine="device", memory=memory, keep_inactive=False)
    assert iua.plan["counter width"].tolist() == [32]
    assert iua._run.tally("a").thinned == (memory != "1 MB")
    expected = IUA.introspect(batches, engine="reference", keep_inactive=False)
    for stop in [iua.stops[column] for column in iua._run.tally("a").columns[:-1]]:
        np.testing.assert_array_equal(
            iua.at(atol=stop).results["a"].unit_inactive_count,
            expected.at(atol=stop).results["a"].unit_inactive_count,
        )
    on_device = iua._run.tally("a").store
    assert isinstance(on_device, DeviceStore)
    assert on_device.counters.counts.shape == (len(iua._run.tally("a").columns) + 1, 100)


@pytest.mark.usefixtures("kernels")
def test_what_was_counted_before_a_failing_batch_stays_whole() -> None:
    good = {"a": torch.zeros(4, 3), "b": torch.ones(4, 2)}

    def batches() -> Iterator[dict[str, torch.Tensor]]:
        yield good
        yield {"a": torch.zeros(4, 3), "b": torch.ones(4, 5)}

    iua = IUA(engine="device")
    with pytest.raises(Exception, match="shape"):
        list(count(iua._run, open_source(batches())))
    assert iua.probes == iua._run.tally("a").probes == iua._run.tally("b").probes == 4
    assert_same_run(iua, IUA.introspect([good], engine="reference"))
