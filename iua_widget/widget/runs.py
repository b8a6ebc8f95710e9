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
from iua_widget.run.gathering import CountedSource
from iua_widget.run.loop import recount
from iua_widget.run.run import Run
from iua_widget.scale.open_counted import open_counted
from iua_widget.scale.ranks import Ranks
from iua_widget.scale.sampler import OwnSamples, own_samples
from iua_widget.scale.telling import check_begun_alike, failures_told
from iua_widget.scale.tensor_parallel import check_layers_whole, passes_together
from iua_widget.sources.source import Source
from iua_widget.tolerances import Tolerances
from iua_widget.widget.background import BackgroundRun, Progress, Status
from iua_widget.widget.iua_on_show import IUAOnShow
from iua_widget.widget.live_ranks import LiveRanks
from iua_widget.widget.rank_notices import Want
from iua_widget.widget.steps_over_ranks import steps_over_ranks

_BEAT: Final = 3.0
"""Seconds between signs of life to the page, which takes three missed ones for a silence."""


class Runs:
    """The result that a widget shows, and the runs that it comes from.

    Parameters
    ----------
    producer, loader, options
        As `open_counted` takes them; or a finished `IUA`, which is shown as it is.
    counting : CountOptions
        With the tolerances that the widget opens at.
    resume, save_every
        As `IUA.introspect` takes them.
    background : bool
        Whether to count on a thread of its own.
    ranks : Ranks, optional
        Those that count together, in a group of their own.
    ray_options
        As `open_counted` takes them.

    Attributes
    ----------
    iua : IUA
        What is shown.
    counted : IUA
        What this process has counted; of several ranks `iua` is the sum, on rank 0 also before the
        end.
    notes : list of str
        What a reader should know of the other ranks, or of Ray's workers.
    source : Source, CountedSource or None
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
        ranks: Ranks | None = None,
        ray_options: Mapping[str, Any] | None = None,
    ) -> None:
        self.background = background
        self.context = CellContext()
        self.current: BackgroundRun | None = None
        self.recounting = False
        self.on_step = self.on_status = self.on_beat = _do_nothing
        self._counting, self._resume, self._save_every = counting, resume, save_every
        self._layers: Sequence[str] = list(producer) if isinstance(producer, Mapping) else []
        self._steps: Generator[int] | None = None
        self.source: Source | CountedSource | None = None
        self._live: LiveRanks | None = None
        self._ranks, self._note, self._refused = ranks, "", list[str]()
        self._in_step = ranks is not None and passes_together(producer)
        if isinstance(producer, IUA):
            others: dict[str, Any] = {"resume": resume, "save_every": save_every}
            others |= {"distributed": ranks, "ray_options": ray_options}
            _check_unused({"loader": loader} | others, options, counting)
            self.iua = producer.counted if isinstance(producer, IUAOnShow) else producer
        else:
            if ranks is not None:
                check_layers_whole(producer)
            own = OwnSamples(loader, options) if ranks is None else own_samples(loader, options)
            self._note = own.note
            self.source = open_counted(producer, own.loader, own.options, ray_options)
            checkpoint = checkpoint_at(resume, save_every)
            run, self._steps = begin(counting, self.source, checkpoint)
            self.iua = iua_of(run)
        self.counted = self.iua
        self._of_group: IUA | None = None

    @property
    def run(self) -> Run:
        """What was counted of it."""
        return run_of(self.iua)

    def of_group(self, group: str | None) -> IUA:
        """What is shown of a group of the probes; of all where there is none of that name."""
        run = None if group is None else (self.run.groups or {}).get(group)
        if run is None:
            return self.iua
        if self._of_group is None or run_of(self._of_group) is not run:
            self._of_group = iua_of(run)
        return self._of_group

    @property
    def label(self) -> str:
        """What the source is called, where the user does not say."""
        if self.source is None:
            return "a finished run"
        on_ranks = "" if self._ranks is None else f" on {self._ranks.size} ranks"
        return f"{self.source.label}{on_ranks}"

    @property
    def shown(self) -> bool:
        """Whether a page shows it: of several ranks, that of rank 0."""
        return self._ranks is None or self._ranks.rank == 0

    @property
    def notes(self) -> list[str]:
        """What a reader should know of the other ranks, or of Ray's workers."""
        if isinstance(self.source, CountedSource) and self.source.workers:
            return [self.source.workers]
        return [] if self._live is None else [*self._live.notes, *self._refused]

    @property
    def where(self) -> str:
        """Of which part it is, of several; empty elsewhere."""
        ranks = self._ranks
        return "" if ranks is None else f"rank {ranks.rank} of {ranks.size}"

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
        """How far the newest run has come: of several ranks, on rank 0, all together."""
        return self._own_progress() if self._live is None else self._live.progress()

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
        return self._ranks is None and self.source is not None and self.source.restartable

    def begin(self) -> None:
        """Count what is there to be counted."""
        if self.source is None or self._steps is None:
            return
        steps: Generator[int, None, Status | None] = self._steps
        if self._ranks is not None:
            run = run_of(self.counted)
            with failures_told(self._ranks):
                self._live = LiveRanks(self._ranks, run, self._own_progress, self._add, self._obey)
            check_begun_alike(self._ranks, self._counting, {})
            steps = steps_over_ranks(self._steps, self._live, run, self._note, self._show)
        self._launch(self.source, _keeping_partial(self.counted, steps), after=None)

    def _own_progress(self) -> Progress:
        return Progress(0, None, 0.0) if self.current is None else self.current.progress

    def _show(self, run: Run) -> None:
        """Show what all ranks have."""
        self.iua = iua_of(run)

    def _add(self, run: Run) -> None:
        self._show(run)
        self.context.run(self.on_step)

    def _obey(self, want: Want) -> None:
        """Do what rank 0 wants of this rank's run, which sees by itself when all are to stop."""
        if self.current is not None and want == "pause":
            self.current.pause(wait=False)
        elif self.current is not None:
            self.current.resume(wait=False)

    def _want(self, want: Want, what: str) -> None:
        """Have all ranks pause, go on or stop, where there are several."""
        if self._live is None or not self._live_now:
            return
        if self._in_step:
            message = (
                f"a run over ranks that have parts of the model (FSDP) cannot {what}: each pass "
                "takes all of them, and they would wait for each other. It goes on to its end."
            )
            self._refused = [message]
            raise ProducerError(message)
        if not self._live.first:
            message = (
                f"this is {self.where}: what is to {what} is all of them, by the widget of rank 0."
            )
            raise ProducerError(message)
        self._live.want(want)

    @property
    def _live_now(self) -> bool:
        return self.current is not None and self.current.active

    def start(self, tolerances: Tolerances) -> None:
        """Begin to count, or go on after a pause; a run that has ended begins anew."""
        if self.status == "paused":
            self.resume()
        elif self.status != "running":
            self.restart(tolerances)

    def pause(self, *, wait: bool = False) -> None:
        """Pause the run after the batch at hand."""
        self._want("pause", "pause")
        if self.current is not None:
            self.current.pause(wait=wait)

    def resume(self, *, wait: bool = False) -> None:
        """Go on after a pause."""
        self._want("run", "go on")
        if self.current is not None:
            self.current.resume(wait=wait)

    def stop(self, *, wait: bool = False) -> None:
        """End the run after the batch at hand, that of all ranks once they have summed."""
        if self.current is None:
            return
        if self._live is None:
            self.current.stop(wait=wait)
        elif self._live_now:
            self._want("stop", "stop")
            self.current.resume(wait=False)
            if wait:
                self.current.wait()

    def end(self) -> None:
        """End the run because nobody will look at it any more."""
        alone = self._live is None or self._in_step or not self._live.first
        if self.current is not None and alone:
            self.current.stop(wait=False)
        else:
            self.stop()

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
        self.iua = self.counted = iua_of(run)
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
        if isinstance(source, CountedSource):
            message = (
                "batches of a Ray dataset are not recounted: count them again with this atol among "
                "`stops`, or IUA.recount(model, dataset.iter_batches(batch_size=32), ...)."
            )
            raise ProducerError(message)
        if not run.probes:
            so = "there is nothing to count again"
            raise run.nothing_counted(so)
        steps = recount(run, source, tolerances)
        self._launch(source, steps, after=self.current, again=True)

    def _restartable_source(self) -> Source | CountedSource:
        if self.restartable and self.source is not None:
            return self.source
        if self._ranks is not None:
            message = (
                "the widget counts over ranks, which have to begin together: make a new one on "
                "every rank."
            )
            raise ProducerError(message)
        what = "a finished IUA" if self.source is None else "a one-shot iterator"
        message = (
            f"the widget shows {what}, which cannot be run again. Give it a list, a DataLoader or "
            "a callable to be able to restart."
        )
        raise ProducerError(message)

    def _launch(
        self,
        source: Source | CountedSource,
        steps: Generator[int, None, Status | None],
        *,
        after: BackgroundRun | None,
        again: bool = False,
    ) -> None:
        run = BackgroundRun(
            lambda: steps,
            total=lambda: source.total,
            before=0 if again else self.run.probes,
            on_step=self.on_step if self._live is None else _do_nothing,
            on_status=lambda: self._tell_status(run),
            context=self.context,
        )
        self.current, self.recounting = run, again
        beat = threading.Thread(target=self._beat, args=(run,), name="iua_widget beat", daemon=True)
        beat.start()
        run.start(background=self.background, after=after)

    def _tell_status(self, run: BackgroundRun) -> None:
        if run.status == "paused" and isinstance(self.source, CountedSource):
            self.source.rest()
        if run is self.current:  # and not an earlier run, ended by a restart
            self.on_status()

    def _beat(self, run: BackgroundRun) -> None:
        while not run.wait(_BEAT):
            if run is self.current:
                self.on_beat()


def _do_nothing() -> None:
    pass


def _keeping_partial(
    iua: IUA, steps: Generator[int, None, Status | None]
) -> Generator[int, None, Status | None]:
    """The steps of a run, whose error holds what was counted before it."""
    with partial_kept(iua):
        return (yield from steps)


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
