"""Sources of arrays: mappings, iterables and callables that give responses."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sized
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from iua_widget.errors import ProducerError
from iua_widget.options import DEFAULT_SOURCE_OPTIONS, SourceOptions
from iua_widget.sources.batch import fields_of, origins_and_probes
from iua_widget.sources.labels import Labels
from iua_widget.sources.masks import asked_masks
from iua_widget.sources.pipeline import Pipeline
from iua_widget.sources.position import Position
from iua_widget.sources.source import Record, Source
from iua_widget.units.rule import UNKNOWN
from iua_widget.units.sparse_arrays import check_dense, is_scipy_sparse


class MappingSource:
    """Batches that are mappings of layer to array, or objects with such a mapping as `fields`.

    Parameters
    ----------
    open_stream : callable
        Gives a new iterator over the batches.
    label : str
    total : int, optional
        Probes, where known.
    restartable : bool
        Whether `open_stream` can be called again.
    options : SourceOptions
        Of which `max_probes`, `mask`, `groups` and `group_names` are used.
    steady : bool
        Whether every batch gives the same layers.
    notes : callable, optional
        Gives notes for whoever reads the counts.
    in_order : bool
        Whether the probes come in an order that the user knows.
    """

    whole_batches = True

    def __init__(
        self,
        open_stream: Callable[[], Iterable[Any]],
        *,
        label: str,
        total: int | None = None,
        restartable: bool = True,
        options: SourceOptions = DEFAULT_SOURCE_OPTIONS,
        steady: bool = True,
        notes: Callable[[], list[str]] = list,
        in_order: bool = False,
    ) -> None:
        self._notes = notes
        self.label = label
        self.steady = steady
        self.restartable = restartable
        self._total = total
        self._open_stream = open_stream
        self._options = options
        self.labels = Labels.asked(options, total, in_order=in_order)

    @property
    def total(self) -> int | None:
        """Probes it will give, where known."""
        return at_most(self._total, self._options.max_probes)

    @property
    def notes(self) -> list[str]:
        """The notes of the producer, such as a pipeline with a model in it."""
        return list(self._notes())

    @property
    def weights(self) -> str | None:
        """None, since arrays do not show what made them."""
        return None

    def batches(
        self,
        record: Record,
        restart: Callable[[], None] = lambda: None,  # noqa: ARG002  (arrays come once)
        position: Position | None = None,
    ) -> Generator[int]:
        """Stream once; see `Source.batches`."""
        position = position or Position()
        first = position.batches
        most, mask = self._options.max_probes, self._options.mask
        left = None if most is None else most - position.probes
        if left is not None and left <= 0:
            return
        labels, start = self.labels, position.probes
        stream = position.onward(_iterate(self._open_stream(), self.label))
        try:
            for number, batch in enumerate(stream, start=first):
                fields = _fields(batch, number)
                origins, counted = origins_and_probes(batch)
                if labels is not None:
                    labels.read(batch, number, start)
                    fields = {name: one for name, one in fields.items() if name != labels.field}
                probes = _probes(fields, number) if counted is None else counted
                if labels is not None:
                    labels.take(probes, number, left)
                masks = None if mask is None else asked_masks(mask, batch, number)
                if left is not None and probes > left:
                    fields = {layer: response[:left] for layer, response in fields.items()}
                    masks = masks.rows(left) if masks else None
                    probes = left
                for layer, response in fields.items():
                    origin = origins.get(layer, UNKNOWN)
                    real = masks.of(layer) if masks else origin.mask
                    record(layer, response, replace(origin, mask=real, inputs=probes))
                if masks and number == first:
                    masks.check_used(list(fields), batch=number)
                yield probes
                start += probes
                if left is not None:
                    left -= probes
                    if not left:
                        return
        finally:
            stream.close()


def at_most(total: int | None, most: int | None) -> int | None:
    """The smaller of two numbers of probes; None stands for unknown, or no limit."""
    return min(total, most) if total is not None and most is not None else total


def as_source(producer: Any, options: SourceOptions = DEFAULT_SOURCE_OPTIONS) -> Source:
    """Make a source of any producer that is not a model.

    Parameters
    ----------
    producer : mapping, callable or iterable
        One mapping of layer to array, cut into batches; a callable given the batch size (DNIKit's
        protocol), or taking nothing, that returns an iterable of batches; or such an iterable
        itself. A batch is a mapping of layer to array, or an object whose `fields` is one.
    options : SourceOptions
        Of which `batch_size`, `max_probes`, `mask`, `groups` and `group_names` are used.

    Returns
    -------
    Source

    Raises
    ------
    ProducerError
        If `producer` is none of these.

    Examples
    --------
    >>> import numpy as np
    >>> source = as_source({"relu": np.zeros((100, 8))})
    >>> source.total, list(source.batches(lambda layer, value, origin: None))
    (100, [32, 32, 32, 4])
    """
    label = type(producer).__name__
    if isinstance(producer, Mapping):
        return _mapping_source(producer, options)
    if callable(producer):
        return MappingSource(
            _opener(producer, options.batch_size),
            label=_callable_label(producer),
            options=options,
            steady=getattr(producer, "steady", True) is True,
            notes=(lambda: producer.notes) if isinstance(producer, Pipeline) else list,
        )
    if isinstance(producer, (np.ndarray, str, bytes)) or not isinstance(producer, Iterable):
        message = (
            "the producer must be a mapping {layer: array}, an iterable of such mappings (one a "
            "batch), a callable producer(batch_size) that yields them, or a torch.nn.Module with "
            f"its loader; got {label}."
        )
        if isinstance(producer, (str, Path)):
            message += " A saved run is read by IUA.load, and a history by IUAMonitor.load."
        raise ProducerError(message)
    return MappingSource(
        lambda: producer,
        label=label,
        total=_sequence_total(producer),
        restartable=not isinstance(producer, Iterator),
        options=options,
        in_order=isinstance(producer, (list, tuple)),
    )


def _mapping_source(mapping: Mapping[str, Any], options: SourceOptions) -> Source:
    if not mapping:
        message = "the mapping of layer to array is empty: there is nothing to count."
        raise ProducerError(message)
    lengths = {layer: _length(layer, response) for layer, response in mapping.items()}
    total = _one_length(lengths, where="the mapping")

    def cut() -> Iterator[Mapping[str, Any]]:
        # An empty array still tells its layer and shape: one batch of no probes.
        for start in range(0, max(total, 1), options.batch_size):
            rows = slice(start, start + options.batch_size)
            yield {layer: response[rows] for layer, response in mapping.items()}

    label = f"{len(mapping)} array{'' if len(mapping) == 1 else 's'}"
    return MappingSource(cut, label=label, total=total, options=options, in_order=True)


def _opener(producer: Callable[..., Any], batch_size: int) -> Callable[[], Any]:
    """How to call a producer: with the batch size if it takes one, or without."""
    try:
        signature = inspect.signature(producer)
    except (TypeError, ValueError):
        return lambda: producer(batch_size)
    keywords = {"batch_size": batch_size}
    parameter = signature.parameters.get("batch_size")
    if parameter is not None and parameter.kind is parameter.KEYWORD_ONLY:
        return lambda: producer(**keywords)
    if parameter is None and _binds(signature):
        return producer
    if _binds(signature, 1):
        return lambda: producer(batch_size)
    message = (
        f"{_callable_label(producer)}{signature} cannot be called as producer(batch_size) "
        "nor as producer(). Give it one parameter, the batch size, or none."
    )
    raise ProducerError(message)


def _binds(signature: inspect.Signature, *args: object) -> bool:
    try:
        signature.bind(*args)
    except TypeError:
        return False
    return True


def _callable_label(producer: Callable[..., Any]) -> str:
    return getattr(producer, "__name__", type(producer).__name__)


def _iterate(stream: Iterable[Any], label: str) -> Iterator[Any]:
    if isinstance(stream, Mapping):
        # A producer that returns all its responses at once means one batch.
        return iter((stream,))
    try:
        return iter(stream)
    except TypeError:
        message = (
            f"{label} must give an iterable of batches, each a mapping {{layer: array}}; got "
            f"{type(stream).__name__}."
        )
        raise ProducerError(message) from None


def _fields(batch: Any, number: int) -> Mapping[str, Any]:
    fields = fields_of(batch)
    if fields is None:
        message = (
            f"batch {number} is {_describe(batch)}, not a mapping {{layer: array}} nor an object "
            "with `fields`. If these are inputs of a model, pass the model first: "
            "IUAWidget(model, loader) or IUA.introspect(model, loader)."
        )
        raise ProducerError(message, batch=number)
    for layer in fields:
        if not isinstance(layer, str):
            message = f"batch {number}: layers must be named by strings; got {layer!r}."
            raise ProducerError(message, batch=number)
    return fields


def _describe(batch: Any) -> str:
    kind = type(batch).__name__
    if isinstance(batch, (tuple, list)):
        inside = ", ".join(type(item).__name__ for item in batch[:4])
        return f"a {kind} of ({inside}{', ...' if len(batch) > 4 else ''})"  # noqa: PLR2004
    return f"a {kind}"


def _probes(fields: Mapping[str, Any], number: int) -> int:
    lengths = {layer: _length(layer, response, number) for layer, response in fields.items()}
    return _one_length(lengths, where=f"batch {number}", batch=number) if lengths else 0


def _length(layer: str, response: Any, batch: int = 0) -> int:
    check_dense(response, f"layer {layer!r}, batch {batch}: the response", layer=layer, batch=batch)
    try:
        return len(response)
    except TypeError:
        message = (
            f"layer {layer!r}, batch {batch}: the response is {type(response).__name__} and has "
            "no batch axis. Give an array whose first axis counts the probes."
        )
        raise ProducerError(message, layer=layer, batch=batch) from None


def _one_length(lengths: Mapping[str, int], *, where: str, batch: int | None = None) -> int:
    first, length = next(iter(lengths.items()))
    for layer, other in lengths.items():
        if other != length:
            message = (
                f"{where}: layer {first!r} has {length} probes and layer {layer!r} has {other}. "
                "All layers of a batch answer the same probes: their first axes must agree."
            )
            raise ProducerError(message, layer=layer, batch=batch)
    return length


def _sequence_total(producer: Iterable[Any]) -> int | None:
    if not isinstance(producer, (list, tuple)):
        return None  # to look into another sequence may be to compute it
    total = 0
    for batch in producer:
        first = next(iter((fields_of(batch) or {}).values()), None)
        if not isinstance(first, Sized) or is_scipy_sparse(first):
            return None
        total += len(first)
    return total
