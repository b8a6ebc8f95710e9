"""Exit codes of the command line, and the errors that end it."""

from __future__ import annotations

import traceback
from pathlib import Path
from types import TracebackType
from typing import Final

import click

FAILED: Final = 1
MISUSED: Final = 2
ALARMED: Final = 3
INTERRUPTED: Final = 130
_OURS: Final = str(Path(__file__).parents[1])


class Failure(click.ClickException):
    """What could not be done: told in a sentence, without a traceback."""

    exit_code = FAILED


class Misuse(click.ClickException):
    """A command line that asks for what there is not."""

    exit_code = MISUSED


def failed_by(error: BaseException, doing: str = "", *, whole: bool) -> Failure:
    """The failure of code that is not ours, and where it was.

    Parameters
    ----------
    error : BaseException
        What it raised.
    doing : str
        What could not be done, in the words that begin the message; left out of an error of ours,
        which was caused by one of the user's code.
    whole : bool
        Whether the message is to have the whole traceback.
    """
    if isinstance(error, SyntaxError):
        where = f" ({error.filename}, line {error.lineno})"
        message = f"{doing}: SyntaxError: {error.msg}{where}."
    elif doing:
        message = f"{doing}: {type(error).__name__}: {error}".rstrip(": ")
        message += f"{_where(error.__traceback__)}."
    else:
        message = f"{error}".rstrip(".") + f"{_where((error.__cause__ or error).__traceback__)}."
    if whole:
        return Failure(f"{message}\n\n{''.join(traceback.format_exception(error)).rstrip()}")
    return Failure(f"{message} With --traceback you see the way there.")


def _where(steps: TracebackType | None) -> str:
    """The line of the user's code that comes last on the way to an error."""
    frames = traceback.extract_tb(steps)
    users = [frame for frame in frames if not _is_foreign(frame.filename)]
    for frame in (users or frames)[-1:]:
        return f" ({frame.filename}, line {frame.lineno})"
    return ""


def _is_foreign(file: str) -> bool:
    return any(part in file for part in ("site-packages", "<frozen", _OURS, "/lib/python"))
