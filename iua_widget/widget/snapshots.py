"""Packs tallies for the browser: the layer table, and one layer's units, at every stop."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from iua_widget.common.arithmetic import as_ieee
from iua_widget.reading.bounds import read_bounds
from iua_widget.reading.curves import dead_curves, rtol_curves
from iua_widget.reading.dead_from import DeadFrom, dead_exactly
from iua_widget.reading.evidence import (
    highest_pre_activation,
    response_range,
    share_at_bound,
    unit_share_at_bound,
)
from iua_widget.reading.layer_comparison import DeadIn
from iua_widget.reading.recount import Recount
from iua_widget.reading.statistics import (
    dormant_counts,
    finite_probes,
    locate_counts,
    mean_abs,
    mean_inactive,
    non_finite,
    std_inactive,
    unit_mean_abs,
    unit_rms,
)
from iua_widget.reading.thresholds import threshold_of, unit_thresholds
from iua_widget.reading.unit_findings import FINDINGS, finding_codes
from iua_widget.tally.tally import Tally
from iua_widget.tolerances import Bracket, Scale, Stops, Tolerances, default_stops
from iua_widget.widget.comparison_snapshot import (
    ResultBefore,
    is_compared,
    table_comparison,
    units_comparison,
)
from iua_widget.widget.packing import pack

_MOSAIC_AXES: Final = 3
_FEWEST_COLUMNS: Final = 4
_MAGNITUDES: Final = 3
_COMPARED: Final = 2
"""Bytes a unit that say what became of it."""


@as_ieee
def table_snapshot(
    tallies: Mapping[str, Tally],
    stops: Stops,
    tolerances: Tolerances,
    *,
    unit_scales: Sequence[Scale] = (),
    recount: Recount | None = None,
    before: ResultBefore | None = None,
) -> bytes:
    """The layer table at every stop: what the browser needs to answer any tolerance.

    Parameters
    ----------
    tallies : mapping of str to Tally
        In the order of the network.
    stops : Stops
    tolerances : Tolerances
        Those on show. What is dead is told for their `dead_at`; their rtol and tau become
        stops.
    unit_scales : sequence of str
        Scales of the units to tell curves over rtol for, at the atol of the tolerances.
    recount : Recount, optional
    before : ResultBefore, optional
        What the tallies are compared with.

    Returns
    -------
    bytes
        Arrays ``mean`` and ``std`` (float64) and ``dead`` (uint32), each of shape
        (layers, K + 1): a column for each stop, then one for "any finite value";
        ``dead_channels`` likewise, zero for layers without ``channels`` in their meta;
        ``dead_upper`` and ``dead_channels_upper`` where bounds differ; ``dormant`` (uint32), of
        shape (layers, stops of tau); ``unit_mean`` (float64), ``unit_dead`` and
        ``unit_dead_channels`` (uint32), of shape (unit scales, 2 bounds, layers, stops of rtol);
        and of a recount ``recount_mean``, ``recount_std``, ``recount_dead`` and
        ``recount_dead_channels``, of shape (layers,). Where they are compared, also those of
        `table_comparison`.
    """
    layers, columns = len(tallies), len(stops) + 1
    rtol_stops, tau_stops = default_stops(tolerances.rtol), default_stops(tolerances.tau)
    over_rtol = (len(unit_scales), 2, layers, len(rtol_stops))
    arrays: dict[str, np.ndarray] = {
        **{name: np.zeros((layers, columns)) for name in ("mean", "std")},
        **{
            name: np.zeros((layers, columns), np.uint32)
            for name in ("dead", "dead_channels", "dead_upper", "dead_channels_upper")
        },
        "dormant": np.zeros((layers, len(tau_stops)), np.uint32),
        "unit_mean": np.zeros(over_rtol),
        "unit_dead": np.zeros(over_rtol, np.uint32),
        "unit_dead_channels": np.zeros(over_rtol, np.uint32),
    }
    after: dict[str, DeadFrom] = {}
    for row, (layer, tally) in enumerate(tallies.items()):
        dead = dead_curves(tally, tolerances)
        if before is not None:
            exactly = dead_exactly(layer, tally, before.exact_at, recount)
            after[layer] = DeadFrom.of(tally, tolerances, exactly=exactly, dead=dead)
        if not tally.probes:
            continue
        arrays["mean"][row], arrays["std"][row] = mean_inactive(tally), std_inactive(tally)
        arrays["dead"][row], arrays["dead_upper"][row] = dead.units, dead.units_upper
        if dead.channels is not None:
            arrays["dead_channels"][row] = dead.channels
            arrays["dead_channels_upper"][row] = dead.channels_upper
        arrays["dormant"][row] = dormant_counts(tally, tau_stops)
        first = _over_rtol(arrays, row, tally, tolerances, unit_scales)
        if before is not None:
            after[layer].over_rtol.update(first)
    for name in ("dead", "dead_channels"):
        if np.array_equal(arrays[name], arrays[f"{name}_upper"]):
            del arrays[f"{name}_upper"]
    meta = {
        "kind": "table",
        "stops": stops.values,
        "rtol_stops": rtol_stops,
        "tau_stops": tau_stops,
        "dead_at": tolerances.dead_at,
        "unit_scales": list(unit_scales),
        "unit_atol": tolerances.atol,
        "recounted": None if recount is None else _thresholds_of(recount.tolerances),
        "probes": max((tally.probes for tally in tallies.values()), default=0),
        "layers": [_layer_meta(name, tally) for name, tally in tallies.items()],
    }
    if recount is not None:
        arrays |= _recounted(tallies, recount, tolerances)
    if before is not None:
        meta["comparison"], compared = table_comparison(
            before, after, scales=unit_scales, rtols=len(rtol_stops)
        )
        arrays |= compared
    return pack(meta, arrays)


def _over_rtol(
    arrays: Mapping[str, np.ndarray],
    row: int,
    tally: Tally,
    at: Tolerances,
    scales: Sequence[Scale],
) -> dict[Scale, np.ndarray]:
    """Fill in a layer's curves over rtol; from which stop on its units are dead."""
    first = {}
    for number, scale in enumerate(scales):
        over = rtol_curves(tally, replace(at, scale=scale), default_stops(at.rtol))
        arrays["unit_mean"][number, :, row] = over.mean
        arrays["unit_dead"][number, :, row] = over.dead
        if over.channels is not None:
            arrays["unit_dead_channels"][number, :, row] = over.channels
        first[scale] = over.first
    return first


def _recounted(
    tallies: Mapping[str, Tally], recount: Recount, tolerances: Tolerances
) -> dict[str, np.ndarray]:
    mean, std = np.zeros((2, len(tallies)))
    dead, dead_channels = np.zeros((2, len(tallies)), np.uint32)
    at = replace(recount.tolerances, dead_at=tolerances.dead_at)
    for row, (name, tally) in enumerate(tallies.items()):
        bounds = read_bounds(tally, at, recount.layers[name])
        mean[row], std[row], dead[row] = bounds.mean, bounds.std, bounds.dead.sum()
        channels = bounds.dead_channels(tally)
        dead_channels[row] = 0 if channels is None else channels.sum()
    return {
        "recount_mean": mean,
        "recount_std": std,
        "recount_dead": dead,
        "recount_dead_channels": dead_channels,
    }


def _thresholds_of(tolerances: Tolerances) -> dict[str, Any]:
    return {"rtol": tolerances.rtol, "atol": tolerances.atol, "scale": tolerances.scale}


@as_ieee
def units_snapshot(
    layer: str,
    tally: Tally,
    tolerances: Tolerances,
    budget: int,
    *,
    recount: Recount | None = None,
    before: ResultBefore | None = None,
) -> bytes:
    """One layer's unit counts, cumulative and stop-major: a slider position is one slice.

    Parameters
    ----------
    layer : str
    tally : Tally
    tolerances : Tolerances
        Those on show: columns near their threshold are kept when not all fit the budget.
    budget : int
        Bytes the counts may take; at least four columns are sent whatever it is. Magnitudes are
        sent where they take no more than this, and so is what became of units.
    recount : Recount, optional
    before : ResultBefore, optional
        What the layer is compared with.

    Returns
    -------
    bytes
        ``counts`` of shape (columns, units), and ``mean_abs``, ``rms`` and ``max_abs`` (float32),
        of shape (units,); where causes were counted ``max pre-activation``, ``range`` (the largest
        response less the smallest) and ``share at bound``, likewise, and ``findings`` (uint8) at
        the tolerances, places in the meta's list of words; of a recount ``recount``, its
        counts; where it is compared, also those of `units_comparison`. Units of three axes and more
        come channel by channel, as they are drawn; ``channel_axis`` says where that axis is in the
        layer.
    """
    dtype = _counts_dtype(tally.probes)
    most = _columns_within(budget, tally)
    bracket = locate_counts(tally, _typical_threshold(tally, tolerances))
    in_view = Bracket(*(tally.columns.index(column) for column in (bracket.lower, bracket.upper)))
    places = choose_columns(len(tally.columns), most, in_view)
    columns = [tally.columns[place] for place in places]
    counts = tally.store.read_counts().cumulative(columns).astype(dtype, copy=False)
    shape, axis = drawn_shape(tally.unit_shape, tally.channel_axis)
    arrays = {"counts": counts}
    if _MAGNITUDES * tally.units * np.float32().nbytes <= budget:
        arrays |= _magnitudes(tally) | _evidence(tally)
        of_layer = None if recount is None else recount.layers[layer]
        found = finding_codes(tally, tolerances, of_layer) if tally.has_pre_activations else None
        arrays |= {} if found is None else {"findings": found}
    if recount is not None:
        arrays["recount"] = recount.layers[layer].counts.astype(dtype)
    comparison = None
    if before is not None and _COMPARED * tally.units <= budget:
        exactly = dead_exactly(layer, tally, before.exact_at, recount)
        comparison, compared = _compared(layer, tally, tolerances, before, exactly)
        arrays |= compared
    if axis:
        arrays = {
            name: _channels_first(array, tally.unit_shape, axis) for name, array in arrays.items()
        }
    meta = {
        "kind": "units",
        "layer": layer,
        "shape": shape,
        "channel_axis": axis,
        "units": tally.units,
        "probes": tally.probes,
        "stops": tally.stops.values,
        "columns": columns,
        "recounted": None if recount is None else _thresholds_of(recount.tolerances),
    }
    if comparison is not None:
        meta["comparison"] = comparison
    if "findings" in arrays:
        meta["findings"] = FINDINGS
    return pack(meta, arrays)


def _compared(
    layer: str, tally: Tally, at: Tolerances, before: ResultBefore, exactly: Sequence[DeadIn]
) -> tuple[dict[str, Any] | None, dict[str, np.ndarray]]:
    """What became of a layer's units; nothing where it is not compared."""
    then = before.layers.get(layer)
    if then is None:
        return None, {}
    scales = [at.scale] if at.scale in then.over_rtol else []
    now = DeadFrom.of(tally, at, scales=scales, exactly=exactly)
    return units_comparison(before, then, now, at) if is_compared(then, now) else (None, {})


def _typical_threshold(tally: Tally, tolerances: Tolerances) -> float:
    threshold = threshold_of(tally, tolerances)
    if math.isnan(threshold) and tally.units:
        return float(np.median(unit_thresholds(tally, tolerances)))
    return threshold


def drawn_shape(
    unit_shape: tuple[int, ...], channel_axis: int | None
) -> tuple[tuple[int, ...], int]:
    """The shape in which units are drawn, channels first, and where their axis is in the layer.

    Examples
    --------
    >>> drawn_shape((4, 4, 8), 2), drawn_shape((4, 8), 1)
    (((8, 4, 4), 2), ((4, 8), 0))
    """
    axis = (channel_axis if len(unit_shape) >= _MOSAIC_AXES else None) or 0
    if not axis:
        return unit_shape, 0
    return (unit_shape[axis], *unit_shape[:axis], *unit_shape[axis + 1 :]), axis


def drawn_order(unit_shape: tuple[int, ...], channel_axis: int | None) -> np.ndarray:
    """The units of a layer in the order in which they are drawn: indices in its C order.

    Examples
    --------
    >>> drawn_order((2, 1, 3), 2)
    array([0, 3, 1, 4, 2, 5])
    """
    order = np.arange(math.prod(unit_shape))
    _, axis = drawn_shape(unit_shape, channel_axis)
    return _channels_first(order, unit_shape, axis).ravel() if axis else order


def _channels_first(array: np.ndarray, unit_shape: tuple[int, ...], axis: int) -> np.ndarray:
    by_unit = array.reshape(-1, *unit_shape)
    return np.moveaxis(by_unit, axis + 1, 1).reshape(array.shape)


def _magnitudes(tally: Tally) -> dict[str, np.ndarray]:
    """What is known of each unit besides its counts, in single precision."""
    largest = np.finfo(np.float32).max
    return {
        name: np.minimum(values, largest).astype(np.float32)
        for name, values in (
            ("mean_abs", unit_mean_abs(tally)),
            ("rms", unit_rms(tally)),
            ("max_abs", tally.store.read_magnitudes().abs_max),
        )
    }


def _evidence(tally: Tally) -> dict[str, np.ndarray]:
    """What was counted to tell causes, in single precision, under the names of its columns."""
    found = {
        "max pre-activation": highest_pre_activation(tally),
        "range": response_range(tally),
        "share at bound": unit_share_at_bound(tally),
    }
    with np.errstate(over="ignore"):
        return {
            name: values.astype(np.float32) for name, values in found.items() if values is not None
        }


def sends_all_columns(tally: Tally, budget: int) -> bool:
    """Whether `units_snapshot` sends every column within `budget` bytes."""
    return _columns_within(budget, tally) >= len(tally.columns)


def choose_columns(columns: int, most: int, bracket: Bracket) -> list[int]:
    """Which columns to send when not all fit: the ends, those in view, those near, and a spread.

    Parameters
    ----------
    columns : int
        How many there are.
    most : int
        How many may be sent; four are sent even where this is less.
    bracket : Bracket
        The columns in view.

    Returns
    -------
    list of int
        Ascending.

    Examples
    --------
    >>> choose_columns(71, 100, Bracket(5, 5)) == list(range(71))
    True
    >>> choose_columns(71, 8, Bracket(30, 30))
    [0, 23, 28, 29, 30, 31, 47, 70]
    """
    if most >= columns:
        return list(range(columns))
    most = max(most, _FEWEST_COLUMNS)
    chosen = {0, columns - 1, bracket.lower, bracket.upper}
    near = sorted(range(columns), key=lambda column: abs(column - bracket.lower))
    for column in near[: most // 2]:
        if len(chosen) < most:
            chosen.add(column)
    free = most - len(chosen)
    spread = np.linspace(0, columns - 1, free + 2).round().astype(int)[1:-1]
    for column in (*spread.tolist(), *near):
        if len(chosen) < most:
            chosen.add(column)
    return sorted(chosen)


def _layer_meta(name: str, tally: Tally) -> dict[str, Any]:
    nan, infinite = non_finite(tally)
    at_bound = share_at_bound(tally)
    return {
        "name": name,
        "kind": tally.kind,
        "dtype": ", ".join(sorted(tally.dtypes)),
        "shape": tally.unit_shape,
        "response_shape": tally.response_shape or tally.unit_shape,
        "unit": tally.plan.choice,
        "channels": tally.channels,
        "load": None if tally.load is None or not tally.load.routed else tally.load.share,
        "share_at_bound": None if at_bound is None or math.isnan(at_bound) else at_bound,
        "masked": tally.masked,
        "stops": len(tally.columns) - 1,
        "units": tally.units,
        "probes": tally.probes,
        "nan": nan,
        "infinite": infinite,
        "finite_probes": _least_finite(tally),
        "mean_abs": _finite(mean_abs(tally)),
    }


def _least_finite(tally: Tally) -> int:
    """The least probes on which a unit was finite, of those that ever were; 0 where none was."""
    finite = finite_probes(tally)
    if isinstance(finite, int):
        return finite
    return int(finite[finite > 0].min(initial=tally.probes)) if finite.any() else 0


def _finite(value: float) -> float:
    """JSON has no infinity: a sum of float64 responses may overflow."""
    return value if math.isfinite(value) else sys.float_info.max


def _columns_within(budget: int, tally: Tally) -> int:
    return budget // max(tally.units * _counts_dtype(tally.probes).itemsize, 1)


def _counts_dtype(probes: int) -> np.dtype[Any]:
    for dtype in (np.uint8, np.uint16, np.uint32):
        if probes <= np.iinfo(dtype).max:
            return np.dtype(dtype)
    return np.dtype(np.float64)
