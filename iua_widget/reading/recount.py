"""Recounts: exact counts at one set of tolerances, made in a second run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from iua_widget.common.arithmetic import as_ieee
from iua_widget.errors import ProducerError
from iua_widget.reading.statistics import deviation, locate_counts
from iua_widget.reading.thresholds import threshold_of, unit_bounds, unit_thresholds
from iua_widget.tally.probe_moments import ProbeMoments
from iua_widget.tally.tally import Tally
from iua_widget.tolerances import Tolerances, same_thresholds

_BLOCK_VALUES: Final = 2**20


@dataclass(frozen=True, slots=True)
class BatchRecount:
    """What one batch adds to a layer: counts of each unit, and inactive units of each probe."""

    counts: np.ndarray
    per_probe: np.ndarray


@dataclass
class LayerRecount:
    """One layer's counts at thresholds that need not be stops.

    Attributes
    ----------
    thresholds : numpy.ndarray of float64, shape (units,)
    counts : numpy.ndarray of int64, shape (units,)
        Probes on which each unit was inactive.
    probes : int
    moments : ProbeMoments
        Sums over the probes of the number of inactive units, of one column.
    """

    thresholds: np.ndarray
    counts: np.ndarray
    probes: int = 0
    moments: ProbeMoments = field(default_factory=lambda: ProbeMoments(1))

    @property
    def mean(self) -> float:
        """Mean number of inactive units on one probe; NaN without one."""
        return int(self.moments.inactive_sum[0]) / (self.probes or np.nan)

    @property
    def std(self) -> float:
        """Population standard deviation of it."""
        return float(deviation(self.moments, self.probes)[0])

    def classify(self, values: np.ndarray) -> BatchRecount:
        """Count a batch, arranged as `arrange` does it, without adding it yet."""
        positions = values if values.ndim == 3 else values[:, None, :]  # noqa: PLR2004
        probes, depth, units = positions.shape
        counts, per_probe = np.zeros(units, np.int64), np.zeros(probes, np.int64)
        dtype = np.empty(0, values.dtype).real.dtype
        with np.errstate(over="ignore", under="ignore"):
            thresholds = self.thresholds.astype(dtype)
        step = max(1, _BLOCK_VALUES // max(probes * depth, 1))
        for start in range(0, units, step):
            block = slice(start, start + step)
            inactive = (np.abs(positions[:, :, block]) <= thresholds[block]).all(axis=1)
            counts[block] = inactive.sum(axis=0)
            per_probe += inactive.sum(axis=1)
        return BatchRecount(counts, per_probe)

    def add(self, batch: BatchRecount) -> None:
        """Add a batch that was classified."""
        self.counts += batch.counts
        self.probes += len(batch.per_probe)
        self.moments.add(batch.per_probe[:, None])


@dataclass
class Recount:
    """All layers, counted again at one set of tolerances.

    Attributes
    ----------
    tolerances : Tolerances
    layers : dict of str to LayerRecount
    """

    tolerances: Tolerances
    layers: dict[str, LayerRecount] = field(default_factory=dict)

    @classmethod
    @as_ieee
    def of(cls, tallies: Mapping[str, Tally], tolerances: Tolerances) -> Recount:
        """A recount that is to begin: its thresholds are those of the tallies."""
        return cls(
            tolerances,
            {
                name: LayerRecount(
                    unit_thresholds(tally, tolerances), np.zeros(tally.units, np.int64)
                )
                for name, tally in tallies.items()
            },
        )

    def answers(self, tolerances: Tolerances) -> bool:
        """Whether it was made for these tolerances, whatever their `dead_at`."""
        return same_thresholds(self.tolerances, tolerances)

    @as_ieee
    def check(self, tallies: Mapping[str, Tally], *, same: bool) -> None:
        """Check that the stream was the same again, and that no more was counted meanwhile.

        Raises
        ------
        ProducerError
            If it had other probes, or a count lies outside what the first run allows.
        """
        if not same:
            message = "more was counted while it was counted again: recount once that has ended."
            raise ProducerError(message)
        for name, tally in tallies.items():
            layer = self.layers[name]
            if layer.probes != tally.probes:
                message = (
                    f"layer {name!r} gave {layer.probes:,} probes, and {tally.probes:,} when it "
                    f"was counted first. {SAME_DATA}"
                )
                raise ProducerError(message, layer=name)
            lower, upper = _bounds(tally, self.tolerances)
            outside = int(((layer.counts < lower) | (layer.counts > upper)).sum())
            if outside:
                message = (
                    f"{outside:,} units of layer {name!r} were inactive on other numbers of probes "
                    f"than when they were counted first. {SAME_DATA}"
                )
                raise ProducerError(message, layer=name)


SAME_DATA: Final = (
    "A recount needs the same data, the same weights and no randomness (dropout, augmentation): "
    "count anew where they have changed."
)


def _bounds(tally: Tally, tolerances: Tolerances) -> tuple[np.ndarray, np.ndarray]:
    if tolerances.per_unit:
        return unit_bounds(tally, tolerances)
    columns = locate_counts(tally, threshold_of(tally, tolerances))
    counts = tally.store.read_counts()
    return counts.up_to(columns.lower), counts.up_to(columns.upper)
