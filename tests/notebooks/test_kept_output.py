"""A notebook that is run and saved keeps the result, for readers without a kernel."""

from __future__ import annotations

import copy
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter, MarkdownExporter, SlidesExporter

pytestmark = pytest.mark.slow


CELLS = {
    "setup": """
import threading
import time

import numpy as np
from IPython.display import display
from ipywidgets import Output, Tab, VBox

from iua_widget import IUAWidget

def held(gate):
    def batches(batch_size):
        for _ in range(3):
            yield {"<a>": np.repeat([[0.0, 0.5, 1.0]], 32, axis=0), "b": np.zeros((32, 2, 4, 4))}
            waiting.add(gate)
            gate.acquire(timeout=30)
    return IUAWidget(batches, engine="reference")

def broken(batch_size):
    yield {"a": np.zeros((32, 3))}
    raise OSError("the <i>disk</i> is gone")

gates = [threading.Semaphore(0) for _ in range(4)]
waiting = set()
""",
    "before its end": "w = held(gates[0])\nw",
    "at its end": "gates[0].release(3)\nw.wait()",
    "once more": "w",
    "twice": "display(w)\ndisplay(w)",
    "in Output": "out = Output()\nwith out:\n    display(w)\nout",
    "in Tab": "Tab([VBox([w])])",
    "printed": "print(w)",
    "stopped": "s = held(gates[1])\ns",
    "paused": "p = held(gates[2])\np",
    "closed": "c = held(gates[3])\nc",
    "held": """
while waiting != set(gates):  # the first batch of each is counted
    time.sleep(0.01)
c.close()
s._runs.current.stop(wait=False)
p._runs.current.pause(wait=False)
""",
    "failed": "f = IUAWidget(broken, engine='reference')\nf",
    "after": """
for gate in gates:
    gate.release()
f._runs.current.wait(), c.wait(), s.wait(), p.pause()
""",
    "settled": "w.layer = 'b'\nw.atol = 0.5",
    "result": "_2",
}


@pytest.fixture(scope="module")
def book() -> Any:
    book = nbformat.v4.new_notebook()
    book.cells = [nbformat.v4.new_code_cell(source) for source in CELLS.values()]
    NotebookClient(book, timeout=120).execute()
    return book


def stills(book: Any, cell: str) -> list[Any]:
    outputs = book.cells[list(CELLS).index(cell)].outputs
    data = [output.get("data", {}) for output in outputs]
    return [one for one in data if "iua-still" in one.get("text/html", "")]


@pytest.mark.parametrize(
    "cell", ["before its end", "once more", "twice", "in Output", "in Tab", "result"]
)
def test_each_cell_that_displays_a_widget_keeps_it_once_as_it_was_at_last(
    book: Any, cell: str
) -> None:
    (kept,) = stills(book, cell)
    page = kept["text/html"]
    assert "Inactive units of" in page
    assert "96 probes · inactive: |x| ≤ 0.5" in page
    assert "&lt;a&gt;" in page
    assert "<a>" not in page
    assert "<b>b</b> · 32 units" in page
    assert page.count("data:image/png;base64,") == 1
    assert "66.7 %" in kept["text/plain"]


@pytest.mark.parametrize(
    ("cell", "state"),
    [
        ("stopped", "stopped after 64 probes"),
        ("closed", "stopped after 64 probes"),
        ("paused", "paused after 64 probes"),
        ("failed", "The run broke off after 32 inputs, and the figures are of these: "),
    ],
)
def test_a_run_that_did_not_end_well_is_kept_with_what_it_counted(
    book: Any, cell: str, state: str
) -> None:
    (kept,) = stills(book, cell)
    assert state in kept["text/html"]
    assert "100.0 %" in kept["text/html"]
    assert "<i>" not in kept["text/html"]


def test_what_is_not_displayed_leaves_nothing(book: Any) -> None:
    assert not stills(book, "setup")
    assert not stills(book, "printed")
    assert not stills(book, "after")


@pytest.mark.parametrize("exporter", [HTMLExporter, SlidesExporter, MarkdownExporter])
@pytest.mark.parametrize("state", [True, False], ids=["with widget state", "without"])
def test_converted_notebooks_show_it(
    book: Any,
    exporter: type[HTMLExporter],
    state: bool,
) -> None:
    alone = copy.deepcopy(book)
    alone.cells = [alone.cells[list(CELLS).index("before its end")]]
    if not state:
        del alone.metadata["widgets"]
    page, _ = exporter().from_notebook_node(alone)
    assert page.count("Heatmap of b") == page.count('src="data:image/png;base64,') == 1
    assert "&lt;a&gt;" in page
    assert state or "IUAWidget(" not in page
