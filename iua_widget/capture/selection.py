"""The responses that a user wants of a model, and whether they have come."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from torch import nn

from iua_widget.capture.activations import ACTIVATION_FUNCTIONS, function_kind, is_recurrent
from iua_widget.capture.expert_modules import may_have_experts
from iua_widget.capture.layers_option import Choice, LayersOption
from iua_widget.capture.names import ModuleNames
from iua_widget.capture.sequences import time_major
from iua_widget.common.words import named
from iua_widget.errors import LayerSelectionError
from iua_widget.sources.response_info import LayerKind


class Selection:
    """Which responses of a model are wanted, from the user's `layers`.

    Parameters
    ----------
    names : ModuleNames
        Of the model.
    layers : str, type, LayerKind, torch.nn.Module, callable, or iterable of these, optional
        See `IUA.introspect`. By default the outputs of activations.
    everything : bool
        Take every module and every activation function instead.

    Attributes
    ----------
    default : bool
        Whether the user has chosen nothing.
    modules : list of torch.nn.Module
        Those whose calls may be wanted.
    watchable : list of torch.nn.Module
        All that can be watched.
    activations, of_experts : set of int
        Ids of modules that are activations, and of those that may have experts.
    by_caller : bool
        Whether a call is named, or read, by the calls that it is made from.
    shared : bool
        Whether a module that is wanted is a child of several, and called by the name of one.

    Raises
    ------
    LayerSelectionError
        If one of them matches no module, and cannot match a function; the message lists near
        misses.
    """

    def __init__(self, names: ModuleNames, layers: Any = None, *, everything: bool = False) -> None:
        self._names = names
        self._option = option = LayersOption(names)
        self.default = layers is None
        self.watchable = list(option.modules.values())
        self.activations = option.activations
        if everything:
            self._choices = [option.everything()]
        elif layers is None:
            self._choices = [option.default()]
            if not self.activations and not option.may_call_functions:
                raise self._no_activation(at_once=True)
        else:
            self._choices = option.choices(layers)
        self._any_function = any(choice.any_function for choice in self._choices)
        self.of_experts = {id(module) for module in self.watchable if may_have_experts(module)}
        self.by_caller = (
            bool(names.experts or self.of_experts)
            or any(map(time_major, self.watchable))
            or any(len(names.of(module)) > 1 for module in self.watchable)
        )
        wanted = {key for choice in self._choices for key in choice.modules}
        self.modules = [module for key, module in option.modules.items() if key in wanted]
        parents = ({name.rpartition(".")[0] for name in names.of(one)} for one in self.modules)
        self.shared = any(len(one) > 1 for one in parents)

    def may_want(self, function: str) -> bool:
        """Whether a response of a function may be wanted, by the function's name alone."""
        return (
            self._any_function
            or function in ACTIVATION_FUNCTIONS
            or function_kind(function) is not LayerKind.UNKNOWN
        )

    def wants_call(self, module: nn.Module, response: str) -> bool:
        """Whether a response of a module's call is wanted."""
        return _mark([one for one in self._choices if one.wants_call(module, response)])

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
        return any(choice.names_call for choice in self._choices)

    @property
    def may_come_later(self) -> bool:
        """Whether a later batch may give what is wanted, though the first has not."""
        return self.default and bool(self.modules)

    def check_seen(self, called: Sequence[str], *, other_threads: Sequence[str] = ()) -> None:
        """Check, after a batch, that a chosen response has come.

        Parameters
        ----------
        called : sequence of str
            The responses the model gave, whether wanted or not.
        other_threads : sequence of str
            Modules that were called on another thread.

        Raises
        ------
        LayerSelectionError
            If nothing has.
        """
        if any(choice.seen for choice in self._choices):
            return
        label = self._option.label
        if other_threads:
            message = (
                f"{label} calls {other_threads[0]!r} on a thread of its own, where it cannot be "
                "told from other use of the model. Let it run its modules on the thread that "
                "calls it."
            )
            raise LayerSelectionError(message)
        if self.default:
            raise self._no_activation(at_once=False)
        text = ", ".join(choice.text for choice in self._choices[:5])
        first = self._choices[0].text
        message = (
            f"layers={text} matches nothing that {label} called in its first batch."
            f"{self._option.near(first, called)}{self._option.as_modules(first)}"
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
                f"{'' if self.default else self._option.near(never[0], called)}"
            )
        notes.extend(
            f"layers={one.text} has matched no response.{self._option.near(one.text, called)}"
            for one in self._choices
            if one.needs_run and not one.seen
        )
        hidden = self._option.hidden
        if hidden and self.default:
            notes.append(
                f"{len(hidden)} modules inside a ScriptModule cannot be watched, such as "
                f"{hidden[0]!r}."
            )
        return notes

    def _no_activation(self, *, at_once: bool) -> LayerSelectionError:
        what = "has no activation" if at_once else "called no activation"
        modules = self._names.modules
        message = (
            f"{self._option.label} {what}, neither a module (nn.ReLU, nn.GELU, ...) nor a function "
            "(F.relu, ...), so there is nothing to capture by default. Name what you want with "
            f"`layers=`: a module, such as {list(modules)[-1]!r}, a class, a glob, or a function, "
            "such as '*/clamp'; layers='*' takes every module."
        )
        recurrent = [name for name, module in modules.items() if is_recurrent(module)]
        if recurrent:
            message += (
                f" Recurrent layers have their nonlinearity inside: layers={recurrent[:5]!r} takes "
                "what they give."
            )
        return LayerSelectionError(message)


def _mark(found: list[Choice]) -> bool:
    for choice in found:
        choice.seen = True
    return bool(found)
