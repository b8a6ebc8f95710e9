"""A kernel that is restarted, dies or is shut down: the page says so; what cannot work is off."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest
from panel import Panel
from playwright.sync_api import expect
from test_lab import until

pytestmark = pytest.mark.browser

TOLD_WITHIN = 10_000

CELL = """
import threading

import numpy as np

from iua_widget import IUAWidget

gate = threading.Semaphore(0)
rng = np.random.default_rng(0)


def batches(batch_size):
    for _ in range(4):
        gate.acquire()
        yield {f"layer{i}": np.maximum(rng.normal(size=(16, 40)), 0) for i in range(3)}


w = IUAWidget(batches, engine="reference")
w
"""

SESSION = "window.jupyterapp.shell.currentWidget.sessionContext"
RESTART = f"() => {SESSION}.session.kernel.restart().then(() => undefined)"
SHUT_DOWN = f"() => {SESSION}.shutdown().then(() => undefined)"
NEW_KERNEL = f"() => {SESSION}.changeKernel({{ name: 'python3' }}).then(() => undefined)"


def assert_told(panel: Panel) -> None:
    """The page says what happened and what to do; what cannot work is off, and the rest goes on."""
    alert = panel.root.get_by_role("alert").filter(visible=True)
    expect(alert).to_contain_text("The kernel was restarted or has ended", timeout=TOLD_WITHIN)
    expect(alert).to_contain_text("run the cell again")
    expect(panel.root.locator(".iua-state-word")).to_have_text("Kernel gone")
    for name in ("Restart", "Pause", "Resume", "Stop"):
        for button in panel.root.get_by_role("button", name=name, exact=True).all():
            expect(button).to_be_disabled()
    expect(panel.button("Recount")).to_have_count(0)
    before, shown = panel.table(), panel.heatmap()
    panel.set_slider("atol", 50)
    until(lambda: panel.table() != before, "the sliders move what is there")
    until(lambda: panel.heatmap()["sum"] > shown["sum"], "and the heatmap")
    panel.row("layer2").click(force=True)
    expect(panel.row("layer2")).to_have_attribute("aria-disabled", "true")
    expect(panel.row("layer0")).to_have_attribute("aria-selected", "true")
    panel.root.get_by_role("columnheader", name="dead").first.get_by_role("button").click()
    assert panel.heatmap()["layer"] == "layer0"


def test_a_kernel_that_is_gone_is_told_of_whatever_the_state_of_the_run(
    open_notebook: Any,
) -> None:
    notebook = open_notebook(CELL, own_kernel=True)
    panel = Panel(notebook.page)

    def count(batches: int, status: str) -> None:
        notebook.run_all()
        panel.wait_for_status("running")
        notebook.python(f"gate.release({batches}); it = None")
        until(lambda: panel.probes() == 16 * batches, "the batches are on the page")
        panel.wait_for_status(status)

    count(4, "done")
    notebook.page.evaluate(SHUT_DOWN)
    assert_told(panel)

    notebook.page.evaluate(NEW_KERNEL)
    notebook.wait_until_ready()
    notebook.forget_kernel()
    count(2, "running")
    assert panel.root.get_by_role("alert").filter(visible=True).count() == 0
    os.kill(notebook.python("import os; it = os.getpid()"), signal.SIGKILL)
    notebook.page.locator(".jp-Dialog .jp-mod-accept").click()
    assert_told(panel)

    notebook.wait_until_ready()
    notebook.forget_kernel()
    count(2, "running")
    panel.button("Pause").click()
    # It is held between two batches: the one that lets it come there must find it asked for.
    until(lambda: notebook.python("it = w._runs.current._pause_wanted"), "the pause is asked for")
    notebook.python("gate.release(1); it = None")
    panel.wait_for_status("paused")
    notebook.page.evaluate(RESTART)
    assert_told(panel)
    notebook.wait_until_ready()
