"""Plans how many stops of each layer fit into memory."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from iua_widget.common.amounts import format_bytes
from iua_widget.common.text_column import text_column
from iua_widget.errors import MemoryBudgetError
from iua_widget.tally.store import BYTES_PER_UNIT
from iua_widget.tally.top_probes import BYTES_EACH

if TYPE_CHECKING:
    import pandas as pd

FEWEST_STOPS: Final = 3

WAITING: Final = 128, 64
"""How many probes may wait to be counted together: as many as there is memory for."""


_LAYER_BYTES: Final = 4608
_COLUMN_BYTES: Final = 56
"""What a layer takes in objects and in sums over the probes: measured, rounded up."""


def fixed_bytes(stops: int) -> int:
    """What a layer takes whatever its units, at so many stops.

    Examples
    --------
    >>> fixed_bytes(70)
    8584
    """
    return _LAYER_BYTES + _COLUMN_BYTES * (stops + 1)


def batch_bytes(probes: int, units: int, stops: int) -> int:
    """What a classified batch of a layer takes until it is counted.

    Three sums and the highest bin of each unit, its bin on each probe, and each probe's inactive
    units at every stop.

    Examples
    --------
    >>> batch_bytes(32, 1000, 70)
    75176
    """
    bins = np.min_scalar_type(stops + 1).itemsize
    return units * (3 * 8 + bins * (probes + 1)) + probes * (stops + 1) * 8


def until_doubled(probes: int) -> int:
    """How many further probes of a layer can come before it may need more than was planned.

    Both its counters and what is kept of each probe are planned for powers of two.

    Examples
    --------
    >>> until_doubled(200), until_doubled(255), until_doubled(256)
    (55, 0, 255)
    """
    return (1 << probes.bit_length()) - 1 - probes


@dataclass(frozen=True, slots=True)
class LayerNeed:
    """What one layer would take.

    Attributes
    ----------
    layer : str
    units : int
    columns : tuple of int
        Those of the tally that can be held: all, or those held already.
    width, final_width : int
        Bytes that a counter takes now, and when all probes to come are counted: see
        `iua_widget.tally.unit_counts.counter_bytes`.
    batch_bytes : int
        What a batch of it takes until it is counted.
    begun : bool
        Whether there are counters already.
    fixed : int
        What it takes whatever its units: see `fixed_bytes`.
    work : int
        What is held besides while a batch of it is classified.
    top_probes : int
        Of each unit, the inputs with the largest responses that are kept.
    unit_bytes : int
        What a unit takes beside its counts.
    """

    layer: str
    units: int
    columns: tuple[int, ...]
    width: int
    final_width: int
    batch_bytes: int
    begun: bool = False
    fixed: int = 0
    work: int = 0
    top_probes: int = 0
    unit_bytes: int = BYTES_PER_UNIT

    @property
    def counter_bits(self) -> int:
        """Bits of the counters when all probes to come are counted."""
        return 8 << (self.final_width.bit_length() - 1)

    def bytes_with(self, columns: int) -> int:
        """What its tally takes with so many columns held."""
        beside = self.unit_bytes + self.top_probes * BYTES_EACH
        return self.units * (columns * self.final_width + beside)

    def transient(self, columns: int) -> int:
        """What is held besides while its counters are widened or thinned."""
        thinned = self.begun and columns < len(self.columns)
        return self.units * columns * self.width if thinned or self.final_width > self.width else 0


@dataclass(frozen=True, slots=True)
class LayerPlan:
    """What one layer takes, and what it holds for that.

    Attributes
    ----------
    need : LayerNeed
    columns : tuple of int
        The columns that are held.
    waiting : int
        Probes that may wait to be counted together, a byte a unit each.
    """

    need: LayerNeed
    columns: tuple[int, ...]
    waiting: int = 0

    @property
    def batch_bytes(self) -> int:
        """What batches take until they are counted."""
        return self.need.batch_bytes + self.need.units * self.waiting

    @property
    def stops(self) -> int:
        """At how many stops counts of units are held."""
        return len(self.columns) - 1


def plan_memory(
    needs: Sequence[LayerNeed],
    budget: int,
    stops: Sequence[float],
    always: Iterable[float],
    spare: int = 0,
) -> list[LayerPlan]:
    """Share a budget among layers: the largest give up stops first.

    Every layer gets as many stops as fit under one common number of bytes, the largest under which
    all fit; small layers keep all of theirs.

    Parameters
    ----------
    needs : sequence of LayerNeed
    budget : int
        Bytes for everything that is held.
    stops : sequence of float
        The tolerance grid.
    always : iterable of float
        Stops to keep in any case; 0 is kept, too.
    spare : int
        Bytes of the budget that are for no layer.

    Returns
    -------
    list of LayerPlan
        In the order of `needs`.

    Raises
    ------
    MemoryBudgetError
        If not even three stops a layer fit.

    Examples
    --------
    >>> stops = (0.0, 0.01, 0.1, 1.0, 10.0)
    >>> needs = [
    ...     LayerNeed("small", 10, (0, 1, 2, 3, 4, 5), 2, 2, 0),
    ...     LayerNeed("large", 1000, (0, 1, 2, 3, 4, 5), 2, 2, 0),
    ... ]
    >>> [plan.columns for plan in plan_memory(needs, 52_000, stops, [0.01])]
    [(0, 1, 2, 3, 4, 5), (0, 1, 4, 5)]
    """
    fewest = [_fewest(need, stops, always) for need in needs]

    def columns_under(cap: int) -> list[int]:
        return [
            min(len(need.columns), max(least, cap // max(need.units * need.final_width, 1)))
            for need, least in zip(needs, fewest, strict=True)
        ]

    def total(counts: Sequence[int]) -> int:
        pairs = [*zip(needs, counts, strict=True)]
        held = spare + sum(n.bytes_with(c) + n.batch_bytes + n.fixed for n, c in pairs)
        return held + max((max(n.transient(c), n.work) for n, c in pairs), default=0)

    if total(fewest) > budget:
        raise _too_small(needs, budget, total(fewest))
    everything = [len(need.columns) for need in needs]
    if total(everything) <= budget:
        return [LayerPlan(need, need.columns) for need in needs]
    low, high = 0, max(need.bytes_with(len(need.columns)) for need in needs)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if total(columns_under(middle)) <= budget else (low, middle - 1)
    return [
        LayerPlan(need, thinned_columns(need.columns, stops, always, count))
        for need, count in zip(needs, columns_under(low), strict=True)
    ]


def with_waiting(
    plans: Sequence[LayerPlan], batches: Mapping[str, int], budget: int
) -> list[LayerPlan]:
    """Let batches wait to be counted together, where there is memory to spare.

    It takes a tenth of the budget at the most: so much more is held for a moment should a batch
    come that is larger than those before.

    Parameters
    ----------
    plans : sequence of LayerPlan
    batches : mapping of str to int
        Probes a batch, of the layers whose batches can wait.
    budget : int
        Bytes for everything that is held.

    Examples
    --------
    >>> plans = [LayerPlan(LayerNeed("a", 1000, (0, 1, 2), 1, 1, 32_000), (0, 1, 2))]
    >>> [plan.waiting for plan in with_waiting(plans, {"a": 32}, 1_500_000)]
    [128]
    >>> [plan.waiting for plan in with_waiting(plans, {"a": 32}, 1_000_000)]
    [64]
    """
    held = sum(
        plan.need.bytes_with(len(plan.columns)) + plan.need.batch_bytes + plan.need.fixed
        for plan in plans
    ) + max((plan.need.work for plan in plans), default=0)
    for most in WAITING:
        able = {layer for layer, probes in batches.items() if 0 < 2 * probes <= most}
        units = sum(plan.need.units for plan in plans if plan.need.layer in able)
        if units * most <= min(budget // 10, budget - held):
            return [replace(plan, waiting=most if plan.need.layer in able else 0) for plan in plans]
    return [replace(plan, waiting=0) for plan in plans]


def thinned_columns(
    columns: Sequence[int], stops: Sequence[float], always: Iterable[float], count: int
) -> tuple[int, ...]:
    """Which columns to hold when there is memory for `count` of them.

    Zero, the stops to keep in any case and the last column; and of the others those that spread
    them evenly on the logarithmic scale: one after the other the stop that is farthest from those
    chosen before it.

    Examples
    --------
    >>> thinned_columns(range(7), (0.0, 1e-4, 1e-3, 1e-2, 0.1, 1.0), [1e-4], 5)
    (0, 1, 3, 5, 6)
    """
    if count >= len(columns):
        return tuple(columns)
    kept = {0.0, *always}
    chosen = {columns[-1], *(column for column in columns[:-1] if stops[column] in kept)}
    left = [column for column in columns if column not in chosen]
    scale = {column: math.log10(stops[column]) for column in columns[:-1] if stops[column] > 0}

    def distance(column: int) -> float:
        others = (abs(scale[column] - scale[other]) for other in chosen if other in scale)
        return min(others, default=math.inf)

    while left and len(chosen) < count:
        # Of those equally far the last: with nothing chosen above zero, the end of the scale.
        farthest = max(reversed(left), key=distance)
        chosen.add(farthest)
        left.remove(farthest)
    return tuple(sorted(chosen))


def top_probes_hint(units: int, k: int) -> str:
    """What the top probes of a layer take, and what to do for them to take less."""
    nbytes = format_bytes(units * k * BYTES_EACH)
    return (
        f", fewer top probes ({units:,} units x {k} x {BYTES_EACH} bytes are {nbytes}), or of some "
        f"layers only (top_probes={{'fc*': {k}}})"
    )


def plan_table(plans: Iterable[LayerPlan], stops: int) -> pd.DataFrame:
    """One row a layer; columns as `IUA.plan` says."""
    import pandas as pd

    plans = list(plans)
    columns: dict[str, object] = {
        "layer": text_column([plan.need.layer for plan in plans]),
        "units": [plan.need.units for plan in plans],
        "stops": [plan.stops for plan in plans],
        "of": [stops for _ in plans],
        "counter width": [plan.need.counter_bits for plan in plans],
        "bytes": [plan.need.bytes_with(len(plan.columns)) for plan in plans],
        "batch bytes": [plan.batch_bytes for plan in plans],
    }
    return pd.DataFrame(columns)


def _fewest(need: LayerNeed, stops: Sequence[float], always: Iterable[float]) -> int:
    wanted = {0.0, *always}.intersection(map(stops.__getitem__, need.columns[:-1]))
    return min(len(need.columns), max(len(wanted), FEWEST_STOPS) + 1)


def _too_small(needs: Sequence[LayerNeed], budget: int, least: int) -> MemoryBudgetError:
    largest = max(needs, key=lambda need: need.units)
    enough = format_bytes(2 ** math.ceil(math.log2(least)))
    batches = sum(need.batch_bytes for need in needs)
    smaller = (
        f", a smaller batch_size (a batch takes {format_bytes(batches)} until it is counted)"
        if batches > least / 4
        else ""
    )
    kept = sum(need.fixed for need in needs)
    if kept > least / 4:
        smaller += (
            f", keep_inactive=False (layers and what is kept of probes take {format_bytes(kept)})"
        )
    if largest.top_probes:
        smaller += top_probes_hint(largest.units, largest.top_probes)
    message = (
        f"counting at only {FEWEST_STOPS} stops would take {format_bytes(least)}, and "
        f"memory= allows {format_bytes(budget)}. The largest layer is {largest.layer!r} with "
        f"{largest.units:,} units. Choose units='channel' for it, fewer layers (layers=)"
        f"{smaller}, or a larger budget (memory={enough!r})."
    )
    return MemoryBudgetError(message, layer=largest.layer)
