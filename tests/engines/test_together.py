"""Batches of several layers added at once, by Triton in its interpreter: as PyTorch adds them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("triton")

from iua_widget.engines.device import together, triton_launch
from iua_widget.engines.device.bits import as_bits
from iua_widget.engines.device.blocks import Blocks
from iua_widget.engines.device.check import compared
from iua_widget.engines.device.counters import DeviceCounters
from iua_widget.engines.device.edges import DeviceEdges
from iua_widget.engines.device.grouped import GroupedLayer
from iua_widget.engines.device.together import BatchesTogether
from iua_widget.engines.device.torch_kernels import TorchKernels
from iua_widget.tolerances import Stops, default_stops

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        torch.cuda.is_available(), reason="on a GPU the kernels run as they are: see test_cuda"
    ),
]

HERE = torch.device("cpu")
STOPS = Stops(default_stops())
SHAPES = [
    ((9, 1, 40), torch.float32),
    ((5, 49, 20), torch.float16),
    ((2, 520, 16), torch.float32),
    ((514, 1, 3), torch.float64),
    ((6, 1, 33), torch.bfloat16),
    ((2, 70, 7), torch.bfloat16),
]


class Layers:
    """Layers of a group, and the same counted one by one by PyTorch's operations."""

    def __init__(self, shapes: list[tuple[tuple[int, ...], torch.dtype]], slots: int) -> None:
        self.shapes, self.expected, self.kept = shapes, [], [[] for _ in shapes]
        self.generator = torch.Generator().manual_seed(0)
        layers = []
        for number, (shape, dtype) in enumerate(shapes):
            wide = torch.float32 if dtype is torch.bfloat16 else dtype
            edges = DeviceEdges.of(STOPS.thresholds(np.dtype(str(wide)[6:])), HERE)
            blocks = Blocks.of(torch.zeros(shape, dtype=dtype))
            assert together.slot_bytes(blocks, edges.columns)
            here, there = (DeviceCounters.zeros(shape[2], edges.columns, HERE) for _ in range(2))
            for counters in (here, there):
                counters.count_at(range(number % 2, edges.columns))
            self.expected.append((edges, there))
            layers.append(GroupedLayer(blocks, edges, here, 3))
        self.layers = layers
        each = sum(together.slot_bytes(one.blocks, one.edges.columns) for one in layers)
        self.group = BatchesTogether(layers, slots * each)
        assert self.group.slots == min(slots, together._MOST_SLOTS)

    def responses(self) -> list[torch.Tensor]:
        made = []
        for shape, dtype in self.shapes:
            values = torch.randn(shape, generator=self.generator, dtype=torch.float64).clamp_min_(0)
            for odd in (np.nan, np.inf, -np.inf, -1e-3, 1e-40):
                at = torch.randint(values.numel(), (1,), generator=self.generator)
                if torch.rand(1, generator=self.generator) < 0.4:
                    values.view(-1)[at] = odd
            made.append(values.to(dtype))
        return made

    def classify(self, responses: list[torch.Tensor]) -> None:
        for number, values in enumerate(responses):
            bits = as_bits(values)
            launch = self.group.launches(number)[self.group.slot]
            launch(bits.data_ptr(), stream=None, tensors=lambda given=bits: (given,))

    def expect(self, responses: list[torch.Tensor], batch: int) -> None:
        for number, values in enumerate(responses):
            edges, counters = self.expected[number]
            wide = values.float() if values.dtype is torch.bfloat16 else values
            classified = TorchKernels().classify(wide, edges)
            counters.batch = batch
            TorchKernels().add(classified, counters)
            self.kept[number].append(classified.inactive[:, 3])

    def check(self) -> None:
        for number, kept in self.group.hand_out().items():
            assert torch.equal(kept.reshape(-1), torch.cat(self.kept[number]))
            self.kept[number].clear()
        for layer, (_, counters) in zip(self.layers, self.expected, strict=True):
            for name, here, there in compared(layer.counters, counters):
                assert torch.equal(here.to(there.dtype), there), name


def test_several_batches_are_added_in_their_order() -> None:
    layers = Layers(SHAPES, slots=2)
    batch = 0
    for batches in (1, 2):
        for _ in range(batches):
            responses = layers.responses()
            layers.classify(responses)
            layers.expect(responses, batch)
            layers.group.next()
            batch += 1
        assert layers.group.add(batch - batches) == batches
    layers.check()


def test_what_was_classified_of_a_batch_that_failed_is_gone() -> None:
    layers = Layers(SHAPES[:3], slots=2)
    for batch in range(2):
        layers.classify(layers.responses())
        responses = layers.responses()
        layers.classify(responses)
        layers.expect(responses, batch)
        layers.group.next()
        layers.group.add(batch)
    layers.check()


def test_a_layer_is_given_back_and_leaves() -> None:
    layers = Layers(SHAPES[:3], slots=2)
    for batch in range(2):
        responses = layers.responses()
        layers.classify(responses)
        for number, values in enumerate(responses):
            expected = TorchKernels().classify(values, layers.expected[number][0])
            for name, here, there in compared(layers.group.give_back(number), expected):
                assert torch.equal(here.to(there.dtype), there), name
        layers.expect(responses, batch)
        layers.group.next()
    layers.group.add(0)
    layers.check()
    layers.group.leave(1)
    del layers.expected[1], layers.layers[1]
    before = layers.group.nbytes
    responses = layers.responses()
    for number in (0, 2):
        bits = as_bits(responses[number])
        layers.group.launches(number)[layers.group.slot](
            bits.data_ptr(), stream=None, tensors=lambda given=bits: (given,)
        )
    layers.kept = [layers.kept[0], layers.kept[2]]
    layers.expect([responses[0], responses[2]], 2)
    layers.group.next()
    layers.group.add(2)
    assert layers.group.nbytes > before  # the tables, made anew
    for layer, (_, counters) in zip(layers.layers, layers.expected, strict=True):
        for name, here, there in compared(layer.counters, counters):
            assert torch.equal(here.to(there.dtype), there), name


def test_counters_at_other_columns_are_looked_up_anew() -> None:
    layers = Layers(SHAPES[:2], slots=2)
    for batch in range(3):
        responses = layers.responses()
        layers.classify(responses)
        layers.expect(responses, batch)
        layers.group.next()
        layers.group.add(batch)
        for layer, (_, counters) in zip(layers.layers, layers.expected, strict=True):
            for one in (layer.counters, counters):
                one.count_at(range(batch, 60))
        layers.group.counters_changed()
    layers.check()


def test_nothing_is_added_while_all_is_compiled() -> None:
    layers = Layers(SHAPES[:3], slots=2)
    layers.group.compile()
    layers.check()


def test_many_units_are_seen_to_by_many_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: dict[str, Any] = {"ROWS": 4, "WIDTH": 16, "_NARROW": 16, "HISTOGRAM_WIDTH": 32}
    for name, value in sizes.items():
        monkeypatch.setattr(triton_launch, name, value)
    layers = Layers([((9, 1, 600), torch.float32), ((6, 1, 64), torch.float32)], slots=2)
    for batch in range(2):
        responses = layers.responses()
        layers.classify(responses)
        layers.expect(responses, batch)
        layers.group.next()
    layers.group.add(0)
    layers.check()
