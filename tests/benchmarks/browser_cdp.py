"""A browser spoken to over the raw DevTools protocol: nothing between it and the clock."""

from __future__ import annotations

import itertools
import json
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import websocket
from chromium import BROWSER_ARGUMENTS, ensure_chromium

SIZE = (1500, 1100)


class Tab:
    """One page, as the protocol sees it."""

    def __init__(self, address: str) -> None:
        self._socket = websocket.create_connection(
            address, timeout=120, suppress_origin=True, max_size=None
        )
        self._numbers = itertools.count(1)
        for domain in ("Page", "Runtime", "Performance"):
            self.ask(f"{domain}.enable")
        # As if it were in front: JupyterLab's commands act on the document that has the focus.
        self.ask("Emulation.setFocusEmulationEnabled", enabled=True)

    def ask(self, method: str, **parameters: Any) -> Any:
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._socket.recv())
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]

    def evaluate(self, expression: str) -> Any:
        answer = self.ask(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(str(answer["exceptionDetails"])[:2000])
        return answer["result"].get("value")

    def until(self, expression: str, seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while not self.evaluate(f"Boolean({expression})"):
            if time.monotonic() > deadline:
                raise TimeoutError(expression)
            time.sleep(0.1)

    def open(self, address: str) -> None:
        self.ask("Page.navigate", url=address)

    def painted(self) -> None:
        """Wait until what was changed is on the screen."""
        self.evaluate(
            "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )

    def spent(self) -> dict[str, float]:
        """Seconds of the main thread since the page was opened: all its work, and its scripts'."""
        metrics = {m["name"]: m["value"] for m in self.ask("Performance.getMetrics")["metrics"]}
        return {"script": metrics["ScriptDuration"], "task": metrics["TaskDuration"]}

    def memory(self) -> int:
        """Bytes of the page's objects and array buffers, after garbage is collected."""
        for _ in range(3):
            self.ask("HeapProfiler.collectGarbage")
        usage = self.ask("Runtime.getHeapUsage")
        return int(usage["usedSize"] + usage.get("backingStorageSize", 0))

    def close(self) -> None:
        self._socket.close()


@contextmanager
def chromium() -> Iterator[Tab]:
    """A browser of its own, with software rendering."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [
                ensure_chromium(),
                *BROWSER_ARGUMENTS,
                "--headless=new",
                "--disable-gpu",
                "--remote-debugging-port=0",
                f"--user-data-dir={profile}",
                f"--window-size={SIZE[0]},{SIZE[1]}",
                "about:blank",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            tab = Tab(_address(Path(profile) / "DevToolsActivePort"))
            yield tab
            tab.close()
        finally:
            process.terminate()
            process.wait(20)


def _address(port_file: Path) -> str:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if port_file.exists() and port_file.read_text().strip():
            port = port_file.read_text().split()[0]
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json", timeout=10) as answer:
                for target in json.loads(answer.read()):
                    if target["type"] == "page":
                        return str(target["webSocketDebuggerUrl"])
        time.sleep(0.1)
    raise TimeoutError("Chromium did not open its port")
