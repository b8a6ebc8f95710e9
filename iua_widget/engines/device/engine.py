"""The engine for tensors on any device: they are counted where they lie."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch

from iua_widget.common.arithmetic import as_ieee
from iua_widget.engines.device.choice import kernels_for
from iua_widget.engines.device.edges import DeviceEdges
from iua_widget.engines.device_batch import DeviceBatch
from iua_widget.engines.engine import BatchCounts, ProbeSums, RunningSums
from iua_widget.engines.layer_by_layer import LayerByLayer
from iua_widget.engines.reference import ReferenceEngine

_PLAIN: Final = (torch.Tensor, torch.nn.Parameter)


class DeviceEngine(LayerByLayer):
    """Counting where the responses lie, by what `kernels_for` finds best for their device.

    NumPy arrays are counted on the CPU; of them, what PyTorch has no dtype for
    (`numpy.longdouble`) by the reference engine. Complex responses are reduced to magnitudes on the
    host, by NumPy: how it rounds them is part of what `numpy.isclose` says, and no device rounds
    alike.

    Examples
    --------
    >>> batch = DeviceEngine().classify(torch.tensor([[0.0, 0.5, 9.0]]), np.float32([0, 1]))
    >>> batch.bins
    tensor([[0, 1, 2]], dtype=torch.uint8)
    >>> batch.inactive
    tensor([[1, 2, 3]])
    """

    def __init__(self) -> None:
        self._reference = ReferenceEngine()
        self._edges: dict[tuple[bytes, torch.dtype, torch.device], DeviceEdges] = {}

    def takes(self, tensor: Any) -> bool:
        """Whether a tensor is counted where it lies; a subclass may hold something else."""
        return type(tensor) in _PLAIN and can_count_on(tensor.device)

    @as_ieee
    def classify(
        self,
        values: Any,
        thresholds: np.ndarray,
        running: RunningSums | None = None,  # noqa: ARG002
    ) -> BatchCounts | DeviceBatch:
        """Sort every magnitude of a batch into its bin; see `Engine.classify`.

        Parameters
        ----------
        values : torch.Tensor or numpy.ndarray, shape (probes, units) or (probes, positions, units)
            A tensor of float16, float32 or float64.
        thresholds : numpy.ndarray, shape (K,)

        Returns
        -------
        DeviceBatch
            On the device of `values`; `BatchCounts` for what PyTorch has no dtype for.
        """
        tensor = _from_numpy(values) if isinstance(values, np.ndarray) else values.detach()
        if tensor is None:
            return self._reference.classify(values, thresholds)
        blocks = tensor if tensor.ndim == 3 else tensor[:, None, :]  # noqa: PLR2004
        edges = self._edges_of(thresholds, tensor)
        return kernels_for(tensor.device).classify(blocks.resolve_neg(), edges)

    def accumulate(self, batches: Sequence[np.ndarray], counts: np.ndarray) -> None:
        """Add batches classified on the host to `counts`; see `Engine.accumulate`."""
        self._reference.accumulate(batches, counts)

    def sum_probes(self, bins: np.ndarray, ends: np.ndarray, columns: int, kept: int) -> ProbeSums:
        """Sum what was classified on the host; see `Engine.sum_probes`."""
        return self._reference.sum_probes(bins, ends, columns, kept)

    def _edges_of(self, thresholds: np.ndarray, tensor: torch.Tensor) -> DeviceEdges:
        key = thresholds.tobytes(), tensor.dtype, tensor.device
        if key not in self._edges:
            self._edges[key] = DeviceEdges.of(thresholds, tensor.device)
        return self._edges[key]


def can_count_on(device: torch.device) -> bool:
    """Whether a device has what counting takes: MPS has no float64."""
    return device.type not in ("mps", "meta")


def _from_numpy(values: np.ndarray) -> torch.Tensor | None:
    """A tensor of an array, or of its magnitudes; a view where PyTorch can have one."""
    if values.dtype.kind == "c":
        values = np.abs(values)
    if values.dtype.itemsize > 8:  # noqa: PLR2004
        return None
    if not values.dtype.isnative:
        values = values.astype(values.dtype.newbyteorder("="))
    aligned = all(stride >= 0 and stride % values.itemsize == 0 for stride in values.strides)
    return torch.from_numpy(values if aligned and values.flags.writeable else values.copy())
