"""Pictures as PNG files: of at most sixteen colors, four bits a pixel."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import Final

import numpy as np

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_MOST_COLORS: Final = 16


def indexed_png(pixels: np.ndarray, palette: Sequence[tuple[int, int, int]]) -> bytes:
    """A picture of few colors: no larger than half a byte a pixel, and a byte a row.

    Parameters
    ----------
    pixels : numpy.ndarray of uint8, shape (height, width)
        The place of each pixel's color in the palette.
    palette : sequence of (red, green, blue)
        At most sixteen, 0 to 255. The first is transparent.

    Returns
    -------
    bytes

    Raises
    ------
    ValueError
        If there are more colors.

    Examples
    --------
    >>> file = indexed_png(np.array([[0, 1, 0]], np.uint8), [(255, 255, 255), (0, 0, 0)])
    >>> file[1:4]
    b'PNG'
    """
    if len(palette) > _MOST_COLORS:
        message = f"expected at most {_MOST_COLORS} colors, and there are {len(palette)}."
        raise ValueError(message)
    height, width = pixels.shape
    even = np.zeros((height, width + width % 2), np.uint8)
    even[:, :width] = pixels
    rows = np.zeros((height, 1 + even.shape[1] // 2), np.uint8)  # the first byte: no filter
    rows[:, 1:] = even[:, ::2] << 4 | even[:, 1::2]
    header = struct.pack(">IIBBBBB", width, height, 4, 3, 0, 0, 0)
    return _SIGNATURE + b"".join(
        (
            _chunk(b"IHDR", header),
            _chunk(b"PLTE", np.array(palette, np.uint8).tobytes()),
            _chunk(b"tRNS", b"\0"),
            _chunk(b"IDAT", zlib.compress(rows.tobytes(), 9)),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
