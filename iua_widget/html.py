"""The widget as one HTML file that works offline, without a kernel."""

from __future__ import annotations

import base64
import gzip
import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from iua_widget.static_files import script, styles

PAYLOAD_VERSION: Final = 2

_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
body {{ margin: 0 auto; max-width: 1600px; padding: 16px; background: Canvas; color: CanvasText; }}
{styles}
</style>
</head>
<body>
<div id="widget"><noscript>This page needs JavaScript, which is switched off.</noscript></div>
<script type="application/json" id="payload">{payload}</script>
<script type="application/octet-stream" id="bundle">{bundle}</script>
<script type="module">
const text = (id) => document.getElementById(id).textContent;
const bytes = Uint8Array.from(atob(text("bundle")), (character) => character.charCodeAt(0));
const address = URL.createObjectURL(new Blob([bytes], {{ type: "text/javascript" }}));
const {{ renderStatic }} = await import(address);
await renderStatic(document.getElementById("widget"), JSON.parse(text("payload")));
</script>
</body>
</html>
"""


def render_page(
    title: str, state: Mapping[str, Any], table: bytes, units: Mapping[str, bytes]
) -> str:
    """A self-contained page: the bundle, the layer table, and every layer's units.

    Parameters
    ----------
    title : str
    state : mapping
        The widget's synced state, as JSON.
    table : bytes
        The table snapshot.
    units : mapping of str to bytes
        The units snapshot of each layer.

    Returns
    -------
    str
    """
    payload = {
        "version": PAYLOAD_VERSION,
        "title": title,
        "state": dict(state),
        "compression": "gzip",
        "table": _compressed(table),
        "units": {layer: _compressed(snapshot) for layer, snapshot in units.items()},
    }
    return _PAGE.format(
        title=html.escape(title),
        styles=styles(),
        payload=json.dumps(payload, allow_nan=False).replace("<", "\\u003c"),
        bundle=base64.b64encode(script().encode()).decode(),
    )


def write_page(path: str | Path, page: str) -> Path:
    """Write a page so that a failure leaves no half of it, and return where it is.

    Raises
    ------
    OSError
        If the folder is not there or cannot be written to.
    """
    target = Path(path).expanduser()
    draft = target.with_name(f".{target.name}.part")
    try:
        draft.write_text(page, encoding="utf-8")
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    return target.resolve()


def _compressed(data: bytes) -> str:
    return base64.b64encode(gzip.compress(data, compresslevel=6, mtime=0)).decode()
