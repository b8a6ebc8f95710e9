"""Gathering: the counts of batches that workers have counted, on their way into a run."""

from __future__ import annotations

import weakref
from abc import ABC, abstractmethod
from collections.abc import Generator
from dataclasses import dataclass
from typing import Final, Protocol

from iua_widget.common.interrupts import interrupts_held
from iua_widget.errors import NoBatchError
from iua_widget.options import CountOptions
from iua_widget.reading.notes import notes_of_both
from iua_widget.run.failure import Failure, tells_failure
from iua_widget.run.merge import merged
from iua_widget.run.run import Run
from iua_widget.sources.position import Position

_MOST_NOTES: Final = 50
"""Of batches: some tell a number that is another in each."""


@dataclass(frozen=True, slots=True)
class CountedBatch:
    """A batch that a worker has counted.

    Attributes
    ----------
    run : Run
        Its counts.
    probes : int
    checksum : int
        The sum of those of its rows.
    last_row : int
        The number of its last row.
    """

    run: Run
    probes: int
    checksum: int
    last_row: int


class TakeBatch(Protocol):
    """Takes a batch that was counted, before its probes are yielded."""

    def __call__(self, batch: CountedBatch, /) -> None:
        """Take one."""
        ...


class CountedSource(ABC):
    """A stream whose batches are counted elsewhere, and come as counts; see `Source`.

    Attributes
    ----------
    label : str
    restartable : bool
        Whether `counted_batches` can be called again for the same stream from its beginning.
    labels : None
        Its probes are not told apart by group.
    """

    label: str
    restartable: bool
    labels: None = None

    @property
    @abstractmethod
    def total(self) -> int | None:
        """Probes it will give, where known."""

    @property
    @abstractmethod
    def notes(self) -> list[str]:
        """Notes on the stream so far for whoever reads the counts."""

    @property
    @abstractmethod
    def weights(self) -> str | None:
        """A fingerprint of the model's parameters."""

    @property
    @abstractmethod
    def workers(self) -> str:
        """Who counts now, in a sentence; empty where nobody does."""

    @abstractmethod
    def rest(self) -> None:
        """Have nothing counted while no batch is asked for; on the thread that asks."""

    @abstractmethod
    def counted_batches(
        self, take: TakeBatch, options: CountOptions, position: Position
    ) -> Generator[int]:
        """Have the batches after a position counted, `take` each, then yield its probes.

        It yields 0, having taken none, where it waits for the next. The position moves on as
        batches are taken.

        Raises
        ------
        IUAError
            If they cannot be counted.
        """


class Gathering:
    """Adds batches that are counted elsewhere to a run.

    Parameters
    ----------
    run : Run
    source : CountedSource
    onward : bool
        Whether to pass over the rows that have been counted before.

    Attributes
    ----------
    position : Position
        Where in the stream it is.
    number : int
        The batch at hand, from 0.

    Raises
    ------
    ProducerError
        If the run is being counted already.
    """

    def __init__(self, run: Run, source: CountedSource, *, onward: bool = False) -> None:
        self._run, self._source = run, source
        run.check_not_counted()
        self.position = run.begin(source.weights, onward=onward)
        run.steady = False
        self._taken: CountedBatch | None = None
        self._noted = [note for note in run.source_notes if not (onward and tells_failure(note))]
        run.counted_by = weakref.ref(self)

    @property
    def number(self) -> int:
        """The batch at hand, from 0."""
        return self.position.batches

    @property
    def kept(self) -> str:
        """What becomes of the batches before one that fails, to end a message."""
        return " What was counted before it is kept." if self.number else ""

    def take(self, batch: CountedBatch, /) -> None:
        """Take a batch, to be added by `commit`."""
        for tally in batch.run.tallies.values():
            magnitudes = tally.store.read_magnitudes()
            if magnitudes.first_non_finite is not None:
                magnitudes.first_non_finite = self.number
        self._taken = batch

    def commit(self, probes: int) -> None:
        """Add the batch that was taken, if any.

        Raises
        ------
        MergeError
            If it has other layers or units than those before.
        """
        batch, self._taken = self._taken, None
        if batch is None:
            return
        run, position = self._run, self.position
        whole = merged([run, batch.run])
        notes = batch.run.source_notes
        with interrupts_held(), run.lock:
            run.tallies, run.probes, run.weights = whole.tallies, whole.probes, whole.weights
            run.inputs_passed = whole.inputs_passed
            run.recount = run.tally_notes = None  # they lack these probes
            self._noted = notes_of_both(self._noted, notes) if position.batches else notes
            del self._noted[_MOST_NOTES:]
            run.source_notes = self._notes()
            position.batches += 1
            position.probes += probes
            position.checksum = (position.checksum + batch.checksum) % 2**32
            position.row = batch.last_row

    def finish(self) -> None:
        """Check that there was something to count.

        Raises
        ------
        NoBatchError
            If no batch has come.
        """
        if not self._run.tallies:
            message = f"{self._source.label} got no row: there is nothing to count."
            raise NoBatchError(message)

    def broke_off(self, error: BaseException) -> None:
        """Note what ended the run."""
        self._run.failure = Failure.of(error, self._run.probes)

    def close(self) -> None:
        """Let another source be counted."""
        with interrupts_held(), self._run.lock:
            self._run.source_notes = self._notes()
            self._run.counted_by = None

    def _notes(self) -> list[str]:
        return list(dict.fromkeys([*self._noted, *self._source.notes]))
