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
    finite = tally.probes - tally.nan_count - tally.infinite_count
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = tally.abs_sum / finite
        rms = np.sqrt(tally.square_sum / finite)
    lower = result.lower.ravel()
    columns: dict[str, np.ndarray] = {"unit": np.arange(tally.units)}
    columns |= _axes(tally.unit_shape)
    columns |= {
        "inactive count": lower,
        "inactive share": lower / tally.probes,
        "dead": lower == tally.probes,
        "mean |x|": mean,
        "rms": rms,
        "max |x|": tally.abs_max.copy(),
        "nan": tally.nan_count.copy(),
        "infinite": tally.infinite_count.copy(),
    }
    if not result.exact:
        columns["inactive count upper"] = result.upper.ravel()
    return pd.DataFrame(columns)


def _axes(shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    if len(shape) <= 1:
        return {}
    names = (
        ["channel", "row", "column"]
        if len(shape) == 3  # noqa: PLR2004
        else [f"axis {axis}" for axis in range(len(shape))]
    )
    return dict(zip(names, (index.ravel() for index in np.indices(shape)), strict=True))
