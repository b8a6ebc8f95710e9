"""Estimates the connection's speed from the frames sent and acknowledged."""

from __future__ import annotations

from collections import deque
from typing import Final

LARGEST_FRAME: Final = 8 * 2**20
SMALLEST_FRAME: Final = 2**17

_SHORTEST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 10.0
_FREE: Final = 4
"""A page gets the next frame after so many times what it took to show the last: it may have to
share its cores with the count."""
_LONGEST_FREE: Final = 2.0
_QUICK: Final = 0.5
"""Seconds a frame may take from here to the eye before frames get smaller."""
_RATES: Final = (2.0**16, 2.0**26)
_FIRST_RATE: Final = 2.0**24
_UNANSWERED_BYTES: Final = 2**26
"""Sent to a page that never answers before the pauses grow without bound: the notebook's server
keeps what it cannot deliver."""
_UNANSWERED_FREELY: Final = 3
_REMEMBERED: Final = 8


class Connection:
    """How much to send, and how soon again: less and later, the slower the page takes it in.

    Nothing waits for an answer: see ``docs/page-traffic.md``. Times are in seconds, on any clock
    that does not go back.

    Examples
    --------
    >>> page = Connection()
    >>> page.sent(1, size=4_000_000, now=0.0)
    >>> page.pause
    0.476837158203125
    >>> page.shown(1, now=4.0)  # a megabyte a second
    >>> page.budget
    500000
    """

    def __init__(self) -> None:
        self._rate = _FIRST_RATE
        self._sent: deque[tuple[int, int, float]] = deque(maxlen=_REMEMBERED)
        self._delay = 0.0
        self._unanswered = 0
        self._unanswered_bytes = 0

    @property
    def budget(self) -> int:
        """Bytes the units of the next frame may take."""
        size = int(self._rate * _QUICK) >> self._silence
        return min(max(size, SMALLEST_FRAME), LARGEST_FRAME)

    @property
    def pause(self) -> float:
        """Seconds to leave between the last frame and the next."""
        size = self._sent[-1][1] if self._sent else 0
        # Half of the connection is left to others.
        free = min(_FREE * self._delay, _LONGEST_FREE)
        pause = max(_SHORTEST_PAUSE, free, 2 * size / self._rate)
        if self._silence:
            patient = self._unanswered_bytes <= _UNANSWERED_BYTES
            longest = max(_LONGEST_PAUSE, pause) if patient else float("inf")
            pause = min(pause * 2.0**self._silence, longest)
        return pause

    @property
    def _silence(self) -> int:
        return min(max(self._unanswered - _UNANSWERED_FREELY, 0), 32)

    def sent(self, frame: int, size: int, now: float) -> None:
        """Note a frame on its way.

        Parameters
        ----------
        frame : int
            Its number; numbers grow.
        size : int
            In bytes.
        now : float
        """
        self._sent.append((frame, size, now))
        self._unanswered += 1
        self._unanswered_bytes += size

    def shown(self, frame: int, now: float) -> None:
        """Note that the page has shown a frame, or says so again.

        Parameters
        ----------
        frame : int
        now : float
        """
        self._unanswered = sum(number > frame for number, _, _ in self._sent)
        self._unanswered_bytes = sum(size for number, size, _ in self._sent if number > frame)
        for number, size, then in self._sent:
            if number == frame:
                self._learn(size, max(now - then, 1e-3))
        while self._sent and self._sent[0][0] <= frame and len(self._sent) > 1:
            self._sent.popleft()

    def _learn(self, size: int, delay: float) -> None:
        self._delay = delay
        # A small frame says little of a fast connection: most of its way is waiting in turn.
        rate = size / delay if delay > _QUICK else max(1.5 * self._rate, size / delay)
        self._rate = min(max(rate, _RATES[0]), _RATES[1])
