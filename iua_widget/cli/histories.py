"""The report of a history: what `IUAMonitor.save` has written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from iua_widget.cli.failures import Misuse
from iua_widget.cli.options import Output
from iua_widget.cli.report import Alarm, Report, sort_of
from iua_widget.cli.saved_files import OF_HISTORIES, there
from iua_widget.common.words import named
from iua_widget.reading.table_rows import rows_of, shown_rows

if TYPE_CHECKING:
    import pandas as pd

    from iua_widget.history.history import History
    from iua_widget.training.alarm_rules import AlarmRule


def load_history(file: str, step: int | None = None) -> History:
    """Read a saved history, which has a look at a step.

    Raises
    ------
    FileError
        If the file is not there, or holds none.
    IUAError
        If there is no such look.
    """
    from iua_widget.files.history_file import read_history

    history, _ = read_history(Path(there(file)))
    if step is not None:
        history.look(step)
    return history


def step_of_a_history(file: str, step: int | None) -> None:
    """Refuse ``--step`` for other files."""
    if step is not None and not file.endswith(OF_HISTORIES):
        message = f"--step is for histories, files that end in {OF_HISTORIES}; got {file!r}."
        raise click.UsageError(message)


def report_history(
    file: str, at: Mapping[str, Any], output: Output, *, layers: Sequence[str], step: int | None
) -> None:
    """Print the looks of a history, and end the program by the rules of ``--fail-if``.

    Parameters
    ----------
    file : str
    at : mapping
        Tolerances, those of the history where left out.
    output : Output
    layers : sequence of str
        Names or globs; all where empty.
    step : int, optional
        Of the look to print; all where left out.
    """
    history = load_history(file, step)
    tolerances = history.tolerances.but(**at)
    whole = history.table(tolerances, layers or None)
    table = whole if step is None else whole[whole["step"] == step]
    steps = history.steps
    plural = "" if len(steps) == 1 else "s"
    range_of = f" at steps {steps[0]:,} to {steps[-1]:,}" if steps else ""
    newest = whole[whole["step"] == steps[-1]] if steps else whole
    Report(
        command="show",
        table=table.iloc[shown_rows(rows_of(table), sort_of(output), output.row_filter)],
        rows="looks",
        tolerances=tolerances,
        summary=(
            f"{len(steps):,} look{plural}{range_of}; {_dead(newest)} at the newest, at "
            f"{tolerances.in_words}"
        ),
        notes=[*filter(None, [history.dropped_note]), *history.notes],
        found={"steps": steps, "events": [event.plain for event in history.events]},
        **_alarms(output.rules, whole, steps),
    ).print(output)


def _dead(table: pd.DataFrame) -> str:
    dead, units = int(table["dead units"].sum()), int(table["units"].sum())
    share = f" ({100 * dead / units:.1f} %)" if units else ""
    return f"{dead:,} of {units:,} units dead{share}"


def _alarms(
    rules: Iterable[AlarmRule], table: pd.DataFrame, steps: Iterable[int]
) -> dict[str, Any]:
    """When each rule came to be true of layers, and which can be true of nothing."""
    of_units = [rule.text for rule in rules if rule.level == "unit"]
    if of_units:
        message = (
            f"a history has no figures of single units, which {named(of_units)} compares: write "
            "rules about layers, or save whole results, monitor.iua(step).save(...)."
        )
        raise Misuse(message)
    looks = {step: rows_of(table[table["step"] == step]) for step in steps}
    alarms, idle = [], []
    for rule in rules:
        before: set[str] = set()
        for step, rows in looks.items():
            matches = rule.matches(rows)
            new = [match for match in matches if match.layer not in before]
            before = {match.layer for match in matches}
            if new:
                alarms.append(Alarm(rule, new, step))
        if why := rule.idle(rows_of(table), look_before=len(looks) > 1):
            idle.append(why)
    return {"alarms": sorted(alarms, key=lambda alarm: alarm.step or 0), "idle": idle}
