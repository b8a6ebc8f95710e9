"""Random numbers for a run that leave the program's generators as they were."""

from __future__ import annotations

import contextlib
import os
import random
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, Final, NamedTuple

import numpy as np
import torch

from iua_widget.capture.own_draws import OwnDraws, generators_lock, seed_of


class _State(NamedTuple):
    """The states of the default random generators.

    Beside the main thread PyTorch's are left out.
    """

    python: Any
    numpy: Any
    cpu: torch.Tensor | None
    devices: tuple[torch.Tensor, ...]


_ENOUGH: Final = 2
"""Windows in which a run is watched, to see what it draws from."""

_here: Final = threading.local()
_inside = 0
_owners_state: _State | None = None
_watchers = 0
_seen_drawing = False
_watchers_state: _State | None = None
"""The program's state when the first of the present watchers began; None if it was seeded since."""


class OwnRandomness:
    """Lets a run draw random numbers without advancing the program's generators.

    On the main thread a run draws what the program would have drawn next, so it can be repeated by
    hand; on another thread it draws from generators of its own: see ``docs/finding-functions.md``.

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
        self._watched = {True: 0, False: 0}
        self._exchanges = False
        self._just_entered = False
        self._draws: OwnDraws | None = None

    @staticmethod
    def rewind() -> Callable[[], None]:
        """Within a window, what puts the generators back to where they are now."""
        randomness: OwnRandomness | None = getattr(_here, "innermost", None)
        if randomness is None:  # nothing is drawn at all
            return lambda: None
        before = randomness._now()  # noqa: SLF001
        draws = randomness._draws  # noqa: SLF001
        states = draws.states() if draws is not None else {}

        def put_back() -> None:
            if before is not None:
                _write(before)
            for generator, state in states.items():
                generator.set_state(state)

        return put_back

    @staticmethod
    @contextlib.contextmanager
    def undone() -> Iterator[None]:
        """Within a window, put the generators back after the block."""
        put_back = OwnRandomness.rewind()
        try:
            yield
        finally:
            put_back()

    def _now(self) -> _State | None:
        """The states within a window; None where they are not exchanged."""
        if self._just_entered:  # when they were read
            self._just_entered = False
            return self._state
        return _read(with_torch=self._alone) if self._alone or self._exchanges else None

    @contextlib.contextmanager
    def window(self, *, always: bool = False) -> Iterator[None]:
        """Draw from the run's own state, and put the program's back afterwards.

        Parameters
        ----------
        always : bool
            Also where the windows before have drawn nothing.
        """
        outer = getattr(_here, "innermost", None)
        with ExitStack() as exits:
            exits.callback(setattr, _here, "innermost", outer)
            _here.innermost = self
            exits.enter_context(self._exchanged() if self._alone else self._beside(always=always))
            yield

    @contextlib.contextmanager
    def batch(self) -> Iterator[None]:
        """On the main thread, have the windows within exchange states once for all of them."""
        with self.window() if self._alone else contextlib.nullcontext():
            yield

    @contextlib.contextmanager
    def _beside(self, *, always: bool) -> Iterator[None]:
        if self._quiet >= _ENOUGH and not always:
            yield
            return
        if self._draws is None:
            self._draws = OwnDraws()
        with ExitStack() as exits:
            exits.enter_context(self._draws)
            if self._exchanges:
                exits.enter_context(self._exchanged())
            elif self._watched[always] < _ENOUGH:
                self._watched[always] += 1
                exits.enter_context(self._watching())
            self._draws.drew = False
            yield
            quiet = not self._draws.drew and not self._exchanges
            if not always:
                self._quiet = self._quiet + 1 if quiet else 0

    @contextlib.contextmanager
    def _watching(self) -> Iterator[None]:
        """Watch whether this thread draws from Python's or NumPy's generator, and undo it.

        Others may do the same meanwhile, or have exchanged the states: the last undoes it for all.
        """
        global _watchers, _watchers_state, _seen_drawing  # noqa: PLW0603
        generators = {id(random._inst), id(np.random.mtrand._rand)}  # noqa: SLF001
        seed, profile = torch.initial_seed(), sys.getprofile()
        drew, process = False, os.getpid()
        with generators_lock:
            if not _watchers:
                _watchers_state, _seen_drawing = _owners_state or _read(with_torch=False), False
            _watchers += 1

        def see(_frame: Any, event: str, called: Any) -> None:
            nonlocal drew
            if os.getpid() != process:  # a loader's worker
                sys.setprofile(None)
            elif event == "c_call" and id(getattr(called, "__self__", None)) in generators:
                drew = True

        sys.setprofile(see)
        try:
            yield
        finally:
            sys.setprofile(profile)
            self._exchanges |= drew
            with generators_lock:
                _watchers -= 1
                _seen_drawing |= drew
                if torch.initial_seed() != seed:
                    _watchers_state = None
                if not _watchers and _seen_drawing and _watchers_state is not None:
                    _undo_for_owner(_watchers_state)

    @contextlib.contextmanager
    def _exchanged(self) -> Iterator[None]:
        global _inside, _owners_state  # noqa: PLW0603  (the generators are the process's, too)
        with generators_lock:
            outermost = not _inside
            _inside += 1
            if outermost:
                _owners_state = _read(with_torch=self._alone)
                moved = self._before is None or not _same(self._before, _owners_state)
                drew = self._state is not self._before
                if self._state is None or moved or not drew:
                    self._state = _owners_state if self._alone else _derived(_owners_state)
                self._before = _owners_state
                if self._state is not _owners_state:
                    _write(self._state)
        entered, seed = self._state, torch.initial_seed()
        self._just_entered = outermost
        try:
            yield
        finally:
            self._just_entered = False
            with generators_lock:
                _inside -= 1
                as_owners = False
                if entered is not None and outermost:
                    now = _read(with_torch=self._alone)
                    self._state = entered if _same(now, entered) else now
                    as_owners = self._state is _owners_state
                if not _inside and _owners_state is not None:
                    seeded = entered is not None and torch.initial_seed() != seed
                    if not as_owners and (self._alone or not outermost or not seeded):
                        _write(_owners_state)
                    _owners_state = None


def _read(*, with_torch: bool) -> _State:
    devices: tuple[torch.Tensor, ...] = ()
    if with_torch and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        devices = tuple(torch.cuda.get_rng_state_all())
    return _State(
        random.getstate(),
        np.random.get_state(legacy=False),  # noqa: NPY002  (the generator others draw from)
        torch.get_rng_state() if with_torch else None,
        devices,
    )


def _write(state: _State) -> None:
    random.setstate(state.python)
    np.random.set_state(state.numpy)  # noqa: NPY002
    if state.cpu is not None:
        torch.set_rng_state(state.cpu)
    if state.devices:
        torch.cuda.set_rng_state_all(list(state.devices))


def _undo_for_owner(state: _State) -> None:
    """Give Python's and NumPy's states back to the program, now or when all windows close."""
    global _owners_state  # noqa: PLW0603
    if _owners_state is None:
        _write(state._replace(cpu=None, devices=()))
    else:
        _owners_state = _owners_state._replace(python=state.python, numpy=state.numpy)


def _same(one: _State, other: _State) -> bool:
    return (
        one.python == other.python
        and _numpy_key(one) == _numpy_key(other)
        and (one.cpu is other.cpu or _equal(one.cpu, other.cpu))
        and len(one.devices) == len(other.devices)
        and all(map(torch.equal, one.devices, other.devices))
    )


def _equal(one: torch.Tensor | None, other: torch.Tensor | None) -> bool:
    return one is not None and other is not None and torch.equal(one, other)


def _numpy_key(state: _State) -> tuple[Any, ...]:
    inner = state.numpy["state"]
    return (
        inner["key"].tobytes() if "key" in inner else repr(inner),
        inner.get("pos"),
        state.numpy.get("has_gauss"),
        state.numpy.get("gauss"),
    )


def _derived(state: _State) -> _State:
    """States derived from Python's and NumPy's: other ones, but always the same."""
    python = random.Random(seed_of(state.python)).getstate()  # noqa: S311
    numpy = np.random.RandomState(seed_of(_numpy_key(state))).get_state(legacy=False)
    return _State(python, numpy, None, ())
