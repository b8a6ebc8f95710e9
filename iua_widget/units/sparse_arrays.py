"""Refusing sparse matrices and nested tensors, with what makes plain arrays of them."""

from __future__ import annotations

import sys
from typing import Any

from iua_widget.common.tensors import is_tensor
from iua_widget.errors import ProducerError


def is_scipy_sparse(value: Any) -> bool:
    """Whether a value is a sparse array or matrix of SciPy's.

    Examples
    --------
    >>> is_scipy_sparse([1, 2])
    False
    """
    sparse = sys.modules.get("scipy.sparse")
    return sparse is not None and bool(sparse.issparse(value))


def check_dense(
    value: Any, what: str, *, layer: str | None = None, batch: int | None = None
) -> None:
    """Check that a value has all its entries, in rows of one length.

    Parameters
    ----------
    value : Any
    what : str
        What it is, for the error.
    layer, batch : str, int, optional
        For the error.

    Raises
    ------
    ProducerError
        If it is sparse, in PyTorch or SciPy, or a nested tensor.
    """
    if is_scipy_sparse(value):
        fault = f"sparse ({type(value).__name__}): give `.toarray()`"
    elif not is_tensor(value):
        return
    elif value.is_nested:
        fault = "nested: give `.to_padded_tensor(0.0)`, with a mask of what is padding"
    elif str(value.layout).startswith("torch.sparse"):
        fault = f"sparse ({value.layout}): give `.to_dense()`"
    else:
        return
    message = f"{what} is {fault}."
    raise ProducerError(message, layer=layer, batch=batch)
