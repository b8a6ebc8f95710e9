"""The tensors in the output of a module, each with its path."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch.nn.utils.rnn import PackedSequence


def tensors(output: Any, path: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor in nested tuples, lists, mappings and dataclasses, with its path.

    Examples
    --------
    >>> one = torch.zeros(1)
    >>> [path for path, _ in tensors((one, {"state": [one, one]}))]
    ['[0]', '[1][state][0]', '[1][state][1]']
    """
    if isinstance(output, torch.Tensor):
        yield path, torch.cat(output.unbind()) if output.is_nested else output
    elif isinstance(output, PackedSequence):
        yield path, output.data
    elif isinstance(output, Mapping):
        for key, item in output.items():
            yield from tensors(item, f"{path}[{key}]")
    elif isinstance(output, (tuple, list)):
        names = getattr(output, "_fields", range(len(output)))
        for name, item in zip(names, output, strict=True):
            yield from tensors(item, f"{path}[{name}]")
    elif dataclasses.is_dataclass(output):
        for field in dataclasses.fields(output):
            yield from tensors(getattr(output, field.name, None), f"{path}[{field.name}]")


def responses(output: Any) -> list[tuple[str, torch.Tensor]]:
    """The tensors of an output that are responses.

    Those with a batch axis; and of these, where there are any, those of real or complex numbers:
    indices and masks beside them are no responses.
    """
    batched = [(path, tensor) for path, tensor in tensors(output) if tensor.ndim]
    numbers = [(path, tensor) for path, tensor in batched if _is_number(tensor)]
    return numbers or batched


def _is_number(tensor: torch.Tensor) -> bool:
    return tensor.is_floating_point() or tensor.is_complex() or tensor.is_quantized
