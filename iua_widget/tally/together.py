"""Counts of several small layers in the same arrays, to which a batch of all is added at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from iua_widget.engines.cpu import buffers
from iua_widget.engines.engine import BatchCounts, ProbeSums
from iua_widget.tally.probe_moments import ProbeMoments
from iua_widget.tally.store import HostStore
from iua_widget.tally.tally import Tally
from iua_widget.tally.unit_counts import UnitCounts
from iua_widget.tally.unit_magnitudes import UnitMagnitudes


class LayersTogether:
    """The counts of several layers, whose units lie side by side as if they were of one.

    What is done for each layer by itself takes longer than to count it, where it is small. The
    stores of their tallies have parts of the common arrays as their own, so they are read as
    always; nothing else must add to them before they `leave`. Results are the same to the last bit.

    Parameters
    ----------
    tallies : sequence of Tally
        On the host, not thinned, and of one engine and grid of stops.
    dtype : numpy.dtype
        In which their responses are compared.
    probes : int
        The most that a batch has.

    Attributes
    ----------
    responses : numpy.ndarray, shape (probes, units of all layers)
        Where the responses of a batch go before it is classified: see `units_of`.
    """

    def __init__(self, tallies: Sequence[Tally], dtype: np.dtype, probes: int) -> None:
        first = tallies[0]
        self._ends = np.cumsum([0, *(tally.units for tally in tallies)], dtype=np.int64)
        units, columns = int(self._ends[-1]), len(first.stops) + 1
        self.responses = buffers.zeros((probes, units), dtype)
        self._engine = first.engine
        self._thresholds = first.stops.thresholds(dtype)
        self._column = host_store(first).inactive_column
        self._tallies: list[Tally | None] = list(tallies)
        self._batch: tuple[BatchCounts, ProbeSums] | None = None
        self._counts = UnitCounts(units, first.columns, first.engine)
        self._counts.reserve(max(tally.probes for tally in tallies), first.to_come)
        self._magnitudes = UnitMagnitudes(units, columns)
        self._moments = ProbeMoments(len(tallies), columns)
        for number, tally in enumerate(tallies):
            self._take_over(number, host_store(tally))

    @property
    def nbytes(self) -> int:
        """What the common arrays take, those of layers that have left included."""
        store = self._counts.counts, self._magnitudes.sums, self._magnitudes.highest_bin
        return int(self.responses.nbytes) + sum(int(array.nbytes) for array in store)

    def units_of(self, number: int) -> slice:
        """Where the units of a layer lie, given by its place among the tallies."""
        return slice(int(self._ends[number]), int(self._ends[number + 1]))

    def classify(self, probes: int) -> None:
        """Classify the first rows of `responses`, and count nothing yet."""
        batch = self._engine.classify(self.responses[:probes], self._thresholds)
        assert isinstance(batch, BatchCounts)  # noqa: S101  (as arrays give)
        columns, kept = len(self._thresholds) + 1, self._column or 0
        self._batch = batch, self._engine.sum_probes(batch.bins, self._ends, columns, kept)

    def reserve(self, probes: int) -> None:
        """Make room for this many further probes, so that `count` needs no more memory."""
        before = self._counts.counts
        self._counts.reserve(max(t.probes for t in self._tallies if t is not None) + probes)
        if self._counts.counts is not before:
            for number, tally in enumerate(self._tallies):
                if tally is not None:
                    units = self.units_of(number)
                    host_store(tally).counts.counts = self._counts.counts[units]

    def count(self, number: int) -> None:
        """Count the batch that was classified, as that of this number."""
        if self._batch is None:
            return
        (batch, sums), self._batch = self._batch, None
        probes = len(batch.bins)
        self._magnitudes.add(batch, number)
        self._moments.add_sums(sums)
        self._engine.accumulate([batch.bins], self._counts.counts)
        for tally, inactive in zip(self._tallies, sums.inactive, strict=True):
            if tally is not None:
                store = host_store(tally)
                store.probes += probes
                tally.entries += probes
                store.keep_inactive(inactive)
        if batch.nan_count is not None and batch.infinite_count is not None:
            self._note_non_finite(batch.nan_count + batch.infinite_count, number)

    def forget_non_finite(self) -> None:
        """Begin with zero, once the tallies were cleared, what NaN and infinities are to come."""
        self._magnitudes.nan_count = self._magnitudes.infinite_count = None

    def leave(self, number: int) -> None:
        """Give a layer arrays of its own, with what has been counted of it."""
        tally, self._tallies[number] = self._tallies[number], None
        if tally is None:
            return
        store = host_store(tally)
        counts, magnitudes = store.counts.counts, store.magnitudes
        store.counts.move_to(np.empty_like(counts))
        magnitudes.move_to(np.empty_like(magnitudes.sums), np.empty_like(magnitudes.highest_bin))
        if magnitudes.nan_count is not None and magnitudes.infinite_count is not None:
            magnitudes.nan_count = magnitudes.nan_count.copy()
            magnitudes.infinite_count = magnitudes.infinite_count.copy()
        ProbeMoments(1, store.all_columns).take_in(0, store.moments)
        self.responses[:, self.units_of(number)] = 0

    def _take_over(self, number: int, store: HostStore) -> None:
        """Have a layer's store refer to its part of the common arrays, and move what it has."""
        store.read()  # nothing is to wait
        units, magnitudes = self.units_of(number), store.magnitudes
        store.counts.move_to(self._counts.counts[units])
        magnitudes.move_to(self._magnitudes.sums[:, units], self._magnitudes.highest_bin[units])
        if magnitudes.nan_count is not None and magnitudes.infinite_count is not None:
            nothing = np.zeros(self._ends[-1], np.int64)
            self._magnitudes.add_non_finite(nothing, nothing, None)
            nan_count, infinite_count = self._non_finite(units)
            nan_count[:], infinite_count[:] = magnitudes.nan_count, magnitudes.infinite_count
            magnitudes.nan_count, magnitudes.infinite_count = nan_count, infinite_count
        self._moments.take_in(number, store.moments)

    def _non_finite(self, units: slice) -> tuple[np.ndarray, np.ndarray]:
        """How many responses of some units were NaN and infinite, once there are any."""
        magnitudes = self._magnitudes
        assert magnitudes.nan_count is not None  # noqa: S101
        assert magnitudes.infinite_count is not None  # noqa: S101
        return magnitudes.nan_count[units], magnitudes.infinite_count[units]

    def _note_non_finite(self, odd: np.ndarray, number: int) -> None:
        """Note in which layers a batch was not finite, given how often each unit was not."""
        for layer in np.flatnonzero(np.add.reduceat(odd, self._ends[:-1])).tolist():
            tally = self._tallies[layer]
            magnitudes = None if tally is None else host_store(tally).magnitudes
            if magnitudes is not None and magnitudes.all_finite:
                magnitudes.first_non_finite = number
                magnitudes.nan_count, magnitudes.infinite_count = self._non_finite(
                    self.units_of(layer)
                )


def host_store(tally: Tally) -> HostStore:
    """The store of a tally that is counted on the host."""
    assert isinstance(tally.store, HostStore)  # noqa: S101
    return tally.store
