"""What crosses to the browser: packed, versioned, binary snapshots of the tallies.

A snapshot is the bytes ``IUAW``, the format version and the length of a JSON header (little-endian
uint32 each), four zero bytes, the header, and the arrays, each beginning at a multiple of 8 bytes.
The header holds ``meta`` and, for each array, its dtype, shape and offset.
"""

from __future__ import annotations

import json
import math
import struct
import sys
from collections.abc import Mapping
from itertools import accumulate
from typing import Any, Final

import numpy as np

from iua_widget.tally import Tally
from iua_widget.tolerances import Bracket, Stops, default_stops

FORMAT_VERSION: Final = 3
_MAGIC: Final = b"IUAW"
_ALIGNMENT: Final = 8
_PREFIX: Final = 16
_MOSAIC_AXES: Final = 3
_FEWEST_COLUMNS: Final = 4
_MAGNITUDES: Final = 3


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


def table_snapshot(tallies: Mapping[str, Tally], stops: Stops) -> bytes:
    """The layer table at every stop: what the browser needs to answer any tolerance.

    Parameters
    ----------
    tallies : mapping of str to Tally
        In the order of the network.
    stops : Stops

    Returns
    -------
    bytes
        Arrays ``mean`` and ``std`` (float64) and ``dead`` (uint32), each of shape
        (layers, K + 1): a column for each stop, then one for "any finite value"; and
        ``dead_channels`` likewise, zero for layers without ``channels`` in their meta; and
        ``dormant`` (uint32), of shape (layers, stops of rtol).
    """
    columns = len(stops) + 1
    mean, std = np.zeros((2, len(tallies), columns))
    dead, dead_channels = np.zeros((2, len(tallies), columns), np.uint32)
    rtol_stops = default_stops()
    dormant = np.zeros((len(tallies), len(rtol_stops)), np.uint32)
    for row, tally in enumerate(tallies.values()):
        if tally.probes:
            curves = tally.curves()
            mean[row], std[row], dead[row] = curves.mean, curves.std, curves.dead
            by_channel = tally.dead_channels()
            if by_channel is not None:
                dead_channels[row] = by_channel
            dormant[row] = tally.dormant(rtol_stops)
    meta = {
        "kind": "table",
        "stops": stops.values,
        "rtol_stops": rtol_stops,
        "dead_share": 1.0,
        "probes": max((tally.probes for tally in tallies.values()), default=0),
        "layers": [_layer_meta(name, tally) for name, tally in tallies.items()],
    }
    arrays: dict[str, np.ndarray] = {
        "mean": mean,
        "std": std,
        "dead": dead,
        "dead_channels": dead_channels,
        "dormant": dormant,
    }
    return pack(meta, arrays)


def units_snapshot(layer: str, tally: Tally, threshold: float, budget: int) -> bytes:
    """One layer's unit counts, cumulative and stop-major: a slider position is one slice.

    Parameters
    ----------
    layer : str
    tally : Tally
    threshold : float
        The threshold in view: columns near it are kept when not all fit the budget.
    budget : int
        Bytes the counts may take; at least four columns are sent whatever it is. Magnitudes are
        sent where they take no more than this.

    Returns
    -------
    bytes
        ``counts`` of shape (columns, units), and ``mean_abs``, ``rms`` and ``max_abs`` (float32),
        of shape (units,). Units of three axes and more come channel by channel, as they are drawn;
        ``channel_axis`` says where that axis is in the layer.
    """
    dtype = _counts_dtype(tally.probes)
    most = _columns_within(budget, tally)
    bracket = tally.locate_counts(threshold)
    in_view = Bracket(*(tally.columns.index(column) for column in (bracket.lower, bracket.upper)))
    places = choose_columns(len(tally.columns), most, in_view)
    columns = [tally.columns[place] for place in places]
    counts = tally.cumulative(columns).astype(dtype, copy=False)
    axis = tally.channel_axis if len(tally.unit_shape) >= _MOSAIC_AXES else None
    arrays = {"counts": counts}
    if _MAGNITUDES * tally.units * np.float32().nbytes <= budget:
        arrays |= _magnitudes(tally)
    shape = tally.unit_shape
    if axis:
        shape = (shape[axis], *shape[:axis], *shape[axis + 1 :])
        arrays = {
            name: _channels_first(array, tally.unit_shape, axis) for name, array in arrays.items()
        }
    meta = {
        "kind": "units",
        "layer": layer,
        "shape": shape,
        "channel_axis": axis or 0,
        "units": tally.units,
        "probes": tally.probes,
        "stops": tally.stops.values,
        "columns": columns,
    }
    return pack(meta, arrays)


def _channels_first(array: np.ndarray, unit_shape: tuple[int, ...], axis: int) -> np.ndarray:
    by_unit = array.reshape(-1, *unit_shape)
    return np.moveaxis(by_unit, axis + 1, 1).reshape(array.shape)


def _magnitudes(tally: Tally) -> dict[str, np.ndarray]:
    """What is known of each unit besides its counts, in single precision."""
    largest = np.finfo(np.float32).max
    return {
        name: np.minimum(values, largest).astype(np.float32)
        for name, values in (
            ("mean_abs", tally.unit_mean_abs),
            ("rms", tally.unit_rms),
            ("max_abs", tally.abs_max),
        )
    }


def sends_all_columns(tally: Tally, budget: int) -> bool:
    """Whether `units_snapshot` sends every column within `budget` bytes."""
    return _columns_within(budget, tally) >= len(tally.columns)


def choose_columns(columns: int, most: int, bracket: Bracket) -> list[int]:
    """Which columns to send when not all fit: the ends, those in view, those near, and a spread.

    Parameters
    ----------
    columns : int
        How many there are.
    most : int
        How many may be sent; four are sent even where this is less.
    bracket : Bracket
        The columns in view.

    Returns
    -------
    list of int
        Ascending.

    Examples
    --------
    >>> choose_columns(71, 100, Bracket(5, 5)) == list(range(71))
    True
    >>> choose_columns(71, 8, Bracket(30, 30))
    [0, 23, 28, 29, 30, 31, 47, 70]
    """
    if most >= columns:
        return list(range(columns))
    most = max(most, _FEWEST_COLUMNS)
    chosen = {0, columns - 1, bracket.lower, bracket.upper}
    near = sorted(range(columns), key=lambda column: abs(column - bracket.lower))
    for column in near[: most // 2]:
        if len(chosen) < most:
            chosen.add(column)
    free = most - len(chosen)
    spread = np.linspace(0, columns - 1, free + 2).round().astype(int)[1:-1]
    for column in (*spread.tolist(), *near):
        if len(chosen) < most:
            chosen.add(column)
    return sorted(chosen)


def _layer_meta(name: str, tally: Tally) -> dict[str, Any]:
    return {
        "name": name,
        "kind": tally.kind,
        "dtype": ", ".join(sorted(tally.dtypes)),
        "shape": tally.unit_shape,
        "response_shape": tally.response_shape or tally.unit_shape,
        "unit": tally.plan.choice,
        "channels": tally.channels,
        "masked": tally.masked,
        "stops": len(tally.columns) - 1,
        "units": tally.units,
        "probes": tally.probes,
        "nan": tally.nan_total,
        "infinite": tally.infinite_total,
        "mean_abs": _finite(tally.mean_abs),
    }


def _finite(value: float) -> float:
    """JSON has no infinity: a sum of float64 responses may overflow."""
    return value if math.isfinite(value) else sys.float_info.max


def _columns_within(budget: int, tally: Tally) -> int:
    return budget // max(tally.units * _counts_dtype(tally.probes).itemsize, 1)


def _counts_dtype(probes: int) -> np.dtype[Any]:
    for dtype in (np.uint8, np.uint16, np.uint32):
        if probes <= np.iinfo(dtype).max:
            return np.dtype(dtype)
    return np.dtype(np.float64)


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
