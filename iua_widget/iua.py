"""IUA: Inactive Unit Analysis with DNIKit's interface, counted once for all tolerances."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from iua_widget.common.arguments import known_arguments_only
from iua_widget.common.atomic_write import as_path
from iua_widget.common.layer_names import choose_layers
from iua_widget.engines.choice import EngineName
from iua_widget.errors import IUAWarning, NoBatchError
from iua_widget.files.checkpoint import Checkpoint, begin, checkpoint_at
from iua_widget.files.run_file import read_run, run_bytes, write_run
from iua_widget.memory.plan import plan_table
from iua_widget.options import (
    CallsOption,
    CountOptions,
    GroupsOption,
    MaskOption,
    Mode,
    SourceOptions,
)
from iua_widget.reading.comparison import Comparison
from iua_widget.reading.results import LayerResult, Reading, read_layer
from iua_widget.reading.show import CHART, TABLE, show
from iua_widget.run.compare import compared
from iua_widget.run.failure import keep_partial
from iua_widget.run.gathering import CountedSource
from iua_widget.run.loop import recount
from iua_widget.run.merge import merged
from iua_widget.run.notes import all_notes
from iua_widget.run.open import open_source
from iua_widget.run.progress import drive
from iua_widget.run.read import read
from iua_widget.run.run import Run
from iua_widget.scale.all_reduce import all_reduced
from iua_widget.scale.open_counted import open_counted
from iua_widget.scale.ranks import Ranks
from iua_widget.scale.sampler import OwnSamples, own_samples
from iua_widget.scale.telling import failures_told
from iua_widget.scale.tensor_parallel import check_layers_whole
from iua_widget.sources.source import Source
from iua_widget.tolerances import DEFAULT_TAU, Scale, Tolerances, check_dead_at

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from torch.distributed import ProcessGroup


class IUA:
    """The inactive units of every layer, at every tolerance.

    Made by `IUA.introspect`, which streams a producer once. A unit is inactive on a probe where
    ``abs(x) <= atol + rtol * scale``; with scale ``"zero"`` that is ``numpy.isclose(x, 0)``, and
    the figures are DNIKit's.

    It is read like a mapping of layer to result: ``iua["relu"]``, ``len(iua)``, ``"relu" in iua``
    and ``for layer in iua``. Reading is safe while another thread counts: what is read is always
    of whole batches.

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
    top_probes : int or mapping of str to int
        How many inputs to keep that have the largest responses of a unit: see `introspect`.
    causes : bool
        Whether to count what tells why units are dead or stuck: see `introspect`.

    Raises
    ------
    ToleranceError
        If a tolerance or a stop is no finite number, zero or more, or there is no such scale: give
        one of those that the message names.
    UnitsError
        If there is no such choice of units, or axis 0 is to count the channels: it counts the
        probes.
    EngineError
        If there is no such engine, or not here: leave `engine` out.
    MemoryBudgetError
        If `memory` is no amount of memory: write ``"2 GiB"``, or a number of bytes.

    References
    ----------
    DNIKit, "Finding a Model's Inactive Units" (Apple, 2023).

    Examples
    --------
    >>> import numpy as np
    >>> iua = IUA.introspect({"relu": np.array([[0.0, 0.5], [0.0, 0.0]])})
    >>> iua["relu"].mean_inactive
    1.5
    >>> iua.at(atol=0.5).results["relu"].dead
    2
    """

    __slots__ = ("__weakref__", "_run")

    Result: ClassVar = LayerResult

    class VisType:
        """What `IUA.show` makes."""

        CHART: Final = CHART
        TABLE: Final = TABLE

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
        top_probes: int | Mapping[str, int] = 0,
        causes: bool = False,
    ) -> None:
        self._run = Run(
            CountOptions(
                tolerances=Tolerances(rtol, atol, scale, dead_at, tau),
                stops=stops,
                keep_inactive=keep_inactive,
                units=units,
                channel_axis=channel_axis,
                engine=engine,
                memory=memory,
                top_probes=top_probes,
                causes=causes,
            )
        )

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
        groups: GroupsOption | None = None,
        group_names: Mapping[Any, str] | Sequence[str] | None = None,
        stops: Iterable[float] | None = None,
        keep_inactive: bool = True,
        engine: EngineName = "auto",
        memory: str | int | None = None,
        top_probes: int | Mapping[str, int] = 0,
        causes: bool = False,
        resume: str | Path | None = None,
        save_every: int | None = None,
        progress: bool = False,
        distributed: bool = False,
        ray_options: Mapping[str, Any] | None = None,
    ) -> IUA:
        """Stream a producer and count every layer's inactive units at all stops.

        Parameters
        ----------
        producer : mapping, callable, iterable or torch.nn.Module
            One mapping ``{layer: array}``, cut into batches of `batch_size`; an iterable of such
            mappings, one a batch; a callable ``producer(batch_size)`` that yields them, or that
            yields objects with `fields` (DNIKit's producers and pipelines); or a model, with
            `loader`. An array's first axis counts the probes.
        loader : iterable, Dataset, Tensor, numpy.ndarray or ray.data.Dataset, optional
            The model's inputs. A batch is a tensor, a tuple with the input first, or a mapping of
            keyword arguments; it is moved to the model's device. The batches of a Ray dataset are
            counted on Ray's workers: one is a mapping of its columns, or the column itself where
            there is only one.
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
        groups : int, str, callable or array_like, optional
            Where the label of each probe is, to count the probes of each label by themselves, too:
            see `group` and `by_group`. The place in a batch that is a tuple (1 for ``(x, y)``); the
            field of one that is a mapping (which then is no layer); a function of the batch, as the
            loader gives it, that returns one label a probe; or the labels of all probes, where
            these come in its order: of a tensor, of arrays, of a Dataset. Labels are integers,
            texts, or whatever can be the key of a dict, of at most 1,000 groups, each of which
            takes as much memory as all probes.
        group_names : mapping or sequence of str, optional
            The names of groups by label, ``{3: "cat"}``, or in the order of the labels 0, 1, ...;
            labels of one name are one group. By default a group is called as its label prints.
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
        top_probes : int or mapping of str to int
            Of each unit, how many inputs to keep that have its largest responses, and where these
            are: see `top_probes`. For all layers, or by layer name or glob, others having none:
            ``{"layer4.*": 8}``. Each takes 24 bytes a unit of the memory, and each layer that has
            some is counted by itself. 0, the default, keeps none, and costs nothing.
        causes : bool
            Whether to count what tells why units are dead or stuck as well: pre-activations, where
            the input of an activation is at hand, and how often it is at its bound. Columns of
            `units` tell them, and `findings` why each dead unit is dead. It takes 104 bytes a unit,
            and the fast ways of counting are off.
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
        distributed : bool
            Whether each rank of a job that `torchrun` has started counts its part of the data, and
            then has the result of all: see `all_reduce`. Ranks may have unequally many batches, or
            none. Samples that a ``DistributedSampler`` repeats are left out, or a note tells of
            them. Each rank has a `resume` file of its own.
        ray_options : mapping, optional
            With a Ray dataset: arguments of its `map_batches` that say where batches are counted,
            such as ``{"compute": ray.data.ActorPoolStrategy(size=4), "num_gpus": 1}``. With GPUs
            the model is moved to them.

        Returns
        -------
        IUA
            Layers in the order of the network, or of the mapping.

        Raises
        ------
        ToleranceError
            If a tolerance or a stop cannot be used: give a finite number, zero or more.
        LayerSelectionError
            If `layers` matches nothing in the model, or nothing that it calls: `response_infos`
            lists what there is.
        UnitsError
            If `units` or `channel_axis` is unknown, or does not fit a layer, which the message
            names.
        EngineError
            If there is no such engine, or not here: leave `engine` out.
        MemoryBudgetError
            If `memory` is no amount of memory, or does not do for three stops a layer: give more,
            count by channel, or choose fewer layers.
        FileError
            If `resume` names a file that cannot be written, or cannot be the beginning of this
            run: use the settings it was counted with, or another file.
        ProducerError
            If the stream breaks off, changes its layers or shapes, gives something that is not
            numeric, or gives no batch, or if the model is of a sort that cannot be watched. Its
            `partial` holds what was counted before.
        DistributedError, MergeError
            As for `all_reduce`, on every rank, where one fails or differs; `partial` holds what
            was counted on this one.

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
        ranks = Ranks() if distributed else None
        with failures_told(ranks):
            counting = CountOptions(
                tolerances=Tolerances(rtol, atol, scale, dead_at, tau),
                stops=stops,
                keep_inactive=keep_inactive,
                units=units,
                channel_axis=channel_axis,
                engine=engine,
                memory=memory,
                top_probes=top_probes,
                causes=causes,
            )
            options = SourceOptions(
                layers=layers,
                batch_size=batch_size,
                mask=mask,
                forward=forward,
                max_probes=max_probes,
                mode=mode,
                calls=calls,
                causes=causes,
                groups=groups,
                group_names=group_names,
            )
            if ranks is not None:
                check_layers_whole(producer)
            own = OwnSamples(loader, options) if ranks is None else own_samples(loader, options)
            source = open_counted(producer, own.loader, own.options, ray_options)
            checkpoint = checkpoint_at(resume, save_every)
            iua = _counted(source, counting, checkpoint, progress=progress, ranks=ranks)
        return iua if ranks is None else _of_all(iua, ranks, own.note)

    @property
    def tolerances(self) -> Tolerances:
        """The tolerances of `results`, and of all that is read without naming others."""
        return self._run.options.tolerances

    @property
    def stops(self) -> tuple[float, ...]:
        """The tolerances at which every count is exact, ascending; the first is 0."""
        return self._run.options.grid.values

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
            batches take until they are counted, copies of their responses included where small
            layers are counted together. Empty before the first batch.

        Examples
        --------
        >>> import numpy as np
        >>> iua = IUA.introspect({"a": np.zeros((8, 1000), np.float32)}, memory="1 MB")
        >>> iua.plan[["layer", "units", "stops", "of", "bytes"]]
          layer  units  stops  of   bytes
        0     a   1000     70  70  113000
        """
        return plan_table(self._run.budget.plans, len(self.stops))

    @property
    def memory(self) -> int:
        """Bytes that a run may hold."""
        return self._run.budget.bytes

    @property
    def layers(self) -> list[str]:
        """The names of the layers, in the order of the network."""
        return list(self._run.tallies)

    @property
    def probes(self) -> int:
        """Inputs counted so far. A layer counted by token has more probes: see its result."""
        return self._run.probes

    @property
    def notes(self) -> list[str]:
        """What a reader should know beside the figures.

        Layers that were never called, got no input, or have their nonlinearity inside, ReLUs whose
        result is cut further, nets without exact zeros, responses that are not finite and in which
        batches they came first, masks that do not fit, tolerances that vanish in a layer's
        precision, and the like; one sentence or two each.
        """
        return all_notes(self._run, self.tolerances)

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
        return tuple(self._run.weights)

    @property
    def results(self) -> Mapping[str, LayerResult]:
        """Each layer's result at the tolerances given to `introspect`, as in DNIKit.

        Returns
        -------
        mapping of str to LayerResult
            In the order of the network.

        Raises
        ------
        NoProbesError
            If no probe has been counted: see `at`.

        Examples
        --------
        >>> import numpy as np
        >>> IUA.introspect({"relu": np.array([[0.0, 0.5]])}).results["relu"].inactive
        [1]
        """
        return self.at().results

    @known_arguments_only
    def at(
        self,
        *,
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
            If a tolerance is no finite number, zero or more, or there is no such scale: give one
            of those that the message names.
        NoProbesError
            If no probe has been counted; where the run broke off, the message and the cause of the
            error say why.

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
        at = self.tolerances.but(atol=atol, rtol=rtol, scale=scale, dead_at=dead_at, tau=tau)
        return read(self._run, at)

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
        at = self.tolerances.but(atol=atol, rtol=rtol, scale=scale)
        source = open_source(
            producer,
            loader,
            SourceOptions(
                layers=layers,
                batch_size=batch_size,
                mask=mask,
                forward=forward,
                max_probes=max_probes,
                mode=mode,
                calls=calls,
            ),
        )
        drive(recount(self._run, source, at), source, progress=progress)
        return read(self._run, at)

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
            One of `layers`.
        atol, rtol, scale, dead_at, tau
            As in `at`.

        Returns
        -------
        pandas.DataFrame
            Columns: ``unit`` (index in C order), one column for each axis of a response of several
            axes (``channel``, ``row``, ``column`` for three), ``inactive count``,
            ``inactive share``, ``dead``, ``active rate below`` (of a unit that was active on no
            finite probe: see `dead_units`; NaN of others), ``dormant`` (where a channel has several
            units: whether its channel is), ``mean |x|``, ``rms``, ``max |x|``, ``nan``,
            ``infinite``; with ``causes=True`` also ``max pre-activation`` and ``mean
            pre-activation`` (finite ones, with their sign, where the input of an activation is at
            hand), ``constant`` (all finite responses within `atol` of each other, on two probes
            at least), ``finding`` (why a dead unit is dead: see `findings`) and, where the
            activation has a bound, ``share at bound``; with a unit scale
            ``threshold``; where counts are not exact also ``inactive count upper`` and ``dead
            upper``.

        Raises
        ------
        LayerSelectionError
            If there is no such layer: the message has the names that come nearest.
        ToleranceError, NoProbesError
            As in `at`.

        Examples
        --------
        >>> import numpy as np
        >>> iua = IUA.introspect({"relu": np.array([[0.0, 0.5], [0.0, 0.0]])})
        >>> iua.units("relu")[["unit", "inactive count", "dead"]]
           unit  inactive count   dead
        0     0               2   True
        1     1               1  False
        """
        from iua_widget.reading.tables import unit_table

        at = self.tolerances.but(atol=atol, rtol=rtol, scale=scale, dead_at=dead_at, tau=tau)
        with self._run.being_read() as run:
            return unit_table(run.tally(layer), at, run.recounted(layer, at))

    @known_arguments_only
    def findings(
        self,
        layer: str | None = None,
        *,
        atol: float | None = None,
        rtol: float | None = None,
        scale: Scale | None = None,
        dead_at: float | None = None,
    ) -> pd.DataFrame:
        """Why the dead units of a layer, or of all, are dead, if counted with ``causes=True``.

        Parameters
        ----------
        layer : str, optional
            One of `layers`; all by default, with a column ``response`` first.
        atol, rtol, scale, dead_at
            As in `at`.

        Returns
        -------
        pandas.DataFrame
            One row a dead unit: ``unit``, ``finding``, and the numbers it rests on: ``max
            pre-activation``, ``mean pre-activation``, ``distance`` (what the largest lacks to be
            active); and where the module before can be told ``largest |weight|`` (inf where a
            parameter is not finite), ``bias``, ``BatchNorm scale`` (over the running deviation),
            ``BatchNorm shift`` and ``at zero input``, what all these make of inputs of zero. A
            finding is the first that holds of: ``weights zero or not finite``, ``inputs all
            dead``, ``just below``, ``bias-dominated``, ``BatchNorm shift``, ``no cause seen``;
            ``docs/causes.md`` has the rules. No row where pre-activations are not at hand.

        Raises
        ------
        LayerSelectionError
            If there is no such layer: the message has the names that come nearest.
        NoProbesError
            As in `at`, and if causes were not counted.
        ToleranceError
            As in `at`.

        Examples
        --------
        >>> import torch
        >>> fc = torch.nn.Linear(1, 1)
        >>> _ = torch.nn.init.constant_(fc.weight, 1.0), torch.nn.init.constant_(fc.bias, -9.0)
        >>> model = torch.nn.Sequential(fc, torch.nn.ReLU())
        >>> iua = IUA.introspect(model, torch.tensor([[1.0], [3.0]]), causes=True)
        >>> iua.findings("1")[["unit", "finding", "max pre-activation", "bias"]]
           unit         finding  max pre-activation  bias
        0     0  bias-dominated                -6.0  -9.0
        """
        from iua_widget.reading.unit_findings import finding_table, findings_of_all

        at = self.tolerances.but(atol=atol, rtol=rtol, scale=scale, dead_at=dead_at)
        with self._run.being_read() as run:
            if layer is not None:
                return finding_table(layer, run.tally(layer), at, run.recounted(layer, at))
            return findings_of_all(
                {
                    name: finding_table(name, tally, at, run.recounted(name, at))
                    for name, tally in run.tallies.items()
                }
            )

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
            One of `layers`.
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
            If there is no such layer: the message has the names that come nearest.
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

        at = self.tolerances.but(atol=atol, rtol=rtol, scale=scale, dead_at=dead_at, tau=tau)
        with self._run.being_read() as run:
            return channel_table(run.tally(layer), at, run.recounted(layer, at))

    @known_arguments_only
    def dead_units(
        self,
        *,
        dead_share: float | None = None,
        layers: str | Iterable[str] | None = None,
        atol: float | None = None,
        rtol: float | None = None,
        scale: Scale | None = None,
    ) -> dict[str, np.ndarray]:
        """The dead units of each layer as indices, as pruning tools take them.

        Of feature maps they are channels, dead at every position; of tokens, and of maps counted by
        channel, channels, too; elsewhere units. After a convolution that was flattened they are
        entries, of which a channel has several: `prune` knows which. `units` and `channels` have
        the figures.

        **Dead on the probes is not dead on the data.** Of a unit that was active on none of n
        probes, drawn at random, the rate at which it is active is below ``1 - 0.05 ** (1 / n)``
        with 95 % confidence, a little less than ``3 / n``: the column ``active rate below`` of
        `units`. Of a hundred such units there may be five of which that is not true; tokens of one
        text, or positions of one image, are no random draws.

        Parameters
        ----------
        dead_share : float, optional
            The share of its finite probes from which on a unit is dead: what is called `dead_at`
            elsewhere, and as given to `introspect` where left out.
        layers : str or iterable of str, optional
            Names of layers, or globs; all by default.
        atol, rtol, scale
            As in `at`.

        Returns
        -------
        dict of str to numpy.ndarray of int64, shape (dead,)
            Each layer asked for, in the order of the network; indices ascend. Where counts are
            known within bounds only, those that are surely dead. None of a layer that no probe has
            reached.

        Raises
        ------
        LayerSelectionError
            If a name or glob matches no layer: `layers` of the result has the names.
        ToleranceError, NoProbesError
            As in `at`.

        References
        ----------
        B. D. Jovanovic, P. S. Levy, "A Look at the Rule of Three" (1997).

        Examples
        --------
        >>> import numpy as np
        >>> maps = np.zeros((5, 3, 4, 4))  # probes, channels, rows, columns
        >>> maps[:, 1], maps[0, 2, 0, 0] = 1, 1
        >>> iua = IUA.introspect({"conv": maps, "relu": np.eye(5)[:, 1:]})
        >>> iua.dead_units(layers="conv")
        {'conv': array([0])}
        >>> iua.dead_units(dead_share=0.8)
        {'conv': array([0, 2]), 'relu': array([0, 1, 2, 3])}
        """
        from iua_widget.reading.dead_units import dead_units

        dead_at = None if dead_share is None else check_dead_at(dead_share, "dead_share")
        at = self.tolerances.but(atol=atol, rtol=rtol, scale=scale, dead_at=dead_at)
        with self._run.being_read() as run:
            return {
                name: dead_units(run.tallies[name], at, run.recounted(name, at))
                for name in choose_layers(layers, self.layers)
            }

    @known_arguments_only
    def top_probes(
        self, layer: str, *, units: int | Iterable[int] | None = None, show: Any = None
    ) -> pd.DataFrame:
        """The probes that fire a layer's units most: of each unit, the largest first.

        Each input is there at most once a unit, at the position of its largest response: k rows are
        k inputs, by token, too. Ranked by ``abs(x)`` of finite responses; of equals the earlier
        input comes first, and the earlier position. A unit whose responses are all zero has no
        rows.

        Parameters
        ----------
        layer : str
            One of `layers`, of those that `top_probes` was given for.
        units : int or iterable of int, optional
            Which units; all by default.
        show : indexable, tuple or callable, optional
            Draws the probes: a dataset in the order of the stream, of which ``show[probe]`` is a
            sample, or a tuple or mapping that begins with one; such a dataset with the tokenizer of
            its texts, ``(dataset, tokenizer)``; or ``show(probe, position)``, where position is an
            index, (row, column) or None. A sample is an image (array, tensor, of Pillow's), a text,
            or a list of tokens or of their ids. Name `units` of large layers: each row is drawn.

        Returns
        -------
        pandas.DataFrame
            Columns: ``unit``, with one for each axis of a response of several axes as in `units`;
            ``rank``, from 1; ``probe``, the place of the input in the stream, from 0;
            ``position`` of the response, an index over its positions in C order, padding included;
            where positions have two axes ``row`` and ``column``, where more ``position 0``, ...;
            ``value``, the response with its sign, of complex ones the magnitude. Where entries are
            units, `position` is missing, or the call where those of a pass are one layer; it is
            missing, too, where a batch's further passes gave it. With `show` also ``shown``, which
            a notebook draws, with the place marked: each has `png`, or `text`.

        Raises
        ------
        NoProbesError
            If none were kept of this layer, or nothing has been counted: count with ``top_probes``.
        LayerSelectionError
            If there is no such layer: the message has the names that come nearest.
        UnitsError
            If there is no such unit.
        ProducerError
            If `show` can draw nothing. What fails for a probe is told in its place.

        Notes
        -----
        Places in the stream are those of one run over all of it, also after `resume`. `merge` moves
        those of each result by the inputs of the results before it, and `all_reduce` those of each
        rank by the inputs of the ranks before it.

        Examples
        --------
        >>> import numpy as np
        >>> maps = np.zeros((5, 2, 4, 4))  # probes, channels, rows, columns
        >>> maps[3, 1, 2, 0], maps[4, 1, 1, 1] = 7, -8
        >>> iua = IUA.introspect({"conv": maps}, units="channel", top_probes=8)
        >>> iua.top_probes("conv")
           unit  rank  probe  position  row  column  value
        0     1     1      4         5    1       1   -8.0
        1     1     2      3         8    2       0    7.0
        """
        from iua_widget.reading.shown_probe import Drawing
        from iua_widget.reading.shown_probes import probes_to_show, shown_table
        from iua_widget.reading.top_probes import top_probes_table

        drawing = None if show is None else Drawing(show)
        with self._run.being_read() as run:
            tally = run.tally(layer)
            table = top_probes_table(layer, tally, units)
            probes = [] if drawing is None else probes_to_show(layer, tally, units)
        return table if drawing is None else shown_table(table, probes, drawing)

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
            If `n` is no number of units, or units cannot be ranked by `by`: the message says by
            what they can.
        LayerSelectionError
            If a name or glob matches no layer: `layers` of the result has the names.
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

        at = self.tolerances.but(atol=atol, rtol=rtol, scale=scale, dead_at=dead_at)
        with self._run.being_read() as run:
            tallies = {name: run.tallies[name] for name in choose_layers(layers, self.layers)}
            return worst_table(tallies, at, n, by, positions=positions, recount=run.recount)

    @property
    def groups(self) -> list[str]:
        """The names of the groups of which a probe was counted; empty where none are told apart.

        In the order of their labels: numbers by value, then others as texts.

        Examples
        --------
        >>> import numpy as np
        >>> IUA.introspect({"relu": np.eye(4)}, groups=[10, 9, 10, 9]).groups
        ['9', '10']
        """
        return list(self._run.groups or ())

    def group(self, label: Any) -> IUA:
        """What was counted of one group of the probes: all that can be read of a run.

        Counts are those of a run over these probes alone. It grows with this one while that is
        counted.

        Parameters
        ----------
        label : str or object
            The name of the group, or a label of it.

        Returns
        -------
        IUA

        Raises
        ------
        GroupError
            If there is no such group, or probes are not told apart: see `introspect`.

        Examples
        --------
        >>> import numpy as np
        >>> iua = IUA.introspect({"relu": np.eye(4)}, groups=[0, 0, 1, 1], group_names=["a", "b"])
        >>> iua.group("b").results["relu"].dead, iua.group(1).probes, iua.results["relu"].dead
        (2, 2, 0)
        """
        with self._run.lock:
            return iua_of(self._run.group(label))

    @known_arguments_only
    def by_group(
        self,
        layer: str,
        *,
        by: str = "inactive share",
        atol: float | None = None,
        rtol: float | None = None,
        scale: Scale | None = None,
        dead_at: float | None = None,
    ) -> pd.DataFrame:
        """One layer's units in each group of the probes, one row a unit.

        Parameters
        ----------
        layer : str
            One of `layers`.
        by : {"inactive share", "mean |x|"}
            What stands in the columns of the groups, and by what units answer to them.
        atol, rtol, scale, dead_at
            As in `at`.

        Returns
        -------
        pandas.DataFrame
            Columns: ``unit``, and the axes of units, as in `units`; ``answers to``, the group in
            which the unit is active on the largest share of the probes on which it was finite (or
            has the largest mean ``abs(x)``, which also tells equals apart), "" where it is active
            in none; ``selectivity``, of 0 (alike in all) to 1 (in that group only): ``(m - r) / (m
            + r)``, with m that largest share (or mean), and r the mean of those of the other
            groups, which is the index of Morcos et al. (2018) for ``by="mean |x|"``; ``dead
            groups``, in how many it is dead; ``dead only in``, the one group in which it is dead
            while it is not in others, and ``active only in``, the one in which it is not while it
            is in others, "" where there is none; then, for each group by name, the inactive share
            (or the mean ``abs(x)``): NaN where none of its probes has reached the layer. With
            counts that are not exact also ``<name> upper``. A group that is called as one of the
            other columns is ``group <name>``.

        Raises
        ------
        GroupError
            If probes are not told apart, or the rows of the layer are no probes (`notes` say so).
        ValueError
            If there is no such figure to go `by`.
        LayerSelectionError, ToleranceError, NoProbesError
            As in `units`.

        References
        ----------
        Morcos, Barrett, Rabinowitz and Botvinick, "On the importance of single directions for
        generalization", ICLR 2018.

        Examples
        --------
        >>> import numpy as np
        >>> data = {"relu": np.array([[0.0, 1.0], [0.0, 1.0], [2.0, 1.0], [4.0, 0.0]])}
        >>> iua = IUA.introspect(data, groups=["cat", "cat", "dog", "dog"])
        >>> units = iua.by_group("relu")
        >>> units[["answers to", "selectivity", "dead only in", "cat", "dog"]]
          answers to  selectivity dead only in  cat  dog
        0        dog     1.000000          cat  1.0  0.0
        1        cat     0.333333               0.0  0.5
        """
        from iua_widget.reading.by_group import group_table

        at = self.tolerances.but(atol=atol, rtol=rtol, scale=scale, dead_at=dead_at)
        with self._run.being_read() as run:
            tally = run.tally(layer)
            return group_table(run.tally_by_group(layer), tally, at, by)

    def to_pandas(self) -> pd.DataFrame:
        """The layer table at the tolerances of `results`.

        Returns
        -------
        pandas.DataFrame
            One row a layer: see `Reading.to_pandas`.

        Raises
        ------
        NoProbesError
            If no probe has been counted: see `at`.

        Examples
        --------
        >>> import numpy as np
        >>> IUA.introspect({"relu": np.array([[0.0, 0.5]])}).to_pandas()["dead units"].tolist()
        [1]
        """
        return self.at().to_pandas()

    def merge(*iuas: IUA) -> IUA:
        """A new result of several streams, as if one run had counted them one after another.

        Parameters
        ----------
        *iuas : IUA
            Of the same layers, units and stops: runs over several shards of the data, of several
            processes, or loaded from files. Called on a run, that is the first. Of a model, a
            layer may be there that some of them never reached. One that has counted nothing,
            ``IUA()`` with the same `stops` and `atol`, adds nothing.

        Returns
        -------
        IUA
            The first one's probes come first, and it is read at the first one's tolerances. Counts
            are the same in any order and with any grouping. Itself where there are no others.

        Raises
        ------
        MergeError
            If they cannot be one run: the message says how they differ. Count all with the same
            layers, `units`, `stops` and `atol`.

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
        whole = merged([run_of(one) if isinstance(one, IUA) else one for one in iuas])
        return iuas[0] if len(iuas) == 1 else iua_of(whole)

    @known_arguments_only
    def all_reduce(self, group: ProcessGroup | None = None) -> IUA:
        """A new result of what all ranks of a distributed job have counted, the same on each.

        All ranks of the group call it, as any collective. Counts are those of one run over the data
        of all, bit for bit; floating sums agree within 1e-12. Layers that only some ranks have, as
        the stages of a pipeline do, are summed over those, which a note tells. A rank that has
        counted nothing, ``IUA()`` with the options of the others, has the result of the others.

        Ranks exchange descriptions once, then sum counts in buffers of 64 MiB, one each for
        counters, other whole numbers, floating sums and maxima where these suffice. Memory is
        needed for the result and one of these. `IUA.merge` does the same of files.

        Parameters
        ----------
        group : torch.distributed.ProcessGroup, optional
            The ranks whose data are added; all of the job where left out. Ranks that have the same
            data, or parts of one layer, do not belong in one group.

        Returns
        -------
        IUA
            This one stays what this rank has counted.

        Raises
        ------
        DistributedError
            If no process group is initialized, or another rank failed, died, or did not come within
            the group's timeout.
        MergeError
            If ranks have other options, units or weights, which the message names: on every rank.
        ProducerError
            If this is being counted.

        Examples
        --------
        >>> import numpy as np
        >>> import torch.distributed as dist
        >>> dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
        >>> IUA.introspect({"relu": np.eye(4)}).all_reduce()
        IUA(1 layer, 4 probes, 70 stops)
        >>> dist.destroy_process_group()
        """
        return iua_of(all_reduced(self._run, Ranks(group)))

    @known_arguments_only
    def compare(self, other: IUA, *, layers: str | Iterable[str] | None = None) -> Comparison:
        """Compare with a later result of the same architecture: which units died, which revived.

        Both may be of other checkpoints, seeds, or data, with other numbers of probes, and counted
        at other stops: each is read on its own grid.

        Parameters
        ----------
        other : IUA
            The result after; this one is that before. It has the same layers, and in them the same
            units. Either may be of several streams, merged, as long as the model had the same
            weights in all of them.
        layers : str or iterable of str, optional
            Names of layers, or globs; all by default.

        Returns
        -------
        Comparison
            At this result's `tolerances`, and at others by `Comparison.at`. A layer that no probe
            has reached in one of the two, or a unit that was finite on none, is not compared, and
            `Comparison.notes` say so.

        Raises
        ------
        ComparisonError
            If layers or units differ, or one of them is of several models: the message says how,
            with the layers that come nearest to those that are missing.
        LayerSelectionError
            If a name or glob of `layers` matches no layer.
        NoProbesError
            If no probe has been counted in one of them: see `at`.
        TypeError
            If `other` is no `IUA`.

        Examples
        --------
        >>> import numpy as np
        >>> before = IUA.introspect({"relu": np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])})
        >>> after = IUA.introspect({"relu": np.array([[2.0, 0.0, 0.0]])})
        >>> before.compare(after)
        Comparison(1 layer at rtol=1e-05, atol=1e-08, scale='zero': 1 newly dead, 1 revived, exact)
        """
        if not isinstance(other, IUA):
            message = (
                "compare takes the IUA that comes after, such as before.compare(after); got "
                f"{type(other).__name__}. Of a widget `w` give `w.iua`, of a file IUA.load(path)."
            )
            raise TypeError(message)
        return compared(self._run, run_of(other), layers)

    @known_arguments_only
    def save(self, path: str | Path) -> Path:
        """Save all that is needed to continue, merge or show, to one file.

        A ZIP of NumPy arrays and JSON, compressed, that `numpy.load` reads: see
        ``docs/file-format.md``. It is written beside the old file and takes its place when it is
        complete. A run that counts on meanwhile waits.

        Parameters
        ----------
        path : str or Path
            Of the file, which is replaced where it is there.

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
        >>> import numpy as np
        >>> iua = IUA.introspect({"relu": np.array([[0.0, 0.5], [0.0, 0.0]])})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     IUA.load(iua.save(f"{folder}/run.iua"))
        IUA(1 layer, 2 probes, 70 stops)
        """
        path = as_path(path)
        write_run(path, self._run)
        return path

    @staticmethod
    @known_arguments_only
    def load(path: str | Path, *, engine: EngineName = "auto") -> IUA:
        """Read what `save` has written: to show it, to merge it, or to count on.

        Parameters
        ----------
        path : str or Path
            Of the file that `save` returned, or `resume` named.
        engine : {"auto", "cpu", "device", "reference"}
            What counts from here on.

        Returns
        -------
        IUA
            Equal to what was saved, but for the last recount.

        Raises
        ------
        FileError
            If the file is not there, is truncated, altered, of a newer version, or was not written
            by `save`: save it anew, or update iua_widget.
        EngineError
            If there is no such engine, or not here: leave `engine` out.

        Examples
        --------
        >>> import tempfile
        >>> import numpy as np
        >>> iua = IUA.introspect({"relu": np.array([[0.0, 0.5], [0.0, 0.0]])})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     loaded = IUA.load(iua.save(f"{folder}/run.iua"))
        >>> loaded["relu"].dead
        1
        """
        return iua_of(read_run(as_path(path), engine))

    def to_bytes(self) -> bytes:
        """The bytes of the file that `save` writes, to be sent to another process.

        Returns
        -------
        bytes

        Examples
        --------
        >>> import numpy as np
        >>> iua = IUA.introspect({"relu": np.array([[0.0, 0.5], [0.0, 0.0]])})
        >>> IUA.from_bytes(iua.to_bytes())
        IUA(1 layer, 2 probes, 70 stops)
        """
        return run_bytes(self._run)

    @staticmethod
    @known_arguments_only
    def from_bytes(data: bytes, *, engine: EngineName = "auto") -> IUA:
        """Read what `to_bytes` gave, checking all of it as `load` does.

        Parameters
        ----------
        data : bytes, bytearray or memoryview
            Also what a file of `save` holds.
        engine : {"auto", "cpu", "device", "reference"}
            What counts from here on.

        Returns
        -------
        IUA
            Equal to what was taken apart, but for the last recount.

        Raises
        ------
        FileError
            If it is truncated, altered, of a newer version, or was not given by `to_bytes`.
        EngineError
            If there is no such engine, or not here: leave `engine` out.
        TypeError
            If it is no bytes.

        Examples
        --------
        >>> import numpy as np
        >>> data = IUA.introspect({"relu": np.array([[0.0, 0.5]])}).to_bytes()
        >>> IUA.from_bytes(data)["relu"].dead
        1
        """
        if not isinstance(data, (bytes, bytearray, memoryview)):
            message = (
                f"from_bytes takes the bytes that to_bytes gives; got {type(data).__name__}. Of a "
                "file write IUA.load(path)."
            )
            raise TypeError(message)
        return iua_of(read_run(bytes(data), engine))

    @known_arguments_only
    def show(
        iua: IUA | Reading | Comparison,  # noqa: N805  (DNIKit's name, and IUA.show(iua) works, too)
        *,
        vis_type: str = VisType.TABLE,
        response_names: str | Iterable[str] | None = None,
    ) -> Any:
        """Show results as a table or as heatmaps.

        Parameters
        ----------
        iua : IUA, Reading or Comparison
            A result, or a result at other tolerances: ``IUA.show(iua.at(atol=1e-3))``, or what
            `compare` gives. Written ``iua.show()``, it is this one.
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
            its axes. Lighter units have been active more often. Altair fetches its drawing library
            from the network; ``altair.renderers.enable("svg")`` draws without, with the package
            ``vl-convert-python``.

        Raises
        ------
        LayerSelectionError
            A ValueError: if a layer is not there, or none is asked for.
        ValueError
            If `vis_type` is neither.
        TypeError
            If `iua` is none of these.

        Examples
        --------
        >>> import numpy as np
        >>> iua = IUA.introspect({"relu": np.array([[0.0, 0.5], [0.0, 0.0]])})
        >>> iua.show()[["response", "mean inactive", "dead units"]]
          response  mean inactive  dead units
        0     relu            1.5           1
        """
        if isinstance(iua, Comparison):
            return iua.show(vis_type=vis_type, response_names=response_names)
        return show(iua.at() if isinstance(iua, IUA) else iua, vis_type, response_names)

    @known_arguments_only
    def plot(self, response_names: str | Iterable[str] | None = None) -> Any:
        """Draw a heatmap of each layer's units: what `show` draws as charts.

        Parameters
        ----------
        response_names : str or iterable of str, optional
            The layers to draw; all by default.

        Returns
        -------
        altair.Chart or numpy.ndarray of altair.Chart
            One chart for one layer, an array of them for several.

        Raises
        ------
        LayerSelectionError
            If a layer is not there, or none is asked for: `layers` has the names.
        NoProbesError
            If no probe has been counted: count first.

        Examples
        --------
        >>> import numpy as np
        >>> iua = IUA.introspect({"relu": np.array([[0.0, 0.5], [0.0, 0.0]])})
        >>> type(iua.plot("relu")).__name__
        'Chart'
        """
        return self.show(vis_type=IUA.VisType.CHART, response_names=response_names)

    def keys(self) -> list[str]:
        """The names of the layers, so that ``dict(iua)`` has the result of each.

        Returns
        -------
        list of str

        Examples
        --------
        >>> import numpy as np
        >>> iua = IUA.introspect({"relu": np.array([[0.0, 0.5], [0.0, 0.0]])})
        >>> {layer: result.dead for layer, result in dict(iua).items()}
        {'relu': 1}
        """
        return self.layers

    def __len__(self) -> int:
        return len(self._run.tallies)

    def __iter__(self) -> Iterator[str]:
        return iter(self.layers)

    def __contains__(self, layer: object) -> bool:
        return layer in self._run.tallies

    def __getitem__(self, layer: str) -> LayerResult:
        with self._run.being_read() as run:
            tally, recounted = run.tally(layer), run.recounted(layer, self.tolerances)
            return read_layer(tally, self.tolerances, recounted)

    def __repr__(self) -> str:
        layers = f"{len(self)} layer{'' if len(self) == 1 else 's'}"
        return f"IUA({layers}, {self.probes} probes, {len(self.stops)} stops)"

    def _repr_html_(self) -> str | None:
        return self.at()._repr_html_() if self.probes else None


def iua_of(run: Run) -> IUA:
    """The `IUA` that reads a run."""
    iua = IUA.__new__(IUA)
    iua._run = run  # noqa: SLF001
    return iua


def run_of(iua: IUA) -> Run:
    """The run that an `IUA` reads."""
    return iua._run  # noqa: SLF001


def _counted(
    source: Source | CountedSource,
    counting: CountOptions,
    checkpoint: Checkpoint | None,
    *,
    progress: bool,
    ranks: Ranks | None,
) -> IUA:
    """Count a source to its end; an error on the way has what was counted before it."""
    run, steps = begin(counting, source, checkpoint)
    iua = iua_of(run)
    try:
        try:
            drive(steps, source, progress=progress, counted=run.probes)
        except NoBatchError:
            if ranks is None:
                raise
            run.failure = None  # others have batches
        for note in iua.notes:
            warnings.warn(note, IUAWarning, stacklevel=4)
    except BaseException as error:  # Ctrl-C at any moment, too: leaving a context takes some
        keep_partial(error, iua)
        raise
    return iua


def _of_all(iua: IUA, ranks: Ranks, note: str) -> IUA:
    """What all ranks have counted; an error has what this one has."""
    if note:
        run_of(iua).source_notes.append(note)
    try:
        whole = iua_of(all_reduced(run_of(iua), ranks))
    except BaseException as error:
        keep_partial(error, iua)
        raise
    if whole.layers:
        return whole
    message = "no rank had a batch with a response: there is nothing to count."
    raise NoBatchError(message)
