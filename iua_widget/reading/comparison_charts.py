"""Pictures of what became of a layer's units between two results, as Altair charts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import altair as alt
import numpy as np
import pandas as pd

from iua_widget.common.arithmetic import as_ieee
from iua_widget.reading.charts import (
    DEAD,
    blocks,
    cell_chart,
    one_or_array,
    pooled_places,
    rule_of,
    side_of_cells,
    unit_grid,
)
from iua_widget.reading.layer_comparison import LayerComparison
from iua_widget.reading.results import chosen_layers

_COLORS: Final = {
    "alive": "#f3eccb",
    "newly dead": DEAD,
    "revived": "#3f7fd0",
    "dead in both": "#4a4350",
    "not known": "#b4bac3",
}
"""What may have become of a unit, and its color."""
_ALIVE, _NEWLY_DEAD, _REVIVED, _DEAD_IN_BOTH, _NOT_KNOWN = range(5)


@as_ieee
def pictures_of_changes(
    results: Mapping[str, LayerComparison], response_names: str | Iterable[str] | None = None
) -> Any:
    """One picture a layer, each unit in its place and in the color of what became of it.

    Units are laid out as in the heatmaps of `IUA.show`. In a layer of more units than a chart can
    hold, each cell has the color of what became of most units in a square of them, and is outlined
    where some of them died, revived or stayed dead and most did not. Gray is what was finite on no
    probe in one of the two, or of which the counts are too far apart to tell.

    Returns
    -------
    altair.Chart, or ChartArray of them where there are several layers

    Raises
    ------
    LayerSelectionError
        If a layer is not there, or none is asked for.
    """
    names = chosen_layers(results, response_names)
    return one_or_array([_picture(name, results[name]) for name in names])


def _picture(name: str, row: LayerComparison) -> alt.Chart:
    cells = unit_grid(row.compared.shape, row.channel_axis)
    side = side_of_cells(cells)
    note = f"each cell: what became of most of {side} × {side} units; outlined: not of all"
    title = alt.TitleParams(
        f"{name}: which units died, and which revived",
        subtitle=[_figures(row), _rule(row), *([note] if side > 1 else [])],
    )
    scale = alt.Scale(domain=list(_COLORS), range=list(_COLORS.values()))
    chart: alt.Chart = cell_chart(_cell_table(cells, row, side), cells, side, title).encode(
        color=alt.Color("fate:N", scale=scale, legend=alt.Legend(title=None)),
        stroke=alt.condition(
            "datum.others !== null",
            alt.Stroke("others:N", scale=scale, legend=None),
            alt.value(None),
        ),
        tooltip=[
            alt.Tooltip("unit:Q", title="first unit" if side > 1 else "unit", format=","),
            *(alt.Tooltip(f"{fate}:Q", title=f"{fate} units", format=",") for fate in _COLORS),
            alt.Tooltip("before:Q", title="inactive share before", format=".1%"),
            alt.Tooltip("after:Q", title="inactive share after", format=".1%"),
        ],
    )
    return chart


def _figures(row: LayerComparison) -> str:
    if row.nothing_compared:
        return f"nothing is known of how its {row.compared.size:,} units changed"
    newly, revived, both = (
        int(mask.sum()) for mask in (row.newly_dead, row.revived, row.dead_in_both)
    )
    bound = "" if row.exact else "at least "
    return (
        f"{bound}{newly:,} newly dead, {revived:,} revived, {both:,} dead in both of "
        f"{row.compared.size:,} units"
    )


def _rule(row: LayerComparison) -> str:
    before, after = rule_of(row.before), rule_of(row.after)
    return before if before == after else f"{before} before, {after} after"


def _fates(row: LayerComparison) -> np.ndarray:
    """What became of each unit, as far as that is certain: its place among the colors."""
    fates = np.full(row.compared.shape, _NOT_KNOWN)
    fates[row.compared & ~(row.newly_dead_upper | row.revived_upper | row.dead_in_both_upper)] = (
        _ALIVE
    )
    fates[row.newly_dead], fates[row.revived] = _NEWLY_DEAD, _REVIVED
    fates[row.dead_in_both] = _DEAD_IN_BOTH
    return fates.ravel()


def _cell_table(cells: np.ndarray, row: LayerComparison, side: int) -> pd.DataFrame:
    squares = blocks(cells, side)
    there = (squares >= 0).any(axis=1)
    squares = squares[there]
    is_unit = squares >= 0
    fates = np.where(is_unit, _fates(row)[squares], -1) if row.compared.size else squares
    counts = np.stack([(fates == fate).sum(axis=1) for fate in range(len(_COLORS))], axis=1)
    most = counts.argmax(axis=1)
    changed = counts[:, _NEWLY_DEAD : _DEAD_IN_BOTH + 1].copy()
    own = (most >= _NEWLY_DEAD) & (most <= _DEAD_IN_BOTH)
    changed[np.flatnonzero(own), most[own] - _NEWLY_DEAD] = 0
    names = np.array(list(_COLORS), object)
    others = names[changed.argmax(axis=1) + _NEWLY_DEAD]
    place_row, place_column = pooled_places(cells, side)[:, there]
    units = is_unit.sum(axis=1)

    def mean(result: Any) -> np.ndarray:
        if not result.probes:
            return np.full(len(squares), np.nan)
        inactive = np.where(is_unit, result.lower.ravel()[squares], 0).sum(axis=1)
        return np.asarray(inactive / units / result.probes)

    return pd.DataFrame(
        {
            "row": place_row,
            "column": place_column,
            "unit": np.where(is_unit, squares, cells.size).min(axis=1, initial=cells.size),
            "units": units,
            "fate": names[most],
            "others": np.where(changed.any(axis=1), others, None),
            **{name: counts[:, fate] for fate, name in enumerate(_COLORS)},
            "before": mean(row.before),
            "after": mean(row.after),
        }
    )
