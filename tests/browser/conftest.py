"""A real JupyterLab with a real kernel, in a real browser."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import pytest
from chromium import ensure_chromium, find_chromium
from jupyter_client.blocking import BlockingKernelClient
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Page,
    Request,
    expect,
    sync_playwright,
)

BROWSER_ARGUMENTS = [
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 30_000

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


@dataclass
class Lab:
    """A running JupyterLab server."""

    address: str
    token: str
    folder: Path
    runtime: Path

    def ask(self, path: str, method: str = "GET") -> Any:
        request = urllib.request.Request(
            f"{self.address}{path}",
            headers={"Authorization": f"token {self.token}"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read() or "null")


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    home = tmp_path_factory.mktemp("lab")
    folder, runtime = home / "work", home / "runtime"
    folder.mkdir()
    runtime.mkdir()
    apputils = home / "settings" / "@jupyterlab" / "apputils-extension"
    apputils.mkdir(parents=True)
    (apputils / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}')
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = secrets.token_hex(8)
    log = home / "server.log"
    environment = os.environ | {
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_RUNTIME_DIR": str(runtime),
        "IPYTHONDIR": str(home / "ipython"),
    }
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
        *("--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", "--ServerApp.port_retries=0"),
        f"--IdentityProvider.token={token}",
        f"--ServerApp.root_dir={folder}",
        "--LabApp.expose_app_in_browser=True",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        f"--LabApp.workspaces_dir={home / 'workspaces'}",
        f"--LabApp.user_settings_dir={home / 'settings'}",
    ]
    with log.open("w") as output:
        server = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=environment, cwd=folder
        )
    lab = Lab(f"http://127.0.0.1:{port}", token, folder, runtime)
    try:
        wait_for_server(lab, server, log)
        yield lab
    finally:
        server.terminate()
        server.wait(20)


def wait_for_server(lab: Lab, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(300):
        if server.poll() is not None:
            break
        try:
            lab.ask("/api/status")
        except OSError:
            time.sleep(0.2)
        else:
            return
    pytest.fail(f"JupyterLab did not start:\n{log.read_text()[-3000:]}")


@dataclass
class Notebook:
    """A notebook open in JupyterLab, and a second line to its kernel."""

    lab: Lab
    page: Page
    name: str
    requests: list[str]
    complaints: list[str] = field(default_factory=list)
    _client: BlockingKernelClient | None = None

    def run_all(self) -> None:
        # Not awaited: it ends when the last cell does.
        self.page.evaluate(
            "() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }"
        )

    def python(self, code: str) -> Any:
        """Run code in the notebook's kernel, beside the page, and return what it leaves in `it`."""
        client = self._connected()
        reply = client.execute_interactive(
            code,
            user_expressions={"it": "__import__('json').dumps(it)"},
            store_history=False,
            timeout=PATIENCE / 1000,
            output_hook=lambda _message: None,
        )["content"]
        if reply["status"] != "ok":
            pytest.fail("\n".join(reply["traceback"]))
        it = reply["user_expressions"]["it"]
        assert it["status"] == "ok", it
        return json.loads(eval(it["data"]["text/plain"]))

    def _connected(self) -> BlockingKernelClient:
        if self._client is None:
            client = BlockingKernelClient(
                connection_file=str(
                    self.lab.runtime / f"kernel-{self.session()['kernel']['id']}.json"
                )
            )
            client.load_connection_file()
            client.start_channels()
            client.wait_for_ready(timeout=PATIENCE / 1000)
            self._client = client
        return self._client

    def session(self) -> Any:
        (session,) = (s for s in self.lab.ask("/api/sessions") if s["path"] == self.name)
        return session

    def close(self) -> None:
        """End the kernel, so that the next test has the machine to itself."""
        if self._client is not None:
            self._client.stop_channels()
        self.lab.ask(f"/api/sessions/{self.session()['id']}", "DELETE")


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
def open_notebook(lab: Lab, page: Page, request: pytest.FixtureRequest) -> Iterator[Any]:
    opened: list[Notebook] = []

    def open_it(*cells: str) -> Notebook:
        name = f"{request.node.name.replace('[', '-').replace(']', '')}.ipynb"
        book = nbformat.v4.new_notebook()
        book.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
        book.cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
        nbformat.write(book, lab.folder / name)
        notebook = Notebook(lab, page, name, [])

        def note_request(asked: Request) -> None:
            notebook.requests.append(asked.url)

        def note_complaint(message: ConsoleMessage) -> None:
            if message.type == "error":
                notebook.complaints.append(message.text)

        page.on("request", note_request)
        page.on("console", note_complaint)
        page.on("pageerror", lambda error: notebook.complaints.append(str(error)))
        page.goto(f"{lab.address}/lab/tree/{name}?token={lab.token}&reset")
        page.wait_for_selector(".jp-Notebook .jp-CodeCell")
        page.wait_for_function(
            """() => {
                const context = window.jupyterapp?.shell.currentWidget?.sessionContext;
                const kernel = context?.session?.kernel;
                return context?.isReady && kernel?.status === "idle"
                    && kernel.connectionStatus === "connected";
            }"""
        )
        opened.append(notebook)
        return notebook

    yield open_it
    for notebook in opened:
        outside = [
            url for url in notebook.requests if not url.startswith((lab.address, "blob:", "data:"))
        ]
        complaints = list(notebook.complaints)
        notebook.close()
        assert outside == [], "the page asked for something from outside"
        assert complaints == [], "the page logged an error"
