"""The heatmap, the card and the list of units, by hand, keyboard and touch, without a kernel."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from panel import Panel, complaints_of
from playwright.sync_api import Browser, Locator, Page, expect

from iua_widget import IUAWidget
from iua_widget.widget import export as html

pytestmark = pytest.mark.browser

RNG = np.random.default_rng(11)
PROBES = 60
DEAD = [37, 200, 201]


def responses() -> dict[str, np.ndarray]:
    dense = np.maximum(RNG.normal(0, 1, (PROBES, 300)) + np.linspace(-1, 1, 300), 0)
    dense[:, DEAD] = 0
    maps = np.maximum(RNG.normal(0, 1, (PROBES, 12, 9, 9)), 0)
    maps[:, 4] = 0
    broken = dense.copy()
    broken[7, 5] = np.nan
    lone = np.ones((PROBES, 300_000))
    lone[:, 77_777] = 0
    return {
        name: array.astype(np.float32)
        for name, array in {"dense": dense, "maps": maps, "broken": broken, "lone": lone}.items()
    }


@pytest.fixture(scope="module")
def widget() -> IUAWidget:
    widget = IUAWidget(responses())
    assert widget.wait(120)
    return widget


@pytest.fixture(scope="module")
def exported(widget: IUAWidget, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return widget.to_html(tmp_path_factory.mktemp("heatmap") / "units.html")


def open_export(page: Page, exported: Path, layer: str) -> Panel:
    page.goto(exported.as_uri())
    panel = Panel(page)
    panel.row(layer).click()
    expect(panel.canvas).to_have_attribute("data-layer", layer)
    expect(panel.canvas).to_have_attribute("data-grain", re.compile("unit|pixel|channel"))
    panel.canvas.scroll_into_view_if_needed()
    return panel


@pytest.fixture
def dense(page: Page, exported: Path) -> Iterator[Panel]:
    complaints = complaints_of(page)
    yield open_export(page, exported, "dense")
    assert complaints == []


def card(panel: Panel) -> Locator:
    return panel.root.get_by_role("region", name="unit card")


def let_go(panel: Panel) -> Locator:
    """The card's way back from a pinned unit: hidden where none is pinned."""
    return card(panel).get_by_role("button", name="let go of the unit")


def list_of_units(panel: Panel) -> Locator:
    """The list of the layer's units, opened: the first tab is that of the whole network's worst."""
    tab = panel.tab("Of this layer")
    if tab.get_attribute("aria-selected") != "true":
        tab.click()
    return panel.root.get_by_role("grid", name=re.compile("^units of"))


def pick_in_list(panel: Panel, row: int, **options: Any) -> None:
    list_of_units(panel)
    panel.root.locator(".iua-list-row:visible").nth(row).click(**options)


def data(panel: Panel, name: str) -> str | None:
    return panel.canvas.get_attribute(f"data-{name}")


def middle(panel: Panel) -> tuple[float, float]:
    box = panel.canvas.bounding_box()
    assert box
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_the_most_inactive_units_are_listed_first(dense: Panel, widget: IUAWidget) -> None:
    units = widget.iua.units("dense")
    worst = units.sort_values("inactive count", ascending=False, kind="stable")["unit"].head(8)
    shown = list_of_units(dense).locator('.iua-list-row:visible [data-key="unit"]')
    expect(shown.nth(7)).to_be_visible()
    assert [int(text) for text in shown.all_inner_texts()[:8]] == worst.tolist()
    assert worst.tolist()[:3] == DEAD


def test_the_list_sorts_by_any_of_its_figures(dense: Panel, widget: IUAWidget) -> None:
    units = widget.iua.units("dense")
    grid = list_of_units(dense)
    for header, column in (("mean |x|", "mean |x|"), ("max |x|", "max |x|")):
        grid.get_by_role("columnheader", name=header).get_by_role("button").click()
        top = units.sort_values(column, ascending=False, kind="stable")["unit"].head(5)
        shown = dense.root.locator('.iua-list-row:visible [data-key="unit"]')
        assert [int(text) for text in shown.all_inner_texts()[:5]] == top.tolist()
    grid.get_by_role("columnheader", name="inactive").get_by_role("button").click()
    expect(grid).to_have_attribute("aria-label", "units of dense: most inactive first")


def test_a_pinned_unit_has_a_card_with_the_figures_python_gives(
    dense: Panel, widget: IUAWidget
) -> None:
    pick_in_list(dense, 5)
    unit = int(data(dense, "pinned") or -1)
    row = widget.iua.units("dense").set_index("unit").loc[unit]
    expect(card(dense)).to_contain_text(f"unit {unit}")
    share = f"{100 * row['inactive share']:.1f} %"
    expect(card(dense)).to_contain_text(f"{int(row['inactive count'])} of {PROBES} probes: {share}")
    texts = card(dense).locator(".iua-figure-value").all_inner_texts()
    figures = [float(text) for text in texts[1:4]]
    expected = [row["mean |x|"], row["rms"], row["max |x|"]]
    assert figures == pytest.approx(expected, rel=5e-3)
    let_go(dense).click()
    expect(let_go(dense)).to_be_hidden()
    expect(card(dense)).to_contain_text(f"unit {DEAD[0]}most inactive")
    rate = widget.iua.units("dense").set_index("unit").loc[DEAD[0], "active rate below"]
    expect(card(dense)).to_contain_text(f"active on < {100 * rate:.2g} % of such data")
    assert data(dense, "selected") == "0"


def test_a_click_pins_and_unpins_and_a_double_click_resets(dense: Panel) -> None:
    x, y = middle(dense)
    mouse = dense.page.mouse
    mouse.click(x, y)
    expect(let_go(dense)).to_be_visible()
    pinned = data(dense, "pinned")
    # A second click that comes sooner makes a double click of the two.
    dense.page.wait_for_timeout(600)
    mouse.click(x, y)
    expect(let_go(dense)).to_be_hidden()
    dense.page.wait_for_timeout(600)
    mouse.click(x, y)
    dense.page.wait_for_timeout(600)
    mouse.wheel(0, -400)
    expect(dense.canvas).not_to_have_attribute("data-zoom", "1.000")
    mouse.dblclick(x, y)
    expect(dense.canvas).to_have_attribute("data-zoom", "1.000")
    assert data(dense, "pinned") == pinned


def test_a_rectangle_drawn_with_shift_selects_what_it_covers(dense: Panel) -> None:
    box = dense.canvas.bounding_box()
    assert box
    page = dense.page
    page.keyboard.down("Shift")
    page.mouse.move(box["x"] + 1, box["y"] + 1)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 1, box["y"] + box["height"] - 1, steps=4)
    expect(dense.root.locator(".iua-region")).to_be_visible()
    page.mouse.up()
    page.keyboard.up("Shift")
    expect(dense.canvas).to_have_attribute("data-selected", "300")
    dense.tab("Selected (300)").click()
    selected = dense.root.get_by_role("tabpanel", name="Selected (300)")
    expect(selected).to_contain_text("300 units selected · 3 dead")
    dense.root.get_by_role("button", name="clear the selection").click()
    expect(dense.canvas).to_have_attribute("data-selected", "0")
    expect(dense.root.get_by_role("tabpanel")).to_contain_text("No unit is selected")


def test_the_selected_units_are_listed_as_those_of_the_layer_are(
    dense: Panel, widget: IUAWidget
) -> None:
    for row in (9, 4, 6):
        pick_in_list(dense, row, modifiers=["Shift"])
    dense.tab("Selected (3)").click()
    grid = dense.root.get_by_role("grid", name="selected units of dense: most inactive first")
    figures = widget.iua.units("dense").sort_values(
        "inactive count", ascending=False, kind="stable"
    )
    shown = grid.locator('.iua-list-row:visible [data-key="unit"]')
    expect(shown).to_have_count(3)
    assert [int(text) for text in shown.all_inner_texts()] == figures.unit.iloc[[4, 6, 9]].tolist()
    shown.nth(0).click()
    assert data(dense, "pinned") == str(figures.unit.iloc[4])
    shown.nth(1).click(modifiers=["Shift"])
    expect(dense.tab("Selected (2)")).to_be_visible()


def test_the_keyboard_walks_pins_selects_and_lets_go(dense: Panel) -> None:
    canvas, keyboard = dense.canvas, dense.page.keyboard
    canvas.focus()
    keyboard.press("Shift+ArrowRight")
    for _ in range(3):
        keyboard.press("Shift+ArrowRight")
    tooltip = dense.root.locator(".iua-heatmap .iua-tooltip")
    expect(tooltip).to_contain_text("unit 3")
    keyboard.press("Enter")
    expect(card(dense)).to_contain_text("unit 3")
    keyboard.press("Shift+ArrowRight")
    keyboard.press("Space")
    expect(canvas).to_have_attribute("data-selected", "2")
    for _ in range(2):
        keyboard.press("Shift+ArrowDown")
    keyboard.press("Shift+ArrowRight")
    keyboard.press("Shift+Space")
    # From unit 4 two rows down and one to the right: three rows of two, and unit 3.
    expect(canvas).to_have_attribute("data-selected", "7")
    keyboard.press("Escape")
    expect(canvas).to_have_attribute("data-selected", "0")
    expect(let_go(dense)).to_be_hidden()
    for key in ("+", "+", "ArrowRight", "-", "0"):
        keyboard.press(key)
    expect(canvas).to_have_attribute("data-zoom", "1.000")


def test_the_list_is_worked_by_keyboard(dense: Panel) -> None:
    grid = list_of_units(dense)
    grid.focus()
    keyboard = dense.page.keyboard
    keyboard.press("ArrowDown")
    keyboard.press("Enter")
    expect(card(dense)).to_contain_text(f"unit {DEAD[1]}")
    keyboard.press("End")
    active = dense.root.locator(f"#{grid.get_attribute('aria-activedescendant')}")
    expect(active).to_have_attribute("aria-rowindex", "301")
    keyboard.press("Home")
    keyboard.press("Space")
    expect(dense.canvas).to_have_attribute("data-selected", "2")


def test_the_threshold_on_the_card_is_the_slider(dense: Panel, widget: IUAWidget) -> None:
    pick_in_list(dense, 6)
    area = dense.root.locator(".iua-mag-area")
    area.scroll_into_view_if_needed()
    box = area.bounding_box()
    assert box
    mouse = dense.page.mouse
    mouse.move(box["x"] + box["width"] * 0.3, box["y"] + 40)
    mouse.down()
    mouse.move(box["x"] + box["width"] * 0.88, box["y"] + 40, steps=5)
    mouse.up()
    atol = float(dense.field("atol").input_value())
    assert 0.1 < atol < 10
    reading = widget.iua.at(atol=atol, rtol=0).results["dense"]
    expect(dense.canvas).to_have_attribute("data-inactive-sum", str(int(reading.lower.sum())))
    handle = dense.root.get_by_role("slider", name="threshold")
    handle.focus()
    dense.page.keyboard.press("Home")
    expect(dense.field("atol")).to_have_value("0")
    dense.page.keyboard.press("ArrowRight")
    expect(dense.field("atol")).to_have_value("1e-8")


def test_colors_order_and_width_are_choices(dense: Panel) -> None:
    def pixels() -> str:
        dense.page.wait_for_timeout(200)
        return str(dense.canvas.evaluate("(canvas) => canvas.toDataURL()"))

    dense.open_menu("more of the picture")

    def choose(name: str, value: str) -> None:
        dense.root.locator(".iua-heatmap").get_by_label(name, exact=True).select_option(value)

    seen = [pixels()]
    for name, value in (
        ("color", "count"),
        ("color", "mean |x|"),
        ("color", "dead"),
        ("color", "share"),
        ("palette", "gray"),
        ("order", "activity"),
    ):
        choose(name, value)
        seen.append(pixels())
    assert seen[4] == seen[0]
    assert len(set(seen)) == len(seen) - 1
    dense.page.mouse.move(middle(dense)[0], 5)
    box = dense.canvas.bounding_box()
    assert box
    width = dense.root.get_by_label("width", exact=True)
    width.fill("10")
    width.press("Enter")
    dense.canvas.hover(position={"x": box["width"] / 2 - 130, "y": 8})
    tooltip = dense.root.locator(".iua-heatmap .iua-tooltip")
    expect(tooltip).to_be_visible()
    assert "60 of 60" in tooltip.inner_text() or pixels() != seen[-1]
    dense.root.get_by_label("color", exact=True).select_option("dead")
    expect(dense.canvas).to_have_attribute("data-coloring", "dead")


@pytest.mark.parametrize("own", [True, False])
def test_a_page_in_many_parts_opens_with_every_layer(
    page: Page,
    widget: IUAWidget,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    own: bool,
) -> None:
    monkeypatch.setattr(html, "PART_BYTES", 3 * 2**9)
    if not own:
        page.add_init_script("delete Uint8Array.fromBase64")
    path = widget.to_html(tmp_path / "parts.html")
    assert path.read_text(encoding="utf-8").count('id="data-') > 30
    for layer in ("lone", "maps"):
        open_export(page, path, layer)
        shown = Panel(page).heatmap()
        counts = widget.iua.at().results[layer].unit_inactive_count
        assert (shown["units"], shown["sum"]) == (counts.size, counts.sum())


def test_a_lone_dead_unit_is_seen_and_named_however_many_there_are(
    page: Page, exported: Path
) -> None:
    panel = open_export(page, exported, "lone")
    expect(panel.canvas).to_have_attribute("data-grain", "pixel")
    for rule in ("least active", "most active", "mean"):
        menu = panel.open_menu("more of the picture")
        menu.get_by_label("pixel shows").select_option(rule)
        expect(panel.canvas).to_have_attribute("data-rings", "1")
        at = panel.root.locator("canvas.iua-rings").evaluate(
            """(rings) => {
                const { width, height } = rings;
                const { data } = rings.getContext("2d").getImageData(0, 0, width, height);
                const found = [];
                for (let pixel = 0; pixel < width * height; pixel++) {
                    const [red, green, blue] = data.subarray(4 * pixel, 4 * pixel + 3);
                    if (red > 200 && green < 120 && blue < 120) {
                        found.push([pixel % width, Math.floor(pixel / width)]);
                    }
                }
                const mean = (axis) => found.reduce((sum, p) => sum + p[axis], 0) / found.length;
                return { pixels: found.length, x: mean(0), y: mean(1) };
            }"""
        )
        assert at["pixels"] >= 9
    page.keyboard.press("Escape")
    expect(panel.root.locator(".iua-legend")).to_contain_text("lone dead unit")
    panel.canvas.click(position={"x": at["x"], "y": at["y"]})
    expect(card(panel)).to_contain_text("unit 77777")
    expect(card(panel)).to_contain_text("dead: inactive on every probe")


def test_what_is_not_finite_is_marked_and_said(page: Page, exported: Path) -> None:
    panel = open_export(page, exported, "broken")
    legend = panel.root.locator(".iua-legend")
    expect(legend).to_contain_text("NaN or infinite at least once (1 unit)")
    expect(legend).to_contain_text("dead: inactive on every finite probe")
    panel.canvas.focus()
    for _ in range(6):
        page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Enter")
    expect(card(panel)).to_contain_text(f"unit 5pinnedNaN or infinite on 1 of {PROBES} probes")


def test_channels_open_into_units(page: Page, exported: Path, widget: IUAWidget) -> None:
    panel = open_export(page, exported, "maps")
    pick_in_list(panel, 0)
    expect(card(panel)).to_contain_text("channel 4, row 0, column 0")
    expect(card(panel)).to_contain_text("flat index 324")
    assert panel.heatmap()["dead"] == int(widget.iua.results["maps"].dead)


def test_two_fingers_zoom_and_one_scrolls_the_page(browser: Browser, exported: Path) -> None:
    context = browser.new_context(
        viewport={"width": 700, "height": 900}, has_touch=True, device_scale_factor=2
    )
    page = context.new_page()
    panel = open_export(page, exported, "dense")
    x, y = middle(panel)
    cdp = context.new_cdp_session(page)

    def touch(kind: str, *points: tuple[float, float]) -> None:
        fingers = [{"x": px, "y": py, "id": finger} for finger, (px, py) in enumerate(points)]
        cdp.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})

    touch("touchStart", (x - 40, y))
    touch("touchStart", (x - 40, y), (x + 40, y))
    for step in range(1, 9):
        touch("touchMove", (x - 40 - 8 * step, y), (x + 40 + 8 * step, y))
    touch("touchEnd")
    expect(panel.canvas).not_to_have_attribute("data-zoom", "1.000")
    assert float(data(panel, "zoom") or 0) == pytest.approx(2.6, rel=0.1)
    before = panel.canvas.evaluate("(canvas) => canvas.toDataURL()")
    touch("touchStart", (x, y))
    for step in range(1, 6):
        touch("touchMove", (x - 12 * step, y - 6 * step))
    touch("touchEnd")
    page.wait_for_timeout(200)
    assert panel.canvas.evaluate("(canvas) => canvas.toDataURL()") != before
    page.touchscreen.tap(x, y)
    expect(let_go(panel)).to_be_visible()
    context.close()


@pytest.mark.parametrize("ratio", [1, 1.5, 3])
def test_the_picture_has_the_resolution_of_the_screen(
    browser: Browser, exported: Path, ratio: float
) -> None:
    context = browser.new_context(viewport={"width": 900, "height": 900}, device_scale_factor=ratio)
    panel = open_export(context.new_page(), exported, "dense")
    size = panel.canvas.evaluate("(canvas) => [canvas.width / canvas.clientWidth, canvas.height]")
    assert size[0] == pytest.approx(ratio, rel=0.01)
    context.close()
