"""The protocol of kernels that classify and count on a device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from iua_widget.engines.device_batch import DeviceBatch

if TYPE_CHECKING:
    import torch

    from iua_widget.engines.device.counters import DeviceCounters
    from iua_widget.engines.device.edges import DeviceEdges


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
