"""Packs the lives of a layer's units over a history, for the unit card of the browser."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from iua_widget.common.arithmetic import as_ieee
from iua_widget.history.history import History
from iua_widget.widget.packing import pack
from iua_widget.widget.snapshots import drawn_order

LIVES_BYTES: Final = 2**21
"""At the most, of the lives of all units of a layer; beyond, those of the selected ones."""
_MOST_LOOKS: Final = 512
_FEWEST_LOOKS: Final = 64


@as_ieee
def life_snapshot(
    history: History, layer: str, selected: Sequence[int], budget: int = LIVES_BYTES
) -> bytes:
    """From where on each unit of a layer is dead, and its mean ``abs(x)``, at each look.

    Of very many looks some are sent, evenly apart; where that is still too much, the selected
    units alone.

    Parameters
    ----------
    history : History
    layer : str
    selected : sequence of int
        Units in the layer's C order.
    budget : int
        Bytes for the figures of units.

    Returns
    -------
    bytes
        ``dead_from`` and ``mean_abs`` (float32), of shape (looks, units), units in the order in
        which they are drawn; ``layer_mean`` (float64), of shape (looks,). Empty where no look has
        the layer.
    """
    with history.lock:
        looks = [look for look in history.looks if layer in look.index.numbers]
    if not looks:
        return b""
    units = looks[-1].index.layers[looks[-1].index.number(layer)]
    ones = [(look.step, look.layer(layer)) for look in looks]
    kept = [(step, one) for step, one in ones if one.layer.same_units == units.same_units]
    order = drawn_order(units.shape, units.channel_axis)
    look_bytes = units.count * (kept[0][1].dead_from.itemsize + np.float32().nbytes)
    most = min(budget // max(look_bytes, 1), _MOST_LOOKS)
    places: list[int] | None = None
    if most < min(len(kept), _FEWEST_LOOKS):
        most = _MOST_LOOKS
        chosen = np.array(sorted(selected), np.int64)
        places = np.flatnonzero(np.isin(order, chosen)).tolist()
        order = order[places]
    if len(kept) > most:
        even = np.linspace(0, len(kept) - 1, most).round().astype(int)
        kept = [kept[place] for place in dict.fromkeys(even.tolist())]
    meta = {
        "kind": "life",
        "layer": layer,
        "steps": [step for step, _ in kept],
        "stops": history.stops.values,
        "units": places,
        "length": len(order),
    }
    arrays = {
        "dead_from": np.stack([one.dead_from[order] for _, one in kept]),
        "mean_abs": np.stack([one.mean_abs[order] for _, one in kept]),
        "layer_mean": np.array([one.layer_mean for _, one in kept], np.float64),
    }
    return pack(meta, arrays)
