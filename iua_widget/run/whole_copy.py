"""A copy of what a run has counted, to be kept while the run counts something else."""

from __future__ import annotations

import copy

from iua_widget.run.run import Run
from iua_widget.tally.tally import Tally, TallyState


def whole_copy(run: Run) -> Run:
    """A run of the same counts, which nothing counts into.

    Examples
    --------
    >>> from iua_widget.options import CountOptions
    >>> whole_copy(Run(CountOptions())).tallies
    {}
    """
    twin = Run(run.options, run.engine)
    with run.lock:
        twin.tallies = {name: _copied(tally) for name, tally in run.tallies.items()}
        twin.probes, twin.inputs_passed = run.probes, run.inputs_passed
        twin.position = copy.copy(run.position)
        twin.source_notes, twin.weights = list(run.source_notes), list(run.weights)
        twin.steady, twin.failure = run.steady, run.failure
    return twin


def _copied(tally: Tally) -> Tally:
    state = tally.state()
    arrays = {name: array.copy() for name, array in state.arrays.items()}
    return Tally.from_state(tally.stops, TallyState(state.facts, arrays), tally.engine)
