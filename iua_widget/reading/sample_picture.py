"""A small picture of a sample, an array of any sort of image, with a place in it marked."""

from __future__ import annotations

from typing import Final

import numpy as np

from iua_widget.common.png import rgb_png

_SIDE: Final = 96
"""Pixels that the longer side has, as near as whole numbers come to it."""
_CHANNELS: Final = (1, 3, 4)
_MATRIX, _IMAGE = 2, 3
_WHITE: Final = 255
_OUTER, _INNER = (0, 0, 0), (255, 0, 200)
"""The colors of the mark: one of them is seen on any picture."""


def sample_png(
    sample: np.ndarray, place: tuple[int, ...] = (), lengths: tuple[int, ...] = ()
) -> bytes | None:
    """A picture of a sample, as a PNG file; None where it is none.

    Parameters
    ----------
    sample : numpy.ndarray of numbers
        Of shape (height, width), (channels, height, width) or (height, width, channels), or a
        vector, which is drawn as a row. Of other than 1, 3 or 4 channels the mean is drawn.
        Whole numbers of eight bits are colors, and so are floats from 0 to 1; others are drawn from
        the smallest to the largest of them.
    place, lengths : tuple of int
        The row and column to mark, of a map of so many; nothing is marked without.

    Examples
    --------
    >>> sample_png(np.eye(8), (2, 3), (8, 8))[1:4]
    b'PNG'
    """
    colors = _colors(sample)
    if colors is None:
        return None
    height, width = colors.shape[:2]
    if max(height, width) > _SIDE:
        colors = _smaller(colors, -(-max(height, width) // _SIDE))
    else:
        times = max(1, _SIDE // max(height, width))
        colors = colors.repeat(times, axis=0).repeat(times, axis=1)
    if len(place) == len(lengths) == _MATRIX and all(lengths):
        _mark(colors, place, lengths)
    return rgb_png(colors)


def _colors(sample: np.ndarray) -> np.ndarray | None:
    """A sample as colors, of uint8 and shape (height, width, 3)."""
    if sample.dtype.kind not in "fiub" or not sample.size:
        return None
    sample = sample.squeeze(0) if sample.ndim > _IMAGE and len(sample) == 1 else sample
    image = sample[None] if sample.ndim == 1 else sample
    if image.ndim == _MATRIX:
        image = image[:, :, None]
    if image.ndim != _IMAGE:
        return None
    if image.shape[2] not in _CHANNELS or (image.shape[0] in _CHANNELS and sample.ndim == _IMAGE):
        image = np.moveaxis(image, 0, 2)
    if image.shape[2] not in _CHANNELS:
        image = image.mean(axis=2, keepdims=True)
    scaled = _scaled(image)
    if image.shape[2] > _IMAGE:
        opaque = scaled[:, :, 3:] / _WHITE
        scaled = scaled[:, :, :3] * opaque + _WHITE * (1 - opaque)
    return np.broadcast_to(scaled, (*image.shape[:2], 3)).round().astype(np.uint8)


def _scaled(image: np.ndarray) -> np.ndarray:
    """An image from 0 to 255; what is not finite is gray."""
    if image.dtype == np.uint8:
        return image.astype(np.float64)
    values = image.astype(np.float64)
    finite = np.isfinite(values)
    low, high = values.min(initial=0, where=finite), values.max(initial=0, where=finite)
    if low < 0 or high > 1:
        low = values.min(initial=high, where=finite)
    else:
        low, high = 0, 1
    return np.where(finite, (np.where(finite, values, 0) - low) / ((high - low) or 1), 0.5) * _WHITE


def _smaller(colors: np.ndarray, times: int) -> np.ndarray:
    """The means of blocks of pixels, which at the ends may be cut."""
    height, width = (-(-side // times) for side in colors.shape[:2])
    pad = ((0, height * times - colors.shape[0]), (0, width * times - colors.shape[1]), (0, 0))
    blocks = np.pad(colors, pad, mode="edge").reshape(height, times, width, times, 3)
    return np.asarray(blocks.mean(axis=(1, 3)).round().astype(np.uint8))


def _mark(colors: np.ndarray, place: tuple[int, ...], lengths: tuple[int, ...]) -> None:
    """Draw a frame around what of the picture lies where a place of a map does."""
    sides = []
    for index, length, pixels in zip(place, lengths, colors.shape[:2], strict=True):
        start = index * pixels // length
        sides.append((start, max(start + 1, -(-(index + 1) * pixels // length))))
    for out, color in ((1, _OUTER), (0, _INNER)):
        (top, bottom), (left, right) = (
            (max(0, start - out), min(pixels, end + out))
            for (start, end), pixels in zip(sides, colors.shape[:2], strict=True)
        )
        colors[[top, bottom - 1], left:right] = color
        colors[top:bottom, [left, right - 1]] = color
