"""`IUAMonitor`: looks at a model while it trains, and keeps what it saw at every tolerance."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from iua_widget.common.amounts import memory_budget
from iua_widget.common.arguments import known_arguments_only
from iua_widget.common.atomic_write import as_path
from iua_widget.common.interrupts import interrupts_held
from iua_widget.common.plain_values import plain
from iua_widget.engines.choice import EngineName
from iua_widget.errors import DistributedError, FileError, IUAError, MergeError
from iua_widget.files.history_file import history_bytes, read_history, write_history
from iua_widget.history.alarm_event import AlarmEvent
from iua_widget.history.history import History
from iua_widget.history.history_table import history_table
from iua_widget.iua import IUA, iua_of
from iua_widget.options import (
    CallsOption,
    CountOptions,
    MaskOption,
    Mode,
    SourceOptions,
    check_count,
)
from iua_widget.run.counter import Counter
from iua_widget.run.passing_counter import PassingCounter
from iua_widget.run.run import Run
from iua_widget.scale.ranks import Ranks
from iua_widget.scale.sampler import OwnSamples, own_samples
from iua_widget.scale.telling import check_begun_alike, failures_told
from iua_widget.scale.tensor_parallel import check_layers_whole
from iua_widget.tolerances import DEFAULT_TAU, Scale, Tolerances
from iua_widget.training.alarms import Alarms
from iua_widget.training.looks import LookOn, Looks, checked_on
from iua_widget.training.monitor_settings import (
    STATE_FORMAT,
    SavedSettings,
    checked_settings,
    settings_of,
)

if TYPE_CHECKING:
    import pandas as pd

    from iua_widget.reading.comparison import Comparison
    from iua_widget.widget.widget import IUAWidget

_EXAMPLE_STEP: Final = 100
_ALARMS_NOTED: Final = 3
_LOST: Final = "The looks before are kept; there can be none after it, in this job."
_TO_READ: Final = object()
"""In place of a model: of a monitor that looks at nothing."""


class IUAMonitor:
    """Looks at a model every so many steps of its training, and keeps the history.

    A look counts held-out probes as `IUA.introspect` does, at all stops at once, and leaves the
    model bit for bit as it was: training gives the same weights with it and without. An error in
    a look does not end training: it is warned of, and `notes` keep it.

    Kept of each look are the curves of every layer over all tolerances, which units are dead from
    which stop on, and each unit's mean ``abs(x)``, so that `history` tells at any tolerance what
    died and what revived; and as many whole results as there is room for (`iua`).

    Parameters
    ----------
    model : torch.nn.Module
        The model that is trained; wrapped or compiled as well.
    probes : iterable, Dataset, Tensor or numpy.ndarray
        What is looked at: held-out inputs, the same at each look, as the `loader` of
        `IUA.introspect`. It is iterated over at each look. Left out with ``on="train"``.
    every : int
        Steps of training between two looks.
    on : {"probes", "train"}
        Whether to run the model on the probes at each look, or to count the batches of training
        themselves as they pass, with no pass more: a look then is of the batches since the look
        before, each by the weights of its own step and as dropout and BatchNorm had it. Of more
        than `max_probes` inputs between two looks the first are counted. A compiled model cannot
        be watched so. `mask` is called with what the model is called with.
    layers, units, channel_axis, mask, forward, calls, mode, batch_size, max_probes
        As for `IUA.introspect`.
    rtol, atol, scale, dead_at, tau
        The tolerances that are meant where none are named: as for `IUA.introspect`, but that rtol
        is 0, and relative to the layer's mean. What is dead is kept for this `dead_at`; all others
        may be moved afterwards.
    stops, engine, memory
        As for `IUA.introspect`; `memory` is what counting may hold.
    keep : str or int
        What the history may hold, as ``"1 GiB"`` or a number of bytes, an eighth of it for looks
        that are kept whole. Beyond it looks are dropped where they are closest together, the older
        first, and `notes` say so.
    alarm : str or iterable of str, optional
        Rules that are checked at each look, in the words of the table's filter:
        ``"dead-share>=50% kind:ReLU"``, ``"newly-dead>100"`` (units, since the look before), or of
        single units ``"units: max-|x|>100"``. Where one comes to be true of a layer, or of a unit,
        there is an `IUAWarning`, a note and one of `events`; not again as long as it stays true.
    on_alarm : callable, optional
        Called with each `AlarmEvent`. Where it returns True, `should_stop` is. An error in it does
        not end training.
    name : str, optional
        What it is called where there are several; the model's class by default.
    distributed : bool
        Whether all ranks of a job that `torchrun` has started look together, each at its part of
        the probes or of the batches: all make the monitor, and call `step` after each step, or
        `look` with the same steps. Each then has the same looks, which are the sums, with the same
        alarms. See ``docs/scale.md``.

    Attributes
    ----------
    every : int
    on : str
    distributed : bool
        As given.
    name : str
    history_data : History
        What is kept.

    Raises
    ------
    ProducerError, LayerSelectionError, ToleranceError, UnitsError, EngineError, MemoryBudgetError
        If an option cannot be used: as for `IUA.introspect`.
    AlarmError
        If a rule compares nothing, or what cannot be compared: the message has the figures there
        are, those with the nearest names first.
    DistributedError, MergeError
        With `distributed`, if there is no process group, or another rank does not come within the
        job's timeout, or cannot make its monitor, or has other options: on every rank.

    Warns
    -----
    IUAWarning
        If a look fails, or raises an alarm.

    Examples
    --------
    >>> import torch
    >>> _ = torch.manual_seed(0)
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
    >>> monitor = IUAMonitor(model, torch.randn(64, 4), every=2)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=5.0)
    >>> for step in range(4):
    ...     loss = (model(torch.randn(16, 4)) - 1).square().mean()
    ...     loss.backward()
    ...     optimizer.step()
    ...     optimizer.zero_grad()
    ...     _ = monitor.step()
    >>> monitor
    IUAMonitor(2 looks at steps 2 to 4, 1 layer)
    """

    @known_arguments_only
    def __init__(
        self,
        model: Any,
        probes: Any = None,
        *,
        every: int = 100,
        on: LookOn = "probes",
        layers: Any = None,
        units: str | Mapping[str, str] = "auto",
        channel_axis: int | Mapping[str, int] | None = None,
        mask: MaskOption | None = None,
        forward: Callable[[Any, Any], Any] | None = None,
        calls: CallsOption = "auto",
        mode: Mode = "eval",
        batch_size: int = 32,
        max_probes: int | None = None,
        rtol: float = 0.0,
        atol: float = 1e-08,
        scale: Scale = "layer_mean",
        dead_at: float = 1.0,
        tau: float = DEFAULT_TAU,
        stops: Iterable[float] | None = None,
        engine: EngineName = "auto",
        memory: str | int | None = None,
        keep: str | int = "1 GiB",
        alarm: str | Iterable[str] | None = None,
        on_alarm: Callable[[AlarmEvent], object] | None = None,
        name: str | None = None,
        distributed: bool = False,
    ) -> None:
        self.distributed = bool(distributed)
        ranks = Ranks.apart(kept=_LOST) if distributed else None
        with failures_told(ranks):
            counting = CountOptions(
                tolerances=Tolerances(rtol, atol, scale, dead_at, tau),
                stops=stops,
                keep_inactive=False,
                units=units,
                channel_axis=channel_axis,
                engine=engine,
                memory=memory,
            )
            source = SourceOptions(
                layers=layers,
                batch_size=batch_size,
                mask=mask,
                forward=forward,
                max_probes=max_probes,
                mode=mode,
                calls=calls,
            )
            options = {
                "every": check_count("every", every, _EXAMPLE_STEP),
                "on": checked_on(on, probes, forward),
                "layers": layers,
                "mask": mask,
                "forward": forward,
                "units": counting.units,
                "channel_axis": counting.channel_axis,
                "memory": counting.memory,
                **{name: getattr(source, name) for name in ("calls", "mode", "batch_size")},
                "max_probes": source.max_probes,
                "keep": keep,
                "alarm": alarm,
                "on_alarm": on_alarm,
                "name": type(model).__name__ if name is None else str(name),
            }
            history = History(counting.grid, counting.tolerances, memory_budget(keep, "keep"))
            self._begin(history, options)
            if ranks is not None:
                check_layers_whole(model)
            own = OwnSamples(probes, source) if ranks is None else own_samples(probes, source)
            counter = (
                None
                if model is _TO_READ
                else PassingCounter(model, counting, source)
                if on == "train"
                else Counter(model, own.loader, counting, own.options)
            )
            self._looks = Looks(history, counter, ranks, own.note)
        if ranks is not None:
            try:
                check_begun_alike(ranks, counting, {"every": self.every, "on": self.on})
            except (DistributedError, MergeError):
                self.close()
                raise

    def _begin(self, history: History, options: Mapping[str, Any]) -> None:
        """Begin with a history, and nothing that looks."""
        self.every, self.name = int(options["every"]), str(options["name"])
        self.on: LookOn = "train" if options.get("on") == "train" else "probes"
        self._alarms = Alarms(options.get("alarm"), options.get("on_alarm"))
        self.history_data = history
        self._options = dict(options)
        self._step = 0
        self._looks = Looks(history, None)
        self._widget: IUAWidget | None = None

    @property
    def tolerances(self) -> Tolerances:
        """The tolerances that are meant where none are named."""
        return self.history_data.tolerances

    @property
    def steps(self) -> list[int]:
        """The steps of the looks that are kept, ascending."""
        with self.history_data.lock:
            return self.history_data.steps

    @property
    def layers(self) -> list[str]:
        """The names of the layers, in the order of the network."""
        with self.history_data.lock:
            return self.history_data.layers

    @property
    def should_stop(self) -> bool:
        """Whether `on_alarm` has asked to stop training, by returning True."""
        return self._alarms.should_stop

    @property
    def events(self) -> list[AlarmEvent]:
        """The alarms of the looks that are kept, in the order of their steps."""
        with self.history_data.lock:
            return list(self.history_data.events)

    @property
    def notes(self) -> list[str]:
        """What a reader should know beside the figures: of the newest look, and of the history."""
        history = self.history_data
        dropped = history.dropped_note
        alarms = [event.message for event in self.events[-_ALARMS_NOTED:]]
        idle = self._alarms.idle.values()
        return [*self._looks.notes, *idle, *alarms, *([dropped] if dropped else []), *history.notes]

    def step(self) -> bool:
        """Take note of a step of training that was made; look, where it is time to.

        Call it after each step of the optimizer.

        Returns
        -------
        bool
            Whether it has looked.

        Raises
        ------
        IUAError
            If the monitor was closed.

        Warns
        -----
        IUAWarning
            If the look fails.
        """
        self._looks.check_open()
        self._step += 1
        return self._step % self.every == 0 and self._look(stacklevel=3)

    @known_arguments_only
    def look(self, step: int | None = None) -> pd.DataFrame | None:
        """Look now.

        Parameters
        ----------
        step : int, optional
            Steps of training that were made; by default those that `step` was called for, none
            before training. They are counted on from here. A look at the same step is replaced.

        Returns
        -------
        pandas.DataFrame or None
            The layers at this look: the rows that `history` has of it. None if the look failed.

        Raises
        ------
        ValueError
            If `step` is no whole number, zero or more.
        IUAError
            If the monitor was closed.

        Warns
        -----
        IUAWarning
            If the look fails.
        """
        self._looks.check_open()
        if step is not None:
            self._step = _checked_step(step)
        if not self._look(stacklevel=4):
            return None
        return history_table([self.history_data.figures(self._step)])

    @known_arguments_only
    def history(
        self,
        *,
        layers: str | Iterable[str] | None = None,
        atol: float | None = None,
        rtol: float | None = None,
        scale: Scale | None = None,
        dead_at: float | None = None,
        tau: float | None = None,
    ) -> pd.DataFrame:
        """All looks at one set of tolerances, without another run.

        Parameters
        ----------
        layers : str or iterable of str, optional
            Names of layers, or globs; all by default.
        atol, rtol, scale, tau
            As for `IUA.at`; the monitor's where left out. A scale of the units (``"unit_rms"``,
            ``"unit_max"``) takes a whole result: see `iua`.
        dead_at : float, optional
            The monitor's, if it is given.

        Returns
        -------
        pandas.DataFrame
            One row a look and layer, in the order of steps and of the network. Columns: ``step``;
            ``response``, the layer; ``mean inactive``, ``std inactive``, ``inactive share``,
            ``units``, ``dead units``, ``dead share`` as `IUA.to_pandas` has them; ``newly dead``,
            ``revived`` and ``dead in both``, units, since the look before that is kept (missing
            where there is none, or the layer had other units); ``dormant (tau 0.025)`` with the
            `tau` in force; ``kind``, ``unit``, ``probes``, ``nan``, ``infinite``; where a channel
            has several units ``channels`` and ``dead channels``. Where figures are not exact there
            are also columns that end in ``upper``: the true figure lies between.

        Raises
        ------
        ToleranceError
            If a tolerance cannot be used, or the history keeps too little for it: the message says
            what to do.
        LayerSelectionError
            If a name or glob matches no layer.
        """
        at = self.tolerances.but(atol=atol, rtol=rtol, scale=scale, dead_at=dead_at, tau=tau)
        return self.history_data.table(at, layers)

    def iua(self, step: int | None = None) -> IUA:
        """The whole result of a look.

        Parameters
        ----------
        step : int, optional
            Of the look; the newest where left out.

        Returns
        -------
        IUA
            At the monitor's tolerances.

        Raises
        ------
        IUAError
            If there is no such look, or it is not kept whole: the message names those that are.
        """
        return iua_of(self._looks.whole(step))

    def compare(self, step_before: int, step_after: int | None = None) -> Comparison:
        """Compare two looks that are kept whole; `history` tells of all that follow each other.

        Parameters
        ----------
        step_before, step_after : int
            Of the looks; the latter is the newest where left out.

        Returns
        -------
        Comparison

        Raises
        ------
        IUAError
            As for `iua`.
        ComparisonError
            If the model has changed its layers or units in between.
        """
        return self.iua(step_before).compare(self.iua(step_after))

    @property
    def widget(self) -> IUAWidget:
        """The history on a page, live: made once, and what a cell shows of a monitor.

        Its traits `look` and `against` are the steps on show and compared with it: see `IUAWidget`.
        """
        if self._widget is None:
            from iua_widget.widget.widget import IUAWidget

            self._widget = IUAWidget(self.history_data, name=self.name)
        return self._widget

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        return self.widget._repr_mimebundle_(**kwargs)

    def to_html(self, path: str | Path, **options: Any) -> Path:
        """Write the history to one HTML file that works offline, its sliders and timeline alive.

        Parameters
        ----------
        path : str or Path
            Of the file.
        **options
            As for `IUAWidget.to_html`.

        Returns
        -------
        Path
            Where it is.

        Raises
        ------
        FileError
            If it cannot be written there.
        """
        return self.widget.to_html(path, **options)

    @known_arguments_only
    def save(self, path: str | Path) -> Path:
        """Save the history, and the monitor's options, to one file.

        A ZIP of NumPy arrays and JSON as `IUA.save` writes: see ``docs/file-format.md``. It is
        written beside the old file and takes its place when it is complete.

        Parameters
        ----------
        path : str or Path
            Of the file, such as ``"run.iuah"``; it is replaced where it is there.

        Returns
        -------
        Path
            Where it is.

        Raises
        ------
        FileError
            If it cannot be written there: the message says why.

        Examples
        --------
        >>> import tempfile
        >>> import torch
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU())
        >>> monitor = IUAMonitor(model, torch.zeros(5, 4))
        >>> _ = monitor.look()
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     IUAMonitor.load(monitor.save(f"{folder}/run.iuah"))
        IUAMonitor(1 look at step 0, 1 layer)
        """
        path = as_path(path)
        write_history(path, self.history_data, self._settings())
        return path

    @classmethod
    def load(
        cls, path: str | Path, model: Any = None, probes: Any = None, **options: Any
    ) -> IUAMonitor:
        """Read what `save` has written: to read the history, or to go on with it.

        Parameters
        ----------
        path : str or Path
            Of the file.
        model : torch.nn.Module, optional
            To go on looking at; without it the history can be read.
        probes : optional
            As for the class.
        **options
            Those to be changed, and those that a file cannot hold: callables, and `layers` that
            are no names.

        Returns
        -------
        IUAMonitor
            At the step that it was saved at.

        Raises
        ------
        FileError
            If the file is not there, is truncated, altered, of a newer version, or was not written
            by `save`; or if the options given do not fit its history.
        TypeError
            If there is no such option.
        IUAError
            As for the class.
        """
        path = as_path(path)
        return cls._of_saved(path, repr(str(path)), model, probes, options)

    @classmethod
    def _of_saved(
        cls, source: Path | bytes, where: str, model: Any, probes: Any, options: dict[str, Any]
    ) -> IUAMonitor:
        """Make the monitor of what was saved, without a model one to be read."""
        history, settings = read_history(source, options.get("engine", "auto"))
        saved = checked_settings(settings, inspect.signature(cls).parameters, where)
        counted = {**asdict(history.tolerances), "stops": history.stops.values}
        if model is None:
            model, probes = _TO_READ, None if saved.options.get("on") == "train" else ()
        else:
            saved.check_given(options)
        try:
            monitor = cls(model, probes, **{**counted, **saved.options, **options})
        except (IUAError, TypeError, ValueError) as error:
            if options or model is not _TO_READ:
                raise
            message = f"{where} holds options that no monitor can have: {error}"
            raise FileError(message) from error
        # What is saved again asks for them, too.
        monitor._options |= {name: ... for name in saved.not_saved if name not in options}
        monitor._go_on(history)
        monitor._go_on_at(saved)
        return monitor

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy or a pickle, perhaps of a model that has it: it can be read, and looks no more."""
        return _copied, (type(self), self.state_dict()["history"])

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint of training keeps: the history without looks that are kept whole.

        Returns
        -------
        dict
            Of plain values and bytes, which `torch.load` reads with ``weights_only=True``.
        """
        state = history_bytes(self.history_data, self._settings())
        return {"format": STATE_FORMAT, "history": state}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave, at its step; what was kept here is dropped.

        Parameters
        ----------
        state : mapping

        Raises
        ------
        FileError
            If it is no such state, or of a history that was counted at other stops.
        """
        given = state if isinstance(state, Mapping) else {}
        data = given.get("history")
        if given.get("format") != STATE_FORMAT or not isinstance(data, bytes):
            has = f"it has {list(state)}" if given else f"got {state!r:.60}"
            message = f"the state is not what IUAMonitor.state_dict gives; {has}."
            raise FileError(message)
        history, settings = read_history(data)
        saved = checked_settings(settings, inspect.signature(type(self)).parameters, "the state")
        self._go_on(history)
        self._go_on_at(saved)

    def close(self) -> None:
        """Look no more, and let go of the model. What is kept can still be read."""
        self._looks.close()

    def __repr__(self) -> str:
        steps, layers = self.steps, len(self.layers)
        looks = f"{len(steps)} look{'' if len(steps) == 1 else 's'}"
        at = f" at steps {steps[0]} to {steps[-1]}" if len(steps) > 1 else ""
        at = f" at step {steps[0]}" if len(steps) == 1 else at
        plural = "" if layers == 1 else "s"
        return f"{type(self).__name__}({looks}{at}, {layers} layer{plural})"

    def _settings(self) -> dict[str, Any]:
        """What of the monitor is kept with its history."""
        failures, alarms = dict(self._looks.all_failures), self._alarms.state_dict()
        return settings_of(self._options, self._step, failures, alarms)

    def _go_on_at(self, saved: SavedSettings) -> None:
        """Go on at the step, and with the alarms, of one that was saved."""
        self._step, self._looks.failures = saved.step, saved.failures
        self._looks.forget_newest()
        try:
            self._alarms.load_state_dict(saved.alarms)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            message = f"the state of the alarms cannot be: {type(error).__name__}: {error}."
            raise FileError(message) from error

    def _go_on(self, history: History) -> None:
        """Go on with another's looks."""
        mine = self.history_data
        if (mine.stops, mine.dead_at) != (history.stops, history.dead_at):
            message = (
                f"the history was counted at {len(history.stops)} stops with dead_at="
                f"{history.dead_at:g}, and the monitor counts at {len(mine.stops)} with dead_at="
                f"{mine.dead_at:g}: give it the same stops, atol and dead_at."
            )
            raise FileError(message)
        mine.take(history)

    def _look(self, stacklevel: int) -> bool:
        """Look, and raise alarms; whether that did not fail."""
        run = self._looks.look(self._step, stacklevel + 1)
        if run is not None:
            self._check_alarms(self._step, run, stacklevel)
        return run is not None

    def _check_alarms(self, step: int, run: Run, stacklevel: int) -> None:
        """Keep what the rules have come to be true of at a look, and tell it."""
        if not self._alarms.rules:
            return
        from iua_widget.reading.tables import unit_table

        history = self.history_data
        try:
            figures = history.figures(step)
            events = self._alarms.check(
                step,
                history_table([figures]),
                lambda layer: unit_table(run.tallies[layer], history.tolerances),
                look_before=figures.since is not None,
            )
        except Exception as error:  # noqa: BLE001  (training does not end by it)
            self._looks.failed(step, error, stacklevel + 1)
            return
        if events:
            with interrupts_held():
                history.add_events(events)
        self._alarms.tell(events, stacklevel=stacklevel + 2)


def _copied(cls: type[IUAMonitor], data: bytes) -> IUAMonitor:
    monitor = cls._of_saved(data, "the copy", None, None, {})
    monitor._looks.closed = (  # noqa: SLF001
        "a copy of a monitor, or of a model that has one, is there to be read: to look, make "
        "another, monitor = IUAMonitor(model, probes), and go on by "
        "monitor.load_state_dict(copy.state_dict())."
    )
    return monitor


def _checked_step(step: object) -> int:
    number = plain(step)
    if isinstance(number, int) and not isinstance(number, bool) and number >= 0:
        return number
    message = f"step must be a whole number, zero or more, such as step=100; got {step!r:.60}."
    raise ValueError(message)
