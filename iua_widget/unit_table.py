"""One layer's units as a DataFrame."""

from __future__ import annotations

import numpy as np
import pandas as pd

from iua_widget.results import read_layer
from iua_widget.tally import Tally


def unit_table(layer: str, tally: Tally, threshold: float) -> pd.DataFrame:
    """One row a unit, in C order; columns as `IUA.units` says.

    Raises
    ------
    NoProbesError
        If the layer has seen no probe.
    """
    result = read_layer(layer, tally, threshold)
    finite = tally.entries - tally.nan_count - tally.infinite_count
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = tally.abs_sum / finite
        rms = np.sqrt(tally.square_sum / finite)
    lower = result.lower.ravel()
    columns: dict[str, np.ndarray] = {"unit": np.arange(tally.units)}
    columns |= _axes(tally)
    columns |= {
        "inactive count": lower,
        "inactive share": lower / tally.probes,
        "dead": tally.unit_dead(tally.stops.locate(threshold).lower).ravel(),
        "mean |x|": mean,
        "rms": rms,
        "max |x|": tally.abs_max.copy(),
        "nan": tally.nan_count.copy(),
        "infinite": tally.infinite_count.copy(),
    }
    if not result.exact:
        columns["inactive count upper"] = result.upper.ravel()
    return pd.DataFrame(columns)


def channel_table(layer: str, tally: Tally, threshold: float) -> pd.DataFrame:
    """One row a channel; columns as `IUA.channels` says.

    Raises
    ------
    NoProbesError
        If the layer has seen no probe.
    """
    result = read_layer(layer, tally, threshold)
    bracket = tally.stops.locate(threshold)
    dead, dead_upper = (tally.channel_dead(column) for column in (bracket.lower, bracket.upper))
    axis = tally.channel_axis
    if dead is None or dead_upper is None or axis is None:
        units = unit_table(layer, tally, threshold)
        return units.rename(columns={"unit": "channel"})

    def by_channel(units: np.ndarray) -> np.ndarray:
        return np.moveaxis(units, axis, 0).reshape(len(dead), -1)

    unit_dead = by_channel(tally.unit_dead(bracket.lower))
    columns = {
        "channel": np.arange(len(dead)),
        "units": np.full(len(dead), unit_dead.shape[1]),
        "dead units": unit_dead.sum(axis=1),
        "inactive share": by_channel(result.lower).mean(axis=1) / tally.probes,
        "dead": dead,
    }
    if not result.exact:
        columns["dead upper"] = dead_upper
    return pd.DataFrame(columns)


def _axes(tally: Tally) -> dict[str, np.ndarray]:
    shape = tally.unit_shape
    if len(shape) <= 1:
        return {}
    names = [f"axis {axis}" for axis in range(len(shape))]
    if len(shape) == 3 and tally.plan.channel_axis is not None:  # noqa: PLR2004
        names = ["row", "column"]
        names.insert(tally.plan.channel_axis - 1, "channel")
    return dict(zip(names, (index.ravel() for index in np.indices(shape)), strict=True))
