"""A run as a file: what of an `IUA` is kept, and what must hold of it when it is read.

See ``docs/file-format.md`` for the layout.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np

from iua_widget.container import Container, write_container
from iua_widget.counting.engine import Engine
from iua_widget.position import Position
from iua_widget.tally import Tally, TallyState
from iua_widget.tolerances import Stops
from iua_widget.unit_counts import COUNTER_DTYPES

VERSION: Final = 1
_LIMB: Final = 2**40
_MOST_AXES: Final = 64
_LARGEST: Final = 2**62
_LITTLE: Final = {f"uint{8 * width}": np.dtype(f"<u{width}") for width in (1, 2, 4, 8)}
_INT64, _FLOAT64 = np.dtype("<i8"), np.dtype("<f8")


@dataclass(frozen=True, slots=True)
class SavedRun:
    """What a file holds of a run.

    Attributes
    ----------
    settings : dict
        ``rtol``, ``atol``, ``scale``, ``stops``, ``keep_inactive``, ``units``, ``channel_axis``,
        ``memory``.
    probes : int
    notes : list of str
    position : Position or None
    tallies : dict of str to Tally
    """

    settings: dict[str, Any]
    probes: int
    notes: list[str]
    position: Position | None
    tallies: dict[str, Tally]


def write_run(path: Path, run: SavedRun) -> None:
    """Write a run to a file.

    Raises
    ------
    FileError
        If it cannot be written there.
    """
    states = [(name, tally.state()) for name, tally in run.tallies.items()]
    position = run.position
    facts = {
        "format": "iua_widget run",
        "version": VERSION,
        "library": version("iua-widget"),
        **run.settings,
        "probes": run.probes,
        "notes": run.notes,
        "position": position
        and {
            "batches": position.batches,
            "probes": position.probes,
            "checksum": position.checksum,
        },
        "layers": [
            {
                "name": name,
                **state.facts,
                "counter": state.arrays["counts"].dtype.name,
                "non_finite": "nan_count" in state.arrays,
            }
            for name, state in states
        ],
    }

    def arrays() -> Iterator[tuple[str, np.ndarray]]:
        for number, (_, state) in enumerate(states):
            for key, array in state.arrays.items():
                yield f"layers/{number}/{key}", array

    write_container(path, VERSION, facts, arrays())


def read_run(path: Path, engine: Engine) -> SavedRun:
    """Read a run from a file.

    Raises
    ------
    FileError
        If it cannot be read, is no such file, is of a newer version, damaged, or holds what no run
        can have written.
    """
    with Container(path, VERSION) as container:
        facts = _Facts(container.facts, container.require, "the run")
        stops = Stops(facts.numbers("stops"))
        ascending = list(stops.values) == container.facts["stops"]
        container.require(ascending, "its stops do not ascend from 0")
        settings = {
            "rtol": facts.number("rtol"),
            "atol": facts.number("atol"),
            "scale": facts.text("scale"),
            "dead_share": facts.number_or_none("dead_share") or 1.0,
            "stops": stops.values,
            "keep_inactive": facts.flag("keep_inactive"),
            "units": facts.option("units", str),
            "channel_axis": facts.option("channel_axis", int),
            "memory": facts.amount("memory"),
        }
        tallies: dict[str, Tally] = {}
        expected: set[str] = set()
        for number, layer in enumerate(facts.objects("layers")):
            prefix = f"layers/{number}/"
            state = _read_layer(container, layer, stops, prefix)
            expected |= {prefix + key for key in state.arrays}
            name = layer.text("name")
            container.require(name not in tallies, f"layer {name!r} is there twice")
            tallies[name] = Tally.restored(stops, state, engine)
        strangers = sorted(container.names - expected)
        container.require(not strangers, f"{strangers[:3]} do not belong to it")
        return SavedRun(
            settings,
            facts.whole("probes"),
            facts.texts("notes"),
            _position(facts.optional("position")),
            tallies,
        )


class _Facts:
    """An object of the JSON, whose values are checked as they are taken."""

    def __init__(
        self, values: Mapping[str, Any], require: Callable[[bool, str], None], where: str
    ) -> None:
        self._values, self._require, self._where = values, require, where

    def _take(self, key: str, fits: Callable[[Any], bool]) -> Any:
        value = self._values.get(key)
        self._require(fits(value), f"{key} of {self._where} is {value!r:.60}")
        return value

    def text(self, key: str) -> str:
        return str(self._take(key, lambda value: isinstance(value, str)))

    def texts(self, key: str) -> list[str]:
        return list(self._take(key, lambda value: _is_list(value, str)))

    def flag(self, key: str) -> bool:
        return bool(self._take(key, lambda value: isinstance(value, bool)))

    def whole(self, key: str) -> int:
        return int(self._take(key, _is_whole))

    def wholes(self, key: str) -> list[int]:
        return list(
            self._take(key, lambda value: _is_list(value, int) and all(map(_is_whole, value)))
        )

    def number(self, key: str) -> float:
        return float(self._take(key, _is_number))

    def number_or_none(self, key: str) -> float | None:
        value = self._take(key, lambda value: value is None or _is_number(value))
        return None if value is None else float(value)

    def numbers(self, key: str) -> list[float]:
        return list(
            self._take(key, lambda value: isinstance(value, list) and all(map(_is_number, value)))
        )

    def one_of(self, key: str, choices: tuple[Any, ...]) -> Any:
        return self._take(key, lambda value: isinstance(value, (str, int)) and value in choices)

    def option(self, key: str, kind: type) -> Any:
        """A value, None, or a mapping of layer globs to such."""

        def fits(value: Any) -> bool:
            if isinstance(value, dict):
                return all(isinstance(one, (kind, type(None))) for one in value.values())
            return value is None or isinstance(value, kind)

        return self._take(key, fits)

    def amount(self, key: str) -> str | int | None:
        """An amount of memory, in words or bytes, or None."""

        def fits(value: Any) -> bool:
            return value is None or isinstance(value, str) or _is_whole(value)

        value: str | int | None = self._take(key, fits)
        return value

    def lengths(self, key: str) -> tuple[int | None, ...] | None:
        """A shape, with None for lengths that vary; or None."""

        def fits(value: Any) -> bool:
            if not isinstance(value, list) or len(value) > _MOST_AXES:
                return value is None
            return all(one is None or _is_whole(one) for one in value)

        value = self._take(key, fits)
        return None if value is None else tuple(value)

    def optional(self, key: str) -> _Facts | None:
        value = self._take(key, lambda value: value is None or isinstance(value, dict))
        return None if value is None else _Facts(value, self._require, key)

    def objects(self, key: str) -> list[_Facts]:
        values = self._take(key, lambda value: _is_list(value, dict))
        return [_Facts(value, self._require, f"layer {n}") for n, value in enumerate(values)]


def _position(facts: _Facts | None) -> Position | None:
    if facts is None:
        return None
    return Position(facts.whole("batches"), facts.whole("probes"), facts.whole("checksum"))


def _is_list(value: Any, kind: type) -> bool:
    return isinstance(value, list) and all(isinstance(one, kind) for one in value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _LARGEST


def _is_number(value: Any) -> bool:
    return (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and 0 <= value < float("inf")
    )


def _read_layer(container: Container, layer: _Facts, stops: Stops, prefix: str) -> TallyState:
    top = len(stops)
    shape = tuple(layer.wholes("unit_shape"))
    units = math.prod(shape)
    columns = tuple(layer.wholes("columns"))
    inactive_at = layer.number_or_none("inactive_at")
    facts: dict[str, Any] = {
        "kind": layer.text("kind"),
        "unit": layer.one_of("unit", ("element", "channel", "token")),
        "channel_axis": layer.option("channel_axis", int),
        "unit_shape": shape,
        "response_shape": layer.lengths("response_shape"),
        "dtypes": layer.texts("dtypes"),
        "probes": layer.whole("probes"),
        "entries": layer.whole("entries"),
        "masked": layer.whole("masked"),
        "mask_missed": layer.flag("mask_missed"),
        "columns": columns,
        "inactive_at": inactive_at,
    }
    axis = facts["channel_axis"]
    known_axis = axis is None or (isinstance(axis, int) and 1 <= axis <= _MOST_AXES)
    ascending = list(columns) == sorted({0, *columns, top})
    element = facts["unit"] == "element"
    for what, holds in (
        ("unit_shape", units < _LARGEST and len(shape) <= _MOST_AXES),
        ("unit_shape", element or len(shape) == 1),
        ("columns", ascending and columns[-1] == top),
        ("inactive_at", inactive_at is None or inactive_at in stops.values),
        ("channel_axis", known_axis and (axis is None or not element or axis <= len(shape))),
    ):
        container.require(holds, f"{what} of layer {layer.text('name')!r} cannot be")

    counter = _LITTLE[layer.one_of("counter", tuple(np.dtype(d).name for d in COUNTER_DTYPES))]
    read = container.array
    arrays = {"counts": read(prefix + "counts", counter, (units, len(columns)))}
    for key in ("abs_sum", "square_sum", "abs_max"):
        arrays[key] = read(prefix + key, _FLOAT64, (units,))
    bins = _LITTLE[np.min_scalar_type(top + 1).name]
    arrays["highest_bin"] = read(prefix + "highest_bin", bins, (units,))
    for key in ("inactive_sum", "square_low", "square_high"):
        arrays[key] = read(prefix + key, _INT64, (top + 1,))
    if layer.flag("non_finite"):
        for key in ("nan_count", "infinite_count"):
            arrays[key] = read(prefix + key, _INT64, (units,))
    if inactive_at is not None:
        arrays["inactive"] = read(prefix + "inactive", _INT64, (facts["probes"],))
    state = TallyState(facts, {key: _native(array) for key, array in arrays.items()})
    fault = _fault(state, units, top)
    container.require(not fault, f"{fault} of layer {layer.text('name')!r} cannot be")
    return state


def _native(array: np.ndarray) -> np.ndarray:
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _fault(state: TallyState, units: int, top: int) -> str:
    """Which array contradicts the others; empty where none does."""
    arrays, probes = state.arrays, state.facts["probes"]
    entries, columns = state.facts["entries"], list(state.facts["columns"])
    counts, inactive_sum = arrays["counts"], arrays["inactive_sum"]
    low, high = arrays["square_low"], arrays["square_high"]
    by_column = [int(column.sum(dtype=np.uint64)) for column in counts.T]
    unit_totals = counts.sum(axis=1, dtype=np.float64)
    sums = inactive_sum.astype(object)
    squares = high.astype(object) * _LIMB + low
    none = np.zeros(0, np.int64)
    held = np.cumsum(np.array(by_column, dtype=object))
    wide_enough = probes <= np.iinfo(counts.dtype).max and unit_totals.max(initial=0) <= probes
    checks = {
        "counts": wide_enough and (sums[list(columns)] == held).all(),
        "inactive_sum": inactive_sum[0] >= 0 and (np.diff(inactive_sum) >= 0).all(),
        "square_low": _within(low, _LIMB - 1) and (high >= 0).all(),
        "square_high": (probes * squares - sums * sums >= 0).all(),
        "highest_bin": _within(arrays["highest_bin"], top + 1),
        "entries": entries >= probes,
        "inactive": _within(arrays.get("inactive", none), units),
    }
    for key in ("abs_sum", "square_sum", "abs_max"):
        checks[key] = (arrays[key] >= 0).all()
    for key in ("nan_count", "infinite_count"):
        checks[key] = _within(arrays.get(key, none), entries)
    return next((name for name, holds in checks.items() if not holds), "")


def _within(array: np.ndarray, most: int) -> bool:
    return bool((array >= 0).all() and (array <= most).all())
