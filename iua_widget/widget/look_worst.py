"""The worst units of a look of which not all counts are kept: those that are dead come first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from iua_widget.common.arithmetic import as_ieee
from iua_widget.history.layer_look import LayerLook
from iua_widget.history.look import Look
from iua_widget.reading.statistics import by_channel
from iua_widget.reading.worst_entries import Entries
from iua_widget.reading.worst_units import rank_entries
from iua_widget.tolerances import Stops, Tolerances, locate_each
from iua_widget.widget.worst_snapshot import LISTED, pack_worst


@as_ieee
def look_worst(look: Look, stops: Stops, several: Sequence[Tolerances]) -> bytes:
    """As `worst_snapshot`: units by what is known of how often they are inactive.

    A dead unit is so on as many probes as that takes, and any other on fewer. Of equals the one
    comes first that is dead from a smaller tolerance on, then that of the smaller mean. RMS and
    largest ``abs(x)`` are NaN.

    Parameters
    ----------
    look : Look
    stops : Stops
        Of the history.
    several : sequence of Tolerances
        Of the history's `dead_at`; those of which every unit has a threshold of its own are left
        out, but for the first, of which its `atol` counts.
    """
    first, *others = several
    several = [first, *(at for at in others if not at.per_unit)]
    names = [name for name in look.layers if look.layer(name).probes]
    parts = [_entries(look.layer(name), look.index.number(name), stops, several) for name in names]
    worst = rank_entries(parts or [Entries.none(len(several))], LISTED)
    entries = worst.entries
    unknown = np.full(len(entries.unit), np.nan)
    worst = replace(worst, entries=replace(entries, abs_max=unknown))
    layers = [
        {
            "name": layer.name,
            "what": "unit" if layer.choice == "element" and layer.channels is None else "channel",
            "shape": layer.shape,
            "channel_axis": layer.channel_axis,
        }
        for layer in look.index.layers
    ]
    return pack_worst(worst, several, layers, int(look.probes.max(initial=0)))


def _entries(layer: LayerLook, number: int, stops: Stops, several: Sequence[Tolerances]) -> Entries:
    units = layer.layer
    if units.channel_axis is None:
        first, perhaps = layer.dead_from[:, None], layer.perhaps_dead_from[:, None]
        means = layer.mean_abs.astype(np.float64)
    else:
        first, perhaps = (
            by_channel(one.reshape(units.shape), units.channel_axis)
            for one in (layer.dead_from, layer.perhaps_dead_from)
        )
        means = np.asarray(layer.channel_mean_abs)
    last = first.max(axis=1, initial=0)
    chosen = np.lexsort((means, last))[:LISTED]
    first, perhaps, means = first[chosen], perhaps[chosen], means[chosen]
    thresholds = np.array(
        [at.atol + (0.0 if at.uniform else at.rtol * layer.layer_mean) for at in several]
    )
    lower, upper = locate_each(np.array(stops.values), thresholds)
    finite = (first < layer.columns).sum(axis=1)
    needed = several[0].probes_needed(layer.probes)
    dead = (first <= lower[:, None, None]).sum(axis=2)
    dead_upper = (perhaps <= upper[:, None, None]).sum(axis=2)
    return Entries(
        layer=np.full(len(chosen), number),
        unit=chosen,
        units=np.full(len(chosen), first.shape[1]),
        finite=finite * layer.probes,
        mean_abs=means,
        rms=np.full(len(chosen), np.nan),
        abs_max=last[chosen].astype(np.float64),
        lower=dead * needed,
        upper=dead_upper * layer.probes + (finite - dead_upper) * (needed - 1),
        dead_units=dead,
        dead_units_upper=dead_upper,
    )
