"""Paces the frames for the browser: the newest only, never so many that counting suffers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from iua_widget.common.forks import free_in_child
from iua_widget.widget.connection import Connection

COST_SHARE: Final = 0.02
"""Of the time, at the most, for which frames hold up the count, or occupy a core."""


@dataclass(frozen=True, slots=True)
class FrameOrder:
    """What a frame is to be like.

    Attributes
    ----------
    number : int
        The page names it when it has shown the frame.
    budget : int
        Bytes its units may take.
    """

    number: int
    budget: int


@dataclass(frozen=True, slots=True)
class FrameCost:
    """What a frame took.

    Attributes
    ----------
    size : int
        Bytes sent.
    locked : float
        Seconds for which it locked the run, and the count waited.
    """

    size: int
    locked: float = 0.0


class FramePacer:
    """Coalesces requests for a frame into calls of `send`, on a thread of its own.

    What lies between two frames is in ``docs/page-traffic.md``. An urgent request, for which a
    person is waiting, is served at once.

    Parameters
    ----------
    send : callable
        Builds and sends the newest frame, and returns what it took. Never called twice at the
        same time.
    cost_share : float
        The share of the time that frames may take.
    beside : float
        Seconds that each takes on other threads: of the kernel, which sends it and hears of it.

    Examples
    --------
    >>> frames, cost = [], FrameCost(1000)
    >>> pacer = FramePacer(lambda order, frames=frames, cost=cost: frames.append(order) or cost)
    >>> for _ in range(1000):
    ...     pacer.request()
    >>> pacer.close()
    >>> len(frames) < 1000
    True
    """

    def __init__(
        self,
        send: Callable[[FrameOrder], FrameCost],
        *,
        cost_share: float = COST_SHARE,
        beside: float = 0.0,
    ) -> None:
        self._send = send
        self._cost_share, self._beside = cost_share, beside
        self._connection = Connection()
        self._lock = free_in_child(threading.Lock())
        self._sending = free_in_child(threading.RLock())
        self._timer: threading.Timer | None = None
        self._due = 0.0
        self._not_before = 0.0
        self._number = 0
        self._closed = False
        self._sender: int | None = None

    @property
    def sending_here(self) -> bool:
        """Whether this thread is inside `send`: an observer of what a frame changed, say."""
        return self._sender == threading.get_ident()

    def request(self, *, urgent: bool = False) -> None:
        """Ask for a frame soon; asking again before it is sent changes nothing."""
        with self._lock:
            now = time.monotonic()
            due = now if urgent else max(self._not_before, now)
            if self._closed or (self._timer is not None and self._due <= due):
                return
            if self._timer is not None:
                self._timer.cancel()
            self._due = due
            self._timer = threading.Timer(due - now, self._fire)
            self._timer.daemon = True
            self._timer.start()

    def shown(self, frame: int) -> None:
        """Take note that the page has shown a frame."""
        with self._lock:
            before = self._connection.pause
            self._connection.shown(frame, time.monotonic())
            # What was put off because the page was silent need not wait any longer.
            self._not_before -= max(before - self._connection.pause, 0.0)
            waiting = self._timer is not None
        if waiting:
            self.request()

    def flush(self) -> None:
        """Send a frame now, on this thread, and return when it is sent."""
        with self._sending:
            if self._closed or self.sending_here:
                return
            with self._lock:
                # What was asked for until now, this frame answers.
                if self._timer is not None:
                    self._timer.cancel()
                    self._timer = None
            self._number += 1
            order = FrameOrder(self._number, self._connection.budget)
            cost = FrameCost(0)
            begun = time.thread_time()
            self._sender = threading.get_ident()
            try:
                cost = self._send(order)
            finally:
                self._sender = None
                seconds = max(time.thread_time() - begun, cost.locked) + self._beside
                with self._lock:
                    now = time.monotonic()
                    self._connection.sent(order.number, cost.size, now)
                    self._not_before = now + max(self._connection.pause, seconds / self._cost_share)

    def beside_frames(self, action: Callable[[], None]) -> None:
        """Do something between two frames, never during one."""
        with self._sending:
            if not self._closed and not self.sending_here:
                action()

    def close(self) -> None:
        """Send no more."""
        with self._lock:
            self._closed = True
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def _fire(self) -> None:
        # The timer stays pending until the frame before it is sent, so that requests meanwhile
        # do not queue up behind it.
        with self._sending:
            with self._lock:
                if threading.current_thread() is not self._timer:
                    return
                self._timer = None
            self.flush()
