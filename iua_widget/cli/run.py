"""``iua-widget run``: counts a model's inactive units, or those of any producer."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from iua_widget.cli.failures import INTERRUPTED, failed_by
from iua_widget.cli.options import (
    Output,
    check_page,
    layers_option,
    takes_output,
    takes_page,
    takes_tolerances,
)
from iua_widget.cli.pages import write_page
from iua_widget.cli.parameters import (
    AXIS_BY_LAYER,
    COUNT_BY_LAYER,
    ENGINES,
    FILE,
    STOPS,
    TARGET,
    UNITS_BY_LAYER,
    by_layer,
)
from iua_widget.cli.report import wrote
from iua_widget.cli.results import report_result
from iua_widget.cli.targets import Targets
from iua_widget.errors import IUAError, IUAWarning

if TYPE_CHECKING:
    from iua_widget.iua import IUA


@click.command(short_help="Count a model's inactive units.")
@click.argument("target", type=TARGET)
@click.argument("loader", type=TARGET, required=False)
@layers_option("Names or globs of layers to count; by default those of activations.")
@click.option(
    "--units",
    type=UNITS_BY_LAYER,
    multiple=True,
    help="What a unit is: auto, element, channel or token; for some layers, 'conv*=channel'.",
)
@click.option(
    "--channel-axis", type=AXIS_BY_LAYER, multiple=True, help="Which axis counts the channels."
)
@click.option("--batch-size", type=click.IntRange(1), default=32, show_default=True)
@click.option("--max-probes", type=click.IntRange(1), help="Inputs to stop after.")
@click.option("--mode", type=click.Choice(["eval", "train"]), default="eval", show_default=True)
@click.option(
    "--calls", type=click.Choice(["auto", "separate", "merge"]), default="auto", show_default=True
)
@click.option("--forward", type=TARGET, help="What runs the model: forward(model, batch).")
@click.option("--mask", type=TARGET, help="What takes a batch and tells its padding.")
@click.option("--stops", type=STOPS, help="Tolerances at which counts are exact.")
@click.option("--engine", type=click.Choice(ENGINES), default="auto", show_default=True)
@click.option("--memory", help="What the run may hold, such as '2 GiB'.")
@click.option(
    "--top-probes",
    type=COUNT_BY_LAYER,
    multiple=True,
    help="Inputs with the largest responses to keep of each unit: 8, or 'fc*=8'.",
)
@click.option(
    "--groups",
    help="Where each probe's label is: 1 for (x, y), a field, or a function MODULE:ATTRIBUTE.",
)
@click.option("--causes", is_flag=True, help="Count what tells why units are dead or stuck.")
@click.option("--resume", type=FILE, help="Save to this file on the way, and go on from it.")
@click.option("--save-every", type=click.IntRange(1), help="Batches between two saves.")
@click.option("--save", type=FILE, help="Save what was counted to this file.")
@click.option("--html", type=FILE, help="Write a page that works offline.")
@takes_page
@click.option(
    "--progress/--no-progress",
    default=None,
    help="Draw a bar on stderr; by default where that is a terminal.",
)
@click.option("--traceback", is_flag=True, help="Show the traceback of errors in your code.")
@takes_tolerances
@takes_output
def run(
    *,
    target: str,
    loader: str | None,
    layers: tuple[str, ...],
    units: tuple[tuple[str, Any], ...],
    channel_axis: tuple[tuple[str, Any], ...],
    top_probes: tuple[tuple[str, Any], ...],
    forward: str | None,
    mask: str | None,
    groups: str | None,
    save: str | None,
    html: str | None,
    title: str | None,
    text: str | None,
    progress: bool | None,
    traceback: bool,
    at: dict[str, Any],
    output: Output,
    **options: Any,
) -> None:
    """Count the inactive units of a model, TARGET, over the inputs of a LOADER.

    Both are module:attribute, or path/to/file.py:attribute, and the current folder is looked in
    first. A function or class is called without arguments for what it makes. Without LOADER, TARGET
    is a producer: a mapping of layer to array, an iterable or a callable that yields such.

    \b
    iua-widget run nets:model data:loader --save run.iua
    iua-widget run train.py:make_model train.py:test_loader --layers '*relu*' --units channel
    iua-widget run nets:model data:loader --fail-if 'dead-share>=50% kind:ReLU' --json > run.json
    """  # noqa: D301
    check_page(html, save, options["resume"])
    targets = Targets(whole_traceback=traceback)
    files = {"save": save, "html": html, "resume": options["resume"]}
    with contextlib.redirect_stdout(sys.stderr):  # what users print is no part of the table
        counted = {
            "producer": targets.made(target, may_take_arguments=loader is None),
            "loader": None if loader is None else targets.made(loader),
            "forward": None if forward is None else targets.value(forward),
            "mask": None if mask is None else targets.value(mask),
            "groups": None if groups is None else _where_labels_are(groups, targets),
        }
        if loader is None and _is_model(counted["producer"]):
            message = (
                f"{target!r} is a model, and has no inputs: name a loader, too, such as "
                f"iua-widget run {target} data:loader."
            )
            raise click.UsageError(message)
        shown = sys.stderr.isatty() if progress is None else progress
        choices = {"units": by_layer(units), "channel_axis": by_layer(channel_axis)}
        choices["top_probes"] = by_layer(top_probes)
        options |= {name: choice for name, choice in choices.items() if choice}
        with _saved_when_it_breaks_off(save, output, whole_traceback=traceback):
            iua = _counted(
                counted | options | at,
                layers=list(layers) or None,
                progress=shown and not output.quiet,
            )
        if save is not None:
            wrote(iua.save(save), output)
        if html is not None:
            name = target.rpartition(":")[2]
            write_page(html, iua, at, output, title=title, text=text, name=name)
    report_result("run", iua, {}, output, files=files)


def _where_labels_are(groups: str, targets: Targets) -> Any:
    """The place of labels in a batch, their field, or the function that gives them."""
    if ":" in groups:
        return targets.value(groups)
    return int(groups) if groups.lstrip("-").isdecimal() else groups


def _is_model(value: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.nn.Module)


def _counted(options: dict[str, Any], **more: Any) -> IUA:
    from iua_widget.iua import IUA

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", IUAWarning)  # the notes tell
        return IUA.introspect(**options, **more)


@contextlib.contextmanager
def _saved_when_it_breaks_off(
    save: str | None, output: Output, *, whole_traceback: bool
) -> Iterator[None]:
    """Save what was counted when a run breaks off, and tell why it did."""
    try:
        yield
    except BaseException as error:
        partial = getattr(error, "partial", None)
        if save is not None and partial is not None and partial.probes:
            wrote(f"{partial.save(save)}, with the {partial.probes:,} probes counted", output)
        if isinstance(error, KeyboardInterrupt):
            click.echo("Interrupted.", err=True)
            click.get_current_context().exit(INTERRUPTED)
        if not isinstance(error, Exception):
            raise
        if isinstance(error, IUAError):
            if error.__cause__ is None:
                raise
            raise failed_by(error, whole=whole_traceback) from error
        doing = "your code failed while units were counted"
        raise failed_by(error, doing, whole=whole_traceback) from error
