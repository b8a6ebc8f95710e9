"""Counting on a GPU by fused kernels of Triton, in a few launches a layer.

PyTorch's operations take hundreds, and of most layers' size a GPU is done with each of them before
the next can be launched.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from iua_widget.engines.device import triton_launch
from iua_widget.engines.device.bits import as_bits
from iua_widget.engines.device.blocks import Blocks
from iua_widget.engines.device.counters import DeviceCounters
from iua_widget.engines.device.edges import DeviceEdges
from iua_widget.engines.device.grouped import GroupedLayer
from iua_widget.engines.device.together import BatchesTogether, slot_bytes
from iua_widget.engines.device.torch_kernels import TorchKernels
from iua_widget.engines.device.triton_kernels import SUMS
from iua_widget.engines.device_batch import DeviceBatch


class TritonKernels:
    """`DeviceKernels` by Triton; what its kernels cannot take, PyTorch's operations do."""

    def __init__(self) -> None:
        self._otherwise = TorchKernels()

    def classify(self, values: torch.Tensor, edges: DeviceEdges) -> DeviceBatch:
        """Sort magnitudes into bins; see `DeviceKernels.classify`."""
        blocks = Blocks.of(values)
        if not triton_launch.takes(blocks, edges.columns):
            return self._otherwise.classify(values, edges)
        with triton_launch.on_device_of(values):
            bins = values.new_empty(triton_launch.bins_shape(blocks), dtype=edges.bins)
            shape = blocks.parts, SUMS, blocks.units
            sums = values.new_empty(shape, dtype=torch.float64)
            triton_launch.classifying(blocks, edges, bins, sums)(as_bits(values))
            return triton_launch.batch_of(blocks, bins, sums, edges.columns)

    def reserve(self, probes: int, counters: DeviceCounters) -> None:
        """Nothing: `add` takes no memory; see `DeviceKernels.reserve`."""
        if not triton_launch.adds(probes, counters):
            self._otherwise.reserve(probes, counters)

    def add(self, batch: DeviceBatch, counters: DeviceCounters) -> None:
        """Count a batch; see `DeviceKernels.add`."""
        probes, units = batch.bins.shape
        if not (units and triton_launch.adds(probes, counters)):
            self._otherwise.add(batch, counters)
            return
        triton_launch.add(batch, counters)

    def slot_bytes(self, blocks: Blocks, columns: int) -> int:
        """What a batch takes that waits; see `DeviceKernels.slot_bytes`."""
        return slot_bytes(blocks, columns)

    def together(self, layers: Sequence[GroupedLayer], most_bytes: int) -> BatchesTogether:
        """Have batches of several layers wait for each other; see `DeviceKernels.together`."""
        batches = BatchesTogether(layers, most_bytes)
        batches.compile()
        return batches
