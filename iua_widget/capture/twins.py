"""A module of a model and its shadow, and whether either has changed."""

from __future__ import annotations

import dis
import functools
import operator
import types
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any, Final

from torch import nn

_PARTS: Final = ("_parameters", "_buffers", "_modules", "_forward_hooks", "_forward_pre_hooks")


class Twin:
    """A module and its shadow, and the state of both when the shadow was made."""

    __slots__ = ("follows", "made", "mutable", "original", "seen", "shadow")

    def __init__(self, original: nn.Module, shadow: nn.Module, *, follows: bool = True) -> None:
        self.original = original
        self.shadow = shadow
        self.follows = follows
        self.seen: list[Any] = []
        self.made: list[Any] = []
        self.mutable: list[str] = []

    def is_of_torch(self) -> bool:
        """Whether PyTorch's own code is all that it runs, and changes no parameter."""
        of_shadow = vars(self.shadow)
        hooked = of_shadow["_forward_hooks"] or of_shadow["_forward_pre_hooks"]
        return (
            _is_of_torch(type(self.original))
            and not hooked
            and of_shadow.get("max_norm") is None  # as embeddings have, for their weights
            and "forward" not in of_shadow
            and all(map(_is_function_of_torch, filter(callable, of_shadow.values())))
        )

    def settles(self, name: str) -> bool:
        """Whether an attribute is one of PyTorch's own module, which does not change it."""
        kind: Any = type(self.original)
        return _is_of_torch(kind) and name in _attributes(kind)

    def is_as_seen(self) -> bool:
        """Whether nothing was added to either since, or taken from it."""
        now, made = state(self.original), state(self.shadow)
        alike = len(now) == len(self.seen) and len(made) == len(self.made)
        return alike and _same(now, self.seen) and _same(made, self.made)


class Unchanging:
    """Twins without attributes that could change and still be the same objects, seen to at once.

    Most often there is no change.

    Parameters
    ----------
    twins : list of Twin
    of_torch : bool
        Whether all modules are PyTorch's own, whose forward passes set no attributes: then the
        shadow need not be looked at. The user's code may set those of any module.
    """

    def __init__(self, twins: list[Twin], *, of_torch: bool) -> None:
        known = [(one.original, one.seen) for one in twins]
        known += [] if of_torch else [(one.shadow, one.made) for one in twins]
        self._modules = [module for module, _ in known]
        self._states = list(map(vars, self._modules))
        self._parts = list(chain.from_iterable(map(_parts, self._modules)))
        self._values = list(chain.from_iterable(state for _, state in known))

    def are_as_seen(self) -> bool:
        """What `Twin.is_as_seen` tells, of all."""
        return (
            _same(map(vars, self._modules), self._states)
            and sum(map(len, self._parts)) == len(self._values)
            and _same(_values(self._parts), self._values)
        )


def state(module: nn.Module) -> list[Any]:
    """A module's attributes, parameters, buffers, children and hooks, compared by identity."""
    return list(_values(_parts(module)))


def _parts(module: nn.Module) -> list[dict[str, Any]]:
    attributes = vars(module)
    return [attributes, *(attributes[name] for name in _PARTS)]


def _values(parts: Iterable[dict[str, Any]]) -> Iterator[Any]:
    return chain.from_iterable(map(dict.values, parts))


def _same(some: Iterable[Any], others: Iterable[Any]) -> bool:
    return all(map(operator.is_, some, others))


def _is_of_torch(kind: type[nn.Module]) -> bool:
    """Whether a class is one of PyTorch's modules, as PyTorch wrote it."""
    own = kind.__module__.startswith("torch.nn.modules.")
    return own and _place(kind.forward).startswith("torch.")


def _is_function_of_torch(function: Callable[..., Any]) -> bool:
    return _place(function).partition(".")[0] == "torch"


def _place(function: Callable[..., Any]) -> str:
    """The module where a function was written; what wraps another may give itself out for that."""
    scope = getattr(function, "__globals__", {})
    return str(scope.get("__name__") or getattr(function, "__module__", ""))


@functools.cache
def _attributes(kind: type[nn.Module]) -> frozenset[str]:
    """The attributes that the code of one of PyTorch's modules sets."""
    functions = (
        one
        for base in kind.__mro__
        if base not in (nn.Module, object)
        for one in vars(base).values()
        if isinstance(one, types.FunctionType)
    )
    steps = chain.from_iterable(map(dis.get_instructions, functions))
    return frozenset(step.argval for step in steps if step.opname == "STORE_ATTR")
