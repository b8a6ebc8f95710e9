"""Which responses of a model are wanted."""

from __future__ import annotations

import difflib
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
    is_recurrent,
    module_kind,
)
from iua_widget.capture.expert_modules import may_have_experts
from iua_widget.capture.names import ModuleNames
from iua_widget.capture.refusals import wrapped_in
from iua_widget.capture.sequences import time_major
from iua_widget.common.layer_names import base_of, matches
from iua_widget.common.words import named
from iua_widget.errors import LayerSelectionError
from iua_widget.sources.response_info import LayerKind

_NAMESPACES: Final = (nn.functional, torch, torch.Tensor, torch.special)
_NAMESPACE: Final = re.compile(r"^(torch\.)?((nn\.)?functional\.|F\.|Tensor\.|special\.)?")
_CALL_OR_PART: Final = re.compile(r"(:[\d*?]+)?((\[[^\[\]]*\])+\*?)?$")
"""What follows a module's name in a response's: the second call, a part of the output."""

_NUMBERED: Final = re.compile(r":[\d*?\[]")
_IN_PLACE: Final = re.compile(r"(?<=[^/_])_+(?=$|[:\[])")
"""What `function_name` leaves out of a function's name: ``scatter_`` is ``scatter``."""


class Choice:
    """One entry of the user's `layers`.

    Attributes
    ----------
    text : str
        The entry as the user wrote it, for messages.
    modules : set of int
        Ids of the modules whose calls it may concern.
    any_function : bool
        Whether it may concern functions that are no activations.
    seen : bool
        Whether a response has been captured for it.
    """

    any_function = False

    def __init__(self, text: str, modules: Iterable[int]) -> None:
        self.text = text
        self.modules = set(modules)
        self.seen = False

    def wants_call(self, module: nn.Module, response: str) -> bool:  # noqa: ARG002
        """Whether a response of a module's call is wanted."""
        return id(module) in self.modules

    def wants_function(self, name: str, response: str, *, inside: bool) -> bool:  # noqa: ARG002
        """Whether a response of a function is wanted; `inside` a module that is an activation."""
        return False


class _Everything(Choice):
    """Every module, and every activation function: what `response_infos` lists."""

    def wants_function(self, name: str, response: str, *, inside: bool) -> bool:  # noqa: ARG002
        return name in ACTIVATION_FUNCTIONS and not inside


class _Activations(_Everything):
    """The outputs of activations: the default."""


class _ByName(Choice):
    """A name or glob. Of a module of several names, the calls by a name that matches.

    A glob concerns the calls of activation functions, too, as `response_infos` lists them.
    """

    def __init__(self, text: str, modules: Iterable[int], names: ModuleNames) -> None:
        super().__init__(text, modules)
        self._names = names

    def wants_call(self, module: nn.Module, response: str) -> bool:
        if not super().wants_call(module, response):
            return False
        if len(self._names.of(module)) == 1:
            return True
        return matches(self.text, base_of(response))

    def wants_function(self, name: str, response: str, *, inside: bool) -> bool:
        wanted = not inside and name in ACTIVATION_FUNCTIONS
        return wanted and fnmatch.fnmatchcase(base_of(response), self.text)


class _ByFunction(Choice):
    """Every call of one function of PyTorch, whoever calls it."""

    any_function = True

    def __init__(self, text: str, name: str) -> None:
        super().__init__(text, ())
        self._name = name

    def wants_function(self, name: str, response: str, *, inside: bool) -> bool:  # noqa: ARG002
        return name == self._name


class _ByKind(Choice):
    def __init__(self, kind: LayerKind, modules: Iterable[int]) -> None:
        super().__init__(f"LayerKind.{kind.name}", modules)
        self._kind = kind

    def wants_function(self, name: str, response: str, *, inside: bool) -> bool:  # noqa: ARG002
        return not inside and function_kind(name) is self._kind


class _ByResponse(Choice):
    """A name or glob that goes beyond modules: a function, one call, or a part of an output."""

    def __init__(self, text: str, modules: Iterable[int]) -> None:
        super().__init__(text, modules)
        self.any_function = "/" in text
        self._pattern = _IN_PLACE.sub("", text)

    def wants_call(self, module: nn.Module, response: str) -> bool:
        return super().wants_call(module, response) and self._matches(response)

    def wants_function(self, name: str, response: str, *, inside: bool) -> bool:  # noqa: ARG002
        of = base_of(response)
        return self.any_function and (self._matches(response) or self._matches(of))

    def _matches(self, response: str) -> bool:
        without_part = re.sub(r"(\[[^\[\]]*\])+$", "", response)
        literal = self._pattern.replace("[", "[[]")
        return self._pattern in (response, without_part) or any(
            fnmatch.fnmatchcase(candidate, pattern)
            for candidate in (response, without_part)
            for pattern in (self._pattern, literal)
        )


class Selection:
    """Which responses of a model are wanted, from the user's `layers`.

    Parameters
    ----------
    model : torch.nn.Module
    names : ModuleNames
        Of the model.
    layers : str, type, LayerKind, torch.nn.Module, callable, or iterable of these, optional
        See `IUA.introspect`. By default the outputs of activations.
    everything : bool
        Take every module and every activation function instead.

    Raises
    ------
    LayerSelectionError
        If one of them matches no module, and cannot match a function; the message lists near
        misses.
    """

    def __init__(
        self,
        model: nn.Module,
        names: ModuleNames,
        layers: Any = None,
        *,
        everything: bool = False,
    ) -> None:
        self._names = names
        self._label = type(model).__name__
        self.default = layers is None
        scripted = _inside_script_modules(model)
        modules = {id(m): m for m in names.modules.values() if id(m) not in scripted}
        self.watchable = list(modules.values())
        self.activations = {key for key, module in modules.items() if is_activation(module)}
        self._hidden = [name for name, m in names.modules.items() if id(m) in scripted]
        if everything:
            self._choices: list[Choice] = [_Everything("everything", modules)]
        elif layers is None:
            self._choices = [_Activations("activations", self.activations)]
            if not self.activations and all(map(_calls_no_function, modules.values())):
                raise self._no_activation(at_once=True)
        else:
            self._choices = [self._choice(entry, modules) for entry in _entries(layers)]
        self._any_function = any(choice.any_function for choice in self._choices)
        self.of_experts = {id(module) for module in self.watchable if may_have_experts(module)}
        self.by_caller = (
            bool(names.experts or self.of_experts)
            or any(map(time_major, self.watchable))
            or any(len(names.of(module)) > 1 for module in self.watchable)
        )
        wanted = {key for choice in self._choices for key in choice.modules}
        self.modules = [module for key, module in modules.items() if key in wanted]

    def may_want(self, function: str) -> bool:
        """Whether a response of a function may be wanted, by the function's name alone."""
        return (
            self._any_function
            or function in ACTIVATION_FUNCTIONS
            or function_kind(function) is not LayerKind.UNKNOWN
        )

    def wants_call(self, module: nn.Module, response: str) -> bool:
        """Whether a response of a module's call is wanted."""
        found = [choice for choice in self._choices if choice.wants_call(module, response)]
        return _mark(found)

    def wants_function(self, name: str, response: str, *, inside: bool) -> bool:
        """Whether a response of a function is wanted.

        Parameters
        ----------
        name : str
            As `function_name` gives it.
        response : str
            ``"block/relu:1"``
        inside : bool
            Whether it is called within a module that is an activation itself.
        """
        found = [c for c in self._choices if c.wants_function(name, response, inside=inside)]
        return _mark(found)

    @property
    def names_calls(self) -> bool:
        """Whether single calls are chosen by their number."""
        return any(isinstance(c, _ByResponse) and _NUMBERED.search(c.text) for c in self._choices)

    @property
    def may_come_later(self) -> bool:
        """Whether a later batch may give what is wanted, though the first has not."""
        return self.default and bool(self.modules)

    def check_seen(self, called: Sequence[str], *, elsewhere: Sequence[str] = ()) -> None:
        """Check, when a batch has passed, that something of what was chosen has come.

        Parameters
        ----------
        called : sequence of str
            The responses the model gave, whether wanted or not.
        elsewhere : sequence of str
            Modules that were called on another thread.

        Raises
        ------
        LayerSelectionError
            If nothing has.
        """
        if any(choice.seen for choice in self._choices):
            return
        if elsewhere:
            message = (
                f"{self._label} calls {elsewhere[0]!r} on a thread of its own, where it cannot be "
                "told from other use of the model. Let it run its modules on the thread that "
                "calls it."
            )
            raise LayerSelectionError(message)
        if self.default:
            raise self._no_activation(at_once=False)
        text = ", ".join(choice.text for choice in self._choices[:5])
        message = (
            f"layers={text} matches nothing that {self._label} called in its first batch."
            f"{self._near(self._choices[0].text, called)}{self._as_modules(self._choices[0].text)}"
        )
        raise LayerSelectionError(message)

    def unseen(self, called: Sequence[str], calls: Iterable[str]) -> list[str]:
        """Sentences on chosen layers that were never called.

        Parameters
        ----------
        called : sequence of str
            The responses the model gave.
        calls : iterable of str
            The modules it called, by all their names.
        """
        calls = set(calls)
        never = [
            self._names.of(module)[0]
            for module in self.modules
            if not calls.intersection(self._names.of(module))
        ]
        notes = []
        if never:
            notes.append(
                f"{'Never' if self.default else 'Chosen, but never'} called, so without counts: "
                f"{named(never)}. (A direct call of .forward(), or a parent that uses the weights "
                "itself, as nn.MultiheadAttention does, goes unnoticed.)"
                f"{'' if self.default else self._near(never[0], called)}"
            )
        notes.extend(
            f"layers={choice.text} has matched no response.{self._near(choice.text, called)}"
            for choice in self._choices
            if not choice.seen and isinstance(choice, (_ByResponse, _ByKind, _ByFunction))
        )
        if self._hidden and self.default:
            notes.append(
                f"{len(self._hidden)} modules inside a ScriptModule cannot be watched, such as "
                f"{self._hidden[0]!r}."
            )
        return notes

    def _no_activation(self, *, at_once: bool) -> LayerSelectionError:
        what = "has no activation" if at_once else "called no activation"
        message = (
            f"{self._label} {what}, neither a module (nn.ReLU, nn.GELU, ...) nor a function "
            "(F.relu, ...), so there is nothing to capture by default. Name what you want with "
            f"`layers=`: a module, such as {_last(self._names)!r}, a class, a glob, or a function, "
            "such as '*/clamp'; layers='*' takes every module."
        )
        recurrent = [name for name, m in self._names.modules.items() if is_recurrent(m)]
        if recurrent:
            message += (
                f" Recurrent layers have their nonlinearity inside: layers={recurrent[:5]!r} takes "
                "what they give."
            )
        return LayerSelectionError(message)

    def _near(self, text: str, called: Sequence[str]) -> str:
        near = difflib.get_close_matches(text.strip("'\""), called, n=3, cutoff=0.4)
        ends = {_end(name): name for name in reversed(called)}
        near = near or [ends[end] for end in difflib.get_close_matches(_end(text), ends, n=3)]
        if near:
            return f" Near it: {named(near)}."
        return f" It gave {named(called)}." if called else ""

    def _as_modules(self, text: str) -> str:
        """What there is of modules that are the function looked for."""
        function = _end(text).lower().replace("_", "")
        kinds = {
            type(module).__name__: name
            for name, module in self._names.modules.items()
            if id(module) in self.activations and type(module).__name__.lower() == function
        }
        found = [f" A module is {name!r}: layers=nn.{kind}." for kind, name in kinds.items()]
        return "".join(found)

    def _choice(self, entry: object, modules: dict[int, nn.Module]) -> Choice:
        if isinstance(entry, str):
            return self._by_name(entry, modules)
        kind = LayerKind.of(entry)
        if kind is not None:
            return _ByKind(kind, (k for k, m in modules.items() if module_kind(m) is kind))
        if isinstance(entry, type):
            if not issubclass(entry, nn.Module):
                message = (
                    f"layers={entry.__name__}: a class of modules was expected, such as nn.ReLU."
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
            return self._found(self._by_predicate(entry, modules))
        message = (
            f"layers={entry!r} is {type(entry).__name__}. Give names, globs ('encoder.*.relu'), "
            "module classes (nn.ReLU), functions (F.relu), LayerKind members, a predicate, or a "
            "list of these."
        )
        raise LayerSelectionError(message)

    def _by_name(self, entry: str, modules: dict[int, nn.Module]) -> Choice:
        exact = [id(m) for m in modules.values() if entry in self._names.of(m)]
        base = _CALL_OR_PART.sub("", entry)
        of_base = [id(m) for m in modules.values() if base in self._names.of(m)]
        if exact or not (of_base and base != entry):
            found = exact or self._globbed(entry, modules)
            if found:
                return _ByName(entry, found, self._names)
        of_base = of_base or self._globbed(base, modules)
        if "/" in entry or (base != entry and of_base):
            return _ByResponse(entry, of_base)
        if entry not in self._hidden and (function := _function_of(entry)):
            return _ByFunction(repr(entry), function)
        if any(fnmatch.fnmatchcase(name, entry) for name in self._possible_functions(modules)):
            return _ByName(entry, (), self._names)
        if entry in self._hidden:
            message = (
                f"layers={entry!r} is inside a ScriptModule, which cannot be watched from outside. "
                "Pass the model as it was before torch.jit, or choose the ScriptModule itself."
            )
            raise LayerSelectionError(message)
        if entry == "input" or entry.startswith("input["):
            message = f"layers={entry!r} is an input of the model, and no layer computes it."
            raise LayerSelectionError(message)
        raise self._no_match(repr(entry), entry)

    def _possible_functions(self, modules: dict[int, nn.Module]) -> Iterator[str]:
        """Names of calls of activation functions, where a module may be the caller."""
        for name, module in self._names.modules.items():
            if id(module) in modules and not _calls_no_function(module):
                yield from (f"{name}/{function}" for function in ACTIVATION_FUNCTIONS)

    def _globbed(self, glob: str, modules: dict[int, nn.Module]) -> list[int]:
        return [
            key
            for key, module in modules.items()
            if any(fnmatch.fnmatchcase(name, glob) for name in self._names.of(module))
        ]

    def _by_predicate(self, entry: Callable[..., Any], modules: dict[int, nn.Module]) -> Choice:
        text = getattr(entry, "__name__", type(entry).__name__)
        both = _takes_two(entry)
        found = []
        for key, module in modules.items():
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
        near = difflib.get_close_matches(text, names, n=5, cutoff=0.4)
        functions = difflib.get_close_matches(
            _end(text).lower(), ACTIVATION_FUNCTIONS, n=3, cutoff=0.6
        )
        message = (
            f"layers={shown} matches no module of {self._label}. "
            f"Modules there are: {named(near or names, most=8)}; of the classes "
            f"{named(kinds, most=8)}."
        )
        message += self._as_modules(text)
        if functions and not all(map(_calls_no_function, self.watchable)):
            message += (
                f" A function that the model calls is named {named(functions)}, or by its caller, "
                f"too: '*/{functions[0]}'."
            )
        return LayerSelectionError(message)


def _mark(found: list[Choice]) -> bool:
    for choice in found:
        choice.seen = True
    return bool(found)


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
    """The last part of a name or glob, the module's or function's own."""
    return re.split(r"[./]", _CALL_OR_PART.sub("", name))[-1].strip("*'\"_")


def _function_of(text: str) -> str:
    """The name of a function of PyTorch, as `function_name` gives it; empty where it is none."""
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


def _last(names: ModuleNames) -> str:
    return list(names.modules)[-1]
