"""The engine for tensors on any device: operations of PyTorch, none of which waits for the device.

What a program waits for (a number read, a tensor whose size depends on values) is what slows a GPU
down; so everything here is of a size known beforehand, and comes back as tensors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch

from iua_widget.counting.device_batch import DeviceBatch
from iua_widget.counting.device_sums import ordered_sum, padded_length
from iua_widget.counting.engine import POSITION_LANES, PROBE_LANES, BatchCounts, RunningSums
from iua_widget.counting.layer_by_layer import LayerByLayer
from iua_widget.counting.reference import ReferenceEngine

_BITS: Final = {
    torch.float16: torch.int16,
    torch.float32: torch.int32,
    torch.float64: torch.int64,
}
_BLOCK_VALUES: Final = {"cpu": 2**18}
_DEVICE_BLOCK_VALUES: Final = 2**22
"""Responses worked on at once: bounds the temporaries, some forty bytes each."""

_HISTOGRAM_ROWS: Final = 2**12
_MOST_GROUPS: Final = 64
_PLAIN: Final = (torch.Tensor, torch.nn.Parameter)


@dataclass(frozen=True, slots=True)
class _Edges:
    """The bits of the upper edges of all bins but the last, on a device."""

    bits: torch.Tensor
    bins: torch.dtype


class DeviceEngine(LayerByLayer):
    """Counting where the responses lie, by `torch.bucketize` and `torch.Tensor.scatter_add_`.

    Magnitudes are compared by their bits, as integers, which order as they do. NumPy arrays are
    counted on the CPU; of them, what PyTorch has no dtype for (`numpy.longdouble`) by the reference
    engine. Complex responses are reduced to magnitudes on the host, by NumPy: how it rounds them is
    part of what `numpy.isclose` says, and no device rounds alike.

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
        self._edges: dict[tuple[bytes, torch.dtype, torch.device], _Edges] = {}

    def takes(self, tensor: Any) -> bool:
        """Whether a tensor is counted where it lies; a subclass may hold something else."""
        return type(tensor) in _PLAIN and can_count_on(tensor.device)

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
        return _classified(tensor.resolve_neg(), self._edges_of(thresholds, tensor))

    def accumulate(self, batches: Sequence[np.ndarray], counts: np.ndarray) -> None:
        """Add batches classified on the host to `counts`; see `Engine.accumulate`."""
        self._reference.accumulate(batches, counts)

    def _edges_of(self, thresholds: np.ndarray, tensor: torch.Tensor) -> _Edges:
        key = thresholds.tobytes(), tensor.dtype, tensor.device
        if key not in self._edges:
            limit = np.finfo(thresholds.dtype).max
            # Above the last finite bin is what no stop includes: infinities, unless a stop is
            # infinite in this dtype, and NaN, whose bits are above those of infinity.
            edges = np.append(thresholds, max(limit, thresholds.max(initial=0)))
            bits = torch.from_numpy(edges.view(f"i{edges.itemsize}"))
            overflow = len(thresholds) + 1
            narrow = torch.int16 if overflow < 2**15 else torch.int32
            self._edges[key] = _Edges(
                bits.to(tensor.device, non_blocking=True),
                torch.uint8 if overflow < 2**8 else narrow,
            )
        return self._edges[key]


def can_count_on(device: torch.device) -> bool:
    """Whether a device has what counting takes: MPS has no float64."""
    return device.type not in ("mps", "meta")


def _classified(values: torch.Tensor, edges: _Edges) -> DeviceBatch:
    blocks = values if values.ndim == 3 else values[:, None, :]  # noqa: PLR2004
    probes, positions, units = blocks.shape
    columns = len(edges.bits) + 1
    groups = _groups(probes, values.device)
    bins = values.new_empty((probes, units), dtype=edges.bins)
    histogram = values.new_zeros(probes * groups * columns, dtype=torch.int32)
    sums = values.new_zeros((2, units), dtype=torch.float64)
    largest = values.new_zeros(units, dtype=torch.float64)
    odd = values.new_zeros((2, units), dtype=torch.int64)
    integers = _BITS[values.dtype]
    magnitude = torch.iinfo(integers).max
    infinite = _infinity(values.dtype)
    one = values.new_ones((), dtype=torch.int32)
    rows = torch.arange(probes, device=values.device)[:, None] * (groups * columns)
    for block in _unit_blocks(probes * positions, units, values.device) if probes else ():
        part = blocks[:, :, block]
        bits = part.view(integers) & magnitude
        if positions == 1:
            most = bits[:, 0]
        elif positions:
            most = bits.amax(dim=1)
        else:
            most = bits.new_zeros((probes, bits.shape[2]))
        index = torch.bucketize(most.contiguous(), edges.bits, out_int32=True)
        bins[:, block] = index
        group = torch.arange(index.shape[1], device=values.device) % groups * columns
        cells = ((rows + group) + index).view(-1)
        histogram.scatter_add_(0, cells, one.expand(len(cells)))
        if not positions:
            continue
        odd[0, block] = (bits > infinite).sum(dim=(0, 1))
        odd[1, block] = (bits == infinite).sum(dim=(0, 1))
        finite = bits.masked_fill(bits >= infinite, 0).view(values.dtype)
        largest[block] = finite.view(integers).amax(dim=(0, 1)).view(values.dtype)
        sums[:, block] = _sums(finite)
    counts = histogram.view(probes, groups, columns).sum(dim=1)
    return DeviceBatch(
        bins=bins,
        inactive=counts[:, :-1].cumsum(dim=1),
        abs_sum=sums[0],
        square_sum=sums[1],
        abs_max=largest,
        nan_count=odd[0],
        infinite_count=odd[1],
        entries=probes * positions,
    )


def _sums(magnitudes: torch.Tensor) -> torch.Tensor:
    """Sums of a block and of its squares: shape (2, units)."""
    lanes = POSITION_LANES
    if magnitudes.shape[1] == 1:  # the probes take the place of the positions
        magnitudes, lanes = magnitudes.transpose(0, 1), PROBE_LANES
    outer, entries, units = magnitudes.shape
    padded = padded_length(entries, lanes)
    # In the order in memory that the responses have, which are slow to read in another.
    if magnitudes.stride(2) > magnitudes.stride(1):
        wide = magnitudes.new_zeros((2, outer, units, padded), dtype=torch.float64).transpose(2, 3)
    else:
        wide = magnitudes.new_zeros((2, outer, padded, units), dtype=torch.float64)
    wide[0, :, :entries] = magnitudes
    torch.mul(wide[0], wide[0], out=wide[1])
    return ordered_sum(ordered_sum(wide, lanes), PROBE_LANES)


def _groups(probes: int, device: torch.device) -> int:
    """In how many parts a probe's histogram is counted: so many units can be added at once."""
    if device.type == "cpu":
        return 1
    return max(1, min(_MOST_GROUPS, _HISTOGRAM_ROWS // max(probes, 1)))


def _unit_blocks(entries: int, units: int, device: torch.device) -> Iterator[slice]:
    step = max(1, _BLOCK_VALUES.get(device.type, _DEVICE_BLOCK_VALUES) // max(entries, 1))
    for start in range(0, units, step):
        yield slice(start, min(start + step, units))


def _infinity(dtype: torch.dtype) -> int:
    """The bits of infinity, above those of all that is finite and below those of NaN."""
    floating = np.dtype(str(dtype).removeprefix("torch."))
    return int(np.array(math.inf, floating).view(f"i{floating.itemsize}"))


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
