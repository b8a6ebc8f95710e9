"""Packs the worst units of a network for the browser, at every position of a slider."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from iua_widget.reading.recount import Recount
from iua_widget.reading.worst_units import WorstUnits, find_worst, what_is_ranked
from iua_widget.tally.tally import Tally
from iua_widget.tolerances import Stops, Tolerances, default_stops, same_thresholds
from iua_widget.widget.packing import narrow, pack

LISTED: Final = 50
"""How many of the worst a page can list."""

BOUNDED_AT_ONCE: Final = 2**20
"""Units times tolerances that are read while a person waits, where units have own thresholds."""
BOUNDED_IN_A_FILE: Final = 2**25
"""The same where a file is written: a second or two."""


def ranked_at(
    tallies: Mapping[str, Tally],
    grid: Stops,
    tolerances: Tolerances,
    bounded: int = BOUNDED_AT_ONCE,
) -> list[Tolerances]:
    """At which tolerances a page lists the worst units: wherever one slider alone may be moved to.

    Where units have thresholds of their own, and times the tolerances are more than `bounded`,
    those on show alone.
    """
    atols = sorted({*grid.values, tolerances.atol})
    several = [replace(tolerances, atol=atol) for atol in atols]
    if tolerances.scale != "zero":
        several += [
            replace(tolerances, rtol=rtol)
            for rtol in default_stops(tolerances.rtol)
            if rtol != tolerances.rtol
        ]
    own = sum(one.per_unit for one in several)
    if own * sum(tally.units for tally in tallies.values()) > bounded:
        return [one for one in several if one == tolerances or not one.per_unit]
    return several


def is_ranked_at(several: Sequence[Tolerances], tolerances: Tolerances) -> bool:
    """Whether a list ranked at several tolerances answers for these."""
    return any(
        one.dead_at == tolerances.dead_at and same_thresholds(one, tolerances) for one in several
    )


def worst_snapshot(
    tallies: Mapping[str, Tally],
    several: Sequence[Tolerances],
    recount: Recount | None = None,
) -> bytes:
    """The worst units of a network at several tolerances.

    Parameters
    ----------
    tallies : mapping of str to Tally
        In the order of the network.
    several : sequence of Tolerances
        Of one `dead_at`.
    recount : Recount, optional

    Returns
    -------
    bytes
        Every channel or unit that is listed at some tolerances, of shape (entries,): ``layer``
        (its number in the meta), ``unit`` and ``units`` (uint32), ``finite``, ``mean_abs``,
        ``rms`` and ``max_abs`` (float64); and the lists that differ, of shape (lists, n):
        ``order``, places among these, the worst first; ``inactive`` probes and ``dead`` units of
        each, and ``inactive_upper`` and ``dead_upper`` where bounds differ. The meta's ``at`` has
        rtol, atol and the number of the list, one for each of the tolerances.
    """
    worst = find_worst(tallies, several, LISTED, recount=recount)
    layers = [
        {
            "name": name,
            "what": what_is_ranked(tally),
            "shape": tally.unit_shape,
            "channel_axis": tally.channel_axis,
        }
        for name, tally in tallies.items()
    ]
    probes = max((tally.probes for tally in tallies.values()), default=0)
    return pack_worst(worst, several, layers, probes)


def pack_worst(
    worst: WorstUnits,
    several: Sequence[Tolerances],
    layers: Sequence[Mapping[str, Any]],
    probes: int,
) -> bytes:
    """Pack units that are ranked: see `worst_snapshot`.

    Parameters
    ----------
    worst : WorstUnits
        At the tolerances.
    several : sequence of Tolerances
    layers : sequence of mappings
        Of each layer of the network what the page has to know, by its number.
    probes : int
        At the most, of a layer.
    """
    entries = worst.entries
    numbers, layer = np.unique(entries.layer, return_inverse=True)
    lists = _lists(worst)
    first: dict[bytes, int] = {}
    rows: list[int] = []
    at = []
    for row, tolerances in enumerate(several):
        key = b"".join(array[row].tobytes() for array in lists.values())
        if key not in first:
            first[key] = len(rows)
            rows.append(row)
        at.append([tolerances.rtol, tolerances.atol, first[key]])
    for name in ("inactive", "dead"):
        if np.array_equal(lists[name], lists[f"{name}_upper"]):
            del lists[f"{name}_upper"]
    meta = {
        "kind": "worst",
        "probes": probes,
        "listed": worst.order.shape[1],
        "scale": several[0].scale,
        "dead_at": several[0].dead_at,
        "at": at,
        "layers": [layers[number] for number in numbers],
    }
    return pack(
        meta,
        {
            "layer": layer.astype(np.uint32),
            "unit": entries.unit.astype(np.uint32),
            "units": entries.units.astype(np.uint32),
            "finite": entries.finite.astype(np.float64),
            "mean_abs": entries.mean_abs,
            "rms": entries.rms,
            "max_abs": entries.abs_max,
            **{name: narrow(array[rows]) for name, array in lists.items()},
        },
    )


def _lists(worst: WorstUnits) -> dict[str, np.ndarray]:
    """What each list says of its entries, in its order."""
    entries, order = worst.entries, worst.order
    figures = {
        "inactive": entries.lower,
        "inactive_upper": entries.upper,
        "dead": entries.dead_units,
        "dead_upper": entries.dead_units_upper,
    }
    listed = {name: np.take_along_axis(array, order, axis=1) for name, array in figures.items()}
    return {"order": order, **listed}
