"""Packs what became of units between two results: from which stop on each is dead in either."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from iua_widget.reading.dead_from import DeadFrom
from iua_widget.reading.layer_comparison import DeadIn, changes
from iua_widget.reading.statistics import at_or_below
from iua_widget.tolerances import Scale, Tolerances
from iua_widget.widget.packing import narrow

ALIVE, NEWLY_DEAD, REVIVED, DEAD_IN_BOTH, UNSURE, NOT_COMPARED = range(6)
"""What may have become of a unit, as the page has it."""

_CHANGES: Final = ("newly_dead", "revived", "dead_in_both")


@dataclass(frozen=True, slots=True)
class ResultBefore:
    """The result with which the one on show is compared.

    Attributes
    ----------
    stops : sequence of float
        Its own.
    layers : mapping of str to DeadFrom
    exact_at : sequence of Tolerances
        At which `DeadFrom.exactly` tells what is dead.
    """

    stops: Sequence[float]
    layers: Mapping[str, DeadFrom]
    exact_at: Sequence[Tolerances] = ()


def is_compared(before: DeadFrom | None, after: DeadFrom) -> bool:
    """Whether anything is said of a layer: a unit of it was finite in both results."""
    if before is None or not before.probes or not after.probes:
        return False
    return not after.first.size or bool((before.known & after.known).any())


def table_comparison(
    before: ResultBefore,
    after: Mapping[str, DeadFrom],
    *,
    scales: Sequence[Scale] = (),
    rtols: int = 0,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What became of the units of all layers, at any tolerances.

    Parameters
    ----------
    before : ResultBefore
    after : mapping of str to DeadFrom
        The layers on show, in their order.
    scales : sequence of str
        Scales of the units to tell curves over rtol for.
    rtols : int
        How many stops of rtol these have.

    Returns
    -------
    meta : dict
        ``stops`` of the result before; ``layers``, for each that is compared its ``mean_abs``
        before, and the columns ``counted`` before and ``counted_after`` where they are not all;
        ``exact_at``, where one of the two was counted again.
    arrays : dict
        ``pair_before``, ``pair_after`` and ``pair_units``: how many units there are that are dead
        from one column on before and from one after, of the compared units of all layers, one layer
        after the other, each as narrow as it can be; ``pair_end`` (uint32), of shape (layers,),
        where each ends. ``scale_changes`` (uint32), of shape (scales, 3, 2 bounds, layers, stops of
        rtol): newly dead, revived, dead in both; and ``exact_changes``, of shape (exact_at, 3, 2,
        layers).
    """
    numbers = range(len(after))
    pairs: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    over_rtol = np.zeros((len(scales), len(_CHANGES), 2, len(after), rtols), np.uint32)
    exactly = np.zeros((len(before.exact_at), len(_CHANGES), 2, len(after)), np.uint32)
    layers: list[dict[str, Any] | None] = []
    for number, (name, now) in zip(numbers, after.items(), strict=True):
        then = before.layers.get(name)
        if then is None or not is_compared(then, now):
            layers.append(None)
            pairs.append(_pairs(now, now, np.zeros_like(now.first, np.bool_)))
            continue
        known = then.known & now.known
        layers.append(_layer_meta(then, now))
        pairs.append(_pairs(then, now, known))
        for place, scale in enumerate(scales):
            if scale not in then.over_rtol:  # of a look in training no more is kept
                over_rtol[place, :, 1, number] = known.sum()
                continue
            over_rtol[place, :, :, number] = _change_curves(
                then.over_rtol[scale][:, known], now.over_rtol[scale][:, known], rtols
            )
        for place, both in enumerate(zip(then.exactly, now.exactly, strict=True)):
            masks = changes(*both)
            for change, mask in enumerate(_CHANGES):
                exactly[place, change, :, number] = (
                    masks[mask].sum(),
                    masks[f"{mask}_upper"].sum(),
                )
    joined = [narrow(np.concatenate(parts)) for parts in zip(*pairs, strict=True)]
    arrays = dict(zip(("pair_before", "pair_after", "pair_units"), joined, strict=False))
    arrays["pair_end"] = np.cumsum([len(units) for *_, units in pairs]).astype(np.uint32)
    arrays |= {"scale_changes": over_rtol, "exact_changes": exactly}
    meta = {"stops": list(before.stops), "layers": layers, "exact_at": _exact_at(before)}
    return meta, arrays


def units_comparison(
    before: ResultBefore, then: DeadFrom, now: DeadFrom, at: Tolerances
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What became of each unit of one layer, at any tolerances.

    Parameters
    ----------
    before : ResultBefore
    then, now : DeadFrom
        The layer before, and as it is on show.
    at : Tolerances
        Those on show.

    Returns
    -------
    meta : dict
        As of a layer by `table_comparison`, with ``stops``, ``exact_at``, and the ``dead_at`` that
        it is for; ``scale`` and ``atol`` of the curves over rtol.
    arrays : dict
        ``before_dead_from`` and ``dead_from`` (uint8, or uint16 beyond), of shape
        (units,): `DeadFrom.first`, the number of columns for all that is beyond;
        ``scale_dead_from`` (uint16), of shape (4, units), with a scale of the units: the stop of
        rtol from which on it was surely dead before, perhaps, is surely dead, and perhaps; and
        ``exact_changes`` (uint8), of shape (exact_at, units): what became of each.
    """
    scale = at.scale if at.scale in now.over_rtol else None
    meta = {
        **_layer_meta(then, now),
        "stops": list(before.stops),
        "dead_at": at.dead_at,
        "exact_at": _exact_at(before),
        "scale": scale,
        "atol": at.atol,
    }
    arrays = {
        "before_dead_from": narrow(np.minimum(then.first, then.columns)),
        "dead_from": narrow(np.minimum(now.first, now.columns)),
    }
    if scale is not None:
        both = np.concatenate([then.over_rtol[scale], now.over_rtol[scale]])
        arrays["scale_dead_from"] = both.astype(np.uint16)
    if before.exact_at:
        arrays["exact_changes"] = np.stack(
            [_fates(*both) for both in zip(then.exactly, now.exactly, strict=True)]
        )
    return meta, arrays


def _layer_meta(before: DeadFrom, after: DeadFrom) -> dict[str, Any]:
    return {
        "mean_abs": float(min(before.mean_abs, np.finfo(np.float64).max)),
        "counted": None if before.counted is None else list(before.counted),
        "counted_after": None if after.counted is None else list(after.counted),
    }


def _exact_at(before: ResultBefore) -> list[dict[str, Any]]:
    return [{"rtol": at.rtol, "atol": at.atol, "scale": at.scale} for at in before.exact_at]


def _pairs(
    before: DeadFrom, after: DeadFrom, known: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The columns from which on units are dead before and after, and how many units have them."""
    both = before.first[known].astype(np.int64) * after.columns + after.first[known]
    units = np.bincount(both)
    found = np.flatnonzero(units)
    there, here = np.divmod(found, after.columns)
    return there, here, units[found]


def _change_curves(before: np.ndarray, after: np.ndarray, rtols: int) -> np.ndarray:
    """Newly dead, revived and dead in both at every stop of rtol: shape (3, 2 bounds, stops)."""

    def dead(*from_stops: np.ndarray) -> np.ndarray:
        return at_or_below(np.asarray(np.maximum.reduce(from_stops)), rtols)

    (there, perhaps_there), (here, perhaps_here) = before, after
    return np.array(
        [
            [
                dead(here) - dead(here, perhaps_there),
                dead(perhaps_here) - dead(perhaps_here, there),
            ],
            [
                dead(there) - dead(there, perhaps_here),
                dead(perhaps_there) - dead(perhaps_there, here),
            ],
            [dead(there, here), dead(perhaps_there, perhaps_here)],
        ]
    )


def _fates(before: DeadIn, after: DeadIn) -> np.ndarray:
    """What became of each unit: uint8."""
    masks = changes(before, after)
    fates = np.full(masks["compared"].shape, UNSURE, np.uint8)
    possible = np.logical_or.reduce([masks[f"{mask}_upper"] for mask in _CHANGES])
    fates[masks["compared"] & ~possible] = ALIVE
    for fate, mask in zip((NEWLY_DEAD, REVIVED, DEAD_IN_BOTH), _CHANGES, strict=True):
        fates[masks[mask]] = fate
    fates[~masks["compared"]] = NOT_COMPARED
    return fates
