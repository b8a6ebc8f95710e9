"""The output kept in a saved notebook: hidden beside a live widget, shown where there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter, SlidesExporter
from panel import Panel
from playwright.sync_api import Browser, Page, expect
from test_lab import GATED, SETUP, until

pytestmark = pytest.mark.browser

WITHIN = """
from ipywidgets import Output, Tab
out = Output()
with out:
    display(w)
Tab([out])
"""

STILL = "[class^=iua-still-]"


def test_the_result_is_kept_unseen_and_seen_when_the_notebook_is_opened_without_its_kernel(
    open_notebook: Any, browser: Browser
) -> None:
    notebook = open_notebook(SETUP, GATED, WITHIN, own_kernel=True)
    notebook.run_all()
    live = notebook.page
    panel, within = Panel(live, 0), Panel(live, 1)
    within.wait_for_status("running")
    stills = live.locator(STILL)

    def expect_unseen(text: str) -> None:
        for place in range(2):
            expect(stills.nth(place)).to_contain_text(text)
            expect(stills.nth(place)).to_be_hidden()
        shown = live.locator(".jp-OutputArea-child").filter(visible=True)
        expect(shown).to_have_count(2 + 1)  # and one within Output

    panel.root.evaluate("(root) => { root.untouched = true; }")
    notebook.python(
        "gate.release(2); w._runs.current.pause(wait=False); gate.release(9); it = None"
    )
    panel.wait_for_status("paused")
    expect_unseen("paused after")
    assert panel.root.evaluate("(root) => root.untouched"), "the view was made anew"
    notebook.save()
    live.reload()
    notebook.wait_until_ready()
    panel.wait_for_status("paused")
    notebook.python("gate.release(1000); w.resume(); it = w.wait(60)")
    panel.wait_for_status("done")
    expect_unseen("1,797 probes")
    panel.row("4").click()
    expect_unseen("4 · 40 units")
    notebook.save()
    saved = notebook.lab.folder / notebook.name
    until(lambda: "40 units" in saved.read_text(), "the notebook is saved")
    live.goto("about:blank")
    notebook.lab.ask(f"/api/sessions/{notebook.session()['id']}", "DELETE")

    reader = browser.new_context().new_page()
    reader.goto(notebook.lab.page_of(notebook.name))
    for place in range(2):
        still = reader.locator(STILL).nth(place)
        expect(still.locator("tbody tr")).to_have_count(10 + 3 + 1)
        expect(still.get_by_text("1,797 probes")).to_be_visible()
        picture = still.get_by_role("img", name="Heatmap of 4")
        expect(picture).to_be_visible()
        assert picture.evaluate("(image) => image.naturalWidth") == 400
    lost = reader.get_by_text("model not found")
    expect(lost).to_have_count(2)
    for place in range(2):
        expect(lost.nth(place)).to_be_hidden()
    reader.context.close()


CONVERTED = """
import numpy as np
from iua_widget import IUAWidget
maps = np.maximum(np.random.default_rng(8).normal(size=(64, 6, 8, 8)), 0)
maps[:, 2] = 0
w = IUAWidget({"relu": maps, "head": maps[:, :, 0, 0]}, engine="reference")
w
"""


def test_converted_to_a_page_and_to_slides_it_is_seen_in_a_browser_without_a_network(
    page: Page, tmp_path: Path
) -> None:
    book = nbformat.v4.new_notebook()
    book.cells = [nbformat.v4.new_code_cell(cell) for cell in (CONVERTED, "w.wait()")]
    NotebookClient(book, timeout=120).execute()
    page.route("http*://**", lambda route: route.abort())
    for exporter in (HTMLExporter(), SlidesExporter()):
        text, _ = exporter.from_notebook_node(book)
        path = tmp_path / f"{type(exporter).__name__}.html"
        path.write_text(text, "utf-8")
        page.goto(path.as_uri())
        still = page.locator(STILL)
        picture = still.get_by_role("img", name="Heatmap of relu")
        expect(picture).to_be_visible()
        assert picture.evaluate("(image) => image.naturalWidth") > 0
        expect(still.get_by_role("cell", name="channel 2", exact=True)).to_be_visible()
        expect(still.locator("tbody tr")).to_have_count(10 + 2 + 1)
        assert still.evaluate("(still) => still.scrollWidth <= still.clientWidth")
