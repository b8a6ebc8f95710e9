"""A file that a run is saved to as it goes, to be resumed from when it is cut off."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, Final, Protocol

from iua_widget.common.atomic_write import as_path, file_to_replace
from iua_widget.errors import FileError
from iua_widget.options import check_count

_LEAST_SECONDS: Final = 10.0
_SAVING_SHARE: Final = 20


class _Saved(Protocol):
    """What can be saved: an `IUA`."""

    def kept_notes(self) -> list[str]: ...

    def save(self, path: Path) -> Any: ...


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
        self.path = as_path(path)
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

    def went_on(self, iua: _Saved) -> None:
        """Take what was read from the file for what is in it."""
        self._notes = iua.kept_notes()

    def counted(self, iua: _Saved) -> None:
        """Save, where it is time to, after a batch has been counted."""
        self._unsaved += 1
        if self._every is None:
            due = time.monotonic() - self._last >= self._wait
        else:
            due = self._unsaved >= self._every
        if due:
            self.save(iua)

    def save(self, iua: _Saved) -> None:
        """Save what has not been saved yet."""
        notes = iua.kept_notes()
        if not self._unsaved and notes == self._notes:
            return
        start = time.monotonic()
        self._failed = True
        iua.save(self.path)
        self._failed = False
        self._last = time.monotonic()
        self._wait = max(_LEAST_SECONDS, _SAVING_SHARE * (self._last - start))
        self._unsaved, self._notes = 0, notes

    def save_after(self, error: BaseException, iua: _Saved) -> None:
        """Save what an error left unsaved; where that fails, the error is told so."""
        if self._failed or not self._unsaved:
            return  # it is that error, or the file has all that was counted
        try:
            self.save(iua)
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
