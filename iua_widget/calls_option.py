"""The option `calls`: whether many calls of one module are one layer."""

from __future__ import annotations

import difflib
import re
from typing import Final, Literal, cast, get_args

from iua_widget.errors import ProducerError

CallsOption = Literal["auto", "separate", "merge"]
"""What to do with the calls of one module, or of one function by one module, in a pass."""

MOST_SEPARATE: Final = 16
"""With ``"auto"`` more calls than this, with the same weights and of one shape, are one layer."""

_CALL_AND_PART: Final = re.compile(r"(:\d+)?(\[[^\[\]]*\])*$")


def checked_calls(option: object) -> CallsOption:
    """What was given for `calls`.

    Raises
    ------
    ProducerError
        If it is no such option.
    """
    options = get_args(CallsOption)
    if option in options:
        return cast("CallsOption", option)
    near = difflib.get_close_matches(str(option), options, n=1, cutoff=0.4)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    message = f"calls must be 'auto', 'separate' or 'merge', and is {option!r}.{hint}"
    raise ProducerError(message)


def base_of(response: str) -> str:
    """The module or function of which a response is a call, or a part of one.

    Examples
    --------
    >>> base_of("cell:1[0]"), base_of("Net/relu")
    ('cell', 'Net/relu')
    """
    return _CALL_AND_PART.sub("", response)
