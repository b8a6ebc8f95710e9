"""Labels of probes, by which they are counted in groups: checked, named, and put in order."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from iua_widget.common.plain_values import plain
from iua_widget.common.tensors import as_numpy, is_tensor
from iua_widget.errors import ProducerError

Label = Hashable
"""What tells a probe's group: an integer, a text, or whatever can be the key of a dict."""


def checked_labels(given: Any, called: str, *, batch: int | None = None) -> list[Label]:
    """One plain label a probe, of a list or whichever library's array.

    Parameters
    ----------
    given : array_like of one axis
    called : str
        What it is called in messages.
    batch : int, optional
        Which batch it is of.

    Raises
    ------
    ProducerError
        If it is no list of labels.

    Examples
    --------
    >>> checked_labels(np.array([3.0, 1.0]), "groups="), checked_labels(["en", "de"], "groups=")
    ([3, 1], ['en', 'de'])
    """
    if is_tensor(given) or isinstance(given, np.ndarray) or hasattr(given, "__array__"):
        array = as_numpy(given)
        if array.ndim != 1:
            message = f"{called} must be one label a probe; got an array of shape {array.shape}."
            raise ProducerError(message + _what_to_do(array.shape), batch=batch)
        given = list(array) if array.dtype.kind == "f" else array.tolist()
    elif isinstance(given, (str, bytes, Mapping)) or not isinstance(given, Iterable):
        message = (
            f"{called} must be one label a probe, such as a tensor or a list of integers or "
            f"texts; got {type(given).__name__} ({given!r:.60})."
        )
        raise ProducerError(message, batch=batch)
    return [_checked(one, place, called, batch) for place, one in enumerate(given)]


def checked_names(given: Any) -> dict[Label, str] | None:
    """The names of groups by label, of a mapping, or of a list in the order of labels 0, 1, ...

    Raises
    ------
    ProducerError
        If they are no names.
    """
    if given is None:
        return None
    if isinstance(given, (str, bytes)) or not isinstance(given, (Mapping, Iterable)):
        message = (
            "group_names must be a mapping of label to name, such as {3: 'cat'}, or the list of "
            f"names of the labels 0, 1, 2, ...; got {given!r:.60}."
        )
        raise ProducerError(message)
    pairs = given.items() if isinstance(given, Mapping) else enumerate(given)
    names = {plain(label): name for label, name in pairs}
    for label, name in names.items():
        if not isinstance(name, str):
            message = f"group_names must name groups by texts; got {name!r:.60} for {label!r:.60}."
            raise ProducerError(message)
    return names


def name_of(label: Label, names: Mapping[Label, str] | None = None) -> str:
    """What the group of a label is called.

    Examples
    --------
    >>> name_of(3), name_of(3, {3: "cat"}), name_of(3, {"3": "cat"})
    ('3', 'cat', 'cat')
    """
    known = names or {}
    text = str(label)
    return known.get(label) or known.get(text) or text


def with_type(label: Label) -> tuple[type, Label]:
    """What tells a label from all others: True is no 1.

    Examples
    --------
    >>> with_type(True) == with_type(1), True == 1
    (False, True)
    """
    return type(label), label


def label_of_two(
    groups: Iterable[tuple[str, Iterable[Label]]],
) -> tuple[Label, str, str] | None:
    """A label that two groups have, and these; None where each is of one.

    Parameters
    ----------
    groups : iterable of (str, iterable of Label)
        Their names and labels.

    Examples
    --------
    >>> label_of_two([("a", [1, 2]), ("b", [True, 3])])
    >>> label_of_two([("a", [1, 2]), ("b", [2, 3])])
    (2, 'a', 'b')
    """
    named_so: dict[tuple[type, Label], str] = {}
    for name, labels in groups:
        for label in labels:
            first = named_so.setdefault(with_type(label), name)
            if first != name:
                return label, first, name
    return None


def label_order(labels: Sequence[Label]) -> tuple[int, float, str]:
    """By what groups of such labels are sorted: numbers by value, then all else as text.

    Examples
    --------
    >>> sorted([["b"], [10], [9], ["a"]], key=label_order)
    [[9], [10], ['a'], ['b']]
    """

    def key(label: Label) -> tuple[int, float, str]:
        if isinstance(label, (int, float)):
            return 0, label, ""
        return 1, 0.0, str(label)

    return min(map(key, labels), default=(2, 0.0, ""))


def _checked(label: Any, place: int, called: str, batch: int | None) -> Label:
    label = _as_it_prints(plain(label)) if not isinstance(label, np.floating) else _of_float(label)
    if label is None or (isinstance(label, float) and math.isnan(label)):
        message = (
            f"{called} has {label!r} for probe {place}, which is no label: leave such probes out, "
            "or give them a label of their own, such as -1 or 'unknown'."
        )
        raise ProducerError(message, batch=batch)
    try:
        hash(label)
    except TypeError:
        shape = np.shape(label) if isinstance(label, (list, np.ndarray)) else ()
        message = (
            f"{called} must be one label a probe that can be the key of a dict, such as an "
            f"integer or a text; got {type(label).__name__} ({label!r:.60}) for probe {place}."
        )
        more = _what_to_do((0, *shape)) if shape else ""
        raise ProducerError(message + more, batch=batch) from None
    return label  # type: ignore[no-any-return]


def _of_float(label: np.floating[Any]) -> float:
    """A number as it prints: 0.1 of float32 is 0.1."""
    return _as_it_prints(float(str(label)))  # type: ignore[no-any-return]


def _as_it_prints(label: Any) -> Any:
    """Whole numbers without a point: PyTorch's and pandas' labels often are floating."""
    return int(label) if isinstance(label, float) and label.is_integer() else label


def _what_to_do(shape: tuple[int, ...]) -> str:
    if not shape:
        return " Give a batch of them."
    if shape[1:] == (1,):
        return " Take its only column: groups=lambda batch: ...[:, 0]."
    return (
        " Of one-hot labels take groups=lambda batch: ....argmax(1); of several labels a probe "
        "(as in segmentation) choose one."
    )
