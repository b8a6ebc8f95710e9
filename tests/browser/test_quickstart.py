"""The quickstart notebook, run as it stands in a real JupyterLab, and the demonstration's page."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from panel import Panel
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def test_the_quickstart_shows_the_widget_in_jupyterlab(open_notebook: Any, lab: Any) -> None:
    shutil.copy(NOTEBOOKS / "digits.py", lab.folder)
    book = nbformat.read(NOTEBOOKS / "quickstart.ipynb", as_version=4)
    cells = [cell.source for cell in book.cells if cell.cell_type == "code"]
    notebook = open_notebook(*cells, own_kernel=True)
    notebook.run_all()
    panel = Panel(notebook.page)
    panel.wait_for_status("done")
    expect(panel.row("relu2")).to_have_attribute("aria-selected", "true")
    expect(panel.field("atol")).to_have_value("0.001")
    assert panel.heatmap()["dead"] == notebook.python(
        "it = w.iua.at(atol=1e-3).results['relu2'].dead"
    )
    assert panel.layers() == ["relu1", "relu2", "relu3"]
    expect(notebook.page.locator(".jp-RenderedSVG").first).to_be_visible()
    folder = os.environ.get("IUA_SCREENSHOTS")
    if folder:
        panel.root.screenshot(path=Path(folder) / "widget.png")


def test_the_demonstrations_page_opens_from_disk(page: Page, tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, NOTEBOOKS / "demo.py", "--output", tmp_path / "demo.html"],
        check=True,
        capture_output=True,
    )
    page.context.set_offline(True)
    page.goto((tmp_path / "demo.html").as_uri())
    panel = Panel(page)
    expect(panel.rows).to_have_count(6)
    worst = panel.heatmap()["layer"]
    assert worst.startswith("dying.relu")
    table = panel.table()
    assert (
        table[worst]["dead-units"][0]
        > 3 * table[worst.replace("dying", "healthy")]["dead-units"][0]
    )
    heading = page.get_by_role("heading", name="A learning rate too high killed these ReLUs")
    expect(heading).to_be_visible()
    text = page.locator(".iua-text")
    expect(text).to_contain_text(f"of the units in {worst}")
    below, above = text.bounding_box(), heading.bounding_box()
    assert above["y"] + above["height"] <= below["y"], "the sentence stands under the title"
    expect(page.get_by_text("two small conv nets")).to_be_visible()
