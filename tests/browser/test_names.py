"""Names of layers on the page and in saved pictures: told apart at every width."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import expect

from iua_widget import IUAWidget

pytestmark = pytest.mark.browser

STAGES = (3, 4, 6, 3)
NAMES = [
    "embedder.embedder.activation",
    *(
        f"encoder.stages.{stage}.layers.{layer}.{part}activation"
        for stage, layers in enumerate(STAGES)
        for layer in range(layers)
        for part in ("layer.0.", "layer.1.", "")
    ),
]
"""As a ResNet-50 of transformers has them."""
READ = """(root) => {
    const names = root.querySelectorAll("tbody tr[data-layer] .iua-layer-name");
    return [...names].map((name) => ({
        text: name.textContent,
        title: name.title,
        spoken: name.closest("th").getAttribute("aria-label"),
        clipped: name.scrollWidth > name.clientWidth,
    }));
}"""


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    rng = np.random.default_rng(0)
    layers = {name: np.maximum(rng.normal(size=(4, 6)), 0) for name in NAMES}
    layers[NAMES[3]][:, :4] = 0  # so much of it is dead that it has a mark
    broken = dict.fromkeys(("a\nb\n\nc", "a\u2028b", "plain"), np.eye(4))
    folder = tmp_path_factory.mktemp("names")
    return {
        name: IUAWidget(responses, background=False).to_html(folder / f"{name}.html")
        for name, responses in (("resnet", layers), ("broken", broken))
    }


@pytest.mark.parametrize("width", [360, 700, 1300, 1900])
def test_no_two_rows_read_alike(opened: Any, width: int) -> None:
    panel = opened(width=width)
    box = panel.root.locator(".iua-table-box")
    seen: dict[str, str] = {}
    while len(seen) < len(NAMES):
        before = len(seen)
        for name in panel.root.evaluate(READ):
            assert not name["clipped"]
            assert name["title"] == name["spoken"]
            seen[name["title"]] = name["text"]
        assert len(seen) > before
        box.evaluate("(box) => { box.scrollTop += 250; }")
        panel.layers()
    assert sorted(seen) == sorted(NAMES)
    assert len(set(seen.values())) == len(NAMES)


@pytest.mark.parametrize("width", [360, 1300])
def test_no_two_neighbors_in_a_tree_read_alike(opened: Any, width: int) -> None:
    panel = opened(width=width)
    panel.button("Tree").click()
    rows = panel.root.evaluate(
        """(root) => [...root.querySelectorAll("tbody tr[aria-level]")].map((row) => {
            const name = row.querySelector(".iua-layer-name");
            const clipped = name.scrollWidth > name.clientWidth;
            return { level: Number(row.ariaLevel), text: name.textContent, clipped };
        })"""
    )
    assert any(row["level"] > 1 for row in rows)
    family: list[set[str]] = []
    for row in rows:
        assert not row["clipped"]
        del family[row["level"] :]
        family += [set() for _ in range(row["level"] - len(family))]
        assert row["text"] not in family[-1]
        family[-1].add(row["text"])


def test_what_all_names_share_is_said_once(opened: Any) -> None:
    panel = opened(width=700)
    head = panel.root.locator("thead th[data-column=response]")
    expect(head).to_contain_text("*.activation")
    expect(panel.row(NAMES[0]).locator(".iua-layer-name")).to_have_text("embedder.embedder")
    expect(panel.row(NAMES[0])).to_have_attribute("data-layer", NAMES[0])


def test_a_saved_picture_tells_its_rows_apart(opened: Any) -> None:
    texts = opened(width=700).texts_of_picture()
    names = [text for text in texts if re.match(r"e\w+[.…].*(embedder|[0-9])$", text)]
    assert len(names) == len(set(names)) == 30
    assert "layer: *.activation" in texts


def test_the_head_of_the_picture_tells_its_layer_from_the_others(opened: Any) -> None:
    panel = opened(width=360)
    head = panel.root.locator(".iua-heatmap-name")
    seen = set()
    for row in panel.rows.all()[:5]:
        name = row.get_attribute("data-layer")
        row.click()
        expect(head).to_have_attribute("title", str(name))
        assert head.evaluate("(head) => head.scrollWidth <= head.clientWidth")
        seen.add(head.inner_text())
    assert len(seen) == 5


def test_a_name_stays_on_one_line_whatever_is_in_it(opened: Any) -> None:
    panel = opened("broken")
    names = [name["text"] for name in panel.root.evaluate(READ)]
    assert names == ["a�b��c", "a�b", "plain"]
    heights = panel.rows.evaluate_all("(rows) => rows.map((row) => row.offsetHeight)")
    assert len(set(heights)) == 1
