"""`TracedModel`: a model as PyTorch's tracer sees it, its operations by the names of layers."""

from __future__ import annotations

import copy
import inspect
import threading
import warnings
from collections import Counter
from collections.abc import Mapping
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
        By the targets of nodes.
    names : mapping of torch.fx.Node to str
        By which a run knows what modules and functions give.
    """

    name: str
    whole: bool
    path: str
    modules: Mapping[str, nn.Module]
    names: Mapping[fx.Node, str]

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

    Where it cannot be traced as a whole, the modules within it are, each by itself, the largest
    first.

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
        self._paths: dict[str, str] = {}
        self._calls: Counter[int] = Counter()
        self._owners: dict[int, set[int]] = {}
        for module in skeleton.modules():
            axes_of(module)  # known from here on: it may take a trace of its own
            for parameter in module.parameters(recurse=False):
                self._owners.setdefault(id(parameter), set()).add(id(module))
        self._trace(skeleton, "")

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

    def _trace(self, module: nn.Module, path: str) -> None:
        tracer = _Tracer(self.names, self.names.of(module)[0])
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tracer.trace(module, concrete_args=_defaults(module))
        except Exception as error:  # noqa: BLE001  (whatever the user's forward does of a proxy)
            if not path:
                self.why_not_whole = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
            for name, child in module.named_children():
                holds = isinstance(child, (nn.ModuleList, nn.ModuleDict))
                if holds or not tracer.is_leaf_module(child, name):
                    self._trace(child, f"{path}{name}.")
            return
        modules = dict(module.named_modules(remove_duplicate=False))
        part = Part(self.names.of(module)[0], not path, path, modules, tracer.names)
        for layer, node in tracer.nodes.items():
            self._places.setdefault(layer, Place(part, node))
        for node in tracer.graph.nodes:
            if (called := part.module(node)) is not None:
                self._calls[id(called)] += 1


class _Tracer(fx.Tracer):
    """Traces as far as layers and activations, and names what these give as a run does."""

    def __init__(self, names: ModuleNames, root: str) -> None:
        super().__init__()
        self._thread = threading.get_ident()
        self._module_names = names
        self._frames = [root]
        self._calls: Counter[str] = Counter()
        self.nodes: dict[str, fx.Node] = {}
        self.names: dict[fx.Node, str] = {}

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether a module is one operation."""
        leaf: bool = super().is_leaf_module(m, module_qualified_name)
        return leaf or is_activation(m) or is_depthwise(m) or axes_of(m) is not None

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


def name_of_function(node: fx.Node) -> str:
    """The name of the function or method that a node calls: ``relu`` of `F.relu` and `x.relu_`."""
    if node.op == "call_method":
        return function_name(getattr(torch.Tensor, str(node.target), None)) or str(node.target)
    return function_name(node.target)


def _defaults(module: nn.Module) -> dict[str, Any]:
    """The arguments of a module's forward that have a default, which are not traced."""
    parameters = inspect.signature(module.forward).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty}


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
