"""Types of arguments and options: what is read of them, and how they are completed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import click
from click.shell_completion import CompletionItem

from iua_widget.common.words import did_you_mean
from iua_widget.reading.table_columns import COLUMNS, find_column

SCALES: Final = ("zero", "layer_mean", "unit_rms", "unit_max")
UNITS: Final = ("auto", "element", "channel", "token")
ENGINES: Final = ("auto", "cpu", "device", "reference")
RANKED_BY: Final = ("inactive share", "mean |x|", "rms", "max |x|")
"""As in the library, which is not imported for them; a test holds them together."""


class Checked(click.ParamType):  # type: ignore[type-arg]  # not generic in older ones
    """A type whose values a function reads.

    Parameters
    ----------
    name : str
        For the help.
    read : callable
        Takes the text; raises a ValueError that says what is wrong with it.
    known : callable, optional
        Gives what a value can be, for completion.
    """

    def __init__(
        self,
        name: str,
        read: Callable[[str], Any],
        known: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self.name = name
        self._read, self._known = read, known

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read a value; what is read already stays."""
        if not isinstance(value, str):
            return value
        try:
            return self._read(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)

    def shell_complete(
        self, _ctx: click.Context, _param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """What begins like this; after a glob, what its choice can be."""
        glob, equals, choice = incomplete.rpartition("=")
        found = (one for one in self._known() if one.startswith(choice))
        return [CompletionItem(f"{glob}{equals}{one}") for one in found]


def _read_target(value: str) -> str:
    where, _, attribute = value.rpartition(":")
    if where and attribute:
        return value
    message = (
        "expected module:attribute or path/to/file.py:attribute, such as nets:model; got "
        f"{value!r}."
    )
    raise ValueError(message)


def _read_rule(value: str) -> Any:
    from iua_widget.training.alarm_rules import AlarmRule

    return AlarmRule.parsed(value)


def _read_filter(value: str) -> str:
    from iua_widget.reading.row_filter import RowFilter

    RowFilter.parsed(value)
    return value


def _column_keys() -> list[str]:
    return [column.key for column in COLUMNS.values()]


def _read_column(value: str) -> str:
    column = find_column(value)
    if column is not None:
        return column.name
    keys = _column_keys()
    message = (
        f"no column is called {value!r}: there are {', '.join(keys)}.{did_you_mean(value, keys)}"
    )
    raise ValueError(message)


def _read_stops(value: str) -> tuple[float, ...]:
    try:
        return tuple(float(one) for one in value.split(","))
    except ValueError:
        message = f"expected numbers with commas between them, such as 0,1e-3,0.05; got {value!r}."
        raise ValueError(message) from None


def _read_preset(value: str) -> dict[str, Any]:
    from iua_widget.reading.presets import find_preset

    return find_preset(value).settings


def _preset_names() -> Iterable[str]:
    from iua_widget.reading.presets import PRESETS

    return PRESETS


def _read_units(value: str) -> tuple[str, str]:
    glob, _, choice = value.rpartition("=")
    if choice in UNITS:
        return glob or "*", choice
    message = (
        f"expected one of {', '.join(UNITS)}, for all layers or, as 'conv*=channel', for some; got "
        f"{value!r}.{did_you_mean(choice, UNITS)}"
    )
    raise ValueError(message)


def _read_whole(value: str) -> tuple[str, int]:
    glob, _, number = value.rpartition("=")
    try:
        return glob or "*", int(number)
    except ValueError:
        message = (
            f"expected a whole number, for all layers or, as 'conv*=1', for some; got {value!r}."
        )
        raise ValueError(message) from None


FILE: Final = click.Path(dir_okay=False)
TARGET: Final = Checked("module:attribute", _read_target)
RULE: Final = Checked("rule", _read_rule)
FILTER: Final = Checked("words", _read_filter)
COLUMN: Final = Checked("column", _read_column, _column_keys)
STOPS: Final = Checked("number,…", _read_stops)
PRESET: Final = Checked("preset", _read_preset, _preset_names)
UNITS_BY_LAYER: Final = Checked("[glob=]choice", _read_units, lambda: UNITS)
AXIS_BY_LAYER: Final = Checked("[glob=]axis", _read_whole)
COUNT_BY_LAYER: Final = Checked("[glob=]number", _read_whole)


def by_layer(given: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Choices by name or glob, that for all the others last: they are looked up in this order."""
    choices = dict(given)
    if "*" in choices:
        choices["*"] = choices.pop("*")
    return choices
