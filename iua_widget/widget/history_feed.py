"""Keeps the page's timeline, and the lives on its unit card, up to date at a pace of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from iua_widget.tolerances import Tolerances
from iua_widget.widget.history_snapshot import HistorySnapshots
from iua_widget.widget.life_snapshot import life_snapshot
from iua_widget.widget.pacing import FrameCost, FrameOrder, FramePacer
from iua_widget.widget.traits import WidgetTraits, guarded

LOOK_SHARE: Final = 0.003
"""Of the time of training that the frames of looks may take. All shares together, and the seconds
of the kernel's own threads, are less than a hundredth."""
WORST_OF_LOOK_SHARE: Final = 0.001
_HISTORY_SHARE: Final = 0.003
_LIFE_SHARE: Final = 0.001
BESIDE: Final = 0.003
"""Seconds that the kernel's own threads take to send something, and to hear that it was shown."""
_SETTLED: Final = 0.3
"""Seconds for which tolerances stay as they are before other columns are sent."""


class HistoryFeed:
    """Sends a history, and the lives of the units of the selected layer.

    Parameters
    ----------
    page : WidgetTraits
    snapshots : HistorySnapshots
        Of the history.
    run : callable
        Runs what is given to it where what holds in the cell holds, too.
    """

    def __init__(
        self,
        page: WidgetTraits,
        snapshots: HistorySnapshots,
        run: Callable[[Callable[[], None]], None],
    ) -> None:
        self._page, self._snapshots, self._run = page, snapshots, run
        self._timeline = FramePacer(self._send_history, cost_share=_HISTORY_SHARE, beside=BESIDE)
        self._lives = FramePacer(self._send_lives, cost_share=_LIFE_SHARE, beside=BESIDE)
        self._numbers = [0, 0]
        self._sent_for: Callable[[Tolerances], bool] = lambda _: True
        self._settling: threading.Timer | None = None

    def changed(self) -> None:
        """There are other looks: send them when there is time for it."""
        self._timeline.request()
        self._lives.request()

    def units_changed(self) -> None:
        """Another layer is selected, or other units."""
        self._lives.request(urgent=True)

    def tolerances_changed(self) -> None:
        """Send other columns once the tolerances rest, where the page cannot answer for them."""
        if self._settling is not None:
            self._settling.cancel()
        if self._sent_for(self._page.tolerances):
            return
        self._settling = threading.Timer(_SETTLED, lambda: self._timeline.request(urgent=True))
        self._settling.daemon = True
        self._settling.start()

    def shown(self) -> None:
        """Take note that the page shows what was sent before: see `FramePacer.shown`."""
        for pacer, number in zip((self._timeline, self._lives), self._numbers, strict=True):
            pacer.shown(number)

    def flush(self) -> None:
        """Send all there is, on this thread."""
        self._timeline.flush()
        self._lives.flush()

    def close(self) -> None:
        """Send no more."""
        if self._settling is not None:
            self._settling.cancel()
        self._timeline.close()
        self._lives.close()

    def _send_history(self, order: FrameOrder) -> FrameCost:
        tolerances = self._page.tolerances
        packed = self._snapshots.pack(tolerances, order.budget)
        self._sent_for = packed.answers
        self._numbers[0] = order.number
        self._set("_history", packed.data)
        return FrameCost(len(packed.data))

    def _send_lives(self, order: FrameOrder) -> FrameCost:
        page = self._page
        lives = life_snapshot(self._snapshots.history, page.layer, page.selected, order.budget)
        self._numbers[1] = order.number
        self._set("_life", lives)
        return FrameCost(len(lives))

    def _set(self, name: str, data: bytes) -> None:
        page = self._page
        self._run(lambda: guarded(page, lambda: page.set_trait(name, data)))
