"""On the page, a layer without figures is a row that says why, and a NaN hides no dead unit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from panel import Panel, complaints_of
from playwright.sync_api import Page, expect
from stub_page import page_state, stub_page

from iua_widget import IUAWidget

pytestmark = pytest.mark.browser


PARTS = (".iua-curve-panel", ".iua-panes", ".iua-strip")


def test_layers_without_figures_say_why_and_take_nothing_from_the_others(
    page: Page, tmp_path: Path
) -> None:
    dense = np.ones((20, 6), np.float32)
    dense[:, :2], dense[7, 1:3] = 0, np.nan
    data = {"padding": np.zeros((20, 3, 4)), "dense": dense, "nothing": np.zeros((20, 0))}
    none = {"padding": np.zeros((20, 3), bool)}
    widget = IUAWidget(data, units={"padding": "token"}, mask=lambda _: none)
    assert widget.wait(60)
    complaints = complaints_of(page)
    page.goto(widget.to_html(tmp_path / "page.html").as_uri())
    panel = Panel(page)
    expect(panel.row("padding").locator('[data-column="dead-units"]')).to_contain_text("–")  # noqa: RUF001
    expect(panel.row("nothing").locator('[data-column="inactive-share"]')).to_contain_text("–")  # noqa: RUF001
    expect(panel.row("dense").locator('[data-column="dead-units"]')).to_contain_text("2")
    for layer, why in (
        ("padding", "No probe has reached padding: all its positions are padding"),
        ("nothing", "nothing has no units"),
    ):
        panel.row(layer).click()
        expect(panel.root.get_by_text(why)).to_be_visible()
    warning = panel.root.locator(".iua-warning")
    expect(warning).to_contain_text("2 NaN and 0 infinite responses, in 'dense' (first in batch 0)")
    panel.row("dense").click()
    assert panel.heatmap()["dead"] == widget.iua.results["dense"].dead == 2
    assert panel.table()["dense"]["dead-units"] == (2, 2)
    panel.root.get_by_role("columnheader", name="dead units").click()
    assert panel.layers()[-1] == "padding"
    assert complaints == []


@pytest.mark.parametrize("status", ["failed", "stopped"])
def test_a_run_that_ended_before_its_first_batch_leaves_no_empty_panes(
    page: Page, status: str
) -> None:
    widget = IUAWidget(lambda _: iter(()))
    with pytest.warns(match="nothing to count"):
        widget.wait(60)
    complaints = complaints_of(page)
    page.set_content(stub_page(page_state(widget, status="running")))
    page.wait_for_function("window.ready")
    panel = Panel(page)
    for part in PARTS:
        expect(panel.root.locator(part)).to_be_visible()
    tops, bottoms = (
        panel.root.locator(".iua-panes .iua-placeholder:visible").evaluate_all(
            f"(nodes) => nodes.map((node) => node.getBoundingClientRect().{edge})"
        )
        for edge in ("top", "bottom")
    )
    assert tops[0] == pytest.approx(tops[1], abs=1)
    assert bottoms[0] == pytest.approx(bottoms[1], abs=1)
    page.evaluate("(status) => window.update({ status })", status)
    for part in PARTS:
        expect(panel.root.locator(part)).to_be_hidden()
    expect(panel.field("atol")).to_be_visible()
    expect(panel.root.get_by_text("there is nothing to count")).to_be_visible()
    page.evaluate("window.update({ status: 'running' })")
    expect(panel.root.locator(".iua-panes")).to_be_visible()
    assert complaints == []
