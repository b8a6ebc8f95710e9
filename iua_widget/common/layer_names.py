"""Names of layers: which ones a name or glob means, what a response is of, and short forms."""

from __future__ import annotations

import fnmatch
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from iua_widget.common.words import nearest
from iua_widget.errors import LayerSelectionError

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


def of_layer(choices: Mapping[str, Any], layer: str, default: Any) -> Any:
    """What is chosen for a layer: by its name, or else by the first glob that matches it.

    Examples
    --------
    >>> of_layer({"conv*": 1, "conv2": 2}, "conv2", 0)
    2
    """
    if layer in choices:
        return choices[layer]
    found = (value for pattern, value in choices.items() if matches(pattern, layer))
    return next(found, default)


def choose_layers(asked: str | Iterable[str] | None, known: Sequence[str]) -> list[str]:
    """The layers of these names or globs, in the order of the network; all where None is asked for.

    Raises
    ------
    LayerSelectionError
        If one of them matches none.

    Examples
    --------
    >>> choose_layers(["head", "layer1.*"], ["layer1.relu", "layer2.relu", "head"])
    ['layer1.relu', 'head']
    """
    if asked is None:
        return list(known)
    chosen = set()
    for pattern in [asked] if isinstance(asked, str) else asked:
        found = [name for name in known if isinstance(pattern, str) and matches(pattern, name)]
        if not found:
            raise unknown_layer(pattern, known)
        chosen.update(found)
    return [name for name in known if name in chosen]


def unmatched(globs: Iterable[str], layers: Sequence[str]) -> str | None:
    """The first of some globs that matches no layer, but for ``"*"``; None where all match.

    Examples
    --------
    >>> unmatched(["*", "conv*", "relu"], ["conv1", "conv2"])
    'relu'
    """
    for glob in globs:
        if glob != "*" and not any(matches(glob, layer) for layer in layers):
            return glob
    return None


def unknown_layer(name: object, known: Sequence[str]) -> LayerSelectionError:
    """The error for a layer that is not there, with the names that come nearest."""
    return LayerSelectionError(f"no layer is named {name!r}. {try_one_of(name, known)}")


def try_one_of(name: object, known: Sequence[str]) -> str:
    """The layers to try in place of one that is not there, to end a message.

    Examples
    --------
    >>> try_one_of("rleu", ["conv", "relu"])
    "Try one of: 'relu' (2 in all)."
    """
    near = nearest(name, known, most=5) or list(known[:5])
    more = f" ({len(known)} in all)" if len(known) > len(near) else ""
    return f"Try one of: {', '.join(map(repr, near))}{more}."


def base_of(response: str) -> str:
    """The module or function of which a response is a call, or a part of one.

    Examples
    --------
    >>> base_of("cell:1[0]"), base_of("Net/relu")
    ('cell', 'Net/relu')
    """
    return _CALL_AND_PART.sub("", response)


def printable(text: str) -> str:
    r"""A text without what breaks a line, turns the writing round, or commands a terminal.

    Examples
    --------
    >>> printable("relu\x1b[2J")
    'relu�[2J'
    """
    return _NO_LETTERS.sub("\N{REPLACEMENT CHARACTER}", text)


def shortened(name: str, most: int) -> str:
    r"""A name on one line without its middle: what tells layers apart is mostly at its ends.

    Examples
    --------
    >>> shortened("encoder.layers.10.relu", 12), shortened("a\nb", 12)
    ('encod…0.relu', 'a�b')
    """
    name = printable(name)
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
