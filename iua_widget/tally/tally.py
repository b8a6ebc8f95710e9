"""The mergeable counts of one layer: how often every unit was inactive, at every stop."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from iua_widget.common.arithmetic import as_ieee
from iua_widget.common.tensors import is_tensor, magnitude_dtype
from iua_widget.engines.device_batch import DeviceBatch
from iua_widget.engines.engine import BatchCounts, Engine, LayerResponses
from iua_widget.engines.reference import ReferenceEngine
from iua_widget.errors import MergeError
from iua_widget.tally.probe_moments import ProbeMoments
from iua_widget.tally.unit_counts import UnitCounts, count_all_waiting, counter_dtype
from iua_widget.tally.unit_magnitudes import BYTES_PER_UNIT, UnitMagnitudes
from iua_widget.tolerances import Bracket, Stops
from iua_widget.units.expert_load import ExpertLoad, of_both
from iua_widget.units.rule import UNKNOWN, UnitPlan, UnitRule

if TYPE_CHECKING:
    import torch

    from iua_widget.tally.device import DeviceTally


@dataclass(frozen=True, slots=True)
class LayerCurves:
    """One layer's statistics at every column: each stop, then "any finite value".

    Attributes
    ----------
    mean, std : numpy.ndarray of float64, shape (K + 1,)
        Mean and population standard deviation of the number of inactive units on one probe.
    dead : numpy.ndarray of int64, shape (K + 1,)
        Units inactive on every finite probe, and finite on one at least.
    """

    mean: np.ndarray
    std: np.ndarray
    dead: np.ndarray


@dataclass(frozen=True, slots=True)
class TallyState:
    """A tally taken apart, to be kept or sent.

    Attributes
    ----------
    facts : dict
        Numbers, strings, and tuples of them: what JSON can hold.
    arrays : dict of str to numpy.ndarray
    """

    facts: dict[str, Any]
    arrays: dict[str, np.ndarray]


class Tally:
    """Counts of one layer, of fixed size however many probes are seen.

    For stops ``e_0 = 0 < ... < e_(K-1)`` every count is held for K + 1 columns: column ``k < K``
    answers for ``numpy.isclose(x, 0, rtol, atol=e_k)``, bit for bit and in the response's own
    dtype; column ``K`` for "x is finite", which bounds every tolerance above the last stop.

    All counts are integers and exact, the sums of squares behind the standard deviation included,
    so merging is addition, in any order and with any grouping. Only ``abs_sum`` and ``square_sum``
    are floating point.

    Batches that were classified on a device are counted there, and what is read is moved to the
    host when it is read.

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
    entries : int
        Responses of each unit so far: probes times positions.
    masked : int
        Positions left out as padding.
    merged_calls : bool
        Whether several calls of a module or function in a pass are this layer.
    many_passes : bool
        Whether the model was called several times a batch, as `model.generate` calls it.
    mask_missed : bool
        Whether a mask was given that cannot belong to this layer's responses.
    load : ExpertLoad or None
        Where it is an expert's layer, what that got of the tokens.
    response_shape : tuple of int or None
        Shape of one batch item's response as it came; None for an axis whose length varies.
    dtypes : set of str
        The dtypes the responses came in.
    to_come : int
        Probes it will have, as far as that is known when the first are added.
    most_waiting : int
        Probes that may wait to be counted, which takes less time for many together.

    Examples
    --------
    >>> import numpy as np
    >>> from iua_widget.engines.reference import ReferenceEngine
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
        self.stops = stops
        self.unit_shape = tuple(unit_shape)
        self.units = math.prod(self.unit_shape)
        self.kind = kind
        self.plan = plan or UnitPlan("element", _conventional_axis(self.unit_shape))
        self.response_shape: tuple[int | None, ...] | None = None
        self.mask_missed = self.merged_calls = self.many_passes = False
        self.load: ExpertLoad | None = None
        self.dtypes: set[str] = set()
        self.entries = self.masked = 0
        columns = len(stops) + 1
        self._columns: tuple[int, ...] = tuple(range(columns))
        self._probe_moments = ProbeMoments(columns)
        self._held_counts: UnitCounts | None = None
        self._held_magnitudes: UnitMagnitudes | None = None
        self.to_come = 0
        self.most_waiting = 0
        self._inactive_at = inactive_at
        self._inactive: list[np.ndarray] | None = None if inactive_at is None else []
        self._on_device: DeviceTally | None = None
        self.engine: Engine = engine or ReferenceEngine()

    @property
    def probes(self) -> int:
        """Probes counted so far: tokens, where these are the probes."""
        return self._probe_moments.probes

    @property
    def seen(self) -> bool:
        """Whether any response has come, be it padding: one of no rows tells little of units."""
        return bool(self.entries or self.masked)

    @property
    def nbytes(self) -> int:
        """What the counts of its units take now."""
        if self._held_counts is not None:
            return self._held_counts.nbytes + self.units * BYTES_PER_UNIT
        counter = counter_dtype(self.probes).itemsize
        return self.units * (len(self._columns) * counter + BYTES_PER_UNIT)

    @property
    def columns(self) -> tuple[int, ...]:
        """The columns at which counts of units are held: all, where memory was not short."""
        return self._columns

    @property
    def counts(self) -> np.ndarray:
        """Probes on which each unit fell into each bin, between one held column and the next.

        Returns
        -------
        numpy.ndarray of unsigned integers, shape (units, len(columns))
            Wide enough for the probes.
        """
        return self._unit_counts.counts

    @property
    def abs_sum(self) -> np.ndarray:
        """Sum of ``abs(x)`` over each unit's finite responses: float64, shape (units,)."""
        return self._magnitudes.abs_sum

    @property
    def square_sum(self) -> np.ndarray:
        """Sum of ``abs(x) ** 2``, likewise."""
        return self._magnitudes.square_sum

    @property
    def abs_max(self) -> np.ndarray:
        """Largest ``abs(x)``, likewise."""
        return self._magnitudes.abs_max

    @property
    def nan_count(self) -> np.ndarray:
        """Responses of each unit that were NaN: int64, shape (units,)."""
        return self._magnitudes.nan_count

    @property
    def infinite_count(self) -> np.ndarray:
        """Responses of each unit that were infinite: int64, shape (units,)."""
        return self._magnitudes.infinite_count

    @property
    def _unit_counts(self) -> UnitCounts:
        counts = self._own_counts()
        if self._on_device is not None:
            counts.reserve(self.probes)
            self._on_device.move_counts(counts)
        return counts

    @property
    def _magnitudes(self) -> UnitMagnitudes:
        magnitudes = self._own_magnitudes()
        if self._on_device is not None:
            self._on_device.move_magnitudes(magnitudes)
        return magnitudes

    @property
    def _moments(self) -> ProbeMoments:
        if self._on_device is not None:
            self._on_device.move_moments(self._probe_moments)
        return self._probe_moments

    @property
    def _kept(self) -> list[np.ndarray] | None:
        """The inactive units of each probe, batch by batch."""
        if self._on_device is not None and self._inactive is not None:
            self._on_device.move_inactive(self._inactive)
        return self._inactive

    def _own_counts(self) -> UnitCounts:
        # Not before they are needed: by then it is known how many stops there is memory for.
        if self._held_counts is None:
            self._held_counts = UnitCounts(
                self.units, self._columns, self.engine, probes=self.to_come
            )
        return self._held_counts

    def _own_magnitudes(self) -> UnitMagnitudes:
        if self._held_magnitudes is None:
            self._held_magnitudes = UnitMagnitudes(self.units, len(self.stops) + 1)
        return self._held_magnitudes

    @property
    def thinned(self) -> bool:
        """Whether counts of units are held at fewer than all stops."""
        return len(self._columns) <= len(self.stops)

    def thin(self, columns: Sequence[int]) -> None:
        """Hold counts of units at these columns only, some of those held, with the last of them.

        Means, standard deviations and what is dead stay exact at every stop; counts of units are
        known within bounds at the stops left out.
        """
        columns = tuple(columns)
        if columns == self._columns:
            return
        if self._held_counts is not None or self._on_device is not None:
            self._unit_counts.thin(columns)
        if self._on_device is not None:
            self._on_device.hold(columns)
        self._columns = columns

    def reserve(self, probes: int, device: torch.device | None = None) -> None:
        """Make room for this many further probes: what `add` then does needs no more memory.

        Parameters
        ----------
        probes : int
        device : torch.device, optional
            Where they are counted; on the host where left out.
        """
        if device is None:
            self._leave_device()
            self._unit_counts.reserve(self.probes + probes)
            return
        on_device = self._on(device)
        if not on_device.has_room(probes):
            self._move_all()
        on_device.reserve(probes)

    def _on(self, device: torch.device) -> DeviceTally:
        """Its counters on a device, where it counts from now on."""
        if self._on_device is None or self._on_device.device != device:
            self._leave_device()
            self._on_device = self._begun_on(device)
        return self._on_device

    def _begun_on(self, device: torch.device) -> DeviceTally:
        from iua_widget.tally.device import DeviceTally

        at = self._inactive_at
        return DeviceTally(
            device,
            columns=len(self.stops) + 1,
            held=self._columns,
            magnitudes=self._magnitudes,
            inactive_column=None if at is None else self.stops.locate(at).lower,
        )

    def _leave_device(self) -> None:
        self._move_all()
        self._on_device = None

    def _move_all(self) -> None:
        """Bring everything that was counted on a device to the host."""
        if self._on_device is not None:
            _ = self._unit_counts, self._magnitudes, self._moments, self._kept

    def classify(
        self, values: np.ndarray | torch.Tensor, *, running: bool = False
    ) -> BatchCounts | DeviceBatch:
        """Sort a batch's magnitudes into bins, without counting them yet.

        Parameters
        ----------
        values : numpy.ndarray or torch.Tensor, shape (probes, units) or (probes, positions, units)
            Real floating or complex; a tensor where the engine takes it. See `Engine.classify`.
        running : bool
            Whether nothing will be added before this batch is: then it may be added to the sums
            that there are at once.

        Returns
        -------
        BatchCounts or DeviceBatch
            To be given to `add`.
        """
        one = self.responses(values, running=running)
        return self.engine.classify(one.values, one.thresholds, one.running)

    def responses(
        self, values: np.ndarray | torch.Tensor, *, running: bool = False
    ) -> LayerResponses:
        """What `classify` gives to the engine, which takes several layers at once as well."""
        thresholds = self.stops.thresholds(magnitude_dtype(values))
        if not running or is_tensor(values) or self._on_device is not None:
            return LayerResponses(values, thresholds)
        return LayerResponses(values, thresholds, self._magnitudes.running())

    def add(
        self,
        batch: BatchCounts | DeviceBatch,
        *,
        number: int = 0,
        masked: int = 0,
        among_others: bool = False,
    ) -> None:
        """Count a classified batch.

        Parameters
        ----------
        batch : BatchCounts or DeviceBatch
        number : int
            Which batch of the stream it is, from 0.
        masked : int
            Positions of it that are padding, left out or zeros.
        among_others : bool
            Whether other layers of the batch are added, too: room for all of them has been made by
            `reserve`, and `count_overdue` will be called once they are.
        """
        probes = len(batch.bins)
        if isinstance(batch, DeviceBatch):
            if not among_others:
                self.reserve(probes, batch.bins.device)
            self._on(batch.bins.device).add(batch, number)
            self._probe_moments.probes += probes
        else:
            if not among_others or self._on_device is not None:
                self.reserve(probes)
            self._unit_counts.add(batch.bins)
            self._magnitudes.add(batch, number)
            if not among_others:
                count_overdue([self])
            self._moments.add(batch.inactive)
            if self._inactive is not None and self._inactive_at is not None:
                column = self.stops.locate(self._inactive_at).lower
                self._inactive.append(batch.inactive[:, column].copy())
        self.entries += batch.entries
        self.masked += masked

    @property
    def waiting(self) -> int:
        """Probes that were added and wait to be counted: at the latest until they are read."""
        return 0 if self._held_counts is None else self._held_counts.waiting

    @property
    def counts_on_device(self) -> bool:
        """Whether it is counted on a device, from where its counts are moved to be read."""
        return self._on_device is not None

    @property
    def counts_on_host(self) -> UnitCounts | None:
        """The counts as far as they are there: None before they are needed."""
        return self._held_counts

    def rest(self) -> None:
        """Let go of what is kept for the next batch only."""
        if self._held_magnitudes is not None:
            self._held_magnitudes.rest()

    def state(self) -> TallyState:
        """Everything that is needed to go on from here, or to merge.

        Returns
        -------
        TallyState
            Its arrays are the tally's own where it had seen a probe: copy what is to last.
        """
        inactive = self._kept
        facts = {
            "kind": self.kind,
            "unit": self.plan.choice,
            "channel_axis": self.plan.channel_axis,
            "unit_shape": self.unit_shape,
            "response_shape": self.response_shape,
            "dtypes": sorted(self.dtypes),
            "probes": self.probes,
            "entries": self.entries,
            "masked": self.masked,
            "mask_missed": self.mask_missed,
            "merged_calls": self.merged_calls,
            "many_passes": self.many_passes,
            "load": None if self.load is None else asdict(self.load),
            "columns": self.columns,
            "inactive_at": self._inactive_at,
            "first_non_finite": self.first_non_finite,
        }
        moments, magnitudes = self._moments, self._magnitudes
        arrays = {
            "counts": self.counts,
            "abs_sum": magnitudes.abs_sum,
            "square_sum": magnitudes.square_sum,
            "abs_max": magnitudes.abs_max,
            "highest_bin": magnitudes.highest_bin,
            "inactive_sum": moments.inactive_sum,
            "square_low": moments.square_low,
            "square_high": moments.square_high,
        }
        if not magnitudes.all_finite:
            arrays |= {
                "nan_count": magnitudes.nan_count,
                "infinite_count": magnitudes.infinite_count,
            }
        if inactive is not None:
            arrays["inactive"] = np.concatenate([np.zeros(0, np.int64), *inactive])
        return TallyState(facts, arrays)

    @classmethod
    def restored(cls, stops: Stops, state: TallyState, engine: Engine | None = None) -> Tally:
        """The tally of a state, which is believed: the arrays become the tally's own."""
        facts, arrays = state.facts, state.arrays
        tally = cls(
            stops,
            tuple(facts["unit_shape"]),
            kind=facts["kind"],
            plan=UnitPlan(facts["unit"], facts["channel_axis"]),
            inactive_at=facts["inactive_at"],
            engine=engine,
        )
        shape = facts["response_shape"]
        tally.response_shape = None if shape is None else tuple(shape)
        tally.dtypes = set(facts["dtypes"])
        tally.entries, tally.masked = facts["entries"], facts["masked"]
        tally.mask_missed = facts["mask_missed"]
        tally.merged_calls = facts["merged_calls"]
        tally.many_passes = facts["many_passes"]
        load = facts["load"]
        tally.load = None if load is None else ExpertLoad(**load)
        tally.thin(facts["columns"])
        tally._unit_counts.restore(arrays["counts"], facts["probes"])
        magnitudes, moments = tally._magnitudes, tally._moments
        sums = [arrays[name] for name in ("abs_sum", "square_sum", "abs_max")]
        magnitudes.restore(sums, tally._highest_finite(arrays["highest_bin"]))
        first = facts["first_non_finite"]
        magnitudes.add_non_finite(arrays.get("nan_count"), arrays.get("infinite_count"), first)
        moments.probes = facts["probes"]
        for name in ("inactive_sum", "square_low", "square_high"):
            setattr(moments, name, arrays[name])
        if tally._inactive is not None:
            tally._inactive.append(arrays["inactive"])
        return tally

    def _highest_finite(self, highest: np.ndarray) -> np.ndarray:
        """The highest bins of finite probes: in older files those of NaN stand in their place."""
        odd = np.flatnonzero(highest > len(self.stops))
        if not odd.size:
            return highest
        occurs = self._unit_counts.counts[odd] > 0
        last = occurs.shape[1] - 1 - occurs[:, ::-1].argmax(axis=1)
        bins = np.where(occurs.any(axis=1), np.array(self._columns)[last], 0)
        known = highest.copy()
        known[odd] = bins
        return known

    def saw(self, shape: tuple[int, ...], dtype: str) -> None:
        """Note the shape and the dtype in which a batch's response came."""
        self.dtypes.add(dtype)
        self.response_shape = _common_shape(self.response_shape, shape)

    @as_ieee
    def merged(self, other: Tally) -> Tally:
        """A new tally of both streams, this one's probes first.

        One that nothing has reached agrees with any other.

        Raises
        ------
        MergeError
            If the stops or the units differ, or what a unit is.
        """
        if self.stops != other.stops:
            message = (
                f"the stops differ: {len(self.stops)} here and {len(other.stops)} there, "
                f"first at {first_difference(self.stops.values, other.stops.values)}. "
                "Count both with the same `stops=` and `atol=`."
            )
            raise MergeError(message)
        parts = [part for part in (self, other) if part.seen] or [self]
        first, last = parts[0], parts[-1]
        if first.unit_shape != last.unit_shape:
            message = f"the units differ: shape {self.unit_shape} here, {other.unit_shape} there."
            raise MergeError(message)
        if first.plan != last.plan:
            message = f"what a unit is differs: {self.plan} here, {other.plan} there."
            raise MergeError(message)
        merged = Tally(
            self.stops, first.unit_shape, kind=first.kind, plan=first.plan, engine=self.engine
        )
        merged.thin([column for column in first.columns if column in last.columns])
        merged.reserve(self.probes + other.probes)
        for part in parts:
            merged._absorb(part)
        merged.load = of_both(self.load, other.load)
        here, there = self._kept, other._kept
        if here is not None and there is not None and self._inactive_at == other._inactive_at:
            merged._inactive = [*here, *there]
            merged._inactive_at = self._inactive_at
        return merged

    def _absorb(self, part: Tally) -> None:
        self.dtypes |= part.dtypes
        if part.response_shape is not None:
            self.response_shape = _common_shape(self.response_shape, part.response_shape)
        self.entries += part.entries
        self.masked += part.masked
        self.mask_missed |= part.mask_missed
        self.merged_calls |= part.merged_calls
        self.many_passes |= part.many_passes
        self._unit_counts.absorb(part._unit_counts.thinned(self.columns))
        self._magnitudes.absorb(part._magnitudes)
        self._moments.absorb(part._moments)

    @property
    def mean_abs(self) -> float:
        """Mean of ``abs(x)`` over all finite responses of the layer; 0.0 where there is none."""
        finite = self.entries * self.units - self.nan_total - self.infinite_total
        return float(self.abs_sum.sum()) / finite if finite else 0.0

    @property
    def unit_mean_abs(self) -> np.ndarray:
        """Mean of each unit's finite ``abs(x)``: float64, shape (units,); NaN where none is."""
        return self._per_finite(self.abs_sum)

    @property
    def unit_rms(self) -> np.ndarray:
        """Root of the mean of ``abs(x) ** 2``, likewise."""
        rms: np.ndarray = np.sqrt(self._per_finite(self.square_sum))
        return rms

    def _per_finite(self, sums: np.ndarray) -> np.ndarray:
        finite: Any = self.entries
        if not self._magnitudes.all_finite:
            finite = self.entries - self.nan_count - self.infinite_count
        with np.errstate(invalid="ignore", divide="ignore"):
            means: np.ndarray = sums / finite
        return means

    @property
    def neuron_mean_abs(self) -> np.ndarray:
        """Mean finite ``abs(x)`` of each neuron, over its positions and all probes.

        A neuron is a channel where a channel has several units, otherwise a unit.

        Returns
        -------
        numpy.ndarray of float64, shape (channels,) or (units,)
            NaN where a neuron had no finite response.
        """
        return self._per_neuron(self.abs_sum)

    @property
    def neuron_rms(self) -> np.ndarray:
        """Root of the mean of ``abs(x) ** 2`` of each neuron, likewise."""
        rms: np.ndarray = np.sqrt(self._per_neuron(self.square_sum))
        return rms

    def _per_neuron(self, sums: np.ndarray) -> np.ndarray:
        axis = self.channel_axis
        if axis is None:
            return self._per_finite(sums)
        others = tuple(other for other in range(len(self.unit_shape)) if other != axis)
        by_channel = self.unit_shape, others
        finite: Any = self.entries * (self.units // max(self.unit_shape[axis], 1))
        if not self._magnitudes.all_finite:
            finite = finite - _summed(self.nan_count + self.infinite_count, *by_channel)
        with np.errstate(invalid="ignore", divide="ignore"):
            means: np.ndarray = _summed(sums, *by_channel) / finite
        return means

    def _dormancy(self) -> tuple[np.ndarray, float]:
        """The mean of each neuron, and the mean of those means."""
        means = self.neuron_mean_abs
        known = means[~np.isnan(means)]
        return means, float(known.mean()) if len(known) else 0.0

    def dormant_neurons(self, tau: float) -> np.ndarray:
        """Which neurons are tau-dormant: bool, shape as `neuron_mean_abs`."""
        means, mean = self._dormancy()
        dormant: np.ndarray = means <= tau * mean
        return dormant

    def dormant_units(self, tau: float) -> np.ndarray:
        """Which units are of a dormant neuron: bool, shape (units,)."""
        dormant, axis = self.dormant_neurons(tau), self.channel_axis
        if axis is None:
            return dormant
        along = [1] * len(self.unit_shape)
        along[axis] = len(dormant)
        return np.broadcast_to(dormant.reshape(along), self.unit_shape).ravel()

    def dormant(self, taus: Sequence[float]) -> np.ndarray:
        """How many neurons are tau-dormant, at each of several tau.

        A neuron is dormant whose mean ``abs(x)`` over the data is at most tau times the mean of
        that over the neurons of its layer.

        Parameters
        ----------
        taus : sequence of float
            Ascending, zero or more.

        Returns
        -------
        numpy.ndarray of int64, shape (len(taus),)

        References
        ----------
        Sokar et al., "The Dormant Neuron Phenomenon in Deep Reinforcement Learning" (2023).
        """
        means, mean = self._dormancy()
        # A mean that is NaN sorts above every limit.
        place = np.searchsorted(np.array(taus, np.float64) * mean, means)
        counts: np.ndarray = np.bincount(place, minlength=len(taus) + 1)[:-1].cumsum()
        return counts

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
        return 0 if self._magnitudes.all_finite else int(self.nan_count.sum())

    @property
    def infinite_total(self) -> int:
        """Responses that were infinite."""
        return 0 if self._magnitudes.all_finite else int(self.infinite_count.sum())

    @property
    def first_non_finite(self) -> int | None:
        """The first batch with a NaN or an infinity, from 0; None where none was, or is known."""
        return self._magnitudes.first_odd

    @property
    def inactive_at(self) -> float | None:
        """The stop at which `inactive` is kept, or None."""
        return self._inactive_at

    @property
    def inactive(self) -> list[int] | None:
        """Inactive units on each probe, in the order of the stream; None where not kept."""
        kept = self._kept
        return None if kept is None else [count for part in kept for count in part.tolist()]

    def locate_counts(self, threshold: float) -> Bracket:
        """The held columns that bound every unit's count at a threshold.

        They are those of `Stops.locate`, or further apart where fewer stops are held.
        """
        exact = self.stops.locate(threshold)
        lower = self._columns[bisect.bisect_right(self._columns, exact.lower) - 1]
        upper = self._columns[bisect.bisect_left(self._columns, exact.upper)]
        return Bracket(lower, upper)

    def unit_counts(self, column: int) -> np.ndarray:
        """Probes on which each unit was inactive at a column.

        Returns
        -------
        numpy.ndarray of int64, shape `unit_shape`
        """
        return self._unit_counts.up_to(column).reshape(self.unit_shape)

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
        return self._unit_counts.cumulative(columns)

    def curves(self) -> LayerCurves:
        """Mean and std of inactive units, and dead units, at every column.

        Without a probe there is no mean and no deviation, and no unit is dead.
        """
        return LayerCurves(
            mean=self._moments.mean(),
            std=self._moments.std(),
            dead=self._at_or_below(self.dead_from),
        )

    def unit_dead(self, column: int) -> np.ndarray:
        """Which units were inactive on every finite probe, and had one, at any column.

        Returns
        -------
        numpy.ndarray of bool, shape `unit_shape`
        """
        dead: np.ndarray = self.dead_from <= column
        return dead.reshape(self.unit_shape)

    @property
    def finite_probes(self) -> int | np.ndarray:
        """Probes on which each unit was finite, at every position.

        Returns
        -------
        int, or numpy.ndarray of int64, shape (units,)
            One number where all units were so on all probes.
        """
        if self._magnitudes.all_finite:
            return self.probes
        if self.plan.choice == "channel":  # which has several positions
            return self._unit_counts.up_to(self._columns[-1])
        finite: np.ndarray = self.entries - self.nan_count - self.infinite_count
        return finite

    @property
    def dead_from(self) -> np.ndarray:
        """The column from which on each unit is dead on all its finite probes: shape (units,).

        Beyond all columns where it was never finite.
        """
        highest, never = self._magnitudes.highest_bin, len(self.stops) + 1
        finite = self.finite_probes
        if isinstance(finite, int):
            return highest if finite else np.full_like(highest, never)
        return np.where(finite > 0, highest, highest.dtype.type(never))

    def dead_channels(self) -> np.ndarray | None:
        """Channels of which every unit is dead, at every column.

        Returns
        -------
        numpy.ndarray of int64, shape (K + 1,), or None
            None where `channels` is.
        """
        if (highest := self._highest_by_channel()) is None:
            return None
        return self._at_or_below(highest)

    def _highest_by_channel(self) -> np.ndarray | None:
        axis = self.channel_axis
        if axis is None:
            return None
        by_entry = self.dead_from.reshape(self.unit_shape)
        others = tuple(other for other in range(by_entry.ndim) if other != axis)
        # A channel without a unit is not dead.
        without = 0 if self.units else len(self.stops) + 1
        highest: np.ndarray = by_entry.max(axis=others, initial=without)
        return highest

    def _at_or_below(self, bins: np.ndarray) -> np.ndarray:
        columns = len(self.stops) + 1
        return np.bincount(bins, minlength=columns + 1)[:columns].cumsum()


def _summed(units: np.ndarray, shape: tuple[int, ...], axes: tuple[int, ...]) -> np.ndarray:
    """Summed over some axes of the units' own shape."""
    total: np.ndarray = units.reshape(shape).sum(axis=axes)
    return total


def first_difference(here: Sequence[float], there: Sequence[float]) -> float:
    """The smallest stop that only one of two grids has.

    Examples
    --------
    >>> first_difference((0.0, 0.1, 1.0), (0.0, 0.5, 1.0))
    0.1
    """
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


def count_waiting(tallies: Iterable[Tally]) -> None:
    """Count the probes that wait in some tallies, on all cores."""
    held = (tally.counts_on_host for tally in tallies)
    count_all_waiting(counts for counts in held if counts is not None)


def count_overdue(tallies: Iterable[Tally]) -> None:
    """Count those of which more wait than may."""
    count_waiting(tally for tally in tallies if tally.waiting > tally.most_waiting)
