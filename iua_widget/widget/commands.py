"""Obeys the messages of the page: its buttons, and the request to keep what it shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from iua_widget.tolerances import Tolerances
from iua_widget.widget.runs import Runs

_COMMANDS: Final[Mapping[str, Callable[[Runs, Tolerances], None]]] = {
    "start": Runs.start,
    "pause": lambda runs, _: runs.pause(),
    "resume": lambda runs, _: runs.resume(),
    "stop": lambda runs, _: runs.stop(),
    "restart": Runs.restart,
    "recount": Runs.recount,
}


def obey(
    content: Any,
    runs: Runs,
    tolerances: Tolerances,
    *,
    keep: Callable[[], None],
    answer: Callable[[], None],
) -> None:
    """Do what a message of the page asks for; nothing where it asks for nothing known.

    Parameters
    ----------
    content : object
        The message: ``{"type": "command", "command": "pause"}``, or ``{"type": "keep"}``.
    runs : Runs
    tolerances : Tolerances
        Those on show.
    keep : callable
        Brings what the notebook keeps up to date.
    answer : callable
        Called after a command, also where it failed: tells the page how things stand.
    """
    match content:
        case {"type": "keep"}:
            keep()
        case {"type": "command", "command": str(command)} if command in _COMMANDS:
            try:
                _COMMANDS[command](runs, tolerances)
            finally:
                answer()
