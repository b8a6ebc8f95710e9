"""The arrangement of the parts: side by side, in one column, on paper; nothing moves."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from panel import Panel, complaints_of
from playwright.sync_api import Page, expect
from stub_page import page_state, stub_page

from iua_widget import IUAWidget

pytestmark = pytest.mark.browser

MARGINS = 16  # of the stub page, left and right together
RNG = np.random.default_rng(8)
Show = Callable[..., Panel]


def layers(number: int) -> dict[str, np.ndarray]:
    def half(*shape: int) -> np.ndarray:
        response = np.maximum(RNG.normal(size=(24, *shape)), 0).astype(np.float32)
        response[:, 1] = 0
        return response

    shapes = [(6, 5, 5), (90,), (12, 7)]
    return {f"net.block{n}.relu": half(*shapes[n % 3]) for n in range(number)}


@pytest.fixture(scope="module")
def states() -> dict[str, dict[str, Any]]:
    """What a page is told of a net of many layers, and of few."""
    widgets = {name: IUAWidget(layers(n)) for name, n in (("many", 30), ("six", 6), ("three", 3))}
    assert all(widget.wait(60) for widget in widgets.values())
    return {name: page_state(widget) for name, widget in widgets.items()}


@pytest.fixture
def show(page: Page, states: dict[str, dict[str, Any]], tmp_path: Path) -> Iterator[Show]:
    complaints = complaints_of(page)

    def show_it(name: str, width: int, height: int = 900) -> Panel:
        path = tmp_path / f"{name}.html"
        path.write_text(stub_page(states[name]), encoding="utf-8")
        page.set_viewport_size({"width": width, "height": height})
        page.goto(path.as_uri())
        page.wait_for_function("window.ready")
        panel = Panel(page)
        expect(panel.rows.first).to_be_visible()
        expect(panel.canvas).to_be_visible()
        settle(panel)
        return panel

    yield show_it
    assert complaints == []


def settle(panel: Panel) -> None:
    panel.page.evaluate("() => new Promise((go) => setTimeout(go, 150))")


def box(panel: Panel, selector: str) -> dict[str, float]:
    found: dict[str, float] = panel.root.locator(selector).first.evaluate(
        """(node) => {
            const { left, top, right, bottom, width, height } = node.getBoundingClientRect();
            return { left, top, right, bottom, width, height };
        }"""
    )
    return found


@pytest.mark.parametrize("width", [900, 1100, 1250, 1900])
def test_table_and_picture_stand_side_by_side_of_one_height(show: Show, width: int) -> None:
    panel = show("many", width + MARGINS)
    root, table, picture = (box(panel, name) for name in (":scope", ".iua-layers", ".iua-heatmap"))
    assert root["width"] == pytest.approx(width, abs=1)
    assert table["right"] < picture["left"]
    assert table["top"] == pytest.approx(picture["top"], abs=1)
    assert table["bottom"] == pytest.approx(picture["bottom"], abs=1)
    foot, last = box(panel, ".iua-heatmap-foot"), box(panel, ".iua-table-box")
    assert last["bottom"] == pytest.approx(table["bottom"], abs=1), "the table fills its pane"
    assert foot["bottom"] == pytest.approx(table["bottom"], abs=4), "the picture fills its pane"
    assert picture["bottom"] - root["top"] <= 700
    assert box(panel, ".iua-canvas-box")["height"] > 250
    strip = box(panel, ".iua-strip")
    assert strip["top"] >= picture["bottom"]
    assert panel.root.evaluate("(root) => root.scrollWidth <= root.clientWidth")


@pytest.mark.parametrize("name", ["six", "three"])
def test_few_layers_leave_no_void(show: Show, name: str) -> None:
    panel = show(name, 1250 + MARGINS)
    frame, totals = box(panel, ".iua-table-box"), box(panel, "tfoot tr")
    assert totals["bottom"] == pytest.approx(frame["bottom"], abs=3)
    assert panel.root.locator(".iua-table-box").evaluate("(b) => b.scrollHeight <= b.clientHeight")
    assert box(panel, ".iua-layers")["bottom"] == pytest.approx(
        box(panel, ".iua-heatmap")["bottom"], abs=1
    )


@pytest.mark.parametrize(
    ("width", "height", "rows", "seen"), [(700, 900, 5, 180), (390, 800, 3, 60), (360, 800, 3, 60)]
)
def test_in_one_column_table_and_picture_are_in_view_together(
    show: Show, width: int, height: int, rows: int, seen: int
) -> None:
    panel = show("many", width, height)
    panel.root.evaluate("(root) => root.scrollIntoView({ block: 'start' })")
    table, picture = box(panel, ".iua-table-box"), box(panel, ".iua-canvas-box")
    assert picture["top"] > table["bottom"]
    assert picture["top"] - table["bottom"] < 64, "directly under it"
    line = box(panel, "tbody tr[data-layer]")["height"]
    assert rows < (table["height"] - 80) / line < 7, "about six rows"
    assert height - picture["top"] >= seen, "part of the picture is in view"
    assert panel.root.evaluate("(root) => root.scrollWidth <= root.clientWidth")


PARTS = """(root) => {
    const parts = ".iua-tolerances, .iua-table-tools, .iua-filter, .iua-table-box, "
        + ".iua-heatmap-head, .iua-canvas-box, .iua-legend, .iua-heatmap-tools, "
        + ".iua-heatmap-foot, .iua-tabs, .iua-tab-panels, .iua-strip, .iua-unit-card";
    const boxes = [root, ...root.querySelectorAll(parts)].map((node) => {
        const { left, top, width, height } = node.getBoundingClientRect();
        return [node.className.split(" ")[0], left, top + scrollY, width, height];
    });
    const canvas = root.querySelector("canvas.iua-canvas");
    return [...boxes, ["bitmap", canvas.width, canvas.height]];
}"""


@pytest.mark.parametrize("width", [390, 700, 1250])
def test_nothing_moves_whatever_is_done(
    show: Show, states: dict[str, dict[str, Any]], width: int
) -> None:
    panel = show("many", width + MARGINS)
    page = panel.page
    before = panel.root.evaluate(PARTS)

    def unmoved(what: str) -> None:
        settle(panel)
        assert panel.root.evaluate(PARTS) == before, what

    panel.canvas.scroll_into_view_if_needed()
    canvas = panel.canvas.bounding_box()
    assert canvas
    page.mouse.move(canvas["x"] + canvas["width"] / 2, canvas["y"] + canvas["height"] / 2)
    unmoved("hovering")
    page.mouse.down()
    page.mouse.up()
    expect(panel.canvas).to_have_attribute("data-selected", "1")
    unmoved("a unit pinned")
    page.keyboard.down("Shift")
    page.mouse.move(canvas["x"] + 2, canvas["y"] + 2)
    page.mouse.down()
    page.mouse.move(canvas["x"] + canvas["width"] - 2, canvas["y"] + canvas["height"] - 2, steps=3)
    page.mouse.up()
    page.keyboard.up("Shift")
    expect(panel.canvas).to_have_attribute("data-selected", "150")
    unmoved("many selected")
    for tab in panel.root.get_by_role("tab").all():
        tab.click()
        unmoved(f"the tab {tab.inner_text()}")
    for menu in ("Columns", "more of the table", "more of the picture"):
        panel.open_menu(menu)
        unmoved(menu)
        page.keyboard.press("Escape")
    field = panel.root.get_by_role("searchbox", name="filter layers")
    field.fill("dead-units>>1")
    expect(panel.root.locator(".iua-filter-fault")).to_be_visible()
    unmoved("a filter refused")
    field.fill("block1 dead-units>0")
    unmoved("some rows only")
    field.fill("")
    panel.button("let go of the unit").click()
    unmoved("the unit let go of")
    page.evaluate("(state) => window.update(state)", states["many"] | {"status": "running"})
    unmoved("a frame of a run")
    panel.row("net.block1.relu").click()
    expect(panel.root.get_by_text("Waiting for units of net.block1.relu…")).to_be_visible()
    unmoved("another layer, whose units are not here")


def test_tabs_and_menus_are_worked_by_keyboard(show: Show) -> None:
    panel = show("many", 1250 + MARGINS)
    press = panel.page.keyboard.press
    tabs = panel.root.get_by_role("tab").all()
    names = [tab.inner_text() for tab in tabs]
    assert names[-2:] == ["Of this layer", "Selected"]
    tabs[0].focus()
    for key, at in (("ArrowRight", 1), ("End", -1), ("ArrowRight", 0), ("ArrowLeft", -1)):
        press(key)
        expect(tabs[at]).to_be_focused()
        expect(tabs[at]).to_have_attribute("aria-selected", "true")
        expect(panel.root.get_by_role("tabpanel")).to_have_count(1)
        expect(panel.root.get_by_role("tabpanel", name=names[at])).to_be_visible()
        reachable = panel.root.locator("[role=tab][tabindex='0']")
        expect(reachable).to_have_count(1)
    press("Home")
    expect(tabs[0]).to_be_focused()
    for name in ("Columns", "more of the table", "more of the picture"):
        button = panel.root.get_by_role("button", name=name)
        button.focus()
        press("Enter")
        menu = panel.open_menu(name)
        expect(menu).to_be_visible()
        press("Tab")
        inside = "(menu) => menu.contains(document.activeElement)"
        assert menu.evaluate(inside), name
        press("Escape")
        expect(menu).to_be_hidden()
        expect(button).to_be_focused()
        fits = menu.evaluate(
            """async (menu) => {
                menu.parentElement.querySelector("button").click();
                const { left, right } = menu.getBoundingClientRect();
                return left >= 0 && right <= innerWidth;
            }"""
        )
        assert fits, name
        press("Escape")


@pytest.mark.parametrize("paper", [718, 740])
def test_on_paper_all_is_in_one_column_and_nothing_is_cut(show: Show, paper: int) -> None:
    """A4 and Letter, within the margins that browsers leave."""
    panel = show("many", 1250 + MARGINS)
    page = panel.page
    page.evaluate("() => window.dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    page.set_viewport_size({"width": paper, "height": 1000})
    settle(panel)
    assert panel.rows.count() == 30
    parts = [".iua-tolerances", ".iua-table-box", ".iua-heatmap-head", ".iua-canvas-box"]
    parts += [".iua-legend", ".iua-strip-main", ".iua-unit-card"]
    boxes = [box(panel, part) for part in parts]
    root = box(panel, ":scope")
    for name, above, below in zip(parts[1:], boxes, boxes[1:], strict=False):
        assert below["top"] >= above["bottom"] - 1, name
        assert below["left"] >= root["left"] - 1, name
        assert below["right"] <= root["right"] + 1, name
    rows = [row.bounding_box() for row in panel.rows.all()]
    for row, after in pairwise(rows):
        assert row
        assert after
        assert after["y"] >= row["y"] + row["height"] - 1
    table = box(panel, "table.iua-table")
    assert table["width"] == pytest.approx(root["width"], abs=2)
    assert box(panel, "tfoot tr")["bottom"] <= box(panel, ".iua-heatmap")["top"]
    kept = panel.root.locator("tfoot th, tfoot td:not(.iua-numeric)").evaluate_all(
        "(cells) => cells.map((cell) => getComputedStyle(cell).position)"
    )
    assert set(kept) == {"static"}, "the totals' name stays in its row"
    size = panel.canvas.evaluate("(canvas) => canvas.width / canvas.height")
    shown = box(panel, ".iua-canvas")
    assert shown["width"] / shown["height"] == pytest.approx(size, rel=0.01)
    worst = panel.root.get_by_role("tabpanel", name="Worst units of the network")
    frame, tenth = worst.locator(".iua-worst"), worst.locator(".iua-worst-row").nth(9)
    assert frame.evaluate("(f) => f.clientHeight - f.scrollTop") == pytest.approx(
        tenth.evaluate("(row) => row.offsetTop + row.offsetHeight"), abs=2
    ), "the ten worst, whole"


def test_a_presentation_shows_the_picture_larger(show: Show) -> None:
    panel = show("many", 1440 + MARGINS)
    before = box(panel, ".iua-canvas-box")
    panel.button("View").click()
    panel.button("Present").click()
    settle(panel)
    after = box(panel, ".iua-canvas-box")
    assert after["width"] > before["width"]
    assert after["height"] > 1.15 * before["height"]
    table, picture = box(panel, ".iua-layers"), box(panel, ".iua-heatmap")
    assert table["bottom"] == pytest.approx(picture["bottom"], abs=1)
    assert picture["bottom"] <= 900


def cut_texts(panel: Panel, selector: str) -> list[str]:
    """Those that do not fit their boxes."""
    cut: list[str] = panel.root.locator(selector).evaluate_all(
        """(nodes) => nodes.filter((node) => node.scrollWidth > node.clientWidth + 1)
            .map((node) => node.textContent)"""
    )
    return cut


@pytest.mark.parametrize("width", [1250, 1900])
def test_the_worst_units_stand_beside_their_layers(show: Show, width: int) -> None:
    panel = show("many", width + MARGINS)
    names = panel.root.locator(".iua-worst .iua-layer-name")
    ends = names.evaluate_all(
        "(names) => Math.max(...names.map((name) => name.getBoundingClientRect().right))"
    )
    unit, share, last = (
        box(panel, f'.iua-worst-row [data-key="{key}"]') for key in ("unit", "inactive", "max |x|")
    )
    assert 0 <= unit["left"] - ends < 24
    assert share["left"] == pytest.approx(unit["right"], abs=1), "the bars have the room"
    assert last["right"] == pytest.approx(box(panel, ".iua-worst-row")["right"], abs=1)
    assert unit["top"] == pytest.approx(share["top"], abs=1)


@pytest.mark.parametrize(("width", "most"), [(360, 270), (390, 270), (560, 240), (880, 212)])
def test_in_little_room_the_rule_is_short_and_nothing_of_it_is_cut(
    show: Show, width: int, most: int
) -> None:
    panel = show("many", width)
    dead, dormant = (box(panel, f".iua-rule-part:nth-child({part})") for part in (2, 3))
    assert dead["top"] == pytest.approx(dormant["top"], abs=1), "in one row"
    assert box(panel, ".iua-tolerances")["height"] < most
    assert cut_texts(panel, ".iua-rule-part, .iua-key, .iua-legend-part > span") == []
    figures = '.iua-worst-cell:is([data-key="unit"], [data-key="inactive"])'
    assert cut_texts(panel, figures) == []


@pytest.mark.parametrize("width", [390, 560, 900, 1250])
def test_the_head_of_the_picture_says_first_how_many_units_are_dead(show: Show, width: int) -> None:
    panel = show("many", width + MARGINS)
    summary = panel.root.locator(".iua-heatmap-summary")
    expect(summary).to_have_text(re.compile(r"^\d+ dead of 150 units · .*6 × 5 × 5$"))
    assert summary.evaluate("(node) => node.clientWidth") > 120
