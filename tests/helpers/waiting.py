"""Waiting in tests for what another thread or process brings about."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE = 60.0


def until(reached: Callable[[], bool], what: str = "") -> None:
    """Return once it is reached; fail where it takes a minute."""
    deadline = time.monotonic() + PATIENCE
    while not reached():
        assert time.monotonic() < deadline, f"not within {PATIENCE:g} s: {what}"
        time.sleep(0.005)
