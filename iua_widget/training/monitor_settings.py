"""The options and position of a monitor as they are saved with its history."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from iua_widget.common.plain_values import plain
from iua_widget.common.words import listed
from iua_widget.errors import FileError

STATE_FORMAT: Final = "iua_widget monitor"
_NOT_PLAIN: Final = ("layers", "mask", "forward", "alarm", "on_alarm")
"""Options that may be what JSON cannot hold."""


@dataclass(frozen=True, slots=True)
class SavedSettings:
    """What was kept of a monitor.

    Attributes
    ----------
    options : dict
        Arguments of `IUAMonitor`.
    not_saved : tuple of str
        Those that it was given besides, which no file can hold.
    step : int
    failures : dict of str to list of int
        Messages of looks that failed, and their steps.
    alarms : dict
        The state of the alarms.
    """

    options: dict[str, Any]
    not_saved: tuple[str, ...]
    step: int
    failures: dict[str, list[int]]
    alarms: dict[str, Any]

    def check_given(self, options: Iterable[str]) -> None:
        """Check that what could not be saved is given again.

        Raises
        ------
        FileError
            If it is not.
        """
        missing = [name for name in self.not_saved if name not in options]
        if missing:
            names = listed([f"{name}=" for name in missing])
            message = (
                f"the monitor was made with {names}, which no file can hold: give {names} "
                "again, or as None."
            )
            raise FileError(message)


def settings_of(
    options: Mapping[str, Any],
    step: int,
    failures: Mapping[str, list[int]],
    alarms: Mapping[str, Any],
) -> dict[str, Any]:
    """What JSON can hold of a monitor."""
    plain_options = {name: _plain(name, value) for name, value in options.items()}
    not_saved = [name for name in _NOT_PLAIN if plain_options[name] is _UNKNOWN]
    return {
        "options": {name: value for name, value in plain_options.items() if value is not _UNKNOWN},
        "not_saved": not_saved,
        "step": step,
        "failures": {message: list(steps) for message, steps in failures.items()},
        "alarms": dict(alarms),
    }


_UNKNOWN: Final = object()


def _plain(name: str, value: Any) -> Any:
    value = plain(value)
    if name not in _NOT_PLAIN or value is None or isinstance(value, str):
        return value
    several = isinstance(value, (list, tuple))
    return list(value) if several and all(isinstance(one, str) for one in value) else _UNKNOWN


def checked_settings(
    settings: Mapping[str, Any], known: Iterable[str], where: str
) -> SavedSettings:
    """What `settings_of` gave, once it was written and read.

    Raises
    ------
    FileError
        If no monitor can have written it.
    """
    options, not_saved = settings.get("options"), settings.get("not_saved")
    step, failures = settings.get("step"), settings.get("failures")
    alarms = settings.get("alarms")
    if (
        isinstance(options, dict)
        and options.keys() <= set(known)
        and type(options.get("every")) is int
        and options["every"] > 0
        and isinstance(options.get("name"), str)
        and isinstance(not_saved, list)
        and all(name in _NOT_PLAIN for name in not_saved)
        and type(step) is int
        and step >= 0
        and isinstance(alarms, dict)
        and isinstance(failures, dict)
        and all(_are_steps(steps) for steps in failures.values())
    ):
        return SavedSettings(dict(options), tuple(not_saved), step, failures, alarms)
    message = f"{where} holds options that no monitor can have: {dict(settings)!r:.200}."
    raise FileError(message)


def _are_steps(steps: object) -> bool:
    return isinstance(steps, list) and bool(steps) and all(type(step) is int for step in steps)
