"""``iua-widget show``: the layers of a saved run."""

from __future__ import annotations

from typing import Any

import click

from iua_widget.cli.options import Output, layers_option, takes_output, takes_tolerances
from iua_widget.cli.parameters import FILE
from iua_widget.cli.results import load, report_result


@click.command(short_help="The layers of a saved run.")
@click.argument("file", type=FILE)
@layers_option("Layers to show; all by default.")
@takes_tolerances
@takes_output
def show(*, file: str, layers: tuple[str, ...], at: dict[str, Any], output: Output) -> None:
    """Show the layers of a saved FILE, at any tolerance.

    \b
    iua-widget show run.iua --atol 0.01 --sort dead-share
    iua-widget show run.iua --fail-if 'dead-share>=50% kind:ReLU'
    """  # noqa: D301
    report_result("show", load(file), at, output, layers=layers)
