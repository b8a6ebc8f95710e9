"""`History`: all looks at one model, within a budget of memory."""

from __future__ import annotations

import bisect
import warnings
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Final

from iua_widget.common.amounts import format_bytes
from iua_widget.common.turn_lock import TurnLock
from iua_widget.errors import IUAError, IUAWarning, ToleranceError
from iua_widget.history.alarm_event import AlarmEvent
from iua_widget.history.history_table import history_table
from iua_widget.history.look import Look
from iua_widget.history.look_figures import LookFigures, check_kept, look_figures
from iua_widget.memory.plan import fixed_bytes
from iua_widget.run.run import Run
from iua_widget.tolerances import Stops, Tolerances

if TYPE_CHECKING:
    import pandas as pd

_WHOLE_SHARE: Final = 8
"""Looks that are kept whole take this part of the budget at the most."""
_DROPPED_AT_ONCE: Final = 64
"""Where looks must be dropped, one of so many is: to choose takes longer the more there are."""


class History:
    """Looks at one model, each at all stops, and some of them whole.

    Where the budget does not do, looks are dropped where they are closest together, the older
    first, so that what is left is spread over all of training. The first, the last, and those of
    an event stay.

    Parameters
    ----------
    stops : Stops
    tolerances : Tolerances
        Those that are meant where none are named; for their `dead_at` it is kept what is dead.
    budget : int
        Bytes for all of it. Looks that are kept whole have an eighth.

    Attributes
    ----------
    looks : list of Look
        In the order of their steps.
    whole : dict of int to Run
        By step: looks that are kept whole.
    events : list of AlarmEvent
        What alarms told, in the order of their steps.
    notes : list of str
        Of the newest look: what its reader should know beside the figures.
    made : int
        Looks made in all, but for those that were replaced.
    nbytes : int
        Bytes that the looks take, without those that are kept whole.
    version : int
        Goes up with each change.
    on_change : list of callable
        Called, with nothing, after each change, on the thread that made it.
    lock : TurnLock
        Taken while it changes: take it to read several of these of one moment.

    Raises
    ------
    ToleranceError
        If every unit has a threshold of its own at these tolerances.

    Examples
    --------
    >>> import numpy as np
    >>> from iua_widget.tally.tally import Tally
    >>> stops, history = Stops([0.5]), History(Stops([0.5]), Tolerances(), 2**20)
    >>> for step, values in enumerate([[[0.0, 1.0, 0.0]], [[0.0, 0.0, 2.0]]]):
    ...     tally = Tally(stops, (3,))
    ...     tally.add(tally.classify(np.array(values)))
    ...     history.add(Look.of(step, {"relu": tally}, stops, history.tolerances))
    >>> history.table()[["step", "dead units", "newly dead", "revived"]]
       step  dead units  newly dead  revived
    0     0           2        <NA>     <NA>
    1     1           2           1        1
    """

    def __init__(self, stops: Stops, tolerances: Tolerances, budget: int) -> None:
        check_kept(tolerances)
        self.stops = stops
        self.tolerances = tolerances
        self.budget = budget
        self.looks: list[Look] = []
        self.whole: dict[int, Run] = {}
        self._whole_bytes: dict[int, int] = {}
        self.events: list[AlarmEvent] = []
        self.notes: list[str] = []
        self.made = self.nbytes = 0
        self.version = 0
        self.on_change: list[Callable[[], None]] = []
        self.lock = TurnLock()

    @property
    def steps(self) -> list[int]:
        """The steps of the looks that are kept."""
        return [look.step for look in self.looks]

    @property
    def dead_at(self) -> float:
        """For which it is kept what is dead."""
        return self.tolerances.dead_at

    @property
    def layers(self) -> list[str]:
        """The layers of the newest look, in the order of the network, then others of older ones."""
        indices = {id(look.index): look.index for look in reversed(self.looks)}.values()
        return list(dict.fromkeys(layer for index in indices for layer in index.numbers))

    @property
    def dropped(self) -> int:
        """Looks that were dropped to stay within the budget."""
        return self.made - len(self.looks)

    @property
    def dropped_note(self) -> str:
        """What was dropped, for the reader of the figures; empty where nothing was."""
        if not self.dropped:
            return ""
        return (
            f"{self.dropped:,} of {self.made:,} looks were dropped, the older first, to stay "
            f"within keep={format_bytes(self.budget)!r}: newly dead and revived are since the look "
            "before that is kept."
        )

    def add(self, look: Look, run: Run | None = None, notes: Iterable[str] = ()) -> None:
        """Add a look, in the place of one at the same step.

        Parameters
        ----------
        look : Look
        run : Run, optional
            The whole of it, which is this history's from now on, if there is room for it.
        notes : iterable of str
        """
        with self.lock:
            self._forget(look.step)
            place = self._place_for(look.step)
            if place:
                look = look.sharing(self.looks[place - 1].index)
            self.looks.insert(place, look)
            self.made += 1
            self.nbytes += look.nbytes
            self.notes = list(notes)
            if run is not None and self.has_room_for(run):
                self.keep_whole(look.step, run)
            self._thin()
        self.changed()

    def _forget(self, step: int) -> None:
        """Make room for another look at a step."""
        place = self._place_for(step)
        if place < len(self.looks) and self.looks[place].step == step:
            self._drop(step)
            self.events = [event for event in self.events if event.step != step]
            self.made -= 1

    def take(self, other: History) -> None:
        """Go on with the looks of another history in place of these, which is not used any more.

        Parameters
        ----------
        other : History
            Counted at the same stops, for the same `dead_at`.
        """
        with self.lock:
            self.looks, self.whole, self.events = other.looks, other.whole, other.events
            self.notes, self.made, self.nbytes = other.notes, other.made, other.nbytes
            self._whole_bytes = other._whole_bytes
            self._thin()
        self.changed()

    def add_events(self, events: Iterable[AlarmEvent]) -> None:
        """Keep what alarms told at a look.

        Parameters
        ----------
        events : iterable of AlarmEvent
            The looks at their steps stay from now on.
        """
        with self.lock:
            self.events = sorted([*self.events, *events], key=lambda event: event.step)
        self.changed()

    def has_room_for(self, run: Run) -> bool:
        """Whether a look may be kept whole, be it in the place of others.

        Parameters
        ----------
        run : Run

        Returns
        -------
        bool
        """
        return _bytes_of(run) <= self.budget // _WHOLE_SHARE

    def keep_whole(self, step: int, run: Run) -> None:
        """Keep the whole of the look at a step.

        Parameters
        ----------
        step : int
        run : Run
            Which is this history's from now on.
        """
        is_last = step > max(self.whole, default=-1)
        self.whole[step], self._whole_bytes[step] = run, _bytes_of(run)
        if not is_last:
            self.whole = dict(sorted(self.whole.items()))

    def changed(self) -> None:
        """Tell that something has changed; who fails at it is warned of, and disturbs nobody.

        Warns
        -----
        IUAWarning
            What went wrong.
        """
        with self.lock:
            self.version += 1
            told = list(self.on_change)
        for tell in told:
            try:
                tell()
            except Exception as error:  # noqa: BLE001  (training does not end by it)
                message = f"what follows the history failed: {type(error).__name__}: {error}"
                warnings.warn(message, IUAWarning, stacklevel=2)

    def look(self, step: int) -> Look:
        """The look at a step.

        Parameters
        ----------
        step : int

        Returns
        -------
        Look

        Raises
        ------
        IUAError
            If there is none: the message names those next to it.
        """
        return self.looks[self._place(step)]

    def before(self, step: int) -> Look | None:
        """The look before that at a step.

        Parameters
        ----------
        step : int

        Returns
        -------
        Look or None
            None before the first.

        Raises
        ------
        IUAError
            If there is no look at that step.
        """
        place = self._place(step)
        return self.looks[place - 1] if place else None

    def figures(
        self, step: int, tolerances: Tolerances | None = None, since: int | None = None
    ) -> LookFigures:
        """The figures of a look, with what changed since the look before.

        Parameters
        ----------
        step : int
        tolerances : Tolerances, optional
            The history's where left out.
        since : int, optional
            The step of the look to compare with, in place of the one before.

        Returns
        -------
        LookFigures

        Raises
        ------
        IUAError
            If there is no such look.
        ToleranceError
            If it keeps too little for these tolerances: see `look_figures`.
        """
        tolerances = self._checked(tolerances)
        with self.lock:
            look = self.look(step)
            before = self.before(step) if since is None else self.look(since)
        return look_figures(look, self.stops, tolerances, before)

    def table(
        self,
        tolerances: Tolerances | None = None,
        layers: str | Iterable[str] | None = None,
    ) -> pd.DataFrame:
        """One row a step and layer: see `IUAMonitor.history`.

        Parameters
        ----------
        tolerances : Tolerances, optional
            The history's where left out.
        layers : str or iterable of str, optional
            Names of layers, or globs; all by default.

        Returns
        -------
        pandas.DataFrame

        Raises
        ------
        ToleranceError
            If it keeps too little for these tolerances: see `look_figures`.
        LayerSelectionError
            If a name or glob of `layers` matches no layer.
        """
        tolerances = self._checked(tolerances)
        with self.lock:
            looks = list(self.looks) or [Look.of(0, {}, self.stops, tolerances)]
        pairs = zip([None, *looks], looks, strict=False)
        return history_table(
            (look_figures(look, self.stops, tolerances, before) for before, look in pairs), layers
        )

    def _checked(self, tolerances: Tolerances | None) -> Tolerances:
        if tolerances is None:
            return self.tolerances
        if tolerances.dead_at != self.dead_at:
            message = (
                f"the history keeps what is dead for dead_at={self.dead_at:g} only; got "
                f"dead_at={tolerances.dead_at:g}. Leave it out, or read a look that is kept whole: "
                f"monitor.iua(step).at(dead_at={tolerances.dead_at:g})."
            )
            raise ToleranceError(message)
        return tolerances

    def _place_for(self, step: int) -> int:
        """Where a look at this step is, or would be."""
        return bisect.bisect_left(self.looks, step, key=lambda look: look.step)

    def _place(self, step: int) -> int:
        place = self._place_for(step)
        if place < len(self.looks) and self.looks[place].step == step:
            return place
        raise no_look(step, self.steps)

    def _drop(self, step: int) -> None:
        self.nbytes -= self.looks.pop(self._place(step)).nbytes
        self._drop_whole(step)

    def _drop_whole(self, step: int) -> None:
        self.whole.pop(step, None)
        self._whole_bytes.pop(step, None)

    def _thin(self) -> None:
        """Drop looks until the rest is within the budget, and of very many some more at once."""
        staying = {event.step for event in self.events}
        room = self.budget // _WHOLE_SHARE
        whole = sum(self._whole_bytes.values())
        most = len(self.whole) - (len(self.whole) // _DROPPED_AT_ONCE if whole > room else 0)
        while len(self.whole) > 1 and (whole > room or len(self.whole) > most):
            steps = list(self.whole)
            for step in _droppable(steps, staying) or steps[:1]:
                if whole <= room and len(self.whole) <= most:
                    break
                whole -= self._whole_bytes[step]
                self._drop_whole(step)
        if self.nbytes + whole <= self.budget:
            return
        most = len(self.looks) - len(self.looks) // _DROPPED_AT_ONCE
        while len(self.looks) > 2:  # noqa: PLR2004
            for step in _droppable(self.steps, staying):
                if self.nbytes + whole <= self.budget and len(self.looks) <= most:
                    return
                whole -= self._whole_bytes.get(step, 0)
                self._drop(step)


def _bytes_of(run: Run) -> int:
    """What a look takes that is kept whole, its objects included."""
    return run.nbytes + len(run.tallies) * fixed_bytes(len(run.options.grid))


def _droppable(steps: list[int], staying: Collection[int]) -> list[int]:
    """Steps in the order in which to drop them, no two side by side, without the first and last.

    What is closest to those beside it comes first, the older of equals; what is to stay only where
    there is nothing else.

    Examples
    --------
    >>> _droppable([0, 100, 200, 300, 500, 600], staying=[])
    [100, 300]
    >>> _droppable([0, 100, 200, 300, 500, 600], staying=[100])
    [200, 500]
    """
    gaps = sorted(
        (after - before, place, step)
        for place, (before, step, after) in enumerate(
            zip(steps, steps[1:], steps[2:], strict=False)
        )
    )
    free = [one for one in gaps if one[2] not in staying] or gaps
    chosen: dict[int, int] = {}
    for _, place, step in free:
        if not {place - 1, place + 1} & chosen.keys():
            chosen[place] = step
    return list(chosen.values())


def no_look(step: int | None, steps: list[int]) -> IUAError:
    """The error for a look that is not there, with those next to it."""
    if not steps or step is None:
        return IUAError("there is no look: none was made yet.")
    near = sorted(steps, key=lambda one: abs(one - step))[:3]
    *others, last = map(str, sorted(near))
    nearest = f"{', '.join(others)} and {last}" if others else last
    return IUAError(
        f"there is no look at step {step!r}. Those next to it are at {nearest} "
        f"({len(steps)} are kept)."
    )
