"""The interface of all counting engines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np

from iua_widget.engines.device_batch import DeviceBatch

CHUNK: Final = 512
PROBE_LANES: Final = 4
POSITION_LANES: Final = 64
"""The order in which every engine adds, so that sums are the same to the last bit: in chunks of
`CHUNK`, entry ``s`` goes into partial sum ``s % LANES``, and these are folded, half onto half; see
``docs/sums.md``."""

LIMB_BITS: Final = 40
LIMB_MASK: Final = (1 << LIMB_BITS) - 1
"""Sums of squares are held in two integers, the lower of this many bits: they never wrap."""


@dataclass(frozen=True, slots=True)
class RunningSums:
    """Sums a batch may be added to while it is classified, which spares them a way to memory.

    What they were is left as it is: the batch may yet fail.

    Attributes
    ----------
    onto : numpy.ndarray of float64, shape (3, units), or None
        ``abs_sum``, ``square_sum`` and ``abs_max`` before the batch; None for zeros.
    into : numpy.ndarray of float64, shape (3, units)
        Where they go.
    """

    onto: np.ndarray | None
    into: np.ndarray

    @property
    def rows(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The three, with the batch in them."""
        abs_sum, square_sum, abs_max = self.into
        return abs_sum, square_sum, abs_max


@dataclass(frozen=True, slots=True)
class BatchCounts:
    """What one batch adds to one layer's tally, complete before anything is added.

    The bins take one or two bytes a response and are what is kept of a batch until all its layers
    have come, so that a batch enters the tallies as a whole or not at all.

    Attributes
    ----------
    bins : numpy.ndarray of uint8 or uint16, shape (probes, units)
        For stops ``e_0 < ... < e_(K-1)``: the number of stops that ``abs(x)`` exceeds, so that bin
        ``k < K`` means ``e_(k-1) < abs(x) <= e_k``; ``K`` is a finite value above every stop, and
        ``K + 1`` a NaN or an infinity that no stop includes.
    inactive : numpy.ndarray of int64, shape (probes, K + 1)
        Units of each probe in bins up to ``k``: inactive at stop ``k``, or finite at ``K``.
    abs_sum, square_sum, abs_max : numpy.ndarray of float64, shape (units,)
        Sum of ``abs(x)``, sum of ``abs(x) ** 2`` and largest ``abs(x)`` over the finite responses,
        of every position; the sums in the order laid down at `CHUNK`.
    running : RunningSums or None
        What has been added to these three already; None where they are the batch's alone.
    highest_bin : numpy.ndarray of the bins' dtype, shape (units,), or None
        The largest of each unit's bins of finite values; None where it has not been found on the
        way.
    nan_count, infinite_count : numpy.ndarray of int64, shape (units,), or None
        How many responses were NaN or infinite; None where none was.
    entries : int
        Responses of each unit: probes times positions.
    """

    bins: np.ndarray
    inactive: np.ndarray
    abs_sum: np.ndarray
    square_sum: np.ndarray
    abs_max: np.ndarray
    nan_count: np.ndarray | None
    infinite_count: np.ndarray | None
    entries: int
    running: RunningSums | None = None
    highest_bin: np.ndarray | None = None

    @property
    def nbytes(self) -> int:
        """What it takes."""
        sums = self.abs_sum, self.square_sum, self.abs_max
        odd = self.nan_count, self.infinite_count, self.highest_bin
        arrays = self.bins, self.inactive, *sums, *odd
        return sum(one.nbytes for one in arrays if one is not None)


@dataclass(frozen=True, slots=True)
class LayerResponses:
    """What `Engine.classify` is given for one layer."""

    values: Any
    thresholds: np.ndarray
    running: RunningSums | None = None


@dataclass(frozen=True, slots=True)
class LayerBins:
    """What `Engine.accumulate` is given for one layer."""

    batches: Sequence[np.ndarray]
    counts: np.ndarray

    @property
    def probes(self) -> int:
        """How many there are in all batches."""
        return sum(map(len, self.batches))

    @property
    def size(self) -> int:
        """Responses, one a unit and probe."""
        return self.probes * len(self.counts)


@dataclass(frozen=True, slots=True)
class ProbeSums:
    """Sums over the probes of a batch of several layers; see `Engine.sum_probes`.

    Attributes
    ----------
    inactive_sum, square_sum : numpy.ndarray of int64, shape (layers, K + 1)
        Of the inactive units of each probe at every stop (finite ones at ``K``), and of their
        squares.
    inactive : numpy.ndarray of int64, shape (layers, probes)
        The inactive units of each probe at one stop.
    """

    inactive_sum: np.ndarray
    square_sum: np.ndarray
    inactive: np.ndarray


class Engine(Protocol):
    """Classifies the responses of a batch, and adds classified batches to a tally's counters."""

    def classify(
        self, values: Any, thresholds: np.ndarray, running: RunningSums | None = None
    ) -> BatchCounts | DeviceBatch:
        """Sort every magnitude of a batch into its bin.

        Parameters
        ----------
        values : numpy.ndarray, shape (probes, units) or (probes, positions, units)
            Real floating or complex; may be strided. With positions, a unit's bin on a probe is
            that of its largest magnitude there (a NaN being larger than any): it is inactive only
            where it is so at every position.
        thresholds : numpy.ndarray, shape (K,)
            Ascending (repeats allowed), in the dtype of ``abs(values)``.
        running : RunningSums, optional
            What the batch may be added to: an engine need not, and says so.
        """
        ...

    def classify_all(self, layers: Sequence[LayerResponses]) -> list[BatchCounts | DeviceBatch]:
        """What `classify` does, for arrays of several layers, on all cores."""
        ...

    def sum_probes(self, bins: np.ndarray, ends: np.ndarray, columns: int, kept: int) -> ProbeSums:
        """Sum the inactive units over the probes of several layers that lie side by side.

        Parameters
        ----------
        bins : numpy.ndarray of uint8 or uint16, shape (probes, units of all layers)
            Of arrays, as in `BatchCounts`. The squares of a layer's inactive units must not add up
            to 2^63.
        ends : numpy.ndarray of int64, shape (layers + 1,)
            Where the units of a layer begin, and last where they end.
        columns : int
            ``K + 1``.
        kept : int
            The column that is given for each probe.
        """
        ...

    def takes(self, tensor: Any) -> bool:
        """Whether a tensor is counted where it lies; any other is brought to the host.

        Then `classify` takes it in place of an array, in float16, float32 or float64, and gives a
        `DeviceBatch`.
        """
        ...

    def accumulate(self, batches: Sequence[np.ndarray], counts: np.ndarray) -> None:
        """Add one to ``counts[unit, bin]`` for every response, in place.

        Parameters
        ----------
        batches : sequence of numpy.ndarray, each of shape (probes, units)
            Bins as in `BatchCounts`; bin ``K + 1`` is left out.
        counts : numpy.ndarray of unsigned integers, shape (units, K + 1)
            Wide enough for what is added: the tally sees to that.
        """
        ...

    def accumulate_all(self, layers: Sequence[LayerBins]) -> None:
        """What `accumulate` does, for several layers, on all cores."""
        ...
