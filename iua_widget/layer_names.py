"""Names of layers and of their responses: which a glob matches, and what a response is of."""

from __future__ import annotations

import fnmatch
import re
from typing import Final

_CALL_AND_PART: Final = re.compile(r"(:\d+)?(\[[^\[\]]*\])*$")


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
