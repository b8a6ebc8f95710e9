"""Comparisons as DataFrames: the layers of two results, and the units and channels of one layer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np
import pandas as pd

from iua_widget.common.arithmetic import as_ieee
from iua_widget.common.text_column import text_column
from iua_widget.reading.layer_comparison import DeadIn, LayerComparison, changes
from iua_widget.reading.results import (
    LayerResult,
    chosen_layers,
    integers,
    share_of,
    shares,
)
from iua_widget.reading.statistics import by_channel
from iua_widget.reading.tables import axes_of_units

_CHANGES: Final = {
    "newly dead": "newly_dead",
    "revived": "revived",
    "dead in both": "dead_in_both",
}
"""What becomes of units, and the masks of it."""
_CHANNELS: Final = {
    "newly dead channels": "newly_dead",
    "revived channels": "revived",
    "channels dead in both": "dead_in_both",
}


@as_ieee
def layer_table(
    results: Mapping[str, LayerComparison], response_names: str | Iterable[str] | None = None
) -> pd.DataFrame:
    """One row a layer; columns as `Comparison.to_pandas` says.

    Raises
    ------
    LayerSelectionError
        If a name is not among the layers, or none is asked for.
    """
    names = chosen_layers(results, response_names)
    rows = [results[name] for name in names]
    columns: dict[str, object] = {
        "response": text_column(names),
        "units": [row.compared.size for row in rows],
        **_bounds(rows, upper=False),
        "kind": [row.after.kind for row in rows],
        "unit": [row.after.unit for row in rows],
        "probes before": [row.before.probes for row in rows],
        "probes after": [row.after.probes for row in rows],
    }
    if not all(row.compared.all() for row in rows):
        columns["not compared"] = [int((~row.compared).sum()) for row in rows]
    channels = _channel_counts(rows)
    if channels["channels"].notna().any():
        columns |= {name: channels[name] for name in ("channels", *_CHANNELS)}
    if not all(row.exact for row in results.values()):
        columns |= _bounds(rows, upper=True)
        if "channels" in columns:
            columns |= {f"{name} upper": channels[f"{name} upper"] for name in _CHANNELS}
    return pd.DataFrame(columns)


def _bounds(rows: list[LayerComparison], *, upper: bool) -> dict[str, object]:
    """Figures that have bounds, those below or those above."""

    def dead(result: LayerResult) -> int | None:
        return (result.dead_upper if upper else result.dead) if result.probes else None

    def share(result: LayerResult, *, upper: bool = upper) -> float:
        mean = result.mean_inactive_upper if upper else result.mean_inactive
        return share_of(mean, result.units)

    def change(row: LayerComparison) -> float:
        if row.nothing_compared:
            return np.nan
        return share(row.after) - share(row.before, upper=not upper)

    def units(mask: str) -> list[int | None]:
        return [
            None if row.nothing_compared else int(getattr(row, mask + "_upper" * upper).sum())
            for row in rows
        ]

    figures = {
        "dead units before": _counts([dead(row.before) for row in rows]),
        "dead units after": _counts([dead(row.after) for row in rows]),
        **{name: _counts(units(mask)) for name, mask in _CHANGES.items()},
        "inactive share before": [share(row.before) for row in rows],
        "inactive share after": [share(row.after) for row in rows],
        "change of inactive share": [change(row) for row in rows],
    }
    return {f"{name} upper": figure for name, figure in figures.items()} if upper else figures


def _counts(found: Sequence[int | None]) -> object:
    return integers(found) if None in found else found


def _channel_counts(rows: list[LayerComparison]) -> pd.DataFrame:
    """How many channels died, and so on; missing where a channel is one unit."""
    counts = [_of_channels(row) for row in rows]
    columns = {
        f"{name} upper" if upper else name: integers(
            [
                None
                if masks is None or row.nothing_compared
                else int(masks[mask + "_upper" * upper].sum())
                for row, masks in zip(rows, counts, strict=True)
            ]
        )
        for upper in (False, True)
        for name, mask in _CHANNELS.items()
    }
    channels = [None if masks is None else masks["compared"].size for masks in counts]
    return pd.DataFrame({"channels": integers(channels), **columns})


@as_ieee
def unit_table(row: LayerComparison) -> pd.DataFrame:
    """One row a unit, in C order; columns as `Comparison.units` says."""
    before, after = _dead_in(row)
    columns: dict[str, np.ndarray] = {"unit": np.arange(row.compared.size)}
    columns |= axes_of_units(row.compared.shape, row.channel_axis)
    for upper in (False,) if row.exact else (False, True):
        columns |= _dead_and_changed(before, after, upper=upper)
        columns |= _shares(row, upper=upper)
        if not upper:
            columns["compared"] = row.compared
    return pd.DataFrame({name: column.ravel() for name, column in columns.items()})


@as_ieee
def channel_table(row: LayerComparison) -> pd.DataFrame:
    """One row a channel; columns as `Comparison.channels` says."""
    axis = row.channel_axis
    if axis is None:
        return unit_table(row).rename(columns={"unit": "channel"})
    before, after = (dead.of_channels(axis) for dead in _dead_in(row))
    units = by_channel(row.compared, axis)
    columns: dict[str, np.ndarray] = {
        "channel": np.arange(len(units)),
        "units": np.full(len(units), units.shape[1]),
    }
    for upper in (False,) if row.exact else (False, True):
        for name in ("newly_dead", "revived"):
            mask = getattr(row, name + "_upper" * upper)
            heading = f"{name.replace('_', ' ')} units" + " upper" * upper
            columns[heading] = by_channel(mask, axis).sum(axis=1)
        columns |= _dead_and_changed(before, after, upper=upper)
        if not upper:
            columns["compared"] = before.known & after.known
    return pd.DataFrame(columns)


def _dead_in(row: LayerComparison) -> tuple[DeadIn, DeadIn]:
    shape = row.compared.shape
    return DeadIn.of(row.before, shape), DeadIn.of(row.after, shape)


def _of_channels(row: LayerComparison) -> dict[str, np.ndarray] | None:
    axis = row.channel_axis
    if axis is None:
        return None
    before, after = (dead.of_channels(axis) for dead in _dead_in(row))
    return changes(before, after)


def _dead_and_changed(before: DeadIn, after: DeadIn, *, upper: bool) -> dict[str, np.ndarray]:
    masks = changes(before, after)
    found = {
        "dead before": before.perhaps if upper else before.surely,
        "dead after": after.perhaps if upper else after.surely,
        **{name: masks[mask + "_upper" * upper] for name, mask in _CHANGES.items()},
    }
    return {name + " upper" * upper: mask for name, mask in found.items()}


def _shares(row: LayerComparison, *, upper: bool) -> dict[str, np.ndarray]:
    def of(result: LayerResult) -> np.ndarray:
        if not result.probes:
            return np.full(row.compared.shape, np.nan)
        return shares(result.upper if upper else result.lower, result.probes)

    change = row.change_of_inactive_share_upper if upper else row.change_of_inactive_share
    found = {
        "inactive share before": of(row.before),
        "inactive share after": of(row.after),
        "change of inactive share": change,
    }
    return {name + " upper" * upper: share for name, share in found.items()}
