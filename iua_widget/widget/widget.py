"""IUAWidget: Inactive Unit Analysis in a notebook cell, live."""

from __future__ import annotations

import functools
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

import anywidget
import traitlets

from iua_widget.common.cell_context import CellContext
from iua_widget.common.layer_names import unknown_layer
from iua_widget.common.plain_values import plain
from iua_widget.engines.choice import EngineName
from iua_widget.errors import IUAError, IUAWarning, ProducerError
from iua_widget.iua import IUA, run_of
from iua_widget.options import CallsOption, MaskOption, Mode, SourceOptions
from iua_widget.reading.notes import HARDLY_ANY, activation_shares, opening_rtol
from iua_widget.reading.presets import find_preset
from iua_widget.reading.thresholds import UNIT_SCALES
from iua_widget.run.failure import partial_kept
from iua_widget.run.loop import count, recount
from iua_widget.run.notes import notes_at
from iua_widget.run.open import open_source
from iua_widget.sources.source import Source
from iua_widget.tolerances import (
    DEFAULT_TAU,
    Scale,
    Tolerances,
    check_dead_at,
    check_scale,
    check_tolerance,
    default_stops,
)
from iua_widget.widget import export
from iua_widget.widget.assets import script, styles
from iua_widget.widget.background import Run, Status
from iua_widget.widget.cell_output import CellOutput
from iua_widget.widget.cells import CellRun, current_cell
from iua_widget.widget.connection import LARGEST_FRAME
from iua_widget.widget.iua_on_show import IUAOnShow, OnShow
from iua_widget.widget.kept_settings import SETTINGS, settings_in
from iua_widget.widget.pacing import FrameCost, FrameOrder, FramePacer
from iua_widget.widget.shiny_session import SessionObserver, ShinySession, current_shiny_session
from iua_widget.widget.snapshots import sends_all_columns, table_snapshot, units_snapshot
from iua_widget.widget.static_table import OnPage, run_in_words, still_page
from iua_widget.widget.tables import layer_table, selected_units
from iua_widget.widget.view_state import check_color, check_filter, check_selected, check_sort
from iua_widget.widget.worst_feed import WorstFeed
from iua_widget.widget.worst_snapshot import BOUNDED_IN_A_FILE, ranked_at, worst_snapshot

if TYPE_CHECKING:
    import pandas as pd

_BEAT: Final = 3.0
"""Seconds between signs of life to the page, which takes three missed ones for a silence."""

_OPENED_RELATIVE: Final = (
    "No activation here is exactly zero, as with GELU, SiLU or tanh: the page opened at "
    "|x| ≤ {rtol:g} × layer mean |x|."
)

_RULE: Final = ("rtol", "atol", "scale")
_DEFAULTS: Final = MappingProxyType(asdict(Tolerances(0.0, 1e-8, "layer_mean")))

_in_cells: WeakSet[IUAWidget] = WeakSet()


class IUAWidget(anywidget.AnyWidget):
    """Counts a model's inactive units in the background, and shows them as they come.

    A sortable table of layers and a zoomable heatmap of the selected layer's units, with sliders
    for the tolerances. Everything is counted once for all tolerances, so the sliders answer in the
    browser, at once.

    A unit is inactive on a probe where ``abs(x) <= atol + rtol * scale``. At ``rtol=0``, the
    default, the figures are `numpy.isclose`'s and DNIKit's.

    Parameters
    ----------
    producer : mapping, callable, iterable, torch.nn.Module or IUA
        Any producer that `IUA.introspect` takes; a model, with its `loader`; or a finished `IUA`.
    loader : iterable, Dataset, Tensor or numpy.ndarray, optional
        The model's inputs.
    layers : str, type, LayerKind, Module, callable, or iterable of these, optional
        Whose outputs to count; by default those of activations. See `IUA.introspect`, also for
        `units`, `channel_axis`, `mask`, `forward`, `max_probes`, `mode`, `calls`, `engine` and
        `memory`.
    rtol, atol : float, optional
        Where the sliders stand at first: by default at 0 and 1e-8, as in `IUA.introspect`. Where
        none of `rtol`, `atol` and `scale` is given, nor set before the first batch is counted, and
        no activation has exact zeros (GELU, SiLU, tanh), the page opens at the first of 0.05, 0.1,
        0.2 and 0.5 times the layer's mean at which a tenth of the responses is inactive, and says
        so. `atol` is made a stop.
    scale : {"zero", "layer_mean", "unit_rms", "unit_max"}, optional
        What `rtol` is relative to: zero as in `numpy.isclose`, where it has no effect; the layer's
        mean ``abs(x)``, the default; the unit's RMS; or the unit's largest ``abs(x)``.
    dead_at : float, optional
        A unit is dead that is inactive on at least this share of its finite probes, by default on
        all: see `IUA.introspect`.
    tau : float, optional
        A unit, in maps a channel, is dormant whose mean ``abs(x)`` is at most this times that of
        its layer, by default 0.025 times: see `IUA.introspect`.
    batch_size : int
        Probes pulled from the producer at a time, where it is not a loader that decides.
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
        `ipywidgets.link`). What cannot be is refused with a `traitlets.TraitError` that says why.
    scale : str
        What `rtol` is relative to.
    dead_at : float
        The share of its finite probes on which a dead unit is inactive: above 0, at most 1.
    tau : float
        From where on down a unit is dormant; `rtol` and `scale` have no part in it.
    layer : str
        The selected layer. One that there is not is refused; where the names are known only from
        the first batch on, it is told then, by a note and in `wait`.
    selected : list of int
        Its selected units: indices in the C order of one probe's response, ascending. Empty again
        when another layer is selected. (What a unit *is* is the argument `units`.)
    sort : dict or None
        The order of the table: ``{"column": "dead units", "ascending": False}``, with a column
        of `table`; None for the order of the network. Rows without the figure come last both ways.
    filter : str
        Which rows of the table are shown, such as ``"encoder kind:ReLU dead-channels>0"``: words in
        the name or the kind, a kind, and figures compared, all of which must hold. What compares no
        figure, or compares it with no number, is refused; in double quotes it is a word.
    color : {"share", "count", "mean |x|", "dead"}
        What the colors of the heatmap stand for.
    status : {"idle", "running", "paused", "stopped", "done", "failed"}
        Where the run stands. Read only.

    Raises
    ------
    ToleranceError, ProducerError, LayerSelectionError, UnitsError, EngineError, MemoryBudgetError
        As `IUA.introspect` for anything that can be told before the first batch. What goes wrong
        later shows in the widget, with what was counted before; `error` holds it.

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

    # Text, not paths: anywidget keeps every widget made from a file alive for good.
    _esm = traitlets.Unicode(script(), read_only=True).tag(sync=True)
    _css = traitlets.Unicode(styles(), read_only=True).tag(sync=True)

    rtol = traitlets.CFloat(0.0).tag(sync=True)
    atol = traitlets.CFloat(1e-8).tag(sync=True)
    scale = traitlets.Unicode("layer_mean").tag(sync=True)
    dead_at = traitlets.CFloat(1.0).tag(sync=True)
    tau = traitlets.CFloat(DEFAULT_TAU).tag(sync=True)
    layer = traitlets.Unicode("").tag(sync=True)
    selected = traitlets.List(traitlets.Int()).tag(sync=True)
    sort = traitlets.Dict(default_value=None, allow_none=True).tag(sync=True)
    filter = traitlets.Unicode("").tag(sync=True)
    color = traitlets.Unicode("share").tag(sync=True)
    status = traitlets.Unicode("idle", read_only=True).tag(sync=True)
    _run = traitlets.Dict(read_only=True).tag(sync=True)
    _table = traitlets.Bytes(b"", read_only=True).tag(sync=True)
    _units = traitlets.Bytes(b"", read_only=True).tag(sync=True)
    _worst = traitlets.Bytes(b"", read_only=True).tag(sync=True)
    # The newest frame a page has shown. Its changes are coalesced on the way, unlike messages.
    _shown = traitlets.Int(0).tag(sync=True, echo_update=False)
    # What the page hides where the widget lives: the output kept for those without a kernel.
    _still = traitlets.Unicode(read_only=True).tag(sync=True)

    _pacer: FramePacer | None = None
    _worst_feed: WorstFeed | None = None
    _shown_iua: IUAOnShow | None = None
    _layers_known: Sequence[str] = ()
    _layer_note = ""
    _shiny: ShinySession | None = None
    _cell_output: CellOutput | None = None
    _current: Run | None = None
    _cell: CellRun | None = None
    _stops_left_out = False
    _sent: tuple[Any, ...] = ()
    _recounting = False
    _given: Mapping[str, Any] = MappingProxyType({})
    _kept_units: tuple[str, list[int]] | None = None
    _setting_by_itself: int | None = None
    _may_open_relative = False
    _opened_at: float | None = None
    _counted_how: Mapping[str, Any] = MappingProxyType({})

    def __init__(
        self,
        producer: Any,
        loader: Any = None,
        *,
        layers: Any = None,
        units: str | Mapping[str, str] = "auto",
        channel_axis: int | Mapping[str, int] | None = None,
        mask: MaskOption | None = None,
        forward: Callable[[Any, Any], Any] | None = None,
        max_probes: int | None = None,
        mode: Mode = "eval",
        calls: CallsOption = "auto",
        engine: EngineName = "auto",
        memory: str | int | None = None,
        rtol: float | None = None,
        atol: float | None = None,
        scale: Scale | None = None,
        dead_at: float | None = None,
        tau: float | None = None,
        batch_size: int = 32,
        name: str | None = None,
        background: bool = True,
    ) -> None:
        self._source_name = _as_text("name", name)
        given = {"rtol": rtol, "atol": atol, "scale": scale, "dead_at": dead_at, "tau": tau}
        self._given = {name: value for name, value in given.items() if value is not None}
        self._cell = current_cell()
        self._chosen = settings_in(self._cell)
        for trait in self._given:
            self._chosen.pop(trait, None)
        kept = dict(self._chosen)
        asked = kept | self._given
        tolerances = Tolerances(
            **_DEFAULTS | {name: value for name, value in asked.items() if name in _DEFAULTS}
        )
        self._source: Source | None = None
        if isinstance(producer, IUA):
            _check_unused(
                loader=loader,
                layers=layers,
                mask=mask,
                forward=forward,
                max_probes=max_probes,
                channel_axis=channel_axis,
                units=None if units == "auto" else units,
                mode=None if mode == "eval" else mode,
                calls=None if calls == "auto" else calls,
                engine=None if engine == "auto" else engine,
                memory=memory,
            )
            self._iua = producer.counted if isinstance(producer, IUAOnShow) else producer
        else:
            options = SourceOptions(
                layers=layers,
                batch_size=batch_size,
                mask=mask,
                forward=forward,
                max_probes=max_probes,
                mode=mode,
                calls=calls,
            )
            self._source = open_source(producer, loader, options)
            self._counted_how = {
                "units": units,
                "channel_axis": channel_axis,
                "engine": engine,
                "memory": memory,
            }
            self._iua = self._new_iua(tolerances)
            if isinstance(producer, Mapping):
                self._layers_known = list(producer)
        self._background, self._on_show = background, OnShow(tolerances)
        self._context = CellContext()
        self._shiny = current_shiny_session()
        self._cell_output = CellOutput(
            self._still_page, lambda kept: self.send({"type": "kept", "data": kept})
        )
        super().__init__(**asdict(tolerances))
        self._may_open_relative = asked.keys().isdisjoint(_RULE)
        self._take_over(kept)
        if self._shiny is not None:
            self.layout.height = "fit-content"  # else shinywidgets gives it 400 pixels to fill
        self.on_msg(self._on_message)
        self._pacer = FramePacer(lambda order: self._context.run(self._send_frame, order))
        self._worst_feed = WorstFeed(lambda: (self._iua, self.tolerances), self._send_worst)
        if self._source is None:
            with self._by_itself():
                self._select_a_layer()
                self._open_where_something_shows()
            self._pacer.flush()
            self._worst_feed.flush()
        else:
            self._replace_those_of_this_cell()
            self._count(after=None)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """The widget, and for readers without a kernel a page that stands still.

        In a notebook that page is an output of its own, which follows the cell's others, and is
        brought up to date when the run is held or at its end.
        """
        bundle = super()._repr_mimebundle_(**kwargs)
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        if data is not None:
            follows = self._cell_output is not None and self._cell_output.follows()
            data["text/html"] = "<div></div>" if follows else self._still_page()["text/html"]
        return bundle

    @traitlets.default("_still")
    def _name_of_still(self) -> str:
        return self._cell_output.name if self._cell_output is not None else ""

    def _still_page(self) -> dict[str, str]:
        run = self._current
        on_page = OnPage(
            title=f"Inactive units of {self._label()}",
            run=run_in_words(
                self._iua,
                run.status if run and not self._recounting else "done",
                run.progress.total if run else None,
            ),
            tolerances=self.tolerances,
            layer=self.layer,
            sort=self.sort,
            filter=self.filter,
        )
        return still_page(self._iua, on_page)

    def __repr__(self) -> str:
        return f"IUAWidget({self.status}, {self._iua!r})"

    @property
    def iua(self) -> IUA:
        """The current result: it grows while the run goes on, and can be read at any moment.

        It is read at the tolerances on show where no others are named, and follows them:
        `IUA.show(w.iua)` is the whole table as the page has it. An `IUA` that was given keeps its
        own tolerances.
        """
        if self._shown_iua is None or self._shown_iua.counted is not self._iua:
            self._shown_iua = IUAOnShow(self._iua, self._on_show)
        return self._shown_iua

    @property
    def plan(self) -> pd.DataFrame:
        """What each layer takes in memory, and at how many stops it is held: see `IUA.plan`."""
        return self._iua.plan

    @property
    def error(self) -> Exception | None:
        """What ended a run that failed; None otherwise."""
        return self._current.error if self._current else None

    @property
    def tolerances(self) -> Tolerances:
        """Those on show."""
        return Tolerances(self.rtol, self.atol, check_scale(self.scale), self.dead_at, self.tau)

    def preset(self, name: str) -> None:
        """Set the tolerances of a preset: see `iua_widget.PRESETS`.

        Raises
        ------
        ToleranceError
            If there is no such preset.
        """
        with self.hold_sync():
            for trait, value in find_preset(name).settings.items():
                setattr(self, trait, value)

    def table(self) -> pd.DataFrame:
        """The layer table as it is on show: at its tolerances, filtered and sorted.

        Returns
        -------
        pandas.DataFrame
            Columns as `Reading.to_pandas`. The index is the place in the order of the network.

        Raises
        ------
        NoProbesError
            If nothing has been counted yet; where the run broke off, from `error`.

        Warns
        -----
        IUAWarning
            If the run broke off: the figures are of what was counted before.
        """
        table = layer_table(self._iua, self.tolerances, self.sort, self.filter)
        self._tell_failure()
        return table

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
        NoProbesError, IUAWarning
            As `table`.
        """
        worst = self.iua.worst(n, by)
        self._tell_failure()
        return worst

    def selection(self) -> pd.DataFrame:
        """The selected units of the selected layer, at the tolerances on show.

        Returns
        -------
        pandas.DataFrame
            Columns as `IUA.units`, with the unit as the index; empty where none is selected.

        Raises
        ------
        NoProbesError, IUAWarning
            As `table`.
        """
        selection = selected_units(self._iua, self.layer, self.selected, self.tolerances)
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
        """
        if self._current is not None and self._current.active:
            message = f"the run is {self.status}: recount when it has ended, or stop it."
            raise ProducerError(message)
        source = self._restartable_source()
        iua, tolerances = self._iua, self.tolerances
        if not iua.probes:
            so = "there is nothing to count again"
            raise run_of(iua).nothing_counted(so)
        again = functools.partial(recount, run_of(iua), source, tolerances)
        self._launch(again, after=self._current, again=True)

    def start(self) -> None:
        """Begin to count, or go on after a pause; a run that has ended begins anew."""
        if self.status == "paused":
            self.resume()
        elif self.status != "running":
            self.restart()

    def pause(self) -> None:
        """Hold the run, and return when the batch at hand is counted."""
        if self._current:
            self._current.pause(wait=self._may_wait())

    def resume(self) -> None:
        """Go on after a pause."""
        if self._current:
            self._current.resume(wait=self._may_wait())

    def stop(self) -> None:
        """End the run, and return when the batch at hand is counted. What was counted stays."""
        if self._current:
            self._current.stop(wait=self._may_wait())

    def restart(self) -> None:
        """Count anew from the first batch.

        Raises
        ------
        ProducerError
            If there is nothing to run again: a finished `IUA`, or a stream that can be read only
            once.
        """
        self._restartable_source()
        previous = self._current
        if previous is not None:
            previous.stop(wait=False)
        self._layers_known = self._iua.layers or self._layers_known
        self._iua = self._new_iua(self.tolerances)
        self._count(after=previous)

    def _restartable_source(self) -> Source:
        if self._source is None or not self._source.restartable:
            what = "a finished IUA" if self._source is None else "a one-shot iterator"
            message = (
                f"the widget shows {what}, which cannot be run again. Give it a list, a "
                "DataLoader or a callable to be able to restart."
            )
            raise ProducerError(message)
        return self._source

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
        """
        ended = self._current is None or self._current.wait(timeout if self._may_wait() else 0)
        if ended:
            self._tell_failure()
            self._tell_layer()
        return ended

    def close(self) -> None:
        """End the run, and take the widget off the page; what the notebook keeps of it stays."""
        if self._current is not None:
            self._current.stop(wait=False)
        if self._pacer is not None:
            self._pacer.close()
        if self._worst_feed is not None:
            self._worst_feed.close()
        super().close()

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
            If nothing has been counted yet.
        FileError
            If the path is none, there is something that is no regular file, or it cannot be
            written there.
        TypeError
            If `title` or `text` is no string, or `limit` no number.

        Warns
        -----
        IUAWarning
            If the run broke off, which the page says, too; or if the file is above 1 GiB, where a
            browser may not open it.
        """
        title, text = _as_text("title", title), _as_text("text", text)
        limit = plain(limit)
        if isinstance(limit, bool) or not isinstance(limit, (int, float)) or not limit >= 0:
            message = f"limit must be a number of bytes, and is {limit!r:.60}."
            raise TypeError(message)
        counted = run_of(self._iua)
        with counted.lock:
            if not counted.probes:
                so = "there is nothing to write"
                raise counted.nothing_counted(so)
            tallies = counted.tallies
            table = table_snapshot(
                tallies,
                counted.options.grid,
                self.tolerances,
                unit_scales=UNIT_SCALES,
                recount=counted.recount,
            )
            units = sum(tally.units for tally in tallies.values())
            snapshots = {
                name: units_snapshot(
                    name,
                    tally,
                    self.tolerances,
                    limit * tally.units // max(units, 1),
                    counted.recount,
                )
                for name, tally in tallies.items()
            }
            grid = counted.options.grid
            several = ranked_at(tallies, grid, self.tolerances, BOUNDED_IN_A_FILE)
            worst = worst_snapshot(tallies, several, counted.recount)
        state = {
            "rtol": self.rtol,
            "atol": self.atol,
            "scale": self.scale,
            "dead_at": self.dead_at,
            "tau": self.tau,
            "selected": self.selected,
            "sort": self.sort,
            "filter": self.filter,
            "color": self.color,
            "layer": self.layer or self._first_with_figures(),
            "status": self.status,
            "_run": self._run_info(),
        }
        self._tell_failure()
        heading = title or f"Inactive units of {self._label()}"
        page = export.render_page(heading, text, state, table=table, units=snapshots, worst=worst)
        return export.write_page(path, page)

    def _tell_failure(self) -> None:
        """Warn in the thread of the user's, who may have no page before them."""
        if self.error is not None:
            told = _explained(self.error, self._recounting)
            warnings.warn(f"{told['title']}: {told['message']}", IUAWarning, stacklevel=3)

    def _tell_layer(self) -> None:
        if self._layer_note:
            warnings.warn(self._layer_note, IUAWarning, stacklevel=3)

    @traitlets.validate("rtol", "atol", "tau")
    def _check_tolerance(self, proposal: Any) -> float:
        if proposal["trait"].name != "tau":
            self._may_open_relative = False  # chosen, here or on the page
        with _as_trait_error(IUAError):
            return check_tolerance(proposal["trait"].name, proposal["value"])

    @traitlets.validate("scale")
    def _check_scale(self, proposal: Any) -> str:
        self._may_open_relative = False
        with _as_trait_error(IUAError):
            return check_scale(proposal["value"])

    @traitlets.validate("dead_at")
    def _check_dead_at(self, proposal: Any) -> float:
        with _as_trait_error(IUAError):
            return check_dead_at(proposal["value"])

    @traitlets.validate("sort")
    def _check_sort(self, proposal: Any) -> dict[str, Any] | None:
        with _as_trait_error(ValueError):
            return check_sort(proposal["value"])

    @traitlets.validate("filter")
    def _check_filter(self, proposal: Any) -> str:
        with _as_trait_error(ValueError):
            return check_filter(proposal["value"])

    @traitlets.validate("color")
    def _check_color(self, proposal: Any) -> str:
        with _as_trait_error(ValueError):
            return check_color(proposal["value"])

    @traitlets.validate("selected")
    def _check_selected(self, proposal: Any) -> list[int]:
        known = self.layer in self._iua.layers
        with _as_trait_error(TypeError, ValueError):
            return check_selected(
                proposal["value"],
                layer=self.layer,
                units=run_of(self._iua).tally(self.layer).units if known else None,
            )

    @traitlets.validate("layer")
    def _check_layer(self, proposal: Any) -> str:
        layer = str(proposal["value"])
        known = self._iua.layers or self._layers_known
        if known and layer not in known:
            raise traitlets.TraitError(str(unknown_layer(layer, known)))
        return layer

    # Callbacks may run on another thread than the user's cell: they only ask for a frame.

    @traitlets.observe("layer")
    def _on_layer(self, _change: Any) -> None:
        self._layer_note = ""
        self.selected = []  # they were those of another layer
        if self._pacer is not None:
            self._pacer.request(urgent=True)

    @traitlets.observe("rtol", "atol", "scale", "dead_at", "tau")
    def _on_tolerance(self, _change: Any) -> None:
        self._on_show.tolerances = self.tolerances
        if self._pacer is None:
            return
        if self._worst_feed is not None:
            self._worst_feed.tolerances_changed()
        # The page has every stop it needs, unless the layer was too large to send them all, or
        # what it has was counted for another dead_at, or for another atol of a unit scale.
        if (
            self._stops_left_out
            or self._sent_for(self.tolerances) != self._sent
            or self._notes() != self._run.get("notes")
        ):
            self._pacer.request(urgent=True)

    @traitlets.observe(*SETTINGS)
    def _on_setting(self, change: Any) -> None:
        """Note what is chosen on the page or in another cell, for the widget to come."""
        if self._cell is None or self._setting_by_itself == threading.get_ident():
            return
        if current_cell() == self._cell:  # the cell will do so again, if it still says so
            return
        name = change["name"]
        for each in _RULE if name in _RULE else (name,):
            if each not in self._given or each == name:
                self._chosen[each] = getattr(self, each)

    @contextmanager
    def _by_itself(self) -> Iterator[None]:
        """Set what nobody has chosen."""
        before, self._setting_by_itself = self._setting_by_itself, threading.get_ident()
        try:
            yield
        finally:
            self._setting_by_itself = before

    def _take_over(self, kept: Mapping[str, Any]) -> None:
        """Set what was chosen in the widget that this one replaces, where there is such a thing."""
        with self._by_itself():
            for name in ("sort", "filter", "color"):
                if name in kept:
                    setattr(self, name, kept[name])
            layer, known = kept.get("layer", ""), self._iua.layers or self._layers_known
            if layer and (layer in known or not known):
                self.layer = layer
                self._kept_units = layer, kept.get("selected", [])

    @staticmethod
    def _sent_for(tolerances: Tolerances) -> tuple[Any, ...]:
        """What in a frame depends on the tolerances on show."""
        off_the_stops = tolerances.rtol not in default_stops()
        return (
            tolerances.dead_at,
            tolerances.rtol if off_the_stops else None,
            None if tolerances.tau in default_stops() else tolerances.tau,
            (tolerances.scale, tolerances.atol) if tolerances.scale in UNIT_SCALES else None,
        )

    @traitlets.observe(*("rtol", "atol", "scale", "dead_at", "tau"), *("layer", "sort", "filter"))
    def _on_view(self, _change: Any) -> None:
        if self.status != "running" and self._cell_output is not None:
            self._cell_output.update(settled=False)

    @traitlets.observe("_shown")
    def _on_shown(self, change: Any) -> None:
        if self._pacer is not None:
            self._pacer.shown(change["new"])
        # Panel loses what is sent between the making of a page and its opening.
        if change["old"] == 0 and change["new"] < self._run.get("frame", 0):
            self.send_state({"_table", "_units", "_worst", "_run", "status", *SETTINGS})
        if self._worst_feed is not None:
            self._worst_feed.shown()

    def observe(self, handler: Any, names: Any = traitlets.All, type: Any = "change") -> None:  # noqa: A002  (its name)
        """Call `handler` when a trait changes: see `traitlets.HasTraits.observe`."""
        super().observe(self._in_session(handler), names, type)

    def unobserve(self, handler: Any, names: Any = traitlets.All, type: Any = "change") -> None:  # noqa: A002
        """Call `handler` no more: see `traitlets.HasTraits.unobserve`."""
        super().unobserve(self._in_session(handler), names, type)

    def _in_session(self, handler: Any) -> Any:
        if self._shiny is None or isinstance(handler, traitlets.EventHandler):
            return handler
        return SessionObserver(self._shiny, handler)

    def _send(self, msg: Any, buffers: Any = None) -> None:
        if self._shiny is not None and self._shiny.elsewhere:
            send = super()._send
            self._shiny.hand_over(lambda: send(msg, buffers))
            return
        super()._send(msg, buffers)
        # From 7.4 on ipykernel hands what the page says next to the thread that sent last. A frame
        # is sent beside the user's cell, but belongs to it: with the cell busy, the buttons of the
        # page would wait for it to end. JupyterLab's own choice, a thread that listens, is better.
        getattr(self.comm, "__dict__", {}).pop("_reply_subshell_id", None)

    def _on_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        if not isinstance(content, dict):
            return
        if content.get("type") == "keep" and self._cell_output is not None:
            self._cell_output.update()
        if content.get("type") != "command":
            return
        command = content.get("command")
        try:
            if command in ("pause", "resume", "stop") and self._current:
                getattr(self._current, command)(wait=False)
            elif command in ("start", "restart", "recount"):
                getattr(self, command)()
        finally:
            if self._pacer is not None:
                self._pacer.beside_frames(self._beat)

    def _replace_those_of_this_cell(self) -> None:
        """End the runs of widgets that an earlier execution of this cell made."""
        if self._cell is None:
            return
        for widget in list(_in_cells):
            if self._cell.replaces(widget._cell) and widget._current is not None:  # noqa: SLF001
                widget._current.stop(wait=False)  # noqa: SLF001
        _in_cells.add(self)

    def _new_iua(self, tolerances: Tolerances) -> IUA:
        return IUA(**asdict(tolerances), keep_inactive=False, **self._counted_how)

    def _count(self, after: Run | None) -> None:
        source, iua = self._source, self._iua
        if source is not None:
            self._launch(lambda: _counting(iua, source), after=after)

    def _launch(
        self,
        open_steps: Callable[[], Generator[int]],
        *,
        after: Run | None,
        again: bool = False,
    ) -> None:
        source = self._source
        if source is None:
            return
        run = Run(
            open_steps,
            total=lambda: source.total,
            on_step=self._on_step,
            on_status=lambda: self._on_status(run),
            context=self._context,
        )
        self._current, self._recounting = run, again
        threading.Thread(
            target=self._beat_while, args=(run,), name="iua_widget beat", daemon=True
        ).start()
        run.start(background=self._background, after=after)

    def _beat_while(self, run: Run) -> None:
        while not run.wait(_BEAT):
            if run is self._current and self._pacer is not None:
                self._pacer.beside_frames(lambda: self._context.run(self._beat))

    def _may_wait(self) -> bool:
        """False in an observer of what a frame changed: the run may be waiting for that frame."""
        return self._pacer is None or not self._pacer.sending_here

    def _on_step(self) -> None:
        with self._by_itself():
            self._guarded(self._select_a_layer)
            self._guarded(self._open_where_something_shows)
        if self._pacer is not None:
            self._pacer.request()
        if self._worst_feed is not None:
            self._worst_feed.counted()

    def _open_where_something_shows(self) -> None:
        """Once, when enough is counted: at a relative tolerance where nothing is exactly zero."""
        if not self._may_open_relative:
            return
        counted = run_of(self._iua)
        with counted.lock:
            tallies = counted.tallies
            shares = activation_shares(tallies, self.atol)
            rtol = opening_rtol(tallies) if shares and max(shares) < HARDLY_ANY else None
        if not shares:
            return
        self._may_open_relative = False
        if rtol is not None:
            self._opened_at = rtol
            with self.hold_sync():
                self.rtol, self.atol, self.scale = rtol, 0.0, "layer_mean"

    def _select_a_layer(self) -> None:
        layers = self._iua.layers
        if not layers:
            return
        asked = self.layer
        kept, units = self._kept_units or ("", [])
        self._kept_units = None
        if asked not in layers:
            self.layer = first = self._first_with_figures()
            if asked and asked != kept:
                there = str(unknown_layer(asked, layers))
                self._layer_note = f"{there} {first!r} was selected instead."
        elif (
            asked == kept
            and not self.selected
            and all(u < run_of(self._iua).tally(kept).units for u in units)
        ):
            self.selected = units

    def _first_with_figures(self) -> str:
        tallies = run_of(self._iua).tallies
        shown = (name for name, tally in tallies.items() if tally.probes and tally.units)
        return next(shown, next(iter(tallies)))

    def _on_status(self, run: Run) -> None:
        if run is not self._current or self._pacer is None:
            return  # an earlier run, ended by a restart
        self._pacer.flush()
        if self._worst_feed is not None and run.status != "running":
            (self._worst_feed.now if self._background else self._worst_feed.flush)()
        if self.status != run.status:  # closed, so there are no more frames
            self._guarded(lambda: self.set_trait("status", run.status))
        if run.status != "running" and self._cell_output is not None:
            self._cell_output.update()

    def _guarded(self, action: Callable[[], None]) -> None:
        """Do what may call the user's observers: an error of theirs must not end the run."""
        try:
            action()
        except Exception:
            self.log.exception("An observer of the widget, or sending to the page, failed.")

    def _send_frame(self, order: FrameOrder) -> FrameCost:
        cost = FrameCost(0)

        def build_and_set() -> None:
            nonlocal cost
            cost = self._build_and_set(order)

        self._guarded(build_and_set)
        return cost

    def _build_and_set(self, order: FrameOrder) -> FrameCost:
        counted = run_of(self._iua)
        table = units = b""
        status: Status = self._current.status if self._current else "done"
        # Nobody counts besides once the run is held or at its end: the page gets what it can take.
        budget = order.budget if status == "running" else LARGEST_FRAME
        with counted.lock:
            begun = time.perf_counter()
            info = self._run_info() | {"frame": order.number}
            tallies = counted.tallies
            if tallies:
                tolerances = self.tolerances
                table = table_snapshot(
                    tallies,
                    counted.options.grid,
                    tolerances,
                    unit_scales=[scale for scale in UNIT_SCALES if scale == tolerances.scale],
                    recount=counted.recount,
                )
                self._sent = self._sent_for(tolerances)
            if self.layer in tallies:
                tally = tallies[self.layer]
                units = units_snapshot(self.layer, tally, self.tolerances, budget, counted.recount)
                self._stops_left_out = not sends_all_columns(tally, budget)
            held = time.perf_counter() - begun
        with self.hold_sync():
            self.set_trait("_table", table)
            self.set_trait("_units", units)
            if not tallies:
                self.set_trait("_worst", b"")
            self.set_trait("_run", info)
            self.set_trait("status", status)
        return FrameCost(len(table) + len(units), held)

    def _send_worst(self, worst: bytes) -> None:
        if self._pacer is not None:
            send = functools.partial(self.set_trait, "_worst", worst)
            self._pacer.beside_frames(lambda: self._context.run(lambda: self._guarded(send)))

    def _beat(self) -> None:
        """Tell the page that the kernel is alive, and how the time goes, between two frames."""
        beats = {"beats": self._run.get("beats", 0) + 1}
        self._guarded(lambda: self.set_trait("_run", self._run | self._run_info() | beats))

    def _run_info(self) -> dict[str, Any]:
        run = self._current
        error = self.error
        info: dict[str, Any] = {
            "probes": self._iua.probes,
            "total": None,
            "elapsed": 0.0,
            "rate": None,
            "remaining": None,
            "held": run_of(self._iua).nbytes,
            "memory": self._iua.memory,
            "error": None if error is None else _explained(error, self._recounting),
            "notes": self._notes(),
            "source": self._label(),
            "restartable": self._source is not None and self._source.restartable,
            "recounting": self._recounting,
        }
        if run is not None:
            progress = run.progress
            info |= {
                "total": progress.total,
                "elapsed": progress.elapsed,
                "rate": progress.rate,
                "remaining": progress.remaining,
            }
        return info

    def _notes(self) -> list[str]:
        """As the page has them, which shows an error by itself."""
        counted = run_of(self._iua)
        broke_off = counted.failure
        notes = [
            note
            for note in notes_at(counted, self.atol)
            if broke_off is None or note != broke_off.note
        ]
        layer = [self._layer_note] if self._layer_note else []
        if (self.rtol, self.atol, self.scale) == (self._opened_at, 0.0, "layer_mean"):
            layer.append(_OPENED_RELATIVE.format(rtol=self.rtol))
        return [*layer, *self._context.notes, *notes]

    def _label(self) -> str:
        return self._source_name or (
            self._source.label if self._source is not None else "a finished run"
        )


@contextmanager
def _as_trait_error(*refusals: type[Exception]) -> Iterator[None]:
    """Refuse what a trait is set to with the error of traits, in the words of the one raised."""
    try:
        yield
    except refusals as error:
        raise traitlets.TraitError(str(error)) from None


def _counting(iua: IUA, source: Source) -> Generator[int]:
    """The steps of a run, whose error holds what was counted before it."""
    with partial_kept(iua):
        yield from count(run_of(iua), source)


def _check_unused(**options: Any) -> None:
    for name, value in options.items():
        if value is not None:
            message = f"a finished IUA is shown as it is, and takes no `{name}`."
            raise ProducerError(message)


def _explained(error: Exception, recounting: bool) -> dict[str, str]:  # noqa: FBT001
    title = "The recount broke off" if recounting else "The run broke off"
    if not isinstance(error, IUAError):
        title = f"{title}: {type(error).__name__}"
    return {"title": title, "message": str(error)}


def _as_text(option: str, given: object) -> str:
    if given is not None and not isinstance(given, str):
        message = f"{option} must be a string, and is {given!r:.60}."
        raise TypeError(message)
    return given or ""
