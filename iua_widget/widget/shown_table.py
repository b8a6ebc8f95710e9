"""The layer table as it is on show, filtered and sorted as on the page; the selected units.

Those of the order are told in ``js/src/reading/row_order.ts``; both sides are tested on the cases
of ``tests/fixtures/table_rules.json``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from iua_widget.common.arithmetic import as_ieee
from iua_widget.iua import IUA, run_of
from iua_widget.reading.layer_comparison import compare_layers
from iua_widget.reading.results import integers
from iua_widget.reading.statistics import mean_inactive
from iua_widget.reading.table_columns import COLUMNS, dormant_heading
from iua_widget.widget.row_filter import SMALL, Row, RowFilter, number_in

if TYPE_CHECKING:
    import pandas as pd

    from iua_widget.reading.results import Reading
    from iua_widget.tally.tally import Tally
    from iua_widget.tolerances import Tolerances


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
    rows = _rows(table.rename(columns={dormant_heading(tolerances.tau): "dormant"}), areas)
    return table.iloc[shown_rows(rows, sort, text)]


def _add_changes(table: pd.DataFrame, before: Reading, after: Reading) -> None:
    """Insert the columns "newly dead" and "revived"; bounds above come last, as others do."""
    both = {
        name: compare_layers(before.results[name], result)
        for name, result in after.results.items()
        if name in before.results
    }
    exact = all(comparison.exact for comparison in both.values())
    place = table.columns.tolist().index("dead share") + 1
    for offset, name in enumerate(("newly dead", "revived")):
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


def shown_rows(rows: Sequence[Row], sort: Mapping[str, Any] | None, text: str) -> list[int]:
    """Which rows are shown, in which order.

    Parameters
    ----------
    rows : sequence of mappings
        In the order of the network.
    sort : mapping or None
        As the widget's `sort`.
    text : str
        As the widget's `filter`.

    Returns
    -------
    list of int
        Indices into `rows`.

    Raises
    ------
    ValueError
        If the text compares what cannot be compared.

    Examples
    --------
    >>> rows = [
    ...     {"response": f"conv{n}", "kind": "ReLU", "dead units": n % 3} for n in (10, 9, 8)
    ... ]
    >>> shown_rows(rows, {"column": "response", "ascending": True}, "dead-units<2")
    [1, 0]
    """
    row_filter = RowFilter.parsed(text)
    shown = [index for index, row in enumerate(rows) if row_filter.passes(row)]
    if sort is None:
        return shown
    column, ascending = sort["column"], sort["ascending"]
    values = {index: _sort_value(rows[index], column) for index in shown}
    with_value = [index for index in shown if values[index] is not None]
    without = [index for index in shown if values[index] is None]
    # Equal rows keep the order of the network both ways: reverse=True does that, too.
    with_value.sort(key=lambda index: values[index], reverse=not ascending)
    return with_value + without


def _sort_value(row: Row, column: str) -> Any:
    if COLUMNS[column].is_text:
        # By UTF-16 code units, as JavaScript compares: the bytes of big-endian ones sort the same.
        return text_key(row[column]).encode("utf-16-be", "surrogatepass")
    return number_in(row, column)


def text_key(text: str) -> str:
    """A text as it sorts: "conv2" before "conv10", whatever the case of ASCII letters.

    Examples
    --------
    >>> text_key("Conv2") < text_key("conv10")
    True
    """

    def counted(run: re.Match[str]) -> str:
        digits = run[0].lstrip("0") or "0"
        return f"0{len(digits):05}{digits}"

    return re.sub("[0-9]+", counted, text.translate(SMALL))
