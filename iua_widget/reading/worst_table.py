"""The worst units of a network as a DataFrame."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from iua_widget.common.arithmetic import as_ieee
from iua_widget.common.text_column import text_column
from iua_widget.reading.recount import Recount
from iua_widget.reading.worst_units import (
    check_number,
    check_ranked_by,
    find_worst,
    what_is_ranked,
)
from iua_widget.tally.tally import Tally
from iua_widget.tolerances import Tolerances


@as_ieee
def worst_table(
    tallies: Mapping[str, Tally],
    tolerances: Tolerances,
    n: object,
    by: object,
    *,
    positions: bool,
    recount: Recount | None,
) -> pd.DataFrame:
    """The worst channels or units, one a row, the worst first: see `IUA.worst`.

    Raises
    ------
    TypeError, ValueError
        If `n` is no number of units, or units cannot be ranked by `by`.
    """
    n, by = check_number(n), check_ranked_by(by)
    worst = find_worst(tallies, [tolerances], n, by=by, positions=positions, recount=recount)
    names, layers = list(tallies), list(tallies.values())
    found = worst.entries.take(worst.order[0])
    with np.errstate(invalid="ignore"):
        share, share_upper = found.lower[0] / found.finite, found.upper[0] / found.finite
    columns: dict[str, object] = {
        "rank": np.arange(1, len(found.unit) + 1),
        "response": text_column([names[number] for number in found.layer]),
        "unit": found.unit,
        "unit is": pd.Series(
            [_what(layers[number], positions=positions) for number in found.layer], dtype="str"
        ),
    }
    axes = [_axes(layers[number], positions=positions) for number in found.layer]
    if any(axes):
        columns["position"] = [
            tuple(int(place) for place in np.unravel_index(unit, shape)) if shape else None
            for unit, shape in zip(found.unit, axes, strict=True)
        ]
    columns |= {
        "inactive share": share,
        "mean |x|": found.mean_abs,
        "rms": found.rms,
        "max |x|": found.abs_max,
        "dead": found.dead_units[0] == found.units,
        "units": found.units,
        "dead units": found.dead_units[0],
    }
    if (found.lower != found.upper).any() or (found.dead_units != found.dead_units_upper).any():
        columns |= {
            "inactive share upper": share_upper,
            "dead upper": found.dead_units_upper[0] == found.units,
            "dead units upper": found.dead_units_upper[0],
        }
    table = pd.DataFrame(columns)
    table.attrs["by"] = by
    for name in ("atol", "rtol", "scale", "dead_at"):
        table.attrs[name] = getattr(tolerances, name)
    return table


def _what(tally: Tally, *, positions: bool) -> str:
    return "unit" if positions and tally.channel_axis is not None else what_is_ranked(tally)


def _axes(tally: Tally, *, positions: bool) -> tuple[int, ...]:
    """The shape in which a unit has its place, where it has several axes and is no channel."""
    several = len(tally.unit_shape) > 1 and (positions or tally.channel_axis is None)
    return tally.unit_shape if several else ()
