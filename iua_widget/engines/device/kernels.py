"""The protocol of kernels that classify and count on a device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from iua_widget.engines.device_batch import DeviceBatch

if TYPE_CHECKING:
    import torch

    from iua_widget.engines.device.blocks import Blocks
    from iua_widget.engines.device.counters import DeviceCounters
    from iua_widget.engines.device.edges import DeviceEdges
    from iua_widget.engines.device.grouped import GroupedLayer
    from iua_widget.engines.device.together import BatchesTogether


class DeviceKernels(Protocol):
    """The two steps of counting a batch of one layer, neither of which waits for the device.

    All implementations give the same, to the last bit.
    """

    def classify(self, values: torch.Tensor, edges: DeviceEdges) -> DeviceBatch:
        """Sort every magnitude of a batch into its bin.

        Parameters
        ----------
        values : torch.Tensor of float16, float32 or float64, shape (probes, positions, units)
            May be strided.
        edges : DeviceEdges
            Of that dtype, on that device.
        """
        ...

    def reserve(self, probes: int, counters: DeviceCounters) -> None:
        """Have the memory that `add` takes for so many probes, so that it does not fail for it."""
        ...

    def add(self, batch: DeviceBatch, counters: DeviceCounters) -> None:
        """Add a batch of one probe or more to the counters of its layer, in place."""
        ...

    def slot_bytes(self, blocks: Blocks, columns: int) -> int:
        """What a batch of a layer takes that waits (see `together`); 0 where it cannot."""
        ...

    def together(self, layers: Sequence[GroupedLayer], most_bytes: int) -> BatchesTogether | None:
        """Have batches of several layers wait, to be added at once; None where that cannot be.

        Parameters
        ----------
        layers : sequence of GroupedLayer
            On one device, and of as many columns, of which each takes some `slot_bytes`.
        most_bytes : int
            What may wait; one batch may take more.
        """
        ...
