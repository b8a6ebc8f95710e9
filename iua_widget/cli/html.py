"""``iua-widget html``: a saved run as a page that works offline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from iua_widget.cli.histories import load_history, step_of_a_history
from iua_widget.cli.options import Output, check_page, takes_page, takes_tolerances
from iua_widget.cli.pages import write_page
from iua_widget.cli.parameters import FILE
from iua_widget.cli.saved_files import OF_HISTORIES, load


@click.command(short_help="A saved run as a page that works offline.")
@click.argument("file", type=FILE)
@click.option("-o", "--output", "path", type=FILE, help="Of the page; FILE.html by default.")
@takes_page
@click.option(
    "--limit", type=click.IntRange(0), help="Bytes of unit counts in it, before compression."
)
@click.option("--step", type=click.IntRange(0), help="The look at which a history opens.")
@click.option("-q", "--quiet", is_flag=True, help="Do not say what was written.")
@takes_tolerances
def html(
    *,
    file: str,
    path: str | None,
    title: str | None,
    text: str | None,
    limit: int | None,
    step: int | None,
    quiet: bool,
    at: dict[str, Any],
) -> None:
    """Write a saved FILE, a run or a history, as one page that works offline, sliders and all.

    The tolerances are those at which the page opens.

    \b
    iua-widget html run.iua -o run.html --title 'Dead in epoch 3'
    """  # noqa: D301
    step_of_a_history(file, step)
    page = path or str(Path(file).with_suffix(".html"))
    check_page(page, file)
    write_page(
        page,
        load_history(file, step) if file.endswith(OF_HISTORIES) else load(file),
        at,
        Output(quiet=quiet),
        title=title,
        text=text,
        name=Path(file).stem,
        look=step,
        limit=limit,
    )
