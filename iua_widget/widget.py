"""IUAWidget: Inactive Unit Analysis in a notebook cell, live."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import anywidget
import traitlets

from iua_widget import html
from iua_widget.errors import IUAError, NoProbesError, ProducerError
from iua_widget.introspect import IUA, threshold_of
from iua_widget.masks import MaskOption
from iua_widget.pacing import FramePacer
from iua_widget.producers import Source
from iua_widget.results import unknown_layer
from iua_widget.snapshots import sends_all_columns, table_snapshot, units_snapshot
from iua_widget.sources import open_source
from iua_widget.static_files import script, styles
from iua_widget.stream import Run, Status
from iua_widget.tally import Tally
from iua_widget.tolerances import Scale, check_dead_share, check_scale, check_tolerance
from iua_widget.view_state import check_colour, check_sort, check_units

if TYPE_CHECKING:
    import pandas as pd

_FRAME_BYTES: Final = 8 * 2**20
"""Unit counts sent in one live frame, at the most; a larger layer is sent with fewer stops."""


class IUAWidget(anywidget.AnyWidget):
    """Counts a model's inactive units in the background, and shows them as they come.

    A sortable table of layers and a zoomable heatmap of the selected layer's units, with sliders
    for the tolerances. Everything is counted once for all tolerances, so the sliders answer in the
    browser, at once.

    A unit is inactive on a probe where ``abs(x) <= atol + rtol * scale``. At ``rtol=0``, the
    default, the figures are `numpy.isclose`'s and DNIKit's.

    Parameters
    ----------
    source : torch.nn.Module, producer or IUA
        A model, with its `loader`; any producer `IUA.introspect` takes; or a finished `IUA`.
    loader : iterable, Dataset, Tensor or numpy.ndarray, optional
        The model's inputs.
    layers : str, type, LayerKind, Module, callable, or iterable of these, optional
        Whose outputs to count; by default those of activations. See `IUA.introspect`, also for
        `units`, `channel_axis`, `mask`, `forward`, `max_probes`, `mode`, `engine` and `memory`.
    rtol, atol : float
        Where the sliders stand at first. `atol` is made a stop.
    scale : {"layer mean", "zero"}
        What `rtol` is relative to: the layer's mean ``abs(x)``, or zero as in `numpy.isclose`,
        where it has no effect.
    batch_size : int
        Probes pulled from the producer at a time, where it is not a loader that decides.
    background : bool
        Whether to count on a thread of its own, so that the cell returns at once. Otherwise the
        widget is made when everything is counted.

    Attributes
    ----------
    rtol, atol : float
        The tolerances on show. Two-way: the page follows what Python sets, and Python sees what
        the sliders do (`observe`).
    scale : str
        Two-way, as `rtol`.
    layer : str
        The selected layer. Two-way.
    status : {"idle", "running", "paused", "stopped", "done", "failed"}
        Where the run stands. Read only.

    Raises
    ------
    ToleranceError, ProducerError, LayerSelectionError, UnitsError, EngineError, MemoryBudgetError
        As `IUA.introspect` for anything that can be told before the first batch. What goes wrong
        later shows in the widget, with what was counted before; `error` holds it.

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
    scale = traitlets.Unicode("layer mean").tag(sync=True)
    dead_share = traitlets.CFloat(1.0).tag(sync=True)
    layer = traitlets.Unicode("").tag(sync=True)
    units = traitlets.List(traitlets.Int()).tag(sync=True)
    sort = traitlets.Dict(None, allow_none=True).tag(sync=True)
    filter = traitlets.Unicode("").tag(sync=True)
    colour = traitlets.Unicode("share").tag(sync=True)
    status = traitlets.Unicode("idle", read_only=True).tag(sync=True)
    _run = traitlets.Dict(read_only=True).tag(sync=True)
    _table = traitlets.Bytes(b"", read_only=True).tag(sync=True)
    _units = traitlets.Bytes(b"", read_only=True).tag(sync=True)

    _pacer: FramePacer | None = None
    _current: Run | None = None
    _stops_left_out = False
    _counted_how: Mapping[str, Any] = MappingProxyType({})

    def __init__(
        self,
        source: Any,
        loader: Any = None,
        *,
        layers: Any = None,
        units: str | Mapping[str, str] = "auto",
        channel_axis: int | Mapping[str, int] | None = None,
        mask: MaskOption | None = None,
        forward: Callable[[Any, Any], Any] | None = None,
        max_probes: int | None = None,
        mode: str = "eval",
        engine: str = "auto",
        memory: str | int | None = None,
        rtol: float = 0.0,
        atol: float = 1e-8,
        scale: Scale = "layer mean",
        batch_size: int = 32,
        background: bool = True,
    ) -> None:
        rtol, atol = check_tolerance("rtol", rtol), check_tolerance("atol", atol)
        scale = check_scale(scale)
        self._source: Source | None = None
        if isinstance(source, IUA):
            _check_unused(
                loader=loader,
                layers=layers,
                mask=mask,
                forward=forward,
                max_probes=max_probes,
                channel_axis=channel_axis,
                units=None if units == "auto" else units,
                mode=None if mode == "eval" else mode,
                engine=None if engine == "auto" else engine,
                memory=memory,
            )
            self._iua = source
        else:
            self._source = open_source(
                source,
                loader,
                layers=layers,
                batch_size=batch_size,
                mask=mask,
                forward=forward,
                max_probes=max_probes,
                mode=mode,
            )
            self._counted_how = {
                "units": units,
                "channel_axis": channel_axis,
                "engine": engine,
                "memory": memory,
            }
            self._iua = self._new_iua(rtol, atol, scale)
        self._background = background
        super().__init__(rtol=rtol, atol=atol, scale=scale)
        self.on_msg(self._on_message)
        self._pacer = FramePacer(lambda: self._guarded(self._send_frame))
        if self._source is None:
            self._select_a_layer()
            self._pacer.flush()
        else:
            self._launch(after=None)

    def __repr__(self) -> str:
        return f"IUAWidget({self.status}, {self._iua!r})"

    @property
    def iua(self) -> IUA:
        """The current result: it grows while the run goes on, and can be read at any moment."""
        return self._iua

    @property
    def plan(self) -> pd.DataFrame:
        """What each layer takes in memory, and at how many stops it is held: see `IUA.plan`."""
        return self._iua.plan

    @property
    def error(self) -> Exception | None:
        """What ended a run that failed; None otherwise."""
        return self._current.error if self._current else None

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
        if self._source is None or not self._source.restartable:
            what = "a finished IUA" if self._source is None else "a one-shot iterator"
            message = (
                f"the widget shows {what}, which cannot be run again. Give it a list, a "
                "DataLoader or a callable to be able to restart."
            )
            raise ProducerError(message)
        previous = self._current
        if previous is not None:
            previous.stop(wait=False)
        self._iua = self._new_iua(self.rtol, self.atol, check_scale(self.scale))
        self._launch(after=previous)

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
        """
        return self._current.wait(timeout if self._may_wait() else 0) if self._current else True

    def close(self) -> None:
        """End the run, take its hooks off the model, and take the widget off the page."""
        if self._current is not None:
            self._current.stop(wait=False)
        if self._pacer is not None:
            self._pacer.close()
        super().close()

    def to_html(
        self, path: str | Path, *, title: str | None = None, limit: int = 64 * 2**20
    ) -> Path:
        """Write the widget to one HTML file that works offline, sliders and all.

        Parameters
        ----------
        path : str or Path
        title : str, optional
            The heading of the page.
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
        """
        iua = self._iua
        with iua.lock:
            if not iua.probes:
                message = "nothing has been counted yet, so there is nothing to write."
                raise NoProbesError(message)
            tallies = {name: iua.tally(name) for name in iua.layers}
            table = table_snapshot(tallies, iua.grid)
            units = sum(tally.units for tally in tallies.values())
            snapshots = {
                name: units_snapshot(
                    name, tally, self._threshold(tally), limit * tally.units // max(units, 1)
                )
                for name, tally in tallies.items()
            }
        state = {
            "rtol": self.rtol,
            "atol": self.atol,
            "scale": self.scale,
            "dead_share": self.dead_share,
            "units": self.units,
            "sort": self.sort,
            "filter": self.filter,
            "colour": self.colour,
            "layer": self.layer or iua.layers[0],
            "status": self.status,
            "_run": self._run_info(),
        }
        heading = title or f"Inactive units of {self._label()}"
        return html.write_page(path, html.render_page(heading, state, table, snapshots))

    @traitlets.validate("rtol", "atol")
    def _check_tolerance(self, proposal: Any) -> float:
        try:
            return check_tolerance(proposal["trait"].name, proposal["value"])
        except IUAError as error:
            raise traitlets.TraitError(str(error)) from None

    @traitlets.validate("scale")
    def _check_scale(self, proposal: Any) -> str:
        try:
            return check_scale(proposal["value"])
        except IUAError as error:
            raise traitlets.TraitError(str(error)) from None

    @traitlets.validate("dead_share")
    def _check_dead_share(self, proposal: Any) -> float:
        try:
            return check_dead_share(proposal["value"])
        except IUAError as error:
            raise traitlets.TraitError(str(error)) from None

    @traitlets.validate("sort")
    def _check_sort(self, proposal: Any) -> dict[str, Any] | None:
        try:
            return check_sort(proposal["value"])
        except ValueError as error:
            raise traitlets.TraitError(str(error)) from None

    @traitlets.validate("colour")
    def _check_colour(self, proposal: Any) -> str:
        try:
            return check_colour(proposal["value"])
        except ValueError as error:
            raise traitlets.TraitError(str(error)) from None

    @traitlets.validate("units")
    def _check_units(self, proposal: Any) -> list[int]:
        known = self.layer in self._iua.layers
        try:
            return check_units(
                proposal["value"],
                layer=self.layer,
                units=self._iua.tally(self.layer).units if known else None,
            )
        except (TypeError, ValueError) as error:
            raise traitlets.TraitError(str(error)) from None

    @traitlets.validate("layer")
    def _check_layer(self, proposal: Any) -> str:
        layer = str(proposal["value"])
        known = self._iua.layers
        if known and layer not in known:
            raise traitlets.TraitError(str(unknown_layer(layer, known)))
        return layer

    # Callbacks may run on another thread than the user's cell: they only ask for a frame.

    @traitlets.observe("layer")
    def _on_layer(self, _change: Any) -> None:
        self.units = []  # they were those of another layer
        if self._pacer is not None:
            self._pacer.request(urgent=True)

    @traitlets.observe("rtol", "atol", "scale")
    def _on_tolerance(self, _change: Any) -> None:
        if self._pacer is None:
            return
        # The page has every stop it needs, unless the layer was too large to send them all.
        if self._stops_left_out or self._iua.notes_at(self.atol) != self._run.get("notes"):
            self._pacer.request(urgent=True)

    def _on_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        if not isinstance(content, dict) or content.get("type") != "command":
            return
        command = content.get("command")
        if command in ("pause", "resume", "stop") and self._current:
            getattr(self._current, command)(wait=False)
        elif command in ("start", "restart"):
            getattr(self, command)()

    def _new_iua(self, rtol: float, atol: float, scale: Scale) -> IUA:
        return IUA(rtol=rtol, atol=atol, scale=scale, keep_inactive=False, **self._counted_how)

    def _launch(self, after: Run | None) -> None:
        source, iua = self._source, self._iua
        if source is None:
            return
        run = Run(
            lambda: iua.count(source),
            total=lambda: source.total,
            on_step=self._on_step,
            on_status=lambda: self._on_status(run),
        )
        self._current = run
        run.start(background=self._background, after=after)

    def _may_wait(self) -> bool:
        """False in an observer of what a frame changed: the run may be waiting for that frame."""
        return self._pacer is None or not self._pacer.sending_here

    def _on_step(self) -> None:
        self._guarded(self._select_a_layer)
        if self._pacer is not None:
            self._pacer.request()

    def _select_a_layer(self) -> None:
        layers = self._iua.layers
        if layers and self.layer not in layers:
            self.layer = layers[0]

    def _on_status(self, run: Run) -> None:
        if run is not self._current or self._pacer is None:
            return  # an earlier run, ended by a restart
        self._pacer.flush()
        if self.status != run.status:  # closed, so there are no more frames
            self._guarded(lambda: self.set_trait("status", run.status))

    def _guarded(self, action: Callable[[], None]) -> None:
        """Do what may call the user's observers: an error of theirs must not end the run."""
        try:
            action()
        except Exception:
            self.log.exception("An observer of the widget, or sending to the page, failed.")

    def _send_frame(self) -> None:
        iua = self._iua
        table = units = b""
        status: Status = self._current.status if self._current else "done"
        with iua.lock:
            info = self._run_info()
            tallies = {name: iua.tally(name) for name in iua.layers}
            if tallies:
                table = table_snapshot(tallies, iua.grid)
            if self.layer in tallies:
                tally = tallies[self.layer]
                threshold = self._threshold(tally)
                units = units_snapshot(self.layer, tally, threshold, _FRAME_BYTES)
                self._stops_left_out = not sends_all_columns(tally, _FRAME_BYTES)
        with self.hold_sync():
            self.set_trait("_table", table)
            self.set_trait("_units", units)
            self.set_trait("_run", info)
            self.set_trait("status", status)

    def _run_info(self) -> dict[str, Any]:
        run = self._current
        error = self.error
        info: dict[str, Any] = {
            "probes": self._iua.probes,
            "total": None,
            "elapsed": 0.0,
            "rate": None,
            "remaining": None,
            "error": None if error is None else _explained(error),
            "notes": self._iua.notes_at(self.atol),
            "source": self._label(),
            "restartable": self._source is not None and self._source.restartable,
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

    def _label(self) -> str:
        return self._source.label if self._source is not None else "a finished run"

    def _threshold(self, tally: Tally) -> float:
        return threshold_of(tally, self.atol, self.rtol, check_scale(self.scale))


def _check_unused(**options: Any) -> None:
    for name, value in options.items():
        if value is not None:
            message = f"a finished IUA is shown as it is, and takes no `{name}`."
            raise ProducerError(message)


def _explained(error: Exception) -> dict[str, str]:
    if isinstance(error, IUAError):
        return {"title": "The run broke off", "message": str(error)}
    return {"title": f"The run broke off: {type(error).__name__}", "message": str(error)}
