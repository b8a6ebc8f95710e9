"""Notes on what was counted: sentences on what the figures alone do not tell."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Final

import numpy as np

from iua_widget.common.words import listed, named
from iua_widget.reading.statistics import mean_abs, mean_inactive, non_finite
from iua_widget.sources.response_info import LIKE_AN_ACTIVATION
from iua_widget.tally.tally import Tally
from iua_widget.tolerances import Tolerances

_NEXT_TO_ZERO: Final = 1e-6
"""Up to here a tolerance is in practice a test for exact zeros..."""
HARDLY_ANY: Final = 0.001
"""...and where it finds less than this share, the net has none. The page has the same."""
_FEW: Final = 100
"""Responses from which nothing is concluded."""
_OPENINGS: Final = (0.05, 0.1, 0.2, 0.5)
"""Where the page of a net without exact zeros may open, as a share of the layer's mean..."""
_SHOWS: Final = 0.1
"""...and how many of the responses must be inactive there for a picture to show differences."""

NOT_FINITE: Final = "Not finite:"
"""What the one note begins with that the page has in sight, and not behind a button."""
_OF_ONE: Final = "In one of the merged runs: "


def vanishing_notes(tallies: Mapping[str, Tally], atol: float) -> list[str]:
    """A note where the absolute tolerance is zero in the precision of a layer's responses."""
    if not atol or np.float16(atol):
        return []
    tiny = [name for name, tally in tallies.items() if "float16" in tally.dtypes]
    if not tiny:
        return []
    note = (
        f"atol={atol:g} is below the smallest float16 (6e-8) and rounds to 0 there: "
        f"{named(tiny)} counted at exact zero."
    )
    return [note]


def tally_notes(tallies: Mapping[str, Tally], inputs: int) -> list[str]:
    """Notes on what was counted, whatever the tolerances: one sentence or two each.

    Parameters
    ----------
    tallies : mapping of str to Tally
    inputs : int
        Inputs counted.

    Returns
    -------
    list of str
    """

    def where(concerns: Callable[[Tally], bool]) -> list[str]:
        return [name for name, tally in tallies.items() if concerns(tally)]

    notes = []
    if missed := where(lambda tally: tally.mask_missed):
        notes.append(
            f"The padding mask has another shape than the positions of {named(missed)}, where "
            "padding is counted, too. Give mask= a mapping of layer globs to masks, or None."
        )
    if untold := where(lambda tally: tally.top is not None and tally.top.missed):
        notes.append(
            f"Which input a response is of is not known in {named(untold)}, such as what an expert "
            "is given, or windows of an image: their top probes lack these responses."
        )
    if odd := where(lambda tally: any(non_finite(tally))):
        notes.append(_not_finite({name: tallies[name] for name in odd}))
    if padding := where(lambda tally: not tally.probes and tally.masked > 0):
        notes.append(
            f"Every position of {named(padding)} is padding, as the mask says: no probe was left, "
            "and so there are no figures."
        )
    if inputs and (
        empty := where(lambda tally: not (tally.seen or tally.load) and bool(tally.dtypes))
    ):
        notes.append(
            f"No input reached {named(empty)}: there were only empty responses, of no row, and so "
            "there are no figures."
        )
    if without := where(lambda tally: tally.probes > 0 and not tally.units):
        notes.append(f"{named(without)}: responses without an entry, so there is no unit.")
    notes += _idle_experts(tallies)
    more = where(lambda tally: _counts_items(tally) and tally.probes not in (0, inputs))
    if passes := [name for name in more if tallies[name].many_passes]:
        probes = tallies[passes[0]].probes
        notes.append(
            f"{named(passes)}: {probes:,} responses for {inputs:,} inputs: the model is called "
            "several times a batch, as model.generate calls it, and the responses of the 1st and "
            "of each further call count as probes."
        )
    told = {*passes, *where(lambda tally: tally.merged_calls or tally.load is not None)}
    if other := [name for name in more if name not in told]:
        probes = tallies[other[0]].probes
        notes.append(
            f"{named(other)}: {probes:,} responses for {inputs:,} inputs, and each counts as a "
            "probe. The first axis is not that of the batch, or not every input passes there."
        )
    return notes


def notes_of_both(one: Collection[str], other: Collection[str]) -> list[str]:
    """What was noted of two runs that are merged: what only one says may not hold of both.

    Examples
    --------
    >>> notes_of_both(["Cut.", "Never called: 'a'."], ["Cut."])
    ['Cut.', "In one of the merged runs: Never called: 'a'."]
    """
    both = set(one) & set(other)
    told = (
        note if note in both else _OF_ONE + note.removeprefix(_OF_ONE) for note in (*one, *other)
    )
    return list(dict.fromkeys(told))


def _not_finite(tallies: Mapping[str, Tally]) -> str:
    nan, infinite = map(sum, zip(*map(non_finite, tallies.values()), strict=True))
    batches = {
        name: tally.store.read_magnitudes().first_non_finite for name, tally in tallies.items()
    }
    known = {name: batch for name, batch in batches.items() if batch is not None}
    # Where it began first; of one batch, in the order of the network.
    told = [
        f"{name!r} (first in batch {known[name]})" for name in sorted(known, key=known.__getitem__)
    ]
    told += [repr(name) for name in batches if name not in known]
    return (
        f"{NOT_FINITE} {nan:,} NaN and {infinite:,} infinite responses, in {listed(told)}"
        f"{'; batches are counted from 0' if known else ''}. They are never inactive; what is dead "
        "is told from the probes on which a unit was finite."
    )


def zero_notes(tallies: Mapping[str, Tally], tolerances: Tolerances) -> list[str]:
    """A note where a net has no exact zeros and the tolerances look for no others."""
    atol, idle = tolerances.atol, not tolerances.rtol or tolerances.scale == "zero"
    shares = activation_shares(tallies, atol)
    if not idle or atol > _NEXT_TO_ZERO or not shares:
        return []
    share = float(np.mean(shares))
    if not share < HARDLY_ANY:
        return []
    note = (
        f"Hardly any exact zero ({share:.2%} at atol={atol:g}), as with GELU, SiLU or tanh: try a "
        "tolerance relative to each layer, iua.at(rtol=0.05, scale='layer_mean'), or a larger atol."
    )
    return [note]


def activation_shares(tallies: Mapping[str, Tally], atol: float, rtol: float = 0.0) -> list[float]:
    """Of each activation the mean share of inactive units; empty where too little is counted.

    `rtol` is relative to the layer's mean ``abs(x)``. Left out are what is no activation, or of
    unknown origin, and channels, which are active where one position is.
    """
    activations = (t for t in tallies.values() if LIKE_AN_ACTIVATION.search(t.kind))
    layers = [t for t in activations if t.plan.choice != "channel" and _mostly_finite(t)]
    if sum(tally.entries * tally.units for tally in layers) < _FEW:
        return []
    return [
        mean_inactive(tally)[tally.stops.locate(atol + rtol * mean_abs(tally)).lower] / tally.units
        for tally in layers
        if tally.probes and tally.units
    ]


def opening_rtol(tallies: Mapping[str, Tally]) -> float:
    """The first of some round tolerances, relative to the layer's mean, that shows something."""
    shown = (rtol for rtol in _OPENINGS if np.mean(activation_shares(tallies, 0.0, rtol)) >= _SHOWS)
    return next(shown, _OPENINGS[-1])


def _mostly_finite(tally: Tally) -> bool:
    return 2 * sum(non_finite(tally)) < tally.entries * tally.units


def _idle_experts(tallies: Mapping[str, Tally]) -> list[str]:
    found: dict[str, None] = {}
    for name, tally in tallies.items():
        if tally.load is not None and not tally.load.tokens and not tally.masked:
            within = name[len(tally.load.module) + 1 :]
            found[f"{tally.load.module}.{re.split('[./]', within)[0]}"] = None
    if not found:
        return []
    many = "experts, which have no figures but their load"
    which = "expert, which has no figures but its load" if len(found) == 1 else many
    return [f"No token was routed to {len(found)} {which}: {named(list(found))}."]


def _counts_items(tally: Tally) -> bool:
    return tally.plan.choice != "token" and not tally.masked
