"""Which watcher is the innermost on a thread: only that one sees what the thread computes."""

from __future__ import annotations

import threading
from typing import Final

_here: Final = threading.local()


def innermost() -> object | None:
    """The innermost watcher on this thread; None where nothing is watched."""
    open_here: list[Innermost] = getattr(_here, "open", [])
    return open_here[-1].watcher if open_here else None


def is_innermost_beside(watcher: object) -> bool:
    """Whether a watcher is the innermost on this thread, but for others beside it."""
    for one in reversed(getattr(_here, "open", [])):
        if one.watcher is watcher:
            return True
        if not isinstance(one, Beside):
            break
    return False


class Innermost:
    """A context in which some watcher is the innermost on this thread, or none is.

    Examples
    --------
    >>> with Innermost("a watcher"):
    ...     with Innermost(None):
    ...         innermost()
    ...     innermost()
    'a watcher'
    """

    __slots__ = ("_open", "watcher")

    def __init__(self, watcher: object | None) -> None:
        self.watcher = watcher

    def __enter__(self) -> None:
        if not hasattr(_here, "open"):
            _here.open = []
        self._open: list[Innermost] = _here.open
        self._open.append(self)

    def __exit__(self, *error: object) -> None:
        if self in self._open:  # what was opened after it was cut off by an interrupt
            at = self._open.index(self)
            self._open[at:] = self._staying(self._open[at + 1 :])

    def _staying(self, _later: list[Innermost]) -> list[Innermost]:
        """Those that were opened after this one, and stay open when it is closed."""
        return []


class Beside(Innermost):
    """Another, which leaves those of its kind open that were opened after it.

    Examples
    --------
    >>> one, other = Beside("one"), Beside("other")
    >>> one.__enter__(), other.__enter__(), one.__exit__()
    (None, None, None)
    >>> innermost(), other.__exit__(), innermost()
    ('other', None, None)
    """

    __slots__ = ()

    def _staying(self, later: list[Innermost]) -> list[Innermost]:
        return [one for one in later if isinstance(one, Beside)]
