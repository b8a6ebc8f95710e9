"""Unmasking arrays whose mask hides nothing, and refusing those where it does."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from iua_widget.errors import ProducerError
from iua_widget.units.sparse_arrays import check_dense


def unmasked(value: Any, what: str, *, layer: str | None = None, batch: int | None = None) -> Any:
    """A value as it came, or its data if it has a mask that hides nothing.

    Parameters
    ----------
    value : Any
        Masked arrays are found in lists and tuples, too.
    what : str
        What it is, for the error.
    layer, batch : str, int, optional
        For the error.

    Raises
    ------
    ProducerError
        If it is a `numpy.ma.MaskedArray` or `torch.masked.MaskedTensor` with a masked entry, or
        sparse or nested: see `iua_widget.units.sparse_arrays`.

    Examples
    --------
    >>> unmasked(np.ma.array([1.0, 2.0]), "the response")
    array([1., 2.])
    """
    check_dense(value, what, layer=layer, batch=batch)
    masked = _masked(value)
    if masked is None:
        return value
    hidden, entries, plain = masked
    if not hidden:
        return plain
    message = (
        f"{what} is a {type(value).__name__} with {hidden:,} of {entries:,} entries masked, and "
        "what is masked has no value to count. Leave masked rows out, or put a value in their "
        "place: .filled(value) in NumPy, .to_tensor(value) in PyTorch."
    )
    raise ProducerError(message, layer=layer, batch=batch)


def _masked(value: Any) -> tuple[int, int, Any] | None:
    """Entries masked, entries, and the plain value; None where nothing has a mask."""
    if isinstance(value, np.ma.MaskedArray):
        return int(np.ma.getmaskarray(value).sum()), value.size, np.asarray(value.data)
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.masked.MaskedTensor):
        hidden = int((~value.get_mask()).sum())
        return hidden, value.numel(), value if hidden else value.get_data()
    if isinstance(value, (list, tuple)):
        found = [one for one in map(_masked, value) if one is not None]
        if found:
            return sum(one[0] for one in found), sum(one[1] for one in found), value
    return None
