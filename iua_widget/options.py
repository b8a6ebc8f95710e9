"""The options of a run: those that open a stream, and those that say how to count."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

from iua_widget.common.amounts import memory_budget
from iua_widget.common.labels import checked_labels, checked_names
from iua_widget.common.layer_names import of_layer, try_one_of, unmatched
from iua_widget.common.plain_values import plain
from iua_widget.common.words import did_you_mean
from iua_widget.engines.choice import EngineName, check_engine
from iua_widget.errors import LayerSelectionError, ProducerError, ToleranceError
from iua_widget.tolerances import Stops, Tolerances, default_stops
from iua_widget.units.rule import UnitRule

CallsOption = Literal["auto", "separate", "merge"]
"""What to do with the calls of one module, or of one function by one module, in a pass."""

_MOST_TOP_PROBES: Final = 10_000

Mode = Literal["eval", "train"]
"""The mode in which a model runs."""

MaskOption = Callable[[Any], Any]
"""Takes a batch as the loader gave it; returns an array of shape (items, positions), zero where
there is padding (or one to be added to scores, below zero there), a mapping of layer glob to such
arrays, or None."""

GroupsOption = Callable[[Any], Any] | str | int | Sequence[Any]
"""Where the label of each probe is: a function of the batch, a field of it, a place in it, or the
labels of all probes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """The options that open a stream of responses: see `IUA.introspect` for each.

    Raises
    ------
    ProducerError
        If one of them cannot be used.

    Examples
    --------
    >>> SourceOptions(batch_size=64).calls
    'auto'
    """

    layers: Any = None
    batch_size: int = 32
    mask: MaskOption | None = None
    forward: Callable[[Any, Any], Any] | None = None
    max_probes: int | None = None
    mode: Mode = "eval"
    calls: CallsOption = "auto"
    causes: bool = False
    groups: GroupsOption | None = None
    group_names: Mapping[Any, str] | Sequence[str] | None = None

    def __post_init__(self) -> None:
        set_field = object.__setattr__  # the class is frozen
        set_field(self, "batch_size", check_count("batch_size", self.batch_size))
        if self.max_probes is not None:
            set_field(self, "max_probes", check_count("max_probes", self.max_probes, 1000))
        _check_callable("mask", self.mask, "lambda batch: batch['attention_mask']")
        _check_callable("forward", self.forward, "lambda model, batch: model(batch['x'])")
        _check_one_of("mode", self.mode, get_args(Mode))
        _check_one_of("calls", self.calls, get_args(CallsOption))
        set_field(self, "groups", _checked_groups(self.groups))
        if self.groups is None and self.group_names is not None:
            message = "group_names= names what groups= tells apart: give groups=, too."
            raise ProducerError(message)
        set_field(self, "group_names", checked_names(self.group_names))

    @property
    def of_models(self) -> dict[str, Any]:
        """Those given that only a model can take, by name."""
        given = {"layers": self.layers, "forward": self.forward}
        given |= {"mode": None if self.mode == "eval" else self.mode}
        given |= {"calls": None if self.calls == "auto" else self.calls}
        return {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class CountOptions:
    """The options that say what is counted, and how: see `IUA.introspect` for each.

    Attributes
    ----------
    grid : Stops
        `stops`, or the default ones, with `atol` among them.
    rule : UnitRule
        What `units` and `channel_axis` say.

    Raises
    ------
    ToleranceError, UnitsError, EngineError, MemoryBudgetError
        If one of them cannot be used.

    Examples
    --------
    >>> CountOptions(tolerances=Tolerances(atol=0.25), stops=[0.5]).grid
    Stops([0.0, 0.25, 0.5])
    """

    tolerances: Tolerances = field(default_factory=Tolerances)
    stops: Iterable[float] | None = field(default=None, compare=False)
    keep_inactive: bool = True
    units: str | Mapping[str, str] = "auto"
    channel_axis: int | Mapping[str, int] | None = None
    engine: EngineName = "auto"
    memory: str | int | None = None
    top_probes: int | Mapping[str, int] = 0
    causes: bool = False
    grid: Stops = field(init=False)
    rule: UnitRule = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        set_field = object.__setattr__  # the class is frozen
        stops = _checked_stops(self.stops)
        set_field(self, "stops", stops)
        atol = self.tolerances.atol
        set_field(self, "grid", _default_grid(atol) if stops is None else Stops([*stops, atol]))
        set_field(self, "keep_inactive", bool(self.keep_inactive))
        set_field(self, "causes", bool(self.causes))
        set_field(self, "rule", UnitRule(self.units, self.channel_axis))
        check_engine(self.engine)
        memory = plain(self.memory)
        if memory is not None:
            memory_budget(memory)
        for name, value in (
            ("units", self.rule.units),
            ("channel_axis", self.rule.channel_axis),
            ("memory", memory),
            ("top_probes", _checked_top_probes(self.top_probes)),
        ):
            set_field(self, name, _plain_option(value))

    def top_probes_of(self, layer: str) -> int:
        """How many of the inputs with the largest responses to keep of each unit of a layer."""
        asked = self.top_probes
        return asked if isinstance(asked, int) else of_layer(asked, layer, 0)

    def check_used(self, layers: Iterable[str]) -> None:
        """Check that every name and glob of these options matches a layer.

        Raises
        ------
        UnitsError, LayerSelectionError
            If one matches none.
        """
        layers = list(layers)
        self.rule.check_used(layers)
        asked = {} if isinstance(self.top_probes, int) else self.top_probes
        if (glob := unmatched(asked, layers)) is not None:
            hint = try_one_of(glob, layers)
            message = f"top_probes={{{glob!r}: ...}} matches no layer. {hint}"
            raise LayerSelectionError(message)


def _checked_top_probes(value: Any) -> Any:
    numbers = plain(value)
    for name, k in numbers.items() if isinstance(numbers, Mapping) else [("*", numbers)]:
        number = plain(k)
        whole = isinstance(number, int) and not isinstance(number, bool)
        if not whole or not 0 <= number <= _MOST_TOP_PROBES or not isinstance(name, str):
            message = (
                f"top_probes must be a whole number from 0 to {_MOST_TOP_PROBES:,}, such as "
                "top_probes=8, or a mapping of layer names or globs to such, "
                f"top_probes={{'conv*': 8}}; got {value!r}."
            )
            raise ProducerError(message)
    return numbers


def check_count(name: str, value: object, example: int = 32) -> int:
    """Return `value` if it is a whole number above 0.

    Raises
    ------
    ProducerError
        Otherwise.
    """
    number = plain(value)
    if isinstance(number, int) and not isinstance(number, bool) and 0 < number <= sys.maxsize:
        return number
    message = f"{name} must be a whole number above 0, such as {name}={example}; got {value!r}."
    raise ProducerError(message)


def _check_callable(name: str, value: object, example: str) -> None:
    if value is not None and not callable(value):
        message = (
            f"{name} must be a callable, such as {name}={example}; got {type(value).__name__}."
        )
        raise ProducerError(message)


def _checked_groups(groups: Any) -> GroupsOption | None:
    """Where the labels are; those of all probes as a tuple."""
    groups = plain(groups)
    place = isinstance(groups, int) and not isinstance(groups, bool)
    if groups is None or callable(groups) or isinstance(groups, str) or place:
        return groups  # type: ignore[no-any-return]
    return tuple(checked_labels(groups, "groups="))


def _check_one_of(name: str, value: object, options: tuple[str, ...]) -> None:
    if value not in options:
        *others, last = map(repr, options)
        hint = did_you_mean(value, options)
        message = f"{name} must be {', '.join(others)} or {last}; got {value!r}.{hint}"
        raise ProducerError(message)


def _checked_stops(stops: object) -> tuple[float, ...] | None:
    if stops is None:
        return None
    is_one = isinstance(stops, (str, bytes)) or stops is not plain(stops)
    if is_one or not isinstance(stops, Iterable):
        message = (
            f"stops must be a list of tolerances, such as stops=[0, 1e-3, 0.05]; got {stops!r:.60}."
        )
        raise ToleranceError(message)
    return tuple(stops)


@functools.lru_cache(maxsize=8)
def _default_grid(atol: float) -> Stops:
    """The default stops with `atol`, made once."""
    return Stops(default_stops(atol))


def _plain_option(value: Any) -> Any:
    """An option that was checked, as JSON can hold it."""
    if isinstance(value, Mapping):
        return {key: _plain_option(one) for key, one in value.items()}
    return value if value is None or isinstance(value, str) else int(value)


DEFAULT_SOURCE_OPTIONS: Final = SourceOptions()
