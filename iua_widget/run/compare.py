"""Compares two runs of one architecture; refuses what is not, saying how they differ."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final

from iua_widget.common.layer_names import choose_layers
from iua_widget.common.words import listed, named, nearest
from iua_widget.errors import ComparisonError
from iua_widget.reading.comparison import Comparison
from iua_widget.reading.results import Reading
from iua_widget.run.layer_order import merged_order
from iua_widget.run.read import read
from iua_widget.run.run import Run
from iua_widget.tally.tally import Tally
from iua_widget.tolerances import Tolerances

_ALIKE: Final[Sequence[tuple[str, Callable[[Tally], object], str]]] = (
    ("what a unit is differs", lambda tally: tally.plan.choice, "`units=`"),
    (
        "the shape of the units differs",
        lambda tally: tally.unit_shape,
        "architecture, and inputs of the same size",
    ),
    (
        "the axis that counts channels differs",
        lambda tally: tally.plan.channel_axis,
        "`channel_axis=`",
    ),
)
"""In what the units of two layers must be alike: how it differs, where it is, what to do."""


def compared(
    before: Run,
    after: Run,
    layers: str | Iterable[str] | None = None,
    at: Tolerances | None = None,
) -> Comparison:
    """Compare two runs, by default at the tolerances of the first: see `IUA.compare`.

    Raises
    ------
    ComparisonError
        If they are not of one architecture, or one of them is of several models.
    LayerSelectionError
        If a name or glob of `layers` matches no layer.
    NoProbesError
        If nothing has been counted in one of them.
    """
    chosen = comparable(before, after, layers)
    read_both = partial(_read_both, before, after, chosen)
    return Comparison.reading(read_both, before.options.tolerances if at is None else at)


def comparable(before: Run, after: Run, layers: str | Iterable[str] | None = None) -> list[str]:
    """The layers in which two runs are compared; refuses them as `compared` does."""
    tallies = []
    for when, run in (("before", before), ("after", after)):
        with run.being_read():
            tallies.append(dict(run.tallies))
            _check_one_model(run, when)
    there, here = tallies
    chosen = choose_layers(layers, merged_order(there, here))
    _check_layers(there, here, chosen)
    _check_units(there, here, chosen)
    return list(chosen)


def _read_both(
    before: Run, after: Run, layers: Sequence[str], tolerances: Tolerances
) -> tuple[Reading, Reading]:
    """Both as they are now: each of one moment of its own."""
    return read(before, tolerances, layers), read(after, tolerances, layers)


def _check_one_model(run: Run, when: str) -> None:
    if len(run.weights) > 1:
        message = (
            f"the result {when} was counted with {len(run.weights)} different weights of the "
            "model, merged or one after the other: its figures are of several models together. "
            "Compare results of one model each, before they are merged."
        )
        raise ComparisonError(message)


def _check_layers(
    before: Mapping[str, Tally], after: Mapping[str, Tally], chosen: Sequence[str]
) -> None:
    only = {
        "before": _with_nearest([name for name in chosen if name not in after], after),
        "after": _with_nearest([name for name in chosen if name not in before], before),
    }
    told = [f"only {when} there is {names}" for when, names in only.items() if names]
    if told:
        both = [name for name in before if name in after]
        way = (
            f"or compare what both have ({named(both, most=2)}): compare(other, layers=[...])"
            if both
            else "they have no layer in common"
        )
        message = (
            f"the layers differ: {'; '.join(told)}. Count both with the same architecture and the "
            f"same `layers=`; {way}."
        )
        raise ComparisonError(message)


def _with_nearest(missing: Sequence[str], there: Iterable[str]) -> str:
    """Layers that the other result lacks, with the name that comes nearest among its own."""
    most = 3
    words = []
    for name in missing[:most]:
        near = nearest(name, there, most=1)
        words.append(f"{name!r} (nearest there: {near[0]!r})" if near else repr(name))
    return listed([*words, *missing[most:]], most)


def _check_units(
    before: Mapping[str, Tally], after: Mapping[str, Tally], chosen: Sequence[str]
) -> None:
    # A layer that nothing has reached may not know its units.
    reached = [name for name in chosen if before[name].seen and after[name].seen]
    for what, told, way in _ALIKE:
        pairs = {name: (told(before[name]), told(after[name])) for name in reached}
        differ = [name for name, (one, other) in pairs.items() if one != other]
        if differ:
            one, other = pairs[differ[0]]
            of_which = f" of {differ[0]!r}" if len(differ) > 1 else ""
            message = (
                f"{what} in {named(differ)}: {one!r} before and {other!r} after{of_which}. "
                f"Count both with the same {way}."
            )
            raise ComparisonError(message)
