"""Names of layers and of their responses: which a glob matches, what of, and short but distinct."""

from __future__ import annotations

import fnmatch
import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

_CALL_AND_PART: Final = re.compile(r"(:\d+)?(\[[^\[\]]*\])*$")
_NO_LETTERS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What breaks a line, turns the writing round, or cannot be written to a file."""


def matches(pattern: str, layer: str) -> bool:
    """Whether a layer has this name, or one that this glob matches.

    Examples
    --------
    >>> matches("encoder.*", "encoder.0"), matches("lstm[0]", "lstm[0]")
    (True, True)
    """
    return pattern == layer or fnmatch.fnmatchcase(layer, pattern)


def base_of(response: str) -> str:
    """The module or function of which a response is a call, or a part of one.

    Examples
    --------
    >>> base_of("cell:1[0]"), base_of("Net/relu")
    ('cell', 'Net/relu')
    """
    return _CALL_AND_PART.sub("", response)


def shortened(name: str, most: int) -> str:
    r"""A name on one line without its middle: what tells layers apart is mostly at its ends.

    Examples
    --------
    >>> shortened("encoder.layers.10.relu", 12), shortened("a\nb", 12)
    ('encod…0.relu', 'a�b')
    """
    name = _NO_LETTERS.sub("\N{REPLACEMENT CHARACTER}", name)
    half = most // 2
    return name if len(name) <= most else f"{name[: half - 1]}…{name[-half:]}"


def short_names(names: Sequence[str], most: int) -> dict[str, str]:
    """Each name in at most so many letters, and no two alike.

    Where names differ in their middle, it is there; where that does not tell them apart, a layer
    has its number in the order of the network.

    Examples
    --------
    >>> list(short_names([f"model.layers.{n}.mlp.gelu_new" for n in (3, 4)], 18).values())
    ['model…ers.3.…u_new', 'model…ers.4.…u_new']
    """
    forms = {name: shortened(name, most) for name in names}
    for alike in _alike(forms):
        first, last = min(alike), max(alike)
        pairs = enumerate(zip(first, last, strict=False))
        place = next((at for at, (one, other) in pairs if one != other), len(first))
        forms |= {name: _around(name, place, most) for name in alike if len(name) > most}
    numbers = {name: f" #{number}" for number, name in enumerate(names, 1)}
    for alike in _alike(forms):
        forms |= {name: forms[name][: most - len(numbers[name])] + numbers[name] for name in alike}
    return forms


def _alike(forms: dict[str, str]) -> list[list[str]]:
    """Names that have one form."""
    groups = defaultdict(list)
    for name, form in forms.items():
        groups[form].append(name)
    return [names for names in groups.values() if len(names) > 1]


def _around(name: str, place: int, most: int) -> str:
    """A name with its ends and what stands at a place between them."""
    third = most // 3
    start = max(third - 1, place - 4)
    end = max(start + third, len(name) - third + 1)
    ends = name[start:] if end == start + third else f"{name[start : start + third]}…{name[end:]}"
    return shortened(f"{name[: third - 1]}…{ends}", most)
