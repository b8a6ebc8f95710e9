"""`TracedModel`: a model as PyTorch's tracer sees it, its operations by the names of layers."""

from __future__ import annotations

import copy
import inspect
import threading
import warnings
from collections import Counter
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn

from iua_widget.capture.activations import function_name, is_activation
from iua_widget.capture.names import ModuleNames
from iua_widget.capture.refusals import is_sharded
from iua_widget.errors import RemedyError
from iua_widget.remedies.weight_axes import axes_of, is_depthwise


@dataclass(frozen=True, slots=True)
class Place:
    """An operation of a model.

    Attributes
    ----------
    part : Part
    node : torch.fx.Node
    """

    part: Part
    node: fx.Node


@dataclass(frozen=True, slots=True)
class Part:
    """The model, or where that cannot be traced a module within it: what was traced as one.

    Attributes
    ----------
    name : str
    whole : bool
        Whether it is the model.
    path : str
        To it from the model, with a dot behind it where there is one.
    modules : mapping of str to torch.nn.Module
        By the targets of nodes; itself by "".
    entered : set of torch.nn.Module
        Those whose forward was traced, too.
    names : mapping of torch.fx.Node to str
        By which a run knows what modules and functions give.
    nodes : mapping of str to torch.fx.Node
        By these names, and those of modules that are traced through.
    """

    name: str
    whole: bool
    path: str
    modules: Mapping[str, nn.Module]
    entered: AbstractSet[nn.Module]
    names: Mapping[fx.Node, str]
    nodes: Mapping[str, fx.Node]

    def module(self, node: fx.Node) -> nn.Module | None:
        """The module that a node calls; None where it calls a function."""
        return self.modules.get(str(node.target)) if node.op == "call_module" else None

    def path_of(self, node: fx.Node) -> str:
        """The path from the model to the module that a node calls."""
        return f"{self.path}{node.target}"

    def called(self, node: fx.Node) -> str:
        """What a node is called in messages."""
        return repr(self.names.get(node, node.name))


class TracedModel:
    """A model as `torch.fx` sees it, without a trace on it.

    Where it cannot be traced as a whole, modules that cannot be traced are one operation of it, and
    where that does not do, the modules within it are traced, each by itself.

    Parameters
    ----------
    model : torch.nn.Module

    Attributes
    ----------
    names : ModuleNames
    why_not_whole : str
        Why the model cannot be traced as a whole; empty where it can.

    Raises
    ------
    RemedyError
        If it cannot be copied, or is sharded.
    """

    def __init__(self, model: nn.Module) -> None:
        skeleton = _skeleton(model)
        self.names = ModuleNames(skeleton)
        self.why_not_whole = ""
        self._places: dict[str, Place] = {}
        self._opaque: set[nn.Module] = set()
        self._calls: Counter[int] = Counter()
        self._owners: dict[int, set[int]] = {}
        for module in skeleton.modules():
            axes_of(module)  # known from here on: it may take a trace of its own
            for parameter in module.parameters(recurse=False):
                self._owners.setdefault(id(parameter), set()).add(id(module))
        for part in self._parts(skeleton, ""):
            for layer, node in part.nodes.items():
                self._places.setdefault(layer, Place(part, node))
            for node in part.names:
                if (called := part.module(node)) is not None:
                    self._calls[id(called)] += 1

    def place(self, layer: str) -> Place | None:
        """Where a layer of a run is computed; None where the tracer has not seen it."""
        return self._places.get(layer)

    def why_shared(self, module: nn.Module, name: str) -> str:
        """Why a module's weights serve elsewhere as well; empty where they do not."""
        if (calls := self._calls[id(module)]) > 1:
            return f"{name} is shared: it is called {calls} times"
        if len(listed := self.names.of(module)) > 1:
            return f"{name} is shared: it is {' and '.join(map(repr, listed))}"
        parameters = module.parameters(recurse=False)
        others = {owner for one in parameters for owner in self._owners[id(one)]} - {id(module)}
        if others:
            tied = next(n for n, m in self.names.modules.items() if id(m) in others)
            return f"{name} shares its weight with {tied!r}"
        return ""

    def _parts(self, module: nn.Module, path: str) -> list[Part]:
        """What can be traced of a module: all of it, or all around modules that cannot be."""
        if (part := self._traced(module, path)) is not None:
            return [part]
        within = [
            part
            for name, child in module.named_children()
            if isinstance(child, (nn.ModuleList, nn.ModuleDict)) or not is_leaf(child)
            for part in self._parts(child, f"{path}{name}.")
        ]
        if (part := self._traced(module, path)) is not None:
            return [part, *(one for one in within if one.modules[""] not in part.entered)]
        self._opaque.add(module)
        return within

    def _traced(self, module: nn.Module, path: str) -> Part | None:
        """A module as one part; None where it cannot be traced."""
        tracer = _Tracer(self.names, self.names.of(module)[0], self._opaque)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tracer.trace(module)
        except Exception as error:  # noqa: BLE001  (whatever the user's forward does of a proxy)
            if not path:
                self.why_not_whole = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
            return None
        modules = dict(module.named_modules(remove_duplicate=False))
        name, entered = self.names.of(module)[0], tracer.entered
        return Part(name, not path, path, modules, entered, tracer.names, tracer.nodes)


class _Tracer(fx.Tracer):
    """Traces as far as layers and activations, and names what these give as a run does."""

    def __init__(self, names: ModuleNames, root: str, opaque: AbstractSet[nn.Module]) -> None:
        super().__init__()
        self._opaque = opaque
        self._thread = threading.get_ident()
        self._module_names = names
        self._frames = [root]
        self._calls: Counter[str] = Counter()
        self.entered: set[nn.Module] = set()
        self.nodes: dict[str, fx.Node] = {}
        self.names: dict[fx.Node, str] = {}

    def create_args_for_root(self, *_: Any, **__: Any) -> tuple[Any, list[Any]]:
        """Stand in for the arguments that a forward requires, or else the first; not for others."""
        forward: Any = self.root.forward
        parameters = list(inspect.signature(forward).parameters.values())
        by_place = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL)
        several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        required = [p for p in parameters if p.default is p.empty and p.kind not in several]
        given = required or parameters[:1]
        proxies = [self.create_proxy("placeholder", p.name, (), {}) for p in given]

        def called(*values: Any) -> Any:
            pairs = list(zip(given, values, strict=True))
            args = [value for p, value in pairs if p.kind in by_place]
            named = {p.name: value for p, value in pairs if p.kind not in by_place}
            return forward(*args, **named)

        return called, proxies

    def is_leaf_module(self, m: nn.Module, _name: str) -> bool:
        """Whether a module is one operation; what is not is entered."""
        leaf = m in self._opaque or is_leaf(m)
        if not leaf:
            self.entered.add(m)
        return leaf

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        """Note the name of what a module gives; on other threads modules are called as ever."""
        if threading.get_ident() != self._thread:
            return forward(*args, **kwargs)
        name = self._module_names.called_from(m, self._frames[-1])
        self._frames.append(name)
        try:
            output = super().call_module(m, forward, args, kwargs)
        finally:
            self._frames.pop()
        if isinstance(output, fx.Proxy):
            self._note(name, output.node)
        return output

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: Any) -> Any:
        """Stand in for parameters, but on other threads, which may train the model."""
        if threading.get_ident() != self._thread:
            return attr_val
        return super().getattr(attr, attr_val, parameter_proxy_cache)

    def create_node(self, kind: str, target: Any, *args: Any, **kwargs: Any) -> fx.Node:
        """Note the name of what a function gives."""
        node = super().create_node(kind, target, *args, **kwargs)
        if kind in ("call_function", "call_method"):
            self._note(f"{self._frames[-1]}/{name_of_function(node)}", node)
        return node

    def _note(self, base: str, node: fx.Node) -> None:
        number = self._calls[base]
        self._calls[base] += 1
        name = f"{base}:{number}" if number else base
        self.nodes[name] = node
        self.names.setdefault(node, name)


def is_leaf(module: nn.Module) -> bool:
    """Whether a module is one operation: of PyTorch's own, an activation, or a layer."""
    if fx.Tracer().is_leaf_module(module, "") or is_activation(module):
        return True
    return is_depthwise(module) or axes_of(module) is not None


def name_of_function(node: fx.Node) -> str:
    """The name of the function or method that a node calls: ``relu`` of `F.relu` and `x.relu_`."""
    if node.op == "call_method":
        return function_name(getattr(torch.Tensor, str(node.target), None)) or str(node.target)
    return function_name(node.target)


def _skeleton(model: nn.Module) -> nn.Module:
    """A copy in evaluation mode over the same parameters, without hooks."""
    if is_sharded(model):
        message = f"{type(model).__name__} is sharded by FSDP: take the model before it was."
        raise RemedyError(message)
    shared: dict[int, Any] = {id(parameter): parameter for parameter in model.parameters()}
    skeleton = copied(model, shared).eval()
    for module in skeleton.modules():
        for hooks in (module._forward_hooks, module._forward_pre_hooks):  # noqa: SLF001
            hooks.clear()
    return skeleton


def copied(model: nn.Module, shared: dict[int, Any] | None = None) -> nn.Module:
    """A deep copy, which shares what is named.

    Raises
    ------
    RemedyError
        If it cannot be copied.
    """
    try:
        return copy.deepcopy(model, shared)
    except Exception as error:
        message = (
            f"{type(model).__name__} cannot be copied: copy.deepcopy raised "
            f"{type(error).__name__}: {error}."
        )
        raise RemedyError(message) from error
