"""The built front end, as text."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

_FOLDER: Final = Path(__file__).parents[1] / "static"


@cache
def script() -> str:
    """The front end's JavaScript module.

    Raises
    ------
    ImportError
        If it has not been built.
    """
    return _read("widget.js")


@cache
def styles() -> str:
    """The front end's style sheet.

    Raises
    ------
    ImportError
        If it has not been built.
    """
    return _read("widget.css")


def _read(name: str) -> str:
    try:
        return (_FOLDER / name).read_text(encoding="utf-8")
    except FileNotFoundError:
        message = (
            f"the widget's front end has not been built: {_FOLDER / name} is missing. In a "
            "checkout run `python hatch_build.py`; otherwise install iua-widget again."
        )
        raise ImportError(message) from None
