"""The inputs of activations as they were given, and what is known of the activations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import torch
from torch import nn

from iua_widget.capture.activations import ACTIVATION_FUNCTIONS, ACTIVATION_MODULES, FUSED
from iua_widget.capture.calls import Call
from iua_widget.capture.findings import RepeatBatch
from iua_widget.capture.parameters_before import Made, ParametersBefore, parameters_of
from iua_widget.capture.tensor_copies import version
from iua_widget.common.cell_context import plain_torch
from iua_widget.units.activation import Activation
from iua_widget.units.parameters import Parameters

SATURATED: Final = 0.01
"""How near to a bound that is only approached a response counts as at it: of sigmoid and tanh."""

_KNOWN: Final = {
    "relu": Activation(zero_up_to=0.0),
    "relu6": Activation(zero_up_to=0.0, upper=6.0),
    "hardswish": Activation(zero_up_to=-3.0),
    "hardsigmoid": Activation(zero_up_to=-3.0, lower=0.0, upper=1.0),
    "sigmoid": Activation(lower=SATURATED, upper=1 - SATURATED),
    "tanh": Activation(lower=SATURATED - 1, upper=1 - SATURATED),
}
_PLACES: Final = {"hardtanh": ("min_val", "max_val"), "threshold": ("threshold", "value")}
_INPUT: Final = ("input", "self")


class Before(NamedTuple):
    """The input of which a response was made, the activation, and what made the input."""

    tensor: torch.Tensor
    activation: Activation
    parameters: Parameters | None

    def items_first(self) -> Before:
        """The same, where positions came first."""
        last = self.parameters is not None and self.parameters.axis == self.tensor.ndim - 1
        kept = self.parameters if last else None
        return Before(self.tensor.transpose(0, 1), self.activation, kept)


@dataclass(slots=True)
class ActivationInput:
    """What an activation was given, until it is known what it made of that.

    Attributes
    ----------
    tensor : torch.Tensor
        Itself, or a copy where it is written over.
    writer : str
        What would write over it: a module, or a module and the function that it calls.
    given_version : int or None
        Of the tensor when it was given; None of a copy.
    activation : Activation
    made : Made or None
        What made the tensor.
    """

    tensor: torch.Tensor
    writer: str
    given_version: int | None
    activation: Activation
    made: Made | None


@dataclass(slots=True)
class ActivationInputs:
    """Keeps what activations are given for as long as they run.

    An input is copied where it is written over: where the activation says that it works in place,
    and where one was seen to do so, for which the batch is run again.

    Attributes
    ----------
    writers : set of str
        What was seen to write over its input.
    parameters : dict of str to Parameters or None
        By layer, what made its input, as the first pass in which functions are seen tells.
    """

    writers: set[str] = field(default_factory=set)
    parameters: dict[str, Parameters | None] = field(default_factory=dict)
    _before: ParametersBefore = field(default_factory=ParametersBefore)

    def begin_pass(self) -> None:
        """Begin another pass."""
        self._before.clear()

    def note(
        self,
        function: str,
        caller: str,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        result: Any,
    ) -> None:
        """Note what a function has made, by the name it has in PyTorch: see `of_function`."""
        self._before.note(function, caller, args, kwargs, result)

    def of_module(self, module: nn.Module, name: str, given: tuple[Any, Any]) -> Any:
        """The input of a call of a module; None where it is no activation, or is fused."""
        if not _has_own_input(module):
            return None
        tensor, *others = (*given[0], *given[1].values()) or (None,)
        if any(isinstance(one, torch.Tensor) for one in others):
            return None  # a sum that is activated, or a gate: neither is what is made
        copied = getattr(module, "inplace", False) is True
        return self._kept(tensor, name, of_module(module), copied=copied)

    def of_function(
        self, function: str, caller: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> ActivationInput | None:
        """The input of a call of a function, by the name it has in PyTorch; None likewise.

        Parameters
        ----------
        function : str
            With the ``_`` of one that works in place.
        caller : str
            The module that calls it.
        args, kwargs
            What it is given.
        """
        name = function.strip("_")
        if name not in ACTIVATION_FUNCTIONS or name in FUSED:
            return None
        tensor = args[0] if args else next((kwargs[one] for one in _INPUT if one in kwargs), None)
        copied = function.endswith("_") or kwargs.get("inplace") is True
        known = _of_name(name, _settings(name, args, kwargs))
        return self._kept(tensor, f"{caller}/{name}", known, copied=copied)

    def taken(self, kept: Any, made: torch.Tensor, call: Call, path: str) -> Before | None:
        """The input of which a call's response was made; bounds are as they are in its dtype.

        Raises
        ------
        RepeatBatch
            If it was written over meanwhile.
        """
        if not isinstance(kept, ActivationInput) or kept.tensor.shape != made.shape:
            return None
        if kept.given_version is not None and version(kept.tensor) != kept.given_version:
            self.writers.add(kept.writer)
            raise RepeatBatch
        name = call.name + path
        if kept.made is not None and name not in self.parameters:
            # Calls that are one layer may be of several modules.
            told = None if call.merged else parameters_of(kept.made, kept.tensor.dtype)
            self.parameters[name] = told
        parameters = self.parameters.get(name)
        return Before(kept.tensor, _rounded(kept.activation, made.dtype), parameters)

    def _kept(
        self, tensor: Any, writer: str, activation: Activation, *, copied: bool
    ) -> ActivationInput | None:
        if not isinstance(tensor, torch.Tensor) or tensor.is_nested or not tensor.ndim:
            return None
        with plain_torch():
            given, made = version(tensor), self._before.of(tensor)
            if copied or given is None or writer in self.writers:
                tensor, given = tensor.detach().clone(), None
        return ActivationInput(tensor, writer, given, activation, made)


def of_module(module: nn.Module) -> Activation:
    """What is known of a module that is an activation.

    Examples
    --------
    >>> of_module(nn.ReLU6())
    Activation(zero_up_to=0.0, lower=None, upper=6.0)
    """
    base = next((kind for kind in type(module).__mro__ if kind in ACTIVATION_MODULES), None)
    if base is not None and type(module).forward is not base.forward:
        return Activation()  # it may do more
    if isinstance(module, nn.ReLU6):
        return _of_name("relu6", ())
    if isinstance(module, nn.Hardtanh):
        return _of_name("hardtanh", (module.min_val, module.max_val))
    if isinstance(module, nn.Threshold):
        return _of_name("threshold", (module.threshold, module.value))
    if type(module).__name__ == "ReLUSquaredActivation":
        return Activation(zero_up_to=0.0)
    return Activation() if base is None else _of_name(base.__name__.lower(), ())


def _has_own_input(module: nn.Module) -> bool:
    """Whether what an activation module is given is what its function is of, and nothing fused."""
    kind = type(module)
    if kind.__module__.startswith("torch.ao."):
        return False
    if isinstance(module, ACTIVATION_MODULES) or kind.__module__ == "transformers.activations":
        return True
    leaf = next(module.children(), None) is None
    return leaf and next(module.parameters(), None) is None


def _of_name(name: str, settings: tuple[Any, ...]) -> Activation:
    """What is known of a function of PyTorch with these settings."""
    if name == "hardtanh":
        lower, upper = map(float, settings)
        # Zeros are told by the inactive share.
        return Activation(
            zero_up_to=0.0 if lower == 0 else None,
            lower=lower or None,
            upper=upper or None,
        )
    if name == "threshold":
        threshold, value = map(float, settings)
        return Activation(zero_up_to=threshold if value == 0 else None)
    return _KNOWN.get(name, Activation())


def _settings(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, ...]:
    """What a function is given beside its input, by place or by name."""
    names = _PLACES.get(name, ())
    defaults = {"min_val": -1.0, "max_val": 1.0} | dict(zip(names, args[1:], strict=False))
    return tuple(kwargs.get(one, defaults.get(one, 0.0)) for one in names)


def _rounded(activation: Activation, dtype: torch.dtype) -> Activation:
    """With the bounds as responses of a dtype have them: no response of bfloat16 is 0.1."""
    if not dtype.is_floating_point or not activation.bounded:
        return activation

    def rounded(bound: float | None) -> float | None:
        return None if bound is None else float(torch.tensor(bound, dtype=dtype, device="cpu"))

    return Activation(activation.zero_up_to, rounded(activation.lower), rounded(activation.upper))
