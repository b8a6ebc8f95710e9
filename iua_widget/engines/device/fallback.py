"""`KernelsWithFallback`: switches kernels when the first ones fail."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from iua_widget.engines.device.kernels import DeviceKernels
from iua_widget.engines.device_batch import DeviceBatch
from iua_widget.errors import IUAWarning

if TYPE_CHECKING:
    from iua_widget.engines.device.blocks import Blocks
    from iua_widget.engines.device.counters import DeviceCounters
    from iua_widget.engines.device.edges import DeviceEdges
    from iua_widget.engines.device.grouped import GroupedLayer
    from iua_widget.engines.device.together import BatchesTogether


class KernelsWithFallback:
    """`DeviceKernels` that are compiled as they are needed, which can fail at any time.

    Parameters
    ----------
    kernels : DeviceKernels
        Which do nothing at all where they fail.
    otherwise : DeviceKernels
        Those used from the first failure on.

    Attributes
    ----------
    failed : bool
    apart : bool
        Whether layers are not counted together.
    """

    def __init__(self, kernels: DeviceKernels, otherwise: DeviceKernels) -> None:
        self.failed = self.apart = False
        self._kernels = kernels
        self._otherwise = otherwise

    def classify(self, values: torch.Tensor, edges: DeviceEdges) -> DeviceBatch:
        """Sort magnitudes into bins; see `DeviceKernels.classify`."""
        if not self.failed:
            try:
                return self._kernels.classify(values, edges)
            except torch.cuda.OutOfMemoryError:
                raise  # others would take more
            except Exception as error:  # noqa: BLE001  (a compiler's, a driver's: it can be any)
                self._give_up(values.device, error)
        return self._otherwise.classify(values, edges)

    def reserve(self, probes: int, counters: DeviceCounters) -> None:
        """Have the memory that `add` will take; see `DeviceKernels.reserve`."""
        (self._otherwise if self.failed else self._kernels).reserve(probes, counters)

    def add(self, batch: DeviceBatch, counters: DeviceCounters) -> None:
        """Count a batch; see `DeviceKernels.add`."""
        if not self.failed:
            try:
                self._kernels.add(batch, counters)
            except Exception as error:  # noqa: BLE001
                self._give_up(batch.bins.device, error)
            else:
                return
        self._otherwise.add(batch, counters)

    def slot_bytes(self, blocks: Blocks, columns: int) -> int:
        """What a batch takes that waits; see `DeviceKernels.slot_bytes`."""
        return 0 if self.failed or self.apart else self._kernels.slot_bytes(blocks, columns)

    def together(self, layers: Sequence[GroupedLayer], most_bytes: int) -> BatchesTogether | None:
        """Have batches of several layers wait; see `DeviceKernels.together`."""
        try:
            return self._kernels.together(layers, most_bytes)
        except torch.cuda.OutOfMemoryError:
            return None  # one by one they take less
        except Exception as error:  # noqa: BLE001
            device = layers[0].edges.table.device
            self.count_apart(device, f"{type(error).__name__}: {error}")
            return None

    def count_apart(self, device: torch.device, problem: str) -> None:
        """Count each layer by itself from now on, and say why."""
        self.apart = True
        warnings.warn(
            f"Layers cannot be counted together on {device} ({problem}); each is counted by "
            "itself there: as exactly, but slower.",
            IUAWarning,
            stacklevel=3,
        )

    def _give_up(self, device: torch.device, error: Exception) -> None:
        self.failed = True
        warn_of_slower_counting(device, f"{type(error).__name__}: {error}")


def warn_of_slower_counting(device: torch.device, problem: str) -> None:
    """Say that PyTorch's operations count on a device, and why."""
    warnings.warn(
        f"Triton's kernels cannot be used on {device} ({problem}); PyTorch's own operations count "
        "there: as exactly, but slower.",
        IUAWarning,
        stacklevel=3,
    )
