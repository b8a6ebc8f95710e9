"""Accessibility: axe-core and the keyboard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from axe import axe_violations
from panel import Panel
from playwright.sync_api import Page, expect
from stub_page import page_state

from iua_widget import IUAWidget

pytestmark = pytest.mark.browser

RNG = np.random.default_rng(5)
LONG = "<img src=x onerror=alert(1)>" + "very.long." * 27
NAMES = ["conv1.relu", LONG, 'שכבה."relu"', "head.gelu", "broken"]


def responses() -> dict[str, np.ndarray]:
    def half(*shape: int) -> np.ndarray:
        return np.maximum(RNG.normal(size=shape), 0).astype(np.float32)

    maps = half(40, 6, 5, 5)
    maps[:, 2] = 0
    broken = half(40, 12)
    broken[3, 4] = np.nan
    gelu = RNG.normal(size=(40, 30)).astype(np.float32)
    return dict(zip(NAMES, [maps, half(40, 50), half(40, 20), gelu, broken], strict=True))


@pytest.fixture(scope="module")
def widget() -> IUAWidget:
    widget = IUAWidget(responses())
    assert widget.wait(60)
    return widget


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_before_while_and_after_a_run_and_in_a_presentation(
    stub: Page, widget: IUAWidget, theme: str
) -> None:
    stub.evaluate("(theme) => { document.documentElement.dataset.theme = theme; }", theme)
    states: dict[str, dict[str, Any]] = {
        "before": {"_table": b"", "_units": b"", "status": "running", "_run": {}},
        "while": {
            "status": "running",
            "_run": widget._run | {"rate": 12.5, "remaining": 80.0, "total": 1000},
        },
        "paused": {"status": "paused"},
        "failed": {
            "status": "failed",
            "_run": widget._run | {"error": {"title": "The run broke off", "message": "why"}},
        },
        "after": {},
    }
    found = {}
    for name, changes in states.items():
        stub.evaluate("(state) => window.update(state)", page_state(widget, **changes))
        stub.wait_for_timeout(200)
        found[name] = axe_violations(stub)
    Panel(stub).button("View").click()
    found["menu"] = axe_violations(stub)
    Panel(stub).button("Present").click()
    found["presentation"] = axe_violations(stub)
    problems = [f"{name}: {problem}" for name, all_ in found.items() for problem in all_]
    assert problems == [], "\n".join(problems)


def test_names_of_layers_are_text_and_break_nothing(stub: Page) -> None:
    panel = Panel(stub)
    assert set(panel.layers()) == set(NAMES)
    for width in (1500, 900, 420):
        stub.set_viewport_size({"width": width, "height": 900})
        stub.wait_for_timeout(150)
        clipped = panel.root.evaluate("(root) => root.scrollWidth - root.clientWidth")
        assert clipped <= 0, f"something is clipped at the side at {width} px"
        for name in NAMES[1:3]:
            stub.evaluate("(layer) => window.update({ layer })", name)
            expect(panel.root.get_by_role("heading", name=name, exact=True)).to_be_visible()
    assert stub.locator("img").count() == 0


def test_the_keyboard_alone_reaches_and_works_everything(stub: Page) -> None:
    panel, keyboard = Panel(stub), stub.keyboard
    stub.evaluate("() => document.activeElement.blur()")
    reached: list[str] = []
    for _ in range(80):
        keyboard.press("Tab")
        name = stub.evaluate(
            """() => {
                const node = document.activeElement;
                if (!document.querySelector(".iua-widget").contains(node)) return null;
                const style = getComputedStyle(node);
                const outlined = style.outlineStyle !== "none" || style.boxShadow !== "none";
                const label = node.getAttribute("aria-label") ?? node.textContent.trim();
                return [node.tagName, node.type ?? "", label.slice(0, 30), outlined].join("|");
            }"""
        )
        if name is None:
            break
        assert name not in reached or not name.strip("|"), f"focus turns in a circle at {name}"
        reached.append(name)
    text = "\n".join(reached)
    for place in ("View", "Restart", "atol", "rtol", "scale", "CANVAS", "TR|", "heatmap of"):
        assert place in text, f"Tab does not reach {place}:\n{text}"
    # And what is reached works: the menu, a slider, the table, the picture.
    panel.button("View").focus()
    keyboard.press("Enter")
    expect(panel.button("Present")).to_be_visible()
    keyboard.press("Tab")
    keyboard.press("Space")
    expect(panel.slider("atol")).to_be_hidden()
    keyboard.press("Space")
    expect(panel.slider("atol")).to_be_visible()
    keyboard.press("Escape")
    expect(panel.button("Present")).to_be_hidden()
    expect(panel.button("View")).to_be_focused()
    panel.slider("atol").focus()
    before = panel.table()
    keyboard.press("End")
    stub.wait_for_timeout(100)
    assert panel.table() != before
    panel.row("conv1.relu").focus()
    keyboard.press("End")
    keyboard.press("Enter")
    stub.wait_for_function("() => window.model.get('layer') === 'broken'")
    keyboard.press("Home")
    keyboard.press("Enter")
    panel.canvas.focus()
    keyboard.press("+")
    stub.wait_for_timeout(100)
    assert float(panel.canvas.get_attribute("data-zoom") or 1) > 1
    panel.button("Restart").focus()
    keyboard.press("Enter")
    said = stub.evaluate("() => window.said.filter((what) => what.type === 'command')")
    assert said == [{"type": "command", "command": "restart"}]


@pytest.mark.parametrize("kind", ["PNG", "SVG"])
def test_the_view_is_saved_with_what_a_reader_needs(stub: Page, kind: str, tmp_path: Path) -> None:
    panel = Panel(stub)
    panel.button("View").click()
    with stub.expect_download() as saved:
        panel.button(f"Save {kind}").click()
    path = tmp_path / saved.value.suggested_filename
    saved.value.save_as(path)
    assert path.suffix == f".{kind.lower()}"
    if kind == "SVG":
        text = path.read_text(encoding="utf-8")
        stub.goto(path.as_uri())  # an XML parser accepts it
        for words in ("conv1.relu", "40 probes", "dead", "data:image/png;base64,"):
            assert words in text
    else:
        width, height = (int.from_bytes(path.read_bytes()[at : at + 4]) for at in (16, 20))
        assert width > 2000
        assert height > 800


def test_an_error_anywhere_in_the_view_is_shown_in_it(stub: Page) -> None:
    panel = Panel(stub)
    alert = panel.root.get_by_role("alert").filter(visible=True)
    expect(alert).to_have_count(0)
    stub.evaluate("() => window.update({ _table: new DataView(new ArrayBuffer(40)) })")
    expect(alert).to_contain_text("Update iua_widget")


def test_colors_forced_by_the_user_keep_the_picture_and_the_rest_readable(
    stub: Page,
) -> None:
    stub.emulate_media(forced_colors="active", reduced_motion="reduce")
    panel = Panel(stub)
    expect(panel.canvas).to_be_visible()
    style = "(node) => getComputedStyle(node).forcedColorAdjust"
    assert panel.root.locator(".iua-canvas-box").evaluate(style) == "none"
    moving = panel.root.evaluate(
        "(root) => root.getAnimations({ subtree: true }).filter((a) => a.playState === 'running')"
        ".length"
    )
    assert moving == 0
    stub.emulate_media(forced_colors="none", media="print")
    expect(panel.button("View")).to_be_hidden()


GROUND_OF_CORNER = """
() => {
    const canvas = document.querySelector("canvas[data-layer]");
    return [...canvas.getContext("2d").getImageData(1, 1, 1, 1).data.slice(0, 3)];
}
"""

SHOW_BEFORE_IT_IS_IN_THE_PAGE = """
() => {
    window.view.abort();
    const cell = document.getElementById("cell");
    const [parent, find] = [cell.parentNode, document.getElementById];
    cell.replaceChildren();
    cell.remove();
    document.getElementById = () => cell;
    window.view = window.show();
    document.getElementById = find;
    setTimeout(() => parent.append(cell), 200);
}
"""


def test_colors_are_those_of_the_page_even_where_it_gets_the_widget_late(stub: Page) -> None:
    """Hosts build the widget first and put it into the page when they like."""
    stub.evaluate("() => { document.documentElement.dataset.theme = 'dark'; }")
    stub.evaluate(SHOW_BEFORE_IT_IS_IN_THE_PAGE)
    stub.locator("canvas[data-layer]").wait_for()
    stub.wait_for_timeout(300)
    assert stub.evaluate(GROUND_OF_CORNER) == [0x0B, 0x0D, 0x10]
