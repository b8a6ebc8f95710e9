"""Drives a run to its end, with a progress bar where one is asked for."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing

from iua_widget.run.gathering import CountedSource
from iua_widget.sources.source import Source


def drive(
    steps: Generator[int], source: Source | CountedSource, *, progress: bool, counted: int = 0
) -> None:
    """Take all steps of a run.

    Parameters
    ----------
    steps : generator of int
        As `count` and `recount` give them: the probes of each batch.
    source : Source or CountedSource
        What they count.
    progress : bool
        Whether to draw a bar.
    counted : int
        Probes that were counted before.
    """
    with closing(steps):
        for _ in _with_bar(steps, source, counted) if progress else steps:
            pass


def _with_bar(
    steps: Generator[int], source: Source | CountedSource, counted: int
) -> Generator[int]:
    from tqdm.auto import tqdm

    with tqdm(total=source.total, unit=" probes", desc=source.label, initial=counted) as bar:
        for probes in steps:
            bar.total = source.total
            bar.update(probes)
            yield probes
