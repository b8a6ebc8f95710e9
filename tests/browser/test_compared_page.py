"""Two results compared on the page: every figure is Python's, at any position of the sliders."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from panel import Panel
from playwright.sync_api import Page, expect
from stub_page import page_state

from iua_widget import IUA, IUAWidget

pytestmark = pytest.mark.browser

WAIT = "async () => { for (let n = 0; n < 3; n++) await new Promise(requestAnimationFrame); }"
CHANGES = ("newly dead", "revived")


def introspect(seed: int, probes: int, **options: Any) -> IUA:
    rng = np.random.default_rng(seed)
    dense = np.maximum(rng.normal(size=(probes, 40)), 0) * 10 ** rng.uniform(-4, 0, size=40)
    dense[:, rng.random(40) < 0.4] = 0
    maps = np.maximum(rng.normal(size=(probes, 6, 4, 4)), 0) * (rng.random((6, 4, 4)) < 0.7)
    return IUA.introspect({"dense": dense, "maps": maps}, engine="reference", **options)


@pytest.fixture(scope="module")
def widget() -> IUAWidget:
    before = introspect(1, 24, stops=(0, 1e-8, 0.01, 0.05, 0.3, 2))
    w = IUAWidget(introspect(2, 30), name="epoch 2", color="change", scale="unit_rms")
    w.compare(before, name="epoch 1")
    return w


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory, widget: IUAWidget) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("compared")
    plain = IUAWidget(widget.iua, color="change")
    return {
        "compared": widget.to_html(folder / "compared.html"),
        "plain": plain.to_html(folder / "plain.html"),
    }


def shown(panel: Panel) -> dict[str, list[tuple[float, float]]]:
    """The bounds in the columns of changes, and in the legend of the selected layer."""
    panel.page.evaluate(WAIT)
    table = panel.table()
    return {name: [row[name.replace(" ", "-")] for row in table.values()] for name in CHANGES}


def by_python(widget: IUAWidget) -> dict[str, list[tuple[float, float]]]:
    table = widget.table()
    return {
        name: [*zip(table[name], table.get(f"{name} upper", table[name]), strict=True)]
        for name in CHANGES
    }


def legend(panel: Panel) -> dict[str, tuple[int, int]]:
    """What the legend says of each fate: bounds on how many units have it."""
    texts = panel.root.locator(".iua-legend-part:visible").all_inner_texts()
    found = (re.fullmatch(r"([\d,]+)(?:\u2013([\d,]+))? (.*)", text.strip()) for text in texts)
    return {
        match[3]: tuple(int(text.replace(",", "")) for text in (match[1], match[2] or match[1]))  # type: ignore[misc]
        for match in found
        if match
    }


def test_the_page_says_what_python_says_wherever_the_sliders_stand(
    opened: Any, widget: IUAWidget
) -> None:
    panel = opened("compared", width=1500)
    stops, seen = widget.iua.stops, set()
    for scale, places in (
        ("zero", ((1, 0), (33, 0), (40, 0))),
        ("layer_mean", ((1, 0), (1, 45), (30, 50))),
        ("unit_rms", ((1, 30), (1, 55))),
    ):
        panel.root.get_by_label("scale", exact=True).select_option(scale)
        for atol, rtol in places:
            panel.set_slider("rtol", rtol)
            panel.set_slider("atol", atol)
            widget.scale, widget.atol = scale, stops[atol]
            widget.rtol = float(panel.field("rtol").input_value())
            found, comparison = shown(panel), widget.comparison
            assert found == by_python(widget), (scale, atol, rtol)
            assert comparison is not None
            masks, said = comparison[widget.layer], legend(panel)
            for name in (*CHANGES, "dead in both"):
                mask = name.replace(" ", "_")
                bounds = tuple(int(getattr(masks, mask + up).sum()) for up in ("", "_upper"))
                assert said[name] == bounds, (scale, atol, rtol, name)
            seen.add(str(found))
    assert len(seen) > 4


def test_rows_sort_and_filter_by_what_changed(opened: Any, widget: IUAWidget) -> None:
    panel = opened("compared", width=1500)
    panel.root.get_by_label("scale", exact=True).select_option("zero")
    widget.scale, widget.rtol, widget.atol = "zero", 0.0, 1e-8
    newly = by_python(widget)["newly dead"]
    layers = dict(zip(widget.iua.layers, newly, strict=True))
    panel.root.get_by_role("button", name="newly dead").first.click()
    assert panel.layers() == sorted(layers, key=lambda name: -layers[name][0])
    most = max(int(lower) for lower, _ in newly)
    panel.root.get_by_role("searchbox").fill(f"newly-dead>={most}")
    expect(panel.rows).to_have_count(1)
    cell = panel.root.locator('tfoot [data-column="newly-dead"] [class=iua-number]')
    expect(cell).to_have_text(str(most))


def test_it_says_what_is_compared_and_what_became_of_a_unit(opened: Any) -> None:
    panel = opened("compared", width=1500)
    line = panel.root.locator(".iua-compared")
    expect(line).to_contain_text("epoch 2 (30 probes) compared with epoch 1 (24 probes)")
    panel.row("dense").click()
    card = panel.root.get_by_role("region", name="unit card")
    expect(card).to_contain_text(re.compile("compared\\s*(newly dead|dead in both|revived)"))
    panel.canvas.hover()
    expect(panel.root.locator(".iua-canvas-box > .iua-tooltip")).to_contain_text(
        re.compile("alive in both|newly dead|dead in both|revived")
    )
    texts = panel.texts_of_picture()
    assert {"newly dead", "revived"} <= set(texts)
    assert any("compared with epoch 1" in text for text in texts)


def test_where_nothing_is_compared_nothing_is_said_of_it(opened: Any) -> None:
    panel = opened("plain", width=1500)
    expect(panel.root.locator(".iua-compared")).to_be_hidden()
    for column in ("newly-dead", "revived"):
        expect(panel.root.locator(f'thead [data-column="{column}"]')).to_be_hidden()
    menu = panel.open_menu("Columns")
    assert "revived" not in menu.inner_text()
    color = panel.root.get_by_label("color", exact=True)
    expect(color).to_have_value("share")
    assert color.locator("option:not([hidden])").all_inner_texts()[-1] == "dead or not"
    expect(panel.root.locator(".iua-figures > div", has_text="compared")).to_be_hidden()


def test_a_comparison_comes_and_goes_while_the_page_is_open(stub: Page, widget: IUAWidget) -> None:
    panel = Panel(stub)
    head = panel.root.locator('thead [data-column="revived"]')
    expect(head).to_be_visible()
    expect(panel.canvas).to_have_attribute("data-coloring", "change")
    refused = {"with": "epoch 0", "probes": 3, "refused": "the layers differ."}
    plain = page_state(IUAWidget(widget.iua, name="epoch 2"))
    changes = {name: plain[name] for name in ("_table", "_units")}
    run = {**plain["_run"], "compared": refused}
    stub.evaluate("(changes) => window.update(changes)", {**changes, "_run": run})
    expect(head).to_be_hidden()
    expect(panel.canvas).to_have_attribute("data-coloring", "share")
    line = panel.root.locator(".iua-compared")
    expect(line).to_have_text("Not compared with epoch 0 (3 probes): the layers differ.")
    compared = page_state(widget)
    stub.evaluate(
        "(changes) => window.update(changes)",
        {name: compared[name] for name in ("_table", "_units", "_run")},
    )
    expect(head).to_be_visible()
    expect(panel.canvas).to_have_attribute("data-coloring", "change")
