"""Tables as text, Markdown, CSV and JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from iua_widget.common.layer_names import printable
from iua_widget.reading.table_columns import COLUMNS, find_column

if TYPE_CHECKING:
    import pandas as pd

_TO_READ: Final = (
    *("step", "rank", "response", "unit", "unit is", "position", "kind", "units"),
    *("mean inactive", "inactive share", "dead units", "dead share", "dead channels", "dormant"),
    *("dead units before", "dead units after", "newly dead", "revived", "dead in both"),
    *("change of inactive share", "load", "share at bound", "mean |x|"),
    *("rms", "max |x|", "dead"),
)
"""Columns of tables to be read; "unit" only where it says which."""
_SHARES: Final = ("inactive share", "dead share", "change of inactive share", "share at bound")


def written(table: pd.DataFrame, form: str, marked: Iterable[str] = ()) -> str:
    """A table in one of the forms that ``--table`` takes.

    Parameters
    ----------
    table : pandas.DataFrame
    form : {"text", "csv", "json", "md"}
        The first and last have the columns that are for reading, the others all.
    marked : iterable of str
        Layers whose rows are red where there are colors.
    """
    if form == "csv":
        return str(table.to_csv(index=False, lineterminator="\n")).rstrip("\n")
    if form == "json":
        return json.dumps(records(table), indent=2)
    names = [name for name in table if _is_to_read(name, table)]
    cells = [[_cell(name, table, row) for name in names] for row in range(len(table))]
    is_text = [any(isinstance(value, str) for value in table[name]) for name in names]
    if form == "md":
        return _markdown(names, cells, is_text)
    marks = set(marked)
    return _aligned(names, cells, is_text, [name in marks for name in table["response"]])


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as JSON holds them: by the names of columns, null for what is missing.

    The column of dormant units is called "dormant", whatever tau is.
    """
    names = {name: "dormant" if _is_dormant(name) else str(name) for name in table}
    return [
        {names[name]: plain(value) for name, value in row.items()}
        for row in table.to_dict("records")
    ]


def plain(value: Any) -> Any:
    """A value as JSON has it: null for NaN and what is missing, lists for tuples."""
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, (str, bool)) or value is None:
        return value
    if hasattr(value, "item"):
        return plain(value.item())
    if isinstance(value, int):
        return value
    return float(value) if isinstance(value, float) and math.isfinite(value) else None


def _is_dormant(name: object) -> bool:
    return find_column(str(name)) is COLUMNS["dormant"]


def _is_to_read(name: object, table: pd.DataFrame) -> bool:
    if name == "unit":
        return "rank" in table
    if name == "units" and "rank" in table:
        return False
    return name in _TO_READ or _is_dormant(name)


def _cell(name: Any, table: pd.DataFrame, row: int) -> str:
    lower = table[name].iloc[row]
    above = f"{name} upper"
    upper = table[above].iloc[row] if above in table else lower
    one, other = _figure(name, lower), _figure(name, upper)
    return one if one == other else f"{one}-{other}"


def _figure(name: str, value: Any) -> str:
    value = plain(value)
    if value is None:
        return "-"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return printable(value)
    if name in _SHARES:
        return f"{100 * value:.1f} %"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


def _aligned(
    names: Sequence[Any], cells: list[list[str]], is_text: Sequence[bool], marked: Sequence[bool]
) -> str:
    lines = [list(map(str, names)), *cells]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]

    def line(row: list[str]) -> str:
        sides: list[Callable[[str, int], str]] = [
            str.ljust if text else str.rjust for text in is_text
        ]
        return "  ".join(map(lambda side, *one: side(*one), sides, row, widths)).rstrip()

    body = [
        click.style(line(row), fg="red") if mark else line(row)
        for row, mark in zip(cells, marked, strict=True)
    ]
    return "\n".join([click.style(line(lines[0]), bold=True), *body])


def _markdown(names: Sequence[Any], cells: list[list[str]], is_text: Sequence[bool]) -> str:
    rule = [":--" if text else "--:" for text in is_text]
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in [list(names), *cells]]
    head, *body = (f"| {' | '.join(row)} |" for row in escaped)
    return "\n".join([head, f"| {' | '.join(rule)} |", *body])
