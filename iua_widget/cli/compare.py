"""``iua-widget compare``: which units died between two saved runs, and which revived."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from iua_widget.cli.options import (
    Output,
    check_page,
    layers_option,
    takes_output,
    takes_page,
    takes_tolerances,
)
from iua_widget.cli.pages import write_page
from iua_widget.cli.parameters import FILE
from iua_widget.cli.report import Report, alarms_of, sort_of
from iua_widget.cli.saved_files import load

if TYPE_CHECKING:
    import pandas as pd


@click.command(short_help="Units that died between two runs.")
@click.argument("before", type=FILE)
@click.argument("after", type=FILE)
@layers_option("Layers to compare; all by default.")
@click.option("--html", type=FILE, help="Write a page of AFTER, compared with BEFORE.")
@takes_page
@takes_tolerances
@takes_output
def compare(
    *,
    before: str,
    after: str,
    layers: tuple[str, ...],
    html: str | None,
    title: str | None,
    text: str | None,
    at: dict[str, Any],
    output: Output,
) -> None:
    """Compare two saved files of one architecture: which units died, and which revived.

    Filters and rules see the figures after, and "newly dead", "revived" and "dead in both".

    \b
    iua-widget compare epoch1.iua epoch2.iua --fail-if 'newly-dead-share>5%'
    """  # noqa: D301
    from iua_widget.reading.table_rows import rows_of, shown_rows

    check_page(html, before, after)
    first, second = load(before), load(after)
    comparison = first.compare(second, layers=layers or None).at(
        **{name: value for name, value in at.items() if name != "tau"}
    )
    if html is not None:
        names = Path(before).stem, Path(after).stem
        pair = names[0], first
        write_page(html, second, at, output, title=title, text=text, name=names[1], before=pair)
    table = comparison.to_pandas()
    figures = _as_of_after(table)
    places = shown_rows(rows_of(figures), sort_of(output), output.row_filter)
    counts = {name: int(table[name].sum()) for name in ("newly dead", "revived", "dead in both")}
    Report(
        command="compare",
        table=table.iloc[places],
        rows="layers",
        tolerances=comparison.tolerances,
        summary=", ".join(f"{count:,} {name}" for name, count in counts.items())
        + f" at {comparison.tolerances.in_words}",
        notes=comparison.notes,
        found={
            "exact": comparison.exact,
            "files": {} if html is None else {"html": html},
            "before": {"file": before, "probes": first.probes, "weights": list(first.weights)},
            "after": {"file": after, "probes": second.probes, "weights": list(second.weights)},
        },
        **alarms_of(output.rules, figures, lambda layer: second.units(layer, **at)),
    ).print(output)


def _as_of_after(table: pd.DataFrame) -> pd.DataFrame:
    """The figures after by their names in the layer table, beside what changed."""
    figures = table.rename(columns=lambda name: name.removesuffix(" after"))
    figures["dead share"] = figures["dead units"] / figures["units"]
    return figures
