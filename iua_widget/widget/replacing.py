"""When a cell is rerun, the new widget takes over the old one's settings."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from iua_widget.widget.cells import CellRun, current_cell
from iua_widget.widget.runs import Runs
from iua_widget.widget.traits import RULE


@dataclass(slots=True)
class _Cell:
    execution: str
    now: list[dict[str, Any]] = field(default_factory=list)
    before: list[dict[str, Any]] = field(default_factory=list)


_cells: dict[str, _Cell] = {}
_in_cells: WeakKeyDictionary[Runs, CellRun] = WeakKeyDictionary()


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


class Chosen:
    """What is chosen in a widget, for the one that a later execution of its cell will make.

    Parameters
    ----------
    given : mapping of str to object
        What the cell's own code sets, by trait, which wins.

    Attributes
    ----------
    before : mapping of str to object
        What was chosen in the widget that this one replaces, as far as it is not given.
    """

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given = given
        self._cell = current_cell()
        self._chosen = settings_in(self._cell)
        for trait in given:
            self._chosen.pop(trait, None)
        self.before: Mapping[str, Any] = dict(self._chosen)
        self._setting_by_itself: int | None = None

    def note(self, name: str, value_of: Callable[[str], Any]) -> None:
        """Note that a trait was set, if on the page or in another cell."""
        if self._cell is None or self._setting_by_itself == threading.get_ident():
            return
        if current_cell() == self._cell:  # the cell will do so again, if it still says so
            return
        for each in RULE if name in RULE else (name,):
            if each not in self._given or each == name:
                self._chosen[each] = value_of(each)

    @contextmanager
    def by_itself(self) -> Iterator[None]:
        """Have traits set on this thread that nobody has chosen."""
        before, self._setting_by_itself = self._setting_by_itself, threading.get_ident()
        try:
            yield
        finally:
            self._setting_by_itself = before

    def end_earlier(self, *, wait: bool = False) -> None:
        """End the runs of widgets that an earlier execution of the cell made."""
        for runs, cell in list(_in_cells.items()):
            if self._cell is not None and self._cell.replaces(cell):
                runs.end()
                if wait:
                    runs.wait()

    def belongs_to(self, runs: Runs) -> None:
        """Note whose runs a later execution of the cell is to end."""
        if self._cell is not None:
            _in_cells[runs] = self._cell
