"""The bundle on a page of its own, with a model whose state a test sets: no server, no kernel."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from waiting import until

from iua_widget import IUAWidget
from iua_widget.widget.assets import script, styles

_BYTES = "bytes:"

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>stub</title>
<style>body {{ margin: 8px; background: Canvas; color: CanvasText; }}
{styles}</style></head>
<body><main><h1>stub</h1><h2>cell</h2><div id="cell"></div></main>
<script type="module">
const encoded = {bundle};
const bytes = Uint8Array.from(atob(encoded), (c) => c.charCodeAt(0));
const address = URL.createObjectURL(new Blob([bytes], {{ type: "text/javascript" }}));
const {{ default: bundle }} = await import(address);
const read = (value) =>
    typeof value === "string" && value.startsWith("{mark}")
        ? new DataView(Uint8Array.from(atob(value.slice({skip})), (c) => c.charCodeAt(0)).buffer)
        : value;
const state = {{}};
const listeners = new Map();
const fire = (name) => {{
    for (const listener of listeners.get(`change:${{name}}`) ?? []) listener();
}};
/** What the page said to the kernel. */
window.said = [];
window.update = (changes) => {{
    for (const [name, value] of Object.entries(changes)) state[name] = read(value);
    for (const name of Object.keys(changes)) fire(name);
}};
let unsaved = {{}};
const model = {{
    get: (name) => state[name],
    set: (name, value) => {{
        state[name] = value;
        unsaved[name] = value;
        fire(name);
    }},
    save_changes: () => {{
        if (Object.keys(unsaved).length > 0) window.said.push({{ ...unsaved }});
        unsaved = {{}};
    }},
    send: (content) => window.said.push(content),
    on: (event, listener) => {{
        listeners.set(event, (listeners.get(event) ?? new Set()).add(listener));
    }},
    off: (event, listener) => listeners.get(event)?.delete(listener),
}};
window.update({state});
window.model = model;
window.show = () => {{
    const view = new AbortController();
    bundle.render({{ model, el: document.getElementById("cell"), signal: view.signal }});
    return view;
}};
window.view = window.show();
window.ready = true;
</script></body></html>
"""


def page_state(widget: IUAWidget, **changes: Any) -> dict[str, Any]:
    """The widget's synced state as JSON can hold it, with bytes marked."""
    if widget.status == "done" and widget._table:
        until(lambda: bool(widget._worst), "the worst units, which follow the last frame")
    state = {name: getattr(widget, name) for name in widget.keys if not name.startswith("_")}
    traits = ("_run", "_table", "_units", "_worst", "_history", "_life", "_shown")
    state |= {name: getattr(widget, name) for name in traits}
    for name in ("layout", "tabbable", "tooltip"):
        state.pop(name, None)
    state |= changes
    return {name: _written(value) for name, value in state.items()}


def _written(value: Any) -> Any:
    if isinstance(value, bytes):
        return _BYTES + base64.b64encode(value).decode()
    return value


def stub_page(state: Mapping[str, Any]) -> str:
    return _PAGE.format(
        styles=styles(),
        bundle=json.dumps(base64.b64encode(script().encode()).decode()),
        state=json.dumps(state).replace("<", "\\u003c"),
        mark=_BYTES,
        skip=len(_BYTES),
    )
