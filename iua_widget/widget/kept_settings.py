"""What was chosen in a widget stays when its cell is run again, which makes another widget."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from iua_widget.widget.cells import CellRun

SETTINGS: Final = (
    *("rtol", "atol", "scale", "dead_at", "tau"),
    *("layer", "selected", "sort", "filter", "color"),
)
"""The traits that are kept."""


@dataclass(slots=True)
class _Cell:
    execution: str
    now: list[dict[str, Any]] = field(default_factory=list)
    before: list[dict[str, Any]] = field(default_factory=list)


_cells: dict[str, _Cell] = {}


def settings_in(run: CellRun | None) -> dict[str, Any]:
    """Return what was chosen in the widget that the next one made by this execution replaces.

    The widgets of a cell replace those of its execution before in the order in which they are made.

    Parameters
    ----------
    run : CellRun or None
        The execution that makes the widget; None outside a notebook, where none is replaced.

    Returns
    -------
    dict of str to object
        By trait, one of `SETTINGS`. What is chosen in the new widget goes in here, too, for the one
        that will replace it.

    Examples
    --------
    >>> first = settings_in(CellRun("cell 1", "first"))
    >>> first["atol"] = 0.5
    >>> settings_in(CellRun("cell 1", "again")), settings_in(CellRun("cell 1", "again"))
    ({'atol': 0.5}, {})
    """
    if run is None:
        return {}
    cell = _cells.setdefault(run.cell, _Cell(run.execution))
    if cell.execution != run.execution:
        cell.execution, cell.now, cell.before = run.execution, [], cell.now
    at = len(cell.now)
    chosen = dict(cell.before[at]) if at < len(cell.before) else {}
    cell.now.append(chosen)
    return chosen
