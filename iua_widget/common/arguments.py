"""Refuses wrong arguments with an error that has the nearest name, or the way to write it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from iua_widget.common.words import did_you_mean

_Parameters = ParamSpec("_Parameters")
_Returned = TypeVar("_Returned")


def known_arguments_only(
    function: Callable[_Parameters, _Returned],
) -> Callable[_Parameters, _Returned]:
    """Refuse an argument that a public function has not, with the nearest it has, or by its name.

    The function keeps its signature, for help and for editors. It is called from one frame
    further: warnings need a `stacklevel` one larger.

    Raises
    ------
    TypeError
        When the function is called with an argument that it has not.

    Examples
    --------
    >>> @known_arguments_only
    ... def paint(*, color: str = "red") -> str:
    ...     return color
    >>> paint(colour="blue")
    Traceback (most recent call last):
    TypeError: paint() got an unexpected argument 'colour'. Did you mean 'color'?
    >>> paint("blue")
    Traceback (most recent call last):
    TypeError: paint() takes its options by name: color='blue'.
    """
    parameters = inspect.signature(function).parameters.values()
    by_place = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL)
    in_place = sum(one.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD for one in parameters)
    by_name = [one.name for one in parameters if one.kind is inspect.Parameter.KEYWORD_ONLY]
    known = {one.name for one in parameters if one.kind not in by_place}
    named = function.__qualname__.removesuffix(".__init__").rpartition("<locals>.")[2]

    @functools.wraps(function)
    def checked(*args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _Returned:
        if by_name and len(args) > in_place:
            such_as = f"{by_name[0]}={args[in_place]!r:.60}"
            message = f"{named}() takes its options by name: {such_as}."
            raise TypeError(message)
        for name in kwargs.keys() - known:
            hint = did_you_mean(name, sorted(known - {"self"}))
            message = f"{named}() got an unexpected argument {name!r}.{hint}"
            raise TypeError(message)
        return function(*args, **kwargs)

    return checked
