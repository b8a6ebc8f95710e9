"""Two results compared in JupyterLab: what Python sets, the page follows."""

from __future__ import annotations

from typing import Any

import pytest
from panel import Panel
from playwright.sync_api import expect
from test_lab import until

pytestmark = pytest.mark.browser

CELL = """
import numpy as np

from iua_widget import IUA, IUAWidget

def data(seed, probes):
    rng = np.random.default_rng(seed)
    dense = np.maximum(rng.normal(size=(probes, 40)), 0) * 10 ** rng.uniform(-3, 0, size=40)
    dense[:, rng.random(40) < 0.4] = 0
    return {"dense": dense}

before = IUA.introspect(data(1, 20), engine="reference")
w = IUAWidget(data(2, 30), engine="reference", color="change")

def changes():
    table = w.table()
    names = [f"{name}{upper}" for name in ("newly dead", "revived") for upper in ("", " upper")]
    return [int(table.get(name, table[name.removesuffix(" upper")])[0]) for name in names]

w
"""


def test_a_result_is_compared_and_let_go_of_while_the_page_is_open(open_notebook: Any) -> None:
    notebook = open_notebook(CELL)
    notebook.run_all()
    panel = Panel(notebook.page)
    panel.wait_for_status("done")
    head = panel.root.locator('thead [data-column="revived"]')
    expect(head).to_be_hidden()
    notebook.python("w.compare(before, name='epoch 1'); it = 0")
    expect(head).to_be_visible()
    expect(panel.canvas).to_have_attribute("data-coloring", "change")
    for code in (
        "w.scale, w.rtol = 'unit_rms', 0.3",
        "w.atol, w.rtol = 0.05, 0.1234",
        "w.dead_at = 0.8",
        "w.scale, w.rtol, w.atol = 'layer_mean', 0.1, 0.0123",
        "w.recount(); w.wait()",
    ):
        expected = notebook.python(f"{code}; it = changes()")

        def shown(expected: Any = expected) -> bool:
            row = panel.table()["dense"]
            return [*row["newly-dead"], *row["revived"]] == expected

        until(shown, code)
    notebook.python("w.compare(None); it = 0")
    expect(head).to_be_hidden()
    expect(panel.canvas).to_have_attribute("data-coloring", "share")
