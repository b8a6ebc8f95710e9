"""The runs behind a widget: starts, pauses, stops, restarts and recounts them."""

from __future__ import annotations

import threading
from collections.abc import Generator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Final

from iua_widget.common.cell_context import CellContext
from iua_widget.errors import IUAError, ProducerError
from iua_widget.files.checkpoint import begin, checkpoint_at
from iua_widget.iua import IUA, iua_of, run_of
from iua_widget.options import DEFAULT_SOURCE_OPTIONS, CountOptions, SourceOptions
from iua_widget.run.failure import partial_kept
from iua_widget.run.loop import recount
from iua_widget.run.open import open_source
from iua_widget.run.run import Run
from iua_widget.sources.source import Source
from iua_widget.tolerances import Tolerances
from iua_widget.widget.background import BackgroundRun, Progress, Status
from iua_widget.widget.iua_on_show import IUAOnShow

_BEAT: Final = 3.0
"""Seconds between signs of life to the page, which takes three missed ones for a silence."""


class Runs:
    """The result that a widget shows, and the runs that it comes from.

    Parameters
    ----------
    producer, loader, options
        As `open_source` takes them; or a finished `IUA`, which is shown as it is.
    counting : CountOptions
        With the tolerances that the widget opens at.
    resume, save_every
        As `IUA.introspect` takes them.
    background : bool
        Whether to count on a thread of its own.

    Attributes
    ----------
    iua : IUA
        What is shown.
    source : Source or None
        What is counted; None where a finished result is shown.
    context : CellContext
        What holds in the runs.
    current : BackgroundRun or None
        The newest run.
    recounting : bool
        Whether that one recounts.
    on_step, on_status, on_beat : callable
        Called after each batch, after each change of status, and every few seconds of a run.

    Raises
    ------
    ProducerError, LayerSelectionError, EngineError, FileError
        If it cannot be counted so, or not be continued from the file.
    """

    def __init__(
        self,
        producer: Any,
        loader: Any,
        options: SourceOptions,
        counting: CountOptions,
        *,
        resume: str | Path | None,
        save_every: int | None,
        background: bool,
    ) -> None:
        self.background = background
        self.context = CellContext()
        self.current: BackgroundRun | None = None
        self.recounting = False
        self.on_step = self.on_status = self.on_beat = _do_nothing
        self._counting, self._resume, self._save_every = counting, resume, save_every
        self._layers: Sequence[str] = list(producer) if isinstance(producer, Mapping) else []
        self._steps: Generator[int] | None = None
        self.source: Source | None = None
        if isinstance(producer, IUA):
            saving = {"resume": resume, "save_every": save_every}
            _check_unused({"loader": loader} | saving, options, counting)
            self.iua = producer.counted if isinstance(producer, IUAOnShow) else producer
        else:
            self.source = open_source(producer, loader, options)
            checkpoint = checkpoint_at(resume, save_every)
            run, self._steps = begin(counting, self.source, checkpoint)
            self.iua = iua_of(run)

    @property
    def run(self) -> Run:
        """What was counted of it."""
        return run_of(self.iua)

    @property
    def label(self) -> str:
        """What the source is called, where the user does not say."""
        return "a finished run" if self.source is None else self.source.label

    @property
    def layers(self) -> Sequence[str]:
        """The names of the layers, also before the first batch where they are known."""
        return self.iua.layers or self._layers

    @property
    def status(self) -> Status:
        """Where the newest run stands."""
        return self.current.status if self.current is not None else "done"

    @property
    def progress(self) -> Progress:
        """How far the newest run has come."""
        return Progress(0, None, 0.0) if self.current is None else self.current.progress

    @property
    def error(self) -> Exception | None:
        """What ended a run that failed; None otherwise."""
        return self.current.error if self.current is not None else None

    @property
    def explained_error(self) -> dict[str, str] | None:
        """The error under a title, as the page and warnings have it."""
        if self.error is None:
            return None
        title = "The recount broke off" if self.recounting else "The run broke off"
        if not isinstance(self.error, IUAError):
            title = f"{title}: {type(self.error).__name__}"
        return {"title": title, "message": str(self.error)}

    @property
    def restartable(self) -> bool:
        """Whether the source can be streamed again."""
        return self.source is not None and self.source.restartable

    def begin(self) -> None:
        """Count what is there to be counted."""
        if self.source is not None and self._steps is not None:
            self._launch(self.source, _keeping_partial(self.iua, self._steps), after=None)

    def start(self, tolerances: Tolerances) -> None:
        """Begin to count, or go on after a pause; a run that has ended begins anew."""
        if self.status == "paused":
            self.resume()
        elif self.status != "running":
            self.restart(tolerances)

    def pause(self, *, wait: bool = False) -> None:
        """Pause the run after the batch at hand."""
        if self.current is not None:
            self.current.pause(wait=wait)

    def resume(self, *, wait: bool = False) -> None:
        """Go on after a pause."""
        if self.current is not None:
            self.current.resume(wait=wait)

    def stop(self, *, wait: bool = False) -> None:
        """End the run after the batch at hand."""
        if self.current is not None:
            self.current.stop(wait=wait)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end of the run; whether it has ended."""
        return self.current is None or self.current.wait(timeout)

    def restart(self, tolerances: Tolerances) -> None:
        """Count anew from the first batch.

        `atol` of these tolerances is made a stop, unless the run is saved as it goes, and must
        have the stops of its file.

        Raises
        ------
        ProducerError
            If there is nothing to run again.
        """
        source, previous = self._restartable_source(), self.current
        self.stop()
        self._layers = self.layers
        checkpoint = checkpoint_at(self._resume, self._save_every)
        options = self._counting
        if checkpoint is None:
            options = replace(options, tolerances=tolerances)
        run, steps = begin(options, source, checkpoint, anew=True)
        self.iua = iua_of(run)
        self._launch(source, _keeping_partial(self.iua, steps), after=previous)

    def recount(self, tolerances: Tolerances) -> None:
        """Count once more, exactly at these tolerances.

        Raises
        ------
        ProducerError, NoProbesError
            If there is nothing to run again, a run goes on, or nothing was counted.
        """
        if self.current is not None and self.current.active:
            message = f"the run is {self.status}: recount when it has ended, or stop it."
            raise ProducerError(message)
        source, run = self._restartable_source(), self.run
        if not run.probes:
            so = "there is nothing to count again"
            raise run.nothing_counted(so)
        steps = recount(run, source, tolerances)
        self._launch(source, steps, after=self.current, again=True)

    def _restartable_source(self) -> Source:
        if self.source is not None and self.source.restartable:
            return self.source
        what = "a finished IUA" if self.source is None else "a one-shot iterator"
        message = (
            f"the widget shows {what}, which cannot be run again. Give it a list, a DataLoader or "
            "a callable to be able to restart."
        )
        raise ProducerError(message)

    def _launch(
        self,
        source: Source,
        steps: Generator[int],
        *,
        after: BackgroundRun | None,
        again: bool = False,
    ) -> None:
        run = BackgroundRun(
            lambda: steps,
            total=lambda: source.total,
            before=0 if again else self.run.probes,
            on_step=self.on_step,
            on_status=lambda: self._tell_status(run),
            context=self.context,
        )
        self.current, self.recounting = run, again
        beat = threading.Thread(target=self._beat, args=(run,), name="iua_widget beat", daemon=True)
        beat.start()
        run.start(background=self.background, after=after)

    def _tell_status(self, run: BackgroundRun) -> None:
        if run is self.current:  # and not an earlier run, ended by a restart
            self.on_status()

    def _beat(self, run: BackgroundRun) -> None:
        while not run.wait(_BEAT):
            if run is self.current:
                self.on_beat()


def _do_nothing() -> None:
    pass


def _keeping_partial(iua: IUA, steps: Generator[int]) -> Generator[int]:
    """The steps of a run, whose error holds what was counted before it."""
    with partial_kept(iua):
        yield from steps


def _check_unused(given: dict[str, Any], options: SourceOptions, counting: CountOptions) -> None:
    """Refuse what says how to count where there is nothing to count."""
    plain = CountOptions(tolerances=counting.tolerances, keep_inactive=counting.keep_inactive)
    for one, default in ((options, DEFAULT_SOURCE_OPTIONS), (counting, plain)):
        for name in (field.name for field in fields(one) if field.init):
            if getattr(one, name) != getattr(default, name) and name != "batch_size":
                given[name] = getattr(one, name)
    for name, value in given.items():
        if value is not None:
            message = f"a finished IUA is shown as it is, and takes no `{name}`."
            raise ProducerError(message)
