"""Tuning tolerances on the page: scales, shares, presets, the curve, the recount."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from panel import Panel
from playwright.sync_api import Locator, Page, expect
from stub_page import page_state, stub_page

from iua_widget import IUA, PRESETS, IUAWidget

pytestmark = pytest.mark.browser


def sparse_layers() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    layers = {}
    for number, shape in enumerate([(64,), (6, 5, 5), (200,)]):
        scale = 10 ** rng.uniform(-4, 0.5, shape)
        response = np.maximum(rng.normal(size=(80, *shape)) - 0.3, 0) * scale
        response[:, rng.random(shape) < 0.1] = 0
        layers[f"relu{number}"] = response.astype(np.float32)
    return layers


def smooth_layers() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(4)
    values = rng.normal(size=(80, 90)) * 10 ** rng.uniform(-4, 0, 90)
    return {"gelu": (values / (1 + np.exp(-1.7 * values))).astype(np.float32)}


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("tolerances")
    return {
        name: IUAWidget(layers, background=False).to_html(folder / f"{name}.html")
        for name, layers in (("sparse", sparse_layers()), ("smooth", smooth_layers()))
    }


@pytest.fixture(scope="module")
def iua() -> IUA:
    return IUA.introspect(sparse_layers())


def settle(panel: Panel) -> None:
    panel.page.evaluate("() => new Promise((go) => requestAnimationFrame(() => setTimeout(go)))")


def assert_shows(panel: Panel, iua: IUA, **at: Any) -> None:
    settle(panel)
    table = panel.table()
    for layer, result in iua.at(**at).results.items():
        mean = (result.mean_inactive, result.mean_inactive_upper)
        assert table[layer]["mean-inactive"] == pytest.approx(mean, rel=1e-12), (layer, at)
        assert table[layer]["dead-units"] == (result.dead, result.dead_upper), (layer, at)


def test_presets_set_what_python_sets_and_say_which_is_in_force(opened: Any, iua: IUA) -> None:
    panel = opened()
    for name, words in PRESETS.items():
        item = panel.choose_preset(name)
        expect(item).to_be_hidden()
        expect(item).to_have_attribute("aria-checked", "true")
        if words.dead_at is None and words.tau is None:
            assert_shows(panel, iua, **{"rtol": 0.0, "scale": "layer_mean", **words.settings})
        assert words.formula in item.inner_text()
    panel.choose_preset(name)  # what only says when a unit is dead is let go of again
    expect(item).to_have_attribute("aria-checked", "false")
    panel.set_slider("atol", 33)
    for name in ("exact zero", "DNIKit", "near zero"):
        expect(panel.preset(name)).to_have_attribute("aria-checked", "false")


def test_a_saved_picture_has_a_word_on_counts_only_where_they_are_ranges(opened: Any) -> None:
    panel = opened()

    def rule() -> list[str]:
        return [text for text in panel.texts_of_picture() if text.startswith("inactive: ")]

    assert rule() == ["inactive: |x| ≤ 1e-8"]
    panel.field("atol").fill("0.0551")
    panel.field("atol").press("Enter")
    settle(panel)
    (ranges,) = rule()
    assert ranges.startswith("inactive: |x| ≤ 0.0551 · a")
    assert ranges.endswith("b holds the true number")


def test_the_keyboard_chooses_a_preset(opened: Any) -> None:
    panel = opened()
    button, keyboard = panel.button("Presets"), panel.page.keyboard
    expect(button).to_have_attribute("aria-expanded", "false")
    button.press("ArrowDown")
    expect(button).to_have_attribute("aria-expanded", "true")
    expect(panel.preset("DNIKit")).to_be_focused()  # it is in force
    keyboard.press("ArrowDown")
    keyboard.press("ArrowDown")
    expect(panel.preset("near zero")).to_be_focused()
    keyboard.press("Enter")
    expect(panel.field("atol")).to_have_value("0.05")
    expect(button).to_be_focused()
    expect(panel.preset("near zero")).to_be_hidden()
    keyboard.press("Enter")
    keyboard.press("End")
    expect(panel.preset("rarely active")).to_be_focused()
    keyboard.press("ArrowDown")
    expect(panel.preset("exact zero")).to_be_focused()
    keyboard.press("Escape")
    expect(panel.preset("exact zero")).to_be_hidden()
    expect(button).to_be_focused()
    expect(panel.field("atol")).to_have_value("0.05")


def test_every_scale_shows_the_bounds_that_python_gives(opened: Any, iua: IUA) -> None:
    panel = opened()
    stops = iua.stops
    panel.set_slider("rtol", stops.index(0.3))
    for scale in ("zero", "layer_mean", "unit_rms", "unit_max"):
        panel.root.get_by_label("scale", exact=True).select_option(scale)
        assert_shows(panel, iua, atol=1e-8, rtol=0.3, scale=scale)
    panel.row("relu1").click()
    expect(panel.root.locator('canvas[data-layer="relu1"]')).to_be_visible()
    settle(panel)
    heatmap = panel.heatmap()
    result = iua.at(atol=1e-8, rtol=0.3, scale="unit_max").results["relu1"]
    assert heatmap["sum"] == result.lower.sum()
    assert heatmap["dead"] == result.dead
    # Without a kernel there are no curves for another atol: wider bounds, which hold the truth.
    panel.set_slider("atol", stops.index(0.01))
    settle(panel)
    for layer, result in iua.at(atol=0.01, rtol=0.3, scale="unit_max").results.items():
        low, high = panel.table()[layer]["mean-inactive"]
        assert low <= result.mean_inactive <= result.mean_inactive_upper <= high
        low, high = panel.table()[layer]["dead-units"]
        assert low <= result.dead <= high


def test_tau_moves_what_is_dormant_and_nothing_else(opened: Any, iua: IUA) -> None:
    panel = opened()
    before = {layer: cells["dead-units"] for layer, cells in panel.table().items()}
    field = panel.root.get_by_label("tau: dormant if mean |x| is at most")
    expect(field).to_have_value("0.025")
    for text, tau in [("0.1", 0.1), ("1", 1.0), ("5e-1", 0.5), ("0", 0.0)]:
        field.fill(text)
        field.press("Enter")
        settle(panel)
        expect(panel.root.locator("th[data-column=dormant]")).to_contain_text(f"τ {tau:g}")
        table = panel.table()
        for layer, result in iua.at(tau=tau).results.items():
            assert table[layer]["dormant"] == (result.dormant, result.dormant)
            assert table[layer]["dead-units"] == before[layer]
    field.fill("-1")
    field.press("Enter")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_value("0")
    panel.choose_preset("tau-dormant 0.1")
    expect(field).to_have_value("0.1")


def test_a_share_of_the_probes_moves_what_is_dead(opened: Any, iua: IUA) -> None:
    panel = opened()
    field = panel.root.get_by_label("dead if inactive on at least this percentage of probes")
    for text, share in [("90", 0.9), ("62.5 %", 0.625), ("100", 1.0)]:
        field.fill(text)
        field.press("Enter")
        settle(panel)
        results = iua.at(atol=1e-8, dead_at=share).results
        for layer, result in results.items():
            low, high = panel.table()[layer]["dead-units"]
            assert low <= result.dead <= high
        heatmap = panel.heatmap()
        assert heatmap["dead"] == results[heatmap["layer"]].dead
    field.press("ArrowDown")
    expect(field).to_have_value("99.9")
    field.fill("none")
    field.press("Enter")
    expect(field).to_have_value("99.9")
    expect(field).to_have_attribute("aria-invalid", "true")


def test_the_curve_is_the_slider(opened: Any, iua: IUA) -> None:
    panel = opened()
    handle, field = panel.slider("atol"), panel.field("atol")
    box = panel.root.locator(".iua-curve-canvas").bounding_box()
    assert box is not None
    last = len(iua.stops) - 1
    wanted = iua.stops.index(0.1)

    def at(stop: int) -> float:
        """The plot's edges are 44 and 16 pixels from the canvas'."""
        return float(box["x"] + 44 + stop / last * (box["width"] - 60))

    mouse, middle = panel.page.mouse, box["y"] + 40
    mouse.move(at(iua.stops.index(1e-8)), middle)
    mouse.down()
    mouse.move(at(wanted) + 2, middle, steps=8)
    expect(field).to_have_value("0.1")
    mouse.up()
    expect(handle).to_have_value(str(wanted))
    assert_shows(panel, iua, atol=0.1, rtol=0.0)
    mouse.click(at(wanted - 9), box["y"] + 10)
    expect(handle).to_have_value(str(wanted - 9))
    handle.press("ArrowLeft")
    expect(handle).to_have_value(str(wanted - 10))
    handle.press("Home")
    expect(handle).to_have_attribute("aria-valuetext", "atol 0: " + share(iua, 0.0))
    handle.press("PageUp")
    assert 2 < int(handle.input_value()) < 12
    handle.press("PageDown")
    expect(handle).to_have_value("0")
    handle.press("End")
    expect(field).to_have_value("10")


def drawn_share(panel: Panel, stop: int, stops: int) -> float | None:
    """Where the line of the layer on show is drawn at a stop: at 1 on top; None if it is not."""
    at = panel.root.locator(".iua-curve-canvas").evaluate(
        """(canvas, place) => {
            const color = getComputedStyle(canvas).getPropertyValue("--iua-accent").trim();
            const wanted = [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
            const ratio = devicePixelRatio;
            const x = Math.round((44 + place * (canvas.clientWidth - 60)) * ratio);
            const { data } = canvas.getContext("2d").getImageData(x, 0, 1, canvas.height);
            const rows = [];
            for (let y = 0; y < canvas.height; y++) {
                const near = wanted.every((one, at) => Math.abs(one - data[4 * y + at]) < 40);
                if (near && data[4 * y + 3] > 100) rows.push((y + 0.5) / ratio);
            }
            const middle = rows.reduce((sum, y) => sum + y, 0) / rows.length;
            return rows.length === 0 ? null : 1 - (middle - 8) / (canvas.clientHeight - 26);
        }""",
        stop / (stops - 1),
    )
    return None if at is None else float(at)


def assert_drawn(panel: Panel, iua: IUA, layer: str) -> None:
    settle(panel)
    for atol in (0.001, 0.1, 1.0):
        result = iua.at(atol=atol, rtol=0.0).results[layer]
        drawn = drawn_share(panel, iua.stops.index(atol), len(iua.stops))
        assert drawn == pytest.approx(result.mean_inactive / result.units, abs=0.04), (layer, atol)


def test_the_curve_is_drawn_of_the_layer_on_show(opened: Any, iua: IUA) -> None:
    panel = opened()
    for layer in iua.layers:
        panel.row(layer).click()
        assert_drawn(panel, iua, layer)


def test_the_curve_is_drawn_when_figures_come_in(page: Page, iua: IUA) -> None:
    widget = IUAWidget(sparse_layers(), background=False)
    page.set_content(stub_page(page_state(widget, _table=b"", _units=b"")))
    page.wait_for_function("window.ready")
    panel = Panel(page)
    settle(panel)
    assert drawn_share(panel, iua.stops.index(0.1), len(iua.stops)) is None
    page.evaluate("(state) => window.update(state)", page_state(widget))
    assert_drawn(panel, iua, widget.layer)


def test_the_track_of_rtol_has_the_edges_of_the_curve(opened: Any, iua: IUA) -> None:
    panel = opened()
    atol, rtol = (panel.slider(name).bounding_box() for name in ("atol", "rtol"))
    assert (atol["x"], atol["width"]) == (rtol["x"], rtol["width"])
    panel.page.mouse.click(rtol["x"] + 0.6 * rtol["width"], rtol["y"] + rtol["height"] / 2)
    expect(panel.field("rtol")).not_to_have_value("0")
    place = int(panel.slider("rtol").input_value())
    stop = float(panel.field("rtol").input_value())
    assert iua.stops[place] == stop
    assert_shows(panel, iua, atol=1e-8, rtol=stop, scale="layer_mean")
    panel.slider("rtol").press("ArrowRight")
    expect(panel.field("rtol")).not_to_have_value(f"{stop:g}")
    panel.root.get_by_label("scale", exact=True).select_option("zero")
    expect(panel.slider("rtol")).to_be_disabled()
    expect(panel.field("rtol")).to_be_disabled()
    expect(panel.root.get_by_text("no effect")).to_be_visible()


def share(iua: IUA, atol: float) -> str:
    result = iua.at(atol=atol).results["relu0"]
    return f"{100 * result.mean_inactive / result.units:.1f} % of the units inactive"


def test_where_zero_finds_nothing_a_relative_tolerance_is_one_click_away(opened: Any) -> None:
    panel = opened("smooth")
    expect(panel.root).to_contain_text("Hardly any zeros")
    assert panel.table()["gelu"]["mean-inactive"] == (0, 0)
    panel.button("Try relative").click()
    settle(panel)
    assert panel.table()["gelu"]["mean-inactive"][0] > 3
    assert panel.table()["gelu"]["dead-units"][0] > 0
    expect(panel.root).not_to_contain_text("Hardly any zeros")


@pytest.mark.parametrize("width", [360, 420, 760, 1000, 1250, 1500])
def test_nothing_moves_under_the_hand(opened: Any, width: int) -> None:
    for name in ("sparse", "smooth"):
        panel = opened(name, width)
        places = [panel.slider("atol"), panel.slider("rtol"), panel.field("atol")]

        def boxes(places: list[Locator] = places) -> list[Any]:
            return [place.bounding_box() for place in places]

        before = boxes()
        height = panel.root.locator(".iua-tolerances").bounding_box()["height"]
        assert height <= {360: 300, 420: 300, 760: 220, 1000: 190}.get(width, 150)
        for position in (0, 1, 20, 37, 60, 70):
            panel.set_slider("atol", position)
            settle(panel)
            assert boxes() == before
        panel.set_slider("rtol", 41)
        settle(panel)
        assert boxes() == before
        panel.field("atol").fill("nonsense")
        panel.field("atol").press("Enter")
        expect(panel.root).to_contain_text("“nonsense” is not a number")
        assert boxes() == before
        assert panel.root.evaluate("(root) => root.scrollWidth <= root.clientWidth")


def test_a_recount_is_offered_where_counts_are_ranges_and_makes_them_exact(
    open_notebook: Any,
) -> None:
    notebook = open_notebook(
        """
import numpy as np
import pandas as pd
from iua_widget import IUAWidget
rng = np.random.default_rng(3)
data = {f"relu{n}": np.maximum(rng.normal(size=(80, 40)), 0).astype("f4") for n in range(3)}
""",
        "w = IUAWidget(data)\nw",
    )
    notebook.run_all()
    panel = Panel(notebook.page)
    panel.wait_for_status("done")
    recount = panel.button("Recount")
    expect(recount).to_be_hidden()
    notebook.python("w.rtol, w.atol, w.scale, w.dead_at = 0.77, 0.0, 'unit_rms', 0.6; it = None")
    panel.page.wait_for_function(
        """() => [...document.querySelectorAll('tbody [data-column="mean-inactive"]')]
            .some((cell) => (cell.querySelector('[data-upper]') ?? cell).dataset.upper)"""
    )
    expect(panel.root.get_by_text("is a range")).to_be_visible()
    recount.click()
    expect(recount).to_be_hidden()
    expect(panel.root.get_by_text("is a range")).to_be_hidden()
    truth = notebook.python("""
it = {}
for name, x in data.items():
    rms = np.sqrt((x.astype("f8") ** 2).mean(axis=0))
    inactive = np.abs(x) <= (0.77 * rms).astype("f4")
    it[name] = (float(inactive.sum(1).mean()), float(inactive.sum(1).std()),
                int((inactive.sum(0) >= 48).sum()))
""")
    shown = panel.table()
    for layer, (mean, std, dead) in truth.items():
        assert shown[layer]["mean-inactive"] == pytest.approx((mean, mean), rel=1e-12)
        assert shown[layer]["dead-units"] == (dead, dead)
        if "std-inactive" in shown[layer]:
            assert shown[layer]["std-inactive"][0] == pytest.approx(std, rel=1e-9)
    assert notebook.python("it = w.table()['dead units'].tolist()") == [
        dead for _, _, dead in truth.values()
    ]
    panel.choose_preset("near zero")
    panel.page.wait_for_timeout(300)
    assert notebook.python("it = [w.rtol, w.atol, w.dead_at]") == [0, 0.05, 0.6]
