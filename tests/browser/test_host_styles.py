"""A host's styles do not reach into the widget, and no two of its texts overlap."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect
from stub_page import page_state, stub_page
from texts import overlapping_texts

from iua_widget import IUAWidget

pytestmark = pytest.mark.browser

JUPYTER = """
.host dl, .host dt, .host dd, .host table, .host td, .host th { margin: 0 0 12px; }
.host .out dt { float: left; width: 20%; display: block; font-weight: bold; margin-bottom: 9px; }
.host .out dd { float: left; width: 80%; display: block; margin: 0 0 9px 10px; }
.host .out table { margin-left: auto; margin-right: auto; border: none; border-collapse: collapse;
  table-layout: fixed; font-size: 12px; color: maroon; }
.host .out td, .host .out th, .host .out tr { text-align: right; vertical-align: middle;
  padding: 0.5em; line-height: normal; white-space: normal; max-width: none; border: none; }
.host .out tbody tr:nth-child(odd) { background: #eee; }
"""
BOOTSTRAP = """
* { box-sizing: border-box; }
label { display: inline-block; max-width: 100%; margin-bottom: 5px; font-weight: bold; }
input, button, select, textarea { font-family: inherit; font-size: 21px; line-height: 2.5;
  margin: 4px; height: 40px; padding: 6px 12px; border: 3px solid lime; border-radius: 0; }
select { width: 220px; }
input[type="checkbox"] { margin: 4px 0 0; }
h1, h2, h3, h4 { font: bold 30px/1.1 serif; margin: 20px 0 10px; color: green; }
p, dl, ul, pre { margin: 2em; text-indent: 3em; }
strong, b { font-weight: 900; letter-spacing: 3px; }
table { background: pink; border-spacing: 9px; width: 50%; }
thead { display: block; } th { text-align: center; }
section { padding: 30px; overflow: hidden; float: left; }
div#page div, div#page span { line-height: 3; }
"""
TAILWIND = """
*, ::before, ::after, ::backdrop { margin: 0; padding: 0; border: 0 solid; }
button, input, select { font: inherit; background: transparent; opacity: 0.9; border-radius: 0;
  color: inherit; letter-spacing: inherit; appearance: none; }
img, svg, video, canvas, audio, iframe { display: block; vertical-align: middle; }
img, canvas, video { max-width: 60%; height: auto; }
svg { width: 40px; overflow: visible; }
ol, ul, menu { list-style: none; } table { text-indent: 0; border-collapse: collapse; }
body { line-height: 1.5; text-align: right; text-transform: uppercase; word-spacing: 9px;
  letter-spacing: 2px; white-space: pre; font: italic 22px cursive; }
"""
RECTS = """(root) => {
    const { x, y } = root.getBoundingClientRect();
    const seen = [...root.querySelectorAll("*")].filter(
        (node) => node.checkVisibility() && node.getClientRects().length > 0);
    return seen.map((node) => {
        const rect = node.getBoundingClientRect();
        const { color, backgroundColor, fontSize, fontWeight } = getComputedStyle(node);
        const look = [color, backgroundColor, fontSize, fontWeight].join();
        const name = `${node.tagName} ${node.getAttribute("class")}`;
        return [name, rect.x - x, rect.y - y, rect.width, rect.height, look];
    });
}"""


@pytest.fixture(scope="module")
def state() -> dict[str, Any]:
    rng = np.random.default_rng(3)
    maps = np.maximum(rng.normal(size=(24, 6, 5, 5)) - 0.5, 0)
    maps[:, :2] = 0
    layers = {"features.maps": maps, "head.relu": np.maximum(rng.normal(size=(24, 30)), 0)}
    widget = IUAWidget(layers, background=False)
    return page_state(widget, units=[30])


@pytest.fixture
def shown(browser: Browser, state: dict[str, Any]) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1240, "height": 1000})
    page.set_content(stub_page(state))
    page.wait_for_function("() => window.ready")
    page.evaluate(
        """() => {
            const cell = document.getElementById("cell");
            cell.className = "out";
            cell.style.width = "1200px";
            cell.parentElement.className = "host";
            cell.parentElement.id = "page";
        }"""
    )
    expect(page.locator("tbody tr[data-layer]")).to_have_count(2)
    page.wait_for_timeout(200)
    yield page
    page.close()


@pytest.mark.parametrize(
    "styles", [JUPYTER, BOOTSTRAP, TAILWIND], ids=["jupyter", "bootstrap", "tailwind"]
)
def test_a_host_s_styles_for_elements_change_nothing(shown: Page, styles: str) -> None:
    root = shown.locator(".iua-widget")
    before = root.evaluate(RECTS)
    assert len(before) > 200
    shown.add_style_tag(content=styles)
    shown.wait_for_timeout(200)
    after = root.evaluate(RECTS)
    moved = [
        (one, other)
        for one, other in zip(before, after, strict=True)
        if one[0] != other[0]
        or one[5] != other[5]
        or any(abs(a - b) > 0.6 for a, b in zip(one[1:5], other[1:5], strict=True))
    ]
    assert moved[:5] == []


@pytest.mark.parametrize("width", [340, 700, 1240])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_two_texts_overlap(shown: Page, width: int, scheme: Any) -> None:
    shown.emulate_media(color_scheme=scheme)
    shown.evaluate("(width) => { cell.style.width = `${width}px`; }", width)
    shown.wait_for_timeout(300)
    assert overlapping_texts(shown.locator(".iua-widget")) == []
