"""The layer table as it is on show, filtered and sorted as on the page; the selected units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from iua_widget.common.arithmetic import as_ieee
from iua_widget.history.history_table import history_table
from iua_widget.iua import IUA, run_of
from iua_widget.reading.layer_comparison import compare_layers
from iua_widget.reading.results import integers
from iua_widget.reading.statistics import mean_inactive
from iua_widget.reading.table_rows import rows_of, shown_rows

if TYPE_CHECKING:
    import pandas as pd

    from iua_widget.history.history import History
    from iua_widget.reading.results import Reading
    from iua_widget.tally.tally import Tally
    from iua_widget.tolerances import Tolerances

_CHANGES: Final = ("newly dead", "revived", "dead in both")


@as_ieee
def layer_table(
    iua: IUA,
    tolerances: Tolerances,
    sort: Mapping[str, Any] | None,
    text: str,
    before: Reading | None = None,
) -> pd.DataFrame:
    """The layer table at tolerances, filtered and sorted as the page does it.

    Where there is another result that it is compared with, it has columns for what died and revived
    since.

    Raises
    ------
    NoProbesError
        If nothing has been counted yet.
    """
    run = run_of(iua)
    with run.lock:
        reading = iua.at(**asdict(tolerances))
        areas = [_area(tally) for tally in run.tallies.values()]
    table = reading.to_pandas()
    if before is not None:
        _add_changes(table, before, reading)
    return table.iloc[shown_rows(rows_of(table, areas), sort, text)]


@as_ieee
def look_rows(
    history: History,
    step: int,
    since: int | None,
    tolerances: Tolerances,
    *,
    sort: Mapping[str, Any] | None,
    text: str,
) -> pd.DataFrame:
    """What a history tells of the layers at a look, filtered and sorted as the page does it.

    Parameters
    ----------
    history : History
    step : int
        Of the look.
    since : int, or None
        Of the look it is compared with; None for none.
    tolerances, sort, text
        As for `layer_table`.

    Raises
    ------
    ToleranceError
        If it keeps too little for these tolerances.
    """
    look = history.look(step)
    table = history_table([history.figures(step, tolerances, since)]).drop(columns="step")
    if since is None:
        changes = [name for name in table if str(name).removesuffix(" upper") in _CHANGES]
        table = table.drop(columns=changes)
    shapes: Any = [layer.shape for layer in look.index.layers]
    rows = rows_of(table.assign(shape=shapes), look.mean[:, :-1].mean(axis=1).tolist())
    return table.iloc[shown_rows(rows, sort, text)]


def _add_changes(table: pd.DataFrame, before: Reading, after: Reading) -> None:
    """Insert columns of what died, revived and stayed dead; bounds above come last."""
    both = {
        name: compare_layers(before.results[name], result)
        for name, result in after.results.items()
        if name in before.results
    }
    exact = all(comparison.exact for comparison in both.values())
    place = table.columns.tolist().index("dead share") + 1
    for offset, name in enumerate(_CHANGES):
        for upper in (False,) if exact else (False, True):
            found = [
                None
                if layer not in both or both[layer].nothing_compared
                else int(getattr(both[layer], name.replace(" ", "_") + "_upper" * upper).sum())
                for layer in after.results
            ]
            counts = integers(found) if None in found else found
            if upper:
                table[f"{name} upper"] = counts
            else:
                table.insert(place + offset, name, counts)


def selected_units(iua: IUA, layer: str, selected: list[int]) -> pd.DataFrame:
    """The selected units of a layer, of the first where none is selected, by their index.

    Raises
    ------
    NoProbesError
        If nothing has been counted yet.
    """
    run = run_of(iua)
    if not run.tallies:
        so = "no unit can be selected"
        raise run.nothing_counted(so)
    units = iua.units(layer or next(iter(run.tallies)))
    return units.set_index("unit").loc[selected]


def _area(tally: Tally) -> float:
    """What orders the column "over tolerance": the area under the curve over the stops."""
    means = mean_inactive(tally)[:-1]
    return float(means.sum()) / len(means)
