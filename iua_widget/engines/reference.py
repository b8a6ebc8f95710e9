"""The reference engine: plain NumPy, written to be read, and the oracle for all others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from iua_widget.common.arithmetic import as_ieee
from iua_widget.engines.engine import (
    CHUNK,
    POSITION_LANES,
    PROBE_LANES,
    BatchCounts,
    ProbeSums,
    RunningSums,
)
from iua_widget.engines.layer_by_layer import LayerByLayer

_BLOCK_VALUES = 2**17
"""Responses worked on at once: bounds the temporaries to a few MiB, whatever the layer's size."""


class ReferenceEngine(LayerByLayer):
    """Counting by `numpy.searchsorted` and `numpy.bincount`.

    Examples
    --------
    >>> import numpy as np
    >>> batch = ReferenceEngine().classify(np.array([[0.0, 0.5, 9.0]]), np.array([0.0, 1.0]))
    >>> batch.bins
    array([[0, 1, 2]], dtype=uint8)
    >>> batch.inactive
    array([[1, 2, 3]])
    """

    @as_ieee
    def classify(
        self,
        values: np.ndarray,
        thresholds: np.ndarray,
        running: RunningSums | None = None,  # noqa: ARG002
    ) -> BatchCounts:
        """Sort every magnitude of a batch into its bin; see `Engine.classify`."""
        positions = values if values.ndim == 3 else values[:, None, :]  # noqa: PLR2004
        probes, _, units = positions.shape
        entries = probes * positions.shape[1]
        overflow = len(thresholds)
        bins = np.empty((probes, units), np.uint8 if overflow + 1 < 2**8 else np.uint16)
        histogram = np.zeros((probes, overflow + 2), np.int64)
        abs_sum, square_sum, abs_max = (np.zeros(units) for _ in range(3))
        nan_count = infinite_count = None
        for block in _unit_blocks(entries, units):
            magnitudes = np.abs(positions[:, :, block])
            largest = magnitudes.max(axis=1, initial=0)
            index = np.searchsorted(thresholds, largest, side="left")
            finite = np.isfinite(magnitudes)
            if not finite.all():
                index[~np.isfinite(largest) & (index == overflow)] = overflow + 1
                if nan_count is None or infinite_count is None:
                    nan_count, infinite_count = np.zeros((2, units), np.int64)
                nan_count[block] = np.isnan(magnitudes).sum(axis=(0, 1))
                infinite_count[block] = np.isinf(magnitudes).sum(axis=(0, 1))
                magnitudes = np.where(finite, magnitudes, 0)
            bins[:, block] = index
            histogram += _histogram(index, axis=0, bins=overflow + 2)
            wide = magnitudes.astype(np.float64)
            abs_sum[block] = _sum(wide)
            square_sum[block] = _sum(wide * wide)
            abs_max[block] = wide.max(axis=(0, 1), initial=0)
        return BatchCounts(
            bins=bins,
            inactive=histogram[:, :-1].cumsum(axis=1),
            abs_sum=abs_sum,
            square_sum=square_sum,
            abs_max=abs_max,
            nan_count=nan_count,
            infinite_count=infinite_count,
            entries=entries,
        )

    def accumulate(self, batches: Sequence[np.ndarray], counts: np.ndarray) -> None:
        """Add classified batches to `counts`, in place; see `Engine.accumulate`."""
        columns = counts.shape[1]
        for bins in batches:
            for block in _unit_blocks(*bins.shape):
                added = _histogram(bins[:, block], axis=1, bins=columns + 1)[:, :-1]
                np.add(counts[block], added, out=counts[block], casting="unsafe")

    def sum_probes(self, bins: np.ndarray, ends: np.ndarray, columns: int, kept: int) -> ProbeSums:
        """Sum inactive units over the probes of several layers; see `Engine.sum_probes`."""
        layers, probes = len(ends) - 1, len(bins)
        inactive_sum, square_sum = np.zeros((2, layers, columns), np.int64)
        inactive = np.zeros((layers, probes), np.int64)
        for layer, (start, end) in enumerate(pairwise(ends.tolist())):
            histogram = _histogram(bins[:, start:end], axis=0, bins=columns + 1)
            up_to = histogram[:, :-1].cumsum(axis=1)
            inactive_sum[layer] = up_to.sum(axis=0)
            square_sum[layer] = (up_to * up_to).sum(axis=0)
            inactive[layer] = up_to[:, kept]
        return ProbeSums(inactive_sum, square_sum, inactive)


def _unit_blocks(entries: int, units: int) -> Iterator[slice]:
    step = max(1, _BLOCK_VALUES // max(entries, 1))
    for start in range(0, units, step):
        yield slice(start, min(start + step, units))


def _sum(values: np.ndarray) -> np.ndarray:
    """The sum of each unit, values of shape (probes, positions, units)."""
    by_probe = ordered_sum(np.moveaxis(values, 1, 0), POSITION_LANES)
    return ordered_sum(by_probe, PROBE_LANES)


def ordered_sum(values: np.ndarray, lanes: int) -> np.ndarray:
    """The sum over the first axis, in the order laid down in `iua_widget.engines.engine`.

    Examples
    --------
    >>> ordered_sum(np.arange(6.0).reshape(3, 2), PROBE_LANES)
    array([6., 9.])
    """
    if len(values) == 1:
        return np.asarray(values[0])
    others = values.shape[1:]
    chunks = 1 << max(-(-len(values) // CHUNK) - 1, 0).bit_length()
    rounds = CHUNK // lanes if chunks > 1 else max(-(-len(values) // lanes), 1)
    padded = np.zeros((chunks * rounds * lanes, *others))
    padded[: len(values)] = values
    # cumsum adds one after the other; sum does not.
    partial = padded.reshape(chunks, rounds, lanes, *others).cumsum(axis=1)[:, -1]
    return _folded(_folded(np.moveaxis(partial, 1, 0)))


def _folded(parts: np.ndarray) -> np.ndarray:
    while len(parts) > 1:
        half = len(parts) // 2
        parts = parts[:half] + parts[half:]
    total: np.ndarray = parts[0]
    return total


def _histogram(index: np.ndarray, *, axis: int, bins: int) -> np.ndarray:
    """Count the entries of each bin along the other axis: shape (index.shape[axis], bins)."""
    rows = index.shape[axis]
    offsets = np.expand_dims(np.arange(rows) * bins, 1 - axis)
    return np.bincount((index + offsets).ravel(), minlength=rows * bins).reshape(rows, bins)
