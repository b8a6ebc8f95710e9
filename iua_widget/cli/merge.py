"""``iua-widget merge``: saved runs of shards, as one."""

from __future__ import annotations

import warnings
from typing import Any

import click

from iua_widget.cli.options import Output, takes_output, takes_tolerances
from iua_widget.cli.parameters import FILE
from iua_widget.cli.report import wrote
from iua_widget.cli.results import report_result
from iua_widget.cli.saved_files import load
from iua_widget.errors import IUAWarning


@click.command(short_help="Saved runs of shards as one.")
@click.argument("files", type=FILE, nargs=-1, required=True)
@click.option("-o", "--save", type=FILE, required=True, help="The file of all of them together.")
@takes_tolerances
@takes_output
def merge(files: tuple[str, ...], save: str, at: dict[str, Any], output: Output) -> None:
    """Merge saved FILES of several streams, as if one run had counted them.

    \b
    iua-widget merge shard*.iua -o all.iua
    """  # noqa: D301
    from iua_widget.iua import IUA

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", IUAWarning)  # the notes tell
        whole = IUA.merge(*map(load, files))
    wrote(whole.save(save), output)
    report_result("merge", whole, at, output, files={"save": save})
