"""Checks the values that traits are set to; what is invalid is refused with a remedy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from iua_widget.common.layer_names import unknown_layer
from iua_widget.common.words import did_you_mean, nearest_first
from iua_widget.reading.row_filter import RowFilter
from iua_widget.reading.table_columns import COLUMNS, find_column
from iua_widget.tolerances import check_dead_at, check_scale, check_tolerance

CHANGE: Final = "change"
COLORS: Final = (
    "share",
    "count",
    "mean |x|",
    "dead",
    CHANGE,
    "max pre-activation",
    "range",
    "share at bound",
)
"""What the colors of the heatmap can stand for, the default first."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the layers when a trait is set.

    Attributes
    ----------
    layer : str
        The selected one.
    layers : sequence of str
        All; empty before their names are known.
    units : int or None
        How many the selected layer has; None before that is known.
    steps : sequence of int, or None
        Of the looks that are kept; None where no history is shown.
    group_of : callable, or None
        Returns the name of the group that has a label, or raises an error where there is none;
        None where a history is shown.
    """

    layer: str
    layers: Sequence[str] = ()
    units: int | None = None
    steps: Sequence[int] | None = None
    group_of: Callable[[object], str] | None = None


def check_layer(value: object, layers: Sequence[str]) -> str:
    """Return `value` if it is a layer, or the layers are not known yet.

    Raises
    ------
    LayerSelectionError
        If there is no such layer.
    """
    layer = str(value)
    if layers and layer not in layers:
        raise unknown_layer(layer, layers)
    return layer


def check_sort(value: object) -> dict[str, Any] | None:
    """Return `value` if it is an order of the layer table, its column named as in DataFrames.

    Parameters
    ----------
    value : mapping or None
        ``{"column": "dead channels", "ascending": False}``, the column named as in DataFrames, with
        blanks or hyphens; None for the order of the network.

    Raises
    ------
    ValueError
        If it is none, or of an unknown column.

    Examples
    --------
    >>> check_sort({"column": "dead-channels", "ascending": False})
    {'column': 'dead channels', 'ascending': False}
    """
    if value is None:
        return None
    name = value.get("column") if isinstance(value, Mapping) else None
    column = find_column(name) if isinstance(name, str) else None
    if (
        isinstance(value, Mapping)
        and set(value) == {"column", "ascending"}
        and column is not None
        and isinstance(value["ascending"], bool)
    ):
        return {"column": column.name, "ascending": value["ascending"]}
    columns = nearest_first(name if isinstance(name, str) else "", COLUMNS)
    message = (
        f"sort is {value!r}, and must be None, for the order of the network, or such as "
        '{"column": "dead units", "ascending": False}, with a column of '
        f"{', '.join(map(repr, columns))}."
    )
    raise ValueError(message)


def check_filter(value: str) -> str:
    """Return `value` if the layer table can be filtered by it; a ValueError says why not."""
    RowFilter.parsed(value)
    return value


def check_color(value: object) -> str:
    """Return `value` if it is something that colors can stand for.

    Raises
    ------
    ValueError
        If it is none of `COLORS`.
    """
    for color in COLORS:
        if value == color:
            return color
    hint = did_you_mean(value, COLORS)
    message = f"color must be one of {', '.join(map(repr, COLORS))}, and is {value!r}.{hint}"
    raise ValueError(message)


def check_selected(value: object, *, layer: str, units: int | None) -> list[int]:
    """Return a selection of units, ascending and without repeats.

    Parameters
    ----------
    value : iterable of int
        Indices in the layer's C order.
    layer : str
        For the error.
    units : int or None
        How many there are; None where that is not known yet.

    Raises
    ------
    TypeError, ValueError
        If it is no list, or one of it is no unit of the layer.

    Examples
    --------
    >>> check_selected([7, 3, 3], layer="relu", units=8)
    [3, 7]
    """
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        message = f"selected must be a list of unit indices, such as [3, 17], and is {value!r}."
        raise TypeError(message)
    chosen = set()
    for unit in value:
        index = _whole(unit)
        if index is None or not 0 <= index < (index + 1 if units is None else units):
            known = "0 or more" if units is None else f"from 0 to {units - 1:,}"
            message = (
                f"{unit!r} is no unit of layer {layer!r}: units are whole numbers {known}, in the "
                "C order of one probe's response."
            )
            raise ValueError(message)
        chosen.add(index)
    return sorted(chosen)


def check_look(name: str, value: object, steps: Sequence[int] | None) -> int | None:
    """Return the step of the look that is nearest to a step of training.

    Parameters
    ----------
    name : str
        Of the trait, for the error.
    value : int or None
    steps : sequence of int, or None
        Of the looks that are kept, ascending; None where no history is shown.

    Raises
    ------
    ValueError
        If it is no step, or there is no history.

    Examples
    --------
    >>> check_look("look", 130, [0, 100, 200])
    100
    """
    if value is None:
        return None
    step = _whole(value)
    if steps is None:
        message = f"{name} is {value!r:.60}, and no history is shown: a monitor's widget has one."
        raise ValueError(message)
    if step is None or step < 0:
        message = f"{name} must be a step of training, or None, and is {value!r:.60}."
        raise ValueError(message)
    return min(steps, key=lambda one: abs(one - step), default=None)


def check_group(value: object, group_of: Callable[[object], str] | None) -> str | None:
    """Return the name of a group of probes.

    Parameters
    ----------
    value : object
        A name, or a label; None for all probes.
    group_of : callable, or None
        See `Known`.

    Raises
    ------
    GroupError
        If there is no such group.
    ValueError
        If a history is shown, of which there are none.
    """
    if value is None:
        return None
    if group_of is None:
        message = f"group is {value!r:.60}, and a history is not told apart by group."
        raise ValueError(message)
    return group_of(value)


CHECKS: Final[Mapping[str, Callable[[Any, Known], Any]]] = {
    "rtol": lambda value, _: check_tolerance("rtol", value),
    "atol": lambda value, _: check_tolerance("atol", value),
    "tau": lambda value, _: check_tolerance("tau", value),
    "scale": lambda value, _: check_scale(value),
    "dead_at": lambda value, _: check_dead_at(value),
    "layer": lambda value, known: check_layer(value, known.layers),
    "selected": lambda value, known: check_selected(value, layer=known.layer, units=known.units),
    "sort": lambda value, _: check_sort(value),
    "filter": lambda value, _: check_filter(value),
    "color": lambda value, _: check_color(value),
    "look": lambda value, known: check_look("look", value, known.steps),
    "group": lambda value, known: check_group(value, known.group_of),
    "against": lambda value, known: check_look("against", value, known.steps),
}
"""What checks each trait: returns the value as it is kept, and raises where it is invalid."""


def _whole(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if number == value else None
