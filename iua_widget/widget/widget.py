"""IUAWidget: Inactive Unit Analysis in a notebook cell, live."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import traitlets
from anywidget import AnyWidget

from iua_widget.common.arguments import known_arguments_only
from iua_widget.engines.choice import EngineName
from iua_widget.errors import IUAWarning, ProducerError
from iua_widget.history.history import History
from iua_widget.iua import IUA
from iua_widget.options import (
    CallsOption,
    CountOptions,
    GroupsOption,
    MaskOption,
    Mode,
    SourceOptions,
)
from iua_widget.reading.comparison import Comparison
from iua_widget.reading.presets import find_preset
from iua_widget.reading.shown_probe import Drawing
from iua_widget.reading.thresholds import UNIT_SCALES
from iua_widget.scale.ranks import Ranks
from iua_widget.scale.telling import failures_told
from iua_widget.tolerances import Scale, Tolerances
from iua_widget.widget import commands, export
from iua_widget.widget.cell_output import CellOutput
from iua_widget.widget.compared_with import ComparedWith
from iua_widget.widget.frames import Frames
from iua_widget.widget.group_pictures import group_pictures
from iua_widget.widget.history_feed import HistoryFeed
from iua_widget.widget.iua_on_show import IUAOnShow, OnShow
from iua_widget.widget.live_ranks import KEPT
from iua_widget.widget.looks_on_show import LookBefore, LooksOnShow
from iua_widget.widget.opening import Opening
from iua_widget.widget.replacing import Chosen
from iua_widget.widget.runs import Runs
from iua_widget.widget.shown_table import layer_table, look_rows, selected_units
from iua_widget.widget.static_table import OnPage, static_table
from iua_widget.widget.traits import RULE, SETTINGS, TOLERANCES, WidgetTraits, guarded
from iua_widget.widget.view_state import CHANGE, COLORS, Known

if TYPE_CHECKING:
    import pandas as pd

_DEFAULTS: Final[Mapping[str, Any]] = MappingProxyType(asdict(Tolerances(0.0, 1e-8, "layer_mean")))


class IUAWidget(WidgetTraits):
    """Counts a model's inactive units in the background, and shows them as they come.

    A sortable table of layers and a zoomable heatmap of the selected layer's units, with sliders
    for the tolerances. Everything is counted once for all tolerances, so the sliders answer in the
    browser, at once.

    A unit is inactive on a probe where ``abs(x) <= atol + rtol * scale``. At ``rtol=0``, the
    default, the figures are `numpy.isclose`'s and DNIKit's.

    Parameters
    ----------
    producer : mapping, callable, iterable, torch.nn.Module, IUA or History
        What `IUA.introspect` takes: one mapping ``{layer: array}``, an iterable of mappings, a
        callable that yields them, or a model, with `loader`; or a finished `IUA`, which is shown;
        or a `History`, of which any look is: that of a monitor (`IUAMonitor.widget`).
    loader : iterable, Dataset, Tensor, numpy.ndarray, ray.data.Dataset or IUA, optional
        The model's inputs: see `IUA.introspect`. Of two finished results, ``IUAWidget(before,
        after)``, the second is shown, compared with the first: see `compare`.
    batch_size : int
        Probes pulled from the producer at a time, where it is not a loader that decides.
    rtol, atol : float, optional
        Where the sliders stand at first: by default at 0 and 1e-8. Where none of `rtol`, `atol` and
        `scale` is given, nor set before the first batch is counted, and no activation has exact
        zeros (GELU, SiLU, tanh), the page opens at the first of 0.05, 0.1, 0.2 and 0.5 times the
        layer's mean at which a tenth of the responses is inactive, and says so. `atol` is made a
        stop.
    scale : {"zero", "layer_mean", "unit_rms", "unit_max"}, optional
        What `rtol` is relative to: zero as in `numpy.isclose`, where it has no effect; the layer's
        mean ``abs(x)``, the default here; the unit's RMS; or the unit's largest ``abs(x)``.
    dead_at : float, optional
        A unit is dead that is inactive on at least this share of its finite probes, by default on
        all: see `IUA.introspect`.
    tau : float, optional
        A unit, in maps a channel, is dormant whose mean ``abs(x)`` is at most this times that of
        its layer, by default 0.025 times: see `IUA.introspect`.
    layers : str, type, LayerKind, Module, callable, or iterable of these, optional
        Whose outputs to count; by default those of activations. See `IUA.introspect`, also for
        `units`, `channel_axis`, `mask`, `forward`, `max_probes`, `mode`, `calls`, `groups`,
        `group_names` (read by `iua.group` and `iua.by_group`), `stops`, `engine`, `memory`,
        `top_probes` and `causes`.
    show : indexable, tuple or callable, optional
        Draws the probes that `top_probes` keeps, also those of a finished result: see
        `IUA.top_probes`.
    resume : str or Path, optional
        A file to which the run is saved as it goes, also when it is stopped, and from which it goes
        on where the file is there; one of `IUA.introspect`, too. The page shows at once what the
        file holds. `IUAWidget.restart` begins anew, and replaces it. See `IUA.introspect`, also for
        `save_every`.
    distributed : bool
        Whether each rank of a job of `torch.distributed` counts its part of the data, as with
        `IUA.introspect`: every rank makes the widget, and waits for its end. That of rank 0 is
        shown, and is live over all ranks, which pause, go on and stop with it; `iua` then is a
        copy of what they have counted, each second anew. On the others it counts and shows
        nothing. In the end `iua` is the same on all. See ``docs/scale.md``.
    ray_options : mapping, optional
        Where the batches of a Ray dataset are counted: see `IUA.introspect`. A run that is paused
        frees Ray's workers.
    layer, sort, filter, color : optional
        What the traits of these names are at first.
    name : str, optional
        What the page calls the source; by default the name of the model's or producer's class.
    background : bool
        Whether to count on a thread of its own, so that the cell returns at once. What holds in the
        cell holds there, too: context variables, PyTorch's default device, modes and autocast.
        Otherwise the widget is made when everything is counted.

    Attributes
    ----------
    rtol, atol : float
        The tolerances on show. Like all that follow, but `status`, they are two-way: the page
        follows what Python sets, and Python sees what the page does (`observe`,
        `ipywidgets.link`). An invalid value raises a `traitlets.TraitError` that says what is.
    scale : str
        What `rtol` is relative to.
    dead_at : float
        The share of its finite probes on which a dead unit is inactive: above 0, at most 1.
    tau : float
        From where on down a unit is dormant; `rtol` and `scale` have no part in it.
    layer : str
        The selected layer. An unknown one is refused; where the names are known only from the first
        batch on, a note and `wait` say so then.
    selected : list of int
        Its selected units: indices in the C order of one probe's response, ascending. Empty again
        when another layer is selected. (What a unit *is* is the argument `units`.)
    sort : dict or None
        The order of the table: ``{"column": "dead units", "ascending": False}``, with a column
        of `table`; None for the order of the network. Rows without the figure come last both ways.
    filter : str
        Which rows of the table are shown, such as ``"encoder kind:ReLU dead-channels>0"``: words in
        the name or the kind, a kind, and figures of columns compared with numbers, all of which
        must hold. In double quotes anything is a word.
    color : {"share", "count", "mean |x|", "dead", "change"}
        What the colors of the heatmap stand for; "change" where a result is compared, and then
        taken unless another is chosen.
    look : int or None
        Where a monitor's history is shown, the step of training whose look is on show; None, the
        default, is the newest, also of those to come. A step between looks is the nearest look.
    against : int or None
        The step of the look that is compared with it: "newly dead" and "revived" are since then.
        None compares with none.
    group : str or None
        Where probes are counted by group, whose figures are on show: a name, or a label. None is
        all probes.
    by_group : bool
        Whether the page shows the selected layer in each group: it is set as its tab is opened.
    status : {"idle", "running", "paused", "stopped", "done", "failed"}
        Where the run stands. Read only.

    Raises
    ------
    ToleranceError, ProducerError, LayerSelectionError, UnitsError, EngineError, MemoryBudgetError
        As `IUA.introspect` for anything that can be told before the first batch. What goes wrong
        later shows in the widget, with what was counted before; `error` holds it.
    FileError
        If the run cannot be saved to the file of `resume`, or cannot continue from it: use the
        same settings, or another file.
    ComparisonError
        If two results are not of one architecture: see `compare`.
    DistributedError, MergeError
        With `distributed`, if there is no process group, or another rank does not come within the
        job's timeout, or cannot begin, or has other options: on every rank. What goes wrong later
        is in `error` on every rank.
    TypeError, AttributeError
        If an argument or an attribute is unknown: the message has the nearest name.
    traitlets.TraitError
        If a trait is set to an invalid value: the message says what is valid.

    Notes
    -----
    When a notebook's cell is run again, its widget takes over what was chosen in the one that it
    replaces, on the page or in another cell: tolerances, layer, units, sort, filter and color.
    What the cell's own code sets, here or afterwards, wins; what there is not any more is let go
    of. Several widgets of a cell replace those before in the order in which they are made.

    Examples
    --------
    >>> import numpy as np
    >>> w = IUAWidget({"relu": np.array([[0.0, 0.5], [0.0, 0.0]])})
    >>> w.wait()
    True
    >>> w.status, w.iua.results["relu"].dead
    ('done', 1)
    """

    @known_arguments_only
    def __init__(
        self,
        producer: Any,
        loader: Any = None,
        *,
        batch_size: int = 32,
        rtol: float | None = None,
        atol: float | None = None,
        scale: Scale | None = None,
        dead_at: float | None = None,
        tau: float | None = None,
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
        engine: EngineName = "auto",
        memory: str | int | None = None,
        top_probes: int | Mapping[str, int] = 0,
        show: Any = None,
        causes: bool = False,
        resume: str | Path | None = None,
        save_every: int | None = None,
        distributed: bool = False,
        ray_options: Mapping[str, Any] | None = None,
        layer: str | None = None,
        sort: Mapping[str, Any] | None = None,
        filter: str | None = None,  # noqa: A002  (as the trait is called)
        color: str | None = None,
        name: str | None = None,
        background: bool = True,
    ) -> None:
        ranks = Ranks.apart(kept=KEPT) if distributed else None
        with failures_told(ranks):
            name = _as_text("name", name)
            view: dict[str, Any] = {"layer": layer, "sort": sort, "filter": filter, "color": color}
            view |= {"rtol": rtol, "atol": atol, "scale": scale, "dead_at": dead_at, "tau": tau}
            given = {trait: value for trait, value in view.items() if value is not None}
            self._chosen = Chosen(given)
            self._looks = LooksOnShow(producer) if isinstance(producer, History) else None
            producer = producer if self._looks is None else self._looks.show(None).iua
            begun_at = _DEFAULTS if self._looks is None else asdict(self._looks.history.tolerances)
            asked = {**self._chosen.before, **given}
            at = _opened_at(asked, begun_at)
            if resume is not None:
                self._chosen.end_earlier(wait=True)  # it saves to the file what it has counted
            compared = None
            _check_counted(producer, loader)
            if isinstance(producer, IUA) and isinstance(loader, IUA):
                compared, producer, loader = ComparedWith(producer), loader, None
            self._runs = Runs(
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
                    causes=causes,
                    groups=groups,
                    group_names=group_names,
                ),
                CountOptions(
                    # What is continued must be counted as it was, whatever was chosen since; what
                    # several ranks count, as all of them were told.
                    tolerances=_opened_at(given, begun_at) if resume or distributed else at,
                    stops=stops,
                    keep_inactive=resume is not None,
                    units=units,
                    channel_axis=channel_axis,
                    engine=engine,
                    memory=memory,
                    top_probes=top_probes,
                    causes=causes,
                ),
                resume=resume,
                save_every=save_every,
                background=background,
                ranks=ranks,
                ray_options=ray_options,
            )
            if compared is not None:
                compared.check(self._runs.run)
            self._label = name or ("training" if self._looks is not None else self._runs.label)
            self._on_show = OnShow(at)
            self._iua_on_show = IUAOnShow(self._runs.iua, self._on_show)
            self._cell_output = CellOutput(
                self._static_table, lambda kept: self.send({"type": "kept", "data": kept})
            )
            shown = {trait: asked[trait] for trait in ("sort", "filter", "color") if trait in asked}
            if compared is not None:
                shown.setdefault("color", CHANGE)
            super().__init__(**asdict(at), **shown)
            before = self._chosen.before
            self._opening = Opening(
                self, self._runs, before.get("layer", ""), before.get("selected", ())
            )
            self._opening.open_relative = asked.keys().isdisjoint(RULE) and begun_at == _DEFAULTS
            if layer is not None:
                try:
                    self.layer = layer
                except traitlets.TraitError:
                    self.layout.close()
                    super().close()
                    raise
            self._frames = Frames(
                self,
                self._runs,
                self._label,
                self._opening,
                compared=compared,
                looks=self._looks,
                drawing=None if show is None else Drawing(show),
            )
            self._feed = None if self._looks is None else self._follow(self._looks)
            self._listen()
            self._open()
        if self._runs.source is None:
            self._frames.flush()
        else:
            self._chosen.end_earlier()
            self._chosen.belongs_to(self._runs)
            self._runs.begin()

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """The widget, and for readers without a kernel a page that stands still.

        In a notebook that page is an output of its own, which follows the cell's others, and is
        brought up to date when the run is paused or at its end.
        """
        if not self._runs.shown:
            return {"text/plain": f"{self!r}: what all ranks count is shown by rank 0"}
        bundle = super()._repr_mimebundle_(**kwargs)
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        if data is not None:
            follows = self._cell_output.follows()
            data["text/html"] = "<div></div>" if follows else self._static_table()["text/html"]
        return bundle

    def __repr__(self) -> str:
        where = f"{self._runs.where}, " if self._runs.where else ""
        return f"IUAWidget({where}{self.status}, {self._runs.iua!r})"

    @property
    def iua(self) -> IUA:
        """The current result: it grows while the run goes on, and can be read at any moment.

        It is read at the tolerances on show where no others are named, and follows them:
        `IUA.show(w.iua)` is the whole table as the page has it. An `IUA` that was given keeps its
        own tolerances. Where a group is chosen (`group`), it is the result of that.
        """
        if self._looks is not None and not self._looks.shown.whole:
            raise self._looks.not_whole()
        shown = self._runs.of_group(self.group)
        if self._iua_on_show.counted is not shown:
            self._iua_on_show = IUAOnShow(shown, self._on_show)
        return self._iua_on_show

    @property
    def plan(self) -> pd.DataFrame:
        """What each layer takes in memory, and at how many stops it is counted: see `IUA.plan`."""
        return self._runs.counted.plan

    @property
    def error(self) -> Exception | None:
        """What ended a run that failed; None otherwise."""
        return self._runs.error

    def preset(self, name: str) -> None:
        """Set the tolerances of a preset: see `iua_widget.PRESETS`.

        Parameters
        ----------
        name : str
            One of `iua_widget.PRESETS`, such as ``"near zero"``.

        Raises
        ------
        ToleranceError
            If there is no such preset: the message has the nearest.

        Examples
        --------
        >>> import numpy as np
        >>> w = IUAWidget({"relu": np.array([[0.0, 0.5], [0.0, 0.0]])}, background=False)
        >>> w.preset("near zero")
        >>> w.rtol, w.atol
        (0.0, 0.05)
        """
        with self.hold_sync():
            for trait, value in find_preset(name).settings.items():
                setattr(self, trait, value)

    def table(self) -> pd.DataFrame:
        """The layer table as it is on show: at its tolerances, filtered and sorted.

        Returns
        -------
        pandas.DataFrame
            Columns as `Reading.to_pandas`; where a result is compared also ``newly dead`` and
            ``revived``, and ``... upper`` of them where these are not exact. The index is the place
            in the order of the network.

        Raises
        ------
        NoProbesError
            If nothing has been counted yet; where the run broke off, from `error`.

        Warns
        -----
        IUAWarning
            If the run broke off: the figures are of what was counted before.

        Examples
        --------
        >>> import numpy as np
        >>> w = IUAWidget({"relu": np.array([[0.0, 0.5], [0.0, 0.0]])}, background=False)
        >>> w.table()[["response", "mean inactive", "dead units"]]
          response  mean inactive  dead units
        0     relu            1.5           1
        """
        compared, at = self._frames.compared_on_show, self.tolerances
        look = None if self._looks is None else self._looks.shown.look
        if (
            self._looks is not None
            and look is not None
            and self._looks.read_from_history(compared, at)
        ):
            since = compared.look.step if isinstance(compared, LookBefore) else None
            return look_rows(
                self._looks.history, look.step, since, at, sort=self.sort, text=self.filter
            )
        shown = self._runs.of_group(self.group)
        before = None if compared is None else compared.reading(self._frames.run, at)
        table = layer_table(shown, at, self.sort, self.filter, before)
        self._tell_failure()
        return table

    @known_arguments_only
    def compare(
        self,
        other: IUA | str | Path | None,
        *,
        layers: str | Iterable[str] | None = None,
        name: str | None = None,
    ) -> None:
        """Compare with a result from before: which units died since, and which revived.

        The table gains the columns "newly dead" and "revived", and the heatmap the color "change",
        which is taken where no other was chosen. A run that goes on is compared with it as it
        grows.

        Parameters
        ----------
        other : IUA, str or Path, or None
            The result before: of the same layers, and in them the same units; or the file of one
            that was saved. None ends the comparison.
        layers : str or iterable of str, optional
            Names of layers, or globs, to compare; all by default. Of others nothing is said.
        name : str, optional
            What the page calls it; by default the name of its file.

        Raises
        ------
        ComparisonError
            If layers or units differ, or one of the two is of several models: the message says
            how. Of a run that has counted nothing yet the page says it as soon as it is known.
        LayerSelectionError
            If a name or glob of `layers` matches no layer.
        NoProbesError
            If nothing was counted in it.
        FileError
            If the file cannot be read.
        TypeError
            If it is neither.

        Examples
        --------
        >>> import numpy as np
        >>> before = IUA.introspect({"relu": np.array([[0.0, 1.0], [0.0, 0.0]])})
        >>> w = IUAWidget({"relu": np.array([[2.0, 0.0], [1.0, 0.0]])}, background=False)
        >>> w.compare(before)
        >>> w.table()[["response", "dead units", "newly dead", "revived"]]
          response  dead units  newly dead  revived
        0     relu           1           1        1
        """
        name, run = _as_text("name", name), self._runs.run
        compared = None if other is None else ComparedWith.given(other, name, layers)
        if compared is not None:
            if run.probes:
                compared.check(run)
            else:
                compared.check_counted()
        begins = self._frames.compared is None and compared is not None
        self._frames.compare(compared)
        if begins:
            self._color_changes()
        self._follow_view(None)

    @property
    def comparison(self) -> Comparison | None:
        """What became of the units since the result that is compared, at the tolerances on show.

        None where none is compared.

        Raises
        ------
        ComparisonError, NoProbesError
            As `compare`.
        """
        compared, run = self._frames.compared_on_show, self._frames.run
        return None if compared is None else compared.comparison(run, self.tolerances)

    @known_arguments_only
    def worst(self, n: int = 10, by: str = "inactive share") -> pd.DataFrame:
        """The worst units of the whole network at the tolerances on show, the worst first.

        Parameters
        ----------
        n : int
            How many to list.
        by : {"inactive share", "mean |x|", "rms", "max |x|"}
            The largest share first, or the smallest magnitude.

        Returns
        -------
        pandas.DataFrame
            As `IUA.worst`.

        Raises
        ------
        TypeError, ValueError
            If `n` is no number of units, or units cannot be ranked by `by`.
        NoProbesError
            As `table`.

        Warns
        -----
        IUAWarning
            As `table`.

        Examples
        --------
        >>> import numpy as np
        >>> w = IUAWidget({"relu": np.array([[0.0, 0.5], [0.0, 0.0]])}, background=False)
        >>> w.worst(1)[["response", "unit", "inactive share", "dead"]]
          response  unit  inactive share  dead
        0     relu     0             1.0  True
        """
        worst = self.iua.worst(n, by)
        self._tell_failure(stacklevel=5)
        return worst

    def selection(self) -> pd.DataFrame:
        """The selected units of the selected layer, at the tolerances on show.

        Returns
        -------
        pandas.DataFrame
            Columns as `IUA.units`, with the unit as the index; empty where none is selected.

        Raises
        ------
        NoProbesError
            As `table`.

        Warns
        -----
        IUAWarning
            As `table`.

        Examples
        --------
        >>> import numpy as np
        >>> w = IUAWidget({"relu": np.array([[0.0, 0.5], [0.0, 0.0]])}, background=False)
        >>> w.selected = [1]
        >>> w.selection()["inactive count"].to_dict()
        {1: 1}
        """
        selection = selected_units(self.iua, self.layer, self.selected)
        self._tell_failure()
        return selection

    def recount(self) -> None:
        """Stream the data once more, so that all is exact at the tolerances on show.

        It runs in the background as the first run did; `wait` waits for it. See `IUA.recount`.

        Raises
        ------
        ProducerError
            If there is nothing to run again, or the first run goes on.
        NoProbesError
            If the first run counted nothing.

        Examples
        --------
        >>> import numpy as np
        >>> w = IUAWidget({"relu": np.array([[0.12, 0.5]])}, atol=0.11, background=False)
        >>> w.atol = 0.19  # between two stops
        >>> w.iua.at().exact
        False
        >>> w.recount()
        >>> w.iua.at().exact
        True
        """
        self._runs.recount(self.tolerances)

    def start(self) -> None:
        """Begin to count, or go on after a pause; a run that has ended begins anew.

        Raises
        ------
        ProducerError
            If it has ended, and cannot begin anew: see `restart`.

        Examples
        --------
        >>> import numpy as np
        >>> w = IUAWidget({"relu": np.array([[0.0, 0.5], [0.0, 0.0]])}, background=False)
        >>> w.start()
        >>> w.status, w.iua.probes
        ('done', 2)
        """
        self._runs.start(self.tolerances)

    def pause(self) -> None:
        """Pause the run, and return when the batch at hand is counted.

        A run that has ended stays as it is.

        Examples
        --------
        >>> import itertools
        >>> import numpy as np
        >>> w = IUAWidget(lambda batch_size: itertools.repeat({"relu": np.eye(2)}))
        >>> w.pause()
        >>> w.status
        'paused'
        >>> w.stop()
        """
        self._runs.pause(wait=self._frames.may_wait)

    def resume(self) -> None:
        """Go on after a pause; nothing where there is none.

        Examples
        --------
        >>> import itertools
        >>> import numpy as np
        >>> w = IUAWidget(lambda batch_size: itertools.repeat({"relu": np.eye(2)}))
        >>> w.pause()
        >>> w.resume()
        >>> w.status
        'running'
        >>> w.stop()
        """
        self._runs.resume(wait=self._frames.may_wait)

    def stop(self) -> None:
        """End the run, and return when the batch at hand is counted. What was counted stays.

        Examples
        --------
        >>> import itertools
        >>> import numpy as np
        >>> w = IUAWidget(lambda batch_size: itertools.repeat({"relu": np.eye(2)}))
        >>> w.stop()
        >>> w.status
        'stopped'
        """
        self._runs.stop(wait=self._frames.may_wait)

    def restart(self) -> None:
        """Count anew from the first batch.

        Raises
        ------
        ProducerError
            If there is nothing to run again: a finished `IUA`, or a stream that can be read only
            once. Give a list, a DataLoader or a callable.

        Examples
        --------
        >>> import numpy as np
        >>> w = IUAWidget({"relu": np.array([[0.0, 0.5], [0.0, 0.0]])}, background=False)
        >>> w.atol = 0.19  # becomes a stop
        >>> w.restart()
        >>> w.status, 0.19 in w.iua.stops
        ('done', True)
        """
        self._runs.restart(self.tolerances)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the run has ended.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait at the most.

        Returns
        -------
        bool
            Whether it has ended.

        Warns
        -----
        IUAWarning
            If the run broke off, with the cause, which `error` holds; or if there is no such layer
            as had been selected before the names were known.

        Examples
        --------
        >>> import numpy as np
        >>> w = IUAWidget({"relu": np.array([[0.0, 0.5], [0.0, 0.0]])})
        >>> w.wait(60)
        True
        """
        ended = self._runs.wait(timeout if self._frames.may_wait else 0)
        if ended:
            self._tell_failure()
            self._tell(self._opening.layer_note)
        return ended

    def close(self) -> None:
        """End the run, and take the widget off the page; what the notebook keeps of it stays.

        Examples
        --------
        >>> import numpy as np
        >>> w = IUAWidget({"relu": np.array([[0.0, 0.5], [0.0, 0.0]])}, background=False)
        >>> w.close()
        >>> w.iua.probes
        2
        """
        if "_frames" in self.__dict__:  # else it was never made as a whole
            self._runs.end()
            self._frames.close()
        feed = self.__dict__.get("_feed")
        if feed is not None and self._looks is not None:
            feed.close()
            if self._look_made in self._looks.history.on_change:
                self._looks.history.on_change.remove(self._look_made)
        super().close()

    @known_arguments_only
    def to_html(
        self,
        path: str | Path,
        *,
        title: str | None = None,
        text: str | None = None,
        limit: int = 64 * 2**20,
    ) -> Path:
        """Write the widget to one HTML file that works offline, sliders and all.

        Parameters
        ----------
        path : str or Path
            Of the file, which is replaced where it is there.
        title : str, optional
            The heading of the page.
        text : str, optional
            What a reader is to see, in a sentence or two under the heading; also on pictures that
            are saved from the page.
        limit : int
            Bytes of unit counts the file may hold, before compression. Above it, large layers are
            written with fewer stops, and say so on the page.

        Returns
        -------
        Path
            Where it is.

        Raises
        ------
        NoProbesError
            If nothing has been counted yet: count first.
        FileError
            If the path is invalid, something other than a file is there, or it cannot be
            written there.
        TypeError
            If `title` or `text` is no string, or `limit` no number.

        Warns
        -----
        IUAWarning
            If the run broke off, which the page says, too; or if the file is above 1 GiB, where a
            browser may not open it.

        Examples
        --------
        >>> import tempfile
        >>> import numpy as np
        >>> w = IUAWidget({"relu": np.array([[0.0, 0.5], [0.0, 0.0]])}, background=False)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     w.to_html(f"{folder}/units.html").name
        'units.html'
        """
        title, text = _as_text("title", title), _as_text("text", text)
        title, before = title or self._title, self._frames.read_before(self.tolerances, UNIT_SCALES)
        run, info = self._frames.run, self._frames.run_info()
        by_group = group_pictures(self._runs.run, [self.layer, *run.tallies], self.tolerances)
        where = export.save_page(
            path,
            self,
            run,
            info,
            title=title,
            text=text,
            limit=limit,
            before=before,
            looks=self._looks,
            by_group=by_group,
        )
        self._tell_failure(stacklevel=5)
        return where

    @traitlets.default("_still")
    def _name_of_still(self) -> str:
        return self._cell_output.name

    def _static_table(self) -> dict[str, str]:
        compared = self._frames.compared if "_frames" in self.__dict__ else None
        compared = compared if isinstance(compared, ComparedWith) else None
        iua, title = self._runs.iua, self._title
        if self._looks is not None and (whole := self._looks.newest_whole) is not None:
            step, iua = whole
            title = f"{title} at step {step:,}"
        return static_table(iua, OnPage.of(self, self._runs, title, compared))

    @property
    def _title(self) -> str:
        group = "" if self.group is None else f", group {self.group}"
        return f"Inactive units of {self._label}{group}"

    def _known(self) -> Known:
        tally = self._runs.run.tallies.get(self.layer)
        units = None if tally is None else tally.units
        if self._looks is None:
            return Known(
                self.layer, self._runs.layers, units, group_of=self._runs.run.name_of_group
            )
        look = self._looks.shown.look
        if look is not None and self.layer in look.index.numbers:
            units = look.layer(self.layer).layer.count
        layers = [] if look is None else look.layers
        return Known(self.layer, layers, units, self._looks.steps)

    def _before_change(self, name: str) -> None:
        if name in RULE and "_opening" in self.__dict__:
            self._opening.open_relative = False  # chosen, here or on the page

    # What follows may be called on another thread than the user's cell: it only asks for a frame.

    def _listen(self) -> None:
        self._runs.on_step, self._runs.on_status = self._counted, self._follow_run
        self._runs.on_beat = self._beat
        for trait, follow in (
            (SETTINGS, self._follow_setting),
            (("layer",), self._follow_layer),
            (TOLERANCES, self._follow_tolerances),
            ((*TOLERANCES, "layer", "sort", "filter"), self._follow_view),
            (("_shown",), self._follow_shown),
            (("selected",), self._follow_selected),
            (("group", "by_group"), self._follow_group),
        ):
            AnyWidget.observe(self, follow, trait)  # on whatever thread it is set, also in Shiny
        self.on_msg(self._obey)

    def _follow(self, looks: LooksOnShow) -> HistoryFeed:
        """Follow a history, and which of its looks is chosen."""
        feed = HistoryFeed(self, looks.snapshots, self._runs.context.run)
        AnyWidget.observe(self, self._follow_look, ("look",))
        AnyWidget.observe(self, self._follow_against, ("against",))
        AnyWidget.observe(self, lambda _: feed.units_changed(), ("layer", "selected"))
        looks.history.on_change.append(self._look_made)
        feed.flush()
        return feed

    def _look_made(self) -> None:
        looks = self._looks
        if looks is None or self._feed is None:
            return
        self._show_look(looks)
        self._open()
        self._frames.counted()
        self._feed.changed()
        self._cell_output.update_after_cell()

    def _follow_look(self, _change: Any) -> None:
        if self._looks is not None:
            self._show_look(self._looks)
            self._frames.look_changed()
            self._follow_view(None)

    def _follow_against(self, change: Any) -> None:
        if change["new"] is None:
            self._frames.compare(None)
        elif change["old"] is None:
            self._color_changes()
        self._follow_look(change)

    def _color_changes(self) -> None:
        """Color what became of units, as a comparison begins: in place of the default."""
        if self.color == COLORS[0]:
            self.color = CHANGE

    def _show_look(self, looks: LooksOnShow) -> None:
        self._runs.iua = looks.show(self.look).iua
        if self.against is not None:
            self._frames.compared = looks.before(self.against, lambda: self.dead_at)

    def _follow_shown(self, change: Any) -> None:
        self._frames.shown(change["old"], change["new"])
        if self._feed is not None:
            self._feed.shown()

    def _open(self) -> None:
        with self._chosen.by_itself():
            partly = None if self._looks is None else self._looks.shown.partly
            layers = [] if partly is None else partly.look.layers
            if layers and self.layer not in layers:
                self.layer = layers[0]
            guarded(self, self._opening.select_a_layer)
            guarded(self, self._opening.select_a_tolerance)

    def _counted(self) -> None:
        self._open()
        if self._runs.shown:
            self._frames.counted()

    def _beat(self) -> None:
        if self._runs.shown:
            self._frames.beat()

    def _follow_run(self) -> None:
        if not self._runs.shown:
            self._open()
            self.set_trait("status", self._runs.status)
            return
        self._frames.status_changed()
        if self._runs.status != "running":
            self._cell_output.update()

    def _follow_setting(self, change: Any) -> None:
        self._chosen.note(change["name"], lambda name: getattr(self, name))

    def _follow_layer(self, _change: Any) -> None:
        self._opening.layer_note = ""
        self.selected = []  # they were those of another layer
        self._frames.layer_changed()

    def _follow_tolerances(self, _change: Any) -> None:
        self._on_show.tolerances = self.tolerances
        self._frames.tolerances_changed()
        if self._feed is not None:
            self._feed.tolerances_changed()

    def _follow_group(self, _change: Any) -> None:
        self._frames.look_changed()
        self._follow_view(None)

    def _follow_selected(self, _change: Any) -> None:
        self._frames.selection_changed()

    def _follow_view(self, _change: Any) -> None:
        if self.status != "running":
            self._cell_output.update(settled=False)

    def _obey(self, _widget: Any, content: Any, _buffers: Any) -> None:
        commands.obey(
            content,
            self._runs,
            self.tolerances,
            keep=self._cell_output.update,
            answer=self._frames.beat,
        )

    def _tell_failure(self, stacklevel: int = 4) -> None:
        told = self._runs.explained_error
        if told is not None:
            self._tell(f"{told['title']}: {told['message']}", stacklevel)

    def _tell(self, message: str, stacklevel: int = 3) -> None:
        """Warn in the thread of the user's, who may have no page before them."""
        if message:
            warnings.warn(message, IUAWarning, stacklevel=stacklevel)


def _check_counted(producer: object, loader: object) -> None:
    """Tell what is counted from monitors and results, which are read."""
    if isinstance(getattr(producer, "history_data", None), History):
        message = (
            "an IUAMonitor has a widget of its own: monitor.widget. Of two monitors the newest "
            "looks are compared by IUAWidget(before.iua(), after.iua())."
        )
        raise ProducerError(message)
    if isinstance(loader, IUA) and not isinstance(producer, IUA):
        message = (
            "an IUA is no loader. Two finished results are compared by IUAWidget(before, "
            "after); a run by w = IUAWidget(model, loader) and w.compare(before)."
        )
        raise ProducerError(message)


def _opened_at(chosen: Mapping[str, Any], begun_at: Mapping[str, Any]) -> Tolerances:
    """The tolerances that are chosen, and those begun at for the rest."""
    chosen_ones = {name: chosen[name] for name in TOLERANCES if name in chosen}
    return Tolerances(**{**begun_at, **chosen_ones})


def _as_text(option: str, given: object) -> str:
    if given is not None and not isinstance(given, str):
        message = f"{option} must be a string, and is {given!r:.60}."
        raise TypeError(message)
    return given or ""
