"""How many launches counting on a GPU takes: of kernels that are not started, only counted."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("triton")

from noted_launches import launches_noted

from iua_widget.engines.device.bits import as_bits
from iua_widget.engines.device.blocks import Blocks
from iua_widget.engines.device.engine import DeviceEngine
from iua_widget.tally.device_together import DeviceLayersTogether
from iua_widget.tally.tally import Tally
from iua_widget.tolerances import Stops, default_stops

STOPS = Stops(default_stops())


def group(
    shapes: list[tuple[int, ...]], most_bytes: int
) -> tuple[DeviceLayersTogether, list[Tally]]:
    tallies = [Tally(STOPS, shape[2:], engine=DeviceEngine()) for shape in shapes]
    for tally in tallies:
        tally.reserve(0, torch.device("cpu"))
    together = DeviceLayersTogether.of(
        tallies, [Blocks.of(torch.zeros(shape)) for shape in shapes], most_bytes
    )
    assert together is not None
    return together, tallies


def classify(together: DeviceLayersTogether, responses: list[torch.Tensor]) -> None:
    for place, values in enumerate(responses):
        bits = as_bits(values)
        launch = together.launches(place)[together.slot]
        launch(bits.data_ptr(), stream=None, tensors=lambda given=bits: (given,))


@pytest.mark.parametrize(
    "shape",
    [(64, 1, 4096), (2050, 1, 768), (16, 49, 512), (16, 784, 256), (4, 12_544, 64)],
    ids=["rows", "tokens", "maps", "large maps", "largest maps"],
)
def test_a_layer_is_classified_in_one_launch_and_all_are_added_in_two(
    shape: tuple[int, ...],
) -> None:
    responses = [torch.zeros(shape)] * 5
    with launches_noted() as launches:
        together, _ = group([shape] * 5, 0)
        launches.clear()
        for batch in range(3):
            classify(together, responses)
            together.reserve()
            together.count(batch)
    assert sum(launches.values()) == 3 * (5 + 2)
    assert launches["count_batches"] == launches["add_batches"] == 3


def test_several_small_batches_are_added_at_once() -> None:
    shapes = [(32, 1, 64), (32, 49, 16), (32, 1, 10)]
    with launches_noted() as launches:
        together, tallies = group(shapes, 2**26)
        launches.clear()
        for batch in range(16):
            classify(together, [torch.zeros(shape) for shape in shapes])
            together.reserve()
            together.count(batch)
        assert launches["count_batches"] == launches["add_batches"] == 2
        assert sum(launches.values()) == 16 * 3 + 2 * 2
        together.settle()  # nothing waits
        assert sum(launches.values()) == 16 * 3 + 2 * 2
    assert [tally.probes for tally in tallies] == [16 * 32] * 3
