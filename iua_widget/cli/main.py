"""``iua-widget``: the group of its commands."""

from __future__ import annotations

import os
from importlib.metadata import version
from typing import Any

import click

from iua_widget.cli.compare import compare
from iua_widget.cli.failures import INTERRUPTED, Failure
from iua_widget.cli.html import html
from iua_widget.cli.merge import merge
from iua_widget.cli.run import run
from iua_widget.cli.show import show
from iua_widget.cli.worst import worst
from iua_widget.errors import IUAError


class _Commands(click.Group):
    """Commands whose errors are sentences, and that end as the documentation says."""

    def invoke(self, ctx: click.Context) -> Any:
        if "NO_COLOR" in os.environ:
            ctx.color = False
        try:
            return super().invoke(ctx)
        except IUAError as error:
            raise Failure(str(error)) from error
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(INTERRUPTED)


def _print_version(ctx: click.Context, _option: click.Parameter, asked: bool) -> None:  # noqa: FBT001
    if asked:
        click.echo(f"iua-widget {version('iua-widget')}")
        ctx.exit()


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 it could not be done, 2 the command line is wrong, 3 a rule of "
    "--fail-if is true, 130 interrupted.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version and exit.",
)
def main() -> None:
    """Which units of a network are dead: count, and read what was counted, at any tolerance."""


for _command in (run, show, worst, compare, merge, html):
    main.add_command(_command)
