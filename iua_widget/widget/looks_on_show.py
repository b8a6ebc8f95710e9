"""Which look of a history a widget shows, and which it compares with it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from iua_widget.errors import IUAError
from iua_widget.history.history import History
from iua_widget.history.look import Look, same_layers
from iua_widget.iua import IUA, iua_of
from iua_widget.options import CountOptions
from iua_widget.reading.comparison import Comparison
from iua_widget.reading.recount import Recount
from iua_widget.reading.results import Reading
from iua_widget.run.run import Run
from iua_widget.tolerances import Scale, Tolerances
from iua_widget.widget.compared_with import ComparedWith
from iua_widget.widget.comparison_snapshot import ResultBefore
from iua_widget.widget.history_snapshot import HistorySnapshots
from iua_widget.widget.look_snapshot import dead_in_look
from iua_widget.widget.partly_kept import PartlyKept


@dataclass(frozen=True, slots=True)
class ShownLook:
    """The look on show.

    Attributes
    ----------
    look : Look or None
        None before the first.
    iua : IUA
        All of it, where it is kept whole; else without a layer.
    partly : PartlyKept or None
        The look, where not all counts of it are kept.
    """

    look: Look | None
    iua: IUA
    partly: PartlyKept | None = None

    @property
    def whole(self) -> bool:
        """Whether there is a look, and all counts of it are kept."""
        return self.look is not None and self.partly is None


class LookBefore:
    """A look with which another is compared, where not all counts of both are kept.

    Parameters
    ----------
    look : Look
    after : Look or None
        The one on show.
    history : History
    name : str
        What the page calls it.
    dead_at : callable
        Gives the share of probes on which a dead unit is inactive, as it is on show.
    """

    def __init__(
        self,
        look: Look,
        after: Look | None,
        history: History,
        name: str,
        dead_at: Callable[[], float],
    ) -> None:
        self.look, self.history, self.name, self._dead_at = look, history, name, dead_at
        _, self._alike = ((), ()) if after is None else same_layers(look, after)
        self._after = after

    def info(self, _after: Run) -> dict[str, Any]:
        """What the page says of the comparison."""
        kept, refused = self.history.dead_at, ""
        if kept != self._dead_at():
            refused = f"over training, what is dead is kept for {100 * kept:g} % of the probes."
        return {"with": self.name, "probes": self.look.inputs, "refused": refused}

    def read(
        self,
        _at: Tolerances,
        *,
        scales: Sequence[Scale] = (),  # noqa: ARG002  (of units nothing is kept)
        recount: Recount | None = None,  # noqa: ARG002
    ) -> ResultBefore:
        """What the page needs of it: of layers that have the same units in both."""
        names = [] if self._after is None else [self._after.layers[place] for place in self._alike]
        layers = {name: dead_in_look(self.look.layer(name)) for name in names}
        return ResultBefore(self.history.stops.values, layers)

    def reading(self, _after: Run, _at: Tolerances) -> Reading | None:
        """Of its units nothing can be read."""
        return None

    def comparison(self, _after: Run, _at: Tolerances) -> Comparison:
        """Refused: an IUAError."""
        message = (
            f"of {self.name}, or of the look on show, not all counts are kept: w.table() tells "
            "what died and revived; a larger keep= keeps more."
        )
        raise IUAError(message)


class LooksOnShow:
    """Finds the look on show in a history that grows, and is thinned.

    Parameters
    ----------
    history : History

    Attributes
    ----------
    snapshots : HistorySnapshots
        Of it, for the page.
    shown : ShownLook
        The look on show.
    """

    def __init__(self, history: History) -> None:
        self.history = history
        self.snapshots = HistorySnapshots(history)
        self._nothing = iua_of(
            Run(CountOptions(tolerances=history.tolerances, stops=history.stops.values))
        )
        self._lock = threading.Lock()
        self.shown = ShownLook(None, self._nothing)

    @property
    def steps(self) -> list[int]:
        """Those of the looks that are kept."""
        with self.history.lock:
            return self.history.steps

    def show(self, step: int | None) -> ShownLook:
        """Show the look at a step, or that nearest to it that is kept; None for the newest."""
        history = self.history
        with self._lock:
            with history.lock:
                looks = history.looks
                if not looks:
                    look = None
                elif step is None:
                    look = looks[-1]
                else:
                    look = min(looks, key=lambda one: abs(one.step - step))
                run = None if look is None else history.whole.get(look.step)
            if self.shown.look is not look or self.shown.whole != (run is not None):
                if run is not None:
                    self.shown = ShownLook(look, iua_of(run))
                else:
                    partly = None if look is None else PartlyKept.of(look, history)
                    self.shown = ShownLook(look, self._nothing, partly)
            return self.shown

    @property
    def newest_whole(self) -> tuple[int, IUA] | None:
        """The look on show, or else the newest of those that are kept whole, and its step."""
        with self.history.lock:
            whole = dict(self.history.whole)
        if self.shown.look is not None and self.shown.whole:
            return self.shown.look.step, self.shown.iua
        return (max(whole), iua_of(whole[max(whole)])) if whole else None

    def read_from_history(
        self, compared: ComparedWith | LookBefore | None, tolerances: Tolerances
    ) -> bool:
        """Whether the table is what the history tells: of counts there are not all.

        Where there are, the history tells what changed, if it does at these tolerances.
        """
        can = not tolerances.per_unit and tolerances.dead_at == self.history.dead_at
        return not self.shown.whole or (isinstance(compared, LookBefore) and can)

    def before(self, step: int, dead_at: Callable[[], float]) -> ComparedWith | LookBefore:
        """The look at a step, to compare with that on show: whole, where both are.

        `dead_at` is as `LookBefore` takes it.
        """
        name = f"step {step:,}"
        with self.history.lock:
            look, run = self.history.look(step), self.history.whole.get(step)
        if run is not None and self.shown.whole:
            return ComparedWith(iua_of(run), name)
        return LookBefore(look, self.shown.look, self.history, name, dead_at)

    def not_whole(self) -> IUAError:
        """The error for a reader of counts that are not kept."""
        with self.history.lock:
            whole = sorted(self.history.whole)
        look = self.shown.look
        if look is None:
            return IUAError("no look has been made yet: there is nothing to read.")
        near = sorted(sorted(whole, key=lambda step: abs(step - look.step))[:3])
        those = f"at steps {', '.join(map(str, near))} they are" if near else "nowhere are they"
        return IUAError(
            f"of the look at step {look.step} not all counts are kept ({those}): set w.look to one "
            "of which they are. w.table() tells what is kept; a larger keep= keeps more."
        )
