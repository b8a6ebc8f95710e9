"""Chooses the layer, and the tolerance, at which the page opens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from iua_widget.common.layer_names import unknown_layer
from iua_widget.reading.notes import HARDLY_ANY, activation_shares, opening_rtol
from iua_widget.tally.tally import Tally
from iua_widget.widget.runs import Runs
from iua_widget.widget.traits import WidgetTraits

_OPENED_RELATIVE: Final = (
    "No activation here is exactly zero, as with GELU, SiLU or tanh: the page opened at "
    "|x| ≤ {rtol:g} × layer mean |x|."
)


class Opening:
    """Selects a layer, and once a relative tolerance where nothing is exactly zero.

    Parameters
    ----------
    page : WidgetTraits
    runs : Runs
    layer, selected : str, sequence of int
        What was chosen in the widget that this one replaces: taken where it is still there.

    Attributes
    ----------
    open_relative : bool
        Whether a tolerance may be selected still: nobody has chosen one.
    layer_note : str
        Why another layer is selected than was asked for.
    """

    def __init__(
        self, page: WidgetTraits, runs: Runs, layer: str = "", selected: Sequence[int] = ()
    ) -> None:
        self._page, self._runs = page, runs
        self._kept, self._kept_selected = layer, list(selected)
        self._opened_at: float | None = None
        self.open_relative = False
        self.layer_note = ""
        if layer and (layer in runs.layers or not runs.layers):
            page.layer = layer
        else:
            self._kept = ""

    @property
    def why_relative(self) -> str:
        """Why the page stands where it opened, at a relative tolerance; empty where it does not."""
        page = self._page
        opened = (page.rtol, page.atol, page.scale) == (self._opened_at, 0.0, "layer_mean")
        return _OPENED_RELATIVE.format(rtol=page.rtol) if opened else ""

    @property
    def notes(self) -> list[str]:
        """What the reader should know of it."""
        return [note for note in (self.layer_note, self.why_relative) if note]

    def select_a_layer(self) -> None:
        """Select the first with figures, unless one is selected; told where that is none."""
        tallies, page, kept = self._runs.run.tallies, self._page, self._kept
        if not tallies:
            return
        asked, self._kept = page.layer, ""
        if asked not in tallies:
            page.layer = first = first_with_figures(tallies)
            if asked and asked != kept:
                there = str(unknown_layer(asked, list(tallies)))
                self.layer_note = f"{there} {first!r} was selected instead."
        elif asked == kept and not page.selected:
            units = tallies[kept].units
            if all(unit < units for unit in self._kept_selected):
                page.selected = self._kept_selected

    def select_a_tolerance(self) -> None:
        """Once, when enough is counted: a relative one where nothing is exactly zero."""
        if not self.open_relative:
            return
        run, page = self._runs.run, self._page
        with run.lock:
            shares = activation_shares(run.tallies, page.atol)
            rtol = opening_rtol(run.tallies) if shares and max(shares) < HARDLY_ANY else None
        if not shares:
            return
        self.open_relative = False
        if rtol is not None:
            self._opened_at = rtol
            with page.hold_sync():
                page.rtol, page.atol, page.scale = rtol, 0.0, "layer_mean"


def first_with_figures(tallies: Mapping[str, Tally]) -> str:
    """The first layer that has figures, or else the first; "" where there is none."""
    having = (name for name, tally in tallies.items() if tally.probes and tally.units)
    return next(having, next(iter(tallies), ""))
