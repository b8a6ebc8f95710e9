"""Batches of a loader, made the inputs of a model."""

from __future__ import annotations

import copy
import dataclasses
import inspect
from collections.abc import Mapping, MutableMapping, Sized
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from iua_widget.capture.outputs import tensors
from iua_widget.errors import ProducerError
from iua_widget.units.masked_arrays import unmasked
from iua_widget.units.sparse_arrays import check_dense, is_scipy_sparse


@dataclass(frozen=True, slots=True)
class Inputs:
    """One batch, ready for the model.

    Attributes
    ----------
    batch : Any
        As the loader gave it, but for arrays made tensors, on the model's device.
    probes : int
    """

    batch: Any
    probes: int


def count_probes(batch: Any, axis: int = 0) -> int | None:
    """The length of an axis of the first tensor of a batch."""
    if isinstance(batch, PackedSequence):
        return int(batch.batch_sizes[0])
    if isinstance(batch, torch.Tensor) and batch.is_nested:
        return len(batch.unbind())
    if isinstance(batch, (torch.Tensor, np.ndarray)) or is_scipy_sparse(batch):
        return int(batch.shape[axis]) if batch.ndim > axis else None
    if isinstance(batch, (tuple, list, Mapping)):
        items = batch.values() if isinstance(batch, Mapping) else batch[:1]
        counts = (count_probes(item, axis) for item in items)
        return next((count for count in counts if count is not None), None)
    sizes = (int(tensor.shape[0]) for _, tensor in tensors(batch) if tensor.ndim)
    return next(sizes, None)


def form_of(batch: Any) -> str:
    """What batches have in common whose passes should go alike: lengths, shapes and dtypes.

    Examples
    --------
    >>> form_of({"x": np.zeros((2, 3)), "name": ["a", "b"]})
    '{x: (2, 3) float64, name: [str, str]}'
    """
    if isinstance(batch, torch.Tensor) and batch.is_nested:
        batch = batch.unbind()
    if isinstance(batch, (torch.Tensor, np.ndarray)) or is_scipy_sparse(batch):
        return f"{tuple(batch.shape)} {batch.dtype}"
    if isinstance(batch, PackedSequence):
        return f"{form_of(batch.data)} {batch.batch_sizes.tolist()}"
    if dataclasses.is_dataclass(batch):
        names = [field.name for field in dataclasses.fields(batch)]
        batch = {name: getattr(batch, name, None) for name in names}
    if isinstance(batch, Mapping):
        return f"{{{', '.join(f'{key}: {form_of(value)}' for key, value in batch.items())}}}"
    if isinstance(batch, (tuple, list)):
        return f"[{', '.join(map(form_of, batch))}]"
    sized = isinstance(batch, Sized) and not isinstance(batch, (str, bytes))
    return f"{type(batch).__name__} of {len(batch)}" if sized else type(batch).__name__


def placement(model: nn.Module) -> tuple[torch.device | None, torch.dtype | None]:
    """Where a model's inputs go: the device of its first parameter or buffer, and its precision."""
    device: torch.device | None = None
    for group in (model.parameters(), model.buffers()):
        for tensor in group:
            device = device or tensor.device
            if tensor.is_floating_point():
                return device, tensor.dtype
    return device, None


def read_batch(batch: Any, number: int, model: nn.Module, axis: int = 0) -> Inputs:
    """Make tensors of a batch's arrays, and move it to the model.

    Parameters
    ----------
    batch : Any
    number : int
        For the error.
    model : torch.nn.Module
        Floating arrays get the dtype of its parameters; tensors keep theirs.
    axis : int
        Which axis counts the probes.

    Raises
    ------
    ProducerError
        If it cannot be a batch.
    """
    if isinstance(batch, (str, bytes, int, float, complex, bool)) or batch is None:
        message = (
            f"batch {number} of the loader must be a tensor, a tuple or list with the input first, "
            f"or a mapping of keyword arguments; got {type(batch).__name__}."
        )
        raise ProducerError(message, batch=number)
    moved = _moved(batch, *placement(model), number)
    probes = count_probes(moved, axis)
    if probes is None:
        probes = len(batch) if isinstance(batch, Sized) and not _is_plain(batch) else 1
    return Inputs(moved, probes)


def first_probes(inputs: Inputs, count: int, axis: int = 0) -> Inputs:
    """A batch cut to its first probes, or all of it if it cannot be cut."""
    try:
        return Inputs(_cut_rows(inputs.batch, inputs.probes, count, axis), count)
    except _NotCut:
        return inputs


def text_length(batch: Any) -> int | None:
    """Positions of each item of a batch of text, whose first tensor is a matrix of integers.

    Examples
    --------
    >>> text_length({"input_ids": torch.zeros(2, 7, dtype=torch.long)})
    7
    """
    first = next((tensor for _, tensor in tensors(batch)), None)
    if first is None or first.ndim != 2 or first.is_floating_point():  # noqa: PLR2004
        return None
    return int(first.shape[1])


def arguments(model: nn.Module, batch: Any, number: int) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """How to call a model with a batch.

    A mapping goes in by keyword, as far as the model's forward takes its keys. Of a tuple or list
    the first entry goes in, or as many as forward requires; labels and the like stay out. Anything
    else goes in as it is.

    Raises
    ------
    ProducerError
        If the batch lacks what the model requires, or the input is not a tensor.
    """
    _check_no_matrices(batch, number)
    if isinstance(batch, (tuple, list)) and batch and not isinstance(batch, PackedSequence):
        required = sum(
            parameter.default is parameter.empty
            for parameter in _parameters(model)
            if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        )
        if 1 < required <= len(batch):
            return tuple(batch[:required]), {}
        batch = batch[0]
        if isinstance(batch, (tuple, list)):
            return tuple(batch), {}
    if isinstance(batch, Mapping):
        return (), _keywords(model, batch, number)
    if isinstance(batch, (str, bytes, int, float, bool)) or batch is None:
        message = (
            f"batch {number} of the loader must have the input first: be a tensor, a tuple or list "
            f"that begins with one, or a mapping of keyword arguments; got {type(batch).__name__}. "
            "For anything else pass forward=lambda model, batch: ..."
        )
        raise ProducerError(message, batch=number)
    return (batch,), {}


def as_input(model: nn.Module, columns: Mapping[str, Any]) -> Any:
    """Columns of a table as a batch: the only one by itself, unless forward has its name.

    Examples
    --------
    >>> as_input(nn.ReLU(), {"data": 1}), as_input(nn.ReLU(), {"input": 1})
    (1, {'input': 1})
    """
    (name, *others) = columns
    by_name = others or name in {parameter.name for parameter in _parameters(model)}
    return columns if by_name else columns[name]


def _check_no_matrices(batch: Any, number: int) -> None:
    """Refuse SciPy's sparse matrices, which no module takes; a model may take PyTorch's."""
    entries = batch.values() if isinstance(batch, Mapping) else batch
    for value in entries if _is_plain(batch) else (batch,):
        if is_scipy_sparse(value):
            check_dense(value, f"batch {number} of the loader", batch=number)


def _keywords(model: nn.Module, batch: Mapping[Any, Any], number: int) -> dict[str, Any]:
    parameters = _parameters(model)
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters) or not parameters:
        return {str(key): value for key, value in batch.items()}
    taken = {key: value for key, value in batch.items() if key in {p.name for p in parameters}}
    missing = [
        parameter.name
        for parameter in parameters
        if parameter.default is parameter.empty
        and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        and parameter.name not in taken
    ]
    if missing or not taken:
        names = ", ".join(map(repr, missing)) or "none of them"
        key = next(iter(batch), "x")
        message = (
            f"batch {number} is a mapping with the keys {list(batch)}, and "
            f"{type(model).__name__}.forward takes {names}. Say how to call it: "
            f"forward=lambda model, batch: model(batch[{key!r}])."
        )
        raise ProducerError(message, batch=number)
    return taken


def _parameters(model: nn.Module) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(model.forward).parameters.values())
    except (TypeError, ValueError):
        return []


def _moved(value: Any, device: torch.device | None, dtype: torch.dtype | None, number: int) -> Any:
    """A copy on the model's device, since a model may begin with an in-place operation."""
    if isinstance(value, np.ma.MaskedArray):
        value = unmasked(value, f"batch {number} of the loader", batch=number)
    if isinstance(value, np.ndarray) and value.dtype.kind in "fciub":
        # On the host whatever the default device: it is the model's own that counts, below.
        native = np.ascontiguousarray(value, value.dtype.newbyteorder("="))
        value = torch.tensor(native, device="cpu" if device is not None else None)
        value = value.to(dtype) if value.is_floating_point() and dtype is not None else value
    if isinstance(value, torch.Tensor):
        moved = value if device is None else value.to(device)
        return moved.clone() if moved is value else moved
    if isinstance(value, PackedSequence):
        packed = value if device is None else value.to(device)  # type: ignore[arg-type]
        return packed._replace(data=packed.data.clone())
    return _moved_object(value, device, dtype, number)


def _moved_object(
    value: Any, device: torch.device | None, dtype: torch.dtype | None, number: int
) -> Any:
    if isinstance(value, (tuple, list)):
        return _like(value, [_moved(item, device, dtype, number) for item in value])
    if isinstance(value, MutableMapping):
        # A copy, not the loader's own; and of the same type, as a tokenizer's encoding must be.
        copied = copy.copy(value)
        for key, item in value.items():
            copied[key] = _moved(item, device, dtype, number)
        return copied
    if isinstance(value, Mapping):
        return {key: _moved(item, device, dtype, number) for key, item in value.items()}
    move = getattr(value, "to", None)
    return move(device) if callable(move) and device is not None else value


class _NotCut(Exception):  # noqa: N818  (never seen by the user)
    """A batch is an object of the user's own, which only the user can cut."""


def _cut_rows(value: Any, probes: int, count: int, axis: int) -> Any:
    """The first rows of everything that has one row a probe."""
    if isinstance(value, PackedSequence):
        padded, lengths = pad_packed_sequence(value, batch_first=True)
        return pack_padded_sequence(
            padded[:count], lengths[:count], batch_first=True, enforce_sorted=False
        )
    if isinstance(value, torch.Tensor):
        if value.is_nested or value.layout is not torch.strided:
            raise _NotCut
        rows = value.ndim > axis and value.shape[axis] == probes
        return value.narrow(axis, 0, count) if rows else value
    if isinstance(value, Mapping):
        return {key: _cut_rows(item, probes, count, axis) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        if len(value) == probes and all(isinstance(item, (str, int, float)) for item in value):
            return value[:count]
        return _like(value, [_cut_rows(item, probes, count, axis) for item in value])
    if isinstance(value, (str, bytes, int, float, complex, type(None))):
        return value
    raise _NotCut


def _like(value: Any, items: list[Any]) -> Any:
    """A tuple, named tuple or list of the same type, of other items."""
    return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)


def _is_plain(batch: Any) -> bool:
    return isinstance(batch, (Mapping, tuple, list))
