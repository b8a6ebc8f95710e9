"""Layers that come alike are counted together on a device: as the reference counts them."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("triton")

from noted_launches import launches_noted
from test_engines import assert_same_run, assert_same_tally

from iua_widget import IUA
from iua_widget.engines.device import engine
from iua_widget.engines.device.by_triton import TritonKernels
from iua_widget.options import CountOptions
from iua_widget.run.counter import Counter
from iua_widget.run.counting import Counting
from iua_widget.run.device_slots import DeviceSlot
from iua_widget.run.loop import count
from iua_widget.run.open import open_source
from iua_widget.tally import device, device_together
from iua_widget.units.rule import Origin

MAKES_ONE = ("classify_rows", "classify_positions")


@pytest.fixture
def by_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    """Triton's kernels, in its interpreter."""
    if torch.cuda.is_available():
        pytest.skip("on a GPU the kernels run as they are: see test_cuda")
    kernels = TritonKernels()
    for module in (engine, device, device_together):
        monkeypatch.setattr(module, "kernels_for", lambda _: kernels)


class Taken:
    """How many responses were taken by slots on a device."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.layers = 0
        take = DeviceSlot.take

        def noted(slot: DeviceSlot, value: Any, origin: Origin) -> bool:
            taken = take(slot, value, origin)
            self.layers += taken
            return taken

        monkeypatch.setattr(DeviceSlot, "take", noted)


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Taken:
    return Taken(monkeypatch)


def responses(batches: int, probes: int = 4) -> list[dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)

    def one(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator).clamp_min_(0)

    made = [{"a": one(probes, 5), "b": one(probes, 3, 2, 2)} for _ in range(batches)]
    made[-1]["a"][0, 1], made[3]["b"][0, 0, 0, 0] = torch.nan, -torch.inf
    return made


def both(
    batches: list[dict[str, torch.Tensor]], between: Callable[[IUA, int], Any] = lambda *_: None
) -> list[IUA]:
    """Counted on a device and by the reference."""
    made = []
    for name in ("device", "reference"):
        iua = IUA(engine=name, units={"b": "channel"})
        for number, _ in enumerate(count(iua._run, open_source(batches))):
            between(iua, number)
        made.append(iua)
    return made


@pytest.mark.slow
@pytest.mark.usefixtures("by_triton")
def test_what_comes_alike_is_taken_and_counted_as_by_the_reference(taken: Taken) -> None:
    assert_same_run(*both(responses(12)))
    assert taken.layers == 2 * 10


@pytest.mark.slow
@pytest.mark.usefixtures("by_triton")
@pytest.mark.parametrize("at", [4, 5, 11])
def test_another_shape_layout_or_dtype_is_counted_by_itself(taken: Taken, at: int) -> None:
    batches = responses(12)
    batches[at]["a"] = batches[at]["a"][:2]
    batches[at]["b"] = batches[at]["b"][:2].to(memory_format=torch.channels_last)
    batches[6]["a"] = batches[6]["a"].double()
    assert_same_run(*both(batches))
    assert 0 < taken.layers < 20


@pytest.mark.slow
@pytest.mark.usefixtures("by_triton")
def test_what_comes_otherwise_from_some_batch_on_is_taken_anew(taken: Taken) -> None:
    batches = [*responses(5), *responses(16, probes=3)]
    assert_same_run(*both(batches))
    assert taken.layers == 2 * (3 + 16 - 11)


@pytest.mark.slow
@pytest.mark.usefixtures("by_triton")
def test_a_batch_that_is_counted_elsewhere_does_not_disturb(taken: Taken) -> None:
    batches: list[Any] = responses(8)
    batches[5] = {name: one.numpy().astype(np.longdouble) for name, one in batches[5].items()}
    assert_same_run(*both(batches))
    assert taken.layers == 2 * 3


@pytest.mark.slow
@pytest.mark.usefixtures("by_triton")
def test_an_address_that_is_not_as_before_is_counted_by_itself(taken: Taken) -> None:
    batches = responses(8)
    wide = torch.zeros(4 * 5 + 1)
    wide[1:] = batches[5]["a"].flatten()
    batches[5]["a"] = wide[1:].view(4, 5)
    assert_same_run(*both(batches))
    assert taken.layers == 2 * 6 - 3


@pytest.mark.slow
@pytest.mark.usefixtures("by_triton", "taken")
def test_reading_between_batches_changes_nothing() -> None:
    read: list[Any] = []

    def look(iua: IUA, number: int) -> None:
        if number % 3 == 1:
            read.append(iua.to_pandas())

    batches = responses(11)
    assert_same_run(*both(batches, look))
    middle = len(read) // 2
    for here, there in zip(read[:middle], read[middle:], strict=True):
        assert here.equals(there)


@pytest.mark.slow
@pytest.mark.usefixtures("by_triton")
@pytest.mark.filterwarnings("ignore:Not finite")
def test_a_copy_and_what_was_counted_before_a_failure_are_whole(taken: Taken) -> None:
    batches = responses(6)
    copies: list[IUA] = []
    device_run, _ = both(batches, lambda iua, _: copies.append(copy.deepcopy(iua)))
    assert_same_run(
        copies[4], IUA.introspect(batches[:5], engine="reference", units={"b": "channel"})
    )
    bad = [*batches, {"a": batches[0]["a"], "b": torch.zeros(4, 4, 2, 2)}]
    iua = IUA(engine="device", units={"b": "channel"})
    with pytest.raises(Exception, match="shape"):
        list(count(iua._run, open_source(bad)))
    assert_same_run(iua, device_run)
    assert taken.layers


@pytest.mark.slow
@pytest.mark.usefixtures("by_triton")
def test_what_was_taken_is_given_back_where_a_layer_comes_twice(taken: Taken) -> None:
    batches = responses(7)
    made = []
    for name in ("device", "reference"):
        iua = IUA(engine=name, units={"b": "channel"})
        source = open_source(batches)
        source.steady = False
        counting = Counting(iua._run, source)
        for number, batch in enumerate(batches):
            for layer, value in batch.items():
                counting.record(layer, value[:1] if number == 5 else value)
            if number in {4, 6}:
                counting.record("a", batches[0]["a"])
                counting.record("b", batches[0]["b"][: 8 - number])
            if number == 5:
                counting.record("a", batches[1]["a"])
            counting.commit(4)
        counting.finish()
        counting.close()
        made.append(iua)
    assert taken.layers
    assert_same_run(*made)


@pytest.mark.slow
@pytest.mark.usefixtures("by_triton")
def test_a_model_is_counted_again_with_what_is_known(taken: Taken) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3), nn.ReLU()).eval()
    inputs = list(torch.randn(14, 4).split(3))
    counter = Counter(model, inputs, CountOptions(engine="device"))
    for _ in range(3):
        run = counter.count()
        with torch.no_grad():
            expected = IUA.introspect(model, inputs, engine="reference")
        for layer in expected.layers:
            assert_same_tally(run.tally(layer), expected._run.tally(layer))
        with torch.no_grad():
            model[0].weight += 0.5
    assert taken.layers == 2 * 2 + 2 * 2 * 4


@pytest.mark.slow
@pytest.mark.usefixtures("by_triton")
@pytest.mark.filterwarnings("ignore:Units are counted at fewer tolerances")
@pytest.mark.parametrize("memory", ["30 kB", "1 MB"])
def test_what_waits_is_in_the_budget(taken: Taken, memory: str) -> None:
    batches = [{"a": torch.randn(16, 100).clamp_min(0)} for _ in range(8)]
    iua = IUA.introspect(batches, engine="device", memory=memory, keep_inactive=False)
    assert bool(taken.layers) == (memory == "1 MB")
    expected = IUA.introspect(batches, engine="reference", keep_inactive=False)
    for stop in [iua.stops[column] for column in iua._run.tally("a").columns[:-1]]:
        here, there = (
            one.at(atol=stop).results["a"].unit_inactive_count for one in (iua, expected)
        )
        assert (here == there).all()


def net(layers: int) -> nn.Module:
    return nn.Sequential(*(nn.ReLU() for _ in range(layers))).eval()


@pytest.mark.parametrize(
    ("shape", "units"),
    [
        ((32, 64), "element"),
        ((4, 64, 7, 7), "element"),
        ((4, 64, 7, 7), "channel"),
        ((2, 16, 60, 60), "channel"),
        ((4, 300, 64), "token"),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_layer_takes_one_launch_a_batch_and_all_take_two(
    shape: tuple[int, ...], units: str, dtype: torch.dtype
) -> None:
    layers, batches, inputs = 5, 24, torch.ones(shape, dtype=dtype)
    with launches_noted() as launches:
        iua = IUA(engine="device", units=units)
        steps = count(iua._run, open_source(net(layers), [inputs] * (batches + 8)))
        for _ in range(8):
            next(steps)
        launches.clear()
        for _ in range(batches):
            next(steps)
        steps.close()
    assert sum(launches[name] for name in MAKES_ONE) == layers * batches
    assert launches["count_batches"] == launches["add_batches"] <= batches
    assert sum(launches.values()) <= batches * (layers + 2)


def test_nothing_refers_to_a_response_that_was_taken(taken: Taken) -> None:
    gone: list[weakref.ref[torch.Tensor]] = []

    def batches() -> Iterator[dict[str, torch.Tensor]]:
        for _ in range(8):
            assert all(one() is None for one in gone[:-1])  # the source has the last one
            value = torch.ones(4, 5)
            gone.append(weakref.ref(value))
            yield {"a": value}
            del value

    with launches_noted():
        iua = IUA(engine="device")
        list(count(iua._run, open_source(batches())))
    assert taken.layers == 6
