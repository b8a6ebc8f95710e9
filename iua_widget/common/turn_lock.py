"""`TurnLock`: a fair lock, which waiting threads take in turns."""

from __future__ import annotations

import os
import threading

from iua_widget.common.forks import free_in_child


class TurnLock:
    """A re-entrant lock that a thread cannot take again while another has been waiting for it.

    Python's own locks are not fair: a loop that reads results would keep the thread that counts
    from ever taking its turn.

    Examples
    --------
    >>> lock = TurnLock()
    >>> with lock, lock:
    ...     pass
    """

    def __init__(self) -> None:
        self._next = free_in_child(threading.Lock())
        self._held = free_in_child(threading.Lock())
        self._owner: tuple[int, int] | None = None
        self._depth = 0

    def __reduce__(self) -> tuple[type[TurnLock], tuple[()]]:
        return TurnLock, ()  # a copy of what it guards has a lock of its own

    def __enter__(self) -> None:
        me = os.getpid(), threading.get_ident()
        if self._owner != me:
            # Whoever waits for `_held` keeps `_next`, so a thread that has just let go queues here.
            with self._next:
                self._held.acquire()
            # A forked process finds it free, whatever a thread of its parent was at.
            self._owner, self._depth = me, 0
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        if self._owner != (os.getpid(), threading.get_ident()):
            return  # forked within
        self._depth -= 1
        if not self._depth:
            self._owner = None
            self._held.release()
