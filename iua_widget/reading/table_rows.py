"""Rows of the layer table: what they are filtered and sorted by, and which are shown in what order.

The rules of the order are told in ``js/src/reading/row_order.ts``; both sides are tested on the
cases of ``tests/fixtures/table_rules.json``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from iua_widget.reading.row_filter import SMALL, Row, RowFilter, number_in
from iua_widget.reading.table_columns import COLUMNS, find_column

if TYPE_CHECKING:
    import pandas as pd


def rows_of(table: pd.DataFrame, areas: Sequence[float] | None = None) -> list[dict[str, Any]]:
    """What every row of a layer table is filtered and sorted by: None where it has none.

    Parameters
    ----------
    table : pandas.DataFrame
        One row a layer, its columns named as `Reading.to_pandas` names them; others are left out.
    areas : sequence of float, optional
        The area under each layer's curve over tolerance.
    """
    known = {column.name: table[name] for name in table if (column := find_column(str(name)))}
    units = table["units"].where(table["units"] > 0)
    if areas is not None:
        known["share over tolerance"] = areas / units
    if "newly dead" in known:
        known["newly dead share"] = known["newly dead"] / units
    for name in ("mean inactive", "dead units"):
        if name in known:
            known.setdefault(f"{name} upper", known[name])  # all figures are exact
    for share in ("inactive share", "dead share"):
        if share in known:
            known[share] = known[share].where(table["units"] > 0)
    if "shape" in known:
        known["shape"] = known["shape"].map(_shape_text)
    values = {
        name: column.astype(object).where(column.notna(), None) for name, column in known.items()
    }
    return [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]


def _shape_text(shape: Sequence[int | None]) -> str:
    return "x".join("*" if length is None else str(length) for length in shape)


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
