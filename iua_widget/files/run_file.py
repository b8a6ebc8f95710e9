"""Writes runs to files and bytes and reads them, checking all that is read.

See ``docs/file-format.md`` for the layout.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np

from iua_widget.common.labels import Label
from iua_widget.engines.choice import EngineName, check_engine
from iua_widget.errors import (
    FileError,
    MemoryBudgetError,
    ProducerError,
    ToleranceError,
    UnitsError,
)
from iua_widget.files.container import Container, container_bytes, write_container
from iua_widget.files.facts import MOST_AXES, Facts
from iua_widget.options import CountOptions
from iua_widget.run.run import Run
from iua_widget.sources.position import Position
from iua_widget.tally.store import STATES
from iua_widget.tally.tally import Tally, TallyState
from iua_widget.tally.top_probes import ARRAYS, can_be
from iua_widget.tally.unit_counts import COUNTER_DTYPES
from iua_widget.tolerances import DEFAULT_TAU, Stops, Tolerances

VERSION: Final = 1
FORMAT: Final = "iua_widget run"
_LIMB: Final = 2**40
_MOST_UNITS: Final = 2**31
_MOST_WITHOUT_UNITS: Final = 2**24
"""What the other axes of a shape may multiply to where one is 0."""

_FLUSHED: Final = 1e-30
"""What a sum may lack where threads of PyTorch's flush small numbers to zero."""

_TOLD_BY: Final = {state.optional: state.name for state in STATES if state.optional}
"""Arrays that are not always there, by the flag that tells."""

_LITTLE: Final = {f"uint{8 * width}": np.dtype(f"<u{width}") for width in (1, 2, 4, 8)}
_INT64: Final = np.dtype("<i8")


def write_run(path: Path, run: Run) -> None:
    """Write a run to a file; should it be counting, it waits meanwhile.

    Raises
    ------
    FileError
        If it cannot be written there.
    """
    with run.lock:
        write_container(path, VERSION, *_whole(run))


def run_bytes(run: Run) -> bytes:
    """The bytes of such a file."""
    with run.lock:
        return container_bytes(VERSION, *_whole(run))


def _whole(run: Run) -> tuple[dict[str, Any], Iterator[tuple[str, np.ndarray]]]:
    facts, arrays = parts_of(run)
    return {"format": FORMAT, **facts}, arrays


def parts_of(run: Run, prefix: str = "") -> tuple[dict[str, Any], Iterator[tuple[str, np.ndarray]]]:
    """What of a run is kept as JSON, and its arrays by name; nothing may be counted meanwhile.

    Parameters
    ----------
    run : Run
    prefix : str
        What the names of the arrays begin with.
    """
    counted, groups = _states(run), run.groups
    of_groups = {name: _states(group) for name, group in (groups or {}).items()}

    def arrays() -> Iterator[tuple[str, np.ndarray]]:
        yield from _arrays(counted, prefix)
        for number, states in enumerate(of_groups.values()):
            yield from _arrays(states, f"{prefix}groups/{number}/")

    facts = _facts(run) | {"layers": _layers(counted)}
    if groups is not None:
        facts["not_by_group"] = list(run.not_by_group)
        facts["groups"] = [
            {
                "name": name,
                "labels": sorted(map(_plain_label, groups[name].labels), key=repr),
                "probes": groups[name].probes,
                "layers": _layers(states),
            }
            for name, states in of_groups.items()
        ]
    return facts, arrays()


_States = Sequence[tuple[str, TallyState]]


def _states(run: Run) -> _States:
    return [(name, tally.state()) for name, tally in run.tallies.items()]


def _arrays(states: _States, prefix: str) -> Iterator[tuple[str, np.ndarray]]:
    for number, (_, state) in enumerate(states):
        for key, array in state.arrays.items():
            yield f"{prefix}layers/{number}/{key}", array


def _plain_label(label: Label) -> str | int | float:
    """A label as JSON can hold it: what is no text or number, as it is written."""
    return label if isinstance(label, (str, int, float)) else str(label)


def _facts(run: Run) -> dict[str, Any]:
    """What of a run is kept as JSON, but for its layers."""
    options, position = run.options, run.position
    return {
        "version": VERSION,
        "library": version("iua-widget"),
        **asdict(options.tolerances),
        "stops": options.grid.values,
        "keep_inactive": options.keep_inactive,
        "causes": options.causes,
        "units": options.units,
        "channel_axis": options.channel_axis,
        "memory": options.memory,
        "top_probes": options.top_probes,
        "probes": run.probes,
        "inputs_passed": run.inputs_passed,
        "notes": run.kept_notes,
        "steady": run.steady,
        "weights": run.weights,
        "position": position
        and {
            "batches": position.batches,
            "probes": position.probes,
            "checksum": position.checksum,
            **({} if position.row is None else {"row": position.row}),
        },
    }


def _layers(states: _States) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            **state.facts,
            "counter": state.arrays["counts"].dtype.name,
            **{name: array in state.arrays for name, array in _TOLD_BY.items()},
        }
        for name, state in states
    ]


def read_run(source: Path | bytes, engine: EngineName = "auto") -> Run:
    """Read a run, to be counted on by an engine.

    Parameters
    ----------
    source : Path or bytes
        A file, or what `run_bytes` gave.
    engine : EngineName

    Raises
    ------
    FileError
        If it cannot be read, is no such file, is of a newer version, damaged, or holds what no run
        can have written.
    EngineError
        If the engine cannot be had.
    """
    check_engine(engine)
    with Container(source, VERSION) as container:
        container.check_format(FORMAT)
        facts = Facts(container.facts, container.require, "the run")
        run, expected = run_in(container, facts, engine)
        strangers = sorted(container.names - expected)
        container.require(not strangers, f"{strangers[:3]} do not belong to it")
        return run


def run_in(
    container: Container, facts: Facts, engine: EngineName, prefix: str = ""
) -> tuple[Run, set[str]]:
    """The run that `parts_of` has taken apart, and the names of its arrays.

    Raises
    ------
    FileError
        If no run can have been so.
    """
    run = Run(_options(container, facts, engine))
    expected = _read_counts(container, facts, run, prefix)
    run.inputs_passed = facts.whole_or_none("inputs_passed") or run.probes
    run.source_notes = facts.texts("notes")
    run.position = _position(facts.optional("position"))
    run.steady = facts.flag_or("steady", default=True)
    run.weights = facts.texts_or_empty("weights")
    groups = facts.objects_or_none("groups")
    if groups is not None:
        run.groups, run.not_by_group = {}, dict.fromkeys(facts.texts("not_by_group"))
        for number, one in enumerate(groups):
            name, group = one.text("name"), run.new_group(set(one.labels("labels")))
            container.require(name not in run.groups, f"group {name!r} is there twice")
            expected |= _read_counts(container, one, group, f"{prefix}groups/{number}/")
            run.add_groups({name: group})
    fault = _contradiction(run) or _contradiction_of_groups(run)
    container.require(not fault, fault)
    return run, expected


def _read_counts(container: Container, facts: Facts, run: Run, prefix: str) -> set[str]:
    """Read the layers of a run, or of a group of it, and the names of their arrays."""
    expected: set[str] = set()
    for number, layer in enumerate(facts.objects("layers")):
        within = f"{prefix}layers/{number}/"
        state = _read_layer(container, layer, run.options.grid, within)
        expected |= {within + key for key in state.arrays}
        name = layer.text("name")
        container.require(name not in run.tallies, f"layer {name!r} is there twice")
        run.tallies[name] = Tally.from_state(run.options.grid, state, run.engine)
    run.probes = facts.whole("probes")
    return expected


def _contradiction_of_groups(run: Run) -> str:
    """How groups contradict what they sum up to; empty where they do not."""
    if run.groups is None:
        return ""
    groups = run.groups.values()
    if sum(group.probes for group in groups) != run.probes:
        return f"its groups have other probes in all than the {run.probes} of the run"
    for name, tally in run.tallies.items():
        parts = [group.tallies[name] for group in groups if name in group.tallies]
        if name in run.not_by_group:
            if parts:
                return f"layer {name!r} is counted by group, and is not"
            continue
        whole = tally.store.read_moments().inactive_sum
        sums = [part.store.read_moments().inactive_sum for part in parts]
        alike = all(
            (part.unit_shape, part.plan) == (tally.unit_shape, tally.plan) for part in parts
        )
        if not alike or (np.sum([np.zeros_like(whole), *sums], axis=0) != whole).any():
            return f"the groups of layer {name!r} do not sum up to it"
        if any(part.top is not None and part.top.latest >= run.inputs_passed for part in parts):
            return f"the groups of layer {name!r} have top probes beyond its {run.inputs_passed}"
    strangers = sorted({name for group in groups for name in group.tallies} - {*run.tallies})
    return f"only groups have {strangers[:3]}" if strangers else ""


def _options(container: Container, facts: Facts, engine: EngineName) -> CountOptions:
    """The options with which a run was counted."""
    stops = Stops(facts.numbers("stops"))
    ascending = list(stops.values) == facts.numbers("stops")
    container.require(ascending, "its stops do not ascend from 0")
    container.require(facts.number("atol") in stops.values, "its atol is none of its stops")
    tolerances: dict[str, Any] = {
        "rtol": facts.number("rtol"),
        "atol": facts.number("atol"),
        "scale": facts.text("scale"),
        "dead_at": facts.number("dead_at"),
        "tau": facts.number_or("tau", default=DEFAULT_TAU),
    }
    counting: dict[str, Any] = {
        "stops": stops.values,
        "keep_inactive": facts.flag("keep_inactive"),
        "causes": facts.flag_or("causes", default=False),
        "units": facts.option("units", str),
        "channel_axis": facts.option("channel_axis", int),
        "memory": facts.amount("memory"),
        "top_probes": facts.option("top_probes", int) or 0,
    }
    try:
        return CountOptions(tolerances=Tolerances(**tolerances), engine=engine, **counting)
    except (MemoryBudgetError, ProducerError, ToleranceError, UnitsError) as error:
        message = f"{container.called} holds settings that cannot be: {error}"
        raise FileError(message) from None


def _position(facts: Facts | None) -> Position | None:
    if facts is None:
        return None
    return Position(
        facts.whole("batches"),
        facts.whole("probes"),
        facts.whole("checksum"),
        facts.whole_or_none("row"),
    )


def _contradiction(run: Run) -> str:
    """How the layers, the position and the run contradict each other; empty where they do not."""
    position, probes = run.position, run.probes
    if position is not None and position.probes != probes:
        return f"its position is at {position.probes} probes, and it has {probes}"
    if position is not None and probes and not position.batches:
        return f"it has {probes} probes of no batch"
    # A model may give a layer other probes than it has inputs; arrays are all of one length.
    arrays = all(tally.kind == "array" for tally in run.tallies.values())
    for name, tally in run.tallies.items():
        differs = arrays and tally.plan.choice != "token" and tally.probes != probes
        if tally.top is not None and tally.top.latest >= run.inputs_passed:
            return f"layer {name!r} has top probes that the run has not passed"
        if differs or (tally.probes and not probes):
            return f"layer {name!r} has {tally.probes} probes, and the run has {probes}"
    return ""


def _can_be(load: Mapping[str, Any] | None) -> bool:
    return load is None or (load["expert"] < load["experts"] and load["tokens"] <= load["routed"])


def _load(facts: Facts | None) -> dict[str, Any] | None:
    if facts is None:
        return None
    names = ("expert", "experts", "tokens", "routed")
    return {"module": facts.text("module"), **{name: facts.whole(name) for name in names}}


def _top(facts: Facts | None) -> dict[str, Any] | None:
    if facts is None:
        return None
    k, lengths = facts.whole("k"), facts.lengths("lengths")
    facts.require(k > 0 and lengths is not None, "top of a layer cannot be")
    return {"k": k, "lengths": lengths, "missed": facts.flag("missed")}


def _activation(layer: Facts) -> dict[str, float | None] | None:
    facts = layer.object_or_none("activation")
    if facts is None:
        return None
    return {name: facts.signed_or_none(name) for name in ("zero_up_to", "lower", "upper")}


def _parameters(layer: Facts) -> dict[str, Any] | None:
    facts = layer.object_or_none("parameters")
    if facts is None:
        return None
    return {
        "module": facts.text("module"),
        "batch_norm": facts.option("batch_norm", str),
        "rounding": facts.number("rounding"),
        "checksum": facts.whole("checksum"),
    }


def _read_layer(container: Container, layer: Facts, stops: Stops, prefix: str) -> TallyState:
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
        "merged_calls": layer.flag_or("merged_calls", default=False),
        "many_passes": layer.flag_or("many_passes", default=False),
        "load": _load(layer.optional("load")),
        "evidence_entries": layer.whole_or("evidence_entries", default=0),
        "pre_entries": layer.whole_or("pre_entries", default=0),
        "activation": _activation(layer),
        "parameters": _parameters(layer),
        "columns": columns,
        "inactive_at": inactive_at,
        "top": _top(layer.optional("top")),
        "first_non_finite": layer.whole_or_none("first_non_finite"),
    }
    axis = facts["channel_axis"]
    known_axis = axis is None or (isinstance(axis, int) and 1 <= axis <= MOST_AXES)
    ascending = list(columns) == sorted({0, *columns, top})
    element = facts["unit"] == "element"
    response_shape = facts["response_shape"]
    most = _MOST_UNITS if units else _MOST_WITHOUT_UNITS
    for what, holds in (
        ("unit_shape", math.prod(filter(None, shape)) < most and len(shape) <= MOST_AXES),
        ("unit_shape", element or len(shape) <= 1),
        ("response_shape", not element or response_shape in (None, shape)),
        ("load", _can_be(facts["load"])),
        ("columns", ascending and columns[-1] == top),
        ("inactive_at", inactive_at is None or inactive_at in stops.values),
        ("channel_axis", known_axis and (axis is None or not element or axis <= len(shape))),
    ):
        container.require(holds, f"{what} of layer {layer.text('name')!r} cannot be")

    counter = _LITTLE[layer.one_of("counter", tuple(np.dtype(d).name for d in COUNTER_DTYPES))]
    as_narrow = {"counts": counter, "highest_bin": _LITTLE[np.min_scalar_type(top + 1).name]}
    lengths = {"units": units, "columns": len(columns), "stops": top + 1}
    there = {name: layer.flag_or(name, default=False) for name in _TOLD_BY}
    arrays = {
        state.name: container.array(
            prefix + state.name,
            as_narrow.get(state.name, np.dtype(state.dtype).newbyteorder("<")),
            tuple(lengths[axis] for axis in state.axes),
        )
        for state in STATES
        if not state.optional or there[state.optional]
    }
    if inactive_at is not None:
        arrays["inactive"] = container.array(prefix + "inactive", _INT64, (facts["probes"],))
    if facts["top"] is not None:
        shape = units, facts["top"]["k"]
        arrays |= {
            name: container.array(prefix + name, np.dtype(dtype).newbyteorder("<"), shape)
            for name, dtype in ARRAYS.items()
        }
    state = TallyState(facts, {key: _native(array) for key, array in arrays.items()})
    kept_at = None if inactive_at is None else stops.values.index(inactive_at)
    fault = _fault(state, units, kept_at)
    container.require(not fault, f"{fault} of layer {layer.text('name')!r} cannot be")
    return state


def _native(array: np.ndarray) -> np.ndarray:
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _fault(state: TallyState, units: int, kept_at: int | None) -> str:
    """Which array contradicts the others; empty where none does.

    `kept_at` is the column at which the inactive units of each probe are kept.
    """
    arrays, probes = state.arrays, state.facts["probes"]
    entries, columns = state.facts["entries"], list(state.facts["columns"])
    counts, inactive_sum = arrays["counts"], arrays["inactive_sum"]
    low, high = arrays["square_low"], arrays["square_high"]
    none = np.zeros(units, np.int64)
    odd = [arrays.get(key, none) for key in ("nan_count", "infinite_count")]
    if not (_within(odd[0], entries) and _within(odd[1], entries)):
        return "nan_count"
    if (odd[0] > entries - odd[1]).any():
        return "infinite_count"
    by_column = [int(column.sum(dtype=np.uint64)) for column in counts.T]
    unit_totals = counts.sum(axis=1, dtype=np.float64)
    sums = inactive_sum.astype(object)
    squares = high.astype(object) * _LIMB + low
    held = np.cumsum(np.array(by_column, dtype=object))
    finite = (odd[0] == 0) & (odd[1] == 0)
    wide_enough = probes <= np.iinfo(counts.dtype).max and unit_totals.max(initial=0) <= probes
    moments = (squares >= sums) & (squares <= units * sums) & (probes * squares >= sums * sums)
    one_by_one = state.facts["unit"] != "channel"  # a channel has positions, or none at all
    checks = {
        "counts": wide_enough
        and (unit_totals[finite] == probes).all()
        and (sums[columns] == held).all(),
        "inactive_sum": inactive_sum[0] >= 0 and (np.diff(inactive_sum) >= 0).all(),
        "square_low": _within(low, _LIMB - 1) and (high >= 0).all(),
        "square_high": moments.all() and (np.diff(squares) >= 0).all(),
        "highest_bin": _is_highest(arrays["highest_bin"], counts, columns, probes),
        "entries": entries == probes or not one_by_one,
        "inactive": kept_at is None
        or _adds_up(arrays["inactive"], units, int(sums[kept_at]), int(squares[kept_at])),
        "abs_sum": (arrays["abs_sum"] >= arrays["abs_max"] - _FLUSHED).all(),
        "square_sum": (arrays["square_sum"] >= 0).all(),
        "abs_max": (arrays["abs_max"] >= 0).all(),
        "top_probes": state.facts["top"] is None or can_be(arrays, arrays["abs_max"]),
        **_fits_evidence(state),
    }
    zero = finite & (arrays["highest_bin"] == 0)
    for key in ("abs_sum", "square_sum", "abs_max"):
        checks[key] = checks[key] and not arrays[key][zero].any()
    return next((name for name, holds in checks.items() if not holds), "")


def _fits_evidence(state: TallyState) -> dict[str, bool]:
    """Whether arrays of evidence can be, by what they are called."""
    arrays, facts = state.arrays, state.facts
    fits: dict[str, bool] = {}
    if facts["evidence_entries"] and "highest" not in arrays:
        fits["evidence_entries"] = False
    if facts["pre_entries"] and "pre_highest" not in arrays:
        fits["pre_entries"] = False
    for prefix in ("", "pre_"):
        if f"{prefix}highest" in arrays:
            high, low = arrays[f"{prefix}highest"], arrays[f"{prefix}lowest"]
            fits[f"{prefix}highest"] = bool(((high >= low) | (high == -np.inf)).all())
    if facts["parameters"] is not None and "weight_max" not in arrays:
        fits["parameters"] = False
    if "at_lower" in arrays:
        lower, upper = arrays["at_lower"], arrays["at_upper"]
        most = facts["evidence_entries"]
        fits["at_lower"] = _within(lower, most) and _within(upper, most)
    if "pre_finite" in arrays:
        fits["pre_finite"] = _within(arrays["pre_finite"], facts["pre_entries"])
    return fits


def _is_highest(highest: np.ndarray, counts: np.ndarray, columns: list[int], probes: int) -> bool:
    """Whether these can be the highest bins of units with such counts.

    That of a NaN or an infinity is above all columns; it may stand for the unit, or the highest of
    its finite probes may.
    """
    top = columns[-1]
    if not _within(highest, top + 1):
        return False
    occurs = counts > 0
    last = len(columns) - 1 - np.argmax(occurs[:, ::-1], axis=1)
    place = np.searchsorted(columns, highest)
    any_finite = occurs.any(axis=1)
    fits = np.where(any_finite, place == last, highest == 0)
    not_finite = (highest == top + 1) & (counts.sum(axis=1, dtype=np.float64) < probes)
    return bool((fits | not_finite).all())


def _adds_up(inactive: np.ndarray, units: int, total: int, squares: int) -> bool:
    """Whether these can be the inactive units of each probe, with this sum and sum of squares."""
    wide = inactive.astype(np.float64)
    return (
        _within(inactive, units)
        and int(inactive.sum(dtype=np.uint64)) == total
        and math.isclose(float(wide @ wide), squares, rel_tol=1e-9)
    )


def _within(array: np.ndarray, most: int) -> bool:
    return bool((array >= 0).all() and (array <= most).all())
