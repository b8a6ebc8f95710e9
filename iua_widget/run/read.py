"""All layers of a run, read at some tolerances."""

from __future__ import annotations

from iua_widget.reading.results import Reading, read_layer
from iua_widget.run.run import Run
from iua_widget.tolerances import Tolerances


def read(run: Run, tolerances: Tolerances) -> Reading:
    """Read every layer of one moment.

    Raises
    ------
    NoProbesError
        If nothing has been counted.
    """
    with run.being_read():
        results = {
            name: read_layer(tally, tolerances, run.recounted(name, tolerances))
            for name, tally in run.tallies.items()
        }
    return Reading(results, tolerances)
