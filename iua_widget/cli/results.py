"""The report of one result, the files that are read, and the pages that are written."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iua_widget.cli.options import Output
from iua_widget.cli.report import Report, alarms_of, sort_of, wrote
from iua_widget.common.words import did_you_mean
from iua_widget.errors import FileError, IUAWarning

if TYPE_CHECKING:
    from iua_widget.history.history import History
    from iua_widget.iua import IUA


def load(path: str) -> IUA:
    """Read a saved run.

    Raises
    ------
    FileError
        If it is not there, with the file that comes nearest, or holds none.
    """
    from iua_widget.iua import IUA

    return IUA.load(there(path))


def there(path: str) -> str:
    """Return the path of a saved file, if it is there.

    Raises
    ------
    FileError
        Otherwise, with the file that comes nearest.
    """
    here = Path(path)
    if not here.exists() and here.parent.is_dir():
        near = [one.name for one in here.parent.glob("*.iua*")]
        message = (
            f"{path!r} is not there: expected a file that `--save`, `IUA.save` or `resume=` has "
            f"written.{did_you_mean(here.name, near)}"
        )
        raise FileError(message)
    return path


def report_result(
    command: str,
    iua: IUA,
    at: Mapping[str, Any],
    output: Output,
    *,
    layers: Sequence[str] = (),
    files: Mapping[str, str | None] | None = None,
) -> None:
    """Print the layers of a result, and end the program by the rules of ``--fail-if``.

    Parameters
    ----------
    command : str
    iua : IUA
    at : mapping
        Tolerances, those of the result where left out.
    output : Output
    layers : sequence of str
        Names or globs; all where empty.
    files : mapping of str to str, optional
        What was written, by the option that asked for it.
    """
    from iua_widget.common.layer_names import choose_layers
    from iua_widget.widget.shown_table import layer_table

    tolerances = iua.tolerances.but(**at)
    chosen = choose_layers(layers or None, iua.layers)
    shown = layer_table(iua, tolerances, sort_of(output), output.row_filter)
    whole = layer_table(iua, tolerances, None, "")
    whole = whole[whole["response"].isin(chosen)]
    shown = shown[shown["response"].isin(chosen)]
    dead, units = int(whole["dead units"].sum()), int(whole["units"].sum())
    share = f" ({100 * dead / units:.1f} %)" if units else ""
    plural = "" if len(whole) == 1 else "s"
    Report(
        command=command,
        table=shown,
        rows="layers",
        tolerances=tolerances,
        summary=(
            f"{len(whole):,} layer{plural}, {units:,} units, {dead:,} dead{share}; "
            f"{iua.probes:,} probes at {tolerances.in_words}"
        ),
        notes=iua.notes,
        found={
            "probes": iua.probes,
            "weights": list(iua.weights),
            "exact": iua.at(**at).exact,
            "files": {name: path for name, path in (files or {}).items() if path},
        },
        **alarms_of(output.rules, whole, lambda layer: iua.units(layer, **at)),
    ).print(output)


def write_page(
    path: str,
    shown: IUA | History,
    at: Mapping[str, Any],
    output: Output,
    *,
    title: str | None,
    text: str | None,
    name: str,
    before: tuple[str, IUA] | None = None,
    look: int | None = None,
    limit: int | None = None,
) -> None:
    """Write a page: see `IUAWidget.to_html`.

    Parameters
    ----------
    path : str
    shown : IUA or History
    at : mapping
        Tolerances at which it opens.
    output : Output
    title, text, limit
        As for `IUAWidget.to_html`.
    name : str
        What the page calls what it shows.
    before : (str, IUA), optional
        The name of a result that it is compared with, and that.
    look : int, optional
        The step at which a history opens; the newest where left out.
    """
    from iua_widget.widget.widget import IUAWidget

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", IUAWarning)  # the notes tell
        widget = IUAWidget(shown, name=name, background=False, **at)
        try:
            if look is not None:
                widget.look = look
            if before is not None:
                widget.compare(before[1], name=before[0])
            bound = {} if limit is None else {"limit": limit}
            wrote(widget.to_html(path, title=title, text=text, **bound), output)
        finally:
            widget.close()
