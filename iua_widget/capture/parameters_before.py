"""Telling which parameters made the input of an activation, by the tensors that functions give."""

from __future__ import annotations

import weakref
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import torch

from iua_widget.capture.tensor_copies import version
from iua_widget.units.parameters import Parameters

_PLACES: Final = {
    "linear": ("input", "weight", "bias"),
    "addmm": ("input", "mat1", "mat2"),
    **{
        f"{name}{n}d": ("input", "weight", "bias", *others)
        for n in (1, 2, 3)
        for name, others in (
            ("conv", ()),
            ("conv_transpose", ("stride", "padding", "output_padding", "groups")),
        )
    },
    "batch_norm": (
        "input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps",
    ),
    "view": ("self",),
    "reshape": ("self",),
}  # fmt: skip
_MATRIX: Final = 2


@dataclass(frozen=True, slots=True)
class _Norm:
    """A BatchNorm in evaluation mode."""

    module: str
    mean: torch.Tensor
    variance: torch.Tensor
    weight: torch.Tensor | None
    bias: torch.Tensor | None
    eps: float


@dataclass(frozen=True, slots=True)
class Made:
    """What made a tensor: a linear layer or convolution, and the BatchNorm after it.

    Attributes
    ----------
    tensor : weakref.ref
    version : int
        Of the tensor, as it was made: what is added to it in place is of nobody's.
    module : str
    largest : callable
        Gives the largest magnitude of each channel's weights.
    bias : torch.Tensor or None
    axis : int
        Of the channels.
    norm : _Norm or None
    """

    tensor: weakref.ref[torch.Tensor]
    version: int
    module: str
    largest: Callable[[], torch.Tensor]
    bias: torch.Tensor | None
    axis: int
    norm: _Norm | None = None


class ParametersBefore:
    """Follows the tensors of a pass from linear layers and convolutions through BatchNorm.

    A tensor is known by itself: what gives it on unchanged (Identity, Dropout in evaluation mode)
    does not matter, and what has changed is not known.
    """

    def __init__(self) -> None:
        self._made: dict[int, Made] = {}

    def clear(self) -> None:
        """Begin another pass."""
        self._made.clear()

    def note(
        self, name: str, caller: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any
    ) -> None:
        """Note the result of a function, as its name is in PyTorch, that a module calls."""
        places = _PLACES.get(name)
        if places is None or type(result) is not torch.Tensor or version(result) is None:
            return
        given = dict(zip(places, args, strict=False)) | dict(kwargs)
        if name in {"view", "reshape"}:
            made = self._reshaped(given.get("self"), result)
        elif name == "batch_norm":
            made = self._normalized(caller, given, result)
        else:
            made = _linear(name, caller, given, result)
        if made is not None:
            self._made[id(result)] = made

    def of(self, tensor: torch.Tensor) -> Made | None:
        """What made a tensor; None where that is not known."""
        made = self._made.get(id(tensor))
        if made is None or made.tensor() is not tensor or version(tensor) != made.version:
            return None
        return made

    def _normalized(
        self, caller: str, given: Mapping[str, Any], result: torch.Tensor
    ) -> Made | None:
        mean, variance = given.get("running_mean"), given.get("running_var")
        before = given.get("input")
        made = self.of(before) if isinstance(before, torch.Tensor) else None
        if made is None or made.norm is not None or made.axis != 1 or given.get("training", False):
            return None
        if mean is None or variance is None:
            return None
        norm = _Norm(
            caller, mean, variance, given.get("weight"), given.get("bias"), given.get("eps", 1e-5)
        )
        return replace(made, tensor=weakref.ref(result), version=result._version, norm=norm)  # noqa: SLF001

    def _reshaped(self, before: Any, result: torch.Tensor) -> Made | None:
        made = self.of(before) if isinstance(before, torch.Tensor) else None
        if made is None or made.norm is not None or made.axis != before.ndim - 1:
            return None
        if result.shape[-1:] != before.shape[-1:]:
            return None
        axis = result.ndim - 1
        return replace(made, tensor=weakref.ref(result), version=result._version, axis=axis)  # noqa: SLF001


def _linear(name: str, caller: str, given: Mapping[str, Any], result: torch.Tensor) -> Made | None:
    weight, bias, axis = given.get("weight"), given.get("bias"), 1
    if name == "addmm":  # of the Conv1D of transformers
        weight, bias = given.get("mat2"), given.get("input")
        if given.get("beta", 1) != 1 or given.get("alpha", 1) != 1:
            return None
    if name in {"linear", "addmm"}:
        axis = result.ndim - 1
    if not isinstance(weight, torch.Tensor) or not weight.is_floating_point():
        return None
    if (
        not weight.numel()
        or result.ndim < _MATRIX
        or (name == "addmm" and getattr(bias, "ndim", 0) != 1)
    ):
        return None
    groups, sizes = given.get("groups", 1), weight.detach()

    def largest() -> torch.Tensor:
        size: torch.Tensor = sizes.abs()
        if name == "linear":
            return size.amax(dim=1)
        if name == "addmm":
            return size.amax(dim=0)
        if name.startswith("conv_transpose"):
            by_group = size.reshape(groups, len(size) // groups, size.shape[1], -1)
            return by_group.amax(dim=(1, 3)).reshape(-1)
        return size.flatten(1).amax(dim=1)

    return Made(weakref.ref(result), result._version, caller, largest, bias, axis)  # noqa: SLF001


def parameters_of(made: Made, dtype: torch.dtype) -> Parameters | None:
    """The parameters that made the input of an activation, of this dtype."""
    weight, norm = _on_host(made.largest()), made.norm
    channels = len(weight)

    def numbers(tensor: torch.Tensor | None, otherwise: float) -> np.ndarray:
        return np.full(channels, otherwise) if tensor is None else _on_host(tensor)

    bias = numbers(made.bias, 0.0)
    gain, shift, mean = np.ones(channels), np.zeros(channels), np.zeros(channels)
    if norm is not None:
        variance = numbers(norm.variance, 1.0)
        mean, shift = numbers(norm.mean, 0.0), numbers(norm.bias, 0.0)
        gain = numbers(norm.weight, 1.0) / np.sqrt(variance + norm.eps)
    arrays = {"weight_max": weight, "bias": bias, "gain": gain, "shift": shift}
    arrays["at_zero"] = gain * (bias - mean) + shift
    if any(array.shape != (channels,) for array in arrays.values()):
        return None
    odd = ~np.isfinite(list(arrays.values())).all(axis=0)
    arrays = {name: np.where(odd, 0.0, array) for name, array in arrays.items()}
    arrays["weight_max"][odd] = np.inf
    whole = b"".join(array.tobytes() for array in arrays.values())
    return Parameters(
        made.module,
        None if norm is None else norm.module,
        made.axis,
        torch.finfo(dtype).eps,
        zlib.crc32(whole),
        arrays,
    )


def _on_host(tensor: torch.Tensor) -> np.ndarray:
    array: np.ndarray = tensor.detach().double().cpu().numpy()
    return array
