"""The figures of all layers of a look at some tolerances, and what changed since another look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from iua_widget.common.arithmetic import as_ieee
from iua_widget.errors import ToleranceError
from iua_widget.history.layer_look import channels_dead_from, single_limits
from iua_widget.history.layers import sums
from iua_widget.history.look import Look, same_layers
from iua_widget.reading.layer_comparison import DeadIn, changes
from iua_widget.reading.table_columns import dormant_heading
from iua_widget.tolerances import Stops, Tolerances, locate_each

MISSING: Final = -1
"""In columns of counts, where there is nothing to say."""

_CHANGES: Final = {"newly dead": "newly_dead", "revived": "revived", "dead in both": "dead_in_both"}


@dataclass(frozen=True, slots=True, eq=False)
class LookFigures:
    """The figures of a look: one row a layer, in the order of the network.

    Attributes
    ----------
    step : int
    since : int or None
        The step of the look with which it is compared; None at the first.
    columns : dict of str to numpy.ndarray
        By the names of `iua_widget.history.history_table`; counts are int64, and `MISSING` where
        there is nothing to say.
    """

    step: int
    since: int | None
    columns: dict[str, np.ndarray]


def check_kept(tolerances: Tolerances) -> None:
    """Refuse tolerances for which a history keeps too little.

    Raises
    ------
    ToleranceError
        If every unit has a threshold of its own.
    """
    if tolerances.per_unit:
        message = (
            f"with scale={tolerances.scale!r} every unit has a threshold of its own, for which a "
            "history keeps too little. Read a look that is kept whole: "
            "monitor.iua(step).at(...), or take scale='layer_mean' or 'zero'."
        )
        raise ToleranceError(message)


@as_ieee
def look_figures(
    look: Look, stops: Stops, tolerances: Tolerances, before: Look | None = None
) -> LookFigures:
    """Read a look at tolerances.

    Parameters
    ----------
    look : Look
    stops : Stops
        Of the history.
    tolerances : Tolerances
        With a threshold for a layer, and the `dead_at` of the history.
    before : Look, optional
        The one to tell since when what is newly dead, or revived.

    Raises
    ------
    ToleranceError
        If every unit has a threshold of its own.
    """
    check_kept(tolerances)
    lower, upper = _brackets(look, stops, tolerances)
    layers, index = np.arange(len(look.index)), look.index
    units = np.diff(index.units)
    reached, size = look.probes > 0, np.where(units > 0, units, np.nan)
    mean, mean_upper = look.mean[layers, lower], look.mean[layers, upper]
    surely, perhaps = _dead(look, lower, upper)
    dead = np.where(reached, sums(surely, index.units), MISSING)
    dead_upper = np.where(reached, sums(perhaps, index.units), MISSING)
    since, since_upper = _changes(look, before, stops, tolerances)
    dormant, dormant_upper = (
        np.where(reached, dormant_neurons(look, tolerances.tau, upper=above), MISSING)
        for above in (False, True)
    )
    channels, dead_channels, dead_channels_upper = _channels(look, lower, upper)
    heading = dormant_heading(tolerances.tau)
    columns: dict[str, np.ndarray] = {
        "step": np.full(len(index), look.step, np.int64),
        "response": np.array([layer.name for layer in index.layers], object),
        "mean inactive": mean,
        "std inactive": look.std[layers, lower],
        "inactive share": mean / size,
        "units": units,
        "dead units": dead,
        "dead share": np.where(reached, dead, np.nan) / size,
        **since,
        heading: dormant,
        "kind": np.array([layer.kind for layer in index.layers], object),
        "unit": np.array([layer.choice for layer in index.layers], object),
        "probes": look.probes,
        "nan": look.nan,
        "infinite": look.infinite,
    }
    bounds: dict[str, tuple[np.ndarray, np.ndarray]] = {
        "mean inactive": (mean, mean_upper),
        "dead units": (dead, dead_upper),
        heading: (dormant, dormant_upper),
        **{name: (since[name], since_upper[name]) for name in since},
    }
    if (channels > 0).any():
        columns |= {"channels": channels, "dead channels": dead_channels}
        bounds["dead channels"] = dead_channels, dead_channels_upper
    for name, (low, high) in bounds.items():
        if not np.array_equal(low, high, equal_nan=low.dtype == np.float64):
            columns[f"{name} upper"] = high
    return LookFigures(look.step, None if before is None else before.step, columns)


def _brackets(look: Look, stops: Stops, tolerances: Tolerances) -> tuple[np.ndarray, np.ndarray]:
    """The columns that bound the figures of each layer."""
    thresholds = np.full(len(look.index), tolerances.atol)
    if not tolerances.uniform:
        thresholds = tolerances.atol + tolerances.rtol * look.layer_mean
    return locate_each(np.array(stops.values), thresholds)


def _dead(look: Look, lower: np.ndarray, upper: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which units are dead: surely, and perhaps."""
    units = np.diff(look.index.units)
    first = look.dead_from
    surely = first <= np.repeat(lower.astype(first.dtype), units)
    if look.counted or not np.array_equal(lower, upper):
        perhaps = look.perhaps_dead_from <= np.repeat(upper.astype(first.dtype), units)
        return surely, perhaps
    return surely, surely


def _changes(
    look: Look, before: Look | None, stops: Stops, tolerances: Tolerances
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """How many units of each layer are newly dead, and so on: the bounds below, and above."""
    nothing = np.full(len(look.index), MISSING, np.int64)
    if before is None:
        none = dict.fromkeys(_CHANGES, nothing)
        return none, none
    there, here = same_layers(before, look)
    then = _dead_in(before, there, stops, tolerances)
    now = _dead_in(look, here, stops, tolerances)
    masks = changes(then, now)
    starts = np.array([0, *(look.index.layers[number].count for number in here)]).cumsum()
    reached = (before.probes[list(there)] > 0) & (look.probes[list(here)] > 0)
    compared = reached & ((sums(masks["compared"], starts) > 0) | (np.diff(starts) == 0))

    def counts(ending: str) -> dict[str, np.ndarray]:
        found = {}
        for name, mask in _CHANGES.items():
            found[name] = nothing.copy()
            total = sums(masks[mask + ending], starts)
            found[name][list(here)] = np.where(compared, total, MISSING)
        return found

    below = counts("")
    exact = then.surely is then.perhaps and now.surely is now.perhaps
    return below, below if exact else counts("_upper")


def _dead_in(look: Look, numbers: Sequence[int], stops: Stops, tolerances: Tolerances) -> DeadIn:
    """Which units of some layers are dead, those of one layer after those of another."""
    surely, perhaps = _dead(look, *_brackets(look, stops, tolerances))
    known = look.dead_from <= len(stops)
    if isinstance(numbers, range):  # all of them
        return DeadIn(surely, perhaps, known)
    units = look.index.units
    places = np.concatenate(
        [np.arange(0), *(np.arange(units[number], units[number + 1]) for number in numbers)]
    )
    exact = surely is perhaps
    surely, perhaps, known = surely[places], perhaps[places], known[places]
    return DeadIn(surely, surely if exact else perhaps, known)


def dormant_neurons(look: Look, tau: float, *, upper: bool = False) -> np.ndarray:
    """How many neurons of each layer are dormant at tau: the bound below, or above.

    Returns
    -------
    numpy.ndarray of int64, shape (layers,)
    """
    index, limits = look.index, tau * look.neuron_mean
    up_to = np.repeat(single_limits(limits, upper=upper), np.diff(index.units))
    of_units = sums(look.mean_abs <= up_to, index.units)
    channels = np.diff(index.channels)
    of_channels = sums(look.channel_mean_abs <= np.repeat(limits, channels), index.channels)
    several = np.array([layer.channel_axis is not None for layer in index.layers], np.bool_)
    return np.where(several, of_channels, of_units)


def _channels(
    look: Look, lower: np.ndarray, upper: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Channels of each layer, those that are dead, and the bound above on these."""
    found = np.full((3, len(look.index)), MISSING, np.int64)
    columns = look.mean.shape[1]
    perhaps = look.perhaps_dead_from
    for number, layer in enumerate(look.index.layers):
        here = look.index.units_of(number)
        for row, first, column in ((1, look.dead_from, lower), (2, perhaps, upper)):
            last = channels_dead_from(layer, first[here], columns)
            if last is None:
                break
            found[0, number] = len(last)
            if look.probes[number]:
                found[row, number] = np.count_nonzero(last <= column[number])
    return found[0], found[1], found[2]
