"""DataFrames of exactly what the page shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from iua_widget.common.arithmetic import as_ieee
from iua_widget.iua import IUA, run_of
from iua_widget.reading.statistics import mean_inactive
from iua_widget.reading.table_columns import COLUMNS, dormant_heading
from iua_widget.widget.shown_rows import shown_rows

if TYPE_CHECKING:
    import pandas as pd

    from iua_widget.tally.tally import Tally
    from iua_widget.tolerances import Tolerances


@as_ieee
def layer_table(
    iua: IUA, tolerances: Tolerances, sort: Mapping[str, Any] | None, text: str
) -> pd.DataFrame:
    """The layer table at tolerances, filtered and sorted as the page does it.

    Raises
    ------
    NoProbesError
        If nothing has been counted yet.
    """
    with run_of(iua).lock:
        reading = iua.at(**asdict(tolerances))
        areas = [_area(tally) for tally in run_of(iua).tallies.values()]
    table = reading.to_pandas()
    rows = _rows(table.rename(columns={dormant_heading(reading.tolerances.tau): "dormant"}), areas)
    return table.iloc[shown_rows(rows, sort, text)]


def _rows(table: pd.DataFrame, areas: Sequence[float]) -> list[dict[str, Any]]:
    """What every row is sorted and filtered by: None where it has none."""
    known = {name: table[name] for name in COLUMNS if name in table}
    known["share over tolerance"] = areas / table["units"].where(table["units"] > 0)
    for upper, lower in (
        ("mean inactive upper", "mean inactive"),
        ("dead units upper", "dead units"),
    ):
        known.setdefault(upper, known[lower])  # all figures are exact
    for share in ("inactive share", "dead share"):
        known[share] = known[share].where(table["units"] > 0)
    known["shape"] = table["shape"].map(_shape_text)
    values = {
        name: column.astype(object).where(column.notna(), None) for name, column in known.items()
    }
    return [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]


def _shape_text(shape: Sequence[int | None]) -> str:
    return "x".join("*" if length is None else str(length) for length in shape)


def _area(tally: Tally) -> float:
    """What orders the column "over tolerance": the area under the curve over the stops."""
    means = mean_inactive(tally)[:-1]
    return float(means.sum()) / len(means)


@as_ieee
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
        so = "no unit can be selected"
        raise run_of(iua).nothing_counted(so)
    table = iua.units(layer or iua.layers[0], **asdict(tolerances))
    return table.set_index("unit").loc[list(units)]
