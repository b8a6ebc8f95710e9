"""PyTorch's tensors, where there are any: without importing it."""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

if TYPE_CHECKING:
    import torch


def is_tensor(value: Any) -> TypeGuard[torch.Tensor]:
    """Whether a value is a tensor of PyTorch's.

    Examples
    --------
    >>> is_tensor(np.zeros(3))
    False
    """
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


@functools.cache
def dtype_name(dtype: torch.dtype) -> str:
    """What PyTorch calls a dtype, which is NumPy's name where NumPy has it.

    Examples
    --------
    >>> import torch
    >>> dtype_name(torch.float16)
    'float16'
    """
    return str(dtype).removeprefix("torch.")


def magnitude_dtype(values: np.ndarray | torch.Tensor) -> np.dtype[np.floating[Any]]:
    """The dtype of ``abs(values)``, as NumPy has it.

    Examples
    --------
    >>> magnitude_dtype(np.zeros(3, np.complex64))
    dtype('float32')
    """
    if isinstance(values, np.ndarray):
        return np.empty(0, values.dtype).real.dtype
    return np.dtype(dtype_name(values.dtype))


def is_complex(values: np.ndarray | torch.Tensor) -> bool:
    """Whether an array or a tensor is of complex numbers, which have no order.

    Examples
    --------
    >>> is_complex(np.zeros(2)), is_complex(np.zeros(2, complex))
    (False, True)
    """
    return values.dtype.kind == "c" if isinstance(values, np.ndarray) else values.is_complex()


def address(values: np.ndarray | torch.Tensor) -> int:
    """Where the first entry lies in memory.

    Examples
    --------
    >>> values = np.zeros(3)
    >>> address(values[:2]) == address(values), address(values.copy()) == address(values)
    (True, False)
    """
    return values.ctypes.data if isinstance(values, np.ndarray) else values.data_ptr()


def as_numpy(values: Any) -> np.ndarray:
    """An array of what is one or a tensor, on the host; bfloat16 and the like as float32.

    Examples
    --------
    >>> import torch
    >>> as_numpy(torch.zeros(2, dtype=torch.bfloat16)).dtype
    dtype('float32')
    """
    if not is_tensor(values):
        return np.asanyarray(values)
    tensor = values.detach().cpu().resolve_conj().resolve_neg()
    try:
        return np.asarray(tensor.numpy())
    except TypeError:
        return np.asarray(tensor.float().numpy())
