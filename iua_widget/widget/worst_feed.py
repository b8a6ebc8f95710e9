"""Keeps the page's list of the worst units up to date, at a pace of its own beside the frames."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Sequence
from typing import Final

from iua_widget.history.look import Look
from iua_widget.reading.recount import Recount
from iua_widget.run.run import Run
from iua_widget.tolerances import Tolerances
from iua_widget.widget.pacing import FrameCost, FrameOrder, FramePacer
from iua_widget.widget.partly_kept import PartlyKept
from iua_widget.widget.worst_snapshot import is_ranked_at, ranked_at, worst_snapshot

WORST_SHARE: Final = 0.01
"""Of the time of a run, at the most, that ranking may take."""
_SETTLED: Final = 0.3
"""Seconds for which tolerances stay as they are before units are ranked anew at them."""

_MOST_MOVED: Final = 2**26
"""Bytes of counts that are moved from a device while it counts."""


class WorstFeed:
    """Ranks the units of what a widget shows, and sends the list.

    A list is ranked at every stop of atol and of rtol, so that the page answers where one slider
    is moved; where another is moved then, it is ranked anew as soon as that rests.

    Parameters
    ----------
    on_show : callable
        Returns what is shown, and at which tolerances.
    send : callable
        Given the list's snapshot; it is not called twice at the same time.
    partly : callable
        Returns the look on show, where not all counts of it are kept.
    cost_share, beside
        See `FramePacer`.
    """

    def __init__(
        self,
        on_show: Callable[[], tuple[Run, Tolerances]],
        send: Callable[[bytes], None],
        *,
        partly: Callable[[], PartlyKept | None] = lambda: None,
        cost_share: float = WORST_SHARE,
        beside: float = 0.0,
    ) -> None:
        self._on_show, self._send, self._partly = on_show, send, partly
        self._look: Look | None = None
        self._pacer = FramePacer(self._rank, cost_share=cost_share, beside=beside)
        self._several: Sequence[Tolerances] = ()
        self._ranked: tuple[weakref.ref[Run], int, Recount | None] | None = None
        self._number = 0
        self._settling: threading.Timer | None = None

    def counted(self) -> None:
        """More was counted: rank again when there is time for it.

        Not before the run is paused or at its end where many counts would have to be moved from a
        device, and kept on the host besides.
        """
        tallies = self._on_show()[0].tallies.values()
        if sum(tally.nbytes for tally in tallies if tally.store.device is not None) <= _MOST_MOVED:
            self._pacer.request()

    def now(self) -> None:
        """Rank at once, on a thread of its own: all is counted, or somebody waits."""
        self._pacer.request(urgent=True)

    def tolerances_changed(self) -> None:
        """Rank at the tolerances on show once they rest, where the page cannot answer for them."""
        if self._settling is not None:
            self._settling.cancel()
        if is_ranked_at(self._several, self._on_show()[1]):
            return
        self._settling = threading.Timer(_SETTLED, self.now)
        self._settling.daemon = True
        self._settling.start()

    def shown(self) -> None:
        """Take note that the page shows what was sent before: see `FramePacer.shown`."""
        self._pacer.shown(self._number)

    def flush(self) -> None:
        """Rank now, on this thread."""
        self._pacer.flush()

    def close(self) -> None:
        """Send no more."""
        if self._settling is not None:
            self._settling.cancel()
        self._pacer.close()

    def _rank(self, order: FrameOrder) -> FrameCost:
        partly = self._partly()
        if partly is not None:
            return self._rank_look(order, partly)
        self._look = None
        run, tolerances = self._on_show()
        with run.lock:
            begun = time.perf_counter()
            same = self._is_of(run) and is_ranked_at(self._several, tolerances)
            if same or not run.probes:
                return FrameCost(0)
            several = ranked_at(run.tallies, run.options.grid, tolerances)
            snapshot = worst_snapshot(run.tallies, several, run.recount)
            counted = weakref.ref(run), run.probes, run.recount
            locked = time.perf_counter() - begun
        if self._on_show()[0] is not run:  # begun anew meanwhile
            return FrameCost(0, locked)
        self._several, self._ranked, self._number = several, counted, order.number
        self._send(snapshot)
        self.tolerances_changed()  # meanwhile, to what only the list before answered for
        return FrameCost(len(snapshot), locked)

    def _rank_look(self, order: FrameOrder, partly: PartlyKept) -> FrameCost:
        tolerances = self._on_show()[1]
        if partly.look is self._look and is_ranked_at(self._several, partly.at(tolerances)):
            return FrameCost(0)
        several = partly.ranked_at(tolerances)
        snapshot = partly.worst(several)
        self._several, self._look, self._ranked = several, partly.look, None
        self._number = order.number
        self._send(snapshot)
        return FrameCost(len(snapshot))

    def _is_of(self, run: Run) -> bool:
        """Whether the last list is of all that is counted."""
        if self._ranked is None:
            return False
        ranked, probes, recount = self._ranked
        return ranked() is run and probes == run.probes and recount is run.recount
