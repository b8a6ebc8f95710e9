"""Calls the command line in this process."""

from __future__ import annotations

from click.testing import CliRunner, Result

from iua_widget.cli.main import main


def called(*args: str) -> Result:
    """What the command line does with these arguments; errors that are not told are raised."""
    result = CliRunner().invoke(main, args)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result
