"""``iua-widget worst``: the worst units of a saved run."""

from __future__ import annotations

from typing import Any

import click

from iua_widget.cli.options import Output, layers_option, takes_format, takes_tolerances
from iua_widget.cli.parameters import FILE, RANKED_BY
from iua_widget.cli.report import Report
from iua_widget.cli.saved_files import load


@click.command(short_help="The worst units of a saved run.")
@click.argument("file", type=FILE)
@click.option("-n", "number", type=click.IntRange(1), default=10, show_default=True)
@click.option(
    "--by",
    type=click.Choice(RANKED_BY),
    default=RANKED_BY[0],
    show_default=True,
    help="The largest share first, or the smallest magnitude.",
)
@click.option("--positions", is_flag=True, help="Rank every position of maps, not channels.")
@layers_option("Layers to look in; all by default.")
@takes_tolerances
@takes_format
def worst(
    *,
    file: str,
    number: int,
    by: str,
    positions: bool,
    layers: tuple[str, ...],
    form: str,
    at: dict[str, Any],
) -> None:
    """List the worst units of the whole network of a saved FILE.

    \b
    iua-widget worst run.iua -n 20 --by 'mean |x|'
    """  # noqa: D301
    iua = load(file)
    units = iua.worst(number, by, layers=layers or None, positions=positions, **at)
    Report(
        command="worst",
        table=units,
        rows="units",
        tolerances=iua.tolerances.but(**at),
        found={"probes": iua.probes, "by": by},
    ).print(Output(form))
