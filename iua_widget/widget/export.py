"""The widget as one HTML file that works offline, without a kernel."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from iua_widget.common.amounts import format_bytes
from iua_widget.common.atomic_write import as_path, replacing
from iua_widget.common.plain_values import plain
from iua_widget.errors import IUAWarning
from iua_widget.reading.thresholds import UNIT_SCALES
from iua_widget.run.run import Run
from iua_widget.tolerances import Tolerances
from iua_widget.widget.assets import script, styles
from iua_widget.widget.comparison_snapshot import ResultBefore
from iua_widget.widget.looks_in_file import HistoryInFile, history_in_file
from iua_widget.widget.looks_on_show import LooksOnShow
from iua_widget.widget.opening import first_with_figures
from iua_widget.widget.snapshots import table_snapshot, units_snapshot
from iua_widget.widget.traits import LOOKS, SETTINGS, WidgetTraits
from iua_widget.widget.worst_snapshot import BOUNDED_IN_A_FILE, ranked_at, worst_snapshot

PAYLOAD_VERSION: Final = 3
PART_BYTES: Final = 3 * 2**22
"""Packed bytes in one element: browsers bound the length of a text. A multiple of 3."""
LARGEST_PAGE: Final = 2**30
"""Bytes of the largest page that is sure to open: Chromium has opened somewhat larger ones."""

_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{styles}</style>
</head>
<body>
<div id="widget"><noscript>This page needs JavaScript, which is switched off.</noscript></div>
<script type="application/json" id="payload">{payload}</script>
{data}
<script type="application/octet-stream" id="bundle">{bundle}</script>
<script type="module">{start}</script>
</body>
</html>
"""

_STYLES: Final = """
body { margin: 0 auto; max-width: 1600px; padding: 16px; background: Canvas; color: CanvasText; }
"""

_START: Final = """
const text = (id) => document.getElementById(id).textContent;
const bytes = Uint8Array.from(atob(text("bundle")), (character) => character.charCodeAt(0));
const address = URL.createObjectURL(new Blob([bytes], { type: "text/javascript" }));
const { renderStatic } = await import(address);
await renderStatic(document.getElementById("widget"), JSON.parse(text("payload")), text);
"""

_POLICY: Final = (
    "default-src 'none'; script-src {start} blob:; style-src {styles}; img-src data: blob:; "
    "base-uri 'none'; form-action 'none'"
)
"""What the page may do: run the one script that is in it, and the bundle that this has unpacked to
a blob; use its own styles; show and save pictures it has drawn. Nothing is fetched or sent."""


def save_page(
    path: str | Path,
    page: WidgetTraits,
    run: Run,
    info: Mapping[str, Any],
    *,
    title: str,
    text: str,
    limit: int,
    before: ResultBefore | None = None,
    looks: LooksOnShow | None = None,
    by_group: Sequence[Mapping[str, Any]] = (),
) -> Path:
    """Write what a widget shows as a page, and return where it is: see `IUAWidget.to_html`.

    Parameters
    ----------
    path : str or Path
    page : WidgetTraits
    run : Run
        What it shows.
    info : mapping
        How the run stands, as a page is told.
    title, text : str
    limit : int
        Bytes of unit counts, before compression.
    before : ResultBefore, optional
        What it is compared with.
    looks : LooksOnShow, optional
        Where it shows a history: three quarters of the limit are for that.
    by_group : sequence of mapping
        From `group_pictures`.

    Raises
    ------
    NoProbesError, FileError, TypeError
        As `IUAWidget.to_html`.
    """
    limit = plain(limit)
    if isinstance(limit, bool) or not isinstance(limit, (int, float)) or not limit >= 0:
        message = f"limit must be a number of bytes, and is {limit!r:.60}."
        raise TypeError(message)
    tolerances = page.tolerances
    state = {name: getattr(page, name) for name in (*SETTINGS, *LOOKS, "status", "group", "_cards")}
    over_time = None
    if looks is not None:
        limit = int(limit) // 4
        layers = [] if looks.shown.look is None else looks.shown.look.layers
        over_time = history_in_file(looks, layers, tolerances, 3 * limit)
        state["look"] = None if looks.shown.look is None else looks.shown.look.step
    partly = None if looks is None else looks.shown.partly
    if partly is not None:
        table, worst = partly.table(tolerances, before), partly.worst(partly.ranked_at(tolerances))
        layers = partly.look.layers
        units = {name: partly.units(name, tolerances, before) for name in layers}
        first = layers[0]
    else:
        table, units, worst = _whole(run, tolerances, limit, before)
        first = first_with_figures(run.tallies)
    state |= {"layer": page.layer or first, "_run": dict(info), "_groups": list(by_group)}
    rendered = render_page(
        title, text, state, table=table, units=units, worst=worst, over_time=over_time
    )
    return write_page(path, rendered)


def _whole(
    run: Run, tolerances: Tolerances, limit: int, before: ResultBefore | None
) -> tuple[bytes, dict[str, bytes], bytes]:
    """Table, units and worst units of a run."""
    with run.lock:
        if not run.probes:
            so = "there is nothing to write"
            raise run.nothing_counted(so)
        tallies, grid, recount = run.tallies, run.options.grid, run.recount
        table = table_snapshot(
            tallies, grid, tolerances, unit_scales=UNIT_SCALES, recount=recount, before=before
        )
        all_units = max(sum(tally.units for tally in tallies.values()), 1)
        units = {
            name: units_snapshot(
                name,
                tally,
                tolerances,
                int(limit * tally.units // all_units),
                recount=recount,
                before=before,
            )
            for name, tally in tallies.items()
        }
        several = ranked_at(tallies, grid, tolerances, BOUNDED_IN_A_FILE)
        worst = worst_snapshot(tallies, several, recount)
    return table, units, worst


def render_page(
    title: str,
    text: str,
    state: Mapping[str, Any],
    *,
    table: bytes,
    units: Mapping[str, bytes],
    worst: bytes,
    over_time: HistoryInFile | None = None,
) -> str:
    """A self-contained page: the bundle, the layer table, every layer's units, and the worst.

    Parameters
    ----------
    title, text : str
        The heading, and what stands under it.
    state : mapping
        The widget's synced state, as JSON.
    table : bytes
        The table snapshot.
    units : mapping of str to bytes
        The units snapshot of each layer.
    worst : bytes
        The snapshot of the worst units of the network.
    over_time : HistoryInFile, optional

    Returns
    -------
    str
    """
    parts: list[str] = []

    def add(data: bytes) -> list[str]:
        first = len(parts)
        parts.extend(_packed(data))
        return [_id(number) for number in range(first, len(parts))]

    payload = {
        "version": PAYLOAD_VERSION,
        "title": title,
        "text": text,
        "state": dict(state),
        "table": add(table),
        "worst": add(worst),
        "units": {layer: add(snapshot) for layer, snapshot in units.items()},
    }
    if over_time is not None:
        payload["over_time"] = {
            "timeline": add(over_time.timeline),
            "lives": {layer: add(life) for layer, life in over_time.lives.items()},
            "looks": [
                {
                    "step": look.step,
                    "probes": look.inputs,
                    "ends": look.ends,
                    "parts": add(look.data),
                }
                for look in over_time.looks
            ],
        }
    sheet = f"{_STYLES}{styles()}\n"
    return _PAGE.format(
        policy=_POLICY.format(start=_source(_START), styles=_source(sheet)),
        title=html.escape(title),
        styles=sheet,
        start=_START,
        payload=json.dumps(payload, allow_nan=False).replace("<", "\\u003c"),
        data="\n".join(
            f'<script type="application/octet-stream" id="{_id(number)}">{part}</script>'
            for number, part in enumerate(parts)
        ),
        bundle=base64.b64encode(script().encode()).decode(),
    )


def _source(text: str) -> str:
    """What a policy calls an element of this text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _id(part: int) -> str:
    return f"data-{part}"


def write_page(path: str | Path, page: str) -> Path:
    """Write a page so that a failure leaves no half of it, and return where it is.

    Raises
    ------
    FileError
        If the path is none, there is something that is no regular file, or the folder is not there
        or cannot be written to.

    Warns
    -----
    IUAWarning
        If the page is so large that a browser may not open it.
    """
    target = as_path(path)
    with replacing(target) as file:
        size = file.write(page.encode(errors="replace"))
    if size > LARGEST_PAGE:
        message = (
            f"{target.name} takes {format_bytes(size)}, and a browser may not open a page above "
            f"{format_bytes(LARGEST_PAGE)}. Write it again with a smaller limit=, which leaves out "
            "stops of large layers, or from a run of fewer layers (layers=)."
        )
        warnings.warn(message, IUAWarning, stacklevel=5)  # of whoever calls `to_html`
    return target.resolve()


def _packed(data: bytes) -> list[str]:
    """Compressed, as base64, in parts that can each be decoded alone."""
    packed = gzip.compress(data, compresslevel=6, mtime=0)
    return [
        base64.b64encode(packed[start : start + PART_BYTES]).decode()
        for start in range(0, len(packed), PART_BYTES)
    ]
