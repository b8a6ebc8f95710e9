"""Which watcher is the innermost on a thread: only that one sees what the thread computes."""

from __future__ import annotations

import threading
from typing import Final

_here: Final = threading.local()


def innermost() -> object | None:
    """The innermost watcher on this thread; None where nothing is watched."""
    return getattr(_here, "watcher", None)


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

    __slots__ = ("_before", "_watcher")

    def __init__(self, watcher: object | None) -> None:
        self._watcher = watcher

    def __enter__(self) -> None:
        self._before = innermost()
        _here.watcher = self._watcher

    def __exit__(self, *error: object) -> None:
        _here.watcher = self._before
