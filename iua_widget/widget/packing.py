"""Packs arrays and their description into versioned binary snapshots for the browser.

See ``docs/page-traffic.md`` for the layout.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from itertools import accumulate
from typing import Any, Final

import numpy as np

FORMAT_VERSION: Final = 3
_MAGIC: Final = b"IUAW"
_ALIGNMENT: Final = 8
_PREFIX: Final = 16


def pack(meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    """Pack arrays with their description into one snapshot.

    Parameters
    ----------
    meta : mapping
        Goes into the header as JSON.
    arrays : mapping of str to numpy.ndarray
        Of dtype uint8, uint16, uint32, float32 or float64.

    Returns
    -------
    bytes
    """
    sizes = [_aligned(array.nbytes) for array in arrays.values()]
    starts = list(accumulate(sizes, initial=0))
    header_size = 0
    # Offsets count from the snapshot's start, so they depend on the header's own length.
    while True:
        entries = {
            name: {
                "dtype": array.dtype.str[1:],
                "shape": array.shape,
                "offset": _PREFIX + header_size + start,
            }
            for (name, array), start in zip(arrays.items(), starts, strict=False)
        }
        header = json.dumps({"meta": meta, "arrays": entries}, allow_nan=False).encode()
        if len(header) <= header_size:
            break
        header_size = _aligned(len(header))
    prefix = struct.pack("<4sIII", _MAGIC, FORMAT_VERSION, header_size, 0)
    parts = [prefix, header.ljust(header_size)]
    for array, size in zip(arrays.values(), sizes, strict=True):
        data = array.astype(array.dtype.newbyteorder("<"), order="C", copy=False).tobytes()
        parts.append(data.ljust(size, b"\0"))
    return b"".join(parts)


def narrow(counts: np.ndarray) -> np.ndarray:
    """Counts in as few bytes as hold them all; float64 above 32 bits."""
    for dtype in (np.uint8, np.uint16, np.uint32):
        if counts.max(initial=0) <= np.iinfo(dtype).max:
            return counts.astype(dtype)
    return counts.astype(np.float64)


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
