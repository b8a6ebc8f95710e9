"""Anything that gives responses, made into one kind of stream: batches of layer and response."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sized
from itertools import chain
from typing import Any, Protocol

import numpy as np

from iua_widget.errors import ProducerError

Record = Callable[[str, Any], None]
"""Takes the name of a layer and its response for the batch at hand; must be done with the
response before it returns, because a model may overwrite it next."""


class Source(Protocol):
    """A stream of batches, whatever it comes from.

    Attributes
    ----------
    label : str
        What it is, in a few words, for display.
    total : int or None
        Probes it will give, where that is known beforehand.
    restartable : bool
        Whether `batches` can be called again for the same stream from its beginning.
    """

    label: str
    total: int | None
    restartable: bool

    def kind(self, layer: str) -> str:
        """What makes the responses of a layer, such as ``"ReLU"``."""
        ...

    def batches(self, record: Record) -> Generator[int]:
        """Stream once: `record` every response of a batch, then yield its number of probes.

        Raises
        ------
        ProducerError
            If a batch is not what was promised.
        """
        ...


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
    """

    def __init__(
        self,
        open_stream: Callable[[], Iterable[Any]],
        *,
        label: str,
        total: int | None = None,
        restartable: bool = True,
    ) -> None:
        self.label = label
        self.total = total
        self.restartable = restartable
        self._open_stream = open_stream

    def kind(self, layer: str) -> str:  # noqa: ARG002  (arrays do not tell what made them)
        """Nothing is known of what made an array."""
        return "array"

    def batches(self, record: Record) -> Generator[int]:
        """Stream once; see `Source.batches`."""
        stream = _iterate(self._open_stream(), self.label)
        try:
            for number, batch in enumerate(stream):
                fields = _fields(batch, number)
                for layer, response in fields.items():
                    record(layer, response)
                yield _probes(fields, number)
        finally:
            close = getattr(stream, "close", None)
            if close is not None:
                close()


def as_source(producer: Any, batch_size: int) -> Source:
    """Make a source of any producer that is not a model.

    Parameters
    ----------
    producer : mapping, callable or iterable
        One mapping of layer to array, cut into batches of `batch_size`; a callable given
        `batch_size` (DNIKit's protocol), or taking nothing, that returns an iterable of batches; or
        such an iterable itself. A batch is a mapping of layer to array, or an object whose
        `fields` is one.
    batch_size : int
        Probes a batch, where we cut or ask.

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
    >>> source = as_source({"relu": np.zeros((100, 8))}, batch_size=32)
    >>> source.total, list(source.batches(lambda layer, response: None))
    (100, [32, 32, 32, 4])
    """
    label = type(producer).__name__
    if isinstance(producer, Mapping):
        return _mapping_source(producer, batch_size)
    if callable(producer):
        if _takes_an_argument(producer):
            return MappingSource(lambda: producer(batch_size), label=_callable_label(producer))
        return MappingSource(producer, label=_callable_label(producer))
    if isinstance(producer, (np.ndarray, str, bytes)) or not isinstance(producer, Iterable):
        message = (
            f"a producer of responses was expected, and {label} is none. Give a mapping "
            "{layer: array}, an iterable of such mappings (one a batch), a callable "
            "producer(batch_size) that yields them, or a torch.nn.Module with its loader."
        )
        raise ProducerError(message)
    return MappingSource(
        lambda: producer,
        label=label,
        total=_sequence_total(producer),
        restartable=not isinstance(producer, Iterator),
    )


def check_batch_size(value: object) -> int:
    """Return `value` if it is a whole number above 0.

    Raises
    ------
    ProducerError
        Otherwise.
    """
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool) and value > 0:
        return int(value)
    message = f"batch_size must be a whole number above 0, and is {value!r}: try batch_size=32."
    raise ProducerError(message)


def _mapping_source(mapping: Mapping[str, Any], batch_size: int) -> Source:
    if not mapping:
        message = "the mapping of layer to array is empty: there is nothing to count."
        raise ProducerError(message)
    lengths = {layer: _length(layer, response) for layer, response in mapping.items()}
    total = _one_length(lengths, where="the mapping")

    def cut() -> Iterator[Mapping[str, Any]]:
        # An empty array still tells its layer and shape: one batch of no probes.
        for start in range(0, max(total, 1), batch_size):
            rows = slice(start, start + batch_size)
            yield {layer: response[rows] for layer, response in mapping.items()}

    return MappingSource(cut, label=f"{len(mapping)} arrays", total=total)


def _takes_an_argument(producer: Callable[..., Any]) -> bool:
    try:
        signature = inspect.signature(producer)
    except (TypeError, ValueError):
        return True
    try:
        signature.bind(1)
    except TypeError:
        try:
            signature.bind()
        except TypeError:
            message = (
                f"{_callable_label(producer)}{signature} cannot be called as producer(batch_size) "
                "nor as producer(). Give it one parameter, the batch size, or none."
            )
            raise ProducerError(message) from None
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
            f"{label} gave {type(stream).__name__}, which cannot be iterated over: a producer "
            "yields batches, each a mapping {layer: array}."
        )
        raise ProducerError(message) from None


def _fields(batch: Any, number: int) -> Mapping[str, Any]:
    fields = batch if isinstance(batch, Mapping) else getattr(batch, "fields", None)
    if not isinstance(fields, Mapping):
        message = (
            f"batch {number} is {_describe(batch)}, not a mapping {{layer: array}} nor an object "
            "with `fields`. If these are inputs of a model, pass the model first: "
            "IUAWidget(model, loader) or IUA.introspect(model, loader)."
        )
        raise ProducerError(message, batch=number)
    for layer in fields:
        if not isinstance(layer, str):
            message = f"batch {number}: layers are named by strings, and {layer!r} is not one."
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
        fields = batch if isinstance(batch, Mapping) else getattr(batch, "fields", None)
        first = next(chain(fields.values() if isinstance(fields, Mapping) else (), [None]))
        if not isinstance(first, Sized):
            return None
        total += len(first)
    return total
