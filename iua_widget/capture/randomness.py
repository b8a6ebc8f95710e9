"""Randomness of a run's own, so that the program's is as if the run had not been."""

from __future__ import annotations

import contextlib
import hashlib
import random
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import numpy as np
import torch


class _State(NamedTuple):
    """The states of the generators that code draws from unless told otherwise."""

    python: Any
    numpy: Any
    cpu: torch.Tensor
    devices: tuple[torch.Tensor, ...]


_guard: Final = threading.Lock()
_inside = 0
_owners_state: _State | None = None


class OwnRandomness:
    """Lets a run draw random numbers without moving the program's generators.

    On the main thread a run draws what the program would have drawn next, so it can be repeated by
    hand. Beside the main thread, where the program may be drawing meanwhile, the run begins from a
    state derived from that, so that no number is drawn twice, and leaves off around the model when
    two batches have drawn nothing there. If the program seeds itself meanwhile, its seed stands; if
    it has drawn or seeded between two batches, the run begins again from there.

    Examples
    --------
    >>> before = torch.get_rng_state()
    >>> with OwnRandomness().window():
    ...     _ = torch.rand(3)
    >>> torch.equal(before, torch.get_rng_state())
    True
    """

    def __init__(self) -> None:
        self._alone = threading.current_thread() is threading.main_thread()
        self._before: _State | None = None
        self._state: _State | None = None
        self._quiet = 0

    @staticmethod
    @contextlib.contextmanager
    def undone() -> Iterator[None]:
        """Within a window, leave the generators as if nothing had been drawn here."""
        if not _inside:  # nothing is drawn at all
            yield
            return
        before = _read()
        try:
            yield
        finally:
            _write(before)

    @contextlib.contextmanager
    def window(self, *, always: bool = False) -> Iterator[None]:
        """Draw from the run's own state, and put back the program's afterwards.

        Parameters
        ----------
        always : bool
            Also where the windows before have drawn nothing.
        """
        if not self._alone and self._quiet > 1 and not always:
            yield
            return
        global _inside, _owners_state  # noqa: PLW0603  (the generators are the process's, too)
        with _guard:
            outermost = not _inside
            _inside += 1
            if outermost:
                _owners_state = _read()
                moved = self._before is None or not _same(self._before, _owners_state)
                if self._state is None or moved:
                    self._state = _owners_state if self._alone else _derived(_owners_state)
                self._before = _owners_state
                _write(self._state)
        entered = self._state
        try:
            yield
        finally:
            with _guard:
                _inside -= 1
                now = _read()
                if entered is not None and outermost:
                    if not always:
                        self._quiet = self._quiet + 1 if _same(entered, now) else 0
                    self._state = now
                if not _inside and _owners_state is not None:
                    seeded = entered is not None and _seed(now) != _seed(entered)
                    if self._alone or not outermost or not seeded:
                        _write(_owners_state)
                    _owners_state = None


def _read() -> _State:
    devices: tuple[torch.Tensor, ...] = ()
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        devices = tuple(torch.cuda.get_rng_state_all())
    return _State(
        random.getstate(),
        np.random.get_state(legacy=False),  # noqa: NPY002  (the generator others draw from)
        torch.get_rng_state(),
        devices,
    )


def _write(state: _State) -> None:
    random.setstate(state.python)
    np.random.set_state(state.numpy)  # noqa: NPY002
    torch.set_rng_state(state.cpu)
    if state.devices:
        torch.cuda.set_rng_state_all(list(state.devices))


def _same(one: _State, other: _State) -> bool:
    return (
        one.python == other.python
        and _numpy_key(one) == _numpy_key(other)
        and torch.equal(one.cpu, other.cpu)
        and len(one.devices) == len(other.devices)
        and all(map(torch.equal, one.devices, other.devices))
    )


def _numpy_key(state: _State) -> tuple[Any, ...]:
    inner = state.numpy["state"]
    return (
        inner["key"].tobytes() if "key" in inner else repr(inner),
        inner.get("pos"),
        state.numpy.get("has_gauss"),
        state.numpy.get("gauss"),
    )


def _seed(state: _State) -> int:
    generator = torch.Generator()
    generator.set_state(state.cpu)
    return generator.initial_seed()


def _derived(state: _State) -> _State:
    """Another state, the same for the same state."""

    def seed(of: Any) -> int:
        return int.from_bytes(hashlib.sha256(repr(of).encode()).digest()[:4], "little")

    drawer: Callable[[int], torch.Generator] = torch.Generator().manual_seed
    python = random.Random(seed(state.python)).getstate()  # noqa: S311
    numpy = np.random.RandomState(seed(_numpy_key(state))).get_state(legacy=False)
    cpu = drawer(seed(state.cpu.tolist())).get_state()
    return _State(python, numpy, cpu, state.devices)
