"""Rules of alarms, in the words of the table's filter, and what they are true of.

A rule is a line such as ``dead-share>=50% kind:ReLU``, which is about layers, or ``units:
max-|x|>100 encoder``, which is about the units of layers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from iua_widget.common.words import listed, named
from iua_widget.errors import AlarmError
from iua_widget.reading.row_filter import COMPARE, Row, RowFilter
from iua_widget.reading.table_columns import COLUMNS, UNIT_COLUMNS, Column

if TYPE_CHECKING:
    import pandas as pd

Level = Literal["layer", "unit"]
_OF_UNITS: Final = "units:"
_UNITS_TOLD: Final = 100
"""Units of a layer that are named; there may be more."""
_EXPECTED: Final = (
    "a rule must compare figures in the words of the table's filter, such as "
    "'dead-share>=50% kind:ReLU' or 'newly-dead>100', or those of units: 'units: max-|x|>100'"
)


@dataclass(frozen=True, slots=True)
class Match:
    """A layer of which a rule is true.

    Attributes
    ----------
    layer : str
    figures : mapping of str to float or str
        What the rule compares; of a rule about units their number, as ``"units"``.
    units : numpy.ndarray of int
        Of a rule about units those of which it is true.
    """

    layer: str
    figures: Mapping[str, Any]
    units: np.ndarray = field(default_factory=lambda: np.empty(0, int), compare=False)

    @property
    def told_units(self) -> list[int]:
        """The first hundred of the units."""
        return [int(unit) for unit in self.units[:_UNITS_TOLD]]

    @property
    def in_words(self) -> str:
        """The layer and its figures.

        Examples
        --------
        >>> Match("relu", {"dead share": 0.5, "newly dead": 1200}).in_words
        "'relu' (dead share 50.0 %, newly dead 1,200)"
        """
        if self.units.size:
            which = listed([str(unit) for unit in self.units], most=3)
            plural = "s" if self.units.size > 1 else ""
            return f"{self.units.size:,} unit{plural} of {self.layer!r} ({which})"
        figures = ", ".join(
            f"{name} {_written(name, value)}" for name, value in self.figures.items()
        )
        return f"{self.layer!r} ({figures})"


def _written(column: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if COLUMNS[column].is_share:
        return f"{100 * value:.1f} %"
    return f"{value:,}" if value == int(value) else f"{value:,.4g}"


@dataclass(frozen=True, slots=True)
class AlarmRule:
    """What raises an alarm: a line in the words of the table's filter.

    Attributes
    ----------
    text : str
    level : {"layer", "unit"}
        Whether it compares figures of layers, those of the layer table, or of single units, those
        of `IUA.units`.
    row_filter : RowFilter

    Examples
    --------
    >>> AlarmRule.parsed("dead-share>=50% kind:ReLU").level
    'layer'
    >>> AlarmRule.parsed("units: max-|x|>100 encoder").row_filter.tests
    (('max |x|', '>', 100.0),)
    """

    text: str
    level: Level
    row_filter: RowFilter

    @classmethod
    def parsed(cls, text: object) -> AlarmRule:
        """Take a rule apart.

        Raises
        ------
        AlarmError
            If it is no text, compares nothing, or compares what cannot be compared: the message has
            the figures there are, those with the nearest names first.
        """
        if not isinstance(text, str):
            message = f"{_EXPECTED}; got {text!r:.60}."
            raise AlarmError(message)
        rule = text.strip()
        level: Level = "unit" if rule.startswith(_OF_UNITS) else "layer"
        columns: Mapping[str, Column] = UNIT_COLUMNS if level == "unit" else COLUMNS
        try:
            row_filter = RowFilter.parsed(rule.removeprefix(_OF_UNITS), columns, called="rule")
        except ValueError as error:
            raise AlarmError(str(error)) from None
        if not any(not isinstance(value, str) for _, _, value in row_filter.tests):
            message = f"{_EXPECTED}; {text!r} compares no figure with a number."
            raise AlarmError(message)
        return cls(rule, level, row_filter)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of what it compares."""
        return tuple(dict.fromkeys(column for column, _, _ in self.row_filter.tests))

    def idle(self, rows: Sequence[Row], *, look_before: bool = True) -> str:
        """Why it can be true of no layer of a table, whatever the figures; empty where it can.

        Parameters
        ----------
        rows : sequence of mappings
            As `rows_of` gives them.
        look_before : bool
            Whether there is one before this, without which nothing is newly dead.
        """
        layers = self._named(rows)
        if not layers:
            kinds = sorted({row["kind"] for row in rows})
            return (
                f"the rule {self.text!r} names no layer: its words must be in names or kinds. "
                f"Layers are {named([row['response'] for row in rows])}, kinds {named(kinds)}."
            )
        if self.level == "unit" or not look_before:
            return ""
        absent = [name for name in self.columns if all(row.get(name) is None for row in layers)]
        if not absent:
            return ""
        return f"the rule {self.text!r} compares {named(absent)}, which no layer that it names has."

    def matches(
        self, rows: Sequence[Row], units: Callable[[str], pd.DataFrame] | None = None
    ) -> list[Match]:
        """Of which layers it is true.

        Parameters
        ----------
        rows : sequence of mappings
            As `rows_of` gives them.
        units : callable, optional
            Gives the units of a layer of this name, as `IUA.units`; without it a rule about units
            is true of none.
        """
        if self.level == "layer":
            return [
                Match(row["response"], {column: row[column] for column in self.columns})
                for row in rows
                if self.row_filter.passes(row)
            ]
        found: list[Match] = []
        if units is None:
            return found
        for row in self._named(rows):
            here = np.flatnonzero(self._holds_in(units(row["response"])))
            if here.size:
                found.append(Match(row["response"], {"units": here.size}, here))
        return found

    def _named(self, rows: Sequence[Row]) -> list[Row]:
        """The layers that its words and kinds are of."""
        return [row for row in rows if self.row_filter.names(row["response"], row["kind"])]

    def _holds_in(self, units: pd.DataFrame) -> np.ndarray:
        """Of which units all tests hold; not where there is no number."""
        holds = np.ones(len(units), bool)
        for column, comparison, value in self.row_filter.tests:
            figures = units[column].to_numpy("float64")
            holds &= COMPARE[comparison](figures, value) & ~np.isnan(figures)
        return holds
