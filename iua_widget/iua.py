"""IUA: Inactive Unit Analysis with DNIKit's interface, counted once for all tolerances."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from iua_widget.common.arguments import known_arguments_only
from iua_widget.common.arithmetic import FLUSHED, as_ieee, flushes
from iua_widget.common.atomic_write import as_path
from iua_widget.common.interrupts import interrupts_held
from iua_widget.common.layer_names import base_of, choose_layers, unknown_layer
from iua_widget.common.turn_lock import TurnLock
from iua_widget.common.words import named
from iua_widget.engines.choice import EngineName, choose_engine
from iua_widget.errors import (
    FileError,
    IUAError,
    IUAWarning,
    MemoryBudgetError,
    MergeError,
    NoProbesError,
    ProducerError,
    ToleranceError,
    UnitsError,
)
from iua_widget.files.checkpoint import Checkpoint
from iua_widget.memory.budget import MemoryBudget
from iua_widget.memory.plan import plan_table
from iua_widget.options import CallsOption, CountOptions, MaskOption, Mode, SourceOptions
from iua_widget.reading.notes import notes_of_both, tally_notes, zero_notes
from iua_widget.reading.recount import SAME_DATA, LayerRecount, Recount, RecountBatch
from iua_widget.reading.results import LayerResult, Reading, read_layer
from iua_widget.run.batch import PendingBatch, merged_order
from iua_widget.run.failure import Failure
from iua_widget.run.open import open_source
from iua_widget.sources.position import Position
from iua_widget.sources.source import Source
from iua_widget.tally.tally import Tally, count_waiting, first_difference
from iua_widget.tolerances import DEFAULT_TAU, Scale, Stops, Tolerances
from iua_widget.units.rule import UNKNOWN, Origin, UnitPlan

if TYPE_CHECKING:
    import pandas as pd

    from iua_widget.files.run_file import SavedRun


_OTHER_WEIGHTS: Final = (
    "The model's weights were not the same in all that was counted here: the figures are of "
    "several models together, and of none of them alone."
)


class IUA:
    """The inactive units of every layer, at every tolerance.

    Made by `IUA.introspect`, which streams a producer once. A unit is inactive on a probe where
    ``abs(x) <= atol + rtol * scale``; with scale ``"zero"`` that is ``numpy.isclose(x, 0)``, and
    the figures are DNIKit's.

    Reading is safe while another thread counts: what is read is always of whole batches.

    Parameters
    ----------
    rtol, atol : float
        The tolerances of `results`.
    scale : {"zero", "layer_mean", "unit_rms", "unit_max"}
        What `rtol` is relative to.
    dead_at : float
        The share of its finite probes from which on a unit is dead: see `introspect`.
    tau : float
        From where on down a unit is dormant: see `introspect`.
    stops : iterable of float, optional
        The tolerances at which counts are exact; `default_stops` where left out. `atol` is always
        made one of them.
    keep_inactive : bool
        Whether to keep the number of inactive units of every probe at `atol` (DNIKit's
        ``inactive``). It is the only thing that grows with the number of probes.
    units : {"auto", "element", "channel", "token"} or mapping of str to these
        What a unit is, for all layers or by layer name or glob: see `introspect`.
    channel_axis : int, or mapping of str to int, optional
        Which axis of a response counts the channels: see `introspect`.
    engine : {"auto", "cpu", "device", "reference"}
        What counts: see `introspect`.
    memory : str or int, optional
        What the run may hold: see `introspect`.

    Raises
    ------
    ToleranceError
        If a tolerance is negative, NaN, infinite or not a number, or the scale is unknown.
    UnitsError
        If the choice of units is unknown.
    EngineError
        If there is no such engine.
    MemoryBudgetError
        If `memory` is no amount of memory.

    References
    ----------
    DNIKit, "Finding a Model's Inactive Units" (Apple, 2023).

    Examples
    --------
    >>> import numpy as np
    >>> iua = IUA.introspect({"relu": np.array([[0.0, 0.5], [0.0, 0.0]])})
    >>> iua.results["relu"].mean_inactive
    1.5
    >>> iua.at(atol=0.5).results["relu"].dead
    2
    """

    Result: ClassVar = LayerResult

    class VisType:
        """What `IUA.show` makes."""

        CHART: Final = "chart"
        TABLE: Final = "table"

    @known_arguments_only
    def __init__(
        self,
        *,
        rtol: float = 1e-05,
        atol: float = 1e-08,
        scale: Scale = "zero",
        dead_at: float = 1.0,
        tau: float = DEFAULT_TAU,
        stops: Iterable[float] | None = None,
        keep_inactive: bool = True,
        units: str | Mapping[str, str] = "auto",
        channel_axis: int | Mapping[str, int] | None = None,
        engine: EngineName = "auto",
        memory: str | int | None = None,
    ) -> None:
        options = CountOptions(
            tolerances=Tolerances(rtol, atol, scale, dead_at, tau),
            stops=stops,
            keep_inactive=keep_inactive,
            units=units,
            channel_axis=channel_axis,
            engine=engine,
            memory=memory,
        )
        self._options, self._engine = options, choose_engine(engine)
        tolerances = options.tolerances
        self.rtol, self.atol, self.scale = tolerances.rtol, tolerances.atol, tolerances.scale
        self.dead_at, self.tau = tolerances.dead_at, tolerances.tau
        self._stops = options.grid
        self._keep_inactive = options.keep_inactive
        self._budget = MemoryBudget(options)
        self._probes = 0
        self._position: Position | None = Position()
        self._source_notes: dict[str, None] = {}
        self._steady = True
        self._weights: dict[str, None] = {}
        self._failure: Failure | None = None
        self._tallies: dict[str, Tally] = {}
        self._recount: Recount | None = None
        self._lock = TurnLock()

    @staticmethod
    @known_arguments_only
    def introspect(
        producer: Any,
        loader: Any = None,
        *,
        batch_size: int = 32,
        rtol: float = 1e-05,
        atol: float = 1e-08,
        scale: Scale = "zero",
        dead_at: float = 1.0,
        tau: float = DEFAULT_TAU,
        layers: Any = None,
        units: str | Mapping[str, str] = "auto",
        channel_axis: int | Mapping[str, int] | None = None,
        mask: MaskOption | None = None,
        forward: Callable[[Any, Any], Any] | None = None,
        max_probes: int | None = None,
        mode: Mode = "eval",
        calls: CallsOption = "auto",
        stops: Iterable[float] | None = None,
        keep_inactive: bool = True,
        engine: EngineName = "auto",
        memory: str | int | None = None,
        resume: str | Path | None = None,
        save_every: int | None = None,
        progress: bool = False,
    ) -> IUA:
        """Stream a producer and count every layer's inactive units at all stops.

        Parameters
        ----------
        producer : mapping, callable, iterable or torch.nn.Module
            One mapping ``{layer: array}``, cut into batches of `batch_size`; an iterable of such
            mappings, one a batch; a callable ``producer(batch_size)`` that yields them, or that
            yields objects with `fields` (DNIKit's producers and pipelines); or a model, with
            `loader`. An array's first axis counts the probes.
        loader : iterable, Dataset, Tensor or numpy.ndarray, optional
            The model's inputs. A batch is a tensor, a tuple with the input first, or a mapping of
            keyword arguments; it is moved to the model's device.
        batch_size : int
            Probes pulled from the producer at a time.
        rtol : float
            Relative tolerance. It multiplies `scale`: with the default, ``"zero"``, it multiplies
            ``abs(0)`` and **has no effect at all**, in `numpy.isclose`, in DNIKit and so here. Use
            another scale for a tolerance that has.
        atol : float
            Absolute tolerance. 1e-8, the default, is in practice a test for exact zero.
        scale : {"zero", "layer_mean", "unit_rms", "unit_max"}
            What `rtol` is relative to: zero; the mean ``abs(x)`` of the layer, over its units and
            all probes; the root of the mean ``abs(x)**2`` of the unit over all probes; or the
            largest ``abs(x)`` of the unit. With the last two every unit has a threshold of its own.
        dead_at : float
            A unit is dead that is inactive on at least this share of the probes on which it was
            finite (a channel: at every position), and was so on one at least: above 0, at most 1.
            It stands for the decimal number it prints as, and ``dead_at * probes`` is rounded up
            to whole probes.
        tau : float
            A neuron is dormant whose mean ``abs(x)`` is at most `tau` times the mean over the
            neurons of its layer (Sokar et al. 2023). A neuron is a channel, over its positions and
            all probes, where the layer has channels; a unit elsewhere. `rtol` and `scale` have no
            part in it.
        layers : str, type, LayerKind, Module, callable, or iterable of these, optional
            Whose outputs of a model to count: names or globs of what `response_infos` lists
            (``"encoder.*.relu"``, ``"*relu*"``), any function of PyTorch by name (``"relu"``,
            ``"*/softmax"``) or itself (`F.relu`), module classes, kinds of layers, modules
            themselves, or a predicate of a module, or of its name and itself. By default the
            outputs of its activations, modules (`nn.ReLU`) and functions (`F.relu`) alike.
        units : {"auto", "element", "channel", "token"} or mapping of str to these
            What a unit is, for all layers or by layer name or glob. ``"element"``: every entry of a
            probe's response (DNIKit's meaning). ``"channel"``: the channel, inactive on a probe
            only where it is inactive at every position. ``"token"``: the channel, every position
            of every item being a probe. ``"auto"``: token for sequences inside a model (three
            axes, channels last or as long as the text), channel for maps over the positions of a
            text (attention), element for everything else.
        channel_axis : int, or mapping of str to int, optional
            Which axis of a response counts the channels, the batch axis included. By default what
            the model tells, or else 1 for four axes and more, and the last for fewer.
        mask : callable, optional
            Given a batch as the loader gives it, returns which positions are real and which are
            padding (zero): an array of shape (items, positions), or a mapping of layer glob to
            such arrays; what has values below zero is taken for one to be added to scores. By
            default the batch's own, where it is a mapping and has one: ``attention_mask`` (true
            where a token is real), PyTorch's ``key_padding_mask`` or ``padding_mask`` (true where
            none is; the latter as in `transformers` where an item would be all padding otherwise),
            and those that begin with ``src_``, ``encoder_``, ``tgt_``, ``decoder_`` or
            ``memory_``, each for that part of the model. It is laid on the way the model has its
            axes. Padding is left out by ``"token"`` and ``"channel"``.
        forward : callable, optional
            ``forward(model, batch)`` runs the model where ``model(batch)`` is not the way, for
            example ``lambda model, batch: model.generate(**batch)``. It is given a stand-in, with
            the model's weights, that is watched in its place; the model itself is not touched.
        max_probes : int, optional
            Inputs to stop after; the batch that goes beyond is cut.
        mode : {"eval", "train"}
            The mode the model runs in. ``"train"`` counts what dropout silences, too, and
            normalizes by the batch; the model's own buffers stay as they are.
        calls : {"auto", "separate", "merge"}
            Whether each call of a module in a pass is a layer, ``cell``, ``cell:1``, or those of
            one shape are one, as for a cell in a loop over time steps. Then each call's responses
            are probes: a layer has as many as inputs times calls. Calls of what has no weights, an
            activation or a function, are merged where they come from one place in the code and
            follow the same weights. ``"auto"`` merges where there are more than 16, and says so;
            the first batch decides.
        stops : iterable of float, optional
            The tolerances at which counts are exact: see `default_stops`.
        keep_inactive : bool
            Whether to keep each probe's number of inactive units, at `atol`.
        engine : {"auto", "cpu", "device", "reference"}
            What counts; all give the same, bit for bit. ``"cpu"`` is compiled by numba, which it
            waits for the first time, and uses all cores; ``"reference"`` is plain NumPy, many times
            slower. ``"device"`` is PyTorch,
            wherever a response lies: it stays there, its counts too, and only what is read comes
            to the host; the device is not waited for. ``"auto"`` takes ``"device"`` for tensors on
            a CUDA device, and for all else ``"cpu"`` where there is enough to count, as soon as
            numba, where it is there, has compiled the loops: the first time a process of its own
            does, and NumPy counts meanwhile. Tensors on MPS, which has no float64, are brought to
            the host first; of complex tensors the magnitudes are taken there.
        memory : str or int, optional
            What the run may hold beside the responses it is given: tallies, the batch at hand, what
            is kept of each probe, and what layers take in objects; not the libraries that count,
            which are loaded once in a process. ``"2 GiB"``, ``"500 MB"`` or a
            number of bytes; by default half of what is free on the machine, or in the container,
            when the first batch comes, and on a CUDA device that counts no more than half of what
            is free there. On a device counters have 32 bits from the first; what is read of them is
            held on the host besides. Where it does not do, the largest layers hold counts of
            units at fewer stops, evenly on the logarithmic scale, zero and `atol` always among
            them: see `plan`. Means, standard deviations and what is dead stay exact at every stop.
            A 32nd of it, at the most, stays with the process for the next run.
        resume : str or Path, optional
            A file to which the run is saved as it goes, and from which it goes on where the file is
            there: what is lost when the process dies is what came after the last save. The stream
            must begin with the same batches again, which are passed over without being counted
            (nor given to the model); this is checked, and so are the
            model's weights (`weights`). The same `max_probes` and `layers` are up to you.
        save_every : int, optional
            Batches between two saves; by default at least ten seconds pass, and so many that saving
            takes a twentieth of the time. At the end, and when an error or Ctrl-C ends the run, it
            is saved in any case.
        progress : bool
            Whether to draw a progress bar.

        Returns
        -------
        IUA
            Layers in the order of the network, or of the mapping.

        Raises
        ------
        ToleranceError
            If a tolerance cannot be used.
        LayerSelectionError
            If `layers` matches nothing in the model, or nothing that it calls.
        UnitsError
            If `units` or `channel_axis` is unknown, or does not fit.
        EngineError
            If there is no such engine, or not here.
        MemoryBudgetError
            If `memory` is no amount of memory, or does not do for three stops a layer.
        ProducerError
            If the stream breaks off, changes its layers or shapes, gives something that is not
            numeric, or gives no batch, or if the model is of a sort that cannot be watched. Its
            `partial` holds what was counted before.

        Warns
        -----
        IUAWarning
            If the figures need an explanation: see `notes`.

        Examples
        --------
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> batches = ({"relu": np.maximum(rng.normal(size=(32, 8)), 0)} for _ in range(4))
        >>> IUA.introspect(batches, atol=0.1)
        IUA(1 layer, 128 probes, 70 stops)
        """
        iua = IUA(
            rtol=rtol,
            atol=atol,
            scale=scale,
            dead_at=dead_at,
            tau=tau,
            stops=stops,
            keep_inactive=keep_inactive,
            units=units,
            channel_axis=channel_axis,
            engine=engine,
            memory=memory,
        )
        options = SourceOptions(
            layers=layers,
            batch_size=batch_size,
            mask=mask,
            forward=forward,
            max_probes=max_probes,
            mode=mode,
            calls=calls,
        )
        source = open_source(producer, loader, options)
        checkpoint = _checkpoint(resume, save_every)
        if checkpoint is not None and checkpoint.path.exists():
            iua._go_on_from(checkpoint.path, source.weights)
            checkpoint.went_on(iua)
        steps = iua.count(source, onward=checkpoint is not None)
        try:
            with closing(steps):
                for _ in _with_bar(steps, source, iua.probes) if progress else steps:
                    if checkpoint is not None:
                        checkpoint.counted(iua)
            if checkpoint is not None:
                checkpoint.save(iua)
            for note in iua.notes:
                warnings.warn(note, IUAWarning, stacklevel=3)
        except BaseException as error:  # Ctrl-C at any moment, too, and a disk that is full
            _keep(iua, error)
            if checkpoint is not None:
                checkpoint.save_after(error, iua)
            raise
        return iua

    def _go_on_from(self, path: Path, weights: str | None) -> None:
        """Take what a file holds as the beginning of this run.

        Raises
        ------
        FileError
            If it cannot be read, or cannot be the beginning of this run.
        """
        from iua_widget.files.run_file import read_run

        saved = read_run(path, self._engine)
        must_agree = ["units", "channel_axis", "keep_inactive"]
        if self._keep_inactive:
            must_agree.append("atol")
        here, there = self._settings(), saved.settings
        reasons = [
            f"{name} was {there[name]!r} and is {here[name]!r} now"
            for name in must_agree
            if here[name] != there[name]
        ]
        if here["stops"] != there["stops"]:
            first = first_difference(here["stops"], there["stops"])
            numbers = f"it has {len(there['stops'])} stops, and here there are {len(here['stops'])}"
            reasons.append(f"{numbers}: they first differ at {first:g}")
        if weights is not None and saved.weights and weights not in saved.weights:
            reasons.append("the model had other weights")
        if saved.position is None:
            reasons.append("it holds several runs, merged, or counted one after the other")
        if reasons:
            message = (
                f"the run cannot go on from {str(path)!r}: {reasons[0]}. Use the same settings, or "
                "another file to begin anew."
            )
            raise FileError(message)
        self._take(saved)

    def _settings(self) -> dict[str, Any]:
        """What `IUA` is made with, as JSON can hold it."""
        return {
            "rtol": self.rtol,
            "atol": self.atol,
            "scale": self.scale,
            "dead_at": self.dead_at,
            "tau": self.tau,
            "stops": self.stops,
            "keep_inactive": self._keep_inactive,
            "units": self._options.units,
            "channel_axis": self._options.channel_axis,
            "memory": self._options.memory,
        }

    def _take(self, saved: SavedRun) -> None:
        self._tallies, self._probes, self._position = saved.tallies, saved.probes, saved.position
        self._source_notes = dict.fromkeys(saved.notes)
        self._steady, self._weights = saved.steady, dict.fromkeys(saved.weights)

    def count(self, source: Source, *, onward: bool = False) -> Generator[int]:
        """Count a source batch by batch, yielding the probes of each once it is counted.

        Parameters
        ----------
        source : Source
            As `open_source` makes it.
        onward : bool
            Whether to pass over the batches that have been counted before, which must be the same
            again. Otherwise the source is another part of the data.

        Yields
        ------
        int
            Probes of the batch just counted.

        Raises
        ------
        ProducerError
            As for `IUA.introspect`; an error of the producer's or the model's own is its cause.
        """
        position = self._begin(source, onward=onward)
        number = position.batches
        pending = self._pending(source, number)
        ended_by_caller = False

        def record(layer: str, value: Any, origin: Origin = UNKNOWN, /) -> None:
            pending.record(layer, value, origin)

        def restart() -> None:
            nonlocal pending
            pending = self._pending(source, number)

        try:
            with closing(source.batches(record, restart, position)) as batches:
                for probes in batches:
                    coming = pending.check_complete()
                    with interrupts_held(), self._lock:
                        self._budget.fit(
                            self._tallies,
                            coming,
                            inputs=self._probes + probes,
                            total=source.total,
                        )
                        self._tallies = pending.commit(coming)
                        self._recount = None  # it lacks these probes
                        self._probes += probes
                        self._source_notes = _noted(source)
                        position.counted(probes)
                        number += 1
                    pending = self._pending(source, number)
                    ended_by_caller = True
                    yield probes
                    ended_by_caller = False
            with interrupts_held(), self._lock:
                count_waiting(self._tallies.values())
            self._check_counted(source)
            if not self._weights:  # those of lazy modules come with the first batch
                self._see_weights(source)
            self._source_notes = _noted(source)
        except IUAError as error:
            self._ended_by(error)
            raise
        except (Exception, GeneratorExit) as error:
            if isinstance(error, GeneratorExit) and ended_by_caller:
                raise
            raise self._broken_off(source, number, error) from error
        except BaseException as error:
            _keep(self, error)
            self._failure = Failure.of(error, self._probes)
            raise
        finally:
            with interrupts_held(), self._lock:
                for tally in self._tallies.values():
                    tally.release_buffers()
                self._engine.rest()

    def _begin(self, source: Source, *, onward: bool) -> Position:
        self._failure = None
        if not self._probes:
            self._weights = {}
        self._see_weights(source)
        if not onward:
            self._position = Position() if not self._probes else None
        self._steady = self._steady and source.steady
        position = self._position or Position()
        position.merged = self._merged_calls()
        return position

    def _broken_off(self, source: Source, number: int, error: BaseException) -> ProducerError:
        kept = " What was counted before it is kept." if number else ""
        message = f"{source.label} raised {type(error).__name__} in batch {number}: {error}.{kept}"
        wrapped = ProducerError(message, batch=number)
        self._ended_by(wrapped)
        return wrapped

    def _ended_by(self, error: IUAError) -> None:
        error.partial = self
        self._failure = Failure.of(error, self._probes)

    def _merged_calls(self) -> frozenset[str] | None:
        """Whose calls are merged in what was counted; None where nothing was."""
        if not self._tallies:
            return None
        return frozenset(base_of(name) for name, t in self._tallies.items() if t.merged_calls)

    def _check_counted(self, source: Source) -> None:
        if not self._tallies:
            message = f"{source.label} gave no batch with a response: there is nothing to count."
            raise ProducerError(message)

    def _pending(self, source: Source, number: int) -> PendingBatch:
        return PendingBatch(
            number,
            self._tallies,
            rule=self._options.rule,
            new_tally=self._new_tally,
            budget=self._budget,
            engine=self._engine,
            steady=source.steady,
            whole=source.whole_batches,
            total=source.total,
        )

    def _new_tally(self, unit_shape: tuple[int, ...], kind: str, plan: UnitPlan) -> Tally:
        return Tally(
            self._stops,
            unit_shape,
            kind=kind,
            plan=plan,
            inactive_at=self.atol if self._keep_inactive else None,
            engine=self._engine,
        )

    def _tally_or_empty(self, layer: str, like: Tally) -> Tally:
        """A layer's tally; one of no probe where only another run has reached the layer."""
        here = self._tallies.get(layer)
        return here or self._new_tally(like.unit_shape, like.kind, like.plan)

    @property
    def stops(self) -> tuple[float, ...]:
        """The tolerances at which every count is exact, ascending; the first is 0."""
        return self._stops.values

    @property
    def grid(self) -> Stops:
        """The stops as the grid on which thresholds are located."""
        return self._stops

    @property
    def plan(self) -> pd.DataFrame:
        """What each layer takes in memory: an estimate made before the first batch is counted.

        It is made again when the needs change: when a layer comes late, a batch is larger than
        all before it, or counters must be widened.

        Returns
        -------
        pandas.DataFrame
            Columns: ``layer``; ``units``; ``stops``, at how many counts of units are held; ``of``,
            how many there are; ``counter width`` in bits, when all probes to come are counted, as
            far as their number is known; ``bytes`` of the tally then; ``batch bytes``, what
            batches take until they are counted. Empty before the first batch.

        Examples
        --------
        >>> import numpy as np
        >>> iua = IUA.introspect({"a": np.zeros((8, 1000), np.float32)}, memory="1 MB")
        >>> iua.plan[["layer", "units", "stops", "of", "bytes"]]
          layer  units  stops  of   bytes
        0     a   1000     70  70  113000
        """
        return plan_table(self._budget.plans, len(self._stops))

    @property
    def memory(self) -> int:
        """Bytes that a run may hold."""
        return self._budget.bytes

    @property
    def held(self) -> int:
        """Bytes that the counts take now. See `plan` for what they will take.

        Examples
        --------
        >>> import numpy as np
        >>> IUA.introspect({"a": np.zeros((8, 1000), np.float32)}).held
        113000
        """
        return sum(tally.nbytes for tally in self._tallies.values())

    @property
    def layers(self) -> list[str]:
        """The names of the layers, in the order of the network."""
        return list(self._tallies)

    @property
    def probes(self) -> int:
        """Inputs counted so far. A layer counted by token has more probes: see its result."""
        return self._probes

    @property
    @as_ieee
    def notes(self) -> list[str]:
        """What a reader should know beside the figures.

        Layers that were never called, got no input, or have their nonlinearity inside, ReLUs whose
        result is cut further, nets without exact zeros, responses that are not finite and in which
        batches they came first, masks that do not fit, tolerances that vanish in a layer's
        precision, and the like; one sentence or two each.
        """
        with self._lock:
            return [*self.notes_at(self.atol), *zero_notes(self._tallies, self.tolerances())]

    @as_ieee
    def notes_at(self, atol: float) -> list[str]:
        """The `notes` where `atol` is the tolerance on show."""
        with self._lock:
            notes = [
                *self.kept_notes(),
                *self._weights_notes(),
                *tally_notes(self._tallies, atol, self._probes),
            ]
            thinned = [name for name, tally in self._tallies.items() if tally.thinned]
            if thinned:
                notes.append(self._thinned_note(thinned))
            return notes

    def _check_weights(self, source: Source) -> None:
        weights = source.weights if self._weights else None
        if weights is not None and weights not in self._weights:
            message = f"the model has other weights than when it was counted first. {SAME_DATA}"
            raise ProducerError(message)

    def _see_weights(self, source: Source) -> None:
        weights = source.weights
        if weights is not None:
            self._weights[weights] = None

    @property
    def weights(self) -> tuple[str, ...]:
        """Fingerprints of the weights that were counted with: one, where they were the same.

        A checksum over the parameters of the model, taken when a run begins, and kept in files.
        Equal weights have equal ones, on whatever device. Empty for producers, and for models whose
        parameters are not all here.

        Examples
        --------
        >>> import torch
        >>> relu = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU())
        >>> one, other = (IUA.introspect(relu, torch.zeros(probes, 2)) for probes in (4, 5))
        >>> one.weights == other.weights
        True
        """
        return tuple(self._weights)

    def _weights_notes(self) -> list[str]:
        return [_OTHER_WEIGHTS] if len(self._weights) > 1 else []

    def kept_notes(self) -> list[str]:
        """Those of the `notes` that cannot be told from the counts, and are saved with them."""
        broke_off = [] if self._failure is None else [self._failure.note]
        return [*self._source_notes, *broke_off]

    @property
    def failure(self) -> Failure | None:
        """What the run broke off with, which `notes` tell; None where it has not."""
        return self._failure

    def nothing_counted(self, so: str) -> NoProbesError:
        """The error for a reader of what is not there: it leads to what ended the run.

        Parameters
        ----------
        so : str
            What cannot be done, such as ``"there is nothing to read"``.
        """
        if self._failure is None:
            return NoProbesError(f"nothing has been counted yet, so {so}.")
        return self._failure.reported(f"nothing was counted, so {so}")

    def _thinned_note(self, layers: list[str]) -> str:
        fewest = min(len(self._tallies[layer].columns) for layer in layers) - 1
        counted_here = self._budget.plans or self._budget.asked is not None
        within = f"memory={self._budget.words!r}" if counted_here else "the memory that was free"
        return (
            f"Units are counted at fewer tolerances in {named(layers)} (at {fewest} of "
            f"{len(self._stops)} at the fewest), to stay within {within}; between these they are "
            "known as ranges."
        )

    @property
    def results(self) -> Mapping[str, LayerResult]:
        """Each layer's result at the tolerances given to `introspect`, as in DNIKit.

        Raises
        ------
        NoProbesError
            If no probe has been counted.
        """
        return self.at().results

    @known_arguments_only
    def at(
        self,
        atol: float | None = None,
        rtol: float | None = None,
        scale: Scale | None = None,
        dead_at: float | None = None,
        tau: float | None = None,
    ) -> Reading:
        """Read all layers at other tolerances, without another run.

        Parameters
        ----------
        atol, rtol : float, optional
            As given to `introspect` where left out.
        scale : {"zero", "layer_mean", "unit_rms", "unit_max"}, optional
            What `rtol` is relative to; as given to `introspect` where left out.
        dead_at : float, optional
            The share of its finite probes from which on a unit is dead; likewise.
        tau : float, optional
            From where on down a unit is dormant; likewise.

        Returns
        -------
        Reading
            Exact where each layer's threshold is a stop, or has been recounted (`recount`);
            otherwise with bounds below and above.

        Raises
        ------
        ToleranceError
            If a tolerance is negative, NaN, infinite or not a number, or the scale is unknown.
        NoProbesError
            If no probe has been counted.

        Examples
        --------
        >>> import numpy as np
        >>> iua = IUA.introspect({"a": np.array([[0.001], [0.2]])})
        >>> iua.at(atol=1e-3).results["a"].unit_inactive_count
        array([1])
        >>> between = iua.at(atol=0.19)
        >>> between.exact, between.lower["a"], between.upper["a"]
        (False, array([1]), array([2]))
        """
        tolerances = self.tolerances(atol, rtol, scale, dead_at, tau)
        with self._lock:
            self._check_read()
            results = {
                name: read_layer(tally, tolerances, self.recounted(name, tolerances))
                for name, tally in self._tallies.items()
            }
        return Reading(results, tolerances)

    def _check_read(self) -> None:
        if self._probes:
            return
        if self._tallies and self._failure is None:
            message = "the producer gave only empty batches: there is nothing to read."
            raise NoProbesError(message)
        so = "there is nothing to read"
        raise self.nothing_counted(so)

    @known_arguments_only
    def recount(
        self,
        producer: Any,
        loader: Any = None,
        *,
        atol: float | None = None,
        rtol: float | None = None,
        scale: Scale | None = None,
        batch_size: int = 32,
        layers: Any = None,
        mask: MaskOption | None = None,
        forward: Callable[[Any, Any], Any] | None = None,
        max_probes: int | None = None,
        mode: Mode = "eval",
        calls: CallsOption = "auto",
        progress: bool = False,
    ) -> Reading:
        """Stream the same data once more, and count exactly at tolerances between stops.

        From then on `at`, `units` and `channels` are exact in every layer at these tolerances, with
        standard deviations, and for any `dead_at`: until more is counted, or another recount. It
        is not saved to files.

        Parameters
        ----------
        producer, loader, batch_size, layers, mask, forward, max_probes, mode, calls, progress
            As they were given to `introspect`. The order of the probes does not matter.
        atol, rtol, scale
            As in `at`.

        Returns
        -------
        Reading
            At these tolerances: exact.

        Raises
        ------
        ToleranceError, NoProbesError
            As in `at`.
        ProducerError
            If the stream is not the same again: other probes, or counts that the first run rules
            out. Nothing of the recount is kept then.

        Examples
        --------
        >>> import numpy as np
        >>> data = {"relu": np.array([[0.0, 0.12], [0.19, 0.3]])}
        >>> iua = IUA.introspect(data)
        >>> between = iua.at(atol=0.19, dead_at=0.5).results["relu"]
        >>> between.lower, between.upper
        (array([1, 1]), array([2, 1]))
        >>> exact = iua.recount(data, atol=0.19).results["relu"]
        >>> exact.unit_inactive_count, iua.at(atol=0.19).exact
        (array([2, 1]), True)
        """
        tolerances = self.tolerances(atol, rtol, scale, None)
        options = SourceOptions(
            layers=layers,
            batch_size=batch_size,
            mask=mask,
            forward=forward,
            max_probes=max_probes,
            mode=mode,
            calls=calls,
        )
        source = open_source(producer, loader, options)
        steps = self.recounting(source, tolerances)
        for _ in _with_bar(steps, source, 0) if progress else steps:
            pass
        return self.at(tolerances.atol, tolerances.rtol, tolerances.scale)

    def recounting(self, source: Source, tolerances: Tolerances) -> Generator[int]:
        """Recount a source batch by batch, yielding the probes of each: what `recount` drives.

        Raises
        ------
        NoProbesError, ProducerError
            As `recount`.
        """
        with self._lock:
            tallies, counted = self._tallies, self._probes
            if not counted:
                so = "there is nothing to count again"
                raise self.nothing_counted(so)
            self._check_weights(source)
            recount = Recount.of(tallies, tolerances)
        position = Position(merged=self._merged_calls())
        number = 0
        batch = RecountBatch(number, tallies, recount)

        def record(layer: str, value: Any, origin: Origin = UNKNOWN, /) -> None:
            batch.record(layer, value, origin)

        def restart() -> None:
            nonlocal batch
            batch = RecountBatch(number, tallies, recount)

        try:
            with closing(source.batches(record, restart, position)) as batches:
                for probes in batches:
                    batch.commit()
                    number += 1
                    batch = RecountBatch(number, tallies, recount)
                    yield probes
        except IUAError:
            raise
        except Exception as error:
            message = f"{source.label} raised {type(error).__name__} in batch {number}: {error}."
            raise ProducerError(message, batch=number) from error
        with self._lock:
            recount.check(tallies, same=self._probes == counted)
            self._recount = recount

    @property
    def last_recount(self) -> Recount | None:
        """The last recount, unless more has been counted since."""
        return self._recount

    def recounted(self, layer: str, tolerances: Tolerances) -> LayerRecount | None:
        """What the last recount says of a layer, if it was made at these tolerances."""
        recount = self._recount
        if recount is None or not recount.answers(tolerances):
            return None
        return recount.layers[layer]

    @known_arguments_only
    def units(
        self,
        layer: str,
        *,
        atol: float | None = None,
        rtol: float | None = None,
        scale: Scale | None = None,
        dead_at: float | None = None,
        tau: float | None = None,
    ) -> pd.DataFrame:
        """One layer's units, one row a unit.

        Parameters
        ----------
        layer : str
        atol, rtol, scale, dead_at, tau
            As in `at`.

        Returns
        -------
        pandas.DataFrame
            Columns: ``unit`` (index in C order), one column for each axis of a response of several
            axes (``channel``, ``row``, ``column`` for three), ``inactive count``,
            ``inactive share``, ``dead``, ``dormant`` (where a channel has several units: whether
            its channel is), ``mean |x|``, ``rms``, ``max |x|``, ``nan``, ``infinite``; with a unit
            scale ``threshold``; where counts are not exact also ``inactive count upper`` and ``dead
            upper``.

        Raises
        ------
        LayerSelectionError
            If there is no such layer.
        ToleranceError, NoProbesError
            As in `at`.
        """
        from iua_widget.reading.tables import unit_table

        tolerances = self.tolerances(atol, rtol, scale, dead_at, tau)
        with self._lock:
            self._check_read()
            return unit_table(self.tally(layer), tolerances, self.recounted(layer, tolerances))

    @known_arguments_only
    def channels(
        self,
        layer: str,
        *,
        atol: float | None = None,
        rtol: float | None = None,
        scale: Scale | None = None,
        dead_at: float | None = None,
        tau: float | None = None,
    ) -> pd.DataFrame:
        """One layer's channels, one row a channel: which are dead at every position.

        Parameters
        ----------
        layer : str
        atol, rtol, scale, dead_at, tau
            As in `at`.

        Returns
        -------
        pandas.DataFrame
            Columns: ``channel``, ``units`` in it, ``dead units``, ``inactive share`` over its units
            and the probes, ``dead`` (every unit of it is), ``dormant``, ``mean |x|``; where counts
            are not exact also ``dead upper``. Where a channel is one unit, the columns of `units`.

        Raises
        ------
        LayerSelectionError
            If there is no such layer.
        ToleranceError, NoProbesError
            As in `at`.

        Examples
        --------
        >>> import numpy as np
        >>> maps = np.zeros((5, 2, 4, 4))  # probes, channels, rows, columns
        >>> maps[3, 1, 2, 2] = 1
        >>> IUA.introspect({"conv": maps}).channels("conv")[["units", "dead units", "dead"]]
           units  dead units   dead
        0     16          16   True
        1     16          15  False
        """
        from iua_widget.reading.tables import channel_table

        tolerances = self.tolerances(atol, rtol, scale, dead_at, tau)
        with self._lock:
            self._check_read()
            return channel_table(self.tally(layer), tolerances, self.recounted(layer, tolerances))

    @known_arguments_only
    def worst(
        self,
        n: int = 10,
        by: str = "inactive share",
        *,
        layers: str | Iterable[str] | None = None,
        positions: bool = False,
        atol: float | None = None,
        rtol: float | None = None,
        scale: Scale | None = None,
        dead_at: float | None = None,
    ) -> pd.DataFrame:
        """The worst units of the whole network, the worst first.

        Where a channel has several units, as in feature maps counted by element, the channel is
        ranked, over all its positions. Equals are told apart by their largest ``abs(x)``, the
        smaller first, then by the mean ``abs(x)``; then what has more responses comes first (of as
        many probes, the channel of more positions), and then what is earlier in the network. What
        was finite on no probe comes last, and layers that no probe has reached are not there.

        Parameters
        ----------
        n : int
            How many to list.
        by : {"inactive share", "mean |x|", "rms", "max |x|"}
            The largest share first, or the smallest magnitude.
        layers : str or iterable of str, optional
            Names of layers, or globs; all by default.
        positions : bool
            Whether to rank the units of maps, each position for itself.
        atol, rtol, scale, dead_at
            As in `at`.

        Returns
        -------
        pandas.DataFrame
            Columns: ``rank``, from 1; ``response``, the layer; ``unit``, the channel's index, or
            the unit's in C order; ``unit is``, "channel" or "unit"; where a unit has several axes,
            ``position`` on them; ``inactive share`` of the probes on which it was finite (of a
            channel: over its positions); ``mean |x|``, ``rms`` and ``max |x|``; ``dead`` (a
            channel: at every position); ``units`` of which it consists and ``dead units`` among
            them, 1 and 0 or 1 for single units. Where counts are not exact also ``inactive share
            upper``, ``dead upper`` and ``dead units upper``, and the order is that of the lower
            bounds. Its `attrs` say at which tolerances it was ranked, and by what.

        Raises
        ------
        TypeError, ValueError
            If `n` is no number of units, or units cannot be ranked by `by`.
        LayerSelectionError
            If a name or glob matches no layer.
        ToleranceError, NoProbesError
            As in `at`.

        Examples
        --------
        >>> import numpy as np
        >>> maps = np.ones((5, 3, 4, 4))  # probes, channels, rows, columns
        >>> maps[:, 1] = 0  # a dead channel
        >>> iua = IUA.introspect({"conv": maps, "head": np.eye(5, 2)})
        >>> iua.worst(3)[["response", "unit", "unit is", "inactive share", "dead"]]
          response  unit  unit is  inactive share   dead
        0     conv     1  channel             1.0   True
        1     head     0     unit             0.8  False
        2     head     1     unit             0.8  False
        """
        from iua_widget.reading.worst_table import worst_table
        from iua_widget.reading.worst_units import check_number, check_ranked_by, find_worst

        n, by = check_number(n), check_ranked_by(by)
        at = self.tolerances(atol, rtol, scale, dead_at)
        with self._lock:
            self._check_read()
            chosen = choose_layers(layers, self.layers)
            tallies = {name: self.tally(name) for name in chosen}
            worst = find_worst(tallies, [at], n, by=by, positions=positions, recount=self._recount)
        return worst_table(tallies, at, worst, by=by, positions=positions)

    def tolerances(
        self,
        atol: float | None = None,
        rtol: float | None = None,
        scale: Scale | None = None,
        dead_at: float | None = None,
        tau: float | None = None,
    ) -> Tolerances:
        """Check what is given; what is left out is as given to `introspect`.

        Raises
        ------
        ToleranceError
            If one of them cannot be used.
        """
        ours = Tolerances(self.rtol, self.atol, self.scale, self.dead_at, self.tau)
        return ours.but(rtol=rtol, atol=atol, scale=scale, dead_at=dead_at, tau=tau)

    def to_pandas(self) -> pd.DataFrame:
        """The layer table at the tolerances of `results`: see `Reading.to_pandas`."""
        return self.at().to_pandas()

    def tally(self, layer: str) -> Tally:
        """The counts of one layer.

        Raises
        ------
        LayerSelectionError
            If there is no such layer.
        """
        if not self._tallies and self._failure is not None:
            so = "there are no layers"
            raise self.nothing_counted(so)
        try:
            return self._tallies[layer]
        except (KeyError, TypeError):
            raise unknown_layer(layer, self.layers) from None

    @property
    def lock(self) -> TurnLock:
        """Held while a batch is counted: hold it to read several tallies of the same moment."""
        return self._lock

    def merge(*runs: IUA) -> IUA:
        """A new result of several streams, as if one run had counted them one after another.

        Parameters
        ----------
        *runs : IUA
            Of the same layers, units and stops: runs over several shards of the data, of several
            processes, or loaded from files. Called on a run, that is the first. Of a model, a
            layer may be there that some of them never reached.

        Returns
        -------
        IUA
            The first one's probes come first. Itself where there are no others.

        Raises
        ------
        MergeError
            If they cannot be one run, saying how they differ.

        Warns
        -----
        IUAWarning
            If the model's weights differed, which `notes` say from then on, too.

        Examples
        --------
        >>> import numpy as np
        >>> shards = [IUA.introspect({"relu": np.eye(4)[start::2]}) for start in range(2)]
        >>> IUA.merge(*shards)
        IUA(1 layer, 4 probes, 70 stops)
        """
        for run in runs:
            if not isinstance(run, IUA):
                message = (
                    f"an IUA can be merged with an IUA, and {type(run).__name__} is none: write "
                    "IUA.merge(one, other), of files IUA.merge(*map(IUA.load, paths))."
                )
                raise MergeError(message)
        if not runs:
            message = "there is nothing to merge: write IUA.merge(one, other)."
            raise MergeError(message)
        merged = functools.reduce(IUA._merged, runs)
        if len({frozenset(run.weights) for run in runs if run.weights}) > 1:
            warnings.warn(_OTHER_WEIGHTS, IUAWarning, stacklevel=2)
        return merged

    def _merged(self, other: IUA) -> IUA:
        both = set(self.layers) & set(other.layers)
        apart = [name for name in merged_order(self.layers, other.layers) if name not in both]
        # A model may pass by a layer; arrays of other names are another network's.
        if apart and (not both or self._steady or other._steady):
            here = sorted(set(self.layers) - set(other.layers))
            there = sorted(set(other.layers) - set(self.layers))
            message = f"the layers differ: only here {here[:5]}, only there {there[:5]}."
            raise MergeError(message)
        both_keep = self._keep_inactive and other._keep_inactive
        merged = IUA(**{**self._settings(), "keep_inactive": both_keep})
        merged._engine = self._engine
        merged._position = None
        # In one order whichever is merged into which: two threads may merge both ways at once.
        first, second = sorted((self._lock, other._lock), key=id)
        with first, second:
            merged._probes = self._probes + other._probes
            merged._source_notes = dict.fromkeys(
                notes_of_both(self.kept_notes(), other.kept_notes())
            )
            merged._steady = self._steady and other._steady
            merged._weights = self._weights | other._weights
            if apart:
                note = f"Only in some of the runs that were merged was there {named(apart)}."
                merged._source_notes[note] = None
            for name in merged_order(self.layers, other.layers):
                known = self._tallies.get(name) or other._tallies[name]
                mine = self._tally_or_empty(name, known)
                try:
                    merged._tallies[name] = mine.merged(other._tally_or_empty(name, known))
                except MergeError as error:
                    message = f"layer {name!r}: {error}"
                    raise MergeError(message) from None
        return merged

    @known_arguments_only
    def save(self, path: str | Path) -> Path:
        """Save all that is needed to continue, merge or show, to one file.

        A ZIP of NumPy arrays and JSON, compressed, that `numpy.load` reads: see
        ``docs/file-format.md``. It is written beside the old file and takes its place when it is
        complete. A run that counts on meanwhile waits.

        Parameters
        ----------
        path : str or Path

        Returns
        -------
        Path
            Where it is.

        Raises
        ------
        FileError
            If it cannot be written there.

        Examples
        --------
        >>> import tempfile
        >>> import numpy as np
        >>> iua = IUA.introspect({"relu": np.array([[0.0, 0.5], [0.0, 0.0]])})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     IUA.load(iua.save(f"{folder}/run.iua"))
        IUA(1 layer, 2 probes, 70 stops)
        """
        from iua_widget.files.run_file import SavedRun, write_run

        path = as_path(path)
        with self._lock:
            notes = self.kept_notes()
            run = SavedRun(
                self._settings(),
                self._probes,
                notes,
                self._position,
                self._tallies,
                self._steady,
                list(self._weights),
            )
            write_run(path, run)
        return path

    @staticmethod
    @known_arguments_only
    def load(path: str | Path, *, engine: EngineName = "auto") -> IUA:
        """Read what `save` has written: to show it, to merge it, or to count on.

        Parameters
        ----------
        path : str or Path
        engine : {"auto", "cpu", "device", "reference"}
            What counts from here on.

        Raises
        ------
        FileError
            If the file is not there, is truncated, altered, of a newer version, or was not written
            by `save`.
        """
        from iua_widget.files.run_file import read_run

        path = as_path(path)
        saved = read_run(path, choose_engine(engine))
        try:
            iua = IUA(**saved.settings, engine=engine)
        except (MemoryBudgetError, ToleranceError, UnitsError) as error:
            message = f"{str(path)!r} holds settings that cannot be: {error}"
            raise FileError(message) from None
        iua._take(saved)
        return iua

    @staticmethod
    @known_arguments_only
    def show(
        iua: IUA | Reading,
        *,
        vis_type: str = VisType.TABLE,
        response_names: str | Iterable[str] | None = None,
    ) -> Any:
        """Show results as a table or as heatmaps.

        Parameters
        ----------
        iua : IUA or Reading
            A result, or a result at other tolerances (``iua.at(atol=1e-3)``).
        vis_type : {IUA.VisType.TABLE, IUA.VisType.CHART}
        response_names : str or iterable of str, optional
            The layers to show; all by default.

        Returns
        -------
        pandas.DataFrame
            For a table: DNIKit's columns first, then ours (see `Reading.to_pandas`). Rows come in
            the order of the network; DNIKit sorts them by name.
        altair.Chart or numpy.ndarray of altair.Chart
            For charts: one heatmap for one layer, an array of them for several, as DNIKit returns
            its axes. Lighter units have been active more often.

        Raises
        ------
        LayerSelectionError
            A ValueError: if a layer is not there, or none is asked for.
        ValueError
            If `vis_type` is neither.
        TypeError
            If `iua` is neither.
        """
        if not isinstance(iua, (IUA, Reading)):
            message = (
                f"IUA.show takes an IUA, or what its `at` returns, and {type(iua).__name__} is "
                "neither. For a widget `w`, show `w.iua`."
            )
            raise TypeError(message)
        reading = iua.at() if isinstance(iua, IUA) else iua
        if vis_type == IUA.VisType.TABLE:
            return reading.to_pandas(response_names)
        if vis_type == IUA.VisType.CHART:
            from iua_widget.reading.charts import heatmaps

            return heatmaps(reading, response_names)
        message = (
            f"vis_type is {vis_type!r}, and must be IUA.VisType.TABLE ('table') or "
            "IUA.VisType.CHART ('chart')."
        )
        raise ValueError(message)

    def __repr__(self) -> str:
        layers = f"{len(self._tallies)} layer{'' if len(self._tallies) == 1 else 's'}"
        return f"IUA({layers}, {self.probes} probes, {len(self._stops)} stops)"

    def _repr_html_(self) -> str | None:
        return self.at()._repr_html_() if self.probes else None


def _keep(iua: IUA, error: BaseException) -> None:
    """Have what was counted at hand where a run has been interrupted, or could not be saved."""
    if getattr(error, "partial", None) is None:
        error.partial = iua  # type: ignore[attr-defined]
        error.add_note("What was counted before is kept, as `partial` of this exception.")


def _noted(source: Source) -> dict[str, None]:
    """What was noted about a source, and about the thread that counts it."""
    return dict.fromkeys([*source.notes, *([FLUSHED] if flushes() else [])])


def _with_bar(steps: Iterable[int], source: Source, counted: int) -> Generator[int]:
    from tqdm.auto import tqdm

    with tqdm(total=source.total, unit=" probes", desc=source.label, initial=counted) as bar:
        for probes in steps:
            bar.total = source.total
            bar.update(probes)
            yield probes


def _checkpoint(resume: str | Path | None, save_every: int | None) -> Checkpoint | None:
    if resume is not None:
        return Checkpoint(resume, save_every)
    if save_every is not None:
        message = (
            "save_every= says how often the run is saved to a file: name the file, too, with "
            "resume='run.iua'."
        )
        raise ProducerError(message)
    return None
