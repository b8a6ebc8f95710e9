"""A history as a DataFrame: one row a step and layer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from iua_widget.common.layer_names import choose_layers
from iua_widget.common.text_column import text_column
from iua_widget.history.look_figures import MISSING, LookFigures
from iua_widget.reading.results import integers

if TYPE_CHECKING:
    import pandas as pd


def history_table(
    looks: Iterable[LookFigures], layers: str | Iterable[str] | None = None
) -> pd.DataFrame:
    """The figures of looks, one after another; columns as `IUAMonitor.history` says.

    Raises
    ------
    LayerSelectionError
        If a name or glob of `layers` matches no layer.
    """
    import pandas as pd

    figures = list(looks)
    lower = dict.fromkeys(
        name for one in figures for name in one.columns if not name.endswith(" upper")
    )
    upper = dict.fromkeys(name for one in figures for name in one.columns if name not in lower)
    columns = {name: _joined(name, figures) for name in [*lower, *upper]}
    table = pd.DataFrame({name: _column(values) for name, values in columns.items()})
    if layers is None:
        return table
    known = list(dict.fromkeys(table["response"])) if len(table.columns) else []
    chosen = choose_layers(layers, known)
    return table[table["response"].isin(chosen)].reset_index(drop=True)


def _joined(name: str, figures: Iterable[LookFigures]) -> np.ndarray:
    """A column of all looks; where one has no bound above, that below is it."""
    plain = name.removesuffix(" upper")
    parts = []
    for one in figures:
        found = one.columns.get(name, one.columns.get(plain))
        parts.append(np.full(len(one.columns["step"]), MISSING) if found is None else found)
    return np.concatenate(parts)


def _column(values: np.ndarray) -> object:
    if values.dtype == np.int64 and (values == MISSING).any():
        return integers([None if value == MISSING else value for value in values.tolist()])
    return text_column(values) if values.dtype == object else values
