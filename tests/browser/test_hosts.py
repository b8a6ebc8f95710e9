"""The widget in every host: Notebook 7, marimo, a page that is reloaded, a kernel that dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from panel import Panel
from playwright.sync_api import Browser, expect
from test_lab import FINISHED, GATED, READING, SETUP, assert_page_shows, until

pytestmark = pytest.mark.browser


def test_notebook_7_shows_the_widget_and_both_sides_follow(open_notebook: Any) -> None:
    notebook = open_notebook(SETUP, FINISHED, host="Notebook 7")
    notebook.run_all()
    panel = Panel(notebook.page)
    panel.wait_for_status("done")
    assert_page_shows(panel, notebook.python(READING))
    panel.row("6").click()
    until(lambda: notebook.python("it = w.layer") == "6", "w.layer follows the click")
    notebook.python("w.atol = 0.05; it = None")
    stops = notebook.python("it = w.iua.stops")
    expect(panel.slider("atol")).to_have_value(str(stops.index(0.05)))
    assert_page_shows(panel, notebook.python(READING))


def test_a_reloaded_page_picks_the_running_widget_up_where_it_is(open_notebook: Any) -> None:
    notebook = open_notebook(SETUP, GATED)
    notebook.run_all()
    panel = Panel(notebook.page)
    notebook.python("gate.release(4); it = None")
    until(lambda: panel.probes() == 116, "four batches on the page")
    panel.row("4").click()
    panel.set_slider("atol", 30)
    until(lambda: notebook.python("it = w.layer") == "4", "w.layer follows")
    notebook.save()
    notebook.page.reload()
    notebook.python("gate.release(3); it = None")
    notebook.wait_until_ready()
    panel.wait_for_status("running")
    until(lambda: panel.probes() == 203, "what was counted meanwhile is on the page")
    expect(panel.slider("atol")).to_have_value("30")
    assert panel.heatmap()["layer"] == "4"
    notebook.python("gate.release(1000); it = w.wait(60)")
    panel.wait_for_status("done")
    until(lambda: panel.probes() == 1797, "and what comes after")
    assert_page_shows(panel, notebook.python(READING))


def test_a_notebook_without_a_kernel_still_has_the_table(
    open_notebook: Any, browser: Browser, tmp_path: Path
) -> None:
    notebook = open_notebook(SETUP, FINISHED.replace("\nw", "\nw.wait(60)\nw"))
    notebook.run_all()
    Panel(notebook.page).wait_for_status("done")
    notebook.save()
    saved = notebook.lab.folder / notebook.name
    until(lambda: "widget-view" in saved.read_text(), "the notebook is saved")
    convert = [sys.executable, "-m", "nbconvert", "--to", "html", str(saved)]
    subprocess.run([*convert, "--output-dir", str(tmp_path)], check=True, capture_output=True)
    reader = browser.new_context(offline=True).new_page()
    reader.goto((tmp_path / notebook.name).with_suffix(".html").as_uri())
    layers = reader.locator("table").filter(has_text="dead share")
    expect(layers.locator("tbody tr")).to_have_count(3 + 1)
    expect(reader.get_by_text("1,797 probes")).to_be_visible()
    reader.context.close()


def test_buttons_work_while_the_main_thread_is_busy(open_notebook: Any) -> None:
    released = GATED.replace("\nw\n", "\ngate.release(3)\nw\n")
    notebook = open_notebook(SETUP, released, own_kernel=True)
    notebook.run_all()
    panel = Panel(notebook.page)
    until(lambda: panel.probes() == 87, "three batches on the page")
    # JupyterLab sends what widgets say to a thread of their own, once it has asked for one.
    until(
        lambda: notebook.python(
            "it = any(t.name.startswith('subshell') for t in threading.enumerate())"
        ),
        "a second thread that listens",
    )
    notebook.python("""
heard = []
w.on_msg(lambda *_: heard.append(threading.current_thread() is threading.main_thread()))
it = None
""")
    notebook.client.execute(
        """
end = time.time() + 20
while time.time() < end and w.status != "paused":
    gate.release(1)
    time.sleep(0.2)
seen = w.status
""",
        store_history=False,
    )
    panel.button("Pause").click()
    panel.wait_for_status("paused")
    assert notebook.python("it = seen, heard") == ["paused", [False]]
    notebook.python("gate.release(1000); w.resume(); it = w.wait(60)")
    panel.wait_for_status("done")


def test_a_dead_kernel_is_told_of_instead_of_counting_for_ever(open_notebook: Any) -> None:
    notebook = open_notebook(SETUP, GATED, own_kernel=True)
    notebook.run_all()
    panel = Panel(notebook.page)
    notebook.python("gate.release(2); it = None")
    until(lambda: panel.probes() == 58, "two batches on the page")
    expect(panel.root.locator(".iua-state")).to_have_text("Counting")
    kernel = notebook.python("import os; it = os.getpid()")
    os.kill(kernel, signal.SIGSTOP)
    expect(panel.root.locator(".iua-state")).to_have_text("No answer")
    expect(panel.root).to_contain_text("last heard")
    alert = panel.root.get_by_role("alert").filter(visible=True)
    expect(alert).to_contain_text("run the cell again")
    assert panel.probes() == 58
    os.kill(kernel, signal.SIGCONT)
    expect(panel.root.locator(".iua-state")).to_have_text("Counting")
    expect(alert).to_have_count(0)
