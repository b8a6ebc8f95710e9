"""What an object holds, as it was: containers, tensors, arrays, generators, levels deep."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, Final, Protocol

import numpy as np
import torch
from torch import nn

_DEPTH: Final = 5
_ENTRIES: Final = 10_000
"""Entries of a container that are looked at; larger ones are data or vocabulary."""
_INTEGERS: Final = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
_PLAIN: Final = (int, float, complex, str, bytes, bool, type(None), type, ModuleType, torch.dtype,
                 torch.device)  # fmt: skip


class Held(Protocol):
    """Something that may have changed, and what it was."""

    def restore(self) -> bool:
        """Put it back, and tell whether it had changed."""
        ...


def hold(value: Any, seen: set[int], depth: int = 0) -> Iterator[Held]:
    """Take down what a value is and what it holds.

    Parameters
    ----------
    value : Any
    seen : set of int
        Ids of what is taken down already, or elsewhere; added to.
    depth : int
        How deep in another object it was found.

    Examples
    --------
    >>> state = {"steps": [torch.zeros(2)], "seen": {1}}
    >>> held = list(hold(state, set()))
    >>> state["steps"][0] += 1; state["seen"].add(2)
    >>> [one.restore() for one in held]
    [False, False, True, True]
    >>> state
    {'steps': [tensor([0., 0.])], 'seen': {1}}
    """
    if isinstance(value, _PLAIN) or id(value) in seen or depth > _DEPTH:
        return
    seen.add(id(value))
    held = _held(value)
    if held is not None:
        yield held
    for item in _inside(value):
        yield from hold(item, seen, depth + 1)


def _held(value: Any) -> Held | None:
    if isinstance(value, torch.Tensor):
        return None if value.is_meta else HeldTensor(value)
    if isinstance(value, np.ndarray):
        return _HeldArray(value)
    if isinstance(value, (torch.Generator, np.random.Generator, random.Random)):
        return _HeldGenerator(value)
    entries = _entries_of(value)
    return None if entries is None or isinstance(value, tuple) else _HeldContainer(entries)


def _inside(value: Any) -> list[Any]:
    entries = _entries_of(value)
    if entries is None:
        return []
    return list(entries.values() if isinstance(entries, dict) else entries)


def _entries_of(value: Any) -> Any:
    """A container, or the attributes of an object; None for what has neither, or is huge."""
    if isinstance(value, (dict, list, tuple, deque, set)):
        return value if len(value) <= _ENTRIES else None
    leaf = isinstance(value, (torch.Tensor, np.ndarray, random.Random))
    if leaf or not hasattr(value, "__dict__"):
        return None
    return vars(value) if isinstance(value, nn.Module) or not callable(value) else None


class HeldTensor:
    """A tensor and a copy of its values.

    Parameters
    ----------
    tensor : torch.Tensor
    """

    def __init__(self, tensor: torch.Tensor) -> None:
        self._tensor = tensor
        self._version = version(tensor)
        with _writable(tensor):
            self._copy = tensor.detach().clone()

    def restore(self) -> bool:
        """Put the values back, and, for a graph that waits for its backward pass, the version."""
        tensor, copied = self._tensor, self._copy
        if same_bits(tensor, copied):
            return False
        with _writable(tensor):
            if tensor.shape == copied.shape and tensor.dtype == copied.dtype:
                tensor.detach().copy_(copied)
            else:
                tensor.data = copied.clone()
        if self._version is not None:
            torch._C._autograd._unsafe_set_version_counter((tensor,), (self._version,))  # noqa: SLF001
        return True


class _HeldArray:
    def __init__(self, array: np.ndarray) -> None:
        self._array = array
        self._copy = array.copy()

    def restore(self) -> bool:
        if self._array.shape == self._copy.shape and self._array.tobytes() == self._copy.tobytes():
            return False
        if self._array.flags.writeable and self._array.shape == self._copy.shape:
            self._array[...] = self._copy
        return True


class _HeldGenerator:
    def __init__(self, generator: torch.Generator | np.random.Generator | random.Random) -> None:
        self._read, self._write = _accessors(generator)
        self._state = self._read()

    def restore(self) -> bool:
        state = self._read()
        if repr(state) == repr(self._state) and _equal_tensors(state, self._state):
            return False
        self._write(self._state)
        return True


class _HeldContainer:
    def __init__(self, value: Any) -> None:
        self._value = value
        self._copy = value.copy()

    def restore(self) -> bool:
        value, copied = self._value, self._copy
        if _same_entries(value, copied):
            return False
        value.clear()
        if isinstance(value, (dict, set)):
            value.update(copied)
        else:
            value.extend(copied)
        return True


def version(tensor: torch.Tensor) -> int | None:
    """A tensor's version counter; None for one made in inference mode, which has none."""
    return None if tensor.is_inference() else tensor._version  # noqa: SLF001


def same_bits(tensor: torch.Tensor, copied: torch.Tensor) -> bool:
    """Whether two tensors are equal to the last bit: NaN equals itself, and -0 is not 0."""
    if tensor.shape != copied.shape or tensor.dtype != copied.dtype:
        return False
    try:
        return torch.equal(_as_integers(tensor.detach()), _as_integers(copied))
    except (RuntimeError, NotImplementedError):  # a sparse or exotic layout
        return False


def _as_integers(tensor: torch.Tensor) -> torch.Tensor:
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor.resolve_conj())
    if tensor.is_floating_point() and tensor.layout is torch.strided:
        return tensor.view(_INTEGERS[tensor.element_size()])
    return tensor


def _writable(tensor: torch.Tensor) -> Any:
    return torch.inference_mode() if tensor.is_inference() else torch.no_grad()


def _same_entries(value: Any, copied: Any) -> bool:
    if len(value) != len(copied):
        return False
    if isinstance(value, dict):
        pairs = zip(value.items(), copied.items(), strict=True)
        return all(k is l and v is w for (k, v), (l, w) in pairs)  # noqa: E741
    if isinstance(value, set):
        return bool(value == copied)
    return all(one is other for one, other in zip(value, copied, strict=True))


def _accessors(generator: Any) -> tuple[Callable[[], Any], Callable[[Any], None]]:
    if isinstance(generator, torch.Generator):
        return generator.get_state, lambda state: _ignored(generator.set_state(state))
    if isinstance(generator, random.Random):
        return generator.getstate, generator.setstate
    bits = generator.bit_generator

    def write(state: Any) -> None:
        bits.state = state

    return lambda: bits.state, write


def _ignored(_result: object) -> None:
    """For a setter that returns its generator."""


def _equal_tensors(one: Any, other: Any) -> bool:
    return not isinstance(one, torch.Tensor) or torch.equal(one, other)
