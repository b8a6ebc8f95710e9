"""Locks that a forked process finds free, whichever thread of its parent held them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar
from weakref import WeakSet

_Lock = TypeVar("_Lock")

_locks: WeakSet[Any] = WeakSet()


def free_in_child(lock: _Lock) -> _Lock:
    """Return a lock, condition or event of `threading`, which a forked process finds as if new.

    Of its parent's threads it has one alone: it would wait for the others for ever.

    Examples
    --------
    >>> import threading
    >>> with free_in_child(threading.Lock()):
    ...     pass
    """
    _locks.add(lock)
    return lock


def in_child(work: Callable[[], None]) -> None:
    """Have something done in every process that is forked from this one, first of all."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=work)


@in_child
def _free_all() -> None:
    for lock in list(_locks):
        lock._at_fork_reinit()  # noqa: SLF001  (as `threading` and `logging` do)
