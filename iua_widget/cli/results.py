"""The report of one result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from iua_widget.cli.options import Output
from iua_widget.cli.report import Report, alarms_of, sort_of

if TYPE_CHECKING:
    from iua_widget.iua import IUA


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
