"""Top probes as they are shown: a DataFrame with a drawing a row, and those of one unit's card."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

import pandas as pd

from iua_widget.reading.shown_probe import Drawing, DrawnProbe
from iua_widget.reading.top_probes import TopProbe, chosen_units, top_probes_of
from iua_widget.tally.tally import Tally


class ShownProbes(pd.DataFrame):
    """A DataFrame whose column ``shown`` a notebook draws."""

    @property
    def _constructor(self) -> type[pd.DataFrame]:
        return pd.DataFrame

    def _repr_html_(self) -> str:
        most = pd.get_option("display.max_rows")
        with pd.option_context("display.max_colwidth", None):
            return str(
                pd.DataFrame(self).to_html(
                    max_rows=most,
                    escape=False,  # the other columns are numbers
                    formatters={"shown": lambda drawn: cast("DrawnProbe", drawn).html},
                )
            )


def probes_to_show(
    layer: str, tally: Tally, units: int | Iterable[int] | None = None
) -> list[TopProbe]:
    """Those of a layer's units, in the order of the table: to be drawn once counting may go on.

    Raises
    ------
    NoProbesError, UnitsError
        As for `iua_widget.reading.top_probes.top_probes_table`.
    """
    chosen = chosen_units(layer, tally, units)
    return [one for unit in chosen for one in top_probes_of(layer, tally, int(unit))]


def shown_table(table: pd.DataFrame, probes: Sequence[TopProbe], drawing: Drawing) -> ShownProbes:
    """The table of top probes, with a column ``shown`` of each drawn, a `DrawnProbe`."""
    shown = ShownProbes(table)
    shown["shown"] = pd.Series([drawing.draw(one) for one in probes], dtype=object)
    return shown


def card_probes(probes: Sequence[TopProbe], drawing: Drawing | None = None) -> list[dict[str, Any]]:
    """The top probes of one unit as its card shows them.

    Parameters
    ----------
    probes : sequence of TopProbe
        From `probes_to_show`.
    drawing : Drawing, optional

    Returns
    -------
    list of dict
        What JSON can hold: ``rank``, ``probe``, ``value``, ``place``, a list of indices, and
        ``lengths``, of their axes, both perhaps empty; ``src``, a picture as a data URI, or the
        text ``before``, ``marked`` and ``after``, to be set as text: all empty without a drawing.

    Examples
    --------
    >>> card_probes([TopProbe(0, 1, 7, 2.5, (1,), ())], Drawing([["a", "b"]] * 8))[0]["marked"]
    'b'
    """
    drawn = [DrawnProbe() if drawing is None else drawing.draw(one) for one in probes]
    return [
        {
            "rank": one.rank,
            "probe": one.probe,
            "value": one.value,
            "place": list(one.place),
            "lengths": list(one.lengths),
            "src": as_drawn.src,
            "before": as_drawn.before,
            "marked": as_drawn.marked,
            "after": as_drawn.after,
        }
        for one, as_drawn in zip(probes, drawn, strict=True)
    ]
