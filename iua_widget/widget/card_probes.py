"""The top probes of the units that are selected, drawn for their cards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from iua_widget.run.run import Run

if TYPE_CHECKING:
    from iua_widget.reading.shown_probe import Drawing
    from iua_widget.reading.top_probes import TopProbe

MOST: Final = 8
"""Units whose probes are drawn: the first of those selected."""


class CardProbes:
    """Draws the top probes of selected units, and keeps the drawings as long as these stay.

    Parameters
    ----------
    drawing : Drawing, optional
        What draws them; without, only their numbers are told.
    """

    def __init__(self, drawing: Drawing | None = None) -> None:
        self._drawing = drawing
        self._found: tuple[str, list[tuple[int, list[TopProbe]]]] = "", []
        self._drawn: list[dict[str, Any]] = []

    def of(self, run: Run, layer: str, units: Sequence[int]) -> list[dict[str, Any]]:
        """What the page is told: ``layer``, ``unit`` and ``probes`` of each, see `card_probes`.

        It takes the run's lock to read them, and not to draw them.
        """
        with run.lock:
            tally = run.tallies.get(layer)
            if tally is None or tally.top is None or not units:
                return []
            # With tables, which the widget does not load to be imported.
            from iua_widget.reading.shown_probes import card_probes, probes_to_show

            chosen = [unit for unit in units[:MOST] if unit < tally.units]
            found = [(unit, probes_to_show(layer, tally, unit)) for unit in chosen]
        if (layer, found) != self._found:
            self._found = layer, found
            self._drawn = [
                {"layer": layer, "unit": unit, "probes": card_probes(probes, self._drawing)}
                for unit, probes in found
            ]
        return self._drawn
