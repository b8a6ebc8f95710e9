"""Options that several commands have, each group read into one thing."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from iua_widget.cli.parameters import COLUMN, FILTER, PRESET, RULE, SCALES

if TYPE_CHECKING:
    from iua_widget.training.alarm_rules import AlarmRule

_Command = Callable[..., Any]

FORMATS: Final = ("text", "csv", "json", "md")
_TOLERANCES: Final = ("atol", "rtol", "scale", "dead_at", "tau")


@dataclass(frozen=True, slots=True)
class Output:
    """What a command is to print, and how.

    Attributes
    ----------
    format : str
        One of `FORMATS`, or ``"document"``: all that the command found, as one JSON object.
    row_filter, sort : str
        Which rows of the table, in which order; empty for all, in the order of the network.
    ascending : bool
    rules : tuple of AlarmRule
        Those of ``--fail-if``.
    quiet : bool
        Whether to leave out the notes.
    """

    format: str = "text"
    row_filter: str = ""
    sort: str = ""
    ascending: bool = False
    rules: tuple[AlarmRule, ...] = ()
    quiet: bool = False


def _several(command: _Command, options: list[Callable[[_Command], _Command]]) -> _Command:
    for option in reversed(options):
        command = option(command)
    return command


def takes_tolerances(command: _Command) -> _Command:
    """Give a command the options of tolerances; it takes those given as `at`, a dictionary."""

    @functools.wraps(command)
    def taking(*args: Any, preset: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        given = {name: kwargs.pop(name) for name in _TOLERANCES}
        at = dict(preset or {}) | {name: one for name, one in given.items() if one is not None}
        return command(*args, at=at, **kwargs)

    share = click.FloatRange(0, 1, min_open=True)
    return _several(
        taking,
        [
            click.option("--atol", type=click.FloatRange(0), help="Absolute tolerance."),
            click.option("--rtol", type=click.FloatRange(0), help="Relative tolerance."),
            click.option("--scale", type=click.Choice(SCALES), help="What rtol is relative to."),
            click.option(
                "--dead-at", type=share, help="Dead is inactive on this share of probes: 1 for all."
            ),
            click.option(
                "--tau", type=click.FloatRange(0), help="Dormant is a mean |x| below tau."
            ),
            click.option(
                "--preset",
                type=PRESET,
                help="Tolerances by name, such as 'near zero'; single ones win.",
            ),
        ],
    )


def takes_format(command: _Command) -> _Command:
    """Give a command the options of how it prints; it takes them as `form`, an `Output.format`."""

    @functools.wraps(command)
    def taking(*args: Any, table: str, as_json: bool, **kwargs: Any) -> Any:
        if as_json and table != "text":
            message = f"--json is all there is, --table {table} the table alone: give one of them."
            raise click.UsageError(message)
        return command(*args, form="document" if as_json else table, **kwargs)

    return _several(
        taking,
        [
            click.option(
                "--table",
                type=click.Choice(FORMATS),
                default="text",
                show_default=True,
                help="How to print the table; csv and json have all columns.",
            ),
            click.option(
                "--json", "as_json", is_flag=True, help="Print all there is as one JSON object."
            ),
        ],
    )


def takes_output(command: _Command) -> _Command:
    """Give a command the options of what it prints; it takes them as `output`."""

    @functools.wraps(command)
    def taking(
        *args: Any,
        form: str,
        row_filter: str | None,
        sort: str | None,
        ascending: bool,
        fail_if: tuple[AlarmRule, ...],
        quiet: bool,
        **kwargs: Any,
    ) -> Any:
        output = Output(form, row_filter or "", sort or "", ascending, fail_if, quiet)
        return command(*args, output=output, **kwargs)

    return _several(
        taking,
        [
            takes_format,
            click.option(
                "--filter",
                "row_filter",
                type=FILTER,
                help="Rows to print, such as 'kind:ReLU dead-units>0'.",
            ),
            click.option("--sort", type=COLUMN, help="Column to sort by, the most first."),
            click.option("--ascending", is_flag=True, help="Sort the least first."),
            click.option(
                "--fail-if",
                type=RULE,
                multiple=True,
                help="Exit with 3 if this is true of a layer, such as 'dead-share>=50% kind:ReLU'.",
            ),
            click.option("-q", "--quiet", is_flag=True, help="No notes and no progress."),
        ],
    )


def takes_page(command: _Command) -> _Command:
    """Give a command the options of a page; it takes `title` and `text`."""
    return _several(
        command,
        [
            click.option("--title", help="The heading of the page."),
            click.option("--text", help="What a reader is to see, under the heading."),
        ],
    )


def check_page(page: str | None, *others: str | None) -> None:
    """Refuse to write a page over a saved file.

    Raises
    ------
    UsageError
        If it would be.
    """
    for other in filter(None, others):
        if page is not None and Path(page).resolve() == Path(other).resolve():
            message = f"the page would take the place of the saved file {other!r}: name another."
            raise click.UsageError(message)


def layers_option(help_text: str) -> Callable[[_Command], _Command]:
    """``--layers``, which may be given several times."""
    return click.option("--layers", metavar="NAME|GLOB", multiple=True, help=help_text)
