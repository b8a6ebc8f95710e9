"""What a reader sees of the widget where it cannot run: a table that stands still."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from iua_widget.introspect import IUA
from iua_widget.tolerances import Tolerances

_ROWS_MOST: Final = 50

_NOTHING: Final = "–"  # noqa: RUF001  (as the page has it)

_PAGE: Final = """<div style="font: 13px/1.5 system-ui, sans-serif; max-width: 70em">
<p style="margin: 0 0 .5em"><b>{title}</b><br>{facts}</p>
{table}
<p style="margin: .5em 0 0; opacity: .75">{note}</p>
</div>"""

_NOTE: Final = (
    "The widget itself needs a running kernel: run the cell again. To keep it with its sliders, "
    "write it to one file with w.to_html(path)."
)


def still_page(iua: IUA, tolerances: Tolerances, title: str) -> str:
    """The table of layers as plain HTML: no scripts, no styles but its own.

    Parameters
    ----------
    iua : IUA
    tolerances : Tolerances
        Those on show.
    title : str

    Returns
    -------
    str

    Examples
    --------
    >>> import numpy as np
    >>> iua = IUA.introspect({"<relu>": np.array([[0.0, 0.5], [0.0, 0.0]])})
    >>> "&lt;relu&gt;" in still_page(iua, Tolerances(0, 0, "zero"), "net")
    True
    """
    with iua.lock:
        results = iua.at(**asdict(tolerances)).results if iua.probes else {}
        probes = iua.probes
    rule = f"|x| ≤ {tolerances.atol:g}"
    if tolerances.rtol and tolerances.scale != "zero":
        rule += f" + {tolerances.rtol:g} × {tolerances.scale}"
    facts = f"inactive: {rule} · {probes:,} probes when this was shown"
    rows = [
        (
            name,
            f"{result.units:,}",
            _range(
                100 * result.mean_inactive / result.units,
                100 * result.mean_inactive_upper / result.units,
                ".1f",
            )
            + " %"
            if result.probes and result.units
            else _NOTHING,
            _range(result.dead, result.dead_upper, ",d") if result.probes else _NOTHING,
        )
        for name, result in list(results.items())[:_ROWS_MOST]
    ]
    if iua.failure is not None:
        facts += f" · {iua.failure.note if probes else iua.failure.message}"
    note = _NOTE
    if len(results) > len(rows):
        note = f"And {len(results) - len(rows):,} more layers. {note}"
    return _PAGE.format(
        title=html.escape(title),
        facts=html.escape(facts),
        table=_table(rows) if rows else "",
        note=html.escape(note),
    )


def _range(lower: float, upper: float, spec: str) -> str:
    low, high = format(lower, spec), format(upper, spec)
    return low if low == high else f"{low} to {high}"


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    heads = ("layer", "units", "inactive share", "dead units")
    left, right = (
        f'style="text-align: {side}; padding: 2px 12px 2px 0; overflow-wrap: anywhere"'
        for side in ("left", "right")
    )
    lines = [
        "".join(
            f"<{tag} {right if place else left}>{html.escape(cell)}</{tag}>"
            for place, cell in enumerate(cells)
        )
        for tag, cells in [("th", heads), *(("td", row) for row in rows)]
    ]
    body = "".join(f"<tr>{line}</tr>" for line in lines[1:])
    return f"<table><thead><tr>{lines[0]}</tr></thead><tbody>{body}</tbody></table>"
