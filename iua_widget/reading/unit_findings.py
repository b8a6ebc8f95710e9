"""Findings: why dead units are dead, with the numbers that each rests on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import numpy as np

from iua_widget.common.arithmetic import as_ieee
from iua_widget.common.text_column import text_column
from iua_widget.errors import NoProbesError
from iua_widget.reading.bounds import LayerBounds, read_bounds
from iua_widget.reading.evidence import (
    highest_pre_activation,
    lowest_pre_activation,
    mean_pre_activation,
)
from iua_widget.reading.recount import LayerRecount
from iua_widget.tally.tally import Tally
from iua_widget.tolerances import Tolerances

if TYPE_CHECKING:
    import pandas as pd

FINDINGS: Final = (
    "",
    "weights zero or not finite",
    "inputs all dead",
    "just below",
    "bias-dominated",
    "BatchNorm shift",
    "no cause seen",
)
"""By code; the first that holds is the finding. 0 where there is none: see `finding_codes`."""

JUST_BELOW: Final = 0.1
"""What part of the spread above the mean a unit may lack to fire, and be just below."""

_LARGEST_INPUT: Final = 1e-3
"""An input that could have been rounded away, above which it is not said that all are dead."""

_ROUNDINGS: Final = 4
_FEWEST: Final = 2


@as_ieee
def finding_codes(
    tally: Tally, tolerances: Tolerances, recount: LayerRecount | None = None
) -> np.ndarray | None:
    """The finding of each unit that is dead at these tolerances, as an index of `FINDINGS`.

    Returns
    -------
    numpy.ndarray of uint8, shape (units,), or None
        0 for units that are not dead, or of which nothing is known; None for layers of which
        pre-activations are not at hand.
    """
    bounds = read_bounds(tally, tolerances, recount)
    return codes_at(tally, bounds)


@as_ieee
def finding_table(
    layer: str, tally: Tally, tolerances: Tolerances, recount: LayerRecount | None = None
) -> pd.DataFrame:
    """One row a dead unit; columns as `IUA.findings` says.

    Raises
    ------
    NoProbesError
        If causes were not counted.
    """
    import pandas as pd

    if tally.evidence is None:
        message = f"why units of layer {layer!r} are dead was not counted: count with causes=True."
        raise NoProbesError(message)
    bounds = read_bounds(tally, tolerances, recount)
    codes = codes_at(tally, bounds)
    if codes is None:
        codes = np.zeros(tally.units, np.uint8)
    units = np.flatnonzero(codes)
    none = np.full(tally.units, np.nan)
    highest, mean = highest_pre_activation(tally), mean_pre_activation(tally)
    columns: dict[str, object] = {
        "unit": units,
        "finding": text_column([FINDINGS[code] for code in codes[units]]),
        "max pre-activation": (none if highest is None else highest)[units],
        "mean pre-activation": (none if mean is None else mean)[units],
        "distance": (none if highest is None else _fires_above(tally, bounds) - highest)[units],
    }
    known, evidence = tally.parameters, tally.evidence
    if known is not None and evidence is not None:
        for heading, array in (
            ("largest |weight|", evidence.weight_max),
            ("bias", evidence.bias),
            ("BatchNorm scale", None if known["batch_norm"] is None else evidence.gain),
            ("BatchNorm shift", None if known["batch_norm"] is None else evidence.shift),
            ("at zero input", evidence.at_zero),
        ):
            if array is not None:
                columns[heading] = array[units]
    return pd.DataFrame(columns)


def findings_of_all(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Those of `finding_table` one below the other, the layer in a column ``response`` first."""
    import pandas as pd

    table = pd.concat(tables.values(), ignore_index=True)
    layers = [name for name, rows in tables.items() for _ in range(len(rows))]
    table.insert(0, "response", text_column(layers))
    return table


def codes_at(tally: Tally, bounds: LayerBounds) -> np.ndarray | None:
    """The same of bounds that have been read."""
    highest, lowest = highest_pre_activation(tally), lowest_pre_activation(tally)
    mean, activation = mean_pre_activation(tally), tally.activation
    if highest is None or lowest is None or mean is None:
        return None
    holds = [np.zeros(tally.units, bool)] * len(FINDINGS)
    evidence, known = tally.evidence, tally.parameters
    fires_above = _fires_above(tally, bounds)
    cut_off = activation is not None and activation.zero_up_to is not None
    if known is not None and evidence is not None and evidence.weight_max is not None:
        names = ("weight_max", "bias", "gain", "shift", "at_zero")
        weight, bias, gain, shift, at_zero = (getattr(evidence, name) for name in names)
        holds[1] = ~np.isfinite(weight) | (weight == 0) | (gain == 0)
        terms = abs(gain * bias) + abs(gain * bias + shift - at_zero) + abs(shift)
        rounded = _ROUNDINGS * known["rounding"] * terms
        could_hide = rounded <= _LARGEST_INPUT * abs(gain) * weight
        same = (highest == lowest) & (abs(highest - at_zero) <= rounded)
        several = evidence.pre_finite >= _FEWEST  # type: ignore[operator]
        holds[2] = same & could_hide & several
        if cut_off:
            silent = highest <= fires_above
            normalized = known["batch_norm"] is not None
            holds[4] = silent & (bias < 0) & (highest - bias > fires_above) & (not normalized)
            holds[5] = silent & (shift < 0) & (highest - shift > fires_above) & normalized
    if cut_off:
        distance, spread = fires_above - highest, highest - mean
        holds[3] = (spread > 0) & (distance >= 0) & (distance <= JUST_BELOW * spread)
    holds[6] = ~np.isnan(highest)
    first = np.argmax(holds, axis=0).astype(np.uint8)
    return np.where(bounds.dead, first, np.uint8(0))


def _fires_above(tally: Tally, bounds: LayerBounds) -> np.ndarray:
    """The pre-activation above which a unit is active: NaN where the activation has none such."""
    if tally.activation is None or tally.activation.zero_up_to is None:
        return np.full(tally.units, np.nan)
    thresholds = bounds.threshold if bounds.thresholds is None else bounds.thresholds
    return np.broadcast_to(tally.activation.zero_up_to + np.asarray(thresholds), tally.units)
