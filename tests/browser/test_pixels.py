"""Pixels counted on the page: as much dead color in each tile as there are dead units."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from panel import Panel
from playwright.sync_api import Browser, expect

from iua_widget import IUAWidget

pytestmark = pytest.mark.browser

PROBES = 4
ALIVE = np.float32(1)


def layers() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(17)
    maps = {
        "few": (3, 16, 16),
        "early": (48, 40, 40),
        "middle": (256, 14, 14),
        "deep": (1024, 4, 4),
    }
    responses: dict[str, np.ndarray] = {}
    for name, shape in maps.items():
        share = rng.beta(0.4, 1.2, shape[0])[:, None, None]
        dead = rng.random(shape) < share
        responses[name] = np.where(dead, 0, ALIVE) * np.ones((PROBES, *shape), np.float32)
    dense = rng.random(400_000) < np.linspace(0, 0.6, 400_000)
    responses["dense"] = np.where(dense, 0, ALIVE) * np.ones((PROBES, dense.size), np.float32)
    steady = rng.normal(size=(PROBES, 509)).astype(np.float32)
    responses["small"] = np.maximum(steady, 0)
    return responses


@pytest.fixture(scope="module")
def widget() -> IUAWidget:
    widget = IUAWidget(layers())
    assert widget.wait(120)
    return widget


@pytest.fixture(scope="module")
def exported(widget: IUAWidget, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return widget.to_html(tmp_path_factory.mktemp("pixels") / "pixels.html")


@pytest.fixture
def open_page(browser: Browser, exported: Path) -> Iterator[Any]:
    contexts = []

    def open_it(width: int, theme: Any, ratio: float, layer: str) -> Panel:
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=theme,
            device_scale_factor=ratio,
        )
        contexts.append(context)
        page = context.new_page()
        page.goto(exported.as_uri())
        panel = Panel(page)
        choose(panel, layer)
        return panel

    yield open_it
    for context in contexts:
        context.close()


def choose(panel: Panel, layer: str) -> None:
    panel.row(layer).click()
    expect(panel.canvas).to_have_attribute("data-layer", layer)
    expect(panel.canvas).to_have_attribute("data-grain", re.compile("unit|pixel|channel"))
    painted(panel)


def painted(panel: Panel) -> None:
    panel.page.evaluate(
        """async () => {
            for (let frame = 0; frame < 3; frame++) await new Promise(requestAnimationFrame);
        }"""
    )


def classes(panel: Panel) -> np.ndarray:
    """Each pixel of the canvas: 0 ground, 1 dead, 2 any shade."""
    shown = panel.canvas.evaluate(
        """(canvas) => {
            const style = getComputedStyle(canvas);
            const rgb = (name) => {
                const value = parseInt(style.getPropertyValue(name).trim().slice(1), 16);
                return [(value >> 16) & 255, (value >> 8) & 255, value & 255];
            };
            const colors = [rgb("--iua-picture-ground"), rgb("--iua-dead")];
            const { width, height } = canvas;
            const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
            let text = "";
            for (let pixel = 0; pixel < width * height; pixel++) {
                const found = colors.findIndex((color) =>
                    color.every((channel, at) => channel === data[4 * pixel + at]));
                text += found < 0 ? "2" : String(found);
            }
            return { width, height, text };
        }"""
    )
    text: str = shown["text"]
    digits = np.frombuffer(text.encode(), np.uint8) - ord("0")
    return digits.reshape(int(shown["height"]), int(shown["width"]))


def tiles_of(picture: np.ndarray) -> list[np.ndarray]:
    """Tiles in reading order, told apart by the ground between them; labels lie on the ground."""
    filled = picture > 0
    solid = filled.mean(axis=1) > 0.3
    tiles: list[np.ndarray] = []
    for top, bottom in spans(solid):
        columns = filled[top:bottom].mean(axis=0) > 0.9
        tiles += [picture[top:bottom, left:right] for left, right in spans(columns)]
    return tiles


def spans(flags: np.ndarray) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(int)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def dead_of(widget: IUAWidget, layer: str) -> np.ndarray:
    counts = widget.iua.results[layer].unit_inactive_count
    dead: np.ndarray = np.asarray(counts) == PROBES
    return dead


@pytest.mark.parametrize(
    ("width", "theme", "ratio"),
    [(700, "light", 1), (700, "dark", 2), (1300, "dark", 1), (1300, "light", 1.5)],
)
def test_every_channel_shows_as_much_death_as_it_has(
    open_page: Any, widget: IUAWidget, width: int, theme: str, ratio: float
) -> None:
    panel = open_page(width, theme, ratio, "early")
    for layer in ("early", "middle"):
        choose(panel, layer)
        dead = dead_of(widget, layer)
        tiles = tiles_of(classes(panel))
        assert len(tiles) == len(dead)
        for tile, units in zip(tiles, dead, strict=True):
            wanted = units.mean() * tile.size
            assert abs((tile == 1).sum() - wanted) <= 1.001


@pytest.mark.parametrize(("layer", "ratio"), [("few", 1), ("deep", 1), ("dense", 1), ("dense", 2)])
def test_a_whole_layer_shows_as_much_death_as_it_has(
    open_page: Any, widget: IUAWidget, layer: str, ratio: float
) -> None:
    for theme in ("light", "dark"):
        panel = open_page(1100, theme, ratio, layer)
        picture = classes(panel)
        share = (picture == 1).sum() / (picture > 0).sum()
        assert share == pytest.approx(dead_of(widget, layer).mean(), abs=0.003)


SETTLED = 300
"""Milliseconds after which a new size no longer lays the picture out anew: 250, and a frame."""


def test_columns_stay_until_asked_for(open_page: Any) -> None:
    panel = open_page(1300, "light", 1, "small")
    field = panel.open_menu("more of the picture").get_by_label("width", exact=True)

    def columns() -> str | None:
        painted(panel)
        return field.get_attribute("placeholder")

    first = columns()
    panel.page.wait_for_timeout(SETTLED)
    panel.canvas.click(position={"x": 60, "y": 60})
    assert columns() == first
    panel.page.set_viewport_size({"width": 400, "height": 1100})
    assert columns() == first
    choose(panel, "dense")
    choose(panel, "small")
    assert columns() == first
    panel.root.get_by_role("button", name="reset zoom").click()
    reset = columns()
    assert reset != first
    panel.page.wait_for_timeout(SETTLED)
    panel.page.set_viewport_size({"width": 1300, "height": 900})
    assert columns() == reset
    panel.open_menu("more of the picture")
    field.fill("16")
    field.press("Enter")
    assert columns() == "16"
    field.fill("")
    field.press("Enter")
    assert columns() == first


def test_what_is_in_the_middle_stays_there_when_the_view_is_resized(open_page: Any) -> None:
    panel = open_page(1300, "light", 1, "small")
    panel.page.wait_for_timeout(300)
    panel.canvas.focus()
    for key in ("+", "+", "ArrowRight", "ArrowRight", "ArrowDown"):
        panel.page.keyboard.press(key)

    def middle() -> str:
        painted(panel)
        box = panel.canvas.bounding_box()
        assert box
        panel.canvas.hover(position={"x": box["width"] / 2, "y": box["height"] / 2})
        return panel.root.locator(".iua-heatmap .iua-tooltip").inner_text()

    before = middle()
    zoom = panel.canvas.get_attribute("data-zoom")
    panel.page.set_viewport_size({"width": 800, "height": 800})
    assert middle() == before
    assert panel.canvas.get_attribute("data-zoom") == zoom


def test_a_pixel_says_how_many_units_it_holds(open_page: Any) -> None:
    panel = open_page(700, "light", 1, "dense")
    panel.canvas.hover(position={"x": 200, "y": 100})
    text = panel.root.locator(".iua-heatmap .iua-tooltip").inner_text()
    told = re.search(r"in this pixel: (\d+) units?, (\d+) dead", text)
    assert told
    assert 0 <= int(told[2]) <= int(told[1]) < 20
