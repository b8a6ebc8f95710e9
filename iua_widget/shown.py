"""DataFrames of exactly what the page shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from iua_widget.errors import NoProbesError
from iua_widget.results import LayerResult
from iua_widget.row_rules import shown_rows

if TYPE_CHECKING:
    import pandas as pd

    from iua_widget.introspect import IUA
    from iua_widget.tolerances import Tolerances


def layer_table(
    iua: IUA, tolerances: Tolerances, sort: Mapping[str, Any] | None, text: str
) -> pd.DataFrame:
    """The layer table at tolerances, filtered and sorted as the page does it.

    Raises
    ------
    NoProbesError
        If nothing has been counted yet.
    """
    with iua.lock:
        reading = iua.at(tolerances.atol, tolerances.rtol, tolerances.scale, tolerances.dead_share)
        areas = {name: _area(iua, name) for name in iua.layers}
    rows = [_row(name, result, areas[name]) for name, result in reading.results.items()]
    return reading.to_pandas().iloc[shown_rows(rows, sort, text)]


def _row(name: str, result: LayerResult, area: float) -> dict[str, Any]:
    units = result.units or float("nan")
    return {
        "name": name,
        "kind": result.kind,
        "units": result.units,
        "mean": result.mean_inactive,
        "share": result.mean_inactive / units,
        "std": result.std_inactive,
        "dead": result.dead,
        "dead-share": result.dead / units,
        "dormant": result.dormant,
        "curve": area / units,
    }


def _area(iua: IUA, layer: str) -> float:
    """What orders the column "over tolerance": the area under the curve over the stops."""
    means = iua.tally(layer).curves().mean[:-1]
    return float(means.sum()) / len(means)


def selected_units(
    iua: IUA, layer: str, units: Sequence[int], tolerances: Tolerances
) -> pd.DataFrame:
    """Some units of a layer, as `IUA.units` gives them.

    Raises
    ------
    NoProbesError
        If nothing has been counted yet.
    """
    if not iua.layers:
        message = "nothing has been counted yet, so no unit can be selected."
        raise NoProbesError(message)
    table = iua.units(
        layer or iua.layers[0],
        atol=tolerances.atol,
        rtol=tolerances.rtol,
        scale=tolerances.scale,
        dead_share=tolerances.dead_share,
    )
    return table.set_index("unit").loc[list(units)]
