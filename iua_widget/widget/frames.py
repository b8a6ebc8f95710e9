"""Frames: updates of a run, sent to the page as often as it can take them."""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from typing import Any

from iua_widget.iua import run_of
from iua_widget.reading.notes import NOT_FINITE
from iua_widget.reading.shown_probe import Drawing
from iua_widget.reading.thresholds import UNIT_SCALES
from iua_widget.run.notes import notes_at
from iua_widget.run.run import Run
from iua_widget.tolerances import Scale, Tolerances, default_stops
from iua_widget.widget.card_facts import CardFacts
from iua_widget.widget.compared_with import ComparedWith, notes_between
from iua_widget.widget.comparison_snapshot import ResultBefore
from iua_widget.widget.connection import LARGEST_FRAME
from iua_widget.widget.group_pictures import group_pictures
from iua_widget.widget.history_feed import BESIDE, LOOK_SHARE, WORST_OF_LOOK_SHARE
from iua_widget.widget.looks_on_show import LookBefore, LooksOnShow
from iua_widget.widget.opening import Opening
from iua_widget.widget.pacing import COST_SHARE, FrameCost, FrameOrder, FramePacer
from iua_widget.widget.partly_kept import PartlyKept
from iua_widget.widget.runs import Runs
from iua_widget.widget.snapshots import sends_all_columns, table_snapshot, units_snapshot
from iua_widget.widget.traits import LOOKS, SETTINGS, WidgetTraits, guarded
from iua_widget.widget.worst_feed import WORST_SHARE, WorstFeed


class Frames:
    """Builds frames of what is counted and sends them to the page, on threads of their own.

    A frame has the table, the units of the selected layer, and how the run stands; the worst units
    follow in a pace of their own, and between frames go signs of life.

    Parameters
    ----------
    page : WidgetTraits
    runs : Runs
    label : str
        What the page calls the source.
    opening : Opening
        Has the notes on how the page opened.
    compared : ComparedWith, optional
        The result with which the one on show is compared at first.
    looks : LooksOnShow, optional
        The looks that it shows, of a history.
    drawing : Drawing, optional
        What draws top probes.

    Attributes
    ----------
    compared : ComparedWith, LookBefore or None
        The result with which the one on show is compared.
    """

    def __init__(
        self,
        page: WidgetTraits,
        runs: Runs,
        label: str,
        opening: Opening,
        *,
        compared: ComparedWith | None = None,
        looks: LooksOnShow | None = None,
        drawing: Drawing | None = None,
    ) -> None:
        self._page, self._runs, self._label, self._opening = page, runs, label, opening
        self._looks, self._cards = looks, CardFacts(drawing)
        # What trains beside a widget is given more time than what counts for it.
        trains = looks is not None
        self._pacer = FramePacer(
            lambda order: runs.context.run(self._send, order),
            cost_share=LOOK_SHARE if trains else COST_SHARE,
            beside=BESIDE if trains else 0.0,
        )
        self._worst = WorstFeed(
            lambda: (self.run, page.tolerances),
            self._send_worst,
            partly=lambda: None if looks is None else looks.shown.partly,
            cost_share=WORST_OF_LOOK_SHARE if trains else WORST_SHARE,
            beside=BESIDE if trains else 0.0,
        )
        self.compared: ComparedWith | LookBefore | None = compared
        self._info: dict[str, Any] = {}
        self._comparison: dict[str, Any] | None = None
        self._comparison_notes: list[str] = []
        self._sent_for: tuple[Any, ...] = ()
        self._stops_left_out = False

    @property
    def compared_on_show(self) -> ComparedWith | LookBefore | None:
        """What is compared with what is on show: where that is of one group, it in that."""
        compared = self.compared
        return (
            compared.of_group(self._page.group) if isinstance(compared, ComparedWith) else compared
        )

    @property
    def run(self) -> Run:
        """What is on show: of all probes, or of one group."""
        return run_of(self._runs.of_group(self._page.group))

    @property
    def may_wait(self) -> bool:
        """False in an observer of what a frame changed: the run may be waiting for that frame."""
        return not self._pacer.sending_here

    def counted(self) -> None:
        """More was counted: send it when there is time for it."""
        self._pacer.request()
        self._worst.counted()

    def look_changed(self) -> None:
        """Send another look, for which a person waits."""
        self._pacer.request(urgent=True)
        self._worst.now()

    def layer_changed(self) -> None:
        """Send the units of the layer that is selected now."""
        self._pacer.request(urgent=True)

    def selection_changed(self) -> None:
        """Send what the cards of the units that are selected now show."""
        context = self._runs.context
        self._pacer.beside_frames(lambda: context.run(guarded, self._page, self._send_cards))

    def compare(self, other: ComparedWith | LookBefore | None) -> None:
        """Compare what is on show with this from now on."""
        self.compared, self._comparison_notes = other, []
        self._pacer.request(urgent=True)

    def tolerances_changed(self) -> None:
        """Send a frame where the page does not have what it needs to answer by itself.

        It has every stop, unless the layer was too large to send them all. What it has was read at
        some dead_at, at an rtol and a tau where these are no stops, and at an atol with a unit
        scale; findings and notes, too, may be others at these tolerances.
        """
        self._worst.tolerances_changed()
        if (
            self._stops_left_out
            or self._what_is_sent_for(self._page.tolerances) != self._sent_for
            or not self._notes().items() <= self._info.items()
        ):
            self._pacer.request(urgent=True)

    def status_changed(self) -> None:
        """Send how things stand, on this thread."""
        page, status = self._page, self._runs.status
        self._pacer.flush()
        if status != "running":
            (self._worst.now if self._runs.background else self._worst.flush)()
        if page.status != status:  # closed, so there are no more frames
            guarded(page, lambda: page.set_trait("status", status))

    def shown(self, before: int, frame: int) -> None:
        """Take note that the page has shown a frame, and which it had shown before."""
        self._pacer.shown(frame)
        # Panel loses what is sent between the making of a page and its opening.
        if before == 0 and frame < self._info.get("frame", 0):
            bulk = {"_table", "_units", "_worst", "_history", "_life", "_cards", "_groups"}
            self._page.send_state({*bulk, "_run", "status", *SETTINGS, *LOOKS})
        self._worst.shown()

    def flush(self) -> None:
        """Send all there is, on this thread."""
        self._pacer.flush()
        self._worst.flush()

    def beat(self) -> None:
        """Tell the page that the kernel is alive, and how the time goes, between two frames."""
        self._pacer.beside_frames(lambda: self._runs.context.run(self._send_beat))

    def close(self) -> None:
        """Send no more."""
        self._pacer.close()
        self._worst.close()

    def run_info(self) -> dict[str, Any]:
        """How the run stands, as the page is told."""
        runs = self._runs
        progress = runs.progress
        look = None if self._looks is None else self._looks.shown.look
        return {
            "probes": runs.run.probes if look is None else look.inputs,
            "look": None if look is None else look.step,
            "trains": self._looks is not None,
            "total": progress.total,
            "elapsed": progress.elapsed,
            "rate": progress.rate,
            "remaining": progress.remaining,
            "nbytes": runs.run.nbytes,
            "error": runs.explained_error,
            **self._notes(),
            "compared": self._comparison,
            "source": self._label,
            "restartable": runs.restartable,
            "recounting": runs.recounting,
            "groups": list(runs.run.groups or ()),
        }

    def _notes(self) -> dict[str, Any]:
        """The notes as the page has them, which shows an error by itself, and why it opened so."""
        run = self._runs.run
        broke_off = None if run.failure is None else run.failure.note
        counted = [note for note in notes_at(run, self._page.atol) if note != broke_off]
        dropped = "" if self._looks is None else self._looks.history.dropped_note
        runs = self._runs
        before = [*self._opening.notes, *runs.context.notes, *runs.notes]
        before += [dropped] if dropped else []
        notes = [*before, *counted, *self._comparison_notes]
        in_sight = [note for note in notes if note.startswith(NOT_FINITE)]
        return {"notes": notes, "warnings": in_sight, "opened": self._opening.why_relative}

    def _send(self, order: FrameOrder) -> FrameCost:
        cost = FrameCost(0)

        def build_and_set() -> None:
            nonlocal cost
            cost = self._build_and_set(order)

        guarded(self._page, build_and_set)
        return cost

    def _build_and_set(self, order: FrameOrder) -> FrameCost:
        page, run, status = self._page, self.run, self._runs.status
        shown = None if self._looks is None else self._looks.shown
        if shown is not None:
            run = run_of(shown.iua)
        table = units = b""
        # Nobody counts once the run is paused or at its end: the page gets what it can take.
        busy = status == "running" or shown is not None
        budget = order.budget if busy else LARGEST_FRAME
        tolerances = page.tolerances
        scales = [scale for scale in UNIT_SCALES if scale == tolerances.scale]
        before = self.read_before(tolerances, scales)
        with run.lock:
            begun = time.perf_counter()
            tallies, recount = run.tallies, run.recount
            self._comparison_notes = [] if before is None else notes_between(before, tallies)
            self._info = self.run_info() | {"frame": order.number}
            if tallies:
                table = table_snapshot(
                    tallies,
                    run.options.grid,
                    tolerances,
                    unit_scales=scales,
                    recount=recount,
                    before=before,
                )
                self._sent_for = self._what_is_sent_for(tolerances)
            if page.layer in tallies:
                tally = tallies[page.layer]
                units = units_snapshot(
                    page.layer, tally, tolerances, budget, recount=recount, before=before
                )
                self._stops_left_out = not sends_all_columns(tally, budget)
            locked = time.perf_counter() - begun
        if shown is not None and shown.look is not None:
            self._info |= {"look": shown.look.step, "probes": shown.look.inputs}
            if shown.partly is not None:
                table, units = self._of_look(shown.partly, before)
        whole = self._runs.run
        pictures = group_pictures(whole, [page.layer], tolerances) if page.by_group else []
        with page.hold_sync():
            page.set_trait("_table", table)
            page.set_trait("_units", units)
            if not tallies and (self._looks is None or self._looks.shown.partly is None):
                page.set_trait("_worst", b"")
            page.set_trait("_cards", self._cards_of(run))
            page.set_trait("_groups", pictures)
            page.set_trait("_run", self._info)
            page.set_trait("status", status)
        return FrameCost(len(table) + len(units), locked)

    def read_before(self, at: Tolerances, scales: Sequence[Scale]) -> ResultBefore | None:
        """What the result on show is compared with; None where it is with none, or cannot be.

        It takes the locks of both runs, one after the other: call it without that of the run.
        """
        other, run = self.compared_on_show, self.run
        self._comparison = None if other is None else other.info(run)
        if other is None or self._comparison is None or self._comparison["refused"]:
            return None
        return other.read(at, scales=scales, recount=run.recount)

    def _of_look(self, partly: PartlyKept, before: ResultBefore | None) -> tuple[bytes, bytes]:
        """Table and units of a look of which not all counts are kept."""
        page, at = self._page, self._page.tolerances
        self._sent_for, self._stops_left_out = self._what_is_sent_for(at), False
        there = page.layer in partly.look.index.numbers
        units = partly.units(page.layer, at, before) if there else b""
        return partly.table(at, before), units

    def _send_worst(self, worst: bytes) -> None:
        page, context = self._page, self._runs.context
        send = functools.partial(page.set_trait, "_worst", worst)
        self._pacer.beside_frames(lambda: context.run(guarded, page, send))

    def _send_cards(self) -> None:
        page = self._page
        page.set_trait("_cards", self._cards_of(self.run))

    def _cards_of(self, run: Run) -> list[dict[str, Any]]:
        page, whole = self._page, self._runs.run
        return self._cards.of(run, whole, page.layer, page.selected, page.tolerances)

    def _send_beat(self) -> None:
        page = self._page
        self._info = self._info | self.run_info() | {"beats": self._info.get("beats", 0) + 1}
        guarded(page, lambda: page.set_trait("_run", self._info))

    def _what_is_sent_for(self, tolerances: Tolerances) -> tuple[Any, ...]:
        """What in a frame depends on the tolerances on show; of findings and groups, all."""
        page, run = self._page, self._runs.run
        if run.options.causes or page.by_group or (run.groups and page.selected):
            return (tolerances,)
        stops = default_stops()
        return (
            tolerances.dead_at,
            None if tolerances.rtol in stops else tolerances.rtol,
            None if tolerances.tau in stops else tolerances.tau,
            (tolerances.scale, tolerances.atol) if tolerances.scale in UNIT_SCALES else None,
        )
