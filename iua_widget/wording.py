"""Words that several messages share."""

from __future__ import annotations

from collections.abc import Sequence


def named(names: Sequence[str], most: int = 5) -> str:
    """Names in quotes, and how many more there are.

    Examples
    --------
    >>> named(["relu", "fc", "head"], most=2)
    "'relu', 'fc' and 1 more"
    """
    return listed(list(map(repr, names)), most)


def listed(words: Sequence[str], most: int = 5) -> str:
    """The first of some words, and how many more there are.

    Examples
    --------
    >>> listed(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    shown = ", ".join(words[:most])
    more = len(words) - most
    return f"{shown} and {more} more" if more > 0 else shown
