"""`BatchesTogether`: classified batches of a group of layers, until some are added at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
import triton

from iua_widget.engines.device import triton_launch, triton_together
from iua_widget.engines.device.blocks import Blocks
from iua_widget.engines.device.edges import bins_dtype
from iua_widget.engines.device.grouped import GroupedLayer
from iua_widget.engines.device.prepared import Launch, PreparedLaunch, stream_of
from iua_widget.engines.device.triton_kernels import SUMS
from iua_widget.engines.device_batch import DeviceBatch
from iua_widget.engines.engine import CHUNK, PROBE_LANES

_MOST_FOLDED: Final = 32
"""Chunks that are folded where all layers are added: a program holds them all."""

_MOST_SLOTS: Final = 8
"""Batches added at once: of more there is little left to gain."""

_KEPT_BYTES: Final = 8
"""Of the inactive units of a probe."""

_MOST_KEPT: Final = 2**20
"""Probes of which these are kept in one piece, if that is more than all slots have."""

_KEPT_PART: Final = 8
"""They take an eighth of what may wait, so that they are in the budget."""

_FOLDED_AT_ONCE: Final = 256
"""Sums of chunks: few, so that a program that only counts needs few registers."""

_ALIGNED: Final = 16


@dataclass(slots=True)
class _Waiting:
    """The buffers of a layer, each with a row for every slot."""

    bins: torch.Tensor
    parts: torch.Tensor
    sums: torch.Tensor
    histogram: torch.Tensor
    launches: list[PreparedLaunch]

    @property
    def nbytes(self) -> int:
        sums = () if self.sums is self.parts else (self.sums,)
        return sum(int(one.nbytes) for one in (self.bins, self.parts, self.histogram, *sums))


def slot_bytes(blocks: Blocks, columns: int) -> int:
    """What a batch of a layer takes until it is added; 0 where it cannot wait with others.

    Examples
    --------
    >>> slot_bytes(Blocks.of(torch.zeros(4, 1, 10)), columns=3)
    1616
    """
    can = (
        triton_launch.takes(blocks, columns)
        and max(blocks.chunks, blocks.position_chunks) <= _MOST_FOLDED
        and (blocks.rows or blocks.probes <= CHUNK)
    )
    if not can:
        return 0
    sizes = _sizes(blocks, columns).values()
    waiting = sum(_rounded(entries) * dtype.itemsize for entries, dtype in sizes)
    return waiting + _KEPT_BYTES * blocks.probes


class BatchesTogether:
    """Batches of some layers that wait on a device, each in a slot, until they are added at once.

    A layer is classified in one launch; all batches of all layers are added in two. All launches
    are for one stream, on which a slot is read before it is written to again.

    Parameters
    ----------
    layers : sequence of GroupedLayer
        One or more, on one device and of as many columns, of which each takes some `slot_bytes`.
    most_bytes : int
        That the slots may take, if they are to be more than one.

    Attributes
    ----------
    slots : int
    slot : int
        That of the batch at hand.
    waiting : int
        Batches that have been classified and are not added yet, `slots` at the most.
    nbytes : int
        What is held on the device.
    """

    def __init__(self, layers: Sequence[GroupedLayer], most_bytes: int) -> None:
        self._layers = dict(enumerate(layers))
        edges = layers[0].edges
        self._device, self._columns = edges.table.device, edges.columns
        self._stream = stream_of(self._device)
        self._bin_type = triton_launch.BIN_TYPES[edges.bins]
        each = sum(slot_bytes(layer.blocks, edges.columns) for layer in layers)
        self.slots = max(1, min(_MOST_SLOTS, most_bytes // each))
        self.slot = self.waiting = 0
        self._buffers = {number: self._buffer(layer) for number, layer in self._layers.items()}
        probes = [layer.blocks.probes for layer in layers]
        keeps = any(layer.kept_column is not None for layer in layers)
        most = min(_MOST_KEPT, most_bytes // _KEPT_PART // _KEPT_BYTES) // sum(probes)
        self._most_kept = max(self.slots, most) if keeps else 2**30
        self._kept_from = [0, *np.cumsum(probes[:-1]).tolist()]
        self._kept = self._empty((self._most_kept if keeps else 1, sum(probes)), torch.int64)
        self._kept_batches = 0
        # Where no column is counted apart from the others, each is its own place.
        self._places = torch.arange(edges.columns + 1, device=self._device)
        self._tables: list[torch.Tensor] = []
        self._counting: dict[int, PreparedLaunch] = {}
        self._adding: PreparedLaunch | None = None

    @property
    def nbytes(self) -> int:
        """What is held on the device."""
        tensors = self._kept, self._places, *self._tables
        buffers = sum(one.nbytes for one in self._buffers.values())
        return buffers + sum(int(one.nbytes) for one in tensors)

    def bytes_of(self, layer: int) -> int:
        """What the slots of a layer take, and what is kept of its probes."""
        kept = int(self._kept.nbytes) // len(self._kept_from)
        return self._buffers[layer].nbytes + kept

    def launches(self, layer: int) -> list[PreparedLaunch]:
        """Those that classify a layer, one for each slot: their argument are a response's bits."""
        return self._buffers[layer].launches

    def compile(self) -> None:
        """Have everything compiled that adds, and add nothing."""
        self._add(0, 0)

    def next(self) -> None:
        """Have the batch at hand wait, and begin another."""
        self.waiting += 1
        self.slot = (self.slot + 1) % self.slots

    def add(self, number: int) -> int:
        """Add all batches that wait, the first of them the `number`-th; how many these were."""
        batches = self.waiting
        if self._layers and batches:
            for layer in self._layers.values():
                layer.counters.expect_squares(layer.blocks.probes * batches)
            self._add(batches, number)
        self.waiting = 0
        self._kept_batches += batches
        return batches

    @property
    def kept_is_full(self) -> bool:
        """Whether the inactive units of all slots might not be kept, unless they are handed out."""
        return self._kept_batches + self.slots > self._most_kept

    def hand_out(self) -> dict[int, torch.Tensor]:
        """A copy of the inactive units that are kept, of each layer: int64, (batches, probes)."""
        keeping = [n for n, layer in self._layers.items() if layer.kept_column is not None]
        if not (self._kept_batches and keeping):
            return {}
        kept = self._kept[: self._kept_batches].clone()
        self._kept_batches = 0
        return {
            number: kept[:, self._kept_from[number] :][:, : self._layers[number].blocks.probes]
            for number in keeping
        }

    def give_back(self, layer: int) -> DeviceBatch:
        """What was classified of a layer in the batch at hand, apart from the others."""
        blocks, buffer = self._layers[layer].blocks, self._buffers[layer]
        shapes = triton_launch.bins_shape(blocks), (blocks.parts, SUMS, blocks.units)
        bins, sums = (
            one[self.slot, : math.prod(shape)].clone().view(shape)
            for one, shape in zip((buffer.bins, buffer.parts), shapes, strict=True)
        )
        return triton_launch.batch_of(blocks, bins, sums, self._columns)

    def leave(self, layer: int) -> None:
        """Free what is held for a layer, of which nothing waits."""
        del self._layers[layer], self._buffers[layer]
        self._tables.clear()

    def counters_changed(self) -> None:
        """Look up anew where the counters lie."""
        self._tables.clear()

    def _add(self, batches: int, number: int) -> None:
        with triton_launch.on_device_of(self._kept):
            stream = self._stream()
            if self._adding is None or not self._tables:
                self._adding = self._tabulate()
            if batches not in self._counting:
                self._counting[batches] = self._counting_launch(batches)
            first = (self.slot - batches) % self.slots
            self._counting[batches](first, stream=stream)
            self._adding(first, batches, number, self._kept_batches, stream=stream)

    def _buffer(self, layer: GroupedLayer) -> _Waiting:
        made = {
            name: self._empty((self.slots, _rounded(entries)), dtype)
            for name, (entries, dtype) in _sizes(layer.blocks, self._columns).items()
        }
        bins, parts = made["bins"], made["parts"]
        launches = [
            PreparedLaunch(triton_launch.classifying(layer.blocks, layer.edges, *one))
            for one in zip(bins, parts, strict=True)
        ]
        return _Waiting(bins, parts, made.get("sums", parts), made["histogram"].zero_(), launches)

    def _tabulate(self) -> PreparedLaunch:
        """Make the tables of the kernels, and the launch that adds by them."""
        rows: list[list[int]] = []
        counting: list[int] = []
        adding: list[int] = []
        for number, layer in self._layers.items():
            blocks, counters, buffer = layer.blocks, layer.counters, self._buffers[number]
            for_a_probe, steps = triton_launch.histogram_steps(blocks.probes, blocks.units)
            probe_blocks = triton.cdiv(blocks.probes, triton_launch.ROWS)
            unit_blocks = triton.cdiv(blocks.units, triton_launch.WIDTH)
            place = self._places if counters.place is None else counters.place
            row = {
                "bins": buffer.bins.data_ptr(),
                "bins_by_slot": buffer.bins.stride(0),
                "sums": buffer.sums.data_ptr(),
                "sums_by_slot": buffer.sums.stride(0),
                "parts": buffer.parts.data_ptr(),
                "parts_by_slot": buffer.parts.stride(0),
                "histogram": buffer.histogram.data_ptr(),
                "counts": counters.counts.data_ptr(),
                "place": place.data_ptr(),
                "highest": counters.highest.data_ptr(),
                "counter_sums": counters.sums.data_ptr(),
                "largest": counters.abs_max.data_ptr(),
                "odd": counters.odd.data_ptr(),
                "moments": counters.moments.data_ptr(),
                "first_odd": counters.first_odd.data_ptr(),
                "kept_column": -1 if layer.kept_column is None else layer.kept_column,
                "kept_from": self._kept_from[number],
                "probes": blocks.probes,
                "units": blocks.units,
                "chunks": blocks.chunks,
                "position_chunks": blocks.position_chunks,
                "first_that_counts": sum(counting),
                "first_that_adds": sum(adding),
                "for_units": unit_blocks * probe_blocks,
                "for_a_probe": for_a_probe,
                "steps": steps,
            }
            rows.append([row[name] for name in triton_together.FIELDS])
            if blocks.position_chunks > 1:
                counting.append(blocks.probes * triton.cdiv(blocks.units, self._fold_width))
            else:
                counting.append(unit_blocks * probe_blocks + blocks.probes * for_a_probe)
            adding.append(unit_blocks + probe_blocks)
        of_program = [
            np.repeat(np.arange(len(rows), dtype=np.int32), programs)
            for programs in (counting, adding)
        ]
        self._tables = [
            torch.from_numpy(one).to(self._device, non_blocking=True)
            for one in (np.array(rows, np.int64), *of_program)
        ]
        self._counting = {}
        return PreparedLaunch(self._adding_launch())

    @property
    def _position_chunks(self) -> int:
        return max([1, *(layer.blocks.position_chunks for layer in self._layers.values())])

    @property
    def _fold_width(self) -> int:
        return triton_launch.fold_width(self._position_chunks, _FOLDED_AT_ONCE)

    def _counting_launch(self, batches: int) -> PreparedLaunch:
        table, layers, _ = self._tables
        options = self._options() | {
            "halvings": triton_launch.halvings(self._position_chunks),
            "fold_width": self._fold_width,
            "histogram_width": triton_launch.HISTOGRAM_WIDTH,
            "bin_type": self._bin_type,
        }
        arguments = table, layers, self.slots, self._columns
        grid = len(layers), batches
        return PreparedLaunch(Launch(triton_together.count_batches, grid, arguments, options))

    def _adding_launch(self) -> Launch:
        table, _, layers = self._tables
        rows = [layer.blocks.chunks for layer in self._layers.values() if layer.blocks.rows]
        options = self._options() | {
            "positions": len(rows) < len(self._layers),
            "halvings": triton_launch.halvings(max([1, *rows])),
            "probe_halvings": triton_launch.halvings(PROBE_LANES),
        }
        kept = self._kept, self._kept.stride(0)
        arguments = table, layers, *kept, self.slots, self._columns
        return Launch(triton_together.add_batches, (len(layers),), arguments, options)

    def _options(self) -> dict[str, Any]:
        return {
            "rows": triton_launch.ROWS,
            "width": triton_launch.WIDTH,
            "aligned": all(layer.blocks.units % _ALIGNED == 0 for layer in self._layers.values()),
            "cells": triton_launch.cells_of(self._columns),
            "enable_fp_fusion": False,
        }

    def _empty(self, shape: int | tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        return torch.empty(shape, dtype=dtype, device=self._device)


def _sizes(blocks: Blocks, columns: int) -> dict[str, tuple[int, torch.dtype]]:
    """Entries and dtype of each buffer of a layer, for one batch."""
    sizes = {
        "bins": (math.prod(triton_launch.bins_shape(blocks)), bins_dtype(columns)),
        "parts": (blocks.parts * SUMS * blocks.units, torch.float64),
        "histogram": (blocks.probes * triton_launch.cells_of(columns), torch.int32),
    }
    if blocks.position_chunks > 1:
        sizes["sums"] = blocks.probes * SUMS * blocks.units, torch.float64
    return sizes


def _rounded(entries: int) -> int:
    return -(-entries // _ALIGNED) * _ALIGNED
