"""Protocols: a producer of batches, a source of responses, and what records them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import Any, Protocol, runtime_checkable

from iua_widget.sources.labels import Labels
from iua_widget.sources.position import Position
from iua_widget.units.rule import UNKNOWN, Origin


@runtime_checkable
class Producer(Protocol):
    """Anything that gives batches when called with a batch size (DNIKit's protocol).

    Examples
    --------
    >>> import numpy as np
    >>> from iua_widget import IUA
    >>> def zeros(batch_size):
    ...     for _ in range(3):
    ...         yield {"relu": np.zeros((batch_size, 2))}
    >>> isinstance(zeros, Producer), IUA.introspect(zeros, batch_size=4).probes
    (True, 12)
    """

    def __call__(self, batch_size: int) -> Iterable[Any]:
        """Begin the stream anew.

        Parameters
        ----------
        batch_size : int
            At most how many probes a batch may have.

        Returns
        -------
        iterable of mapping, Batch or dnikit.base.Batch
        """
        ...


class Record(Protocol):
    """Takes the response of a layer for the current batch, and has read it when it returns."""

    def __call__(self, layer: str, value: Any, origin: Origin = UNKNOWN, /) -> None:
        """Record one response, at once: a model may overwrite it next."""
        ...


class Stream(Protocol):
    """What must be known of a stream of responses to count it.

    Attributes
    ----------
    label : str
        What it is, in a few words, for display.
    steady : bool
        Whether every batch gives the same layers.
    whole_batches : bool
        Whether the responses of a batch are there all at once, and stay as they are until the
        batch is yielded; a model's may be written over as soon as they are recorded.
    """

    label: str
    steady: bool
    whole_batches: bool

    @property
    def total(self) -> int | None:
        """Probes it will give, where known: perhaps only after the first batch."""
        ...

    @property
    def notes(self) -> list[str]:
        """Notes on the stream so far for whoever reads the counts."""
        ...

    @property
    def labels(self) -> Labels | None:
        """Tells the labels of each batch's probes; None where they are not counted by group."""
        ...

    @property
    def weights(self) -> str | None:
        """A fingerprint of the model's parameters as they are now; None where none is known."""
        ...


class Source(Stream, Protocol):
    """A stream of responses, batch by batch, of a model or of arrays.

    Attributes
    ----------
    restartable : bool
        Whether `batches` can be called again for the same stream from its beginning.
    """

    restartable: bool

    def batches(
        self, record: Record, restart: Callable[[], None] = ..., position: Position | None = ...
    ) -> Generator[int]:
        """Stream once: `record` every response of a batch, then yield its number of probes.

        A source that has to begin a batch again calls `restart`, which forgets what was recorded
        of it. Batches before `position` are passed over.

        Raises
        ------
        ProducerError
            If a batch is not what was promised.
        """
        ...
