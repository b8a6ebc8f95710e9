"""The steps of a run of which every rank counts a part, up to the sum that all have in the end."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing

from iua_widget.errors import DistributedError, NoBatchError
from iua_widget.run.run import Run
from iua_widget.widget.background import Status
from iua_widget.widget.live_ranks import LiveRanks


def steps_over_ranks(
    steps: Generator[int],
    live: LiveRanks,
    run: Run,
    note: str,
    show: Callable[[Run], None],
) -> Generator[int, None, Status]:
    """Count this rank's part, and wait for the others; whatever ends it, they are told.

    Parameters
    ----------
    steps : generator of int
        Count this rank's part.
    live : LiveRanks
    run : Run
        What they count into.
    note : str
        On what this rank counts; may be empty.
    show : callable
        Called with the run of all.

    Returns
    -------
    Status
        How it has ended, on every rank.

    Raises
    ------
    DistributedError
        If another rank fails, or is not there any more.
    MergeError
        If their runs cannot be one.
    """
    live.begin()
    try:
        yield from _counted(steps, live, run)
        if note:
            run.source_notes.append(note)
        while not live.may_sum():
            live.check()
            yield 0
        show(_sum(live))
    except DistributedError:
        raise
    except GeneratorExit:
        live.fail("its run was ended before its part was counted: call w.wait() first", wait=False)
        raise
    except Exception as error:
        live.fail(f"{type(error).__name__}: {error!s:.300}", wait=True)
        raise
    except BaseException as error:  # Ctrl-C
        live.fail(type(error).__name__, wait=False)
        raise
    finally:
        live.close()
    return "stopped" if live.stopping else "done"


def _counted(steps: Generator[int], live: LiveRanks, run: Run) -> Generator[int]:
    """Count this rank's part, as long as all ranks count."""
    try:
        with closing(steps):
            while not live.stopping:
                live.check()
                probes = next(steps, None)
                if probes is None:
                    break
                yield probes
    except NoBatchError:
        run.failure = None  # others have batches


def _sum(live: LiveRanks) -> Run:
    whole = live.sum()
    if whole.tallies:
        return whole
    message = "no rank had a batch with a response: there is nothing to count."
    raise NoBatchError(message)
