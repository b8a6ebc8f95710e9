"""Makes prepared launches by Triton itself, for a GPU that is not there: run as a program.

Prints, for each launch that is made twice, whether what reaches the driver is the same.
"""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import triton
from triton.backends.compiler import GPUTarget

from iua_widget.engines.device.bits import as_bits
from iua_widget.engines.device.blocks import Blocks
from iua_widget.engines.device.counters import DeviceCounters
from iua_widget.engines.device.edges import DeviceEdges
from iua_widget.engines.device.grouped import GroupedLayer
from iua_widget.engines.device.prepared import PreparedLaunch
from iua_widget.engines.device.together import BatchesTogether

STREAM = 7


class Driver:
    """Has a device of compute capability 9.0, and notes what is launched there."""

    def __init__(self) -> None:
        self.launches: list[tuple[Any, ...]] = []
        self.utils = SimpleNamespace(
            get_device_properties=lambda _: {"max_shared_mem": 2**17},
            load_binary=lambda *_: (object(), object(), 32, 0, 1024),
            unload_module=lambda _: None,
        )

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, _: int) -> int:
        return STREAM

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", 90, 32)

    def launcher_cls(self, *_: Any) -> Any:
        def launch(*args: Any) -> None:
            grid, stream, function, packed, _, *hooks_and_arguments = args[:3], *args[3:]
            given = [
                one.data_ptr() if isinstance(one, torch.Tensor) else one
                for one in hooks_and_arguments
            ]
            self.launches.append((grid, stream, function, packed, given))

        return launch


def made_twice(driver: Driver) -> dict[str, bool]:
    """Each launch by Triton, and then prepared."""
    edges = DeviceEdges.of(np.geomspace(1e-6, 1, 70, dtype=np.float32), torch.device("cpu"))
    shapes = (16, 1, 64), (1030, 1, 48), (4, 49, 16), (2, 1200, 32), (1, 1, 1)
    found: dict[str, bool] = {}
    launch = PreparedLaunch.__call__

    def noted(self: PreparedLaunch, *args: Any, **options: Any) -> None:
        before = len(driver.launches)
        launch(self, *args, **options)
        launch(self, *args, **options)
        first, second = driver.launches[before:]
        name = f"{len(found)} {self._launch.kernel.fn.__name__}"
        found[name] = first == second and not self.ordinary

    PreparedLaunch.__call__ = noted  # type: ignore[method-assign]
    for dtype in (torch.float32, torch.bfloat16):
        responses = [torch.zeros(shape, dtype=dtype) for shape in shapes]
        layers = [
            GroupedLayer(
                Blocks.of(values),
                edges,
                DeviceCounters.zeros(values.shape[2], edges.columns, values.device),
                kept_column=3,
            )
            for values in responses
        ]
        group = BatchesTogether(layers, most_bytes=2**24)
        group.compile()
        for place, values in enumerate(responses):
            bits = as_bits(values)
            group.launches(place)[0](
                bits.data_ptr(), stream=STREAM, tensors=lambda given=bits: (given,)
            )
        group.next()
        group.add(0)
    return found


if __name__ == "__main__":
    active = Driver()
    triton.runtime.driver.set_active(active)
    json.dump(made_twice(active), sys.stdout)
