"""On the page, a layer without figures is a row that says why, and a NaN hides no dead unit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from panel import Panel, complaints_of
from playwright.sync_api import Page, expect

from iua_widget import IUAWidget


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
    expect(panel.row("padding").locator('[data-column="dead"]')).to_contain_text("–")  # noqa: RUF001
    expect(panel.row("nothing").locator('[data-column="share"]')).to_contain_text("–")  # noqa: RUF001
    expect(panel.row("dense").locator('[data-column="dead"]')).to_contain_text("2")
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
    assert panel.table()["dense"]["dead"] == (2, 2)
    panel.root.get_by_role("columnheader", name="dead units").click()
    assert panel.layers()[-1] == "padding"
    assert complaints == []
