"""A fingerprint of a model's parameters, to tell runs of different weights apart."""

from __future__ import annotations

import functools
import zlib
from collections.abc import Iterator
from typing import Final

import numpy as np
import torch
from torch import nn

from iua_widget.common.cell_context import plain_torch

_CHUNK: Final = 2**22
_WHOLE: Final = 2**24
_BLOCKS: Final = 1024
_OF_A_BLOCK: Final = 4096
_ROW: Final = 4096
"""Bytes."""


def fingerprint(model: nn.Module) -> str | None:
    """A checksum over the parameters' shapes, dtypes and bits, on any device.

    Parameters
    ----------
    model : torch.nn.Module

    Returns
    -------
    str or None
        Eight hexadecimal digits: equal for equal weights on any device, whatever the modules are
        called. Of parameters above 16 million entries 4 million enter, spread evenly. None where
        there are no parameters, or some that have no values here: lazy ones, those on meta, or
        those spread over processes.

    Examples
    --------
    >>> model = nn.Linear(3, 2)
    >>> before = fingerprint(model)
    >>> with torch.no_grad():
    ...     _ = model.weight.mul_(2)
    >>> before == fingerprint(model)
    False
    """
    parameters = list(model.parameters())
    if not all(type(one) is nn.Parameter and one.device.type != "meta" for one in parameters):
        return None
    try:
        with plain_torch(), torch.no_grad():
            checksum = functools.reduce(_add, parameters, 0)
    except (RuntimeError, TypeError):  # of a sort that gives no bits, such as sparse ones
        return None
    return f"{checksum:08x}" if parameters else None


def _add(checksum: int, parameter: nn.Parameter) -> int:
    facts = f"{tuple(parameter.shape)} {parameter.dtype}"
    checksum = zlib.crc32(facts.encode(), checksum)
    for part in _parts(parameter):
        checksum = _add_bits(checksum, part.cpu().view(torch.uint8).numpy())
    return checksum


def _add_bits(checksum: int, bits: np.ndarray) -> int:
    """Add bytes by their sums along rows and along columns, which takes a fifth of the time."""
    ends = len(bits) - len(bits) % _ROW
    if ends:
        words = bits[:ends].reshape(-1, _ROW).view(np.uint64)
        for axis in (0, 1):
            checksum = zlib.crc32(words.sum(axis).data, checksum)
    return zlib.crc32(bits[ends:].data, checksum)


def _parts(parameter: nn.Parameter) -> Iterator[torch.Tensor]:
    """Its values in pieces, so that a model is never copied as a whole."""
    flat = parameter.detach().reshape(-1)
    if flat.is_conj() or flat.is_neg():
        flat = flat.resolve_conj().resolve_neg()
    if len(flat) > _WHOLE:
        apart = len(flat) // _BLOCKS
        flat = flat[: apart * _BLOCKS].reshape(_BLOCKS, apart)[:, -_OF_A_BLOCK:].reshape(-1)
    yield from torch.split(flat, _CHUNK) if len(flat) > _CHUNK else (flat,)
