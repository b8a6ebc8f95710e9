"""The static page for readers where the widget cannot run: tables and a picture."""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from iua_widget.common.layer_names import short_names, shortened
from iua_widget.common.words import from_to
from iua_widget.iua import IUA, run_of
from iua_widget.tolerances import Tolerances
from iua_widget.widget.compared_with import ComparedWith
from iua_widget.widget.layer_picture import DEAD, PALETTE, layer_picture
from iua_widget.widget.runs import Runs
from iua_widget.widget.shown_table import layer_table
from iua_widget.widget.traits import WidgetTraits

if TYPE_CHECKING:
    import pandas as pd

MOST_BYTES: Final = 160 * 1024
"""Of all that is kept of a widget in a notebook, however many layers it has."""

_ROWS_MOST: Final = 50
_WORST_MOST: Final = 10
_NAME_MOST: Final = 72
_KIND_MOST: Final = 24
_TITLE_MOST: Final = 200
_RUN_MOST: Final = 600

_NOTHING: Final = "–"  # noqa: RUF001  (as the page has it)

_NOTE: Final = (
    "The widget itself needs a running kernel: run the cell again. To keep it with its sliders, "
    "write it to one file with w.to_html(path)."
)

_HEADS: Final = ("layer", "kind", "units", "inactive share", "dead units", "dead share")
_CHANGES: Final = ("newly dead", "revived")
_WORST_HEADS: Final = ("layer", "unit", "inactive share", "mean |x|", "max |x|", "dead")
_WORDS: Final = ("layer", "kind", "unit")
_SCALES: Final = {
    "layer_mean": "layer mean |x|",
    "unit_rms": "unit RMS",
    "unit_max": "unit max |x|",
}


_HEADING: Final = '<p style="margin: 1em 0 .25em"><b>{}</b></p>'


@dataclass(frozen=True, slots=True)
class OnPage:
    """What a widget shows.

    Attributes
    ----------
    title : str
    run : str
        Where the run stands, in words.
    tolerances : Tolerances
    layer : str
        The selected one; empty where there is none yet.
    sort, filter
        Of the table, as the widget's traits.
    compared : ComparedWith or None
        What it is compared with.
    """

    title: str
    run: str
    tolerances: Tolerances
    layer: str = ""
    sort: Mapping[str, Any] | None = None
    filter: str = ""
    compared: ComparedWith | None = None

    @classmethod
    def of(
        cls, page: WidgetTraits, runs: Runs, title: str, compared: ComparedWith | None = None
    ) -> OnPage:
        """What a page shows of its runs now."""
        status = "done" if runs.recounting else runs.status
        words = run_in_words(runs.iua, status, runs.progress.total)
        return cls(title, words, page.tolerances, page.layer, page.sort, page.filter, compared)


def static_table(iua: IUA, on_page: OnPage) -> dict[str, str]:
    """Tables and picture as plain HTML and as plain text: no scripts, nothing from elsewhere.

    Parameters
    ----------
    iua : IUA
    on_page : OnPage

    Returns
    -------
    dict
        By MIME type, at most 160 KiB together.

    Examples
    --------
    >>> import numpy as np
    >>> iua = IUA.introspect({"<relu>": np.array([[0.0, 0.5], [0.0, 0.0]])})
    >>> page = static_table(iua, OnPage("net", "2 probes", Tolerances(0, 0, "zero"), "<relu>"))
    >>> "&lt;relu&gt;" in page["text/html"]
    True
    """
    parts: list[str] = []
    texts: list[str] = []
    notes = [_NOTE]

    def add(heading: str, heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
        if rows:
            parts.extend((_HEADING.format(heading), _html_table(heads, rows)))
            texts.extend(("", heading, *_text_table(heads, rows)))

    run, before = run_of(iua), on_page.compared
    read_before = None if before is None else before.reading(run, on_page.tolerances)
    with run.lock:
        if iua.probes:
            table = layer_table(iua, on_page.tolerances, on_page.sort, on_page.filter, read_before)
            names = short_names(iua.layers, _NAME_MOST)
            parts.append(_picture(iua, on_page, names))
            add("Worst units of the network", _WORST_HEADS, _worst(iua, on_page.tolerances, names))
            add("Layers", *_with_changes(table, names))
            notes = [*_left_out(len(table), len(iua.layers), on_page.filter), _NOTE]
    facts = f"{on_page.run[:_RUN_MOST]} · {rule_in_words(on_page.tolerances)}"
    if before is not None:
        facts += f" · compared with {before.name[:_NAME_MOST]}"
    title = on_page.title[:_TITLE_MOST]
    return {
        "text/html": "\n".join(
            (
                '<div style="font: 13px/1.5 system-ui, sans-serif; max-width: 70em">',
                f'<p style="margin: 0 0 .5em"><b>{html.escape(title)}</b><br>',
                f"{html.escape(facts)}</p>",
                *parts,
                f'<p style="margin: .5em 0 0; opacity: .75">{html.escape(" ".join(notes))}</p>',
                "</div>",
            )
        ),
        "text/plain": "\n".join((title, facts, *texts)),
    }


def _left_out(rows: int, layers: int, text: str) -> list[str]:
    notes = []
    if rows > _ROWS_MOST:
        notes.append(f"And {rows - _ROWS_MOST:,} more layers.")
    if rows < layers:
        notes.append(f"{rows:,} of {layers:,} layers, filtered by “{text[:_NAME_MOST]}”.")
    return notes


def run_in_words(iua: IUA, status: str, total: int | None) -> str:
    """Where a run stands.

    Examples
    --------
    >>> import numpy as np
    >>> iua = IUA.introspect({"relu": np.zeros((2, 3))})
    >>> run_in_words(iua, "stopped", 1000)
    'stopped after 2 of 1,000 probes'
    >>> run_in_words(IUA.introspect({"relu": np.zeros((1, 3))}), "done", 1)
    '1 probe'
    """
    probes = "1 probe" if iua.probes == 1 else f"{iua.probes:,} probes"
    so_far = probes if total is None else f"{iua.probes:,} of {total:,} probes"
    failure = run_of(iua).failure
    if failure is not None:
        return failure.note if iua.probes else failure.message
    match status:
        case "running":
            return f"{so_far} when this was shown: the run goes on"
        case "paused" | "stopped":
            return f"{status} after {so_far}"
        case _:
            return probes


def rule_in_words(tolerances: Tolerances) -> str:
    """What is inactive and what is dead, as the page says it.

    Examples
    --------
    >>> rule_in_words(Tolerances(0.1, 1e-8, "layer_mean", 0.99))
    'inactive: |x| ≤ 1e-8 + 0.1 × layer mean |x| · dead: inactive on ≥ 99 % of probes'
    """
    inactive = f"inactive: |x| ≤ {_tolerance(tolerances.atol)}"
    if tolerances.rtol and tolerances.scale != "zero":
        inactive += f" + {_tolerance(tolerances.rtol)} × {_SCALES[tolerances.scale]}"
    share = tolerances.dead_at
    probes = "all probes" if share == 1 else f"≥ {100 * share:g} % of probes"
    return f"{inactive} · dead: inactive on {probes}"


def _tolerance(value: float) -> str:
    """As the page writes it: "1e-8"."""
    return f"{value:g}".replace("e-0", "e-")


def _rows(table: pd.DataFrame, names: Mapping[str, str]) -> list[tuple[str, ...]]:
    rows = table.itertuples(index=False, name=None)
    return [_row(dict(zip(table.columns, row, strict=True)), names) for row in rows]


def _row(of: Mapping[str, Any], names: Mapping[str, str]) -> tuple[str, ...]:
    units = of["units"]
    known = of["probes"] and (not units or of["nan"] + of["infinite"] < of["probes"] * units)
    name, kind = names[of["response"]], shortened(of["kind"], _KIND_MOST)
    if not known or not units:
        dead = _NOTHING if not known else "0"
        return name, kind, f"{units:,}", _NOTHING, dead, _NOTHING
    dead, dead_upper = of["dead units"], of.get("dead units upper", of["dead units"])
    mean, mean_upper = of["mean inactive"], of.get("mean inactive upper", of["mean inactive"])
    return (
        name,
        kind,
        f"{units:,}",
        from_to(100 * mean / units, 100 * mean_upper / units, ".1f") + " %",
        from_to(dead, dead_upper, ",d"),
        from_to(100 * dead / units, 100 * dead_upper / units, ".1f") + " %",
    )


def _total(table: pd.DataFrame) -> tuple[str, ...]:
    upper = table.get("dead units upper", table["dead units"])
    units, dead, dead_upper = (
        int(column.sum()) for column in (table["units"], table["dead units"], upper)
    )
    share = (
        from_to(100 * dead / units, 100 * dead_upper / units, ".1f") + " %" if units else _NOTHING
    )
    layers = f"{len(table):,} layers"
    return layers, "", f"{units:,}", "", from_to(dead, dead_upper, ",d"), share


def _with_changes(
    table: pd.DataFrame, names: Mapping[str, str]
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Heads and rows of the layers and all together; with what died and revived, where compared."""
    rows, first = [*_rows(table.head(_ROWS_MOST), names), _total(table)], table.head(_ROWS_MOST)
    changes = [name for name in _CHANGES if name in table]
    columns = []
    for name in changes:
        lower, upper = table[name], table.get(f"{name} upper", table[name])
        both = [*zip(first[name], upper.head(len(first)), strict=True), (lower.sum(), upper.sum())]
        missing = [*first[name].isna(), lower.isna().all()]
        columns.append(
            [
                _NOTHING if none else from_to(int(least), int(most), ",d")
                for (least, most), none in zip(both, missing, strict=True)
            ]
        )
    return (*_HEADS, *changes), [(*row, *more) for row, *more in zip(rows, *columns, strict=True)]


def _worst(iua: IUA, at: Tolerances, names: Mapping[str, str]) -> list[tuple[str, ...]]:
    table = iua.worst(_WORST_MOST, atol=at.atol, rtol=at.rtol, scale=at.scale, dead_at=at.dead_at)
    rows = table.itertuples(index=False, name=None)
    return [_worst_row(dict(zip(table.columns, row, strict=True)), names) for row in rows]


def _worst_row(of: Mapping[str, Any], names: Mapping[str, str]) -> tuple[str, ...]:
    share, dead = of["inactive share"], of["dead"]
    share_upper, dead_upper = of.get("inactive share upper", share), of.get("dead upper", dead)
    known = not math.isnan(share)
    return (
        names[of["response"]],
        f"{of['unit is']} {of['unit']}",
        from_to(100 * share, 100 * share_upper, ".1f") + " %" if known else _NOTHING,
        *(f"{of[size]:.3g}" if known else _NOTHING for size in ("mean |x|", "max |x|")),
        "dead" if dead else "maybe" if dead_upper else "",
    )


def _html_table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    def line(tag: str, cells: tuple[str, ...]) -> str:
        styles = (' style="text-align: left"' if head in _WORDS else "" for head in heads)
        both = zip(styles, cells, strict=True)
        texts = (f"<{tag}{style}>{html.escape(cell)}</{tag}>" for style, cell in both)
        return f'<tr style="text-align: right">{"".join(texts)}</tr>'

    body = "\n".join(line("td", row) for row in rows)
    head = f'<table style="font: inherit"><thead>{line("th", heads)}</thead>'
    return f"{head}\n<tbody>{body}</tbody></table>"


def _text_table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    columns = []
    for head, *cells in zip(heads, *rows, strict=True):
        width = max(map(len, (head, *cells)))
        put = str.ljust if head in _WORDS else str.rjust
        columns.append([put(cell, width) for cell in (head, *cells)])
    return ["  ".join(line).rstrip() for line in zip(*columns, strict=True)]


def _picture(iua: IUA, on_page: OnPage, names: Mapping[str, str]) -> str:
    """The selected layer's units, with a line that says what the colors are."""
    if on_page.layer not in iua.layers:
        return ""
    run = run_of(iua)
    tally, recount = run.tally(on_page.layer), run.recounted(on_page.layer, on_page.tolerances)
    picture = layer_picture(tally, on_page.tolerances, recount)
    if picture is None:
        return ""
    name = names[on_page.layer]
    encoded = base64.b64encode(picture.png).decode("ascii")
    dead = "#{:02x}{:02x}{:02x}".format(*PALETTE[DEAD])
    return (
        f'<p style="margin: 1em 0 .25em"><b>{html.escape(name)}</b> · {tally.units:,} units · '
        "share of probes on which each was inactive, light 0 % to dark 100 %, "
        f'<span style="color: {dead}">■</span> dead</p>\n'
        f'<img alt="{html.escape(f"Heatmap of {name}")}" width="{picture.width}" '
        f'height="{picture.height}" style="image-rendering: pixelated" '
        f'src="data:image/png;base64,{encoded}">'
    )
