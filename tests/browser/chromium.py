"""Finds a Chromium to test in, and fetches one as a package where there is none.

As a script it prints where the browser is, fetching it first if need be.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
BROWSER_ARGUMENTS = [
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DEBIAN_PACKAGES = ("chromium", "fonts-dejavu-core")


def find_chromium() -> str | None:
    """The browser's path: the environment's IUA_CHROMIUM, one on the path, or Playwright's own.

    Raises
    ------
    RuntimeError
        If IUA_CHROMIUM is set and does not start.
    """
    chosen = os.environ.get("IUA_CHROMIUM")
    if chosen:
        if not starts(chosen):
            message = f"IUA_CHROMIUM is {chosen!r}, which does not start"
            raise RuntimeError(message)
        return chosen
    for name in NAMES:
        path = shutil.which(name)
        if path and starts(path):
            return path
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return own if starts(own) else None


def starts(browser: str) -> bool:
    """Whether this is a browser that runs: some systems have a stub, or lack its libraries."""
    try:
        answer = subprocess.run(
            [browser, "--version"], capture_output=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0


def ensure_chromium() -> str:
    """The browser's path, fetched first where it is missing.

    Raises
    ------
    RuntimeError
        If it can be neither found nor fetched.
    """
    found = find_chromium()
    if found:
        return found
    tried = []
    for commands in fetch_commands():
        tried.append(" && ".join(" ".join(command) for command in commands))
        try:
            for command in commands:
                subprocess.run(command, check=True, stdout=sys.stderr)
        except (OSError, subprocess.CalledProcessError) as error:
            tried[-1] += f" ({error})"
            continue
        found = find_chromium()
        if found:
            return found
    raise RuntimeError(
        "the browser tests need Chromium, and none could be fetched. Install it, or set "
        "IUA_CHROMIUM to its path. Tried:\n" + "\n".join(tried)
    )


def fetch_commands() -> list[list[list[str]]]:
    """The ways to fetch a browser on this machine, best first."""
    ways = []
    if shutil.which("apt-get"):
        ways.append(debian_install(DEBIAN_PACKAGES))
    ways.append([[sys.executable, "-m", "playwright", "install", "chromium"]])
    return ways


def debian_install(packages: Sequence[str]) -> list[list[str]]:
    """The commands that install Debian's packages."""
    rights = [] if os.geteuid() == 0 else ["sudo", "-n"]
    apt = [*rights, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]
    return [
        [*apt, "update"],
        [*apt, "install", "--yes", "--no-install-recommends", *packages],
    ]


if __name__ == "__main__":
    try:
        print(ensure_chromium())
    except RuntimeError as error:
        sys.exit(str(error))
