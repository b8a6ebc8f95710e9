"""One response, as it comes from anywhere, made ready to be counted."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np

from iua_widget.errors import ProducerError


@dataclass(frozen=True, slots=True)
class Response:
    """The response of one layer for one batch.

    Attributes
    ----------
    values : numpy.ndarray, shape (probes, ...)
        In the dtype in which `numpy.isclose` compares it: the response's own for floating and
        complex ones, float64 for integers and booleans, float32 for bfloat16.
    dtype : str
        The name of the dtype the producer gave.
    """

    values: np.ndarray
    dtype: str


def as_response(value: Any, *, layer: str, batch: int) -> Response:
    """Check `value` and bring it into the form the counting engines take.

    Parameters
    ----------
    value : array_like or torch.Tensor
        First axis: probes.
    layer, batch : str, int
        For the errors.

    Returns
    -------
    Response

    Raises
    ------
    ProducerError
        If `value` is not an array of numbers with a batch axis.
    """
    array, dtype = _as_array(value, layer=layer, batch=batch)
    if array.ndim == 0:
        message = (
            f"layer {layer!r}, batch {batch}: the response is a single number ({array[()]!r}) and "
            "has no batch axis. Give an array whose first axis counts the probes."
        )
        raise ProducerError(message, layer=layer, batch=batch)
    return Response(array, dtype)


def _as_array(value: Any, *, layer: str, batch: int) -> tuple[np.ndarray, str]:
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        tensor = value.detach()
        dtype = str(tensor.dtype).removeprefix("torch.")
        if tensor.is_quantized:
            tensor = tensor.dequantize()
        if tensor.layout is not torch.strided:
            tensor = tensor.to_dense()
        if dtype == "bfloat16" or dtype.startswith("float8"):
            tensor = tensor.to(torch.float32)
        value = tensor.cpu().resolve_conj().resolve_neg().numpy()
    else:
        dtype = ""
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
    message = (
        f"layer {layer!r}, batch {batch}: the response has dtype {dtype!r} "
        f"({type(value).__name__}), which is not numeric. Give an array of numbers, or leave "
        f"{layer!r} out of what the producer yields."
    )
    raise ProducerError(message, layer=layer, batch=batch)
