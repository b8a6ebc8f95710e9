"""The compiled loops that calls of the CPU engine need, and small calls that need the same.

Numba compiles a loop anew for every combination of its arguments' types: their dtypes, whether they
are contiguous, and whether they may be written to.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from iua_widget.engines.cpu import avx512_kernels
from iua_widget.engines.cpu.engine import (
    FEWEST_FOR_SCRATCH,
    CPUEngine,
    counts_in_vectors,
    way_to_classify,
)
from iua_widget.engines.cpu.scale_kernel import bounds_over_rtol
from iua_widget.engines.engine import LayerBins, LayerResponses, RunningSums


class Need(Protocol):
    """A call of the CPU engine, as far as it decides which loops are compiled."""

    @property
    def name(self) -> str:
        """What tells it from other calls; made of letters, digits and hyphens."""
        ...

    def call(self) -> None:
        """Make a small call that needs the same loops."""
        ...


@dataclass(frozen=True, slots=True)
class Classifying:
    """A call of `CPUEngine.classify`.

    Attributes
    ----------
    dtype : str
        Of the magnitudes.
    layout : {"rows", "maps", "maps-last"}
        Whether responses have positions, and then whether channels are last in memory.
    writeable : bool
        Whether the loops are given arrays that may be written to.
    vectors : bool
    onto : bool
        Whether the batch is added to sums that there are.
    wide : bool
        Whether a bin takes two bytes.
    stops : tuple of float
        They decide that, and whether it can be in vectors.
    """

    dtype: str
    layout: str
    writeable: bool
    vectors: bool
    onto: bool
    wide: bool
    stops: tuple[float, ...]

    @property
    def name(self) -> str:
        """See `Need.name`."""
        flags = {"locked": not self.writeable, "onto": self.onto, "wide": self.wide}
        told = [flag for flag, holds in (*flags.items(), ("vectors", self.vectors)) if holds]
        return "-".join(["classify", self.dtype, self.layout, *told])

    def call(self) -> None:
        """See `Need.call`."""
        units = avx512_kernels.FEWEST_UNITS if self.vectors else 8
        shape = {"rows": (2, units), "maps": (2, units, 3), "maps-last": (2, 3, units)}
        values = np.ones(shape[self.layout], self.dtype)
        values.flags.writeable = self.writeable
        if self.layout == "maps":
            values = values.transpose(0, 2, 1)
        running = RunningSums(np.zeros((3, units)), np.zeros((3, units))) if self.onto else None
        CPUEngine().classify(values, np.array(self.stops, self.dtype), running)


@dataclass(frozen=True, slots=True)
class Accumulating:
    """A call of `CPUEngine.accumulate`.

    Attributes
    ----------
    bins, counts : str
        Their dtypes.
    contiguous, writeable : bool
        Whether the bins are.
    probes : int
        As many as need the same.
    vectors : bool
    """

    bins: str
    counts: str
    contiguous: bool
    writeable: bool
    probes: int
    vectors: bool

    @property
    def name(self) -> str:
        """See `Need.name`."""
        flags = {
            "strided": not self.contiguous,
            "locked": not self.writeable,
            "many": self.probes >= FEWEST_FOR_SCRATCH and self.counts != "uint8",
            "vectors": self.vectors,
        }
        told = [flag for flag, holds in flags.items() if holds]
        return "-".join(["count", self.bins, self.counts, *told])

    def call(self) -> None:
        """See `Need.call`."""
        units, columns = 8, avx512_kernels.FEWEST_COLUMNS if self.vectors else 2
        bins = np.zeros((self.probes, units if self.contiguous else 2 * units), self.bins)
        bins = bins if self.contiguous else bins[:, ::2]
        bins.flags.writeable = self.writeable
        CPUEngine().accumulate([bins], np.zeros((units, columns), self.counts))


@dataclass(frozen=True, slots=True)
class SummingProbes:
    """A call of `CPUEngine.sum_probes`, with bins of a dtype."""

    bins: str

    @property
    def name(self) -> str:
        """See `Need.name`."""
        return f"sum-probes-{self.bins}"

    def call(self) -> None:
        """See `Need.call`."""
        CPUEngine().sum_probes(np.zeros((1, 2), self.bins), np.array([0, 2]), 1, 0)


@dataclass(frozen=True, slots=True)
class BoundingOverRtol:
    """A call of `bounds_over_rtol`, with counters of a dtype."""

    counts: str

    @property
    def name(self) -> str:
        """See `Need.name`."""
        return f"bound-{self.counts}"

    def call(self) -> None:
        """See `Need.call`."""
        bounds_over_rtol(
            np.zeros((1, 2), self.counts),
            np.zeros(1),
            np.ones(1),
            0.0,
            np.zeros(1),
            np.zeros(1, np.int16),
            np.zeros(1, np.int16),
            np.ones(1, np.int64),
            np.ones(1, np.bool_),
            np.zeros((2, 1), np.int64),
            np.zeros((2, 1), np.int16),
        )


def to_classify(one: LayerResponses) -> Iterator[Need]:
    """The loops that `CPUEngine.classify` needs for a layer; none where NumPy does it."""
    way = way_to_classify(one.values, one.thresholds)
    if way is None:
        return
    kept = np.moveaxis(way.values, 1, 2) if way.layout == "maps" else way.values
    onto = one.running is not None and one.running.onto is not None
    yield Classifying(
        str(way.values.dtype),
        way.layout,
        way.values.flags.writeable or not kept.flags.c_contiguous,
        way.in_vectors,
        onto and not way.in_vectors,
        len(way.table.columns) > 2**8,
        tuple(one.thresholds.tolist()),
    )


def to_accumulate(layer: LayerBins) -> Iterator[Need]:
    """The loops that `CPUEngine.accumulate` needs for a layer."""
    if not layer.size:
        return
    in_vectors = counts_in_vectors(layer)
    for bins in layer.batches:
        several = len(bins) >= FEWEST_FOR_SCRATCH
        yield Accumulating(
            str(bins.dtype),
            str(layer.counts.dtype),
            bins.flags.c_contiguous,
            bins.flags.writeable,
            FEWEST_FOR_SCRATCH if several or in_vectors else 1,
            in_vectors,
        )
