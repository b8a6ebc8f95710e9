"""One layer's units and channels as DataFrames."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from iua_widget.common.arithmetic import as_ieee
from iua_widget.common.text_column import text_column
from iua_widget.reading.bounds import read_bounds
from iua_widget.reading.dead_units import never_active_rate
from iua_widget.reading.evidence import (
    constant_units,
    highest_pre_activation,
    mean_pre_activation,
    unit_share_at_bound,
)
from iua_widget.reading.recount import LayerRecount
from iua_widget.reading.results import shares
from iua_widget.reading.statistics import (
    by_channel,
    dormant_neurons,
    dormant_units,
    neuron_mean_abs,
    non_finite_counts,
    unit_mean_abs,
    unit_rms,
)
from iua_widget.reading.unit_findings import FINDINGS, codes_at
from iua_widget.tally.tally import Tally
from iua_widget.tolerances import Tolerances


@as_ieee
def unit_table(
    tally: Tally, tolerances: Tolerances, recount: LayerRecount | None = None
) -> pd.DataFrame:
    """One row a unit, in C order; columns as `IUA.units` says."""
    bounds = read_bounds(tally, tolerances, recount)
    mean_abs = unit_mean_abs(tally)
    nan, infinite = non_finite_counts(tally)
    columns: dict[str, Any] = {"unit": np.arange(tally.units)}
    columns |= axes_of_units(tally.unit_shape, tally.channel_axis)
    columns |= {
        "inactive count": bounds.lower,
        "inactive share": shares(bounds.lower, tally.probes),
        "dead": bounds.dead,
        "active rate below": never_active_rate(tally, bounds, tolerances, recount),
        "dormant": dormant_units(tally, tolerances.tau),
        "mean |x|": mean_abs,
        "rms": unit_rms(tally),
        "max |x|": np.where(np.isnan(mean_abs), np.nan, tally.store.read_magnitudes().abs_max),
        "nan": nan.copy(),
        "infinite": infinite.copy(),
    }
    columns |= _evidence_columns(tally, tolerances)
    codes = codes_at(tally, bounds)
    if codes is not None:
        columns["finding"] = text_column([FINDINGS[code] for code in codes])
    if bounds.thresholds is not None:
        columns["threshold"] = bounds.thresholds
    if not bounds.exact:
        columns["inactive count upper"] = bounds.upper
        columns["dead upper"] = bounds.dead_upper
    return pd.DataFrame(columns)


def _evidence_columns(tally: Tally, tolerances: Tolerances) -> dict[str, np.ndarray]:
    """What evidence tells of units, where there is some."""
    columns = {
        "max pre-activation": highest_pre_activation(tally),
        "mean pre-activation": mean_pre_activation(tally),
        "constant": constant_units(tally, tolerances.atol),
        "share at bound": unit_share_at_bound(tally),
    }
    return {name: column for name, column in columns.items() if column is not None}


@as_ieee
def channel_table(
    tally: Tally, tolerances: Tolerances, recount: LayerRecount | None = None
) -> pd.DataFrame:
    """One row a channel; columns as `IUA.channels` says."""
    bounds = read_bounds(tally, tolerances, recount)
    dead, dead_upper = bounds.dead_channels(tally), bounds.dead_channels_upper(tally)
    axis = tally.channel_axis
    if dead is None or dead_upper is None or axis is None:
        units = unit_table(tally, tolerances, recount)
        return units.rename(columns={"unit": "channel"})

    def of_channels(units: np.ndarray) -> np.ndarray:
        return by_channel(units.reshape(tally.unit_shape), axis)

    unit_dead = of_channels(bounds.dead)
    columns = {
        "channel": np.arange(len(dead)),
        "units": np.full(len(dead), unit_dead.shape[1]),
        "dead units": unit_dead.sum(axis=1),
        "inactive share": shares(_mean(of_channels(bounds.lower)), tally.probes),
        "dead": dead,
        "dormant": dormant_neurons(tally, tolerances.tau),
        "mean |x|": neuron_mean_abs(tally),
    }
    if not bounds.exact:
        columns["dead upper"] = dead_upper
    return pd.DataFrame(columns)


def _mean(rows: np.ndarray) -> np.ndarray:
    """Of each row; NaN where it is empty."""
    return np.asarray(rows.sum(axis=1) / (rows.shape[1] or np.nan))


def axes_of_units(shape: tuple[int, ...], channel_axis: int | None) -> dict[str, np.ndarray]:
    """Where each unit is, one column an axis; none where units have one."""
    if len(shape) <= 1:
        return {}
    names = [f"axis {axis}" for axis in range(len(shape))]
    if len(shape) == 3 and channel_axis is not None:  # noqa: PLR2004
        names = ["row", "column"]
        names.insert(channel_axis, "channel")
    return dict(zip(names, (index.ravel() for index in np.indices(shape)), strict=True))
