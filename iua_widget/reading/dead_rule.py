"""The rule for dead units: on how many of its finite probes a unit must be inactive, and where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from iua_widget.reading.statistics import dead_from, finite_probes
from iua_widget.tally.tally import Tally
from iua_widget.tolerances import Tolerances

_MANY: Final = 2**24
"""Probes from which on it is not their numbers that are gone through, but the units."""
_BLOCK_UNITS: Final = 2**14


@dataclass(frozen=True, slots=True)
class DeadRule:
    """When a unit of a layer is dead: `dead_at` of its finite probes, rounded up.

    Attributes
    ----------
    needed : int, or numpy.ndarray of int64, shape (units,)
        Probes on which a dead unit is inactive: at least one. One number where all units were
        finite on all probes.
    all_finite_probes : bool
        Whether these are all of each unit's finite probes.
    """

    needed: int | np.ndarray
    all_finite_probes: bool

    @classmethod
    def of(cls, tally: Tally, tolerances: Tolerances) -> DeadRule:
        """The rule of a layer at tolerances."""
        finite = finite_probes(tally)
        if isinstance(finite, int):
            needed = tolerances.probes_needed(finite)
            return cls(needed, needed == max(finite, 1))
        one_at_least = np.maximum(finite, 1)
        if tolerances.dead_at == 1:
            return cls(one_at_least, all_finite_probes=True)
        few = int(finite.max(initial=0)) < _MANY
        distinct = np.flatnonzero(np.bincount(finite)) if few else np.unique(finite)
        by_number = [tolerances.probes_needed(int(probes)) for probes in distinct]
        by_unit = np.array(by_number, np.int64)[np.searchsorted(distinct, finite)]
        return cls(by_unit, bool((by_unit == one_at_least).all()))


def dead_from_bounds(tally: Tally, tolerances: Tolerances) -> tuple[np.ndarray, np.ndarray]:
    """The column from which on each unit is dead: surely, and perhaps.

    Beyond all columns where it was finite on no probe. Both are the same array where units are
    counted at all stops, or where what is dead is inactive on every finite probe.

    Returns
    -------
    surely, perhaps : numpy.ndarray of integers, shape (units,)
    """
    rule = DeadRule.of(tally, tolerances)
    if rule.all_finite_probes:
        exact = dead_from(tally)
        return exact, exact
    needed = np.broadcast_to(rule.needed, tally.units)
    first, counts = np.empty(tally.units, np.int64), tally.store.read_counts().counts
    for start in range(0, tally.units, _BLOCK_UNITS):
        block = slice(start, start + _BLOCK_UNITS)
        totals = counts[block].cumsum(axis=1, dtype=np.int64)
        first[block] = (totals < needed[block, None]).sum(axis=1)
    counted = np.array([*tally.columns, len(tally.stops) + 1])
    surely = counted[first]
    # Dead from the first counted column that says so; perhaps from just above the one before.
    perhaps = np.where(first > 0, counted[first - 1] + 1, 0) if tally.thinned else surely
    return surely, perhaps
