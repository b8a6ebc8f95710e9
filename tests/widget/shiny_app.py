"""An app of Shiny with the widget, and a page that says what it is told: see `test_shiny`.

A process of its own: to import `shinywidgets` is to have no widgets but in a session.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from typing import Any

import torch
from shiny import App, ui
from shinywidgets import output_widget, render_widget
from starlette.testclient import TestClient
from torch import nn

from iua_widget import IUAWidget

BATCHES = 6

go_on = threading.Semaphore(0)


def batches() -> Iterator[torch.Tensor]:
    """One batch each time the page has been told of the one before."""
    for _ in range(BATCHES):
        go_on.acquire(timeout=20)
        yield torch.randn(5, 4)


def server(input: Any, output: Any, session: Any) -> None:  # noqa: A002, ARG001  (Shiny's names)
    """One session."""

    @render_widget
    def layers() -> IUAWidget:
        model = nn.Sequential(nn.Linear(4, 8), nn.ReLU())
        return IUAWidget(model, batches(), engine="reference")


def shown(message: dict[str, Any]) -> dict[str, Any]:
    """What a message says of the widget, if anything."""
    for kind, text in message.get("custom", {}).items():
        if kind in ("shinywidgets_comm_open", "shinywidgets_comm_msg"):
            data = json.loads(text)["content"]["data"]
            if "_run" in data.get("state", {}):
                return dict(data["state"])
    return {}


def main() -> None:
    """Print the probes of every state the page is told, and the last status."""
    clientdata = {"output_layers_hidden": False, "output_layers_width": 600, "pixelratio": 1}
    texts = dict.fromkeys(
        ("url_search", "url_pathname", "url_hostname", "url_port", "url_protocol", "url_hash"), ""
    )
    data = {f".clientdata_{name}": value for name, value in (clientdata | texts).items()}
    told, status = [], ""
    app = App(ui.page_fluid(output_widget("layers")), server)
    with TestClient(app) as client, client.websocket_connect("/websocket/") as page:
        page.send_text(json.dumps({"method": "init", "data": data}))
        while status not in ("done", "failed"):
            state = shown(json.loads(page.receive_text()))
            if state:
                if not told or state["_run"]["probes"] > told[-1]:
                    go_on.release()
                told.append(state["_run"]["probes"])
                status = state.get("status", status)
    sys.stdout.write(json.dumps({"told": told, "status": status}))


if __name__ == "__main__":
    main()
