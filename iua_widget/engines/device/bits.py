"""Magnitudes as the bits of floating-point numbers, which order as they do."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import torch

from iua_widget.common.tensors import dtype_name

INTEGERS: Final = {
    torch.float16: torch.int16,
    torch.float32: torch.int32,
    torch.float64: torch.int64,
}
"""The integers in which the bits of a response fit."""


def as_bits(values: torch.Tensor) -> torch.Tensor:
    """The same memory as integers, of bfloat16 as well.

    Examples
    --------
    >>> as_bits(torch.tensor([1.0], dtype=torch.bfloat16))
    tensor([16256], dtype=torch.int16)
    """
    return values.view(torch.int16 if values.dtype is torch.bfloat16 else INTEGERS[values.dtype])


def magnitude_mask(dtype: torch.dtype) -> int:
    """All bits but the sign.

    Examples
    --------
    >>> hex(magnitude_mask(torch.float32))
    '0x7fffffff'
    """
    return torch.iinfo(INTEGERS[dtype]).max


def infinity_bits(dtype: torch.dtype) -> int:
    """The bits of infinity, above those of all that is finite and below those of NaN.

    Examples
    --------
    >>> hex(infinity_bits(torch.float32))
    '0x7f800000'
    """
    floating = np.dtype(dtype_name(dtype))
    return int(np.array(math.inf, floating).view(f"i{floating.itemsize}"))
