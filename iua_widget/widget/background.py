"""One run of a stream, in the background or not: start, pause, resume, stop, wait, progress."""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from typing import Literal
from weakref import WeakSet

from iua_widget.common.cell_context import CellContext
from iua_widget.common.forks import free_in_child, in_child
from iua_widget.errors import ProducerError

Status = Literal["idle", "running", "paused", "stopped", "done", "failed"]

_EXIT_PATIENCE = 5.0
_begun: WeakSet[BackgroundRun] = WeakSet()


@atexit.register
def _stop_all() -> None:
    """A thread cut off inside a library's native code would abort the interpreter's exit."""
    active = [run for run in _begun if run.active]
    for run in active:
        run.stop(wait=False)
    deadline = time.monotonic() + _EXIT_PATIENCE
    for run in active:
        run.wait(max(0.0, deadline - time.monotonic()))


@in_child
def _end_all() -> None:
    """The threads of these runs are another process's."""
    for run in list(_begun):
        run.leave_to_parent()


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come.

    Attributes
    ----------
    probes : int
        Counted so far.
    total : int or None
        To be counted, where known.
    elapsed : float
        Seconds spent running, pauses left out.
    before : int
        Counted before, by the run that this one continues.
    """

    probes: int
    total: int | None
    elapsed: float
    before: int = 0

    @property
    def rate(self) -> float | None:
        """Probes a second; None before the first."""
        return self.probes / self.elapsed if self.probes and self.elapsed > 0 else None

    @property
    def remaining(self) -> float | None:
        """Seconds left at this rate; None where the total or the rate is not known."""
        if self.total is None or self.rate is None:
            return None
        return max(self.total - self.before - self.probes, 0) / self.rate


class BackgroundRun:
    """Drives a generator of batches, one step at a time, between which it can be paused or ended.

    Parameters
    ----------
    open_steps : callable
        Gives the generator: each step counts one batch and yields its probes. It may return the
        status in which the run ends, "done" where it does not.
    total : callable, optional
        Gives the probes to come, where known.
    before : int
        Probes counted before, by the run that this one continues.
    on_step : callable, optional
        Called after each step, on the run's thread.
    on_status : callable, optional
        Called after each change of status, on the thread that changed it. The last call comes
        before `wait` returns.
    context : CellContext, optional
        What holds in the run, where it is on a thread of its own; by default what holds here.

    Attributes
    ----------
    error : Exception or None
        What ended a run that failed.

    Examples
    --------
    >>> run = BackgroundRun(lambda: (probes for probes in [32, 32]), total=lambda: 64)
    >>> run.start()
    >>> run.wait(), run.status, run.progress.probes
    (True, 'done', 64)
    """

    def __init__(
        self,
        open_steps: Callable[[], Generator[int, None, Status | None]],
        *,
        total: Callable[[], int | None] = lambda: None,
        before: int = 0,
        on_step: Callable[[], None] = lambda: None,
        on_status: Callable[[], None] = lambda: None,
        context: CellContext | None = None,
    ) -> None:
        self.error: Exception | None = None
        self._context = context or CellContext()
        self._open_steps = open_steps
        self._total, self._before = total, before
        self._on_step = on_step
        self._on_status = on_status
        self._changed = free_in_child(threading.Condition())
        self._status: Status = "idle"
        self._announced: Status = "idle"
        self._pause_wanted = False
        self._stop_wanted = False
        self._finished = free_in_child(threading.Event())
        self._thread: threading.Thread | None = None
        self._background = False
        self._probes = 0
        self._elapsed = 0.0
        self._running_since: float | None = None

    @property
    def status(self) -> Status:
        """Where the run stands."""
        return self._status

    @property
    def progress(self) -> Progress:
        """How far it has come."""
        with self._changed:
            since = self._running_since
            running = 0.0 if since is None else time.monotonic() - since
            return Progress(self._probes, self._total(), self._elapsed + running, self._before)

    @property
    def active(self) -> bool:
        """Whether it has begun and not ended."""
        return self._status in ("running", "paused")

    def start(self, *, background: bool = True, after: BackgroundRun | None = None) -> None:
        """Begin; only once.

        Parameters
        ----------
        background : bool
            On a thread of its own; otherwise this call returns when the run has ended.
        after : BackgroundRun, optional
            A run that must have ended first; waited for on the thread that runs.
        """
        if self._status != "idle" or self._stop_wanted:
            return
        _begun.add(self)
        self._background = background
        self._set_status("running")
        if background:
            self._thread = threading.Thread(
                target=self._context.run,
                args=(self._work, after),
                name="iua_widget run",
                daemon=True,
            )
            self._thread.start()
        else:
            self._thread = threading.current_thread()
            self._work(after)

    def pause(self, *, wait: bool = True) -> None:
        """Pause the run after the batch at hand.

        Parameters
        ----------
        wait : bool
            Whether to return only when it is paused.
        """
        self._want(pause=True)
        if wait:
            self._wait_for(lambda: self._announced != "running" or not self._pause_wanted)

    def resume(self, *, wait: bool = True) -> None:
        """Go on after a pause.

        Parameters
        ----------
        wait : bool
            Whether to return only when it goes on.
        """
        self._want(pause=False)
        if wait:
            self._wait_for(lambda: self._announced != "paused" or self._pause_wanted)

    def stop(self, *, wait: bool = True) -> None:
        """End the run after the batch at hand; what was counted stays.

        Parameters
        ----------
        wait : bool
            Whether to return only when it has ended.
        """
        self._want(stop=True)
        if wait:
            self._wait_for(lambda: self._announced not in ("running", "paused"))

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end of the run.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait at the most.

        Returns
        -------
        bool
            Whether it has ended.
        """
        here = threading.current_thread() is self._thread
        return self._finished.wait(0 if here else timeout)

    def leave_to_parent(self) -> None:
        """Be at an end in a process that was forked while this ran on another thread."""
        if self._thread is None or self._thread is threading.current_thread():
            return
        if self.active:
            self._status = "stopped"
        self._announced = self._status
        self._finished.set()

    def _work(self, after: BackgroundRun | None) -> None:
        end: Status = "failed"
        try:
            if after is not None:
                after.wait()
            with self._context.torch_modes(), closing(self._open_steps()) as steps:
                end = self._drive(steps)
        except Exception as error:  # noqa: BLE001  (it is shown in the widget, and kept)
            self.error = error
        except BaseException as error:
            if not self._background:
                end = "stopped"
                raise
            # What would end a program ends this run: nobody else hears of it on this thread.
            self.error = ProducerError(f"{type(error).__name__} ended the run: {error}.")
            self.error.__cause__ = error
        finally:
            try:
                self._set_status(end)
            finally:
                self._finished.set()

    def _drive(self, steps: Generator[int, None, Status | None]) -> Status:
        while self._may_go_on():
            try:
                probes = next(steps)
            except StopIteration as end:
                return end.value or "done"
            with self._changed:
                self._probes += probes
            self._on_step()
        return "stopped"

    def _may_go_on(self) -> bool:
        if self._pause_wanted and not self._stop_wanted:
            self._set_status("paused")
            with self._changed:
                self._changed.wait_for(lambda: self._stop_wanted or not self._pause_wanted)
            if not self._stop_wanted:
                self._set_status("running")
        return not self._stop_wanted

    def _want(self, *, pause: bool | None = None, stop: bool | None = None) -> None:
        with self._changed:
            if pause is not None:
                self._pause_wanted = pause
            if stop is not None:
                self._stop_wanted = stop
            if self._status == "idle" and stop:
                self._finished.set()
            self._changed.notify_all()

    def _wait_for(self, reached: Callable[[], bool]) -> None:
        if threading.current_thread() is self._thread:
            return  # a producer that ends its own run cannot wait for that
        with self._changed:
            self._changed.wait_for(reached)

    def _set_status(self, status: Status) -> None:
        with self._changed:
            now = time.monotonic()
            if self._running_since is not None:
                self._elapsed += now - self._running_since
            self._running_since = now if status == "running" else None
            self._status = status
        try:
            self._on_status()
        finally:
            with self._changed:
                self._announced = status
                self._changed.notify_all()
