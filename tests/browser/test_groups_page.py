"""Groups on the page: one is chosen, and the layer is seen in each, live and in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from panel import Panel
from playwright.sync_api import Page, expect
from test_lab import until

from iua_widget import IUAWidget

pytestmark = pytest.mark.browser


def widget() -> IUAWidget:
    rng = np.random.default_rng(0)
    data = {name: np.maximum(rng.normal(size=(40, 6)), 0) for name in ("relu", "fc")}
    data["relu"][:20, 2] = 0
    return IUAWidget(
        data, groups=["cat"] * 20 + ["dog"] * 20, engine="reference", background=False, layer="relu"
    )


def test_a_file_has_the_group_on_show_and_pictures_of_all(page: Page, tmp_path: Path) -> None:
    w = widget()
    w.group = "cat"
    w.selected = [2]
    page.goto(w.to_html(tmp_path / "groups.html").as_uri())
    panel = Panel(page)
    expect(panel.canvas).to_have_attribute("data-dead", "1")
    expect(panel.root.get_by_label("unit card")).to_contain_text("Inactive in: cat: 100.0 %, dog:")
    expect(page.get_by_role("heading").first).to_contain_text("group cat")
    expect(panel.root.get_by_label("probes on show")).to_be_hidden()
    panel.root.get_by_role("tab", name="By group").click()
    pictures = panel.root.locator(".iua-group-picture")
    expect(pictures).to_have_count(2)
    share = 100 * w.iua["relu"].mean_inactive / 6
    expect(pictures.first).to_have_text(f"cat: {share:.1f} % inactive, 1 dead")
    expect(pictures.first).to_have_attribute("aria-pressed", "true")
    expect(pictures.first).to_be_disabled()
    assert pictures.first.locator("img").evaluate("image => image.naturalWidth") > 0
    panel.row("fc").click()
    expect(pictures.first).to_contain_text("0 dead")


CELL = """
import numpy as np

from iua_widget import IUAWidget

rng = np.random.default_rng(0)
relu = np.maximum(rng.normal(size=(400, 64)), 0)
relu[:200, :7] = 0
w = IUAWidget({"relu": relu}, groups=["cat"] * 200 + ["dog"] * 200, causes=True)
w
"""


def test_a_group_is_chosen_in_jupyterlab_and_the_layer_seen_in_each(open_notebook: Any) -> None:
    notebook = open_notebook(CELL)
    notebook.run_all()
    panel = Panel(notebook.page)
    panel.wait_for_status("done")
    expect(panel.canvas).to_have_attribute("data-dead", "0")
    panel.root.get_by_label("probes on show").select_option("cat")
    expect(panel.canvas).to_have_attribute("data-dead", "7")
    until(lambda: notebook.python("it = [w.group, int(w.table()['dead units'][0])]") == ["cat", 7])
    panel.root.get_by_role("tab", name="By group").click()
    pictures = panel.root.locator(".iua-group-picture")
    expect(pictures.first).to_contain_text("7 dead")
    pictures.nth(1).click()
    expect(pictures.nth(1)).to_have_attribute("aria-pressed", "true")
    expect(panel.canvas).to_have_attribute("data-dead", "0")
    panel.root.get_by_label("probes on show").select_option("all probes")
    until(lambda: notebook.python("it = w.group") is None)
    panel.root.get_by_role("tab", name="Of this layer").click()
    until(lambda: notebook.python("it = w.by_group") is False)
