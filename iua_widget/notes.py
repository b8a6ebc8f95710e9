"""What the reader of the figures should know that the figures alone do not tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from iua_widget.tally import Tally
from iua_widget.wording import named


def tally_notes(tallies: Mapping[str, Tally], atol: float, inputs: int) -> list[str]:
    """Notes on what was counted: one sentence or two each, for all layers concerned.

    Parameters
    ----------
    tallies : mapping of str to Tally
    atol : float
        The absolute tolerance on show.
    inputs : int
        Inputs counted.

    Returns
    -------
    list of str
    """

    def where(concerns: Callable[[Tally], bool]) -> list[str]:
        return [name for name, tally in tallies.items() if concerns(tally)]

    notes = []
    if tiny := where(lambda tally: vanishes(atol, tally)):
        notes.append(
            f"atol={atol:g} is below the smallest float16 (6e-8) and rounds to 0 there: "
            f"{named(tiny)} counted at exact zero."
        )
    if missed := where(lambda tally: tally.mask_missed):
        notes.append(
            f"The padding mask has another shape than the positions of {named(missed)}, where "
            "padding is counted, too. Give mask= a mapping of layer globs to masks, or None."
        )
    if other := where(lambda tally: _counts_items(tally) and tally.probes != inputs):
        probes = tallies[other[0]].probes
        notes.append(
            f"{named(other)}: {probes:,} responses for {inputs:,} inputs, and each counts as a "
            "probe. The first axis is not that of the batch, or not every input passes there."
        )
    return notes


def _counts_items(tally: Tally) -> bool:
    return tally.plan.choice != "token" and not tally.masked


def vanishes(atol: float, tally: Tally) -> bool:
    """Whether a tolerance above zero is zero in the precision of a layer's responses."""
    return atol > 0 and "float16" in tally.dtypes and not np.float16(atol)
