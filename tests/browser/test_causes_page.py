"""Causes on the page: evidence is colored and told, and top probes are drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from panel import Panel
from playwright.sync_api import Page, expect
from torch import nn

from iua_widget import IUAWidget

pytestmark = pytest.mark.browser

FAR, NEAR, ALIVE = 0, 1, 2


@pytest.fixture(scope="module")
def widget() -> IUAWidget:
    """Of a layer with a unit far from firing, one just below, and others."""
    torch.manual_seed(0)
    linear = nn.Linear(16, 12)
    images = torch.rand(40, 16)
    with torch.no_grad():
        linear.bias[FAR] = -40
        linear.bias[NEAR] -= (linear(images)[:, NEAR]).max() + 0.01
        linear.bias[ALIVE] = 20
    model = nn.Sequential(linear, nn.ReLU6())
    w = IUAWidget(
        model,
        images,
        causes=True,
        top_probes=3,
        show=images.reshape(40, 4, 4).numpy(),
        color="max pre-activation",
        engine="reference",
        background=False,
    )
    w.selected = [ALIVE]
    return w


@pytest.fixture
def panel(page: Page, widget: IUAWidget, tmp_path: Path) -> Panel:
    page.goto(widget.to_html(tmp_path / "causes.html").as_uri())
    return Panel(page)


def test_the_distance_to_firing_is_colored_and_told(panel: Panel, widget: IUAWidget) -> None:
    units = widget.iua.units("1")
    expect(panel.canvas).to_have_attribute("data-coloring", "max pre-activation")
    legend = panel.root.locator(".iua-legend-part").first
    largest, smallest = units["max pre-activation"].max(), units["max pre-activation"].min()
    expect(legend).to_contain_text(f"{largest:.3g}")
    expect(legend).to_contain_text(f"\u2212{-smallest:.3g}")
    expect(panel.root.locator(".iua-legend")).not_to_contain_text("dead")
    card = panel.root.get_by_label("unit card")
    row = units.iloc[ALIVE]
    assert row["share at bound"] == 1
    assert row["constant"]
    expect(card).to_contain_text(f"max pre-act. {row['max pre-activation']:.3g}")
    expect(card).to_contain_text("range 0 (constant)")
    expect(card).to_contain_text("at bound 100.0 %")


def test_the_share_at_the_bound_is_colored_where_the_dead_are(
    panel: Panel, widget: IUAWidget
) -> None:
    expect(panel.canvas).to_have_attribute("data-coloring", "max pre-activation")
    color = panel.root.get_by_label("color", exact=True)
    names = color.locator("option:not([hidden])").all_inner_texts()
    assert names[-3:] == ["max pre-activation", "range", "share at bound"]
    color.select_option("share at bound")
    expect(panel.root.locator(".iua-legend")).to_contain_text(f"{widget.iua['1'].dead} dead")


def test_the_share_at_the_bound_is_a_column_to_filter_by(panel: Panel, widget: IUAWidget) -> None:
    share = widget.iua.results["1"].share_at_bound
    cell = panel.root.locator('tbody td[data-column="share-at-bound"]').first
    expect(cell).to_have_attribute("data-value", str(share))
    expect(cell).to_contain_text(f"{100 * share:.1f} %")
    for percent, rows in ((1, 1), (99, 0)):
        panel.root.get_by_label("filter").fill(f"share-at-bound>{percent}%")
        expect(panel.root.locator("tbody tr[data-layer]")).to_have_count(rows)
        widget.filter = f"share at bound>{percent}%"
        assert len(widget.table()) == rows
    widget.filter = ""


def test_the_probes_that_a_unit_answered_most_are_drawn(panel: Panel, widget: IUAWidget) -> None:
    top = widget.iua.top_probes("1", units=ALIVE)
    figures = panel.root.get_by_label("probes with the largest responses").locator("figure")
    expect(figures).to_have_count(3)
    for place, (probe, value) in enumerate(zip(top["probe"], top["value"], strict=True)):
        expect(figures.nth(place)).to_have_text(f"probe {probe}: {value:.3g}")
        assert figures.nth(place).locator("img").evaluate("image => image.naturalWidth") == 96
    panel.root.get_by_label("let go of the unit").click()
    expect(figures).to_have_count(0)


def test_the_card_of_a_dead_unit_says_why_it_is(panel: Panel, widget: IUAWidget) -> None:
    findings = widget.iua.units("1")["finding"]
    assert findings[FAR] == "bias-dominated"
    assert findings[NEAR] in {"just below", "bias-dominated"}
    card = panel.root.get_by_label("unit card")
    expect(card).to_contain_text("finding \u2013")
    for unit in (FAR, NEAR):
        worst = panel.root.get_by_label("worst units of the network")
        worst.get_by_text(f"unit {unit}", exact=True).first.click()
        expect(card).to_contain_text(f"finding {findings[unit]}")


def test_what_was_not_counted_is_not_offered(page: Page, tmp_path: Path) -> None:
    w = IUAWidget({"relu": np.eye(8)}, color="range", engine="reference", background=False)
    page.goto(w.to_html(tmp_path / "plain.html").as_uri())
    panel = Panel(page)
    expect(panel.canvas).to_have_attribute("data-coloring", "share")
    color = panel.root.get_by_label("color", exact=True)
    names = color.locator("option:not([hidden])").all_inner_texts()
    assert names == ["inactive share", "inactive count", "mean |x|", "dead or not"]
