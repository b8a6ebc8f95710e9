"""Heatmaps of unit counts as Altair charts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import altair as alt
import numpy as np
import pandas as pd

from iua_widget.common.arithmetic import as_ieee
from iua_widget.reading.results import LayerResult, Reading, chosen_layers, shares

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_MOST_CELLS: Final = 4900
"""Cells a chart may have: Altair refuses a table of more than 5,000 rows."""
# As on the page in its light theme: js/src/canvas/color.ts and js/src/page/base.css.
_RAMP: Final = ("#fbf6d9", "#c4dfc6", "#7fbcbd", "#4690b0", "#2b6299", "#243a78", "#1c1d4b")
_PLACES: Final = [place / (len(_RAMP) - 1) for place in range(len(_RAMP))]
_SHARES: Final = [0, 0.25, 0.5, 0.75, 1]
DEAD: Final = "#e8402a"
_GROUND: Final = "#dfe3e8"
_LEGEND: Final = ("inactive share", "lighter: more active", "red: dead")
_CHART_WIDTH: Final = 420
_CHART_HEIGHT: Final = 360


class ChartArray(np.ndarray):
    """Several charts in an array, as DNIKit returns its axes; a notebook shows them in a column."""

    @property
    def chart(self) -> alt.VConcatChart:
        """The charts as one, one below another: to `save`, for example."""
        column: alt.VConcatChart = alt.vconcat(*self.ravel().tolist())
        return column

    def _repr_mimebundle_(self, *args: Any, **kwargs: Any) -> Any:
        return self.chart._repr_mimebundle_(*args, **kwargs)


@as_ieee
def heatmaps(reading: Reading, response_names: str | Iterable[str] | None = None) -> Any:
    """One heatmap a layer.

    Dense layers are laid out as a near-square grid, two-dimensional responses as they are, and
    feature maps as a mosaic of channels. Lighter units have been active more
    often, as DNIKit's documentation has it; dead ones are red. A layer of more units than a chart
    can hold is pooled: each cell shows the mean of a square of units, one with a dead unit among
    others is outlined in red, and the title says so. Colors are those of the widget's page, on a
    ground of their own that any theme may surround.

    How a chart is displayed is Altair's choice (``altair.renderers``): by default it fetches its
    drawing library; ``altair.renderers.enable("svg")`` draws without a network, and needs the
    package vl-convert-python.

    Parameters
    ----------
    reading : Reading
    response_names : str or iterable of str, optional
        The layers to show; all by default.

    Returns
    -------
    altair.Chart, or ChartArray of them where there are several layers

    Raises
    ------
    LayerSelectionError
        If a layer is not there, or none is asked for.
    """
    names = chosen_layers(reading.results, response_names)
    return one_or_array([_heatmap(name, reading.results[name]) for name in names])


def one_or_array(charts: Sequence[alt.Chart]) -> Any:
    """The chart where there is one, an array of them where there are several."""
    if len(charts) == 1:
        return charts[0]
    array = np.empty(len(charts), dtype=object)
    array[:] = charts
    return array.view(ChartArray)


def _heatmap(name: str, result: LayerResult) -> alt.Chart:
    cells = unit_grid(result.lower.shape, result.channel_axis)
    side = side_of_cells(cells)
    note = f"each cell: the mean of {side} × {side} units; outlined: some are dead"
    table = _cell_table(cells, result, side)
    tooltips = [
        alt.Tooltip("unit:Q", title="most inactive unit" if side > 1 else "unit", format=","),
        alt.Tooltip("count:Q", title=f"inactive, of {result.probes:,} probes", format=","),
        alt.Tooltip("share:Q", title="inactive share", format=".1%"),
        alt.Tooltip("dead:Q", title="dead units", format=","),
    ]
    probes = "tokens" if result.unit == "token" else "probes"
    unit = "unit" if result.unit == "element" else "channel"
    bound = "" if result.exact else " at least"
    title = alt.TitleParams(
        f"{name}: share of {probes} on which each {unit} is inactive{bound}",
        subtitle=[_figures(result)] + ([note] if side > 1 else []),
    )
    chart: alt.Chart = cell_chart(table, cells, side, title).encode(
        color=alt.condition(
            "datum.dead == datum.units",
            alt.value(DEAD),
            alt.Color(
                "share:Q",
                scale=alt.Scale(range=list(_RAMP), domain=_PLACES, interpolate="lab"),
                legend=alt.Legend(title=list(_LEGEND), format="%", values=_SHARES),
            ),
        ),
        stroke=alt.condition(
            "datum.dead > 0 && datum.dead < datum.units", alt.value(DEAD), alt.value(None)
        ),
        tooltip=tooltips,
    )
    return chart


def side_of_cells(cells: np.ndarray) -> int:
    """Units along a side of each cell, so that a chart can hold a layer."""
    return max(1, math.ceil(math.sqrt(cells.size / _MOST_CELLS)))


def cell_chart(
    table: pd.DataFrame, cells: np.ndarray, side: int, title: alt.TitleParams
) -> alt.Chart:
    """Cells at their rows and columns, on a ground of their own, still without colors."""
    height, width = (max(1, -(-extent // side)) for extent in cells.shape)
    step = max(1, int(min(_CHART_WIDTH / width, _CHART_HEIGHT / height)))
    chart: alt.Chart = (
        alt.Chart(table)
        .mark_rect(strokeWidth=0.7)
        .encode(
            x=alt.X("column:O", axis=None, scale=_places(width)),
            y=alt.Y("row:O", axis=None, scale=_places(height)),
        )
        .properties(
            title=title,
            view=alt.ViewBackground(fill=_GROUND, stroke=None),
            width=width * step,
            height=height * step,
        )
    )
    return chart


def _figures(result: LayerResult) -> str:
    if not result.probes:
        return f"no probe has reached its {result.units:,} units"
    return f"{rule_of(result)}; {result.dead:,} of {result.units:,} dead"


def rule_of(result: LayerResult) -> str:
    """When a unit is inactive, as a formula."""
    if result.unit_thresholds is not None:
        return "|x| ≤ a threshold of each unit's own"
    return f"|x| ≤ {result.threshold:g}"


def _places(count: int) -> alt.Scale:
    """All rows or columns, those of the gaps between channels too, where no unit is."""
    return alt.Scale(domain=list(range(count)), paddingInner=0, paddingOuter=0)


def unit_grid(shape: tuple[int, ...], channel_axis: int | None = 0) -> np.ndarray:
    """Flat unit indices as a picture: (rows, columns), with -1 where there is no unit."""
    units = math.prod(shape)
    index = np.arange(units)
    if len(shape) == 2:  # noqa: PLR2004  (a matrix is its own picture)
        return index.reshape(shape)
    if len(shape) < 2:  # noqa: PLR2004
        return _tiled(index.reshape(units, 1, 1), gap=0)
    tiles = np.moveaxis(index.reshape(shape), channel_axis or 0, 0)
    return _tiled(tiles.reshape(len(tiles), -1, tiles.shape[-1]), gap=1)


def _tiled(tiles: np.ndarray, gap: int) -> np.ndarray:
    count, height, width = tiles.shape
    columns = max(1, round(math.sqrt(count * (height + gap) / (width + gap))))
    rows = -(-count // columns)
    grid = np.full((rows, height + gap, columns, width + gap), -1)
    for tile in range(count):
        row, column = divmod(tile, columns)
        grid[row, :height, column, :width] = tiles[tile]
    picture = grid.reshape(rows * (height + gap), columns * (width + gap))
    return picture[: picture.shape[0] - gap, : picture.shape[1] - gap]


def _cell_table(cells: np.ndarray, result: LayerResult, side: int) -> pd.DataFrame:
    counts = result.lower.ravel()
    values = np.where(cells >= 0, counts[cells], -1) if counts.size else cells
    dead_units = result._dead_units.ravel()  # noqa: SLF001
    dead = np.where(cells >= 0, dead_units[cells], 0) if counts.size else cells
    value_blocks, cell_blocks = blocks(values, side), blocks(cells, side)
    most = value_blocks.argmax(axis=1)[:, None]
    count = np.take_along_axis(value_blocks, most, axis=1).ravel()
    unit = np.take_along_axis(cell_blocks, most, axis=1).ravel()
    units = (cell_blocks >= 0).sum(axis=1)
    total = np.where(cell_blocks >= 0, value_blocks, 0).sum(axis=1)
    mean = total[unit >= 0] / units[unit >= 0]
    number_dead = np.where(cell_blocks >= 0, blocks(dead, side), 0).sum(axis=1)
    row, column = pooled_places(cells, side)
    there = unit >= 0
    return pd.DataFrame(
        {
            "row": row[there],
            "column": column[there],
            "unit": unit[there],
            "count": count[there],
            "share": shares(mean, result.probes),
            "dead": number_dead[there],
            "units": units[there],
        }
    )


def blocks(array: np.ndarray, side: int) -> np.ndarray:
    """A picture's squares, one a row: -1 where one reaches beyond the picture."""
    rows, columns = pooled_shape(array, side)
    padding = [(0, -extent % side) for extent in array.shape]
    padded = np.pad(array, padding, constant_values=-1)
    split = padded.reshape(rows, side, columns, side).swapaxes(1, 2)
    return split.reshape(rows * columns, side * side)


def pooled_places(cells: np.ndarray, side: int) -> np.ndarray:
    """Row and column of each of the squares: shape (2, squares)."""
    return np.indices(pooled_shape(cells, side)).reshape(2, -1)


def pooled_shape(cells: np.ndarray, side: int) -> tuple[int, int]:
    """Rows and columns of squares."""
    rows, columns = (-(-extent // side) for extent in cells.shape)
    return rows, columns
