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
    shown = ", ".join(map(repr, names[:most]))
    more = len(names) - most
    return f"{shown} and {more} more" if more > 0 else shown
