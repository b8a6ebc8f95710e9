"""Packs looks of which not all counts are kept, as `snapshots` packs tallies."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from iua_widget.common.arithmetic import as_ieee
from iua_widget.history.layer_look import LayerLook
from iua_widget.history.look import Look
from iua_widget.reading.dead_from import DeadFrom
from iua_widget.tolerances import Stops, Tolerances, default_stops
from iua_widget.widget.comparison_snapshot import (
    ResultBefore,
    is_compared,
    table_comparison,
    units_comparison,
)
from iua_widget.widget.packing import pack
from iua_widget.widget.snapshots import drawn_order, drawn_shape


def dead_in_look(layer: LayerLook) -> DeadFrom:
    """From where on the units of a layer are dead, as comparisons read it."""
    return DeadFrom(
        layer.dead_from,
        layer.columns,
        layer.probes,
        layer.layer_mean,
        layer.layer.kind,
        layer.counted,
    )


@as_ieee
def look_table(
    look: Look, stops: Stops, tolerances: Tolerances, before: ResultBefore | None = None
) -> bytes:
    """The layer table at every stop: as `table_snapshot`, without curves over rtol.

    Parameters
    ----------
    look : Look
    stops : Stops
        Of the history.
    tolerances : Tolerances
        Of the history for their `dead_at`; their rtol and tau become stops.
    before : ResultBefore, optional
        What the look is compared with.
    """
    shape = (len(look.index), len(stops) + 1)
    taus = default_stops(tolerances.tau)
    counts = {
        name: np.zeros(shape, np.uint32)
        for name in ("dead", "dead_channels", "dead_upper", "dead_channels_upper")
    }
    dormant = np.zeros((len(look.index), len(taus)), np.uint32)
    for row, name in enumerate(look.layers):
        layer = look.layer(name)
        if not layer.probes:
            continue
        for ending, upper in (("", False), ("_upper", True)):
            counts[f"dead{ending}"][row] = layer.dead(upper=upper)
            channels = layer.dead_channels(upper=upper)
            if channels is not None:
                counts[f"dead_channels{ending}"][row] = channels
        dormant[row] = layer.dormant(taus)
    for name in ("dead", "dead_channels"):
        if np.array_equal(counts[name], counts[f"{name}_upper"]):
            del counts[f"{name}_upper"]
    meta = {
        "kind": "table",
        "stops": stops.values,
        "rtol_stops": default_stops(tolerances.rtol),
        "tau_stops": taus,
        "dead_at": tolerances.dead_at,
        "unit_scales": [],
        "unit_atol": tolerances.atol,
        "recounted": None,
        "probes": int(look.probes.max(initial=0)),
        "layers": [_layer_meta(look.layer(name)) for name in look.layers],
    }
    arrays = {"mean": np.nan_to_num(look.mean), "std": np.nan_to_num(look.std)}
    arrays |= counts | {"dormant": dormant}
    if before is not None:
        after = {name: dead_in_look(look.layer(name)) for name in look.layers}
        meta["comparison"], compared = table_comparison(before, after)
        arrays |= compared
    return pack(meta, arrays)


@as_ieee
def look_units(
    look: Look,
    name: str,
    stops: Stops,
    tolerances: Tolerances,
    before: ResultBefore | None = None,
) -> bytes:
    """One layer's units: as `units_snapshot`, but for counts what is dead from which column on.

    Returns
    -------
    bytes
        ``dead_from`` and ``mean_abs`` (float32), of shape (units,), in the order in which units are
        drawn; where it is compared, also ``before_dead_from``. The meta's ``dead_at`` says what is
        dead; ``columns`` is empty.
    """
    layer = look.layer(name)
    units = layer.layer
    order = drawn_order(units.shape, units.channel_axis)
    shape, axis = drawn_shape(units.shape, units.channel_axis)
    meta = {
        "kind": "units",
        "layer": name,
        "shape": shape,
        "channel_axis": axis,
        "units": units.count,
        "probes": layer.probes,
        "stops": stops.values,
        "columns": [],
        "recounted": None,
        "dead_at": tolerances.dead_at,
        "known": layer.counted,
    }
    arrays = {"dead_from": layer.dead_from, "mean_abs": layer.mean_abs}
    then, now = None if before is None else before.layers.get(name), dead_in_look(layer)
    if before is not None and then is not None and is_compared(then, now):
        meta["comparison"], compared = units_comparison(before, then, now, tolerances)
        arrays |= compared
    return pack(meta, {key: array[order] for key, array in arrays.items()})


@as_ieee
def dead_snapshot(look: Look, stops: Stops, dead_at: float) -> bytes:
    """From which column on the units of all layers are dead: what a page compares two looks by.

    Returns
    -------
    bytes
        ``dead_from``, of shape (units,): those of one layer after those of another, in the order
        in which units are drawn.
    """
    parts = []
    metas = []
    for name in look.layers:
        layer = look.layer(name)
        units = layer.layer
        parts.append(layer.dead_from[drawn_order(units.shape, units.channel_axis)])
        metas.append(
            {
                "name": name,
                "units": units.count,
                "probes": layer.probes,
                "mean_abs": min(layer.layer_mean, sys.float_info.max),
                "counted": layer.counted,
            }
        )
    meta = {"kind": "dead", "stops": stops.values, "dead_at": dead_at, "layers": metas}
    return pack(meta, {"dead_from": np.concatenate([look.dead_from[:0], *parts])})


def _layer_meta(layer: LayerLook) -> Mapping[str, Any]:
    units = layer.layer
    return {
        "name": units.name,
        "kind": units.kind,
        "dtype": "",
        "shape": units.shape,
        "response_shape": units.shape,
        "unit": units.choice,
        "channels": units.channels,
        "load": None,
        "share_at_bound": None,
        "masked": 0,
        "stops": layer.columns - 1 if layer.counted is None else len(layer.counted) - 1,
        "units": units.count,
        "probes": layer.probes,
        "nan": layer.nan,
        "infinite": layer.infinite,
        # Where some were not finite it is not known on how many probes a unit was: on one at least.
        "finite_probes": layer.probes if layer.nan + layer.infinite == 0 else 1,
        "mean_abs": min(layer.layer_mean, sys.float_info.max),
    }
