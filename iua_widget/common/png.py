"""Pictures as PNG files: of at most sixteen colors, four bits a pixel, or of all."""

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
    colors = np.array(palette, np.uint8).tobytes()
    return _file((b"IHDR", header), (b"PLTE", colors), (b"tRNS", b"\0"), (b"IDAT", _packed(rows)))


def rgb_png(pixels: np.ndarray) -> bytes:
    """A picture of any colors.

    Parameters
    ----------
    pixels : numpy.ndarray of uint8, shape (height, width, 3)

    Returns
    -------
    bytes

    Examples
    --------
    >>> rgb_png(np.zeros((2, 3, 3), np.uint8))[1:4]
    b'PNG'
    """
    height, width, _ = pixels.shape
    rows = np.zeros((height, 1 + 3 * width), np.uint8)
    rows[:, 1:] = pixels.reshape(height, 3 * width)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return _file((b"IHDR", header), (b"IDAT", _packed(rows)))


def _packed(rows: np.ndarray) -> bytes:
    return zlib.compress(rows.tobytes(), 9)


def _file(*chunks: tuple[bytes, bytes]) -> bytes:
    return _SIGNATURE + b"".join(_chunk(*one) for one in (*chunks, (b"IEND", b"")))


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
