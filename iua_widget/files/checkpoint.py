"""Saves a run to a file as it goes, so that it can be resumed after an interruption."""

from __future__ import annotations

import os
import time
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import Final

from iua_widget.common.atomic_write import as_path, file_to_replace
from iua_widget.errors import FileError, ProducerError
from iua_widget.files.run_file import read_run, write_run
from iua_widget.options import CountOptions, check_count
from iua_widget.run.gathering import CountedSource
from iua_widget.run.loop import count
from iua_widget.run.run import Run
from iua_widget.sources.source import Source

_LEAST_SECONDS: Final = 10.0
_SAVING_SHARE: Final = 20


def checkpoint_at(resume: str | Path | None, save_every: int | None) -> Checkpoint | None:
    """The checkpoint that these options of `IUA.introspect` ask for; None if none.

    Raises
    ------
    ProducerError, FileError
        If they cannot be used.
    """
    if resume is not None:
        return Checkpoint(resume, save_every)
    if save_every is not None:
        message = (
            "save_every= says how often the run is saved to a file: name the file, too, with "
            "resume='run.iua'."
        )
        raise ProducerError(message)
    return None


def begin(
    options: CountOptions,
    source: Source | CountedSource,
    checkpoint: Checkpoint | None,
    *,
    anew: bool = False,
) -> tuple[Run, Generator[int]]:
    """Begin a run, or continue the one in the file of its checkpoint.

    Parameters
    ----------
    options : CountOptions
    source : Source or CountedSource
    checkpoint : Checkpoint or None
    anew : bool
        Whether to begin in any case; the file is replaced then.

    Returns
    -------
    Run
        It has what was counted before, where it is continued.
    generator of int
        Counts the source batch by batch, and saves the run as it goes where there is a checkpoint.

    Raises
    ------
    EngineError
        If the engine cannot be had here.
    FileError
        If the file cannot be read, or cannot be the beginning of this run.
    """
    if checkpoint is None:
        run = Run(options)
        return run, count(run, source)
    run = Run(options) if anew else checkpoint.begin(options, source)
    return run, checkpoint.saving(count(run, source, onward=True), run)


class Checkpoint:
    """Saves a run every so many batches, or as often as costs a twentieth of its time.

    Parameters
    ----------
    path : str or Path
    every : int, optional
        Batches between two saves. By default at least ten seconds pass, and twenty times as long as
        the last save took.

    Raises
    ------
    ProducerError
        If `every` is not a whole number above 0.
    FileError
        If no file can be written there: told before hours of counting, not after.
    """

    def __init__(self, path: str | Path, every: int | None = None) -> None:
        self.path = as_path(path).absolute()  # wherever the program goes meanwhile
        why = _why_not(self.path)
        if why:
            message = f"a run cannot be saved to {str(self.path)!r}: {why}"
            raise FileError(message)
        self._every = None if every is None else check_count("save_every", every, 100)
        self._unsaved = 0
        self._notes: list[str] = []
        self._failed = False
        self._wait = _LEAST_SECONDS
        self._last = time.monotonic()

    def begin(self, options: CountOptions, source: Source | CountedSource) -> Run:
        """A new run; where the file is there, the one that it holds, to be continued.

        Parameters
        ----------
        options : CountOptions
        source : Source
            What it goes on with.

        Raises
        ------
        FileError
            If the file cannot be read, or cannot be the beginning of this run.
        """
        if not self.path.exists():
            return Run(options)
        run = read_run(self.path, options.engine)
        by_group = source.labels is not None
        reason = run.why_not_continued(options, source.weights, by_group=by_group)
        if reason:
            message = (
                f"the run cannot go on from {str(self.path)!r}: {reason}. Use the same settings, "
                "or another file to begin anew."
            )
            raise FileError(message)
        run.continue_with(options)
        self._notes = run.kept_notes
        return run

    def saving(self, steps: Generator[int], run: Run) -> Generator[int]:
        """The steps of a run, which is saved as it goes, and at its end, whatever ends it."""
        try:
            with closing(steps):
                for probes in steps:
                    if probes:
                        self._counted(run)
                    yield probes
            self._save(run)
        except BaseException as error:  # Ctrl-C, the end of a run that is stopped, and a full disk
            self._save_after(error, run)
            raise

    def _counted(self, run: Run) -> None:
        """Save, where it is time to, after a batch has been counted."""
        self._unsaved += 1
        if self._every is None:
            due = time.monotonic() - self._last >= self._wait
        else:
            due = self._unsaved >= self._every
        if due:
            self._save(run)

    def _save(self, run: Run) -> None:
        """Save what has not been saved yet."""
        notes = run.kept_notes
        if not self._unsaved and notes == self._notes:
            return
        start = time.monotonic()
        self._failed = True
        write_run(self.path, run)
        self._failed = False
        self._last = time.monotonic()
        self._wait = max(_LEAST_SECONDS, _SAVING_SHARE * (self._last - start))
        self._unsaved, self._notes = 0, notes

    def _save_after(self, error: BaseException, run: Run) -> None:
        """Save what an error left unsaved; where that fails, the error is told so."""
        if self._failed or not self._unsaved:
            return  # it is that error, or the file has all that was counted
        try:
            self._save(run)
        except Exception as unsaved:  # noqa: BLE001  (it must not hide the other)
            error.add_note(f"What was counted since the last save is not saved: {unsaved}")


def _why_not(path: Path) -> str:
    """Why no file can be written there; empty where one can."""
    try:
        folder = file_to_replace(path)[0].parent
    except FileError as error:
        return str(error)
    except OSError as error:
        return f"{error.strerror or error}."
    may = folder.is_dir() and os.access(folder, os.W_OK)
    return "" if may else f"{str(folder)!r} is no folder to write in."
