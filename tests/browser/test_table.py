"""The layer table at scale: 2,000 layers in an exported page, without a kernel."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from panel import Panel
from playwright.sync_api import Browser, Locator, Page, expect
from torch import nn

from iua_widget import IUAWidget

pytestmark = pytest.mark.browser

BLOCKS = 500
PARTS = ("attn.act", "mlp.relu", "mlp.relu:1", "mlp/gelu")
ALONE = 888  # just too narrow for the picture beside it: room for most columns
WIDTHS = "(table) => [...table.querySelectorAll('thead th')].map((cell) => cell.offsetWidth)"


def many_layers() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    layers = {}
    for block in range(BLOCKS):
        for part in PARTS:
            response = rng.normal(size=(8, 10)).astype(np.float32)
            if "relu" in part:
                response = np.maximum(response - 2 * rng.random(), 0)
            layers[f"model.layers.{block}.{part}"] = response
    return layers


def odd_layers() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    sound = np.maximum(rng.normal(size=(40, 6, 5, 5)), 0).astype(np.float32)
    sound[:, :2] = 0
    partly = rng.normal(size=(40, 30)).astype(np.float32)
    partly[3, 2], partly[4, 4] = np.nan, np.inf
    return {
        "sound": sound,
        "all of it": np.full((40, 30), np.nan, np.float32),
        "partly": partly,
        "שכבה" * 75: np.zeros((40, 12), np.float32),
        "<b>bold</b>" + "x" * 289: np.abs(partly[:, 5:9]),
        "C:\\a\"b'c&amp;\u202e": np.ones((40, 3)),
    }


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("table")
    return {
        name: IUAWidget(layers, background=False).to_html(folder / f"{name}.html")
        for name, layers in (("many", many_layers()), ("odd", odd_layers()))
    }


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 6), nn.GELU(), nn.ReLU())
    widget = IUAWidget(model, torch.ones(8, 4), background=False)
    return widget.to_html(tmp_path_factory.mktemp("kinds") / "kinds.html")


@pytest.fixture(scope="module")
def figures() -> pd.DataFrame:
    return IUAWidget(many_layers(), background=False).iua.at().to_pandas()


def grid(panel: Panel) -> Locator:
    return panel.root.locator("table.iua-table")


def focused(panel: Panel) -> str | None:
    name = panel.page.evaluate("document.activeElement.closest('tr')?.dataset.layer ?? null")
    return None if name is None else str(name)


def header(panel: Panel, name: str) -> Locator:
    return panel.root.get_by_role("columnheader", name=name).get_by_role("button")


def in_view(panel: Panel) -> list[str]:
    """The layers whose rows a person sees, top to bottom, once what was done has been painted."""
    names: list[str] = grid(panel).evaluate(
        """async (table) => {
            for (let frame = 0; frame < 2; frame++) await new Promise(requestAnimationFrame);
            const top = table.tHead.rows[0].cells[0].getBoundingClientRect().bottom;
            const bottom = table.tFoot.rows[0].cells[0].getBoundingClientRect().top;
            return [...table.tBodies[0].querySelectorAll("tr[data-layer]")].filter((row) => {
                const box = row.getBoundingClientRect();
                return box.top >= top - 1 && box.bottom <= bottom + 1;
            }).map((row) => row.dataset.layer);
        }"""
    )
    return names


def test_only_rows_in_view_are_made_and_all_can_be_scrolled_to(
    opened: Any, figures: pd.DataFrame
) -> None:
    panel = opened()
    table = grid(panel)
    names = list(figures.response)
    expect(table).to_have_attribute("aria-rowcount", "2002")
    assert in_view(panel)[:3] == names[:3]
    box = panel.root.locator(".iua-table-box")
    for share in (0.25, 0.8, 1):
        box.evaluate(
            "(box, share) => { box.scrollTop = share * (box.scrollHeight - box.clientHeight); }",
            share,
        )
        panel.page.wait_for_timeout(50)
        seen = in_view(panel)
        assert len(seen) >= 7
        first = names.index(seen[0])
        assert seen == names[first : first + len(seen)]
        assert abs(first - share * (len(names) - len(seen))) < 3
        row = panel.row(seen[0])
        expect(row).to_have_attribute("aria-rowindex", str(first + 2))
        assert panel.rows.count() < 60
        shown = panel.table()[seen[0]]
        assert shown["mean-inactive"][0] == figures["mean inactive"][first]
        assert shown["dead-units"][0] == figures["dead units"][first]
    assert seen[-1] == names[-1]
    totals = panel.root.locator("tfoot")
    expect(totals).to_contain_text("all 2,000 layers")
    expect(totals.locator('[data-column="dead-units"]')).to_have_attribute(
        "data-value", str(figures["dead units"].sum())
    )


def test_scrolling_leaves_the_rows_that_stay_where_they_are(opened: Any) -> None:
    panel = opened()
    box = panel.root.locator(".iua-table-box")
    box.evaluate("(box) => { box.scrollTop = 5000; }")
    panel.page.wait_for_timeout(100)
    changed = panel.root.evaluate(
        """async (root) => {
            const body = root.querySelector("table.iua-table tbody");
            const box = root.querySelector(".iua-table-box");
            const seen = new Set();
            const observer = new MutationObserver((records) => {
                for (const { addedNodes, removedNodes } of records) {
                    for (const node of [...addedNodes, ...removedNodes]) seen.add(node);
                }
            });
            observer.observe(body, { childList: true });
            box.scrollTop += 2 * body.querySelector("tr[data-layer]").offsetHeight;
            await new Promise((done) => setTimeout(done, 100));
            observer.disconnect();
            return seen.size;
        }"""
    )
    assert 1 <= changed <= 4, "of two rows' way"
    assert panel.rows.count() > 15


def test_the_keyboard_reaches_every_row(opened: Any, figures: pd.DataFrame) -> None:
    panel = opened()
    names = list(figures.response)
    press = panel.page.keyboard.press
    header(panel, "layer").focus()
    press("ArrowDown")
    assert focused(panel) == names[0]
    press("ArrowUp")
    assert focused(panel) is None
    press("Tab")
    assert focused(panel) == names[0], "one step from the headers to the rows"
    press("ArrowDown")
    assert focused(panel) == names[1]
    press("End")
    assert (focused(panel), in_view(panel)[-1]) == (names[-1], names[-1])
    press("PageUp")
    page = len(names) - 1 - names.index(focused(panel) or "")
    assert 5 <= page <= 12
    press("PageDown")
    press("Home")
    assert (focused(panel), in_view(panel)[0]) == (names[0], names[0])
    panel.page.keyboard.type("MODEL.layers.123.mlp.")
    assert focused(panel) == "model.layers.123.mlp.relu"
    press("Enter")
    expect(panel.row("model.layers.123.mlp.relu")).to_have_attribute("aria-selected", "true")
    assert panel.heatmap()["layer"] == "model.layers.123.mlp.relu"
    panel.root.locator(".iua-table-box").evaluate("(box) => { box.scrollTop = 0; }")
    panel.page.wait_for_timeout(50)
    assert focused(panel) == "model.layers.123.mlp.relu", "scrolling does not take the focus away"
    press("ArrowDown")
    assert focused(panel) == "model.layers.123.mlp.relu:1"
    assert "model.layers.123.mlp.relu:1" in in_view(panel)


def test_sorting_is_stable_both_ways_and_announced(opened: Any, figures: pd.DataFrame) -> None:
    panel = opened(width=ALONE)
    status = panel.root.locator(".iua-layers > [role=status]")
    for ascending, word in ((False, "descending"), (True, "ascending")):
        header(panel, "dead units").click()
        by_hand = figures.sort_values("dead units", ascending=ascending, kind="stable").response
        assert in_view(panel) == list(by_hand)[: len(in_view(panel))]
        expect(status).to_have_text(f"Sorted by dead units, {word}.")
    header(panel, "dead units").press("Enter")
    assert in_view(panel)[0] == figures.response[0]
    expect(status).to_have_text("In the order of the network.")
    header(panel, "dead units").press("ArrowRight")
    expect(header(panel, "dead share")).to_be_focused()
    header(panel, "over tolerance").click()
    expect(panel.root.get_by_role("columnheader", name="over tolerance")).to_have_attribute(
        "aria-sort", "descending"
    )


def test_the_filter_takes_words_kinds_and_figures(opened: Any, figures: pd.DataFrame) -> None:
    panel = opened()
    field = panel.root.get_by_role("searchbox", name="filter layers")
    field.fill(".12 relu")
    expect(panel.root.locator("tfoot")).to_contain_text("22 of 2,000 layers")
    expect(panel.root.locator(".iua-layers > [role=status]")).to_have_text("22 of 2,000 layers.")
    panel.root.get_by_label("dead only").check()
    expect(field).to_have_value(".12 relu dead-units>0")
    wanted = figures.response.str.contains(".12", regex=False)
    wanted &= figures.response.str.contains("relu") & (figures["dead units"] > 0)
    expect(grid(panel)).to_have_attribute("aria-rowcount", str(wanted.sum() + 2))
    assert in_view(panel)[0] == figures.response[wanted].iloc[0]
    field.fill("")
    expect(panel.root.get_by_label("dead only")).not_to_be_checked()
    over = int((figures["dead share"] >= 0.4).sum())
    panel.open_menu("more of the table").get_by_label("percent of dead units").fill("40")
    panel.root.get_by_role("button", name=f"{over} layers").click()
    expect(field).to_have_value("dead-share>=40%")
    expect(grid(panel)).to_have_attribute("aria-rowcount", str(over + 2))
    assert all(cells["dead-share"][0] >= 0.4 for cells in panel.table().values())
    field.fill("dead-chanels>0")
    told = panel.root.get_by_text("No figure is called “dead-chanels”. Is it dead-channels?")
    expect(told).to_be_visible()
    expect(told).to_have_attribute("title", re.compile("^Figures are dead-channels, .*units"))
    expect(told).to_contain_text("“dead-share>=40%” stays in force")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(grid(panel)).to_have_attribute("aria-rowcount", str(over + 2))
    field.blur()
    expect(told).to_be_visible()
    expect(field).to_have_value("dead-chanels>0")
    field.fill("nothing like it")
    expect(told).to_be_hidden()
    expect(panel.root.get_by_text("No layer passes the filter.")).to_be_visible()


def test_columns_that_are_asked_for_can_be_sorted_by(opened: Any) -> None:
    panel = opened(name="odd")
    panel.button("Columns").click()
    for column in ("dead channels", "nan", "probes"):
        panel.root.get_by_role("group", name="columns shown").get_by_label(
            column, exact=True
        ).check()
    panel.page.keyboard.press("Escape")
    header = panel.root.locator("th[data-column='nan'] button")
    header.click()
    assert panel.layers()[:2] == ["all of it", "partly"]
    panel.root.locator("th[data-column='dead-channels'] button").click()
    assert panel.layers()[0] == "sound"
    sound = panel.root.locator("tr[data-layer='sound']")
    expect(sound.locator("[data-column='dead-channels'] .iua-number")).to_have_text("2")
    expect(sound.locator("[data-column='probes'] .iua-number")).to_have_text("40")


def test_the_kind_is_chosen_from_a_list(browser: Browser, kinds: Path) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(kinds.as_uri())
    panel = Panel(page)
    kind = panel.open_menu("more of the table").get_by_label("kind of layer")
    expect(panel.rows).to_have_count(3)
    assert kind.locator("option").all_inner_texts() == ["all kinds", "GELU", "ReLU"]
    kind.select_option("GELU")
    assert panel.layers() == ["3"]
    expect(panel.root.get_by_role("searchbox", name="filter layers")).to_have_value("kind:GELU")
    kind.select_option("ReLU")
    expect(panel.rows).to_have_count(2)
    kind.select_option("all kinds")
    expect(panel.rows).to_have_count(3)
    context.close()


def test_layers_are_grouped_by_module_on_request(opened: Any, figures: pd.DataFrame) -> None:
    panel = opened()
    panel.button("Tree").click()
    table = panel.root.get_by_role("treegrid", name="layers")
    expect(table).to_have_attribute("aria-rowcount", str(1 + BLOCKS + 2))
    groups = table.locator("tr[data-group]")
    expect(groups.first).to_have_attribute("data-group", "model.layers")
    dead = groups.first.locator('[data-column="dead-units"]')
    expect(dead).to_have_attribute("data-value", str(figures["dead units"].sum()))
    second = table.locator('tr[data-group="model.layers.1"]')
    expect(second).to_have_attribute("aria-level", "2")
    second.click()
    expect(second).to_have_attribute("aria-expanded", "true")
    expect(second.locator('[data-column="units"]')).to_have_attribute("data-value", "40")
    press = panel.page.keyboard.press
    press("ArrowRight")
    assert panel.page.evaluate("document.activeElement.textContent").startswith("attn.act")
    press("ArrowLeft")
    press("ArrowLeft")
    expect(second).to_have_attribute("aria-expanded", "false")
    press("ArrowLeft")
    press("Enter")
    expect(table).to_have_attribute("aria-rowcount", "3")
    panel.button("Open all").click()
    expect(table).to_have_attribute("aria-rowcount", str(2000 + 1 + BLOCKS * 2 + 2))


def test_columns_hide_and_resize_by_pointer_and_by_key(opened: Any) -> None:
    panel = opened(width=ALONE)
    page = panel.page
    panel.button("Columns").click()
    panel.root.get_by_label("std inactive").check()
    panel.root.get_by_label("dead share").uncheck()
    page.keyboard.press("Escape")
    expect(panel.root.get_by_label("std inactive")).to_be_hidden()
    expect(panel.root.get_by_role("columnheader", name="std")).to_be_visible()
    expect(panel.root.get_by_role("columnheader", name="dead share")).to_have_count(0)
    cell = panel.root.get_by_role("columnheader", name="mean inactive")
    before = cell.bounding_box()
    assert before
    page.mouse.move(before["x"] + before["width"] - 3, before["y"] + 10)
    page.mouse.down()
    page.mouse.move(before["x"] + before["width"] + 37, before["y"] + 10, steps=4)
    page.mouse.up()
    after = cell.bounding_box()
    assert after
    assert after["x"] == pytest.approx(before["x"], abs=1)
    assert after["width"] == pytest.approx(before["width"] + 40, abs=2)
    header(panel, "mean inactive").press("Shift+ArrowLeft")
    narrower = cell.bounding_box()
    assert narrower
    assert narrower["width"] < after["width"]
    expect(panel.root.get_by_role("columnheader", name="mean inactive")).to_have_attribute(
        "aria-sort", "none"
    )


@pytest.mark.parametrize("width", [420, 540, 900, 1600])
def test_odd_names_and_layers_of_nan_break_nothing(opened: Any, width: int) -> None:
    panel = opened("odd", width)
    page = panel.page
    box = panel.root.locator(".iua-table-box")
    assert box.evaluate("(box) => box.scrollWidth <= box.clientWidth"), "no sideways scrolling"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for name in ("layer", "inactive share", "dead units"):
        expect(grid(panel).get_by_role("columnheader", name=name)).to_be_visible()
    heights = {
        row.evaluate("(row) => row.getBoundingClientRect().height") for row in panel.rows.all()
    }
    assert len(heights) == 1
    assert set(panel.layers()) == set(odd_layers())
    before = grid(panel).evaluate(WIDTHS)
    panel.set_slider("rtol", 60)
    expect(panel.row("sound").locator('[data-column="inactive-share"]')).to_have_attribute(
        "data-upper", re.compile(r"\d")
    )
    assert grid(panel).evaluate(WIDTHS) == before, "ranges do not move the columns"
    broken = panel.row("all of it")
    expect(broken).to_have_class(re.compile("iua-broken"))
    mark = broken.locator(".iua-mark")
    expect(mark).to_have_text("all NaN")
    broken.focus()
    page.keyboard.press("ArrowRight")
    expect(mark).to_be_focused()
    tip = panel.root.locator(".iua-mark-tip")
    expect(tip).to_contain_text("the figures of this layer mean nothing")
    page.keyboard.press("Escape")
    expect(tip).to_be_hidden()
    page.keyboard.press("ArrowLeft")
    expect(broken).to_be_focused()
    expect(panel.row("partly").locator(".iua-mark")).to_have_attribute(
        "aria-label", re.compile("1 NaN and 1 infinite responses")
    )


def test_the_order_is_frozen_under_the_pointer_and_the_focus(opened: Any) -> None:
    panel = opened()
    page: Page = panel.page
    header(panel, "dead units").click()
    panel.rows.nth(4).hover()
    before = in_view(panel)
    sign = panel.root.get_by_role("button", name=re.compile("Order frozen"))
    panel.set_slider("atol", 60)
    expect(sign).to_be_visible()
    assert in_view(panel) == before
    page.mouse.move(5, 5)
    expect(sign).to_be_hidden()
    after = in_view(panel)
    assert after != before
    panel.row(after[1]).focus()  # one in view: another would be scrolled to
    panel.set_slider("atol", 0)
    expect(sign).to_be_visible()
    assert in_view(panel) == after
    sign.click()
    expect(sign).to_be_hidden()
    assert in_view(panel) != after


def test_rows_are_copied_as_they_are_on_show(opened: Any, figures: pd.DataFrame) -> None:
    panel = opened(width=ALONE)
    page = panel.page
    header(panel, "dead units").click()
    panel.root.get_by_role("searchbox", name="filter layers").fill("layers.7 gelu")
    expect(panel.root.locator("tfoot")).to_contain_text("11 of 2,000")
    panel.rows.first.focus()
    page.keyboard.press("Control+c")
    expect(panel.button("Copied")).to_be_visible()
    lines = page.evaluate("navigator.clipboard.readText()").rstrip("\n").split("\n")
    head = lines[0].split("\t")
    # All rows are of one kind, and so the column of kinds gives way.
    assert head[:2] == ["response", "units"]
    assert len(lines) == 1 + 11
    rows = [dict(zip(head, line.split("\t"), strict=True)) for line in lines[1:]]
    wanted = figures[figures.response.str.match(r"model\.layers\.7\d*\.mlp/gelu")]
    wanted = wanted.sort_values("dead units", ascending=False, kind="stable")
    assert [row["response"] for row in rows] == list(wanted.response)
    assert [float(row["mean inactive"]) for row in rows] == list(wanted["mean inactive"])
