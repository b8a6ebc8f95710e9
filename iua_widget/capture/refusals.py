"""Refusing models that cannot be watched, and unwrapping those that can."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Final

import torch
from torch import nn

from iua_widget.common.words import named
from iua_widget.errors import ProducerError

_SHARDED: Final = {"FullyShardedDataParallel", "FSDPModule"}

_Named = list[tuple[str, torch.Tensor]]


def unwrapped(model: nn.Module, *, values: bool = True) -> nn.Module:
    """The module that the user wrote, without its wrapper.

    Wrappers are those of `torch.compile` and DistributedDataParallel, of which each rank counts for
    itself; nothing is synchronized.
    A model on the meta device is refused where `values` are needed.

    Raises
    ------
    ProducerError
        If the model is of a sort that cannot be watched; the message says what to do instead.
    """
    if not isinstance(model, nn.Module):
        made = " Give an instance of it." if isinstance(model, type) else ""
        message = f"the model must be a torch.nn.Module; got {model!r}.{made}"
        raise ProducerError(message)
    while True:
        if isinstance(model, nn.DataParallel):
            message = (
                "nn.DataParallel runs copies of the model on threads of their own, which cannot "
                "be watched together. Pass the model itself: model.module."
            )
            raise ProducerError(message)
        inner = wrapped_in(model)
        if inner is None:
            break
        model = inner
    _check_kind(model)
    tensors = [*model.named_parameters(), *model.named_buffers()]
    _check_shapes(model, tensors)
    if values:
        _check_values(model, tensors)
    return model


def wrapped_in(module: nn.Module) -> nn.Module | None:
    """The module inside a wrapper of `torch.compile` or DistributedDataParallel; None otherwise."""
    inner = getattr(module, "_orig_mod", None)
    if inner is None and isinstance(module, nn.parallel.DistributedDataParallel):
        inner = module.module
    return inner if isinstance(inner, nn.Module) else None


def is_sharded(model: nn.Module) -> bool:
    """Whether the model is sharded by FSDP, which gathers its parameters at each call."""
    kinds = chain.from_iterable(kind.__mro__ for kind in set(map(type, model.modules())))
    return any(kind.__name__ in _SHARDED for kind in kinds)


def _check_kind(model: nn.Module) -> None:
    label = type(model).__name__
    if isinstance(model, torch.jit.ScriptModule):
        message = (
            f"the model is a {label}: TorchScript runs its modules where nothing can watch them. "
            "Pass the model as it was before torch.jit.script or torch.jit.trace."
        )
        raise ProducerError(message)
    parallel = [name for name, m in model.named_modules() if isinstance(m, nn.DataParallel)]
    if parallel:
        message = (
            f"{named(parallel)} of {label} is nn.DataParallel, which runs copies on threads of "
            "their own that cannot be watched together. Put its .module in its place."
        )
        raise ProducerError(message)


def _check_shapes(model: nn.Module, tensors: _Named) -> None:
    label = type(model).__name__
    lazy = _names(tensors, nn.parameter.is_lazy)
    if lazy:
        message = (
            f"{label} has parameters that get their shape in the first forward pass "
            f"({named(lazy)}), and counting must not set it. Run the model on a batch first."
        )
        raise ProducerError(message)


def _check_values(model: nn.Module, tensors: _Named) -> None:
    label = type(model).__name__
    meta = _names(tensors, lambda tensor: tensor.is_meta)
    if meta:
        message = (
            f"{len(meta)} of {label}'s parameters and buffers are on the meta device, without "
            f"values: {named(meta)}. Load the weights first, e.g. model.to_empty(device='cpu') and "
            "load_state_dict. For names and shapes alone there is response_infos(model, batch)."
        )
        raise ProducerError(message)


def _names(tensors: _Named, concerns: Callable[[torch.Tensor], bool]) -> list[str]:
    return [name for name, tensor in tensors if concerns(tensor)]
