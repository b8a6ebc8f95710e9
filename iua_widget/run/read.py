"""The layers of a run, read at some tolerances."""

from __future__ import annotations

from collections.abc import Iterable

from iua_widget.reading.results import Reading, read_layer
from iua_widget.run.run import Run
from iua_widget.tolerances import Tolerances


def read(run: Run, tolerances: Tolerances, layers: Iterable[str] | None = None) -> Reading:
    """Read layers of one moment, all where none are named.

    Raises
    ------
    NoProbesError
        If nothing has been counted.
    """
    with run.being_read():
        results = {
            name: read_layer(run.tallies[name], tolerances, run.recounted(name, tolerances))
            for name in (run.tallies if layers is None else layers)
        }
    return Reading(results, tolerances)
