"""What the cards of selected units tell besides: their shares in each group, and top probes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from iua_widget.common.words import from_to
from iua_widget.reading.bounds import read_bounds
from iua_widget.run.run import Run
from iua_widget.tolerances import Tolerances

if TYPE_CHECKING:
    from iua_widget.reading.shown_probe import Drawing
    from iua_widget.reading.top_probes import TopProbe

MOST: Final = 8
"""Units of which it is told: the first of those selected."""
_MOST_GROUPS: Final = 12

_Share = tuple[float, float, str]
"""Bounds on a share in percent, and the name of the group."""


class CardFacts:
    """Tells of selected units, and keeps the drawings of their top probes as long as these stay.

    Parameters
    ----------
    drawing : Drawing, optional
        What draws them; without, only their numbers are told.
    """

    def __init__(self, drawing: Drawing | None = None) -> None:
        self._drawing = drawing
        self._found: list[list[TopProbe]] = []
        self._drawn: list[list[dict[str, Any]]] = []

    def of(
        self, run: Run, whole: Run, layer: str, units: Sequence[int], tolerances: Tolerances
    ) -> list[dict[str, Any]]:
        """What the page is told: ``layer``, ``unit``, ``groups`` (words) and ``probes`` of each.

        It takes the run's lock to read them, and not to draw: see `card_probes`.

        Parameters
        ----------
        run, whole : Run
            What is on show, and of all probes.
        layer : str
        units : sequence of int
            Those selected.
        tolerances : Tolerances
        """
        with run.lock:
            tally = run.tallies.get(layer)
            if tally is None or not units or (tally.top is None and not whole.groups):
                return []
            chosen = [unit for unit in units[:MOST] if unit < tally.units]
            words = _by_group(whole, layer, chosen, tolerances)
            found: list[list[TopProbe]] = [[] for _ in chosen]
            if tally.top is not None:
                # With tables, which the widget does not load to be imported.
                from iua_widget.reading.shown_probes import card_probes, probes_to_show

                found = [probes_to_show(layer, tally, unit) for unit in chosen]
        if found != self._found:
            self._found = found
            self._drawn = [card_probes(probes, self._drawing) if probes else [] for probes in found]
        return [
            {"layer": layer, "unit": unit, "groups": groups, "probes": probes}
            for unit, groups, probes in zip(chosen, words, self._drawn, strict=True)
        ]


def _by_group(whole: Run, layer: str, units: Sequence[int], tolerances: Tolerances) -> list[str]:
    """In which groups each unit was inactive, on the largest shares of their probes first."""
    shares: list[list[_Share]] = [[] for _ in units]
    for name, group in (whole.groups or {}).items():
        tally = group.tallies.get(layer)
        if tally is None or not tally.probes:
            continue
        bounds = read_bounds(tally, tolerances)
        for of_unit, unit in zip(shares, units, strict=True):
            lower, upper = (
                100 * int(of[unit]) / tally.probes for of in (bounds.lower, bounds.upper)
            )
            of_unit.append((lower, upper, name))
    return [_in_words(of_unit) for of_unit in shares]


def _in_words(shares: Sequence[_Share]) -> str:
    if not shares:
        return ""
    first = sorted(shares, key=lambda one: -one[0])
    told = [
        f"{name}: {from_to(lower, upper, '.1f')} %" for lower, upper, name in first[:_MOST_GROUPS]
    ]
    more = len(first) - len(told)
    return f"Inactive in: {', '.join(told)}" + (f", and {more} more" if more else "")
