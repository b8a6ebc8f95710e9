"""`Response`: one layer's response to a batch, checked and converted for the engines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from iua_widget.common.tensors import dtype_name, is_tensor
from iua_widget.errors import ProducerError
from iua_widget.units.masked_arrays import unmasked

if TYPE_CHECKING:
    import torch


_NUMERIC: Final = {"float", "complex", "int", "uint", "bool"}
"""Kinds of dtypes, by what their names begin with."""


@dataclass(frozen=True, slots=True)
class Response:
    """The response of one layer for one batch.

    Attributes
    ----------
    values : numpy.ndarray or torch.Tensor, shape (probes, ...)
        In the dtype in which `numpy.isclose` compares it: the response's own for floating and
        complex ones, float64 for integers and booleans, float32 for bfloat16. A tensor is on its
        own device, and complex ones are magnitudes there.
    dtype : str
        The name of the dtype the producer gave.
    """

    values: np.ndarray | torch.Tensor
    dtype: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the values."""
        return tuple(self.values.shape)


def as_response(
    value: Any, *, layer: str, batch: int, stays: Callable[[Any], bool] = lambda _: False
) -> Response:
    """Check `value` and bring it into the form the counting engines take.

    Parameters
    ----------
    value : array_like or torch.Tensor
        First axis: probes.
    layer, batch : str, int
        For the errors.
    stays : callable, optional
        Whether a tensor is counted where it lies: see `Engine.takes`. By default none is.

    Returns
    -------
    Response

    Raises
    ------
    ProducerError
        If `value` is not an array of numbers with a batch axis, or has masked entries.
    """
    value = unmasked(
        value, f"layer {layer!r}, batch {batch}: the response", layer=layer, batch=batch
    )
    dtype = ""
    if is_tensor(value):
        dtype, value = dtype_name(value.dtype), _plain(value)
        if not _is_numeric(value):
            raise _not_numeric(value, dtype, layer=layer, batch=batch)
        if value.ndim and stays(value):
            return Response(_comparable(value), dtype)
        value = _on_host(value)
    array, dtype = _as_array(value, dtype, layer=layer, batch=batch)
    if array.ndim == 0:
        message = (
            f"layer {layer!r}, batch {batch}: the response is a single number ({array[()]!r}) and "
            "has no batch axis. Give an array whose first axis counts the probes."
        )
        raise ProducerError(message, layer=layer, batch=batch)
    return Response(array, dtype)


def _plain(value: torch.Tensor) -> torch.Tensor:
    """A tensor's values, in a dtype in which they can be compared."""
    import torch

    tensor = value.detach()
    if tensor.is_quantized:
        tensor = tensor.dequantize()
    if tensor.layout is not torch.strided:  # that of a library of the CPU's
        tensor = tensor.to_dense()
    narrow = tensor.dtype is torch.bfloat16 or dtype_name(tensor.dtype).startswith("float8")
    if tensor.dtype is torch.complex32:  # which NumPy lacks
        return tensor.to(torch.complex64)
    return tensor.to(torch.float32) if narrow else tensor


def _is_numeric(tensor: torch.Tensor) -> bool:
    return dtype_name(tensor.dtype).rstrip("0123456789") in _NUMERIC


def _comparable(tensor: torch.Tensor) -> torch.Tensor:
    """What the device engine compares, on the same device."""
    import torch

    if tensor.is_complex():
        # By NumPy, which is the definition; no device rounds magnitudes as it does.
        return torch.from_numpy(np.abs(_on_host(tensor))).to(tensor.device)
    return tensor if tensor.is_floating_point() else tensor.to(torch.float64)


def _on_host(tensor: torch.Tensor) -> np.ndarray:
    array: np.ndarray = tensor.cpu().resolve_conj().resolve_neg().numpy()
    return array


def _as_array(value: Any, dtype: str, *, layer: str, batch: int) -> tuple[np.ndarray, str]:
    try:
        array = np.asarray(value)
    except ValueError as error:
        message = f"layer {layer!r}, batch {batch}: the response is not one array: {error}"
        raise ProducerError(message, layer=layer, batch=batch) from error
    dtype = dtype or array.dtype.name
    if array.dtype.kind in "fc":
        return array, dtype
    if array.dtype.kind in "iub":
        return array.astype(np.float64), dtype
    if dtype == "bfloat16" or dtype.startswith("float8"):
        return array.astype(np.float32), dtype
    raise _not_numeric(value, dtype, layer=layer, batch=batch)


def _not_numeric(value: Any, dtype: str, *, layer: str, batch: int) -> ProducerError:
    message = (
        f"layer {layer!r}, batch {batch}: the response has dtype {dtype!r} "
        f"({type(value).__name__}), which is not numeric. Give an array of numbers, or leave "
        f"{layer!r} out of what the producer yields."
    )
    return ProducerError(message, layer=layer, batch=batch)
