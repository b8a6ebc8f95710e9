"""Copying the attributes of modules: containers, objects and callables."""

from __future__ import annotations

import copy
import dis
import enum
import functools
import random
import types
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import torch
from torch import nn

_PLAIN: Final = (
    int, float, complex, str, bytes, bool, range, type, types.ModuleType, enum.Enum, torch.dtype,
    torch.device, torch.Size, torch.layout,
)  # fmt: skip
_DATA: Final = (torch.utils.data.Dataset, torch.utils.data.DataLoader, torch.optim.Optimizer)
_DEPTH: Final = 5
_HELPERS_DEPTH: Final = 4
_ENTRIES: Final = 10_000
"""Entries of a container that is copied; larger ones are data or vocabulary."""
_ARRAY_BYTES: Final = 2**26


class _CannotCopyError(Exception):
    """Of a lock, a file or a thread there can be no copy."""


class Copier:
    """Copies values, with stand-ins for a model's modules and tensors in them.

    Parameters
    ----------
    replaced : callable
        Given a module or a tensor, gives what stands in for it, or itself.

    Attributes
    ----------
    mutable : bool
        Set when something is copied that can change and still be the same object.

    Examples
    --------
    >>> copier = Copier(lambda module_or_tensor: module_or_tensor)
    >>> state = {"seen": [1]}
    >>> copied = copier.copied(state)
    >>> copied["seen"].append(2)
    >>> state, copier.mutable
    ({'seen': [1]}, True)
    """

    def __init__(self, replaced: Callable[[Any], Any]) -> None:
        self.mutable = False
        self._replaced = replaced
        self._copies: dict[int, tuple[Any, Any]] = {}
        self._functions: dict[int, tuple[Any, Any]] = {}
        self._entries = 0

    def forget(self) -> None:
        """Forget what was copied, so that it is copied anew."""
        self._copies.clear()

    def copied(self, value: Any) -> Any:
        """A copy, several levels deep, that shares data and what cannot be copied."""
        self._entries = 0
        try:
            return self._copied(value, 0, in_object=False)
        except Exception:  # noqa: BLE001  (another thread may be changing it, or it is the user's)
            return value

    def rebound(self, value: Any, depth: int = 0) -> Any:
        """A callable bound to the stand-ins where it is bound to the model's own modules.

        Methods, partials, closures, defaults, and globals that functions refer to. What refers to
        none of the model's modules is returned as it is.
        """
        if isinstance(value, (nn.Module, nn.Parameter)):
            return self._replaced(value)
        if isinstance(value, types.FunctionType):
            return self._rebound_function(value, depth)
        if isinstance(value, types.MethodType):
            function, owner = (
                self.rebound(value.__func__, depth),
                self._rebound_object(value.__self__),
            )
            same = function is value.__func__ and owner is value.__self__
            return value if same else types.MethodType(function, owner)
        if isinstance(value, functools.partial):
            named = {name: self.rebound(v, depth) for name, v in value.keywords.items()}
            positional = [self.rebound(v, depth) for v in value.args]
            return functools.partial(self.rebound(value.func, depth), *positional, **named)
        if type(value) in (list, tuple) and len(value) <= _ENTRIES:
            items = [self.rebound(v, depth) for v in value]
            same = all(map(_is, items, value))
            return value if same else type(value)(items)
        return self._rebound_object(value) if callable(value) else value

    def _rebound_object(self, value: Any) -> Any:
        """A shallow copy of an object that refers to the model's modules, with the stand-ins."""
        if isinstance(value, nn.Module):
            return self._replaced(value)
        if isinstance(value, (type, types.ModuleType)) or not hasattr(value, "__dict__"):
            return value
        attributes = dict(vars(value))
        modules = {n: self._replaced(v) for n, v in attributes.items() if isinstance(v, nn.Module)}
        if all(attributes[name] is module for name, module in modules.items()):
            return value
        try:
            shell = copy.copy(value)
            vars(shell).update(modules)
        except Exception:  # noqa: BLE001  (an object of the user's, with ways of its own)
            return value
        return shell

    def _rebound_function(self, function: types.FunctionType, depth: int) -> Any:
        known = self._functions.get(id(function))
        if known is not None:
            return known[1]
        compiled = getattr(function, "_torchdynamo_orig_callable", None)
        if callable(compiled):
            return self.rebound(compiled, depth)
        if (function.__module__ or "").partition(".")[0] == "torch" or depth > _HELPERS_DEPTH:
            return function
        self._functions[id(function)] = (function, function)  # it may refer to itself
        cells = tuple(self._rebound_cell(cell, depth) for cell in function.__closure__ or ())
        defaults = self.rebound(function.__defaults__, depth)
        names = [] if _writes_globals(function) else function.__code__.co_names
        names = [name for name in names if name in function.__globals__]
        before = {name: function.__globals__[name] for name in names}
        after = {name: self.rebound(value, depth + 1) for name, value in before.items()}
        changed = {name: value for name, value in after.items() if value is not before[name]}
        same = all(map(_is, cells, function.__closure__ or ())) and not changed
        if same and defaults is function.__defaults__:
            return function
        scope = _Scope(function.__globals__, changed) if changed else function.__globals__
        made = types.FunctionType(function.__code__, scope, function.__name__, defaults, cells)
        made.__kwdefaults__ = function.__kwdefaults__
        made.__dict__.update(function.__dict__)
        self._functions[id(function)] = (function, made)
        return made

    def _rebound_cell(self, cell: types.CellType, depth: int) -> types.CellType:
        try:
            value = cell.cell_contents
        except ValueError:  # not yet filled
            return cell
        made = self.rebound(value, depth)
        return cell if made is value else types.CellType(made)

    def _copied(self, value: Any, depth: int, *, in_object: bool) -> Any:
        if value is None or isinstance(value, _PLAIN):
            return value
        if isinstance(value, (nn.Module, torch.Tensor)):
            self.mutable |= isinstance(value, torch.Tensor) and not isinstance(value, nn.Parameter)
            return self._replaced(value)
        known = self._copies.get(id(value))
        return self._copied_anew(value, depth, in_object=in_object) if known is None else known[1]

    def _copied_anew(self, value: Any, depth: int, *, in_object: bool) -> Any:
        self._entries += 1
        if depth > _DEPTH or self._entries > _ENTRIES or isinstance(value, _DATA):
            return value
        if isinstance(value, (dict, list, tuple, set, frozenset, deque)):
            return self._container(value, depth, in_object=in_object)
        if isinstance(value, weakref.ref):
            target = value()
            kept = target if target is None else self.rebound(target)
            return value if kept is target else weakref.ref(kept)
        if callable(value):
            return self.rebound(value)
        self.mutable = True
        return self._noted(value, self._object(value, depth, in_object=in_object))

    def _container(self, value: Any, depth: int, *, in_object: bool) -> Any:
        if len(value) > _ENTRIES:
            return value

        def item(one: Any) -> Any:
            try:
                return self._copied(one, depth + 1, in_object=in_object)
            except _CannotCopyError:
                if in_object:
                    raise
                return one

        if isinstance(value, (tuple, frozenset)):
            items = [item(one) for one in value]
            made = type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
            return value if all(map(_is, items, value)) else made
        self.mutable = True
        shell = self._noted(value, copy.copy(value))
        entries = list(value.items() if isinstance(value, dict) else value)
        shell.clear()
        if isinstance(value, dict):
            for key, one in entries:
                shell[self._replaced(key) if isinstance(key, nn.Module) else key] = item(one)
        else:
            (shell.update if isinstance(value, set) else shell.extend)(map(item, entries))
        return shell

    def _object(self, value: Any, depth: int, *, in_object: bool) -> Any:
        if isinstance(value, np.ndarray):
            return value.copy() if value.nbytes <= _ARRAY_BYTES else value
        if isinstance(value, torch.Generator):
            return torch.Generator(value.device).set_state(value.get_state())
        whole = isinstance(value, (random.Random, np.random.Generator, np.random.RandomState))
        try:
            if whole or not hasattr(value, "__dict__"):
                return copy.deepcopy(value)
            shell = self._noted(value, copy.copy(value))
            if shell is not value:
                for name, one in list(vars(shell).items()):
                    vars(shell)[name] = self._copied(one, depth + 1, in_object=True)
        except Exception as error:
            if in_object or not hasattr(value, "__dict__"):
                raise _CannotCopyError from error
            return self._noted(value, value)
        return shell

    def _noted(self, value: Any, made: Any) -> Any:
        self._copies[id(value)] = (value, made)
        return made


class _Scope(dict[str, Any]):
    """The globals of a function, with a few of them replaced."""

    def __init__(self, real: dict[str, Any], replaced: dict[str, Any]) -> None:
        builtins = {"__builtins__": real["__builtins__"]} if "__builtins__" in real else {}
        super().__init__(replaced | builtins)
        self._real = real

    def __missing__(self, name: str) -> Any:
        return self._real[name]


def _writes_globals(function: types.FunctionType) -> bool:
    return any(step.opname == "STORE_GLOBAL" for step in dis.get_instructions(function))


def _is(one: object, other: object) -> bool:
    return one is other
