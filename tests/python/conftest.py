"""Shared by the Python tests."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
collect_ignore = ["shiny_app.py"]  # a process of its own


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C as a terminal has it, here and in what is started from here.

    A shell without job control starts what is in the background with SIGINT ignored.
    """
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)
