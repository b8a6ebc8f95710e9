"""Alarms: rules in the words of the table's filter, and the events of what they come to be true of.

A rule is a line such as ``dead-share>=50% kind:ReLU``, which is about layers, or ``units:
max-|x|>100 encoder``, which is about the units of layers.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from iua_widget.common.words import listed, named
from iua_widget.errors import AlarmError, IUAWarning
from iua_widget.reading.row_filter import COMPARE, RowFilter
from iua_widget.reading.table_columns import COLUMNS, UNIT_COLUMNS, Column
from iua_widget.reading.table_rows import rows_of

if TYPE_CHECKING:
    import pandas as pd

Level = Literal["layer", "unit"]
_OF_UNITS: Final = "units:"
_UNITS_TOLD: Final = 100
"""Units of a layer that an event names; there may be more."""


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

    def idle(self, table: pd.DataFrame) -> str:
        """Why it can be true of no layer of a table, whatever the figures; empty where it can."""
        layers = [
            row for row in rows_of(table) if self.row_filter.names(row["response"], row["kind"])
        ]
        if not layers:
            kinds = sorted({row["kind"] for row in rows_of(table)})
            return (
                f"the rule {self.text!r} names no layer: its words must be in names or kinds. "
                f"Layers are {named(list(table['response']))}, kinds {named(kinds)}."
            )
        if self.level == "unit":
            return ""
        absent = [name for name in self.columns if all(row.get(name) is None for row in layers)]
        if not absent:
            return ""
        return f"the rule {self.text!r} compares {named(absent)}, which no layer that it names has."

    def matches(self, table: pd.DataFrame, units: Callable[[str], pd.DataFrame]) -> list[Match]:
        """Of which layers it is true.

        Parameters
        ----------
        table : pandas.DataFrame
            One row a layer, as `Reading.to_pandas`.
        units : callable
            Gives the units of a layer of this name, as `IUA.units`.
        """
        rows = rows_of(table)
        if self.level == "layer":
            return [
                Match(row["response"], {column: row[column] for column in self.columns})
                for row in rows
                if self.row_filter.passes(row)
            ]
        found = []
        for row in rows:
            if self.row_filter.names(row["response"], row["kind"]):
                holds = self._holds_in(units(row["response"]))
                if holds.any():
                    here = np.flatnonzero(holds)
                    found.append(Match(row["response"], {"units": here.size}, here))
        return found

    def _holds_in(self, units: pd.DataFrame) -> np.ndarray:
        """Of which units all tests hold; not where there is no number."""
        holds = np.ones(len(units), bool)
        for column, comparison, value in self.row_filter.tests:
            figures = units[column].to_numpy("float64")
            holds &= COMPARE[comparison](figures, value) & ~np.isnan(figures)
        return holds


_EXPECTED: Final = (
    "a rule must compare figures in the words of the table's filter, such as "
    "'dead-share>=50% kind:ReLU' or 'newly-dead>100', or those of units: 'units: max-|x|>100'"
)


@dataclass(frozen=True, slots=True)
class AlarmEvent:
    """An alarm: a rule that has come to be true of layers, or of units of them.

    Attributes
    ----------
    step : int
        The step of training at which it was seen.
    rule : str
        As it was given.
    level : {"layer", "unit"}
        What the rule is about.
    layers : tuple of str
        Of which it was not true at the look before, in the order of the network.
    figures : mapping of str to mapping of str to float
        What it compares in each of them; of a rule about units how many, as ``"units"``.
    units : mapping of str to tuple of int
        Of a rule about units the first hundred in each layer of which it was not true before, by
        their index in C order; empty for other rules.
    message : str
        All this in a sentence.

    Examples
    --------
    >>> event = AlarmEvent(300, "newly-dead>100", "layer", ("relu",), {"relu": {"newly dead": 120}})
    >>> event.message
    "Alarm at step 300, newly-dead>100: 'relu' (newly dead 120)."
    """

    step: int
    rule: str
    level: Level
    layers: tuple[str, ...]
    figures: Mapping[str, Mapping[str, Any]]
    units: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    message: str = ""

    def __post_init__(self) -> None:
        if not self.message:
            matches = [
                Match(layer, self.figures[layer], np.asarray(self.units.get(layer, ()), int))
                for layer in self.layers
            ]
            object.__setattr__(self, "message", _told(self.step, self.rule, matches))

    @classmethod
    def of(cls, step: int, rule: AlarmRule, matches: Sequence[Match]) -> AlarmEvent:
        """The event of a rule that has come to be true."""
        of_units = rule.level == "unit"
        return cls(
            step,
            rule.text,
            rule.level,
            tuple(match.layer for match in matches),
            {match.layer: dict(match.figures) for match in matches},
            {match.layer: tuple(match.told_units) for match in matches if of_units},
            _told(step, rule.text, matches),
        )

    @property
    def plain(self) -> dict[str, Any]:
        """As JSON can hold it."""
        units = {layer: list(units) for layer, units in self.units.items()}
        return {**asdict(self), "layers": list(self.layers), "units": units}

    @classmethod
    def of_plain(cls, plain: Mapping[str, Any]) -> AlarmEvent:
        """The event of what `plain` gave."""
        units = {layer: tuple(units) for layer, units in plain["units"].items()}
        return cls(**{**plain, "layers": tuple(plain["layers"]), "units": units})


def _told(step: int, rule: str, matches: Sequence[Match]) -> str:
    layers = listed([match.in_words for match in matches], most=3)
    return f"Alarm at step {step:,}, {rule}: {layers}."


class Alarms:
    """The rules that are checked at each look, and of what each of them is true already.

    An alarm is raised where a rule comes to be true of a layer, or of a unit; while it stays true
    it is not raised again, and where it has been false at a look in between, it is.

    Parameters
    ----------
    rules : str or iterable of str, optional
        Lines that `AlarmRule.parsed` takes.
    on_alarm : callable, optional
        Called with each `AlarmEvent`. Where it returns True, training is to stop.

    Attributes
    ----------
    should_stop : bool
        Whether `on_alarm` has returned True.

    Raises
    ------
    AlarmError
        If a rule cannot be used, or `on_alarm` cannot be called.

    Examples
    --------
    >>> import pandas as pd
    >>> alarms = Alarms("dead-units>0")
    >>> table = pd.DataFrame({"response": ["a"], "kind": ["ReLU"], "units": [4], "dead units": [1]})
    >>> [event.layers for event in alarms.check(100, table)], alarms.check(200, table)
    ([('a',)], [])
    """

    def __init__(
        self,
        rules: str | Iterable[str] | None = None,
        on_alarm: Callable[[AlarmEvent], object] | None = None,
    ) -> None:
        if on_alarm is not None and not callable(on_alarm):
            message = (
                "on_alarm must be a callable, such as on_alarm=lambda event: print(event.message); "
                f"got {on_alarm!r:.60}."
            )
            raise AlarmError(message)
        self.rules = tuple(AlarmRule.parsed(rule) for rule in _several(rules))
        self.should_stop = False
        self._on_alarm = on_alarm
        self._true_of: dict[str, dict[str, np.ndarray]] = {rule.text: {} for rule in self.rules}
        self._told_idle: set[str] = set()

    def check(
        self,
        step: int,
        table: pd.DataFrame,
        units: Callable[[str], pd.DataFrame] | None = None,
    ) -> list[AlarmEvent]:
        """What the rules have come to be true of since the look before.

        Parameters
        ----------
        step : int
        table : pandas.DataFrame
            The layers at this look, as `Reading.to_pandas`, and what has changed since the look
            before.
        units : callable, optional
            Gives the units of a layer, as `IUA.units`; rules about units are left out without.
        """
        events = []
        for rule in self.rules:
            if rule.level == "unit" and units is None:
                continue
            matches = rule.matches(table, units or _no_units)
            before = self._true_of[rule.text]
            self._true_of[rule.text] = {match.layer: match.units for match in matches}
            if new := [one for match in matches if (one := _new_of(match, before)) is not None]:
                events.append(AlarmEvent.of(step, rule, new))
        return events

    def tell(self, events: Iterable[AlarmEvent], stacklevel: int = 3) -> None:
        """Warn of events, and hand them to `on_alarm`, whose own errors become warnings.

        Warns
        -----
        IUAWarning
            The message of each; and that `on_alarm` failed.
        """
        for event in events:
            warnings.warn(event.message, IUAWarning, stacklevel=stacklevel)
            if self._on_alarm is None:
                continue
            try:
                self.should_stop |= self._on_alarm(event) is True
            except Exception as error:  # noqa: BLE001  (training does not end by it)
                message = (
                    f"on_alarm failed at step {event.step:,}, and training goes on: "
                    f"{type(error).__name__}: {error}. To stop training return True."
                )
                warnings.warn(message, IUAWarning, stacklevel=stacklevel)

    def idle(self, table: pd.DataFrame) -> list[str]:
        """Rules that can be true of no layer of a table, in a sentence each, told once."""
        told = []
        for rule in self.rules:
            if rule.text not in self._told_idle and (why := rule.idle(table)):
                self._told_idle.add(rule.text)
                told.append(f"{why[0].upper()}{why[1:]}")
        return told

    def state_dict(self) -> dict[str, Any]:
        """Of what each rule is true now, as plain values: for a checkpoint of training."""
        return {
            "true_of": {
                rule: {layer: units.tolist() for layer, units in layers.items()}
                for rule, layers in self._true_of.items()
            },
            "should_stop": self.should_stop,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave; rules that it has not begin anew."""
        self.should_stop = bool(state["should_stop"])
        for rule in self._true_of:
            layers = state["true_of"].get(rule, {})
            self._true_of[rule] = {layer: np.asarray(units, int) for layer, units in layers.items()}


def _several(rules: object) -> Iterable[object]:
    if rules is None:
        return ()
    if isinstance(rules, str) or not isinstance(rules, Iterable):
        return (rules,)
    return rules


def _new_of(match: Match, before: Mapping[str, np.ndarray]) -> Match | None:
    """What of a match was not so before."""
    if match.layer not in before:
        return match
    units = np.setdiff1d(match.units, before[match.layer])
    return Match(match.layer, {"units": units.size}, units) if units.size else None


def _no_units(layer: str) -> pd.DataFrame:
    raise KeyError(layer)
