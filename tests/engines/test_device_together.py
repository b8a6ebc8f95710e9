"""Layers counted together on a device, by Triton in its interpreter: as one by one on the host."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from test_engines import assert_same_tally

pytest.importorskip("triton")

from iua_widget.engines.device import engine
from iua_widget.engines.device.bits import as_bits
from iua_widget.engines.device.blocks import Blocks
from iua_widget.engines.device.by_triton import TritonKernels
from iua_widget.engines.device.engine import DeviceEngine
from iua_widget.tally import device, device_together
from iua_widget.tally.device_together import DeviceLayersTogether, device_store, slot_bytes
from iua_widget.tally.store import HostStore
from iua_widget.tally.tally import Tally
from iua_widget.tolerances import Stops

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        torch.cuda.is_available(), reason="on a GPU the kernels run as they are: see test_cuda"
    ),
]

STOPS = Stops([0.0, 1e-3, 0.1, 1.0])
SHAPES = [(6, 1, 20), (4, 9, 5)]
HERE = torch.device("cpu")


@pytest.fixture(autouse=True)
def by_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    kernels = TritonKernels()
    for module in (engine, device, device_together):
        monkeypatch.setattr(module, "kernels_for", lambda _: kernels)


class Both:
    """Tallies counted together on a device, and the same on the host."""

    def __init__(self, slots: int = 3, *, begun: bool = True) -> None:
        self.rng = np.random.default_rng(0)
        self.held, self.expected = (
            [Tally(STOPS, shape[2:], engine=one, inactive_at=0.1) for shape in SHAPES]
            for one in (DeviceEngine(), None)
        )
        self.number = 0
        self.entries = [np.prod(shape[:2]) for shape in SHAPES]
        for tally in self.held:
            tally.reserve(0, HERE)
        if begun:
            self.apart()
        self.together = self.form(slots)

    def form(self, slots: int) -> DeviceLayersTogether:
        blocks = [Blocks.of(torch.zeros(shape)) for shape in SHAPES]
        assert all(map(slot_bytes, self.held, blocks))
        one = DeviceLayersTogether.of(self.held, blocks, 0)
        assert one is not None
        each = sum(one.bytes_of(place) for place in range(2))
        one.dissolve()
        together = DeviceLayersTogether.of(self.held, blocks, slots * each)
        assert together is not None
        return together

    def responses(self) -> list[np.ndarray]:
        made = [np.maximum(self.rng.normal(size=one), 0).astype(np.float32) for one in SHAPES]
        made[0][1, 0, 2] = self.rng.choice([0.5, np.nan, np.inf])
        return made

    def apart(self) -> None:
        for held, expected, values in zip(self.held, self.expected, self.responses(), strict=True):
            held.add(held.classify(torch.from_numpy(values)), number=self.number)
            expected.add(expected.classify(values), number=self.number)
        self.number += 1

    def classify(self, responses: list[np.ndarray]) -> None:
        for place, values in enumerate(responses):
            bits = as_bits(torch.from_numpy(values))
            launch = self.together.launches(place)[self.together.slot]
            launch(bits.data_ptr(), stream=None, tensors=lambda given=bits: (given,))

    def batch(self) -> None:
        responses = self.responses()
        self.classify(responses)
        self.together.reserve()
        self.together.count(self.number)
        for expected, values in zip(self.expected, responses, strict=True):
            expected.add(expected.classify(values), number=self.number)
        self.number += 1

    def check(self) -> None:
        for held, expected in zip(self.held, self.expected, strict=True):
            assert held.probes == expected.probes
            assert_same_tally(held, expected)


@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_done_between_batches_changes_nothing(seed: int) -> None:
    both, chance = Both(), random.Random(seed)

    def thin() -> None:
        for tally in (*both.held, *both.expected):
            if len(tally.columns) > 3:
                tally.thin([*tally.columns[:-2], tally.columns[-1]])

    def form_anew() -> None:
        both.together.dissolve()
        both.together = both.form(2)

    def apart() -> None:
        both.apart()  # as a careful batch of all would

    deeds: list[Callable[[], Any]] = [
        both.held[0].store.read_counts,
        both.held[1].store.read_magnitudes,
        both.held[0].store.read_inactive,
        both.check,
        lambda: both.classify(both.responses()),  # of a batch that fails
        thin,
        form_anew,
        apart,
        lambda: None,
        lambda: None,
    ]
    for _ in range(12):
        both.batch()
        chance.choice(deeds)()
    both.check()


def test_a_batch_waits_until_the_slots_are_full() -> None:
    both = Both(slots=2)
    counters = device_store(both.held[0]).counters
    before = counters.sums.clone()
    both.batch()
    assert torch.equal(counters.sums, before)
    assert both.held[0].probes == 12
    both.batch()
    assert not torch.equal(counters.sums, before)
    both.check()


def test_a_layer_that_leaves_is_counted_by_itself() -> None:
    both = Both()
    both.batch()
    both.together.leave(0)
    assert both.together.layers == 1
    responses = both.responses()
    values = torch.from_numpy(responses[0])
    both.held[0].add(both.held[0].classify(values), number=both.number)
    bits = as_bits(torch.from_numpy(responses[1]))
    launch = both.together.launches(1)[both.together.slot]
    launch(bits.data_ptr(), stream=None, tensors=lambda: (bits,))
    both.together.count(both.number)
    for expected, one in zip(both.expected, responses, strict=True):
        expected.add(expected.classify(one), number=both.number)
    both.check()
    both.together.dissolve()
    both.check()


def test_what_was_classified_can_be_counted_the_other_way() -> None:
    both = Both()
    both.batch()
    responses = both.responses()
    both.classify(responses)
    given = [both.together.give_back(place) for place in range(2)]
    both.together.dissolve()
    for held, expected, batch, values in zip(
        both.held, both.expected, given, responses, strict=True
    ):
        held.add(batch, number=both.number)
        expected.add(expected.classify(values), number=both.number)
    both.check()


def test_counters_are_read_before_they_could_wrap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_MOST_PROBES", 17)
    read: list[int] = []
    counted = device.DeviceStore.read_counts
    monkeypatch.setattr(
        device.DeviceStore, "read_counts", lambda self: (read.append(self.probes), counted(self))[1]
    )
    both = Both(slots=2, begun=False)
    for _ in range(7):
        both.batch()
        assert both.held[0].store.counters.counts.sum() <= 17 * 20  # type: ignore[attr-defined]
    assert read
    both.check()


def test_what_is_kept_is_handed_out_before_there_is_no_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from iua_widget.engines.device import together

    monkeypatch.setattr(together, "_MOST_KEPT", 30)
    monkeypatch.setattr(device, "_MOST_KEPT", 20)
    both = Both(slots=2)
    for _ in range(9):
        both.batch()
    both.check()


def test_a_copy_is_on_the_host() -> None:
    both = Both()
    both.batch()
    twin = copy.deepcopy(both.held[0])
    assert isinstance(twin.store, HostStore)
    assert_same_tally(twin, both.expected[0])
    both.batch()
    both.check()
