"""The exported page in Firefox, where a package has it."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from firefox import FirefoxPage, ensure_firefox, find_firefox, firefox_page

from iua_widget import IUAWidget

pytestmark = pytest.mark.browser

RNG = np.random.default_rng(5)
DEAD = 7
ARROW_RIGHT = "\ue014"


@pytest.fixture(scope="module")
def widget() -> IUAWidget:
    dense = np.maximum(RNG.normal(size=(50, 120)), 0).astype(np.float32)
    dense[:, :DEAD] = 0
    maps = np.maximum(RNG.normal(size=(50, 6, 8, 8)), 0).astype(np.float32)
    widget = IUAWidget({"dense": dense, "maps": maps})
    assert widget.wait(60)
    return widget


@pytest.fixture(scope="module")
def firefox() -> Iterator[FirefoxPage]:
    path = ensure_firefox() if os.environ.get("CI") else find_firefox()
    if path is None:
        pytest.skip("no Firefox: `python tests/browser/firefox.py` fetches one where it can")
    with firefox_page(path) as page:
        yield page


@pytest.fixture
def opened(firefox: FirefoxPage, widget: IUAWidget, tmp_path: Path) -> Iterator[FirefoxPage]:
    file = widget.to_html(tmp_path / "page.html")
    firefox.complaints.clear()
    firefox.open(file.as_uri(), 1200, 1000)
    firefox.until("document.querySelector('canvas[data-layer=dense]')")
    yield firefox
    if os.environ.get("IUA_SCREENSHOTS"):
        shot = Path(os.environ["IUA_SCREENSHOTS"]) / "firefox.png"
        shot.write_bytes(base64.b64decode(firefox.screenshot()))
    assert firefox.complaints == []


def text_of(page: FirefoxPage, row: str, column: str) -> str:
    cell = f".iua-row[data-layer={row}] [data-column={column}]"
    text: str = page.evaluate(f"document.querySelector('{cell}').textContent")
    return text


def test_the_table_has_pythons_figures_and_follows_the_slider(
    opened: FirefoxPage, widget: IUAWidget
) -> None:
    assert str(DEAD) in text_of(opened, "dense", "dead-units")
    before = text_of(opened, "dense", "mean-inactive")
    opened.click("input[type=range]")
    for _ in range(3):
        opened.press(ARROW_RIGHT)
    cell = ".iua-row[data-layer=dense] [data-column=mean-inactive]"
    mean = f"document.querySelector('{cell}').textContent"
    opened.until(f"{mean} !== {before!r}")
    atol = opened.evaluate("Number(document.querySelector('.iua-tolerance-field').value)")
    expected = widget.iua.at(atol=atol).results["dense"].mean_inactive
    opened.until(f"{mean}.includes('{expected:.2f}')")


def test_a_layer_is_chosen_and_drawn_and_units_are_listed(opened: FirefoxPage) -> None:
    opened.click(".iua-row[data-layer=maps]")
    opened.until("document.querySelector('canvas[data-layer=maps]')")
    colors = opened.evaluate(
        """(() => {
            const canvas = document.querySelector("canvas[data-layer]");
            const { width, height } = canvas;
            const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
            return new Set(new Uint32Array(data.buffer)).size;
        })()"""
    )
    assert colors > 5
    opened.click(".iua-row[data-layer=dense]")
    opened.until("document.querySelectorAll('.iua-worst-row').length > 5")
    opened.click(".iua-tab:nth-child(2)")
    opened.until("document.querySelectorAll('.iua-list-row').length > 5")
