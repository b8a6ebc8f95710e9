"""Finds a Firefox, fetches Debian's package where there is none, and drives it over WebDriver BiDi.

As a script it fetches the browser where a package has it, and says so where none has.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import websocket
from chromium import debian_install, starts

NAMES = ("firefox-esr", "firefox")
PACKAGE = "firefox-esr"
LISTENING = re.compile(r"WebDriver BiDi listening on (ws://\S+)")
PATIENCE = 60


def find_firefox() -> str | None:
    """The browser's path: the environment's IUA_FIREFOX, or one on the path."""
    for name in (os.environ.get("IUA_FIREFOX"), *NAMES):
        path = shutil.which(name) if name else None
        if path and starts(path):
            return path
    return None


def ensure_firefox() -> str | None:
    """The browser's path, fetched first where it is missing; None where no package has it."""
    found = find_firefox()
    if found or not shutil.which("apt-get"):
        return found
    try:
        for command in debian_install([PACKAGE]):
            subprocess.run(command, check=True, stdout=sys.stderr)
    except subprocess.CalledProcessError:
        known = subprocess.run(["apt-cache", "show", PACKAGE], capture_output=True, check=False)
        if known.returncode == 0:
            raise
    return find_firefox()


class FirefoxPage:
    """One page of a running browser, and what it complains of."""

    def __init__(self, address: str) -> None:
        self._socket = websocket.create_connection(
            f"{address}/session", timeout=PATIENCE, suppress_origin=True
        )
        self._numbers = itertools.count(1)
        self.complaints: list[str] = []
        self._ask("session.new", capabilities={})
        self._ask("session.subscribe", events=["log.entryAdded"])
        (self._context,) = (
            tree["context"] for tree in self._ask("browsingContext.getTree")["contexts"]
        )

    def _ask(self, method: str, **parameters: Any) -> Any:
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._socket.recv())
            if answer.get("method") == "log.entryAdded" and answer["params"]["level"] == "error":
                self.complaints.append(answer["params"]["text"])
            if answer.get("id") == number:
                assert "error" not in answer, f"{method}: {answer}"
                return answer["result"]

    def open(self, address: str, width: int, height: int) -> None:
        viewport = {"width": width, "height": height}
        self._ask("browsingContext.setViewport", context=self._context, viewport=viewport)
        self._ask("browsingContext.navigate", context=self._context, url=address, wait="complete")

    def evaluate(self, expression: str) -> Any:
        """The value of an expression, or of its promise, that JSON can hold."""
        answer = self._ask(
            "script.evaluate",
            expression=f"Promise.resolve({expression}).then((it) => JSON.stringify(it ?? null))",
            target={"context": self._context},
            awaitPromise=True,
        )
        assert answer["type"] == "success", answer
        return json.loads(answer["result"]["value"])

    def until(self, expression: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not self.evaluate(f"Boolean({expression})"):
            assert time.monotonic() < deadline, f"not within {PATIENCE} s: {expression}"
            time.sleep(0.1)

    def press(self, key: str) -> None:
        """Press a key where the focus is."""
        actions = [{"type": kind, "value": key} for kind in ("keyDown", "keyUp")]
        keys = [{"type": "key", "id": "keys", "actions": actions}]
        self._ask("input.performActions", context=self._context, actions=keys)

    def click(self, selector: str) -> None:
        """Click the middle of what a selector finds first, once it is in view."""
        place = self.evaluate(
            f"""(() => {{
                const node = document.querySelector({json.dumps(selector)});
                node.scrollIntoView({{ block: "center" }});
                const box = node.getBoundingClientRect();
                return [box.x + box.width / 2, box.y + box.height / 2].map(Math.round);
            }})()"""
        )
        actions = [
            {"type": "pointerMove", "x": place[0], "y": place[1]},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerUp", "button": 0},
        ]
        pointer = [{"type": "pointer", "id": "mouse", "actions": actions}]
        self._ask("input.performActions", context=self._context, actions=pointer)

    def screenshot(self) -> str:
        """A PNG of what is in view, in base64."""
        data: str = self._ask("browsingContext.captureScreenshot", context=self._context)["data"]
        return data

    def close(self) -> None:
        self._socket.close()


@contextmanager
def firefox_page(path: str) -> Iterator[FirefoxPage]:
    """A browser of its own, without a window, and its only page."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [
            *(path, "--headless", "--no-remote", "--profile", profile),
            *("--remote-debugging-port", "0", "about:blank"),
        ]
        log = Path(profile) / "said.log"
        with log.open("w") as said:
            browser = subprocess.Popen(command, stdout=said, stderr=said)
        try:
            page = FirefoxPage(address_of(browser, log))
            yield page
            page.close()
        finally:
            browser.terminate()
            browser.wait(20)


def address_of(browser: subprocess.Popen[bytes], log: Path) -> str:
    """Where it listens, which it says among much else."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and browser.poll() is None:
        if found := LISTENING.search(log.read_text(errors="replace")):
            return found.group(1)
        time.sleep(0.1)
    raise RuntimeError(f"Firefox did not start:\n{log.read_text(errors='replace')[-3000:]}")


if __name__ == "__main__":
    print(ensure_firefox() or "No package has Firefox here: its test is left out.")
