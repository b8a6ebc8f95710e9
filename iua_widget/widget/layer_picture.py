"""Draws a layer's picture in Python, never showing more death than there is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from iua_widget.common.arithmetic import as_ieee
from iua_widget.common.png import indexed_png
from iua_widget.reading.bounds import read_bounds
from iua_widget.reading.statistics import finite_probes

if TYPE_CHECKING:
    from iua_widget.reading.recount import LayerRecount
    from iua_widget.tally.tally import Tally
    from iua_widget.tolerances import Tolerances

WIDTH: Final = 420
HEIGHT: Final = 240

_LARGEST_UNIT: Final = 20

# The page's map on dark ground: it is told apart from a light one, too.
_ANCHORS: Final = "fbf6d9 cbe6c9 93d0c4 5fb6c6 4397c4 3f79b8 475ca3"
_SHADES: Final = 13

GROUND: Final = 0
LIVE: Final = 1
NOT_FINITE: Final = _SHADES + 1
DEAD: Final = _SHADES + 2


def _rgb(color: str) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(color)
    return red, green, blue


def _shades() -> list[tuple[int, int, int]]:
    """The page's colors from always active to always inactive."""
    anchors = np.array([_rgb(anchor) for anchor in _ANCHORS.split()])
    places = np.linspace(0, len(anchors) - 1, _SHADES)
    channels = [np.interp(places, range(len(anchors)), channel) for channel in anchors.T]
    return [(red, green, blue) for red, green, blue in np.rint(channels).astype(int).T.tolist()]


PALETTE: Final = [_rgb("dfe3e8"), *_shades(), _rgb("a825c3"), _rgb("e8402a")]


@dataclass(frozen=True, slots=True)
class LayerPicture:
    """A PNG, and its size in pixels."""

    png: bytes
    width: int
    height: int


@as_ieee
def layer_picture(
    tally: Tally, tolerances: Tolerances, recount: LayerRecount | None = None
) -> LayerPicture | None:
    """A layer's units as the page lays them out, within 420 x 240 pixels and 64 kB.

    A pixel of several units has the color of their mean share of inactive probes, or that of dead
    units: in every channel as many pixels are that as units are dead, to a pixel.

    Returns
    -------
    LayerPicture, or None
        None where the layer has no units, or no probe has reached it.
    """
    if not tally.units or not tally.probes:
        return None
    bounds = read_bounds(tally, tolerances, recount)
    state = np.where(finite_probes(tally) < tally.probes, NOT_FINITE, LIVE).astype(np.uint8)
    state = np.where(bounds.dead, DEAD, state)
    pixels = picture_pixels(_tiles(bounds.lower / tally.probes, tally), _tiles(state, tally))
    height, width = pixels.shape
    return LayerPicture(indexed_png(pixels, PALETTE), width, height)


def _tiles(values: np.ndarray, tally: Tally) -> np.ndarray:
    """Shape (tiles, height, width): a tile a channel of a map, or a unit, or one for a matrix."""
    by_entry = values.reshape(tally.unit_shape)
    if tally.channel_axis is not None:
        by_entry = np.moveaxis(by_entry, tally.channel_axis, 0)
    first, *rest = by_entry.shape or (1,)
    if by_entry.ndim == 2 and rest[0] > 1:  # noqa: PLR2004
        return by_entry[np.newaxis]
    last = rest[-1] if rest else 1
    return by_entry.reshape(first, -1, last)


def picture_pixels(share: np.ndarray, state: np.ndarray) -> np.ndarray:
    """Places in the palette of a picture's pixels.

    Parameters
    ----------
    share : numpy.ndarray, shape (tiles, height, width)
        Of probes on which each unit was inactive.
    state : numpy.ndarray of uint8, same shape
        Of each unit `LIVE`, `DEAD` or, where it was not so on some probe, `NOT_FINITE`; `GROUND`
        where there is none.

    Returns
    -------
    numpy.ndarray of uint8, shape (at most 240, at most 420)

    Examples
    --------
    >>> share = np.array([1.0, 0.0, 0.5]).reshape(3, 1, 1)
    >>> pixels = picture_pixels(share, np.where(share == 1, DEAD, LIVE))
    >>> bool((pixels[:, :20] == DEAD).all()), pixels.shape
    (True, (20, 60))
    """
    tiles, high, wide = share.shape
    gap = 0 if high * wide == 1 else 1
    across, scale = _across(tiles, high, wide, gap)
    if scale == 0:  # more tiles than pixels: one row of units after the other
        return _one_tile(share, state)
    shades = _mean_shades(share, state, _size(high, scale), _size(wide, scale))
    times = max(int(scale), 1)
    return _side_by_side(shades.repeat(times, axis=1).repeat(times, axis=2), across, gap)


def _one_tile(share: np.ndarray, state: np.ndarray) -> np.ndarray:
    columns = int(np.ceil(np.sqrt(share.size * WIDTH / HEIGHT)))
    shape = 1, -(-share.size // columns), columns
    padded = np.zeros((2, shape[1] * columns))
    padded[:, : share.size] = share.ravel(), state.ravel()
    scale = min(WIDTH / columns, HEIGHT / shape[1])
    high, wide = (_size(length, scale) for length in shape[1:])
    tile, *_ = _mean_shades(padded[0].reshape(shape), padded[1].reshape(shape), high, wide)
    return np.asarray(tile)


def _size(length: int, scale: float) -> int:
    return length if scale >= 1 else max(1, int(length * scale))


def _across(tiles: int, high: int, wide: int, gap: int) -> tuple[int, float]:
    """How many tiles a row, and pixels a unit; none where there are more tiles than fit."""
    across = np.arange(1, min(tiles, WIDTH) + 1)
    rows = -(-tiles // across)
    room = (WIDTH + gap) // across - gap, (HEIGHT + gap) // rows - gap
    scales = np.minimum(room[0] / wide, room[1] / high)
    scales = np.where(np.minimum(*room) > 0, np.minimum(scales, _LARGEST_UNIT), 0)
    best = len(scales) - 1 - int(scales[::-1].argmax())  # of several as large, the widest
    return -(-tiles // int(rows[best])), float(scales[best])


def _mean_shades(share: np.ndarray, state: np.ndarray, high: int, wide: int) -> np.ndarray:
    """The colors of tiles of high x wide pixels, each of several units or of one."""

    def pooled(values: np.ndarray) -> np.ndarray:
        rows, columns = (
            np.arange(pixels) * units // pixels
            for pixels, units in zip((high, wide), share.shape[1:], strict=True)
        )
        return np.add.reduceat(np.add.reduceat(values, rows, axis=1), columns, axis=2)

    units, dead, live = (
        pooled(which.astype(np.int64)) for which in (state != GROUND, state == DEAD, state == LIVE)
    )
    mean = pooled(np.where(state == LIVE, share, 0.0)) / np.maximum(live, 1)
    shades = LIVE + np.rint(mean * (_SHADES - 1)).astype(np.uint8)
    shades[live == 0] = NOT_FINITE
    shades[(live == 0) & (dead == units)] = _SHADES
    shades[_dead_pixels(dead, units)] = DEAD
    shades[units == 0] = GROUND
    return np.asarray(shades)


def _dead_pixels(dead: np.ndarray, units: np.ndarray) -> np.ndarray:
    """Which pixels of each tile are painted dead: as many as units are, to a pixel, near them."""
    tiles, high, wide = dead.shape
    filled = (units > 0).sum(axis=(1, 2))
    wanted = dead.sum(axis=(1, 2)) * filled / np.maximum(units.sum(axis=(1, 2)), 1)
    wanted = np.minimum(np.floor(wanted + 0.5), (dead > 0).sum(axis=(1, 2))).astype(int)
    share = dead / np.maximum(units, 1)
    # Thresholds that are spread evenly: of an area a third of which is dead every third is painted.
    rows, columns = np.indices((high, wide))
    spread = (rows * 0.5698402909980532 + columns * 0.7548776662466927) % 1
    order = np.where(share == 1, 2.0, np.where(share == 0, -2.0, share - spread))
    ranks = np.empty((tiles, high * wide), int)
    places = np.argsort(-order.reshape(tiles, -1), axis=1, kind="stable")
    np.put_along_axis(ranks, places, np.arange(high * wide)[np.newaxis], axis=1)
    return np.asarray(ranks < wanted[:, np.newaxis]).reshape(dead.shape)


def _side_by_side(tiles: np.ndarray, across: int, gap: int) -> np.ndarray:
    number, high, wide = tiles.shape
    rows = -(-number // across)
    whole = np.full((rows * across, high + gap, wide + gap), GROUND, np.uint8)
    whole[:number, :high, :wide] = tiles
    grid = whole.reshape(rows, across, high + gap, wide + gap).swapaxes(1, 2)
    picture = grid.reshape(rows * (high + gap), across * (wide + gap))
    return picture[: picture.shape[0] - gap, : picture.shape[1] - gap]
