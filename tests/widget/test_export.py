"""The exported page is one file that holds everything and asks for nothing."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from unpacking import unpack

from iua_widget import IUA, FileError, IUAWarning, IUAWidget
from iua_widget.widget import export as html

DATA = {
    "relu": np.maximum(np.random.default_rng(0).normal(size=(30, 8)), 0),
    "</script><b>": np.zeros((30, 2, 3, 3), np.float32),
}


def text_of(page: str, element: str) -> str:
    match = re.search(rf'id="{element}">(.*?)</script>', page, re.DOTALL)
    assert match
    return match[1]


def payload_of(page: str) -> dict[str, Any]:
    return json.loads(text_of(page, "payload"))


def snapshot(page: str, parts: list[str]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    packed = b"".join(base64.b64decode(text_of(page, part)) for part in parts)
    return unpack(gzip.decompress(packed))


def test_the_page_holds_every_layer_at_every_stop(tmp_path: Path) -> None:
    widget = IUAWidget(IUA.introspect(DATA), atol=1e-3)
    path = widget.to_html(tmp_path / "page.html", title="Dead <units>", text="Most <are>.")
    page = path.read_text(encoding="utf-8")
    payload = payload_of(page)
    assert "<title>Dead &lt;units&gt;</title>" in page
    assert payload["title"] == "Dead <units>"
    assert payload["text"] == "Most <are>."
    assert payload["state"]["atol"] == 1e-3
    assert payload["state"]["layer"] == "relu"
    meta, _ = snapshot(page, payload["table"])
    assert [layer["name"] for layer in meta["layers"]] == list(DATA)
    for layer in DATA:
        meta, arrays = snapshot(page, payload["units"][layer])
        assert meta["columns"] == list(range(len(widget.iua.stops) + 1))
        for row, stop in enumerate(widget.iua.stops):
            expected = widget.iua.at(atol=stop).results[layer].unit_inactive_count
            np.testing.assert_array_equal(arrays["counts"][row], expected.ravel())


def test_the_source_is_called_as_the_user_says(tmp_path: Path) -> None:
    widget = IUAWidget(DATA, background=False, name="two layers")
    page = widget.to_html(tmp_path / "page.html").read_text(encoding="utf-8")
    payload = payload_of(page)
    assert payload["title"] == "Inactive units of two layers"
    assert payload["text"] == ""
    assert payload["state"]["_run"]["source"] == "two layers"
    assert "two layers" in widget._repr_mimebundle_()[0]["text/html"]


@pytest.mark.parametrize("option", ["title", "text"])
def test_what_is_no_text_is_refused(option: str, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=f"{option} must be a string, and is 3"):
        IUAWidget(IUA.introspect(DATA)).to_html(tmp_path / "x.html", **{option: 3})
    with pytest.raises(TypeError, match="name must be a string, and is 3"):
        IUAWidget(DATA, name=3)


def test_names_cannot_break_out_of_the_page(tmp_path: Path) -> None:
    page = IUAWidget(IUA.introspect(DATA)).to_html(tmp_path / "x.html").read_text()
    assert "</script><b>" not in page
    assert "</script><b>" in payload_of(page)["units"]


def test_nothing_in_the_page_is_fetched_from_elsewhere(tmp_path: Path) -> None:
    page = IUAWidget(IUA.introspect(DATA)).to_html(tmp_path / "x.html").read_text()
    assert not re.findall(r"""(?:src|href)\s*=\s*["']?\w+:""", page)
    assert not re.findall(r"url\(\s*['\"]?http", page)


def test_a_policy_allows_what_is_in_the_page_and_nothing_else(tmp_path: Path) -> None:
    page = IUAWidget(IUA.introspect(DATA)).to_html(tmp_path / "x.html").read_text()
    policy = re.search(r'http-equiv="Content-Security-Policy" content="(.*?)"', page)
    assert policy is not None
    allowed = dict(part.split(" ", 1) for part in policy[1].split("; "))
    assert allowed.keys() == {
        "default-src", "script-src", "style-src", "img-src", "base-uri", "form-action",
    }  # fmt: skip
    assert allowed["default-src"] == allowed["base-uri"] == allowed["form-action"] == "'none'"
    for element, sources in {"style": "style-src", 'script type="module"': "script-src"}.items():
        (text,) = re.findall(f"<{element}>(.*?)</{element.split()[0]}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert allowed[sources].split()[0] == f"'sha256-{digest}'"
    assert "unsafe" not in policy[1]
    assert "http" not in policy[1]


def test_a_layer_above_the_limit_is_written_with_fewer_stops(tmp_path: Path) -> None:
    widget = IUAWidget(IUA.introspect(DATA))
    page = widget.to_html(tmp_path / "x.html", limit=26 * 10).read_text()
    meta, _ = snapshot(page, payload_of(page)["units"]["relu"])
    assert len(meta["columns"]) == 10
    assert widget.iua.stops.index(1e-8) in meta["columns"]


def test_what_is_too_long_for_one_text_is_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(html, "PART_BYTES", 99)
    widget = IUAWidget(IUA.introspect(DATA))
    page = widget.to_html(tmp_path / "x.html").read_text()
    parts = payload_of(page)["units"]["relu"]
    assert len(parts) > 2
    assert all(len(text_of(page, part)) <= 132 for part in parts)
    meta, _ = snapshot(page, parts)
    assert meta["layer"] == "relu"


def test_a_page_that_may_not_open_is_written_and_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(html, "LARGEST_PAGE", 2**10)
    widget = IUAWidget(IUA.introspect(DATA))
    with pytest.warns(IUAWarning, match=r"x\.html takes .*KiB.*above 1 KiB.*limit=") as warned:
        page = widget.to_html(tmp_path / "x.html")
    assert page.is_file()
    assert warned[0].filename == __file__


def test_a_folder_that_is_not_there_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    widget = IUAWidget(IUA.introspect(DATA))
    with pytest.raises(FileError, match=r"x.html. cannot be written: No such file or directory"):
        widget.to_html(tmp_path / "nowhere" / "x.html")
    assert list(tmp_path.iterdir()) == []


def test_an_older_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "x.html"
    path.write_text("old")
    assert IUAWidget(IUA.introspect(DATA)).to_html(str(path)) == path
    assert path.read_text().startswith("<!doctype html>")
    assert [file.name for file in tmp_path.iterdir()] == ["x.html"]
