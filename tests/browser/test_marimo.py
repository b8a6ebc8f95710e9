"""The widget in a real marimo, by itself and through mo.ui.anywidget."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from panel import Panel
from playwright.sync_api import Page, expect
from servers import running_server
from test_lab import until

pytestmark = pytest.mark.browser

NOTEBOOK = """
import marimo

app = marimo.App()


@app.cell
def _():
    import marimo as mo
    import numpy as np
    from iua_widget import IUAWidget

    rng = np.random.default_rng(0)
    data = {f"layer{i}": np.maximum(rng.normal(size=(64, 40)), 0) for i in range(3)}
    return IUAWidget, data, mo


@app.cell
def _(IUAWidget, data, mo):
    w = IUAWidget(data)
    view = mo.ui.anywidget(w)
    view
    return view, w


@app.cell
def _(mo, view, w):
    mo.md(f"chosen: {view.value['layer']} at {view.value['atol']}, {w.iua.probes} probes")
    return


if __name__ == "__main__":
    app.run()
"""


@pytest.fixture(scope="module")
def marimo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("marimo")
    (home / "book.py").write_text(NOTEBOOK)
    with running_server(
        *("marimo", "run", "book.py", "--headless", "--no-token"),
        *("--host", "127.0.0.1", "--port", "{port}"),
        home=home,
        MARIMO_SKIP_UPDATE_CHECK="1",
        XDG_CONFIG_HOME=str(home),
        XDG_STATE_HOME=str(home),
    ) as address:
        yield address


def test_marimo_shows_the_widget_and_reacts_to_it(marimo: str, page: Page) -> None:
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(marimo)
    panel = Panel(page)
    panel.wait_for_status("done")
    assert panel.layers() == ["layer0", "layer1", "layer2"]
    panel.row("layer2").click()
    expect(page.get_by_text("chosen: layer2 at 1e-08, 64 probes")).to_be_visible()
    until(lambda: panel.heatmap()["layer"] == "layer2", "the units follow")
    panel.set_slider("atol", 40)
    expect(page.get_by_text("chosen: layer2 at")).not_to_contain_text("1e-08")
    assert complaints == []
