"""Functions that rank the channels and units of a network, the worst first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from iua_widget.common.arithmetic import as_ieee
from iua_widget.common.plain_values import plain
from iua_widget.common.words import nearest_first
from iua_widget.reading.recount import Recount
from iua_widget.reading.worst_entries import Entries, Several, read_entries
from iua_widget.tally.tally import Tally
from iua_widget.tolerances import Tolerances

RANKED_BY: Final = ("inactive share", "mean |x|", "rms", "max |x|")
"""What units can be ranked by: the largest share first, or the smallest magnitude."""

_POOLED: Final = 2**22
"""Counts of entries that are kept before those that cannot be among the worst are let go of."""


@dataclass(frozen=True, slots=True)
class WorstUnits:
    """The worst channels and units of a network at one or several tolerances.

    Attributes
    ----------
    entries : Entries
        Every one that is among them at some of the tolerances.
    order : numpy.ndarray of int64, shape (tolerances, n)
        Places among the entries, the worst first; fewer than n where there are not as many.
    """

    entries: Entries
    order: np.ndarray


@as_ieee
def find_worst(
    tallies: Mapping[str, Tally],
    several: Sequence[Tolerances],
    n: int,
    *,
    by: str = RANKED_BY[0],
    positions: bool = False,
    recount: Recount | None = None,
) -> WorstUnits:
    """Find the worst units of all layers that some probe has reached.

    Where a channel has several units, it is the channel that is ranked. Where two are equally bad,
    the one of the smaller largest ``abs(x)`` comes first, then of the smaller mean, then the one of
    more responses (of as many probes, that of more positions), and then the first of the network.

    Parameters
    ----------
    tallies : mapping of str to Tally
        In the order of the network.
    several : sequence of Tolerances
        Of one `dead_at`.
    n : int
    by : str
        One of `RANKED_BY`.
    positions : bool
        Whether the units of a map are ranked, each for itself, and not its channels.
    recount : Recount, optional
        The last one: what it was made for is read from it.

    Returns
    -------
    WorstUnits
    """
    at = Several(several, recount)
    pool: list[Entries] = []
    pooled = 0
    for number, (name, tally) in enumerate(tallies.items()):
        if not tally.probes or not tally.units or not n:
            continue
        again = None if recount is None else recount.layers[name]
        for entries in read_entries(tally, at, again, number=number, positions=positions):
            pool.append(entries)
            pooled += entries.lower.size
            if pooled > _POOLED:
                pool = [rank_entries(pool, n, by).entries]
                pooled = 0
    return rank_entries(pool or [Entries.none(len(several))], n, by)


def rank_entries(parts: Sequence[Entries], n: int, by: str = RANKED_BY[0]) -> WorstUnits:
    """The worst of the entries of some layers: see `find_worst`."""
    entries = Entries.together(parts)
    # What ties are broken by is the same at all tolerances: sorted by it once, a stable sort does.
    ties = (entries.unit, entries.layer, -entries.finite, entries.mean_abs, entries.abs_max)
    by_ties = np.lexsort(ties)
    places: list[np.ndarray] = []
    for row, (lower, upper) in enumerate(zip(entries.lower, entries.upper, strict=True)):
        same = row and (lower == entries.lower[row - 1]).all()
        if same and (upper == entries.upper[row - 1]).all():
            places.append(places[-1])
            continue
        with np.errstate(invalid="ignore", divide="ignore"):
            share, share_upper = lower / entries.finite, upper / entries.finite
        keys = [key[by_ties] for key in _keys(entries, by, share, share_upper)]
        places.append(by_ties[_first(keys, n)])
    order = np.stack(places)
    kept, order = np.unique(order, return_inverse=True)
    return WorstUnits(entries.take(kept), order.reshape(len(places), -1))


def _keys(
    entries: Entries, by: str, share: np.ndarray, share_upper: np.ndarray
) -> Sequence[np.ndarray]:
    """What sorts the worst first, what matters most first; NaN comes last."""
    shares = (-share, -share_upper)
    if by == "inactive share":
        return shares
    figures = {"mean |x|": entries.mean_abs, "rms": entries.rms, "max |x|": entries.abs_max}
    return figures[by], *shares


def _first(keys: Sequence[np.ndarray], n: int) -> np.ndarray:
    """The places of the n that come first, in order; among equals those that stand first."""
    first = keys[0]
    if n < len(first):
        last = np.partition(first, n - 1)[n - 1]
        among = np.arange(len(first)) if np.isnan(last) else np.flatnonzero(first <= last)
    else:
        among = np.arange(len(first))
    return among[np.lexsort([key[among] for key in reversed(keys)])][:n]


def what_is_ranked(tally: Tally) -> str:
    """What is ranked of a layer: "channel" or "unit".

    Examples
    --------
    >>> from iua_widget.tolerances import Stops
    >>> what_is_ranked(Tally(Stops([0]), (8, 4, 4))), what_is_ranked(Tally(Stops([0]), (8,)))
    ('channel', 'unit')
    """
    by_channel = tally.plan.choice != "element" or tally.channel_axis is not None
    return "channel" if by_channel else "unit"


def check_number(value: object) -> int:
    """Return `value` if it can be how many units to list.

    Raises
    ------
    TypeError
        If it is no whole number.
    ValueError
        If it is negative.

    Examples
    --------
    >>> check_number(10)
    10
    """
    number: Any = plain(value)
    if isinstance(number, bool) or not isinstance(number, (int, np.integer)):
        message = f"n must be a whole number, such as 10 for ten units; got {value!r:.60}."
        raise TypeError(message)
    if number < 0:
        message = f"n must be zero or more, such as 10 for ten units; got {number}."
        raise ValueError(message)
    return int(number)


def check_ranked_by(value: object) -> str:
    """Return `value` if units can be ranked by it, as it is written in tables.

    Raises
    ------
    ValueError
        If they cannot, with what comes nearest first.

    Examples
    --------
    >>> check_ranked_by("RMS")
    'rms'
    """
    for name in RANKED_BY:
        if isinstance(value, str) and value.lower() == name:
            return name
    names = nearest_first(value, RANKED_BY)
    message = f"by must be one of {', '.join(map(repr, names))}; got {value!r:.60}."
    raise ValueError(message)
