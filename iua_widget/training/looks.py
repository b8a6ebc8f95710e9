"""`Looks`: counts a model at steps of its training, and keeps what was counted in a history."""

from __future__ import annotations

import warnings
from typing import Literal, get_args

from iua_widget.common.cell_context import outside_transforms
from iua_widget.common.interrupts import interrupts_held
from iua_widget.common.words import did_you_mean, listed
from iua_widget.errors import IUAError, IUAWarning, NoBatchError, NoProbesError, ProducerError
from iua_widget.history.history import History, no_look
from iua_widget.history.look import Look
from iua_widget.run.counter import Counter
from iua_widget.run.notes import all_notes
from iua_widget.run.passing_counter import PassingCounter
from iua_widget.run.run import Run
from iua_widget.run.whole_copy import whole_copy
from iua_widget.scale.all_reduce import all_reduced
from iua_widget.scale.ranks import Ranks
from iua_widget.scale.telling import failures_told

LookOn = Literal["probes", "train"]
"""What is looked at: held-out probes, or the batches of training as they pass."""


class Looks:
    """Looks at a model, each kept in a history; what goes wrong in one is warned of and noted.

    Parameters
    ----------
    history : History
    counter : Counter or PassingCounter or None
        What counts; None where there is no model.
    ranks : Ranks, optional
        Those that look together, at the same steps: all keep what they have counted in all.
    note : str
        On what this rank looks at, for each look.

    Attributes
    ----------
    failures : dict of str to list of int
        What went wrong, and at which steps.
    closed : str
        Why there is nothing to look at, where there is no model.
    """

    def __init__(
        self,
        history: History,
        counter: Counter | PassingCounter | None,
        ranks: Ranks | None = None,
        note: str = "",
    ) -> None:
        self._history = history
        self._counter = counter
        self._ranks, self._note = ranks, note
        self._newest: tuple[int, Run] | None = None
        self.failures: dict[str, list[int]] = {}
        self.closed = (
            "the monitor was loaded to be read: to look, give the model, "
            "IUAMonitor.load(path, model, probes)."
        )

    @property
    def notes(self) -> list[str]:
        """What went wrong, in a sentence each."""
        return [f"{_at(steps)} failed: {message}" for message, steps in self.all_failures]

    @property
    def all_failures(self) -> list[tuple[str, list[int]]]:
        """What went wrong and at which steps, whoever looks meanwhile."""
        return list(self.failures.items())

    def check_open(self) -> None:
        """Check that there is a model to look at.

        Raises
        ------
        IUAError
            If there is none.
        """
        if self._counter is None:
            raise IUAError(self.closed)

    def look(self, step: int, stacklevel: int) -> Run | None:
        """Look, and keep it; what was counted, or None, with a warning, where that fails.

        Ctrl-C leaves the history as it was.
        """
        counter, history = self._counter, self._history
        if counter is None:
            return None
        with history.lock:  # while it is being copied it is not counted into
            self._newest = None
        try:
            with outside_transforms():
                run = self._counted(counter, step)
            look = Look.of(step, run.tallies, history.stops, history.tolerances, run.probes)
            whole = whole_copy(run) if history.has_room_for(run) else None
            notes = all_notes(run, history.tolerances)
        except Exception as error:  # noqa: BLE001  (the model's or the loader's: it can be any)
            self.failed(step, error, stacklevel + 1)
            return None
        with interrupts_held():
            history.add(look, whole, notes)
            if self._ranks is not None or isinstance(counter, Counter):
                self._newest = step, run  # a PassingCounter's own is cleared by the next batch
        return run

    def _counted(self, counter: Counter | PassingCounter, step: int) -> Run:
        """What this process has counted, or all ranks together."""
        ranks = self._ranks
        if ranks is None:
            return counter.count()
        with failures_told(ranks):
            try:
                run = counter.count()
            except (NoBatchError, NoProbesError):
                run = Run(counter.options)  # others have batches
        if self._note:
            run.source_notes.append(self._note)
        whole = all_reduced(run, ranks, step)
        if not whole.probes:
            message = f"no rank had a batch to be counted at step {step:,}."
            raise NoBatchError(message)
        return whole

    def failed(self, step: int, error: Exception, stacklevel: int) -> None:
        """Note what went wrong, and warn of it where that is new."""
        is_ours = isinstance(error, IUAError)
        message = str(error) if is_ours else f"{type(error).__name__}: {error}"
        is_new = message not in self.failures
        self.failures.setdefault(message, []).append(step)
        if is_new:
            warnings.warn(
                f"The look at step {step:,} failed, and training goes on: {message}",
                IUAWarning,
                stacklevel=stacklevel + 1,
            )

    def whole(self, step: int | None) -> Run:
        """The whole of a look, the newest where no step is given.

        Raises
        ------
        IUAError
            If there is no such look, or it is not kept whole: the message names those that are.
        """
        history = self._history
        with history.lock:
            if step is None and history.looks:
                step = history.looks[-1].step
            if step is None or step not in history.steps:
                raise no_look(step, history.steps)
            if step in history.whole:
                return history.whole[step]
            if self._newest is not None and self._newest[0] == step:
                return whole_copy(self._newest[1])
            whole = sorted(history.whole, key=lambda one: abs(one - step))
        those = listed([str(one) for one in sorted(whole[:3])])
        which = f"Those next to it that are: {those}" if whole else "None is"
        message = (
            f"the look at step {step} is not kept whole, for which there is not enough room. "
            f"{which}. What is kept of it is in monitor.history(); a larger keep= keeps more."
        )
        raise IUAError(message)

    def forget_newest(self) -> None:
        """Take note that the history is another's now."""
        self._newest = None

    def close(self) -> None:
        """Let go of the model."""
        if isinstance(self._counter, PassingCounter):
            self._counter.close()
        self._counter = self._newest = None
        self.closed = "the monitor was closed: make another one to look at the model again."


def checked_on(on: object, probes: object, forward: object) -> LookOn:
    """What is looked at, if the other options go with it.

    Raises
    ------
    ProducerError
        Otherwise.
    """
    if on == "train":
        for name, value in (("probes", probes), ("forward", forward)):
            if value is not None:
                message = (
                    f"with on='train' the batches of training are counted as they pass: leave "
                    f"{name} out, or look at probes with on='probes'."
                )
                raise ProducerError(message)
        return "train"
    if on != "probes":
        hint = did_you_mean(on, get_args(LookOn))
        message = f"on must be 'probes' or 'train'; got {on!r}.{hint}"
        raise ProducerError(message)
    if probes is None:
        message = (
            "probes must be given: held-out inputs, the same at each look, such as "
            "IUAMonitor(model, loader). on='train' counts the batches of training in their place."
        )
        raise ProducerError(message)
    return "probes"


def _at(steps: list[int]) -> str:
    if len(steps) == 1:
        return f"The look at step {steps[0]:,}"
    return f"{len(steps):,} looks, at steps {steps[0]:,} to {steps[-1]:,},"
