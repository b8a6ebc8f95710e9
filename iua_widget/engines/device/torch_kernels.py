"""Counting on any device by operations of PyTorch, none of which waits for the device.

What a program waits for (a number read, a tensor whose size depends on values) is what slows a GPU
down; so everything here is of a size known beforehand, and comes back as tensors.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import torch

from iua_widget.engines.device.bits import INTEGERS, infinity_bits, magnitude_mask
from iua_widget.engines.device.counters import MOST_SQUARES, NO_BATCH, DeviceCounters
from iua_widget.engines.device.edges import DeviceEdges
from iua_widget.engines.device.sums import ordered_sum, padded_length
from iua_widget.engines.device_batch import DeviceBatch
from iua_widget.engines.engine import LIMB_BITS, LIMB_MASK, POSITION_LANES, PROBE_LANES

_BLOCK_VALUES: Final = {"cpu": 2**18}
_DEVICE_BLOCK_VALUES: Final = 2**22
"""Responses, or counters, worked on at once: bounds the temporaries, some forty bytes each."""

_HISTOGRAM_ROWS: Final = 2**12
_MOST_GROUPS: Final = 64


class TorchKernels:
    """`DeviceKernels` by `torch.bucketize` and `torch.Tensor.scatter_add_`."""

    def classify(self, values: torch.Tensor, edges: DeviceEdges) -> DeviceBatch:
        """Sort magnitudes into bins; see `DeviceKernels.classify`."""
        probes, positions, units = values.shape
        cells_a_row = edges.columns + 1
        groups = _groups(probes, values.device)
        bins = values.new_empty((probes, units), dtype=edges.bins)
        histogram = values.new_zeros(probes * groups * cells_a_row, dtype=torch.int32)
        sums = values.new_zeros((2, units), dtype=torch.float64)
        largest = values.new_zeros(units, dtype=torch.float64)
        odd = values.new_zeros((2, units), dtype=torch.int64)
        integers = INTEGERS[values.dtype]
        magnitude, infinite = magnitude_mask(values.dtype), infinity_bits(values.dtype)
        one = values.new_ones((), dtype=torch.int32)
        rows = torch.arange(probes, device=values.device)[:, None] * (groups * cells_a_row)
        for block in _unit_blocks(probes * positions, units, values.device) if probes else ():
            bits = values[:, :, block].view(integers) & magnitude
            if positions == 1:
                most = bits[:, 0]
            elif positions:
                most = bits.amax(dim=1)
            else:
                most = bits.new_zeros((probes, bits.shape[2]))
            index = torch.bucketize(most.contiguous(), edges.bits, out_int32=True)
            bins[:, block] = index
            group = torch.arange(index.shape[1], device=values.device) % groups * cells_a_row
            cells = ((rows + group) + index).view(-1)
            histogram.scatter_add_(0, cells, one.expand(len(cells)))
            if not positions:
                continue
            odd[0, block] = (bits > infinite).sum(dim=(0, 1))
            odd[1, block] = (bits == infinite).sum(dim=(0, 1))
            finite = bits.masked_fill(bits >= infinite, 0).view(values.dtype)
            largest[block] = finite.view(integers).amax(dim=(0, 1)).view(values.dtype)
            sums[:, block] = _sums(finite)
        counts = histogram.view(probes, groups, cells_a_row).sum(dim=1)
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

    def reserve(self, probes: int, counters: DeviceCounters) -> None:
        """Have the memory that `add` will take; see `DeviceKernels.reserve`."""
        units = len(counters.highest)
        size = 3 * min(_DEVICE_BLOCK_VALUES + units, probes * units)
        counters.highest.new_empty(size, dtype=torch.int64)

    def add(self, batch: DeviceBatch, counters: DeviceCounters) -> None:
        """Count a batch; see `DeviceKernels.add`."""
        _add_counts(batch.bins, counters)
        _add_squares(batch.inactive, counters)
        columns = batch.inactive.shape[1]
        finite = batch.bins.masked_fill(batch.bins >= columns, 0)
        highest = finite.amax(dim=0).to(counters.highest.dtype)
        torch.maximum(counters.highest, highest, out=counters.highest)
        torch.maximum(counters.abs_max, batch.abs_max, out=counters.abs_max)
        counters.sums[0] += batch.abs_sum
        counters.sums[1] += batch.square_sum
        counters.odd[0] += batch.nan_count.to(torch.int64)
        counters.odd[1] += batch.infinite_count.to(torch.int64)
        any_odd = (batch.nan_count + batch.infinite_count).any()
        number = torch.where(any_odd, counters.batch, NO_BATCH).to(counters.first_odd.dtype)
        torch.minimum(counters.first_odd, number, out=counters.first_odd)

    def slot_bytes(self, *_: object) -> int:
        """No batch can wait; see `DeviceKernels.slot_bytes`."""
        return 0

    def together(self, *_: object) -> None:
        """Nothing can be had; see `DeviceKernels.together`."""


def _add_counts(bins: torch.Tensor, counters: DeviceCounters) -> None:
    one = counters.counts.new_ones(())
    step = max(1, _DEVICE_BLOCK_VALUES // max(bins.shape[1], 1))
    for start in range(0, len(bins), step):
        index = bins[start : start + step].to(torch.int64)
        if counters.place is not None:
            index = counters.place[index]
        counters.counts.scatter_add_(0, index, one.expand(index.shape))


def _add_squares(inactive: torch.Tensor, counters: DeviceCounters) -> None:
    # A square is below 2^62 (fewer than 2^31 units); its limbs are summed apart.
    for start in range(0, len(inactive), MOST_SQUARES):
        part = inactive[start : start + MOST_SQUARES]
        counters.expect_squares(len(part))
        squares = part * part
        counters.moments[0] += part.sum(dim=0)
        counters.moments[1] += (squares & LIMB_MASK).sum(dim=0)
        counters.moments[2] += (squares >> LIMB_BITS).sum(dim=0)


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
