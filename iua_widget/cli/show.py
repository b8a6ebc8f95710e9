"""``iua-widget show``: the layers of a saved run."""

from __future__ import annotations

from typing import Any

import click

from iua_widget.cli.histories import report_history, step_of_a_history
from iua_widget.cli.options import Output, layers_option, takes_output, takes_tolerances
from iua_widget.cli.parameters import FILE
from iua_widget.cli.results import report_result
from iua_widget.cli.saved_files import OF_HISTORIES, load


@click.command(short_help="The layers of a saved run.")
@click.argument("file", type=FILE)
@layers_option("Layers to show; all by default.")
@click.option("--step", type=click.IntRange(0), help="The look of a history; all by default.")
@takes_tolerances
@takes_output
def show(
    *, file: str, layers: tuple[str, ...], step: int | None, at: dict[str, Any], output: Output
) -> None:
    """Show the layers of a saved FILE, at any tolerance; of a history (.iuah) at each look.

    \b
    iua-widget show run.iua --atol 0.01 --sort dead-share
    iua-widget show run.iua --fail-if 'dead-share>=50% kind:ReLU'
    iua-widget show training.iuah --layers '*relu*' --filter 'newly-dead>0'
    """  # noqa: D301
    step_of_a_history(file, step)
    if file.endswith(OF_HISTORIES):
        report_history(file, at, output, layers=layers, step=step)
    else:
        report_result("show", load(file), at, output, layers=layers)
