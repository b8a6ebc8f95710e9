"""The timeline: any moment of training on the page, live, in a file, by pointer and by keys."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from axe import axe_violations
from histories import AT, alarm, history_of
from panel import Panel
from playwright.sync_api import Locator, Page, expect
from waiting import until

from iua_widget import IUAWidget
from iua_widget.history.history import History

pytestmark = pytest.mark.browser

STEPS = list(range(0, 1100, 100))

SETUP = """
import pathlib
import time
import torch
from iua_widget import IUAMonitor

torch.manual_seed(0)
layers = [torch.nn.Linear(16, 24), torch.nn.ReLU(), torch.nn.Linear(24, 24), torch.nn.ReLU()]
model = torch.nn.Sequential(*layers, torch.nn.Linear(24, 2))
x = torch.randn(256, 16)
y = (x[:, 0] * x[:, 1] > 0).long()
monitor = IUAMonitor(model, x[:64], every=10, engine="reference", name="small")
optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
until = pathlib.Path("{path}")
monitor.look()
"""
TRAINING = """
step = 0
while (wanted := int(until.read_text() or 0)) >= 0:
    time.sleep(0.02)
    while step < wanted:
        loss = torch.nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        monitor.step()
        step += 1
"""


def handle(panel: Panel, name: str = "moment on show") -> Locator:
    return panel.root.get_by_role("slider", name=name)


def timeline(panel: Panel) -> Locator:
    return panel.root.get_by_role("region", name="over training")


def dead(panel: Panel) -> list[float]:
    return [figures["dead-units"][0] for figures in panel.table().values()]


def drag_to(panel: Panel, share: float) -> None:
    """Move the pointer, pressed, over the plot: from its left edge (0) to its right (1)."""
    box = panel.root.locator(".iua-timeline-canvas").bounding_box()
    assert box is not None
    left, width = box["x"] + 44, box["width"] - 60
    panel.page.mouse.move(left + share * width, box["y"] + 40, steps=4)


@pytest.fixture(scope="module")
def history() -> History:
    history = history_of(STEPS, whole=[0, 500, 1000])
    history.events = [alarm(300)]
    return history


@pytest.fixture(scope="module")
def export(history: History, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("timeline")
    widget = IUAWidget(history, name="training")
    widget.selected = [3]
    pages = {"training": widget.to_html(folder / "training.html")}
    widget.close()
    return pages


@pytest.fixture(scope="module")
def widget(history: History) -> IUAWidget:
    return IUAWidget(history)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_wrong_with_lines_and_strip(stub: Page, theme: str) -> None:
    stub.evaluate("(theme) => { document.documentElement.dataset.theme = theme; }", theme)
    panel = Panel(stub)
    assert axe_violations(stub) == []
    timeline(panel).get_by_label("how layers are drawn").select_option("strip")
    timeline(panel).get_by_role("button", name="Compare").click()
    expect(handle(panel, "moment compared with")).to_be_visible()
    assert axe_violations(stub) == []


def test_a_moment_is_chosen_by_pointer_and_by_keys(opened: Any, history: History) -> None:
    panel: Panel = opened()
    assert dead(panel) == history.figures(1000).columns["dead units"].tolist()
    timeline(panel).scroll_into_view_if_needed()
    drag_to(panel, 0.3)
    panel.page.mouse.down()
    expect(handle(panel)).to_have_attribute("aria-valuenow", "300")
    expect(panel.root.locator(".iua-timeline-note")).to_contain_text("alarm dead-share>=50%")
    until(lambda: dead(panel) == history.figures(300).columns["dead units"].tolist(), "step 300")
    drag_to(panel, 0.72)
    panel.page.mouse.up()
    expect(handle(panel)).to_have_attribute("aria-valuetext", "step 700, look 8 of 11")
    until(lambda: dead(panel) == history.figures(700).columns["dead units"].tolist(), "step 700")
    for key, step in (("ArrowLeft", 600), ("Home", 0), ("ArrowRight", 100), ("End", 1000)):
        panel.page.keyboard.press(key)
        expect(handle(panel)).to_have_attribute("aria-valuenow", str(step))
    until(lambda: dead(panel) == history.figures(1000).columns["dead units"].tolist(), "step 1000")
    expect(timeline(panel)).to_contain_text("newest look")


def test_two_moments_are_compared_at_any_tolerance(opened: Any, history: History) -> None:
    panel: Panel = opened()
    timeline(panel).get_by_role("button", name="Compare").click()
    against = handle(panel, "moment compared with")
    expect(against).to_have_attribute("aria-valuenow", "0")
    against.focus()
    panel.page.keyboard.press("PageUp")
    panel.page.keyboard.press("ArrowLeft")
    expect(against).to_have_attribute("aria-valuenow", "900")
    expect(timeline(panel)).to_contain_text("against step 900")

    def changes() -> list[list[float]]:
        rows = panel.table().values()
        return [[row[key][0] for row in rows if key in row] for key in ("newly-dead", "revived")]

    for position in (1, 40):
        panel.set_slider("atol", position)
        at = AT.but(atol=history.stops.values[position])
        figures = history.figures(1000, at, since=900).columns
        expected = [figures[name].tolist() for name in ("newly dead", "revived")]
        until(lambda expected=expected: changes() == expected, "the changes")
    panel.page.keyboard.press("Delete")
    expect(against).to_be_hidden()
    until(lambda: changes() == [[], []], "no changes")


def test_of_a_moment_that_is_not_whole_is_said_what_there_is(opened: Any) -> None:
    panel: Panel = opened()
    color = panel.root.get_by_label("color", exact=True)
    expect(color).to_have_value("share")
    handle(panel).focus()
    panel.page.keyboard.press("ArrowLeft")
    expect(color).to_have_value("dead")
    expect(color.locator("option[value=share]")).to_be_disabled()
    expect(panel.root.get_by_text("Of this moment what is dead is kept")).to_be_visible()
    card = panel.root.get_by_role("region", name="unit card")
    expect(card).to_contain_text("not kept")
    expect(card.locator(".iua-life")).to_contain_text(re.compile("looks|since step"))


def test_measures_and_the_strip_are_drawn_and_saved(opened: Any) -> None:
    panel: Panel = opened()
    pixels = """(canvas) => {
        const { width, height } = canvas;
        const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
        return data.reduce((sum, value, at) => (sum + value * (1 + at % 97)) % 1e9, 0);
    }"""
    canvas = panel.root.locator(".iua-timeline-canvas")
    seen = {canvas.evaluate(pixels)}
    for name, values in (
        ("what the lines stand for", ("inactive", "dormant", "newly dead", "revived", "dead")),
        ("how layers are drawn", ("strip",)),
    ):
        for value in values:
            timeline(panel).get_by_label(name).select_option(value)
            seen.add(canvas.evaluate(pixels))
    assert len(seen) == 6
    texts = panel.texts_of_picture()
    assert any(text.startswith("Step 1,000 · ") for text in texts)
    panel.button("View").click()
    panel.root.get_by_label("timeline").uncheck()
    expect(timeline(panel)).to_be_hidden()
    panel.button("View").click()
    assert not any(text.startswith("Step 1,000 · ") for text in panel.texts_of_picture())


def test_a_presentation_has_the_timeline_and_the_panes(opened: Any) -> None:
    panel: Panel = opened()
    panel.page.set_viewport_size({"width": 1600, "height": 1000})
    panel.button("View").click()
    panel.button("Present").click()
    for part in (timeline(panel), panel.root.locator(".iua-table-box"), panel.canvas):
        box = part.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= 1000


@pytest.mark.parametrize("width", [390, 700, 1900])
def test_nothing_of_it_is_wider_than_the_page(opened: Any, width: int) -> None:
    panel: Panel = opened(width=width)
    over = timeline(panel).evaluate(
        """(node) => [...node.querySelectorAll("*"), node].filter((part) => {
            const { right, width } = part.getBoundingClientRect();
            return width > 0 && right > document.documentElement.clientWidth + 1;
        }).map((part) => part.className)"""
    )
    assert over == []


def test_it_follows_training_in_a_cell_and_survives_a_reload(
    open_notebook: Any, tmp_path: Path
) -> None:
    wanted = tmp_path / "wanted"
    wanted.write_text("0")
    notebook = open_notebook(SETUP.replace("{path}", str(wanted)), "monitor")
    notebook.run_all()
    panel = Panel(notebook.page)
    expect(panel.rows).to_have_count(2)
    expect(handle(panel)).to_have_attribute("aria-valuenow", "0")
    # From here on the page is heard beside a cell, too.
    subshells = "get_ipython().kernel.shell_channel_thread.manager.list_subshell()"
    until(lambda: notebook.python(f"it = len({subshells})") > 0, "a line beside the cells")
    until(lambda: notebook.python("it = monitor.widget._shown") > 0, "the page is heard")
    notebook.client.execute(TRAINING, store_history=False)
    wanted.write_text("40")
    expect(handle(panel)).to_have_attribute("aria-valuenow", "40")
    expect(timeline(panel)).to_contain_text("newest look")
    # The cell goes on, and the kernel answers beside it.
    handle(panel).focus()
    notebook.page.keyboard.press("ArrowLeft")
    notebook.page.keyboard.press("ArrowLeft")
    expect(handle(panel)).to_have_attribute("aria-valuenow", "20")
    expect(timeline(panel)).not_to_contain_text("loading")
    wanted.write_text("70")
    expect(handle(panel)).to_have_attribute("aria-valuemax", "70")
    expect(handle(panel)).to_have_attribute("aria-valuenow", "20")
    figures = "monitor.history_data.figures(monitor.widget.look).columns['dead units'].tolist()"
    wanted.write_text("-1")
    it = notebook.python(f"it = [monitor.widget.look, {figures}]")
    assert it == [20, dead(panel)]
    notebook.save()
    saved = notebook.lab.folder / notebook.name
    until(lambda: "Inactive units of small at step 20" in saved.read_text(), "what is kept")
    notebook.page.reload()
    notebook.wait_until_ready()
    expect(handle(panel)).to_have_attribute("aria-valuenow", "20")
    notebook.python("monitor.look(step=90); it = None")
    expect(handle(panel)).to_have_attribute("aria-valuemax", "90")
    assert dead(panel) == it[1]
    notebook.python("monitor.widget.close(); it = None")
