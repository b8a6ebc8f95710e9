"""Makes PyTorch's random operators draw from generators of this thread's own."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from typing import Any, Final

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from iua_widget.common.forks import free_in_child

generators_lock: Final = free_in_child(threading.Lock())
"""Held while the states of the program's generators are exchanged."""

_LIKE: Final = {"rand_like": "uniform_", "randn_like": "normal_", "randint_like": "random_"}
"""Operators that take no generator, and those that fill an empty tensor as they would."""


class OwnDraws(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Makes operators on this thread draw random numbers from a generator of their own.

    Attributes
    ----------
    drew : bool
        Whether there was one.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.drew = False
        self._process = os.getpid()
        self._generators: dict[torch.device, torch.Generator] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        drawing = torch.Tag.nondeterministic_seeded in func.tags
        # A loader's workers are forks of this thread, with seeds of their own.
        if not drawing or os.getpid() != self._process:
            return func(*args, **kwargs)
        given = (*args, *kwargs.values())
        if any(isinstance(value, torch.Generator) for value in given):
            return func(*args, **kwargs)
        name, taking = func.overloadpacket.__name__, _taking_a_generator(func)
        if taking is None and name not in _LIKE and _drops_nothing(func, args, kwargs):
            return func(*args, **kwargs)
        self.drew = True
        tensors = (value for value in args if isinstance(value, torch.Tensor))
        like = next(tensors, None)
        device = like.device if like is not None else torch.device("cpu")
        generator = self._generator(torch.device(kwargs.get("device") or device))
        if name in _LIKE and like is not None:
            made = torch.empty_like(like, **kwargs)
            filled: torch.Tensor = getattr(made, _LIKE[name])(*args[1:], generator=generator)
            return filled
        if taking is not None:
            return taking(*args, **kwargs, generator=generator)
        return self._exchanging(generator, lambda: func(*args, **kwargs))

    def states(self) -> dict[torch.Generator, torch.Tensor]:
        """The states of the generators made so far."""
        return {generator: generator.get_state() for generator in self._generators.values()}

    def _generator(self, device: torch.device) -> torch.Generator:
        if device not in self._generators:
            seed = seed_of(_owners(device).get_state().tolist())
            self._generators[device] = torch.Generator(device).manual_seed(seed)
        return self._generators[device]

    def _exchanging(self, generator: torch.Generator, draw: Callable[[], Any]) -> Any:
        """Exchange the states around an operator that takes no generator."""
        owners = _owners(generator.device)
        with generators_lock:
            before = owners.get_state()
            owners.set_state(generator.get_state())
            try:
                return draw()
            finally:
                generator.set_state(owners.get_state())
                owners.set_state(before)


def seed_of(state: Any) -> int:
    """A seed that is the same for the same state of a generator."""
    return int.from_bytes(hashlib.sha256(repr(state).encode()).digest()[:4], "little")


def _owners(device: torch.device) -> torch.Generator:
    """The program's generator of a device."""
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        return torch.cuda.default_generators[index]
    return torch.default_generator


def _taking_a_generator(func: Any) -> Any:
    """The overload of an operator that takes a generator; None if there is none."""
    packet, overload = func.overloadpacket, func._overloadname  # noqa: SLF001
    of_default = "generator" if overload == "default" else f"{overload}_generator"
    for name in (overload, of_default, overload.replace("out", "generator_out")):
        form = getattr(packet, name, None)
        if form is not None and any(a.name == "generator" for a in form._schema.arguments):  # noqa: SLF001
            return form
    return None


def _drops_nothing(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether an operator draws only for dropout, and dropout is off."""
    if func.overloadpacket.__name__ == "_fused_sdp_choice":  # only asks which is to be called
        return True
    for place, argument in enumerate(func._schema.arguments):  # noqa: SLF001
        default = kwargs.get(argument.name, argument.default_value)
        value = args[place] if place < len(args) else default
        if argument.name in {"p", "dropout", "dropout_p", "train"} and not value:
            return True
    return False
