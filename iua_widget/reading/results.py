"""Results: each layer's figures at one set of tolerances, as DNIKit gives them, and their table."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from iua_widget.common.arithmetic import as_ieee
from iua_widget.common.layer_names import unknown_layer
from iua_widget.common.text_column import text_column
from iua_widget.errors import LayerSelectionError, ToleranceError
from iua_widget.reading.bounds import read_bounds
from iua_widget.reading.evidence import share_at_bound
from iua_widget.reading.recount import LayerRecount
from iua_widget.reading.statistics import dormant_counts, finite_probes, non_finite
from iua_widget.reading.table_columns import dormant_heading
from iua_widget.tally.tally import Tally
from iua_widget.tolerances import Tolerances
from iua_widget.units.rule import UnitChoice

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class LayerResult:
    """Inactive units of one layer at one threshold; `IUA.Result` is this class.

    Where the threshold is a stop everything is exact. Where it falls between two stops the fields
    below are those at the stop just below, and `lower` and `upper` bound what is true at the
    threshold itself; nothing is interpolated. Where memory was short (`IUA.plan`), units are
    counted at fewer stops than means, standard deviations and what is dead. With a scale of the
    units (``"unit_rms"``, ``"unit_max"``) every unit has a threshold of its own, and its count is
    bracketed by the stops around that. `IUA.recount` makes everything exact.

    A layer that no probe has reached has no figures: means, deviations and shares of it are NaN,
    counts are 0, and no unit is dead; `IUA.notes` says why.

    Attributes
    ----------
    mean_inactive, std_inactive : float
        Mean and population standard deviation of the number of inactive units on one probe. The
        deviation is NaN where units have thresholds of their own: it cannot be told from counts of
        units, and needs `IUA.recount`.
    unit_inactive_count : numpy.ndarray of int64
        Probes on which each unit was inactive. Shape: one probe's response.
    unit_inactive_proportion : numpy.ndarray of float64
        The same as a share of the probes, 0 to 1.
    exact : bool
        Whether the threshold is a stop at which everything is counted, or was recounted.
    tolerances : Tolerances
        What it was read at.
    threshold : float
        ``atol + rtol * scale``, in the responses' own units; NaN where units have their own.
    unit_thresholds : numpy.ndarray of float64, or None
        Those of the units, where they have their own. Shape: one probe's response.
    lower, upper : numpy.ndarray of int64
        Bounds on `unit_inactive_count` at the threshold; equal where `exact`.
    mean_inactive_upper : float
        Bound above on the mean; `mean_inactive` is the one below.
    dead, dead_upper : int
        Units inactive on at least the share `tolerances.dead_at` of the probes on which they were
        finite, and so on one at least; and the bound above on them.
    dormant : int
        Neurons whose mean ``abs(x)`` is at most `tolerances.tau` times the mean over the layer's
        neurons (Sokar et al. 2023): channels where `channels` says how many there are, otherwise
        units. Always exact.
    probes, units : int
        Probes counted, and units in the layer.
    nan, infinite : int
        Responses that were NaN or infinite: never inactive, left out of what is dead, and a sign
        that the net diverged. `IUA.notes` says in which batch they came first.
    kind : str
        What made the response, such as ``"ReLU"``; ``"array"`` where only an array was given.
    unit : {"element", "channel", "token"}
        What a unit is: see `IUA.introspect`.
    response_shape : tuple of int or None
        Shape of one item's response; None where the length varies.
    masked : int
        Positions left out as padding.
    stops : int
        At how many stops units are counted: all, where memory was not short.
    channel_axis : int or None
        Which axis of the unit counts counts channels, where a channel has several units.
    channels, dead_channels, dead_channels_upper : int or None
        Where a channel has several units: how many channels there are, in how many of them every
        unit is dead, and the bound above on that. None elsewhere.
    load : float or None
        Of an expert of a mixture, its tokens over an even share of those of all experts there: 0.0
        where none was routed to it, NaN where none was to any. None elsewhere.
    share_at_bound : float or None
        Of all finite responses, those at a bound of the activation (6 of a ReLU6; within 0.01 of
        those of sigmoid and tanh). None where it has no bound, or without ``causes=True``.

    Examples
    --------
    >>> from iua_widget import IUA
    >>> relu = IUA.introspect({"relu": np.array([[0.0, 1.0], [0.0, 0.0]])}).results["relu"]
    >>> relu.mean_inactive, relu.unit_inactive_count, relu.dead
    (1.5, array([2, 1]), 1)
    """

    mean_inactive: float
    std_inactive: float
    unit_inactive_count: np.ndarray = field(repr=False)
    unit_inactive_proportion: np.ndarray = field(repr=False)
    exact: bool
    tolerances: Tolerances
    threshold: float
    unit_thresholds: np.ndarray | None = field(repr=False)
    lower: np.ndarray = field(repr=False)
    upper: np.ndarray = field(repr=False)
    mean_inactive_upper: float
    dead: int
    dead_upper: int
    dormant: int
    probes: int
    units: int
    nan: int
    infinite: int
    kind: str
    unit: UnitChoice
    response_shape: tuple[int | None, ...]
    masked: int
    stops: int
    channel_axis: int | None
    channels: int | None
    dead_channels: int | None
    dead_channels_upper: int | None
    load: float | None
    share_at_bound: float | None
    _dead_units: np.ndarray = field(repr=False)
    _dead_units_upper: np.ndarray = field(repr=False)
    _finite_units: np.ndarray = field(repr=False)
    _inactive: list[int] | None = field(repr=False)
    _inactive_at: float | None = field(repr=False)

    @property
    def inactive(self) -> list[int]:
        """Inactive units on each probe, in the order of the stream.

        Raises
        ------
        ToleranceError
            If the list was not kept at this threshold: it is the one thing that cannot be had
            without a new run, because it grows with the number of probes.
        """
        if self._inactive is None:
            kept = (
                "was not kept (keep_inactive=False, as in the widget, or runs of two atol merged)"
                if self._inactive_at is None
                else f"was kept at {self._inactive_at:g} only"
            )
            message = (
                f"the list of inactive units on each probe {kept}, and the threshold here is "
                f"{self.threshold:g}. Run IUA.introspect(..., atol={self.threshold:g}) for it; "
                "mean_inactive, std_inactive and the unit counts need no new run."
            )
            raise ToleranceError(message)
        return self._inactive


@as_ieee
def read_layer(
    tally: Tally, tolerances: Tolerances, recount: LayerRecount | None = None
) -> LayerResult:
    """Read one layer's tally.

    Parameters
    ----------
    tally : Tally
    tolerances : Tolerances
    recount : LayerRecount, optional
        What was counted at these very tolerances.

    Returns
    -------
    LayerResult
    """
    bounds = read_bounds(tally, tolerances, recount)
    lower, upper = (counts.reshape(tally.unit_shape) for counts in (bounds.lower, bounds.upper))
    thresholds = bounds.thresholds
    nan, infinite = non_finite(tally)
    return LayerResult(
        mean_inactive=bounds.mean,
        std_inactive=bounds.std,
        unit_inactive_count=lower,
        unit_inactive_proportion=shares(lower, tally.probes),
        exact=bounds.exact,
        tolerances=tolerances,
        threshold=bounds.threshold if tally.probes or tolerances.uniform else math.nan,
        unit_thresholds=None if thresholds is None else thresholds.reshape(tally.unit_shape),
        lower=lower,
        upper=upper,
        mean_inactive_upper=bounds.mean_upper,
        dead=int(bounds.dead.sum()),
        dead_upper=int(bounds.dead_upper.sum()),
        dormant=int(dormant_counts(tally, [tolerances.tau])[0]),
        probes=tally.probes,
        units=tally.units,
        nan=nan,
        infinite=infinite,
        kind=tally.kind,
        unit=tally.plan.choice,
        response_shape=tally.response_shape or tally.unit_shape,
        masked=tally.masked,
        stops=len(tally.columns) - 1,
        channel_axis=tally.channel_axis,
        channels=tally.channels,
        dead_channels=_count(bounds.dead_channels(tally)),
        dead_channels_upper=_count(bounds.dead_channels_upper(tally)),
        load=None if tally.load is None else tally.load.share,
        share_at_bound=share_at_bound(tally),
        _dead_units=bounds.dead.reshape(tally.unit_shape),
        _dead_units_upper=bounds.dead_upper.reshape(tally.unit_shape),
        _finite_units=_finite_units(tally),
        _inactive=bounds.inactive,
        _inactive_at=tally.inactive_at,
    )


def _finite_units(tally: Tally) -> np.ndarray:
    """Which units were finite on a probe at all: bool, of the unit shape."""
    finite = np.broadcast_to(np.asarray(finite_probes(tally)) > 0, tally.units)
    return finite.reshape(tally.unit_shape)


def _count(channels: np.ndarray | None) -> int | None:
    return None if channels is None else int(channels.sum())


@dataclass(frozen=True)
class Reading:
    """All layers at one tolerance: what `IUA.at` returns, and what `IUA.show` shows.

    Attributes
    ----------
    results : mapping of str to LayerResult
        In the order of the network.
    tolerances : Tolerances
        What they were read at.

    Examples
    --------
    >>> from iua_widget import IUA
    >>> reading = IUA.introspect({"relu": np.array([[0.0, 1.0], [0.0, 0.0]])}).at(atol=1.0)
    >>> reading
    Reading(1 layers at rtol=1e-05, atol=1, scale='zero': exact)
    >>> reading.results["relu"].dead
    2
    """

    results: Mapping[str, LayerResult]
    tolerances: Tolerances

    def __repr__(self) -> str:
        exact = "exact" if self.exact else "between stops"
        return f"Reading({len(self.results)} layers at {self.tolerances.in_words}: {exact})"

    def _repr_html_(self) -> str:
        return str(self.to_pandas().to_html(max_rows=60, notebook=True))

    @property
    def exact(self) -> bool:
        """Whether the threshold of every layer is a stop, or was recounted."""
        return all(result.exact for result in self.results.values())

    @property
    def lower(self) -> dict[str, np.ndarray]:
        """Bounds below on every layer's unit counts: see `LayerResult.lower`."""
        return {name: result.lower for name, result in self.results.items()}

    @property
    def upper(self) -> dict[str, np.ndarray]:
        """Bounds above on every layer's unit counts: see `LayerResult.upper`."""
        return {name: result.upper for name, result in self.results.items()}

    @as_ieee
    def to_pandas(self, response_names: str | Iterable[str] | None = None) -> pd.DataFrame:
        """The layer table, one row a layer in the order of the network.

        Parameters
        ----------
        response_names : str or iterable of str, optional
            The layers to show; all by default.

        Returns
        -------
        pandas.DataFrame
            Columns as DNIKit's: ``response``, ``mean inactive``, ``std inactive``; then ours:
            ``inactive share``, ``units``, ``dead units``, ``dead share``, ``dormant (tau
            0.025)`` with the `tau` in force (units, and where a channel has several of them
            channels, whose mean ``abs(x)`` is at most tau times the layer's), ``kind``, ``unit``
            (what one is), ``shape`` (of one item's response; None where it varies), ``probes``,
            ``masked`` (positions left out as padding), ``stops`` (at which units are counted),
            ``nan``, ``infinite``; and, where a channel of some layer has several units,
            ``channels`` and ``dead channels``; where some layer is an expert's, ``load`` (its
            tokens over an even share of all its mixture's, padding left out); where some activation
            has a bound and ``causes=True`` was given, ``share at bound``. Where figures are
            not exact there are also ``mean inactive upper`` and ``dead units upper``: the true
            figure lies between. A layer that no probe has reached has no figures: they are missing
            (NaN, or ``<NA>`` in columns that are then of dtype ``Int64``), and `IUA.notes` says
            why.

        Raises
        ------
        LayerSelectionError
            If a name is not among the layers, or none is asked for.

        Examples
        --------
        >>> from iua_widget import IUA
        >>> reading = IUA.introspect({"relu": np.array([[0.0, 1.0], [0.0, 0.0]])}).at()
        >>> reading.to_pandas()[["response", "mean inactive", "units", "dead units"]]
          response  mean inactive  units  dead units
        0     relu            1.5      2           1
        """
        import pandas as pd

        names = chosen_layers(self.results, response_names)
        rows = {name: self.results[name] for name in names}

        def counts(name: str) -> Any:
            found = [getattr(row, name) if row.probes else None for row in rows.values()]
            return integers(found) if None in found else found

        columns: dict[str, Any] = {
            "response": text_column(list(rows)),
            "mean inactive": [row.mean_inactive for row in rows.values()],
            "std inactive": [row.std_inactive for row in rows.values()],
            "inactive share": [share_of(row.mean_inactive, row.units) for row in rows.values()],
            "units": [row.units for row in rows.values()],
            "dead units": counts("dead"),
            "dead share": [
                share_of(row.dead if row.probes else math.nan, row.units) for row in rows.values()
            ],
            dormant_heading(self.tolerances.tau): counts("dormant"),
            "kind": [row.kind for row in rows.values()],
            "unit": [row.unit for row in rows.values()],
            "shape": [row.response_shape for row in rows.values()],
            "probes": [row.probes for row in rows.values()],
            "masked": [row.masked for row in rows.values()],
            "stops": [row.stops for row in rows.values()],
            "nan": [row.nan for row in rows.values()],
            "infinite": [row.infinite for row in rows.values()],
        }
        if any(row.channels is not None for row in rows.values()):
            columns["channels"] = integers([row.channels for row in rows.values()])
            columns["dead channels"] = integers(
                [row.dead_channels if row.probes else None for row in rows.values()]
            )
        if any(row.load is not None for row in rows.values()):
            columns["load"] = [math.nan if row.load is None else row.load for row in rows.values()]
        if any(row.share_at_bound is not None for row in rows.values()):
            columns["share at bound"] = [
                math.nan if row.share_at_bound is None else row.share_at_bound
                for row in rows.values()
            ]
        if not self.exact:
            columns["mean inactive upper"] = [row.mean_inactive_upper for row in rows.values()]
            columns["dead units upper"] = counts("dead_upper")
        return pd.DataFrame(columns)


def chosen_layers(
    results: Mapping[str, Any], response_names: str | Iterable[str] | None
) -> list[str]:
    """The names of layers to show, all where none are given.

    Raises
    ------
    LayerSelectionError
        If a name is not among the layers, or none is asked for.
    """
    if response_names is None:
        names = list(results)
    elif isinstance(response_names, str):
        names = [response_names]
    else:
        names = list(response_names)
    for name in names:
        if name not in results:
            raise unknown_layer(name, list(results))
    if not names:
        message = (
            "no layer was asked for: the list of response names is empty. "
            "Leave it out to show every layer."
        )
        raise LayerSelectionError(message)
    return names


def integers(values: Sequence[int | None]) -> Any:
    """A column of whole numbers, some of which are missing."""
    import pandas as pd

    return pd.array(values, dtype="Int64")


def shares(counts: np.ndarray, probes: int) -> np.ndarray:
    """Counts as shares of the probes: NaN without any."""
    return counts / (probes or math.nan)


def share_of(count: float, units: int) -> float:
    """A number of units as a share of all: NaN without any."""
    return count / (units or math.nan)
