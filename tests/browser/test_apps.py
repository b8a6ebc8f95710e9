"""The widget in pages for readers, with real servers: Voila, and Shiny through shinywidgets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest
from panel import Panel, complaints_of
from playwright.sync_api import Page, expect
from servers import running_server
from test_lab import until

pytestmark = pytest.mark.browser

# Voila looks for MathJax and a favicon elsewhere, and loads every extension of JupyterLab there is.
NOT_OURS = ("Failed to load resource", "Error: The getter for the shared module")

COUNTS = """
import time
from pathlib import Path

import numpy as np

from iua_widget import IUAWidget

rng = np.random.default_rng(0)


def batches(batch_size):
    for batch in range(4):
        while batch > 1 and not Path("go").exists():
            time.sleep(0.05)
        yield {f"layer{i}": np.maximum(rng.normal(size=(16, 40)), 0) for i in range(3)}


"""

VOILA = """w = IUAWidget(batches, engine="reference")
w"""

VOILA_ECHO = """import ipywidgets

said = ipywidgets.Label()


def say(_=None):
    said.value = f"{w.status}: {w.layer} at {w.atol}"


w.observe(say, ["layer", "atol", "status"])
say()
said"""

SHINY = """
from shiny import App, reactive, render, ui
from shinywidgets import output_widget, reactive_read, render_widget


def server(input, output, session):
    @render_widget
    def layers():
        return IUAWidget(batches, engine="reference")

    @render.text
    def said():
        layer, atol, status = reactive_read(layers.widget, ["layer", "atol", "status"])
        return f"{status}: {layer} at {atol}"


app = App(ui.page_fluid(output_widget("layers"), ui.output_text("said")), server)
"""


@contextmanager
def voila(home: Path) -> Iterator[str]:
    book = nbformat.v4.new_notebook()
    book.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    book.cells = [nbformat.v4.new_code_cell(cell) for cell in (COUNTS, VOILA, VOILA_ECHO)]
    nbformat.write(book, home / "book.ipynb")
    with running_server(
        *("voila", "book.ipynb", "--no-browser", "--port={port}", "--Voila.ip=127.0.0.1"),
        home=home,
        JUPYTER_CONFIG_DIR=str(home / "config"),
        JUPYTER_RUNTIME_DIR=str(home / "runtime"),
        IPYTHONDIR=str(home / "ipython"),
    ) as address:
        yield address


@contextmanager
def shiny(home: Path) -> Iterator[str]:
    (home / "app.py").write_text(COUNTS + SHINY)
    command = ("shiny", "run", "app.py", "--host", "127.0.0.1", "--port", "{port}")
    with running_server(*command, home=home) as address:
        yield address


@pytest.fixture(params=[voila, shiny], ids=["Voila", "Shiny"])
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with request.param(tmp_path) as address:
        yield address


def test_it_counts_live_its_sliders_move_the_table_and_python_hears_of_them(
    app: str, page: Page, tmp_path: Path
) -> None:
    complaints = complaints_of(page)
    page.goto(app)
    panel = Panel(page)
    until(lambda: panel.root.count() and panel.probes() == 32, "two batches on the page")
    panel.wait_for_status("running")
    assert panel.layers() == ["layer0", "layer1", "layer2"]
    (tmp_path / "go").touch()
    panel.wait_for_status("done")
    until(lambda: panel.probes() == 64, "all batches on the page")
    expect(page.get_by_text("done: layer0 at 1e-08")).to_be_visible()
    below = page.get_by_text("done: layer0 at 1e-08").bounding_box()
    last = panel.root.locator(":scope > *").last.bounding_box()
    assert below
    assert last
    assert last["y"] + last["height"] <= below["y"], "it is cut off"
    panel.row("layer2").click()
    until(lambda: panel.heatmap()["layer"] == "layer2", "the units follow")
    before = panel.table()
    panel.set_slider("atol", 50)
    until(lambda: panel.table() != before, "the table follows the slider")
    expect(page.get_by_text("done: layer2 at")).not_to_contain_text("1e-08")
    page.evaluate("() => { document.documentElement.dataset.bsTheme = 'dark'; }")  # Shiny's switch
    ground = "(root) => getComputedStyle(root).backgroundColor.match(/\\d+/g).map(Number)"
    until(lambda: max(panel.root.evaluate(ground)[:3]) < 60, "it turns dark")
    assert [text for text in complaints if not text.startswith(NOT_OURS)] == []
