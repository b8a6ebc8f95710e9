"""Notes on a run: what its reader should know beside the figures."""

from __future__ import annotations

from typing import Final

from iua_widget.common.arithmetic import as_ieee
from iua_widget.common.words import named
from iua_widget.reading.notes import tally_notes, vanishing_notes, zero_notes
from iua_widget.run.run import Run
from iua_widget.tolerances import Tolerances

OTHER_WEIGHTS: Final = (
    "The model's weights were not the same in all that was counted here: the figures are of "
    "several models together, and of none of them alone."
)


@as_ieee
def notes_at(run: Run, atol: float) -> list[str]:
    """The notes where `atol` is the tolerance on show, one sentence or two each."""
    with run.lock:
        notes = run.kept_notes
        if len(run.weights) > 1:
            notes.append(OTHER_WEIGHTS)
        if run.not_by_group:
            notes.append(_not_by_group_note(run))
        notes += vanishing_notes(run.tallies, atol)
        if run.tally_notes is None:
            run.tally_notes = tally_notes(run.tallies, run.probes)
        notes += run.tally_notes
        thinned = [name for name, tally in run.held.items() if tally.thinned]
        return [*notes, _thinned_note(run, thinned)] if thinned else notes


@as_ieee
def all_notes(run: Run, tolerances: Tolerances) -> list[str]:
    """The notes, and one where the tolerances look for exact zeros and there are none."""
    with run.lock:
        return [*notes_at(run, tolerances.atol), *zero_notes(run.tallies, tolerances)]


def _not_by_group_note(run: Run) -> str:
    return (
        f"{named(list(run.not_by_group))}: counted as a whole only, and not by group, since a row "
        "of the response there is no probe of the batch, such as tokens routed to an expert, or "
        "several items in one."
    )


def _thinned_note(run: Run, layers: list[str]) -> str:
    held = run.held
    fewest = min(len(held[layer].columns) for layer in layers) - 1
    counted_here = run.budget.plans or run.budget.asked is not None
    within = f"memory={run.budget.words!r}" if counted_here else "the memory that was free"
    return (
        f"Units are counted at fewer tolerances in {named(layers)} (at {fewest} of "
        f"{len(run.options.grid)} at the fewest), to stay within {within}; between these they are "
        "known as ranges."
    )
