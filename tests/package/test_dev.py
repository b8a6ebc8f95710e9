"""What `make dev` does: a page of the widget that reloads itself, and widgets that are renewed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from iua_widget.widget import assets

sys.path.insert(0, str(Path(__file__).parents[2] / "js"))

import dev


def test_the_page_on_a_sample_reloads_itself(tmp_path: Path) -> None:
    dev.write_page(tmp_path, dev.sample())
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert page.count("location.reload()") == 1
    assert "Content-Security-Policy" not in page, "which would forbid to ask for the next build"
    assert "head.gelu" in page
    assert int((tmp_path / "built").read_text()) == dev.built() > 0


def test_open_widgets_are_given_the_bundle_of_the_next_build(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    widget = dev.IUAWidget(dev.sample())
    monkeypatch.setattr(assets, "script", lambda: "export default {};")
    monkeypatch.setattr(assets, "styles", lambda: ".iua-widget { color: red; }")
    dev.renew_widgets()
    assert (widget._esm, widget._css) == (assets.script(), assets.styles())
