"""Holds Ctrl-C back while a block runs that must not be cut off."""

from __future__ import annotations

import threading

# Those of `signal` look each handler up in an enumeration, which takes eight times as long.
from _signal import getsignal  # type: ignore[import-not-found]
from _signal import signal as set_handler
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from signal import SIGINT
from types import FrameType
from typing import Any


@dataclass(slots=True)
class _Holder:
    """Keeps the interrupts that come until they are passed on to the program's handler."""

    handler: Any
    came: list[tuple[int, FrameType | None]] = field(default_factory=list)

    def keep(self, number: int, frame: FrameType | None) -> None:
        self.came.append((number, frame))

    def pass_on(self) -> None:
        if self.came:
            last = self.came[-1]
            self.came.clear()
            if callable(self.handler):
                self.handler(*last)


_holder: _Holder | None = None
"""Of the block that the main thread is in: one within it has nothing to do."""


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Let Ctrl-C wait for the end of a block that must be done as a whole.

    Python raises KeyboardInterrupt in the main thread only, and there between any two
    instructions, those of entering and leaving a context included; on another thread there is
    nothing to hold.

    Examples
    --------
    >>> with interrupts_held():
    ...     pass
    """
    global _holder  # noqa: PLW0603
    if _holder is not None or threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = getsignal(SIGINT)
    if not callable(handler):
        yield
        return
    holder = _Holder(handler)
    set_handler(SIGINT, holder.keep)
    _holder = holder
    try:
        yield
    finally:
        _holder = None
        set_handler(SIGINT, holder.handler)
        holder.pass_on()


class interrupts_let_through:  # noqa: N801  (as `interrupts_held`)
    """Let Ctrl-C through while the user's code runs, within `interrupts_held`.

    It is no generator: what is left of one that was interrupted would be run later.

    Examples
    --------
    >>> with interrupts_held(), interrupts_let_through():
    ...     pass
    """

    __slots__ = ("_within",)

    def __enter__(self) -> None:
        global _holder  # noqa: PLW0603
        main = threading.current_thread() is threading.main_thread()
        self._within = _holder if main else None
        if self._within is not None:
            _holder = None
            set_handler(SIGINT, self._within.handler)
            self._within.pass_on()

    def __exit__(self, *error: object) -> None:
        global _holder  # noqa: PLW0603
        if self._within is not None:
            self._within.handler = set_handler(SIGINT, self._within.keep)
            _holder = self._within
