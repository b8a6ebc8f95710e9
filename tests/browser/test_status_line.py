"""The line of the run: one line of one height, whatever happens, and notes within reach."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from panel import Panel
from playwright.sync_api import Page, expect
from stub_page import page_state

from iua_widget import IUAWidget
from iua_widget.widget.opening import _OPENED_RELATIVE

pytestmark = pytest.mark.browser

LONG = "a source of data with a name that is far too long for the line of the run"
BOXES = """(root) => {
    const status = root.querySelector(".iua-status");
    const box = (node) => {
        const { x, y, width, height } = node.getBoundingClientRect();
        return [x, y, width, height].map(Math.round);
    };
    const parts = [...status.children].filter((part) => part.checkVisibility()).map(box);
    return {
        line: box(status),
        middles: parts.filter(([, , width]) => width > 0).map(([, y, , height]) => y + height / 2),
        right: Math.max(...parts.map(([x, , width]) => x + width)),
        overlaps: parts.slice(1).filter(([x], place) => x < parts[place][0] + parts[place][2]),
        buttons: [...status.querySelectorAll(".iua-buttons > *")].filter((b) => b.checkVisibility())
            .map((b) => [b.textContent.slice(0, 4), ...box(b)]),
        table: box(root.querySelector(".iua-tolerances")),
    };
}"""


@pytest.fixture(scope="module")
def widget() -> IUAWidget:
    response = np.maximum(np.random.default_rng(8).normal(size=(40, 12)), 0).astype("f4")
    widget = IUAWidget({"relu": response}, engine="reference")
    assert widget.wait(60)
    return widget


def states(widget: IUAWidget) -> list[dict[str, Any]]:
    def run(**changes: Any) -> dict[str, Any]:
        figures = {"total": 12_800, "source": LONG, "nbytes": 89_000_000, "restartable": True}
        return widget._run | figures | changes

    return [
        {"status": "idle", "_run": run(probes=0, elapsed=0)},
        {"status": "running", "_run": run(probes=0, elapsed=0.1)},
        {"status": "running", "_run": run(probes=9, elapsed=9, rate=1.5, remaining=8000)},
        {"status": "running", "_run": run(probes=999, elapsed=59, rate=31, remaining=380)},
        {"status": "running", "_run": run(probes=12_799, elapsed=61, rate=310, remaining=0.1)},
        {"status": "paused", "_run": run(probes=12_799, elapsed=61)},
        {"status": "stopped", "_run": run(probes=9_000, elapsed=3700)},
        {"status": "failed", "_run": run(probes=9_000, elapsed=3700)},
        {"status": "done", "_run": run(probes=12_800, elapsed=19)},
        {"status": "running", "_run": run(probes=99, elapsed=1, recounting=True)},
    ]


@pytest.mark.parametrize("width", [360, 700, 1250])
def test_the_line_has_one_height_and_pushes_nothing_about(
    stub: Page, widget: IUAWidget, width: int
) -> None:
    # A cell of this width, whatever the margins of the page.
    stub.set_viewport_size({"width": width + 16, "height": 900})
    panel = Panel(stub)
    seen = []
    for changes in states(widget):
        stub.evaluate("(state) => window.update(state)", page_state(widget, **changes))
        panel.wait_for_status(changes["status"])
        stub.evaluate("() => new Promise(requestAnimationFrame)")
        stub.evaluate("() => new Promise(requestAnimationFrame)")
        seen.append(panel.root.evaluate(BOXES))
    for boxes in seen:
        assert boxes["line"] == seen[0]["line"]
        assert boxes["table"] == seen[0]["table"]
        assert boxes["right"] <= boxes["line"][0] + boxes["line"][2]
        if width >= 700:
            assert max(boxes["middles"]) - min(boxes["middles"]) <= 1
            assert boxes["overlaps"] == []
            assert boxes["line"][3] <= 28
        view = [button for button in boxes["buttons"] if button[0] == "View"]
        assert view == [b for b in seen[0]["buttons"] if b[0] == "View"]
    # During a run, all stay where they are.
    assert len({str(boxes["buttons"]) for boxes in seen[1:5]}) == 1


def test_notes_are_a_click_away_and_warnings_in_sight(stub: Page, widget: IUAWidget) -> None:
    panel = Panel(stub)
    warning = "Not finite: 2 NaN in 'relu'."
    notes = ["One thing to know.", warning, "Another thing."]
    told = widget._run | {"notes": notes, "warnings": [warning]}
    stub.evaluate("(run) => window.update({ _run: run })", told)
    expect(panel.root.locator(".iua-warning")).to_have_text(warning)
    expect(panel.root.locator(".iua-warning strong")).to_have_text("Not finite:")
    expect(panel.root.get_by_text("One thing to know.")).to_be_hidden()
    panel.button("2 notes").focus()
    stub.keyboard.press("Enter")
    expect(panel.root.get_by_text("One thing to know.")).to_be_visible()
    expect(panel.root.get_by_text("Another thing.")).to_be_visible()
    stub.keyboard.press("Enter")
    expect(panel.root.get_by_text("Another thing.")).to_be_hidden()
    stub.evaluate("(run) => window.update({ _run: run })", widget._run | {"notes": []})
    expect(panel.root.locator(".iua-warning")).to_have_count(0)
    expect(panel.button("2 notes")).to_have_count(0)


def test_a_relative_opening_is_said_in_the_rule(stub: Page, widget: IUAWidget) -> None:
    panel = Panel(stub)
    said = panel.root.get_by_text("No exact zeros: relative")
    for rtol in (0.05, 0.2):
        note = _OPENED_RELATIVE.format(rtol=rtol)
        state = {"_run": widget._run | {"notes": [note], "opened": note}, "rtol": rtol, "atol": 0}
        stub.evaluate("(state) => window.update(state)", state)
        expect(said).to_be_visible()
        assert note in str(said.get_attribute("title"))
        stub.evaluate("() => window.update({ rtol: 0.1 })")
        expect(said).to_be_hidden()


def test_nothing_moves_by_itself_where_the_user_wants_less_motion(
    stub: Page, widget: IUAWidget
) -> None:
    running = states(widget)[1]
    stub.emulate_media(reduced_motion="no-preference")
    stub.evaluate("(state) => window.update(state)", running)
    moving = (
        "() => document.getAnimations().filter(({ playState }) => playState === 'running').length"
    )
    stub.wait_for_function(f"({moving})() > 0")
    stub.emulate_media(reduced_motion="reduce")
    assert stub.evaluate(moving) == 0
