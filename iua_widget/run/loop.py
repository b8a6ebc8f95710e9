"""The loop that counts a stream, or counts it again, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from typing import Protocol, TypeVar

from iua_widget.errors import IUAError, ProducerError
from iua_widget.run.counting import Counting
from iua_widget.run.gathering import CountedSource, Gathering
from iua_widget.run.layer_groups import LayerGroups
from iua_widget.run.recounting import Recounting
from iua_widget.run.run import Run
from iua_widget.sources.source import Source
from iua_widget.tolerances import Tolerances


def count(
    run: Run,
    source: Source | CountedSource,
    *,
    onward: bool = False,
    groups: LayerGroups | None = None,
) -> Generator[int]:
    """Count a source into a run, yielding the probes of each batch once it is counted.

    Of batches that are counted elsewhere it yields 0 now and then while it waits for them.

    Parameters
    ----------
    run : Run
    source : Source
        As `open_source` makes it.
    onward : bool
        Whether to pass over the batches that have been counted before, which must be the same
        again. Otherwise the source is another part of the data.
    groups : LayerGroups, optional
        See `iua_widget.run.counting.Counting`.

    Raises
    ------
    IUAError
        As for `IUA.introspect`; an error of the producer's or the model's own is its cause.
    """
    if isinstance(source, CountedSource):
        counted = source
        return _stream(
            source.label,
            lambda: Gathering(run, counted, onward=onward),
            lambda one: counted.counted_batches(one.take, run.options, one.position),
        )
    responses = source
    return _stream(
        source.label,
        lambda: Counting(run, responses, onward=onward, groups=groups),
        lambda one: _responses(responses, one),
    )


def recount(run: Run, source: Source, tolerances: Tolerances) -> Generator[int]:
    """Count a source once more at some tolerances, exactly, yielding the probes of each batch.

    Raises
    ------
    NoProbesError, ProducerError
        As for `IUA.recount`.
    """
    return _stream(
        source.label,
        lambda: Recounting(run, source, tolerances),
        lambda one: _responses(source, one),
    )


def _responses(source: Source, one_pass: Counting | Recounting) -> Generator[int]:
    """The batches of a source, whose responses a pass takes in."""
    return source.batches(one_pass.record, one_pass.restart, one_pass.position)


class _Pass(Protocol):
    """Takes in the batches of a source, each as a whole or not at all.

    Attributes
    ----------
    number : int
        The batch at hand, from 0.
    kept : str
        What becomes of the batches before one that fails, to end a message.
    """

    @property
    def number(self) -> int: ...

    @property
    def kept(self) -> str: ...

    def commit(self, probes: int) -> None: ...

    def finish(self) -> None: ...

    def broke_off(self, error: BaseException) -> None: ...

    def close(self) -> None: ...


_P = TypeVar("_P", bound=_Pass)


def _stream(
    label: str, begin: Callable[[], _P], batches: Callable[[_P], Generator[int]]
) -> Generator[int]:
    one_pass = begin()
    ended_by_caller = False
    try:
        with closing(batches(one_pass)) as stream:
            for probes in stream:
                one_pass.commit(probes)
                ended_by_caller = True
                yield probes
                ended_by_caller = False
        one_pass.finish()
    except IUAError as error:
        one_pass.broke_off(error)
        raise
    except (Exception, GeneratorExit) as error:
        if isinstance(error, GeneratorExit) and ended_by_caller:
            raise
        number = one_pass.number
        what = f"{label} raised {type(error).__name__} in batch {number}: {error}."
        wrapped = ProducerError(what + one_pass.kept, batch=number)
        one_pass.broke_off(wrapped)
        raise wrapped from error
    except BaseException as error:
        one_pass.broke_off(error)
        raise
    finally:
        one_pass.close()
