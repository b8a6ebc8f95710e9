"""What commands print: tables on the one hand, notes, alarms and files written on the other."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

import click

from iua_widget.cli.failures import ALARMED, Misuse
from iua_widget.cli.options import Output
from iua_widget.cli.tables import plain, records, written
from iua_widget.common.layer_names import printable
from iua_widget.reading.table_columns import COLUMNS
from iua_widget.reading.table_rows import rows_of

if TYPE_CHECKING:
    import pandas as pd

    from iua_widget.tolerances import Tolerances
    from iua_widget.training.alarm_rules import AlarmRule, Match

SCHEMA: Final = 1
"""Of the JSON documents; goes up when something in them changes its name or meaning."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """A rule of ``--fail-if`` that is true.

    Attributes
    ----------
    rule : AlarmRule
    matches : sequence of Match
        Of which layers.
    step : int or None
        At which look of a history it came to be true.
    """

    rule: AlarmRule
    matches: Sequence[Match]
    step: int | None = None

    @property
    def in_words(self) -> str:
        """A line about it."""
        at = "" if self.step is None else f" at step {self.step:,}"
        layers = "; ".join(match.in_words for match in self.matches)
        return f"Alarm{at}: {self.rule.text}: {layers}"

    @property
    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        layers = [
            {
                "layer": match.layer,
                "figures": {name: plain(value) for name, value in match.figures.items()},
                "units": match.told_units,
            }
            for match in self.matches
        ]
        at = {} if self.step is None else {"step": self.step}
        return {"rule": self.rule.text, "level": self.rule.level, **at, "layers": layers}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a command has found.

    Attributes
    ----------
    command : str
    table : pandas.DataFrame
        The rows to print.
    rows : str
        What a row is, in JSON: ``"layers"``, ``"units"`` or ``"looks"``.
    tolerances : Tolerances
    summary : str
        A line under a table that is for reading.
    notes : sequence of str
    found : mapping
        What else is in the JSON document.
    alarms : sequence of Alarm
    idle : sequence of str
        Why a rule can be true of nothing.
    """

    command: str
    table: pd.DataFrame
    rows: str
    tolerances: Tolerances
    summary: str = ""
    notes: Sequence[str] = ()
    found: Mapping[str, Any] = field(default_factory=dict)
    alarms: Sequence[Alarm] = ()
    idle: Sequence[str] = ()

    def print(self, output: Output) -> None:
        """Print it, and end the program where a rule is true, or can be true of nothing.

        Raises
        ------
        Misuse
            If a rule can be true of nothing.
        """
        if output.format == "document":
            click.echo(json.dumps(self._document, indent=2))
        else:
            marked = [match.layer for alarm in self.alarms for match in alarm.matches]
            click.echo(written(self.table, output.format, marked))
        if self.summary and output.format in {"text", "md"}:
            click.echo(f"\n{self.summary}")
        if not output.quiet:
            for note in self.notes:
                click.echo(f"Note: {printable(note)}", err=True)
        for alarm in self.alarms:
            click.echo(alarm.in_words, err=True)
        if self.idle:
            raise Misuse(" ".join(self.idle))
        if self.alarms:
            click.get_current_context().exit(ALARMED)

    @property
    def _document(self) -> dict[str, Any]:
        from importlib.metadata import version

        return {
            "schema": SCHEMA,
            "command": self.command,
            "version": version("iua-widget"),
            "tolerances": asdict(self.tolerances),
            **self.found,
            self.rows: records(self.table),
            "notes": list(self.notes),
            "alarms": [alarm.document for alarm in self.alarms],
        }


def alarms_of(
    rules: Iterable[AlarmRule], table: pd.DataFrame, units: Callable[[str], pd.DataFrame]
) -> dict[str, Any]:
    """Which rules are true of a table, and which can be true of nothing: as `Report` takes them."""
    rows = rows_of(table)
    alarms = (Alarm(rule, rule.matches(rows, units)) for rule in rules)
    idle = [why for rule in rules if (why := rule.idle(rows))]
    return {"alarms": [alarm for alarm in alarms if alarm.matches], "idle": idle}


def sort_of(output: Output) -> dict[str, Any] | None:
    """The order that was asked for, as the widget's `sort`: of numbers the most first."""
    if not output.sort:
        return None
    return {"column": output.sort, "ascending": output.ascending or COLUMNS[output.sort].is_text}


def wrote(path: object, output: Output) -> None:
    """Tell that a file was written."""
    if not output.quiet:
        click.echo(f"Wrote {path}", err=True)
