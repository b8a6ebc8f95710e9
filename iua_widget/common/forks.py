"""Locks that work in a forked process, and hooks that run there first of all."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar
from weakref import WeakSet

_Lock = TypeVar("_Lock")

_locks: WeakSet[Any] = WeakSet()
_undivided: Final = threading.RLock()


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


@contextlib.contextmanager
def no_fork_within() -> Iterator[None]:
    """Have other threads that fork wait until this is done, such as an import.

    A module that is being imported is locked, in the child by a thread that is not there.
    """
    with _undivided:
        yield


def in_child(work: Callable[[], None]) -> None:
    """Have something done in every process that is forked from this one, first of all."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=work)


@in_child
def _free_all() -> None:
    for lock in list(_locks):
        lock._at_fork_reinit()  # noqa: SLF001  (as `threading` and `logging` do)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_undivided.acquire,
        after_in_parent=_undivided.release,
        after_in_child=_undivided.release,
    )
