"""The worst units of the network on the page: without a click, and what a click on one shows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from panel import Panel
from playwright.sync_api import Locator, Page, expect
from stub_page import page_state, stub_page

from iua_widget import IUA, IUAWidget
from iua_widget.widget import worst_feed

pytestmark = pytest.mark.browser

WAIT = "async () => { for (let n = 0; n < 3; n++) await new Promise(requestAnimationFrame); }"


def network() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(4)
    maps = np.maximum(rng.normal(size=(24, 8, 5, 5)), 0).astype(np.float32)
    maps[:, [2, 6]] = 0
    maps[:, 5] *= 1e-4
    last = np.maximum(rng.normal(size=(24, 4, 4, 6)), 0).astype(np.float32)
    last[..., 3] = 0
    dense = np.maximum(rng.normal(size=(24, 40)), 0)
    dense[:, 17] = 0
    return {"conv.relu": maps, "conv.last": last, "head": dense}


@pytest.fixture(scope="module")
def iua() -> IUA:
    return IUA.introspect(network(), channel_axis={"conv.last": 3})


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory, iua: IUA) -> dict[str, Path]:
    path = tmp_path_factory.mktemp("worst") / "worst.html"
    return {"worst": IUAWidget(iua).to_html(path)}


def rows(panel: Panel) -> Locator:
    return panel.root.locator(".iua-worst-row:visible")


def listed(panel: Panel) -> list[tuple[str, int]]:
    panel.page.evaluate(WAIT)
    found: list[list[Any]] = rows(panel).evaluate_all(
        "(rows) => rows.map((row) => [row.dataset.layer, Number(row.dataset.unit)])"
    )
    return [(layer, unit) for layer, unit in found]


def ranked(iua: IUA, **tolerances: Any) -> list[tuple[str, int]]:
    table = iua.worst(50, **tolerances)
    return list(zip(table["response"], table["unit"].tolist(), strict=True))


def test_the_ten_worst_are_there_without_a_click(opened: Any, iua: IUA) -> None:
    panel = opened()
    expect(panel.tab("Worst units of the network")).to_have_attribute("aria-selected", "true")
    assert listed(panel) == ranked(iua, atol=1e-8, scale="layer_mean", rtol=0.0)
    first = rows(panel).first
    assert first.inner_text().split("\n") == ["1", "conv.relu", "channel 2", "100.0 %", *"000"]
    expect(first).to_have_class("iua-worst-row iua-list-dead iua-list-active")
    expect(first).to_have_attribute("title", "conv.relu, channel 2\ndead\n25 of 25 positions dead")
    whole = panel.root.get_by_role("grid", name="worst units of the network").bounding_box()
    tenth = rows(panel).nth(9).bounding_box()
    assert whole is not None
    assert tenth is not None
    assert tenth["y"] + tenth["height"] <= whole["y"] + whole["height"] + 0.5, "ten in sight"


def test_the_sliders_change_the_ranking_to_that_of_python(opened: Any, iua: IUA) -> None:
    panel = opened()
    orders = set()
    for place in (0, 20, 33, 50, 60):
        panel.set_slider("atol", place)
        atol = iua.stops[place]
        assert listed(panel) == ranked(iua, atol=atol, scale="layer_mean", rtol=0.0)
        orders.add(tuple(listed(panel)))
    assert len(orders) > 2
    panel.set_slider("atol", 1)
    panel.set_slider("rtol", 50)
    rtol = float(panel.field("rtol").input_value())
    assert rtol > 0
    assert listed(panel) == ranked(iua, atol=1e-8, scale="layer_mean", rtol=rtol)
    note = panel.root.locator(".iua-worst-ranked")
    expect(note).to_have_text("Equals are told apart by the smaller max |x|, then mean |x|.")
    panel.set_slider("atol", 33)
    expect(note).to_have_text(f"Ranked at |x| ≤ {iua.stops[33]:g}, not at what is set.")
    expect(panel.root.locator(".iua-worst-other")).to_have_count(1)
    assert listed(panel) == ranked(iua, atol=iua.stops[33], rtol=0.0)
    panel.set_slider("rtol", 0)
    expect(panel.root.locator(".iua-worst-other")).to_have_count(0)


def test_a_click_shows_the_layer_and_all_positions_of_the_channel(opened: Any) -> None:
    panel = opened()
    row = panel.root.locator('.iua-worst-row[data-layer="conv.last"][data-unit="3"]')
    row.click()
    expect(panel.row("conv.last")).to_have_attribute("aria-selected", "true")
    expect(panel.canvas).to_have_attribute("data-layer", "conv.last")
    expect(panel.canvas).to_have_attribute("data-selected", "16")
    card = panel.root.get_by_role("region", name="unit card")
    expect(card).to_contain_text("channel 3, row 0, column 0")
    expect(row).to_have_attribute("aria-selected", "true")
    assert panel.heatmap()["layer"] == "conv.last"
    panel.root.locator('.iua-worst-row[data-layer="head"][data-unit="17"]').click()
    expect(panel.canvas).to_have_attribute("data-selected", "1")
    expect(card).to_contain_text("unit 17")
    expect(row).to_have_attribute("aria-selected", "false")


def test_the_keyboard_walks_and_picks(opened: Any, iua: IUA) -> None:
    panel = opened()
    grid = panel.root.get_by_role("grid", name="worst units of the network")
    grid.focus()
    for _ in range(12):
        grid.press("ArrowDown")
    active = grid.evaluate(
        "(grid) => document.getElementById(grid.getAttribute('aria-activedescendant')).dataset.row"
    )
    assert active == "12"
    expect(rows(panel).nth(12)).to_be_in_viewport()
    grid.press("Enter")
    layer, _ = ranked(iua, atol=1e-8, rtol=0.0)[12]
    expect(panel.row(layer)).to_have_attribute("aria-selected", "true")
    grid.press("Home")
    expect(rows(panel).first).to_be_in_viewport()


@pytest.fixture
def stub(page: Page, iua: IUA) -> Iterator[Panel]:
    widget = IUAWidget(iua)
    page.set_content(stub_page(page_state(widget)))
    page.wait_for_function("window.ready")
    yield Panel(page)
    widget.close()


def test_a_list_of_other_tolerances_is_marked_until_it_is_ranked_anew(
    stub: Panel, iua: IUA
) -> None:
    other = stub.root.locator(".iua-worst-other")
    expect(rows(stub).first).to_be_visible()
    expect(other).to_have_count(0)
    stub.page.evaluate("window.update({ rtol: 0.3, scale: 'unit_max' })")
    expect(other).to_have_count(1)
    expect(stub.root.locator(".iua-worst-ranked")).to_contain_text("being ranked anew")
    widget = IUAWidget(iua, rtol=0.3, scale="unit_max")
    state = page_state(widget)
    stub.page.evaluate("(changes) => window.update(changes)", {"_worst": state["_worst"]})
    expect(other).to_have_count(0)
    assert listed(stub) == ranked(iua, atol=1e-8, rtol=0.3, scale="unit_max")
    widget.close()


def test_the_kernel_ranks_anew_once_tolerances_rest(
    iua: IUA, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worst_feed, "_SETTLED", 1.0)  # however long a busy machine takes
    widget = IUAWidget(iua)
    feed = widget._frames._worst
    sent: list[bytes] = []
    widget.observe(lambda change: sent.append(change["new"]), "_worst")
    widget.atol = 1e-3
    for rtol in (0.1, 0.2, 0.3):
        widget.rtol = rtol
    deadline = time.monotonic() + 60
    while not sent:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    settling = feed._settling
    widget.atol = 1e-4  # a stop, which the list answers for
    assert feed._settling is settling
    assert len(sent) == 1
    widget.close()


LIVE = """
import numpy as np
from iua_widget import IUAWidget
rng = np.random.default_rng(8)
data = {f"relu{n}": np.maximum(rng.normal(size=(60, 6, 4, 4)), 0).astype("f4") for n in range(3)}
data["relu1"][:, 4] = 0
w = IUAWidget(data)
w
"""


def test_in_a_notebook_the_kernel_ranks_and_hears_what_was_clicked(open_notebook: Any) -> None:
    notebook = open_notebook(LIVE, "pass")
    notebook.run_all()
    panel = Panel(notebook.page)
    panel.wait_for_status("done")
    read = (
        "it = [[layer, unit] for layer, unit in w.worst(50)[['response', 'unit']].values.tolist()]"
    )
    until_listed(panel, lambda: notebook.python(read))
    assert listed(panel)[0] == ("relu1", 4)
    notebook.python("w.rtol, w.atol, w.scale, w.dead_at = 0.7, 0.05, 'unit_rms', 0.5; it = None")
    until_listed(panel, lambda: notebook.python(read))
    expect(panel.root.locator(".iua-worst-other")).to_have_count(0)
    layer, unit = listed(panel)[3]
    rows(panel).nth(3).click()
    expect(panel.canvas).to_have_attribute("data-layer", layer)
    expect(panel.canvas).to_have_attribute("data-selected", "16")
    deadline = time.monotonic() + 60
    own = list(range(16 * unit, 16 * unit + 16))
    while notebook.python("it = [w.layer, w.selected]") != [layer, own]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def until_listed(panel: Panel, expected: Callable[[], list[list[Any]]]) -> None:
    deadline = time.monotonic() + 60
    while listed(panel) != [(layer, unit) for layer, unit in expected()]:
        assert time.monotonic() < deadline, "the list is not that of Python"
        time.sleep(0.1)
