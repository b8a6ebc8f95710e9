"""How often frames go to the browser: the newest only, and never so often that counting suffers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

_SHORTEST_INTERVAL: Final = 0.2
_COST_SHARE: Final = 0.03


class FramePacer:
    """Coalesces requests for a frame into calls of `send`, on a thread of its own.

    Between two frames lies at least 0.2 s, and so much that sending takes no more than 3 % of the
    time. An urgent request, for which a person is waiting, is served at once.

    Parameters
    ----------
    send : callable
        Builds and sends the newest frame. Never called twice at the same time.

    Examples
    --------
    >>> frames = []
    >>> pacer = FramePacer(lambda: frames.append("frame"))
    >>> for _ in range(1000):
    ...     pacer.request()
    >>> pacer.close()
    >>> len(frames) < 1000
    True
    """

    def __init__(self, send: Callable[[], None]) -> None:
        self._send = send
        self._lock = threading.Lock()
        self._sending = threading.RLock()
        self._timer: threading.Timer | None = None
        self._urgent = False
        self._not_before = 0.0
        self._closed = False
        self._sender: int | None = None

    @property
    def sending_here(self) -> bool:
        """Whether this thread is inside `send`: an observer of what a frame changed, say."""
        return self._sender == threading.get_ident()

    def request(self, *, urgent: bool = False) -> None:
        """Ask for a frame soon; asking again before it is sent changes nothing."""
        with self._lock:
            if self._closed or (self._timer is not None and (self._urgent or not urgent)):
                return
            if self._timer is not None:
                self._timer.cancel()
            delay = 0.0 if urgent else max(self._not_before - time.monotonic(), 0.0)
            self._urgent = urgent
            self._timer = threading.Timer(delay, self._fire)
            self._timer.daemon = True
            self._timer.start()

    def flush(self) -> None:
        """Send a frame now, on this thread, and return when it is sent."""
        with self._sending:
            begun = time.monotonic()
            if not self._closed and not self.sending_here:
                self._sender = threading.get_ident()
                try:
                    self._send()
                finally:
                    self._sender = None
            cost = time.monotonic() - begun
            self._not_before = time.monotonic() + max(_SHORTEST_INTERVAL, cost / _COST_SHARE)

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
