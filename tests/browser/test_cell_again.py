"""A cell rerun in JupyterLab: its widget is as the one before was left."""

from __future__ import annotations

from typing import Any

import pytest
from panel import Panel
from playwright.sync_api import expect
from test_lab import until

pytestmark = pytest.mark.browser

CELL = """
import numpy as np

from iua_widget import IUAWidget

rng = np.random.default_rng(0)
data = {f"layer{i}": np.maximum(rng.normal(size=(64, 40)), 0) for i in range(3)}
w = IUAWidget(data, engine="reference", tau=0.5)
w
"""

SEEN = "it = w.atol, w.layer, w.sort, w.filter, w.tau, id(w)"


def test_a_cell_run_again_keeps_what_was_chosen_on_the_page(open_notebook: Any) -> None:
    notebook = open_notebook(CELL, "w.color = 'dead'")
    notebook.run_all()
    panel = Panel(notebook.page)
    panel.wait_for_status("done")
    panel.row("layer2").click()
    panel.set_slider("atol", 50)
    panel.root.locator("thead th[data-column=dead-units] button").first.click()
    panel.root.get_by_role("searchbox").fill("layer")
    until(lambda: notebook.python(SEEN)[3] == "layer", "Python follows")
    notebook.python("w.tau = 0.25; it = None")
    chosen = notebook.python(SEEN)
    notebook.page.locator(".jp-CodeCell .cm-content").first.click()
    notebook.page.keyboard.press("Control+End")
    notebook.page.keyboard.type("\n# changed, and run again")
    notebook.command("notebook:run-cell")
    until(lambda: notebook.python(SEEN)[-1] != chosen[-1], "there is another widget")
    panel.wait_for_status("done")
    assert notebook.python(SEEN)[:4] == chosen[:4]
    assert notebook.python("it = w.tau, w.color") == [0.5, "dead"]
    until(lambda: panel.heatmap()["layer"] == "layer2", "the page shows it")
    expect(panel.slider("atol")).to_have_value("50")
