"""Loaders: whatever holds a model's inputs, as batches, and how many there are."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence, Sized
from typing import Any, Final

import numpy as np
import torch

from iua_widget.capture.inputs import count_probes
from iua_widget.errors import ProducerError
from iua_widget.units.sparse_arrays import check_dense

_PLAIN: Final = {torch.Tensor, np.ndarray, int, float, bool, str, bytes, type(None)}
_INPUTS_AND_LABELS: Final = 2


def as_loader(loader: Any, batch_size: int) -> Iterable[Any]:
    """Make an iterable of batches of whatever the model's inputs come in.

    Parameters
    ----------
    loader : iterable, torch.utils.data.Dataset, torch.Tensor, numpy.ndarray or mapping
        A tensor, array, dataset, or one mapping of keyword arguments is cut into batches.
    batch_size : int

    Raises
    ------
    ProducerError
        If it gives no batches.
    """
    if loader is None:
        message = (
            "a model needs data: pass it as IUAWidget(model, loader) or "
            "IUA.introspect(model, loader), with a DataLoader, a tensor, or any iterable of "
            "batches."
        )
        raise ProducerError(message)
    check_dense(loader, "the loader")
    if isinstance(loader, (torch.Tensor, np.ndarray)):
        return [_rows(loader, start, batch_size) for start in range(0, len(loader), batch_size)]
    if isinstance(loader, Mapping):
        return _cut(loader, batch_size)
    if isinstance(loader, torch.utils.data.Dataset):
        return torch.utils.data.DataLoader(loader, batch_size=batch_size)
    if isinstance(loader, (str, bytes)) or not isinstance(loader, Iterable):
        message = (
            "the loader must be a DataLoader, a tensor, a dataset, or any iterable of batches; got "
            f"{type(loader).__name__}."
        )
        raise ProducerError(message)
    if isinstance(loader, (tuple, list)):
        _check_no_labels(loader)
    return loader


def known_total(loader: Iterable[Any]) -> int | None:
    """The number of probes of a loader, where it is known without loading anything."""
    if isinstance(loader, (tuple, list)):
        counts = [count_probes(batch) for batch in loader]
        return sum(count for count in counts if count) if all(counts) else None
    if isinstance(loader, torch.utils.data.DataLoader) and loader.batch_size is not None:
        with contextlib.suppress(TypeError):
            if not loader.drop_last:
                return len(loader.sampler)  # type: ignore[arg-type]
            return len(loader) * loader.batch_size
    return None


def draws_nothing(loader: Iterable[Any]) -> bool:
    """Whether nothing can draw random numbers as its batches are read: they are there, and plain.

    Examples
    --------
    >>> draws_nothing([(torch.ones(2, 3), [0, 1])]), draws_nothing(range(3))
    (True, False)
    """
    return type(loader) in {list, tuple} and _is_plain(loader)


def batches_of(loader: Iterable[Any]) -> int | None:
    """The number of batches of a loader, where it has a length."""
    try:
        return len(loader) if isinstance(loader, Sized) else None
    except Exception:  # noqa: BLE001  (a DataLoader of a stream, or a length of the user's own)
        return None


def _cut(inputs: Mapping[str, Any], batch_size: int) -> list[Any]:
    """Cut keyword arguments of the model, such as a tokenizer's encoding, into batches."""
    probes = count_probes(inputs)
    if not probes:
        message = (
            "a mapping as loader must have the model's keyword arguments, which are cut into "
            f"batches along their first axis; got a {type(inputs).__name__} without a tensor in it."
        )
        raise ProducerError(message)

    for name, value in inputs.items():
        check_dense(value, f"{name!r} of the loader")

    def rows(value: Any, start: int) -> Any:
        whole = isinstance(value, (torch.Tensor, np.ndarray)) and value.ndim > 0
        return _rows(value, start, batch_size) if whole and len(value) == probes else value

    return [
        {name: rows(value, start) for name, value in inputs.items()}
        for start in range(0, probes, batch_size)
    ]


def _check_no_labels(loader: Sequence[Any]) -> None:
    """Refuse inputs and their labels, (X, y): as a list of batches they are two."""
    tensors = [one for one in loader if isinstance(one, (torch.Tensor, np.ndarray)) and one.ndim]
    if len(tensors) != len(loader) or len(loader) != _INPUTS_AND_LABELS:
        return
    inputs, labels = tensors
    if inputs.ndim > 1 == labels.ndim and len(inputs) == len(labels):
        message = (
            f"the loader is a {type(loader).__name__} of an array of shape {tuple(inputs.shape)} "
            f"and one of shape {tuple(labels.shape)}, which are two batches, and the second looks "
            "like the labels of the first. Give the inputs alone, or both as a DataLoader, or as "
            "one batch: [(inputs, labels)]."
        )
        raise ProducerError(message)


def _is_plain(value: Any) -> bool:
    kind = type(value)
    if kind in {list, tuple, dict}:
        return all(map(_is_plain, value.values() if kind is dict else value))
    return kind in _PLAIN


def _rows(value: Any, start: int, count: int) -> Any:
    return value[start : start + count]
