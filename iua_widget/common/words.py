"""Wording that messages share: lists of names, and hints at the nearest name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Final

_SHORT: Final = 2
"""Letters of a word that is like too many others, such as "in"."""


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


def did_you_mean(given: object, options: Iterable[str], cutoff: float = 0.4) -> str:
    """A hint at the option that comes nearest, to end a message; empty where none is near.

    Examples
    --------
    >>> did_you_mean("tokens", ["element", "channel", "token"])
    " Did you mean 'token'?"
    """
    near = nearest(given, options, most=1, cutoff=cutoff)
    return f" Did you mean {near[0]!r}?" if near else ""


def nearest(given: object, options: Iterable[str], most: int, cutoff: float = 0.4) -> list[str]:
    """The options that come nearest to what was given, or a word of which does.

    Examples
    --------
    >>> nearest("dead-chanels", ["mean", "dead-channels", "channels"], most=2)
    ['dead-channels', 'channels']
    >>> nearest("mean", ["units", "nan", "mean inactive"], most=1)
    ['mean inactive']
    >>> nearest("rleu", ["add_relu", "relu"], most=1)
    ['relu']
    """

    def likeness(option: str) -> tuple[float, float]:
        words = [option, *(word for word in re.split("[ _-]", option) if len(word) > _SHORT)]
        ratios = [difflib.SequenceMatcher(None, str(given), word).ratio() for word in words]
        return max(ratios), ratios[0]

    alike = {option: likeness(option) for option in options}
    near = [option for option in alike if alike[option][0] >= cutoff]
    return sorted(near, key=alike.__getitem__, reverse=True)[:most]


def nearest_first(given: object, options: Iterable[str]) -> list[str]:
    """All options, those that come nearest to what was given first.

    Examples
    --------
    >>> nearest_first("dead-chanels", ["mean", "dead-channels"])
    ['dead-channels', 'mean']
    """
    known = list(options)
    near = nearest(str(given).lower(), known, most=3, cutoff=0.5)  # as the page has it
    return near + [option for option in known if option not in near]


def from_to(lower: float, upper: float, spec: str) -> str:
    """A figure by the bounds on it: one number where they are written alike.

    Examples
    --------
    >>> from_to(12.04, 12.01, ".1f"), from_to(3, 1200, ",d")
    ('12.0', '3 to 1,200')
    """
    low, high = format(lower, spec), format(upper, spec)
    return low if low == high else f"{low} to {high}"
