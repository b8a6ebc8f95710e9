"""Writes histories of training to files and reads them, checking all that is read.

See ``docs/file-format.md`` for the layout.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np

from iua_widget.engines.choice import EngineName
from iua_widget.errors import FileError, ToleranceError
from iua_widget.files.container import Container, container_bytes, write_container
from iua_widget.files.facts import MOST_AXES, Facts
from iua_widget.files.run_file import parts_of, run_in
from iua_widget.history.alarm_event import AlarmEvent
from iua_widget.history.history import History
from iua_widget.history.layers import LayerIndex, LayerUnits
from iua_widget.history.look import Look
from iua_widget.tolerances import Stops, Tolerances, check_scale

VERSION: Final = 1
FORMAT: Final = "iua_widget history"
_MOST_UNITS: Final = 2**31
_COUNTS: Final = ("probes", "nan", "infinite")
_MEANS: Final = ("layer_mean", "neuron_mean")
_INACTIVE: Final = ("mean", "std")
_INT64, _FLOAT64, _FLOAT32 = (np.dtype(name) for name in ("<i8", "<f8", "<f4"))

Arrays = Iterator[tuple[str, np.ndarray]]


def write_history(path: Path, history: History, settings: Mapping[str, Any]) -> None:
    """Write a history to a file; should a look be added, it waits meanwhile.

    Parameters
    ----------
    path : Path
    history : History
    settings : mapping
        What JSON can hold, to be given back with it.

    Raises
    ------
    FileError
        If it cannot be written there.
    """
    with history.lock:
        write_container(path, VERSION, *_parts(history, settings, whole=True))


def history_bytes(history: History, settings: Mapping[str, Any]) -> bytes:
    """The bytes of such a file, without looks that are kept whole: for a checkpoint."""
    with history.lock:
        return container_bytes(VERSION, *_parts(history, settings, whole=False))


def _parts(
    history: History, settings: Mapping[str, Any], *, whole: bool
) -> tuple[dict[str, Any], Arrays]:
    indices: dict[LayerIndex, int] = {}
    looks = [
        {
            "step": look.step,
            "inputs": look.inputs,
            "layers": indices.setdefault(look.index, len(indices)),
            "counted": {str(number): list(columns) for number, columns in look.counted.items()},
        }
        for look in history.looks
    ]
    runs = {step: parts_of(run, f"whole/{step}/") for step, run in history.whole.items() if whole}
    facts = {
        "format": FORMAT,
        "version": VERSION,
        "library": version("iua-widget"),
        **asdict(history.tolerances),
        "stops": history.stops.values,
        "budget": history.budget,
        "made": history.made,
        "notes": history.notes,
        "events": [event.plain for event in history.events],
        "settings": dict(settings),
        "layers": [[asdict(layer) for layer in index.layers] for index in indices],
        "looks": looks,
        "whole": [{"step": step, **run} for step, (run, _) in runs.items()],
    }

    def arrays() -> Arrays:
        for number, look in enumerate(history.looks):
            yield from _arrays_of(look, f"looks/{number}/")
        for _, of_run in runs.values():
            yield from of_run

    return facts, arrays()


def _arrays_of(look: Look, prefix: str) -> Arrays:
    for name, fields in (("counts", _COUNTS), ("means", _MEANS), ("inactive", _INACTIVE)):
        yield prefix + name, np.stack([getattr(look, field) for field in fields])
    for name in ("dead_from", "mean_abs", "channel_mean_abs"):
        yield prefix + name, getattr(look, name)


def read_history(
    source: Path | bytes, engine: EngineName = "auto"
) -> tuple[History, dict[str, Any]]:
    """Read a history, and the settings that were written with it.

    Parameters
    ----------
    source : Path or bytes
        A file, or what `history_bytes` gave.
    engine : EngineName
        Of looks that are kept whole.

    Raises
    ------
    FileError
        If it cannot be read, is no such file, is of a newer version, damaged, or holds what no
        monitor can have written.
    """
    with Container(source, VERSION) as container:
        container.check_format(FORMAT)
        facts = Facts(container.facts, container.require, "the history")
        history = _empty(container, facts)
        indices = [
            _index([Facts(one, container.require, "a layer") for one in layers])
            for layers in facts.lists("layers", dict)
        ]
        expected: set[str] = set()
        for number, one in enumerate(facts.objects("looks")):
            index = indices[one.within("layers", len(indices))]
            look, names = _look(container, one, index, history.stops, f"looks/{number}/")
            ascends = not history.looks or look.step > history.looks[-1].step
            container.require(ascends, "its looks do not ascend")
            history.looks.append(look)
            history.nbytes += look.nbytes
            expected |= names
        steps = set(history.steps)
        for one in facts.objects("whole"):
            step = one.whole("step")
            container.require(step in steps, f"there is no look at step {step}, kept whole")
            run, names = run_in(container, one, engine, f"whole/{step}/")
            alike = run.options.grid == history.stops
            container.require(alike, f"the whole look at step {step} has other stops")
            history.keep_whole(step, run)
            expected |= names
        for told in facts.dicts("events"):
            try:
                history.events.append(AlarmEvent.of_plain(told))
            except ValueError as error:
                container.require(False, str(error))  # noqa: FBT003
        strangers = sorted(container.names - expected)
        container.require(not strangers, f"{strangers[:3]} do not belong to it")
        return history, facts.mapping("settings")


def _empty(container: Container, facts: Facts) -> History:
    stops = Stops(facts.numbers("stops"))
    ascending = list(stops.values) == facts.numbers("stops")
    container.require(ascending, "its stops do not ascend from 0")
    try:
        tolerances = Tolerances(
            facts.number("rtol"),
            facts.number("atol"),
            check_scale(facts.text("scale")),
            facts.number("dead_at"),
            facts.number("tau"),
        )
        history = History(stops, tolerances, facts.whole("budget"))
    except ToleranceError as error:
        message = f"{container.called} holds tolerances that cannot be: {error}"
        raise FileError(message) from None
    history.made = facts.whole("made")
    history.notes = facts.texts("notes")
    few = history.made >= len(facts.objects("looks"))
    container.require(few, f"it keeps more than the {history.made} looks that were made")
    return history


def _index(layers: list[Facts]) -> LayerIndex:
    found = []
    for layer in layers:
        shape = tuple(layer.wholes("shape"))
        axis = layer.whole_or_none("channel_axis")
        name = layer.text("name")
        layer.require(len(shape) <= MOST_AXES, f"shape of layer {name!r} cannot be")
        layer.require(math.prod(filter(None, shape)) < _MOST_UNITS, f"shape of layer {name!r}")
        layer.require(axis is None or axis < len(shape), f"channel_axis of layer {name!r}")
        choice = layer.one_of("choice", ("element", "channel", "token"))
        found.append(LayerUnits(name, layer.text("kind"), choice, shape, axis))
    index = LayerIndex(found)
    for layer in layers[:1]:
        layer.require(len(index.numbers) == len(index), "a layer is there twice")
    return index


def _look(
    container: Container, facts: Facts, index: LayerIndex, stops: Stops, prefix: str
) -> tuple[Look, set[str]]:
    top, layers = len(stops), len(index)
    units, channels = int(index.units[-1]), int(index.channels[-1])
    first = np.min_scalar_type(top + 1).newbyteorder("<")
    forms: dict[str, tuple[np.dtype[Any], tuple[int, ...]]] = {
        "counts": (_INT64, (len(_COUNTS), layers)),
        "means": (_FLOAT64, (len(_MEANS), layers)),
        "inactive": (_FLOAT64, (len(_INACTIVE), layers, top + 1)),
        "dead_from": (first, (units,)),
        "mean_abs": (_FLOAT32, (units,)),
        "channel_mean_abs": (_FLOAT64, (channels,)),
    }
    arrays = {name: _native(container.array(prefix + name, *form)) for name, form in forms.items()}
    rows = [(_COUNTS, "counts"), (_MEANS, "means"), (_INACTIVE, "inactive")]
    fields = {
        name: row for names, of in rows for name, row in zip(names, arrays.pop(of), strict=True)
    }
    look = Look(
        step=facts.whole("step"),
        inputs=facts.whole("inputs"),
        index=index,
        counted=_counted(container, facts.mapping("counted"), layers, top),
        **fields,
        **arrays,
    )
    fault = _fault(look, top)
    container.require(not fault, f"{fault} of the look at step {look.step} cannot be")
    return look, {prefix + name for name in forms}


def _counted(
    container: Container, written: Mapping[str, Any], layers: int, top: int
) -> dict[int, tuple[int, ...]]:
    counted = {}
    for number, columns in written.items():
        fits = number.isdecimal() and len(number) < 10 and int(number) < layers  # noqa: PLR2004
        fits = fits and isinstance(columns, list) and all(type(one) is int for one in columns)
        fits = fits and columns == sorted({0, *columns, top}) and columns[-1] == top
        container.require(fits, f"the columns of layer {number:.20} cannot be")
        counted[int(number)] = tuple(columns)
    return counted


def _fault(look: Look, top: int) -> str:
    """Which array cannot be; empty where all can."""
    units = np.diff(look.index.units)[:, None]
    with np.errstate(invalid="ignore"):
        reached = np.broadcast_to(look.probes[:, None] > 0, look.mean.shape)
        within = (look.mean >= 0) & (look.mean <= units)
        ascends = (np.diff(look.mean, axis=1) >= 0) | ~reached[:, 1:]
        checks = {
            "probes": (look.probes >= 0).all(),
            "nan": (look.nan >= 0).all() and (look.infinite >= 0).all(),
            "layer_mean": (look.layer_mean >= 0).all() and (look.neuron_mean >= 0).all(),
            "mean": (within == reached).all() and ascends.all(),
            "std": ((look.std >= 0) == reached).all(),
            "dead_from": (look.dead_from <= top + 1).all(),
            "mean_abs": not (look.mean_abs < 0).any(),
            "channel_mean_abs": not (look.channel_mean_abs < 0).any(),
        }
    at_counted = all(
        np.isin(look.dead_from[look.index.units_of(number)], [*columns, top + 1]).all()
        for number, columns in look.counted.items()
    )
    checks["dead_from"] = checks["dead_from"] and at_counted
    return next((name for name, holds in checks.items() if not holds), "")


def _native(array: np.ndarray) -> np.ndarray:
    return array.astype(array.dtype.newbyteorder("="), copy=False)
