"""`make dev`: a page of the widget that reloads itself, and widgets that are renewed."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
from waiting import until

from iua_widget.widget import assets

sys.path.insert(0, str(Path(__file__).parents[2] / "js"))

import dev


@pytest.mark.slow
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


def test_a_build_that_fails_is_waited_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bundle = [tmp_path / "widget.js", tmp_path / "widget.css"]
    for file in bundle:
        file.write_text("")
    monkeypatch.setattr(dev, "BUNDLE", bundle)
    done: list[int] = []
    dev.when_built(lambda: done.append(1) if len(done) % 2 else done.append(0) or broken())

    def broken() -> None:
        message = "the styles are not there"
        raise ImportError(message)

    bundle[1].unlink()
    bundle[0].write_text("of a build that fails")
    time.sleep(0.5)
    assert done == []
    for number in (1, 2):
        bundle[1].write_text(f"/* {number} */")
        until(lambda n=number: len(done) == n, "the next build is shown, whatever came of the last")
