"""The top probes of a layer's units as a DataFrame."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from iua_widget.common.words import named
from iua_widget.errors import NoProbesError, UnitsError
from iua_widget.reading.tables import axes_of_units
from iua_widget.tally.tally import Tally
from iua_widget.tally.top_probes import NONE, TopProbes


@dataclass(frozen=True, slots=True)
class TopProbe:
    """One of the probes with the largest responses of a unit.

    Attributes
    ----------
    unit : int
    rank : int
        From 1.
    probe : int
        Its place in the stream of inputs, from 0.
    value : float
        The response, with its sign.
    place : tuple of int
        Where in the response it is, an index an axis of positions, or of the unit; empty where
        there is none, or it is not known.
    lengths : tuple of int
        Of these axes, as far as they are the same in all responses; otherwise empty.
    """

    unit: int
    rank: int
    probe: int
    value: float
    place: tuple[int, ...]
    lengths: tuple[int, ...]


def top_probes_table(
    layer: str, tally: Tally, units: int | Iterable[int] | None = None
) -> pd.DataFrame:
    """One row a unit and rank: columns as `IUA.top_probes` says.

    Raises
    ------
    NoProbesError
        If none were kept of this layer.
    UnitsError
        If there is no such unit.
    """
    top = kept_of(layer, tally)
    chosen = chosen_units(layer, tally, units)
    rows, ranks = np.nonzero(top.probes[chosen] != NONE)
    unit = chosen[rows]
    columns: dict[str, object] = {"unit": unit}
    axes = axes_of_units(tally.unit_shape, tally.channel_axis)
    columns |= {name: index[unit] for name, index in axes.items()}
    columns |= {"rank": ranks + 1, "probe": top.probes[unit, ranks]}
    positions = top.positions[unit, ranks]
    known = positions != NONE
    places = top.indices_of(np.where(known, positions, 0)) or (positions,)
    lengths = _known_lengths(top)
    if len(places) == 1:
        columns["position"] = _nullable(places[0], known)
    else:
        flat = np.ravel_multi_index(places, lengths) if lengths else positions
        columns["position"] = _nullable(flat, known & bool(lengths))
        names = ["row", "column"] if len(places) == 2 else None  # noqa: PLR2004
        for axis, index in enumerate(places):
            name = f"position {axis}" if names is None else names[axis]
            columns[name] = _nullable(index, known)
    columns["value"] = top.values[unit, ranks]
    return pd.DataFrame(columns)


def top_probes_of(layer: str, tally: Tally, unit: int) -> list[TopProbe]:
    """Those of one unit, the largest response first.

    Raises
    ------
    NoProbesError, UnitsError
        As for `top_probes_table`.
    """
    top = kept_of(layer, tally)
    chosen_units(layer, tally, unit)
    found = []
    for rank, probe in enumerate(top.probes[unit]):
        if probe == NONE:
            break
        position = top.positions[unit, rank]
        if tally.plan.choice == "element" and len(tally.unit_shape) > 1:
            place = tuple(int(index) for index in np.unravel_index(unit, tally.unit_shape))
            axis = tally.channel_axis
            lengths = tally.unit_shape
            if axis is not None:
                place, lengths = (one[:axis] + one[axis + 1 :] for one in (place, lengths))
        elif position == NONE:
            place, lengths = (), ()
        else:
            place = tuple(int(index) for index in top.indices_of(position))
            lengths = _known_lengths(top)
        value = float(top.values[unit, rank])
        found.append(TopProbe(unit, rank + 1, int(probe), value, place, lengths))
    return found


def kept_of(layer: str, tally: Tally) -> TopProbes:
    """The top probes of a layer.

    Raises
    ------
    NoProbesError
        If none were kept.
    """
    if tally.top is not None:
        return tally.top
    message = (
        f"no top probes of layer {layer!r} were kept: count with top_probes=8, or "
        f"top_probes={{{layer!r}: 8}} for this layer only."
    )
    raise NoProbesError(message)


def chosen_units(layer: str, tally: Tally, units: int | Iterable[int] | None) -> np.ndarray:
    """The units asked for, ascending.

    Raises
    ------
    UnitsError
        If there is no such unit.
    """
    if units is None:
        return np.arange(tally.units)
    given = [units] if isinstance(units, (int, np.integer)) else list(units)
    chosen = np.unique(np.asarray(given, np.int64)) if given else np.zeros(0, np.int64)
    odd = chosen[(chosen < 0) | (chosen >= tally.units)]
    if odd.size:
        message = (
            f"layer {layer!r} has the units 0 to {tally.units - 1}, and no {named(odd.tolist())}."
        )
        raise UnitsError(message)
    return chosen


def _known_lengths(top: TopProbes) -> tuple[int, ...]:
    """The lengths of the axes of positions where none varies, or empty."""
    known = tuple(length for length in top.lengths if length is not None)
    return known if len(known) == len(top.lengths) else ()


def _nullable(values: np.ndarray, known: np.ndarray) -> pd.arrays.IntegerArray:
    return pd.arrays.IntegerArray(np.array(values, np.int64), ~known)
