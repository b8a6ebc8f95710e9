"""Reading the option `layers` for a model, with the nearest names where nothing matches."""

from __future__ import annotations

import fnmatch
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

import torch
from torch import nn
from torch.overrides import resolve_name

from iua_widget.capture.activations import (
    ACTIVATION_FUNCTIONS,
    function_kind,
    function_name,
    is_activation,
    module_kind,
)
from iua_widget.capture.names import ModuleNames
from iua_widget.capture.refusals import wrapped_in
from iua_widget.common.layer_names import base_of, matches
from iua_widget.common.words import named, nearest
from iua_widget.errors import LayerSelectionError
from iua_widget.sources.response_info import LayerKind, as_layer_kind

_NAMESPACES: Final = (nn.functional, torch, torch.Tensor, torch.special)
_NAMESPACE: Final = re.compile(r"^(torch\.)?((nn\.)?functional\.|F\.|Tensor\.|special\.)?")
_CALL_OR_PART: Final = re.compile(r"(:[\d*?]+)?((\[[^\[\]]*\])+\*?)?$")
"""What follows a module's name in a response's: the second call, a part of the output."""

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


class _WithActivations(Choice):
    """Calls of some modules, and of every activation function: the default, and everything."""

    def wants_function(self, name: str, response: str, *, inside: bool) -> bool:  # noqa: ARG002
        return name in ACTIVATION_FUNCTIONS and not inside


class _ByName(Choice):
    """A name or glob; of a module with several names, the calls by a name that matches.

    A glob means the calls of activation functions, too, as `response_infos` lists them.
    """

    def __init__(self, text: str, modules: Iterable[int], names: ModuleNames) -> None:
        super().__init__(text, modules)
        self._names = names

    def wants_call(self, module: nn.Module, response: str) -> bool:
        if not super().wants_call(module, response):
            return False
        return len(self._names.of(module)) == 1 or matches(self.text, base_of(response))

    def wants_function(self, name: str, response: str, *, inside: bool) -> bool:
        wanted = not inside and name in ACTIVATION_FUNCTIONS
        return wanted and fnmatch.fnmatchcase(base_of(response), self.text)


class _ByFunction(Choice):
    """Every call of one function of PyTorch, whoever calls it."""

    any_function = True
    needs_run = True

    def __init__(self, text: str, name: str) -> None:
        super().__init__(text, ())
        self._name = name

    def wants_function(self, name: str, response: str, *, inside: bool) -> bool:  # noqa: ARG002
        return name == self._name


class _ByKind(Choice):
    """A `LayerKind`, of modules and of functions."""

    needs_run = True

    def __init__(self, kind: LayerKind, modules: Iterable[int]) -> None:
        super().__init__(f"LayerKind.{kind.name}", modules)
        self._kind = kind

    def wants_function(self, name: str, response: str, *, inside: bool) -> bool:  # noqa: ARG002
        return not inside and function_kind(name) is self._kind


class _ByResponse(Choice):
    """A name or glob that goes beyond modules: a function, one call, or a part of an output."""

    needs_run = True

    def __init__(self, text: str, modules: Iterable[int]) -> None:
        super().__init__(text, modules)
        self.any_function = "/" in text
        self._pattern = _IN_PLACE.sub("", text)

    @property
    def names_call(self) -> bool:
        return _NUMBERED.search(self.text) is not None

    def wants_call(self, module: nn.Module, response: str) -> bool:
        return super().wants_call(module, response) and self._matches(response)

    def wants_function(self, name: str, response: str, *, inside: bool) -> bool:  # noqa: ARG002
        of = base_of(response)
        return self.any_function and (self._matches(response) or self._matches(of))

    def _matches(self, response: str) -> bool:
        brackets_literal = self._pattern.replace("[", "[[]")
        return any(
            matches(pattern, candidate)
            for candidate in (response, _PARTS.sub("", response))
            for pattern in (self._pattern, brackets_literal)
        )


class LayersOption:
    """Reads the option `layers` for one model.

    Parameters
    ----------
    names : ModuleNames
        Of the model.

    Attributes
    ----------
    label : str
        The model's class.
    modules : dict of int to torch.nn.Module
        Those that can be watched, by id.
    activations : set of int
        Ids of those that are activations.
    hidden : list of str
        Names of modules inside a ScriptModule, which cannot be watched.
    """

    def __init__(self, names: ModuleNames) -> None:
        scripted = _inside_script_modules(names.model)
        self.label = type(names.model).__name__
        self.modules = {id(m): m for m in names.modules.values() if id(m) not in scripted}
        self.activations = {key for key, module in self.modules.items() if is_activation(module)}
        self.hidden = [name for name, m in names.modules.items() if id(m) in scripted]
        self._names = names

    @property
    def may_call_functions(self) -> bool:
        """Whether a module may call an activation as a function."""
        return not all(map(_calls_no_function, self.modules.values()))

    def everything(self) -> Choice:
        """All modules and activation functions."""
        return _WithActivations("everything", self.modules)

    def default(self) -> Choice:
        """The outputs of activations, modules and functions."""
        return _WithActivations("activations", self.activations)

    def choices(self, layers: Any) -> list[Choice]:
        """One choice for each entry of `layers`.

        Raises
        ------
        LayerSelectionError
            If one of them matches no module, and cannot match a function.
        """
        return [self._choice(entry) for entry in _entries(layers)]

    def near(self, text: str, called: Sequence[str]) -> str:
        """A sentence with the responses of the model that are named most alike."""
        near = nearest(text.strip("'\""), called, most=3)
        ends = {_end(name): name for name in reversed(called)}
        near = near or [ends[end] for end in nearest(_end(text), ends, most=3, cutoff=0.6)]
        if near:
            return f" Near it: {named(near)}."
        return f" It gave {named(called)}." if called else ""

    def as_modules(self, text: str) -> str:
        """Sentences on modules that compute the function asked for."""
        function = _end(text).lower().replace("_", "")
        kinds = {
            type(module).__name__: name
            for name, module in self._names.modules.items()
            if id(module) in self.activations and type(module).__name__.lower() == function
        }
        found = [f" A module is {name!r}: layers=nn.{kind}." for kind, name in kinds.items()]
        return "".join(found)

    def _choice(self, entry: object) -> Choice:
        modules = self.modules
        if isinstance(entry, str):
            return self._by_name(entry)
        kind = as_layer_kind(entry)
        if kind is not None:
            return _ByKind(kind, (k for k, m in modules.items() if module_kind(m) is kind))
        if isinstance(entry, type):
            if not issubclass(entry, nn.Module):
                message = (
                    f"a class in layers= must be one of modules, such as nn.ReLU; got "
                    f"{entry.__name__}."
                )
                raise LayerSelectionError(message)
            return self._found(
                Choice(entry.__name__, (k for k, m in modules.items() if isinstance(m, entry)))
            )
        if isinstance(entry, nn.Module):
            entry = wrapped_in(entry) or entry
            if id(entry) not in modules:
                message = (
                    f"layers={type(entry).__name__}(...) is a module, but none of this model's. "
                    f"For all modules of its class pass the class: layers={type(entry).__name__}."
                )
                raise LayerSelectionError(message)
            return Choice(self._names.of(entry)[0], [id(entry)])
        if callable(entry) and (overridable := resolve_name(entry)):
            return _ByFunction(overridable, function_name(entry))
        if callable(entry):
            return self._found(self._by_predicate(entry))
        message = (
            "layers must be names, globs ('encoder.*.relu'), modules, module classes (nn.ReLU), "
            "functions (F.relu), LayerKind members, a predicate, or a list of these; got "
            f"{entry!r} ({type(entry).__name__})."
        )
        raise LayerSelectionError(message)

    def _by_name(self, entry: str) -> Choice:
        exact = self._named(entry)
        base = _CALL_OR_PART.sub("", entry)
        of_base = self._named(base)
        if exact or not (of_base and base != entry):
            found = exact or self._globbed(entry)
            if found:
                return _ByName(entry, found, self._names)
        of_base = of_base or self._globbed(base)
        if "/" in entry or (base != entry and of_base):
            return _ByResponse(entry, of_base)
        if entry not in self.hidden and (function := _function_of(entry)):
            return _ByFunction(repr(entry), function)
        if any(matches(entry, name) for name in self._possible_functions()):
            return _ByName(entry, (), self._names)
        if entry in self.hidden:
            message = (
                f"layers={entry!r} is inside a ScriptModule, which cannot be watched from outside. "
                "Pass the model as it was before torch.jit, or choose the ScriptModule itself."
            )
            raise LayerSelectionError(message)
        if entry == "input" or entry.startswith("input["):
            message = f"layers={entry!r} is an input of the model, and no layer computes it."
            raise LayerSelectionError(message)
        raise self._no_match(repr(entry), entry)

    def _possible_functions(self) -> Iterator[str]:
        """Names of calls of activation functions, where a module may be the caller."""
        for name, module in self._names.modules.items():
            if id(module) in self.modules and not _calls_no_function(module):
                yield from (f"{name}/{function}" for function in ACTIVATION_FUNCTIONS)

    def _named(self, name: str) -> list[int]:
        return [key for key, module in self.modules.items() if name in self._names.of(module)]

    def _globbed(self, glob: str) -> list[int]:
        return [
            key
            for key, module in self.modules.items()
            if any(matches(glob, name) for name in self._names.of(module))
        ]

    def _by_predicate(self, entry: Callable[..., Any]) -> Choice:
        text = getattr(entry, "__name__", type(entry).__name__)
        both = _takes_two(entry)
        found = []
        for key, module in self.modules.items():
            name = self._names.of(module)[0]
            try:
                if entry(name, module) if both else entry(module):
                    found.append(key)
            except Exception as error:
                message = (
                    f"the predicate {text} given as layers= raised {type(error).__name__} on "
                    f"{name!r} ({type(module).__name__}): {error}. It is called with a module, or "
                    "with its name and itself, and returns whether to capture it."
                )
                raise LayerSelectionError(message) from error
        return Choice(text, found)

    def _found(self, choice: Choice) -> Choice:
        if choice.modules:
            return choice
        raise self._no_match(choice.text, choice.text)

    def _no_match(self, shown: str, text: str) -> LayerSelectionError:
        names = list(self._names.modules)
        kinds = sorted({type(module).__name__ for module in self._names.modules.values()})
        near = nearest(text, names, most=5)
        functions = nearest(_end(text).lower(), sorted(ACTIVATION_FUNCTIONS), most=3, cutoff=0.6)
        message = (
            f"layers={shown} matches no module of {self.label}. "
            f"Modules there are: {named(near or names, most=8)}; of the classes "
            f"{named(kinds, most=8)}."
        )
        message += self.as_modules(text)
        if functions and self.may_call_functions:
            message += (
                f" A function that the model calls is named {named(functions)}, or by its caller, "
                f"too: '*/{functions[0]}'."
            )
        return LayerSelectionError(message)


def _entries(layers: Any) -> list[Any]:
    one = isinstance(layers, (str, nn.Module, type, LayerKind)) or not isinstance(layers, Iterable)
    entries = [layers] if one else list(layers)
    if not entries:
        message = "layers=[] chooses nothing. Leave it out to capture every activation."
        raise LayerSelectionError(message)
    return entries


def _calls_no_function(module: nn.Module) -> bool:
    """Whether a module is one of PyTorch's own that calls no activation as a function."""
    own = type(module).__module__.startswith("torch.nn.modules.")
    return own and not isinstance(module, (nn.TransformerEncoderLayer, nn.TransformerDecoderLayer))


def _end(name: str) -> str:
    """The last part of a name or glob: the module's or function's own."""
    return re.split(r"[./]", _CALL_OR_PART.sub("", name))[-1].strip("*'\"_")


def _function_of(text: str) -> str:
    """The name of a function of PyTorch, as `function_name` gives it; empty if there is none."""
    name = _NAMESPACE.sub("", text)
    found = (getattr(namespace, name, None) for namespace in _NAMESPACES)
    function = next((one for one in found if callable(one) and resolve_name(one)), None)
    return function_name(function) if function is not None else ""


def _takes_two(predicate: Callable[..., Any]) -> bool:
    try:
        inspect.signature(predicate).bind("name", None)
    except TypeError:
        return False
    except ValueError:
        return True
    return True


def _inside_script_modules(model: nn.Module) -> set[int]:
    scripts = (m for m in model.modules() if isinstance(m, torch.jit.ScriptModule))
    return {id(inner) for script in scripts for inner in script.modules() if inner is not script}
