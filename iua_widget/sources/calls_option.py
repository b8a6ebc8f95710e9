"""The option `calls`: whether many calls of one module are one layer."""

from __future__ import annotations

from typing import Final, Literal, cast, get_args

from iua_widget.common.words import did_you_mean
from iua_widget.errors import ProducerError

CallsOption = Literal["auto", "separate", "merge"]
"""What to do with the calls of one module, or of one function by one module, in a pass."""

MOST_SEPARATE: Final = 16
"""With ``"auto"`` more calls than this, with the same weights and of one shape, are one layer."""


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
    hint = did_you_mean(option, options)
    message = f"calls must be 'auto', 'separate' or 'merge', and is {option!r}.{hint}"
    raise ProducerError(message)
