"""The kinds of entries of `layers=`, and which calls of modules and functions each means."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from typing import Final

from torch import nn

from iua_widget.capture.activations import ACTIVATION_FUNCTIONS, function_kind
from iua_widget.capture.names import ModuleNames
from iua_widget.common.layer_names import base_of, matches
from iua_widget.sources.response_info import LayerKind

_PARTS: Final = re.compile(r"(\[[^\[\]]*\])+$")
_NUMBERED: Final = re.compile(r":[\d*?\[]")
_IN_PLACE: Final = re.compile(r"(?<=[^/_])_+(?=$|[:\[])")
"""What `function_name` leaves out of a function's name: ``scatter_`` is ``scatter``."""


class Choice:
    """Calls of some modules: those of a class, one module, or what a predicate takes.

    Parameters
    ----------
    text : str
        The entry as the user wrote it, for messages.
    modules : iterable of int
        Ids of the modules whose calls it may mean.

    Attributes
    ----------
    any_function : bool
        Whether it may mean functions that are no activations.
    needs_run : bool
        Whether only a run can tell that it means nothing.
    seen : bool
        Whether a response has been captured for it.
    """

    any_function = False
    needs_run = False

    def __init__(self, text: str, modules: Iterable[int]) -> None:
        self.text = text
        self.modules = set(modules)
        self.seen = False

    @property
    def names_call(self) -> bool:
        """Whether it may mean a single call by its number."""
        return False

    def wants_call(self, module: nn.Module, response: str) -> bool:  # noqa: ARG002
        """Whether a response of a module's call is wanted."""
        return id(module) in self.modules

    def wants_function(self, name: str, response: str, *, inside: bool) -> bool:  # noqa: ARG002
        """Whether a response of a function is wanted; `inside` a module that is an activation."""
        return False


class WithActivations(Choice):
    """Calls of some modules, and of every activation function: the default, and everything."""

    def wants_function(self, name: str, response: str, *, inside: bool) -> bool:  # noqa: ARG002
        """See `Choice.wants_function`."""
        return name in ACTIVATION_FUNCTIONS and not inside


class ByName(Choice):
    """A name or glob; of a module with several names, the calls by a name that matches.

    A glob means the calls of activation functions, too, as `response_infos` lists them.
    """

    def __init__(self, text: str, modules: Iterable[int], names: ModuleNames) -> None:
        super().__init__(text, modules)
        self._names = names

    def wants_call(self, module: nn.Module, response: str) -> bool:
        """See `Choice.wants_call`."""
        if not super().wants_call(module, response):
            return False
        return len(self._names.of(module)) == 1 or matches(self.text, base_of(response))

    def wants_function(self, name: str, response: str, *, inside: bool) -> bool:
        """See `Choice.wants_function`."""
        wanted = not inside and name in ACTIVATION_FUNCTIONS
        return wanted and fnmatch.fnmatchcase(base_of(response), self.text)


class ByFunction(Choice):
    """Every call of one function of PyTorch, whoever calls it."""

    any_function = True
    needs_run = True

    def __init__(self, text: str, name: str) -> None:
        super().__init__(text, ())
        self._name = name

    def wants_function(self, name: str, response: str, *, inside: bool) -> bool:  # noqa: ARG002
        """See `Choice.wants_function`."""
        return name == self._name


class ByKind(Choice):
    """A `LayerKind`, of modules and of functions."""

    needs_run = True

    def __init__(self, kind: LayerKind, modules: Iterable[int]) -> None:
        super().__init__(f"LayerKind.{kind.name}", modules)
        self._kind = kind

    def wants_function(self, name: str, response: str, *, inside: bool) -> bool:  # noqa: ARG002
        """See `Choice.wants_function`."""
        return not inside and function_kind(name) is self._kind


class ByResponse(Choice):
    """A name or glob that goes beyond modules: a function, one call, or a part of an output."""

    needs_run = True

    def __init__(self, text: str, modules: Iterable[int]) -> None:
        super().__init__(text, modules)
        self.any_function = "/" in text
        self._pattern = _IN_PLACE.sub("", text)

    @property
    def names_call(self) -> bool:
        """See `Choice.names_call`."""
        return _NUMBERED.search(self.text) is not None

    def wants_call(self, module: nn.Module, response: str) -> bool:
        """See `Choice.wants_call`."""
        return super().wants_call(module, response) and self._matches(response)

    def wants_function(self, name: str, response: str, *, inside: bool) -> bool:  # noqa: ARG002
        """See `Choice.wants_function`."""
        of = base_of(response)
        return self.any_function and (self._matches(response) or self._matches(of))

    def _matches(self, response: str) -> bool:
        brackets_literal = self._pattern.replace("[", "[[]")
        return any(
            matches(pattern, candidate)
            for candidate in (response, _PARTS.sub("", response))
            for pattern in (self._pattern, brackets_literal)
        )
