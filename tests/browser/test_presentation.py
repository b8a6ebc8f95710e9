"""A presentation: large, over everything, and left by Escape wherever the focus is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from panel import Panel
from playwright.sync_api import Page, expect

from iua_widget import IUAWidget

pytestmark = pytest.mark.browser


PANES = (".iua-table-box", ".iua-heatmap")


@pytest.fixture(scope="module")
def widget() -> IUAWidget:
    rng = np.random.default_rng(8)
    layers = {
        f"block.{n}.relu": np.maximum(rng.normal(size=(40, 9, 6, 6)), 0).astype("f4")
        for n in range(5)
    }
    widget = IUAWidget(layers, engine="reference")
    assert widget.wait(60)
    return widget


def present(panel: Panel) -> None:
    panel.button("View").click()
    panel.button("Present").click()
    expect(panel.root).to_have_attribute("aria-modal", "true")
    expect(panel.button("Present")).to_be_hidden()
    expect(panel.button("End presentation")).to_be_hidden()


@pytest.mark.parametrize(("width", "height"), [(1600, 900), (900, 1600), (700, 500)])
def test_a_presentation_fills_the_window_and_clips_nothing(
    stub: Page, width: int, height: int
) -> None:
    stub.set_viewport_size({"width": width, "height": height})
    panel = Panel(stub)
    size = "(root) => parseFloat(getComputedStyle(root).fontSize)"
    before = panel.root.evaluate(size)
    panel.button("View").focus()
    stub.keyboard.press("Enter")
    panel.button("Present").focus()
    stub.keyboard.press("Enter")
    box = panel.root.bounding_box()
    assert box == {"x": 0, "y": 0, "width": width, "height": height}
    assert panel.root.evaluate(size) > before
    expect(panel.button("End presentation")).to_be_hidden()
    stub.wait_for_timeout(200)
    cut = panel.root.evaluate(
        """(root) => {
            const inside = root.getBoundingClientRect();
            const parts = root.querySelectorAll("button, .iua-canvas-box, .iua-rule, h2, h3");
            return [...parts].filter((part) => part.checkVisibility()).filter((part) => {
                const box = part.getBoundingClientRect();
                return box.right > inside.right + 1 || box.left < inside.left - 1;
            }).map((part) => part.outerHTML.slice(0, 120));
        }"""
    )
    assert cut == []


@pytest.mark.parametrize(
    ("width", "height"), [(1440, 900), (1250, 700), (900, 1600), (700, 500), (360, 800)]
)
def test_the_picture_is_larger_than_in_the_notebook(stub: Page, width: int, height: int) -> None:
    stub.set_viewport_size({"width": width, "height": height})
    panel = Panel(stub)
    picture = panel.root.locator(".iua-canvas-box")

    def size() -> tuple[float, float]:
        stub.wait_for_timeout(150)
        box = picture.bounding_box()
        return box["width"], box["height"]

    before = size()
    present(panel)
    now = size()
    assert now[0] > before[0]
    assert now[1] > before[1]
    table, pane = (panel.root.locator(part).bounding_box() for part in PANES)
    apart = table["x"] + table["width"] <= pane["x"] or table["y"] + table["height"] <= pane["y"]
    assert apart
    stub.keyboard.press("Escape")
    assert size() == before


def type_into_a_field(panel: Panel) -> None:
    panel.field("atol").fill("0.7")


def stand_in_the_select(panel: Panel) -> None:
    panel.root.get_by_label("scale", exact=True).focus()


def move_the_slider(panel: Panel) -> None:
    panel.slider("atol").focus()


def stand_in_the_table(panel: Panel) -> None:
    panel.row("block.2.relu").focus()


def stand_in_the_filter(panel: Panel) -> None:
    panel.root.get_by_role("searchbox", name="filter layers").focus()


def select_units(panel: Panel) -> None:
    panel.canvas.focus()
    for key in ("Shift+ArrowRight", "Space", "Shift+ArrowRight", "Space"):
        panel.page.keyboard.press(key)


def stand_nowhere(panel: Panel) -> None:
    panel.page.evaluate("() => document.activeElement.blur()")


@pytest.mark.parametrize(
    "go",
    [
        type_into_a_field,
        stand_in_the_select,
        move_the_slider,
        stand_in_the_table,
        stand_in_the_filter,
        select_units,
        stand_nowhere,
    ],
    ids=lambda go: go.__name__,
)
def test_escape_leaves_from_everywhere_and_changes_nothing_else(
    stub: Page, go: Callable[[Panel], None]
) -> None:
    panel = Panel(stub)
    present(panel)
    go(panel)
    shown = "() => ['atol', 'selected', 'filter', 'layer'].map((name) => window.model.get(name))"
    before = stub.evaluate(shown)
    stub.keyboard.press("Escape")
    expect(panel.root).not_to_have_attribute("aria-modal", "true")
    assert stub.evaluate(shown) == before
    expect(panel.field("atol")).to_have_value("1e-8")


@pytest.mark.parametrize("menu", ["View", "Presets"])
@pytest.mark.parametrize("inside", [True, False], ids=["focus inside", "focus nowhere"])
def test_an_open_menu_takes_the_first_escape_only(stub: Page, menu: str, *, inside: bool) -> None:
    panel = Panel(stub)
    present(panel)
    panel.button(menu).click()
    if not inside:
        stand_nowhere(panel)
        panel.button(menu).evaluate("(b) => b.ariaExpanded === 'true' || b.click()")
        stand_nowhere(panel)
    expect(panel.button(menu)).to_have_attribute("aria-expanded", "true")
    stub.keyboard.press("Escape")
    expect(panel.button(menu)).to_have_attribute("aria-expanded", "false")
    expect(panel.root).to_have_attribute("aria-modal", "true")
    stub.keyboard.press("Escape")
    expect(panel.root).not_to_have_attribute("aria-modal", "true")
    stub.keyboard.press("Escape")
    expect(panel.root).not_to_have_attribute("aria-modal", "true")


def test_the_full_screen_is_left_with_the_presentation_by_one_escape(stub: Page) -> None:
    panel = Panel(stub)
    full = "() => document.fullscreenElement !== null"
    panel.button("View").click()
    panel.button("Full screen").click()
    stub.wait_for_function(full)
    expect(panel.root).to_have_attribute("aria-modal", "true")
    expect(panel.button("Leave full screen")).to_be_hidden()
    stub.evaluate("() => document.exitFullscreen()")  # as the browser's own Escape does
    expect(panel.root).not_to_have_attribute("aria-modal", "true")
    # Its own button leaves the screen and stays in the presentation.
    panel.button("View").click()
    panel.button("Full screen").click()
    stub.wait_for_function(full)
    panel.button("View").click()
    panel.button("Leave full screen").click()
    stub.wait_for_function("() => document.fullscreenElement === null")
    expect(panel.root).to_have_attribute("aria-modal", "true")
    panel.button("View").click()
    panel.button("End presentation").click()
    expect(panel.root).not_to_have_attribute("aria-modal", "true")
    expect(panel.button("View")).to_be_focused()
