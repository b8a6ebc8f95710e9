"""Identifies the notebook cell that is running, and each of its executions."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class CellRun:
    """One execution of one cell.

    Attributes
    ----------
    cell : str
        What the notebook calls the cell.
    execution : str
        Differs each time the cell is run.
    """

    cell: str
    execution: str

    def replaces(self, earlier: CellRun | None) -> bool:
        """Whether this is the same cell, run again."""
        return (
            earlier is not None
            and earlier.cell == self.cell
            and earlier.execution != self.execution
        )


def current_cell() -> CellRun | None:
    """The cell that is running on this thread; None outside a notebook, or where it does not say.

    JupyterLab and Notebook 7 name their cells; marimo ends what a cell made by itself.
    """
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    parent: Any = getattr(shell, "get_parent", dict)()
    cell = parent.get("metadata", {}).get("cellId")
    execution = parent.get("header", {}).get("msg_id")
    return CellRun(cell, execution) if cell and execution else None
