"""A real Jupyter server with real kernels, and a notebook open in it."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.blocking import BlockingKernelClient
from playwright.sync_api import ConsoleMessage, Page, Request

PATIENCE = 30_000

# Notebook 7.6 says this with no widget on the page, too: of its own settings, and of the folder
# that JupyterLab showed last.
NOT_OURS = (
    "Cannot read properties of undefined (reading 'schema')",
    "Command 'filebrowser:open-path' not registered.",
)

PAGES = {"JupyterLab": "lab/tree", "Notebook 7": "notebooks"}


@dataclass
class Lab:
    """A running server of JupyterLab and Notebook 7."""

    address: str
    token: str
    folder: Path
    runtime: Path
    _kernel: str | None = None

    def ask(self, path: str, method: str = "GET", body: Any = None) -> Any:
        request = urllib.request.Request(
            f"{self.address}{path}",
            None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"token {self.token}"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read() or "null")

    def write_notebook(self, name: str, cells: tuple[str, ...]) -> None:
        book = nbformat.v4.new_notebook()
        book.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
        book.cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
        nbformat.write(book, self.folder / name)

    def share_kernel(self, name: str) -> None:
        """Have a notebook, opened next, use the kernel of those before it, which is as new."""
        if self._kernel is None:
            self._kernel = self.ask("/api/kernels", "POST", {"name": "python3"})["id"]
        session = {"path": name, "name": name, "type": "notebook"}
        self.ask("/api/sessions", "POST", session | {"kernel": {"id": self._kernel}})

    def end_shared_kernel(self) -> None:
        self.ask(f"/api/kernels/{self._kernel}", "DELETE")
        self._kernel = None

    def page_of(self, name: str, host: str = "JupyterLab") -> str:
        return f"{self.address}/{PAGES[host]}/{name}?token={self.token}" + (
            "&reset" if host == "JupyterLab" else ""
        )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running_server(
    *command: str, home: Path, health: str = "/health", **variables: str
) -> Iterator[str]:
    """Run a module of Python that serves pages; `{port}` in the command is where. Its address."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    log = home / "server.log"
    with log.open("w") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", *(part.format(port=port) for part in command)],
            cwd=home,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | variables,
        )
    try:
        for _ in range(300):
            assert server.poll() is None, log.read_text()[-3000:]
            try:
                urllib.request.urlopen(f"{address}{health}", timeout=20).close()
            except urllib.error.HTTPError:
                break  # it answers
            except OSError:
                time.sleep(0.2)
            else:
                break
        yield address
    finally:
        server.terminate()
        server.wait(20)


@contextmanager
def running_lab(home: Path) -> Iterator[Lab]:
    folder, runtime = home / "work", home / "runtime"
    folder.mkdir()
    runtime.mkdir()
    apputils = home / "settings" / "@jupyterlab" / "apputils-extension"
    apputils.mkdir(parents=True)
    (apputils / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}')
    port, token = free_port(), secrets.token_hex(8)
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
        "--JupyterNotebookApp.expose_app_in_browser=True",
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
    raise RuntimeError(f"Jupyter did not start:\n{log.read_text()[-3000:]}")


KERNEL_IS_READY = """() => {
    const context = window.jupyterapp?.shell.currentWidget?.sessionContext;
    const kernel = context?.session?.kernel;
    return context?.isReady && kernel?.status === "idle"
        && kernel.connectionStatus === "connected";
}"""


AS_NEW = """
import ipywidgets

ipywidgets.Widget.close_all()
get_ipython().reset()  # the names, and the numbers of the cells
it = None
"""


@dataclass
class Notebook:
    """A notebook open in a page, and a second line to its kernel."""

    lab: Lab
    page: Page
    name: str
    own_kernel: bool = True
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    _client: BlockingKernelClient | None = None

    def __post_init__(self) -> None:
        def note_request(asked: Request) -> None:
            self.requests.append(asked.url)

        def note(complaint: str) -> None:
            if complaint not in NOT_OURS:
                self.complaints.append(complaint)

        def note_message(message: ConsoleMessage) -> None:
            if message.type == "error":
                note(message.text)

        self.page.on("request", note_request)
        self.page.on("console", note_message)
        self.page.on("pageerror", lambda error: note(str(error)))

    def open(self, host: str = "JupyterLab") -> None:
        if not self.own_kernel:
            self.lab.share_kernel(self.name)
        self.page.goto(self.lab.page_of(self.name, host))
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        self.page.wait_for_selector(".jp-Notebook .jp-CodeCell")
        self.page.wait_for_function(KERNEL_IS_READY)

    def command(self, name: str) -> None:
        # Not awaited: running cells ends when the last of them does.
        self.page.evaluate("(name) => { window.jupyterapp.commands.execute(name); }", name)

    def run_all(self) -> None:
        self.command("notebook:run-all-cells")

    def save(self) -> None:
        self.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")

    def python(self, code: str) -> Any:
        """Run code in the notebook's kernel, beside the page, and return what it leaves in `it`."""
        reply = self.client.execute_interactive(
            code,
            user_expressions={"it": "__import__('json').dumps(it)"},
            store_history=False,
            timeout=PATIENCE / 1000,
            output_hook=lambda _message: None,
        )["content"]
        assert reply["status"] == "ok", "\n".join(reply["traceback"])
        it = reply["user_expressions"]["it"]
        assert it["status"] == "ok", it
        return json.loads(eval(it["data"]["text/plain"]))

    @property
    def client(self) -> BlockingKernelClient:
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

    def forget_kernel(self) -> None:
        """After it has ended: the next line is to the kernel there is by then."""
        if self._client is not None:
            self._client.stop_channels()
            self._client = None

    def session(self) -> Any:
        (session,) = (s for s in self.lab.ask("/api/sessions") if s["path"] == self.name)
        return session

    def outside_requests(self) -> list[str]:
        inside = (self.lab.address, "blob:", "data:")
        return [url for url in self.requests if not url.startswith(inside)]

    def close(self) -> None:
        """Leave the shared kernel as new; end one that is not, which frees the machine."""
        if self.own_kernel:
            self.forget_kernel()
            self.lab.ask(f"/api/sessions/{self.session()['id']}", "DELETE")
            return
        try:
            self.python(AS_NEW)
        except BaseException:
            self.lab.end_shared_kernel()
            raise
        finally:
            self.forget_kernel()
