"""Real servers with real kernels, in a real browser."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium import BROWSER_ARGUMENTS, ensure_chromium, find_chromium
from panel import Panel, complaints_of
from playwright.sync_api import Browser, Page, expect, sync_playwright
from servers import PATIENCE, Lab, Notebook, running_lab
from stub_page import page_state, stub_page

from iua_widget import IUAWidget

expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = ensure_chromium() if os.environ.get("CI") else find_chromium()
    if path is None:
        pytest.skip("no Chromium: `python tests/browser/chromium.py` fetches one")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=BROWSER_ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with running_lab(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


@pytest.fixture
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1500, "height": 1100})
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    yield page
    if os.environ.get("IUA_SCREENSHOTS"):
        page.screenshot(path=Path(os.environ["IUA_SCREENSHOTS"]) / f"{request.node.name}.png")
    context.close()


@pytest.fixture
def stub(page: Page, widget: IUAWidget, tmp_path: Path) -> Iterator[Page]:
    """A module's widget on a page without a kernel, whose state a test sets."""
    complaints = complaints_of(page)
    path = tmp_path / "stub.html"
    path.write_text(stub_page(page_state(widget)), encoding="utf-8")
    page.goto(path.as_uri())
    page.wait_for_function("window.ready")
    expect(Panel(page).rows.first).to_be_visible()
    yield page
    assert complaints == []


@pytest.fixture
def opened(browser: Browser, export: dict[str, Path]) -> Iterator[Any]:
    """Opens a module's exported pages, the first where none is named, and hears what they log."""
    context = browser.new_context()
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    heard: list[list[str]] = []

    def open_it(name: str | None = None, width: int = 1200) -> Panel:
        page = context.new_page()
        page.set_viewport_size({"width": width, "height": 1000})
        heard.append(complaints_of(page))
        page.goto(export[name or next(iter(export))].as_uri())
        panel = Panel(page)
        expect(panel.rows.first).to_be_visible()
        return panel

    yield open_it
    context.close()
    assert not any(heard), heard


@pytest.fixture
def open_notebook(lab: Lab, page: Page, request: pytest.FixtureRequest) -> Iterator[Any]:
    opened: list[Notebook] = []

    def open_it(*cells: str, host: str = "JupyterLab", own_kernel: bool = False) -> Notebook:
        name = re.sub(r"\W+", "-", request.node.name) + ".ipynb"
        lab.write_notebook(name, cells)
        notebook = Notebook(lab, page, name, own_kernel)
        opened.append(notebook)
        notebook.open(host)
        return notebook

    yield open_it
    for notebook in opened:
        outside, complaints = notebook.outside_requests(), list(notebook.complaints)
        notebook.close()
        assert outside == [], "the page asked for something from outside"
        assert complaints == [], "the page logged an error"
