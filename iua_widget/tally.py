"""The mergeable counts of one layer: how often every unit was inactive, at every stop."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from iua_widget.counting.engine import BatchCounts, Engine
from iua_widget.counting.reference import ReferenceEngine
from iua_widget.errors import MergeError, NoProbesError
from iua_widget.tolerances import Stops
from iua_widget.units import UNKNOWN, UnitPlan, UnitRule

_COUNTER_DTYPES: Final = (np.uint16, np.uint32, np.uint64)
_BLOCK_UNITS: Final = 2**14
_LIMB_BITS: Final = 40
_LIMB_MASK: Final = (1 << _LIMB_BITS) - 1


@dataclass(frozen=True, slots=True)
class LayerCurves:
    """One layer's statistics at every column: each stop, then "any finite value".

    Attributes
    ----------
    mean, std : numpy.ndarray of float64, shape (K + 1,)
        Mean and population standard deviation of the number of inactive units on one probe.
    dead : numpy.ndarray of int64, shape (K + 1,)
        Units inactive on every probe.
    """

    mean: np.ndarray
    std: np.ndarray
    dead: np.ndarray


class Tally:
    """Counts of one layer, of fixed size however many probes are seen.

    For stops ``e_0 = 0 < ... < e_(K-1)`` every count is held for K + 1 columns: column ``k < K``
    answers for ``numpy.isclose(x, 0, rtol, atol=e_k)``, bit for bit and in the response's own
    dtype; column ``K`` for "x is finite", which bounds every tolerance above the last stop.

    All counts are integers and exact, the sums of squares behind the standard deviation included,
    so merging is addition, in any order and with any grouping. Only ``abs_sum`` and ``square_sum``
    are floating point.

    Parameters
    ----------
    stops : Stops
    unit_shape : tuple of int
        Shape of one probe's response; ``()`` for a single unit.
    kind : str, optional
        What made the response, such as ``"ReLU"``, for display.
    plan : UnitPlan, optional
        What a unit is; every entry where left out.
    inactive_at : float, optional
        A stop at which the number of inactive units on each probe is kept as a list (DNIKit's
        ``inactive``): the only thing that grows with the number of probes. None keeps none.
    engine : Engine, optional
        What counts; the NumPy reference by default.

    Attributes
    ----------
    probes : int
        Probes counted so far: tokens, where these are the probes.
    entries : int
        Responses of each unit so far: probes times positions.
    masked : int
        Positions left out as padding.
    mask_missed : bool
        Whether a mask was given that cannot belong to this layer's responses.
    response_shape : tuple of int or None
        Shape of one batch item's response as it came; None for an axis whose length varies.
    counts : numpy.ndarray of unsigned integers, shape (units, K + 1)
        Probes on which the unit fell into each bin: between one stop and the next. Counters are
        widened before they could wrap.
    abs_sum, square_sum, abs_max : numpy.ndarray of float64, shape (units,)
        Sum of ``abs(x)``, sum of ``abs(x) ** 2``, largest ``abs(x)``, over finite responses.
    nan_count, infinite_count : numpy.ndarray of int64, shape (units,)
        Responses that were NaN or infinite.
    dtypes : set of str
        The dtypes the responses came in.

    Examples
    --------
    >>> import numpy as np
    >>> from iua_widget.counting.reference import ReferenceEngine
    >>> stops = Stops([0, 0.5])
    >>> tally = Tally(stops, (2,))
    >>> tally.add(tally.classify(np.array([[0.0, 1.0], [0.0, 0.25]])))
    >>> tally.unit_counts(1)
    array([2, 1])
    """

    def __init__(
        self,
        stops: Stops,
        unit_shape: tuple[int, ...],
        *,
        kind: str = "array",
        plan: UnitPlan | None = None,
        inactive_at: float | None = None,
        engine: Engine | None = None,
    ) -> None:
        columns = len(stops) + 1
        self.stops = stops
        self.unit_shape = tuple(unit_shape)
        self.units = math.prod(self.unit_shape)
        self.kind = kind
        self.plan = plan or UnitPlan("element", _conventional_axis(self.unit_shape))
        self.response_shape: tuple[int | None, ...] | None = None
        self.mask_missed = False
        self.dtypes: set[str] = set()
        self.probes = self.entries = self.masked = 0
        self.counts: np.ndarray = np.zeros((self.units, columns), _COUNTER_DTYPES[0])
        self.abs_sum, self.square_sum, self.abs_max = (np.zeros(self.units) for _ in range(3))
        self.nan_count, self.infinite_count = np.zeros((2, self.units), np.int64)
        # The bin of each unit's largest response: a unit is dead at every column from there on.
        self._highest_bin = np.zeros(self.units, np.min_scalar_type(columns))
        self._inactive_sum = np.zeros(columns, np.int64)
        # Sum of squared inactive units per probe, in two limbs: 10 million units on 10^10 probes
        # take 84 bits.
        self._square_low, self._square_high = np.zeros((2, columns), np.int64)
        self._inactive_at = inactive_at
        self._inactive: list[np.ndarray] | None = None if inactive_at is None else []
        self._engine = engine or ReferenceEngine()

    def classify(self, values: np.ndarray) -> BatchCounts:
        """Sort a batch's magnitudes into bins, without counting them yet.

        Parameters
        ----------
        values : numpy.ndarray, shape (probes, units) or (probes, positions, units)
            Real floating or complex; see `Engine.classify`.

        Returns
        -------
        BatchCounts
            To be given to `add`.
        """
        dtype = np.empty(0, values.dtype).real.dtype
        return self._engine.classify(values, self.stops.thresholds(dtype))

    def add(self, batch: BatchCounts, *, masked: int = 0) -> None:
        """Count a classified batch, of which `masked` positions are padding, left out or zeros."""
        probes = batch.bins.shape[0]
        self._widen(self.probes + probes)
        self._engine.accumulate(batch.bins, self.counts)
        self.probes += probes
        self.entries += batch.entries
        self.masked += masked
        if probes:
            np.maximum(self._highest_bin, batch.bins.max(axis=0), out=self._highest_bin)
        self.abs_sum += batch.abs_sum
        self.square_sum += batch.square_sum
        np.maximum(self.abs_max, batch.abs_max, out=self.abs_max)
        if batch.nan_count is not None and batch.infinite_count is not None:
            self.nan_count += batch.nan_count
            self.infinite_count += batch.infinite_count
        self._inactive_sum += batch.inactive.sum(axis=0)
        self._add_squares(batch.inactive)
        if self._inactive is not None and self._inactive_at is not None:
            column = self.stops.locate(self._inactive_at).lower
            self._inactive.append(batch.inactive[:, column].copy())

    def saw(self, shape: tuple[int, ...], dtype: str) -> None:
        """Note the shape and the dtype in which a batch's response came."""
        self.dtypes.add(dtype)
        self.response_shape = _common_shape(self.response_shape, shape)

    def merged(self, other: Tally) -> Tally:
        """A new tally of both streams, this one's probes first.

        Raises
        ------
        MergeError
            If the stops or the units differ, or what a unit is.
        """
        if self.stops != other.stops:
            message = (
                f"the stops differ: {len(self.stops)} here and {len(other.stops)} there, "
                f"first at {_first_difference(self.stops.values, other.stops.values)}. "
                "Count both with the same `stops=` and `atol=`."
            )
            raise MergeError(message)
        if self.unit_shape != other.unit_shape:
            message = f"the units differ: shape {self.unit_shape} here, {other.unit_shape} there."
            raise MergeError(message)
        if self.plan != other.plan:
            message = f"what a unit is differs: {self.plan} here, {other.plan} there."
            raise MergeError(message)
        merged = Tally(
            self.stops, self.unit_shape, kind=self.kind, plan=self.plan, engine=self._engine
        )
        merged._widen(self.probes + other.probes)
        for part in (self, other):
            merged._absorb(part)
        if (
            self._inactive is not None
            and other._inactive is not None
            and self._inactive_at == other._inactive_at
        ):
            merged._inactive = [*self._inactive, *other._inactive]
            merged._inactive_at = self._inactive_at
        return merged

    def _absorb(self, part: Tally) -> None:
        self.dtypes |= part.dtypes
        if part.response_shape is not None:
            self.response_shape = _common_shape(self.response_shape, part.response_shape)
        self.probes += part.probes
        self.entries += part.entries
        self.masked += part.masked
        self.mask_missed |= part.mask_missed
        np.add(self.counts, part.counts, out=self.counts, casting="unsafe")
        self.abs_sum += part.abs_sum
        self.square_sum += part.square_sum
        np.maximum(self.abs_max, part.abs_max, out=self.abs_max)
        np.maximum(self._highest_bin, part._highest_bin, out=self._highest_bin)
        self.nan_count += part.nan_count
        self.infinite_count += part.infinite_count
        self._inactive_sum += part._inactive_sum
        self._square_low += part._square_low
        self._square_high += part._square_high
        self._carry()

    @property
    def mean_abs(self) -> float:
        """Mean of ``abs(x)`` over all finite responses of the layer; 0.0 where there is none."""
        finite = self.entries * self.units - self.nan_total - self.infinite_total
        return float(self.abs_sum.sum()) / finite if finite else 0.0

    @property
    def channels(self) -> int | None:
        """Channels of a layer whose units are the entries of several channels; otherwise None."""
        axis = self.channel_axis
        return None if axis is None else self.unit_shape[axis]

    @property
    def channel_axis(self) -> int | None:
        """The axis of `unit_shape` that counts channels, where a channel has several units."""
        axis = self.plan.channel_axis
        several = self.plan.choice == "element" and len(self.unit_shape) > 1
        return axis - 1 if several and axis is not None else None

    @property
    def nan_total(self) -> int:
        """Responses that were NaN."""
        return int(self.nan_count.sum())

    @property
    def infinite_total(self) -> int:
        """Responses that were infinite."""
        return int(self.infinite_count.sum())

    @property
    def inactive_at(self) -> float | None:
        """The stop at which `inactive` is kept, or None."""
        return self._inactive_at

    @property
    def inactive(self) -> list[int] | None:
        """Inactive units on each probe, in the order of the stream; None where not kept."""
        if self._inactive is None:
            return None
        return [count for part in self._inactive for count in part.tolist()]

    def unit_counts(self, column: int) -> np.ndarray:
        """Probes on which each unit was inactive at a column.

        Returns
        -------
        numpy.ndarray of int64, shape `unit_shape`
        """
        total: np.ndarray = self.counts[:, : column + 1].sum(axis=1, dtype=np.int64)
        return total.reshape(self.unit_shape)

    def cumulative(self, columns: Sequence[int]) -> np.ndarray:
        """The counts of `unit_counts` for several columns at once, units flattened.

        Parameters
        ----------
        columns : sequence of int
            Ascending.

        Returns
        -------
        numpy.ndarray of the counters' dtype, shape (len(columns), units), C-contiguous
        """
        result = np.empty((len(columns), self.units), self.counts.dtype)
        for start in range(0, self.units, _BLOCK_UNITS):
            block = slice(start, start + _BLOCK_UNITS)
            totals = self.counts[block].cumsum(axis=1, dtype=self.counts.dtype)
            result[:, block] = totals[:, columns].T
        return result

    def curves(self) -> LayerCurves:
        """Mean and std of inactive units, and dead units, at every column.

        The variance is ``(n * S2 - S1 ** 2) / n ** 2`` in exact integers, with ``S1`` and ``S2``
        the sums over n probes of the inactive units and of their squares; only the square root
        and the division round.

        Raises
        ------
        NoProbesError
            If no probe has been counted.
        """
        if not self.probes:
            message = (
                "no probe has been counted, so there is no mean and no share: "
                "the producer gave only empty batches."
            )
            raise NoProbesError(message)
        sums = self._inactive_sum.astype(object)
        squares = self._square_high.astype(object) * (1 << _LIMB_BITS) + self._square_low
        variance = self.probes * squares - sums * sums
        return LayerCurves(
            mean=sums.astype(np.float64) / self.probes,
            std=np.sqrt(variance.astype(np.float64)) / self.probes,
            dead=self._dead(),
        )

    def dead_channels(self) -> np.ndarray | None:
        """Channels none of whose units was ever active, at every column.

        Returns
        -------
        numpy.ndarray of int64, shape (K + 1,), or None
            None where `channels` is.
        """
        if (highest := self._highest_by_channel()) is None:
            return None
        return self._at_or_below(highest)

    def channel_dead(self, column: int) -> np.ndarray | None:
        """Which channels have no unit that was ever active, at one column.

        Returns
        -------
        numpy.ndarray of bool, shape (channels,), or None
            None where `channels` is.
        """
        highest = self._highest_by_channel()
        return None if highest is None else highest <= column

    def _highest_by_channel(self) -> np.ndarray | None:
        axis = self.channel_axis
        if axis is None:
            return None
        by_entry = self._highest_bin.reshape(self.unit_shape)
        others = tuple(other for other in range(by_entry.ndim) if other != axis)
        highest: np.ndarray = by_entry.max(axis=others, initial=0)
        return highest

    def _dead(self) -> np.ndarray:
        """Units whose every response lies at or below each column."""
        return self._at_or_below(self._highest_bin)

    def _at_or_below(self, bins: np.ndarray) -> np.ndarray:
        columns = self.counts.shape[1]
        return np.bincount(bins, minlength=columns + 1)[:columns].cumsum()

    def _widen(self, probes: int) -> None:
        for dtype in _COUNTER_DTYPES:
            if probes <= np.iinfo(dtype).max:
                if np.dtype(dtype).itemsize > self.counts.dtype.itemsize:
                    self.counts = self.counts.astype(dtype)
                return

    def _add_squares(self, inactive: np.ndarray) -> None:
        # A square is below 2^62 (fewer than 2^31 units), so as many as fit are summed at a time.
        largest = int(inactive.max(initial=1)) ** 2
        step = max(1, (1 << 62) // largest)
        for start in range(0, len(inactive), step):
            part = inactive[start : start + step]
            self._square_low += np.einsum("pk,pk->k", part, part)
            self._carry()

    def _carry(self) -> None:
        self._square_high += self._square_low >> _LIMB_BITS
        self._square_low &= _LIMB_MASK


def _first_difference(here: Sequence[float], there: Sequence[float]) -> float:
    return min(set(here) ^ set(there))


def _conventional_axis(unit_shape: tuple[int, ...]) -> int | None:
    """The channel axis of a response by convention: see `UnitRule`."""
    return UnitRule().plan("", (0, *unit_shape), UNKNOWN).channel_axis


def _common_shape(
    known: tuple[int | None, ...] | None, shape: tuple[int | None, ...]
) -> tuple[int | None, ...]:
    if known is None or len(known) != len(shape):
        return shape
    return tuple(one if one == other else None for one, other in zip(known, shape, strict=True))
