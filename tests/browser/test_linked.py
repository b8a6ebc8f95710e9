"""Widgets linked with Python and with each other, composed, shown twice, closed and shown again."""

from __future__ import annotations

from typing import Any

import pytest
from panel import Panel
from playwright.sync_api import expect
from waiting import until

pytestmark = pytest.mark.browser

SETUP = """
import ipywidgets
import numpy as np
import pandas as pd
from iua_widget import IUAWidget
rng = np.random.default_rng(3)
data = {f"relu{n}": np.maximum(rng.normal(size=(60, 6, 4, 4)), 0).astype("f4") for n in range(3)}
for n, response in enumerate(data.values()):
    response[:, :n] = 0
a, b = IUAWidget(data), IUAWidget(data)
seen = []
a.observe(lambda change: seen.append((change["name"], change["new"])),
          ["atol", "layer", "selected", "sort", "filter"])
by_kernel = ipywidgets.link((a, "atol"), (b, "atol"))
by_page = ipywidgets.jslink((a, "dead_at"), (b, "dead_at"))
output = ipywidgets.Output()
with output:
    display(a)
"""
SHOWN = "ipywidgets.VBox([a, b, output])"


def test_widgets_are_linked_composed_shown_twice_and_shown_again(open_notebook: Any) -> None:
    notebook = open_notebook(SETUP, SHOWN, "pass")
    notebook.run_all()
    first, second, again = (Panel(notebook.page, index) for index in range(3))
    for panel in (first, second, again):
        panel.wait_for_status("done")
        expect(panel.rows).to_have_count(3)

    # By the kernel, from the page and from Python; a second view of the first shows the same.
    first.set_slider("atol", 33)
    for panel in (second, again):
        expect(panel.slider("atol")).to_have_value("33")
    notebook.python("b.atol = 0.05; it = None")
    for panel in (first, again):
        expect(panel.field("atol")).to_have_value("0.05")
    assert notebook.python("it = [name for name, _ in seen if name == 'atol'][-1:]") == ["atol"]

    # By the page, without the kernel's doing.
    field = first.root.get_by_label("dead if inactive on at least this percentage of probes")
    field.fill("40")
    field.press("Enter")
    expect(
        second.root.get_by_label("dead if inactive on at least this percentage of probes")
    ).to_have_value("40")
    until(lambda: notebook.python("it = [a.dead_at, b.dead_at]") == [0.4, 0.4], "both")

    # What is on show is what Python gives: sorted, filtered, selected.
    first.row("relu2").click()
    until(lambda: notebook.python("it = a.layer") == "relu2", "the layer in Python")
    notebook.python("a.sort = {'column': 'dead units', 'ascending': False}; it = None")
    notebook.python("a.filter = 'dead-units>0'; a.selected = [0, 5]; it = None")
    for panel in (first, again):
        until(lambda p=panel: set(p.layers()) == set(_table(notebook)), "the rows")  # type: ignore[misc]
        assert panel.layers() == _table(notebook)
    assert second.layers() == ["relu0", "relu1", "relu2"]
    assert notebook.python("it = a.selection().index.tolist()") == [0, 5]
    assert notebook.python("it = bool((a.selection()['inactive count'] == 60).all())")
    dead = notebook.python("it = a.table()['dead units'].tolist()")
    shown = first.table()
    assert [shown[layer]["dead-units"][0] for layer in first.layers()] == dead

    # Closed, and shown again from what it had counted.
    notebook.python("counted = a.iua; a.close(); it = None")
    expect(notebook.page.locator(".iua-widget")).to_have_count(1)
    notebook.python("b.close(); it = None")
    expect(notebook.page.locator(".iua-widget")).to_have_count(0)
    assert notebook.python("it = IUAWidget(counted).table()['response'].tolist()") == [
        "relu0",
        "relu1",
        "relu2",
    ]


def _table(notebook: Any) -> list[str]:
    return list(notebook.python("it = a.table()['response'].tolist()"))
