"""Holds Ctrl-C back while a block runs that must not be cut off."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_held = False
"""Whether the main thread is in such a block: one within it has nothing to do."""


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Let Ctrl-C wait for the end of a block that must be done as a whole.

    Python raises KeyboardInterrupt in the main thread only, and there between any two
    instructions; on another thread there is nothing to hold.

    Examples
    --------
    >>> with interrupts_held():
    ...     pass
    """
    global _held  # noqa: PLW0603
    if _held or threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.getsignal(signal.SIGINT)
    if not callable(previous):
        yield
        return
    came: list[tuple[int, FrameType | None]] = []

    def keep(number: int, frame: FrameType | None) -> None:
        came.append((number, frame))

    signal.signal(signal.SIGINT, keep)
    _held = True
    try:
        yield
    finally:
        _held = False
        signal.signal(signal.SIGINT, previous)
        if came:
            previous(*came[-1])
