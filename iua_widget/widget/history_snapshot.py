"""Packs a history of looks for the browser: figures of all layers over the steps of training."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from iua_widget.common.arithmetic import as_ieee
from iua_widget.history.history import History
from iua_widget.history.layers import LayerIndex
from iua_widget.history.look import Look, same_layers
from iua_widget.history.look_figures import dormant_neurons
from iua_widget.tolerances import Stops, Tolerances
from iua_widget.widget.packing import narrow, pack
from iua_widget.widget.snapshots import choose_columns

SHARES: Final = 65535
"""Mean shares are told in parts of this; none and all only where it is so."""

_FEWEST_COLUMNS: Final = 4
_FEWEST_LOOKS: Final = 2
_MEAN_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class PackedHistory:
    """A snapshot of a history, and the tolerances for which it has all there is.

    Attributes
    ----------
    data : bytes
    columns : frozenset of int
    taus : sequence of float
    stops : Stops
    """

    data: bytes
    columns: frozenset[int]
    taus: Sequence[float]
    stops: Stops

    def answers(self, tolerances: Tolerances) -> bool:
        """Whether another snapshot would have no more to say at these tolerances."""
        if tolerances.tau not in self.taus:
            return False
        if len(self.columns) > len(self.stops):
            return True
        place = self.stops.locate(tolerances.atol)
        return tolerances.uniform and {place.lower, place.upper} <= self.columns


@dataclass(frozen=True, slots=True, eq=False)
class _Curves:
    """What is sent of one look: arrays of shape (layers, K + 1), in unsigned integers.

    Attributes
    ----------
    look, before : Look
        The look itself, and that since which it tells what changed.
    """

    look: Look
    before: Look | None
    inactive: np.ndarray
    dead: np.ndarray
    dead_upper: np.ndarray
    newly_dead: np.ndarray
    revived: np.ndarray


class HistorySnapshots:
    """Makes snapshots of a history, and keeps what each look comes to from one to the next.

    Parameters
    ----------
    history : History
        It is read under its lock.
    """

    def __init__(self, history: History) -> None:
        self.history = history
        self._lock = threading.Lock()
        self._curves: dict[int, _Curves] = {}
        self._dormant: dict[tuple[int, float], np.ndarray] = {}
        self._bases: dict[int, tuple[LayerIndex, np.ndarray]] = {}

    @as_ieee
    def pack(self, tolerances: Tolerances, budget: int) -> PackedHistory:
        """A snapshot at the tolerances on show, in about `budget` bytes.

        Where not all fits, fewer columns are sent: both ends, those in view, those near, and a
        spread; and where there are very many looks, fewer of these, evenly apart.

        Returns
        -------
        PackedHistory
            ``inactive`` (parts of `SHARES`), ``dead``, ``newly_dead`` and ``revived`` (units), of
            shape (columns, looks, layers), and ``dead_upper`` where bounds differ; ``dormant``, of
            shape (taus, looks, layers); ``mean_abs`` (float32), of shape (looks, layers), NaN where
            nothing was counted. Looks in the order of their steps, layers in that of the network.
        """
        history = self.history
        with history.lock:
            looks = list(history.looks)
            alarms = [_alarm(event) for event in history.events]
            whole, layers = sorted(history.whole), history.layers
        with self._lock:
            everything = self._all_curves(looks)
        taus = sorted({0.0, tolerances.tau})
        cells = max(len(layers), 1)
        column_bytes = cells * _bytes_of(everything)
        fixed = cells * (_MEAN_BYTES + len(taus) * everything[0].dead.itemsize) if looks else 0
        most = max(budget // max(fixed + _FEWEST_COLUMNS * column_bytes, 1), _FEWEST_LOOKS)
        shown = spread_looks(looks, most, {alarm["step"] for alarm in alarms})
        curves = [everything[place] for place in shown]
        room = budget // max(len(curves), 1) - fixed
        columns = _columns(history.stops, curves, tolerances, room // max(column_bytes, 1))
        places = [_places(one.look, layers) for one in curves]
        shape = (len(curves), len(layers))

        def gathered(name: str) -> np.ndarray:
            of_looks = [getattr(one, name) for one in curves]
            dtype = np.result_type(np.uint8, *of_looks)
            out = np.zeros((len(columns), *shape), dtype)
            for row, (one, place) in enumerate(zip(of_looks, places, strict=True)):
                out[:, row, place] = one[:, columns].T
            return out

        arrays: dict[str, np.ndarray] = {}
        for name in ("inactive", "dead", "dead_upper", "newly_dead", "revived"):
            arrays[name] = gathered(name)
        if np.array_equal(arrays["dead"], arrays["dead_upper"]):
            del arrays["dead_upper"]
        dormant = np.zeros((len(taus), *shape), np.uint32)
        means = np.full(shape, np.nan, np.float32)
        for row, (one, place) in enumerate(zip(curves, places, strict=True)):
            for number, tau in enumerate(taus):
                dormant[number, row, place] = self._dormant_at(one.look, tau)
            means[row, place] = np.where(one.look.probes > 0, one.look.layer_mean, np.nan)
        arrays["dormant"], arrays["mean_abs"] = narrow(dormant), means
        meta = {
            "kind": "history",
            "steps": [one.look.step for one in curves],
            "looks": len(looks),
            "whole": whole,
            "layers": _layer_metas(looks, layers),
            "stops": history.stops.values,
            "columns": columns,
            "taus": taus,
            "dead_at": history.dead_at,
            "alarms": alarms,
        }
        return PackedHistory(pack(meta, arrays), frozenset(columns), taus, history.stops)

    def _all_curves(self, looks: Sequence[Look]) -> list[_Curves]:
        """What each look comes to; of those that are gone nothing is kept."""
        kept: dict[int, _Curves] = {}
        for before, look in zip([None, *looks], looks, strict=False):
            known = self._curves.get(id(look))
            if known is None or known.before is not before:
                known = self._curves_of(look, before)
            kept[id(look)] = self._curves[id(look)] = known
        self._curves = kept
        self._dormant = {key: one for key, one in self._dormant.items() if key[0] in kept}
        indices = {id(look.index) for look in looks}
        self._bases = {key: base for key, base in self._bases.items() if key in indices}
        return list(kept.values())

    def _curves_of(self, look: Look, before: Look | None) -> _Curves:
        units = np.diff(look.index.units)[:, None]
        with np.errstate(invalid="ignore", divide="ignore"):
            shares = look.mean / units
        parts = np.nan_to_num(np.rint(shares * SHARES))
        some, not_all = (shares > 0) & (parts == 0), (shares < 1) & (parts == SHARES)
        inactive = (parts + some - not_all).astype(np.uint16)
        dead = self._counts(look, look.dead_from)
        dead_upper = self._counts(look, look.perhaps_dead_from) if look.counted else dead
        newly_dead, revived = self._changes(look, dead, before)
        return _Curves(
            look, before, inactive, narrow(dead), narrow(dead_upper), newly_dead, revived
        )

    def _counts(self, look: Look, first: np.ndarray, of: np.ndarray | None = None) -> np.ndarray:
        """How many units of each layer are dead at each column; of those alone, where given."""
        width, base = look.mean.shape[1] + 1, self._base(look)
        places = base + first if of is None else (base + first)[of]
        counts = np.bincount(places, minlength=len(look.index) * width)
        return counts.reshape(-1, width)[:, :-1].cumsum(axis=1)

    def _base(self, look: Look) -> np.ndarray:
        """Where the counts of each unit's layer begin."""
        index = look.index
        known = self._bases.get(id(index))
        if known is None:
            width = look.mean.shape[1] + 1
            base = np.repeat(np.arange(len(index)) * width, np.diff(index.units))
            known = self._bases[id(index)] = index, base
        return known[1]

    def _changes(
        self, look: Look, dead: np.ndarray, before: Look | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Units newly dead and revived since a look, in those that were finite in both."""
        shape = look.mean.shape
        none = np.zeros(shape, np.uint8)
        if before is None:
            return none, none
        if before.index is look.index:
            here, there, top = look.dead_from, before.dead_from, shape[1]
            of = None
            if max(here.max(initial=0), there.max(initial=0)) < top:
                earlier = self._curves.get(id(before))
                now, then = dead, self._counts(look, there) if earlier is None else earlier.dead
            else:
                of = (here < top) & (there < top)
                now, then = self._counts(look, here, of), self._counts(look, there, of)
            both = self._counts(look, np.maximum(here, there), of)
            return narrow(now - both), narrow(then - both)
        newly_dead, revived = np.zeros((2, *shape), np.int64)
        for _, number in zip(*same_layers(before, look), strict=True):
            name = look.index.layers[number].name
            one, other = look.layer(name), before.layer(name)
            newly_dead[number], revived[number] = one.newly_dead(other), one.revived(other)
        return narrow(newly_dead), narrow(revived)

    def _dormant_at(self, look: Look, tau: float) -> np.ndarray:
        key = id(look), tau
        known = self._dormant.get(key)
        if known is None:
            known = self._dormant[key] = narrow(dormant_neurons(look, tau))
        return known


def _bytes_of(curves: Sequence[_Curves]) -> int:
    """Of one column of one layer at one look, at the most."""
    names = ("inactive", "dead", "newly_dead", "revived")
    sizes = [max((getattr(one, name).itemsize for one in curves), default=1) for name in names]
    return sum(sizes)


def spread_looks(looks: Sequence[Look], most: int, staying: Iterable[int]) -> list[int]:
    """Which looks to send: evenly apart, with both ends, and those of alarms as far as they fit."""
    if len(looks) <= most:
        return list(range(len(looks)))
    alarms = [place for place, look in enumerate(looks) if look.step in set(staying)]
    kept = set(alarms[: most // 2])
    even = np.linspace(0, len(looks) - 1, most - len(kept)).round().astype(int).tolist()
    return sorted(kept | set(even))


def _columns(
    stops: Stops, curves: Sequence[_Curves], tolerances: Tolerances, most: int
) -> list[int]:
    """Which columns to send: those around what is typically the threshold are among them."""
    threshold = tolerances.atol
    if curves and tolerances.scale == "layer_mean":
        means = curves[-1].look.layer_mean
        threshold += tolerances.rtol * float(np.median(means)) if len(means) else 0.0
    return choose_columns(len(stops) + 1, most, stops.locate(threshold))


def _places(look: Look, layers: Sequence[str]) -> np.ndarray:
    """Where the look's layers are among all."""
    where = {name: place for place, name in enumerate(layers)}
    return np.array([where[layer.name] for layer in look.index.layers], np.int64)


def _layer_metas(looks: Sequence[Look], layers: Sequence[str]) -> list[dict[str, Any]]:
    indices = {id(look.index): look.index for look in looks}.values()
    known = {layer.name: layer for index in indices for layer in index.layers}
    return [
        {
            "name": name,
            "units": known[name].count,
            "neurons": known[name].channels or known[name].count,
        }
        for name in layers
    ]


def _alarm(event: Any) -> dict[str, Any]:
    return {"step": event.step, "rule": event.rule, "layers": list(event.layers)}
