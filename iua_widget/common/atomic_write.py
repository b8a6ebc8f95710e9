"""Files that are written as a whole or not at all, and only where a file may be replaced."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

from iua_widget.errors import FileError

try:
    import fcntl
except ImportError:  # Windows, where an open file cannot be removed
    fcntl = None  # type: ignore[assignment]

_DRAFT_NAME: Final = 200
"""Bytes of a file's name that are in its draft's: names may have 255."""

_KINDS: Final[tuple[tuple[Callable[[int], bool], str], ...]] = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISLNK, "a link that leads nowhere but to itself"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
)


def as_path(value: object) -> Path:
    """Return what a user names a file by as a path; ``~`` is the home folder.

    Parameters
    ----------
    value : str, bytes or os.PathLike

    Raises
    ------
    FileError
        If it can name no file.

    Examples
    --------
    >>> as_path(b"run.iua").name
    'run.iua'
    """
    if isinstance(value, (str, bytes, os.PathLike)):
        name = os.fsdecode(value)
        if name and "\0" not in name:
            with contextlib.suppress(RuntimeError):  # no such user, or no home
                return Path(name).expanduser()
            return Path(name)
    message = f"path must be a path, such as 'run.iua'; got {value!r:.80}."
    raise FileError(message)


def what_it_is(mode: int) -> str:
    """What is no regular file, in words; empty for one that is.

    Examples
    --------
    >>> what_it_is(os.stat("/").st_mode)
    'a folder'
    """
    if stat.S_ISREG(mode):
        return ""
    return next((words for is_kind, words in _KINDS if is_kind(mode)), "no regular file")


def file_to_replace(path: Path) -> tuple[Path, int | None]:
    """Where a file is written that is to be found at a path, and the permissions it has there.

    Returns
    -------
    Path
        The path itself, or where the link leads that is there.
    int or None
        None where there is nothing yet.

    Raises
    ------
    FileError
        If there is something that is no regular file, or one that must not be written to.
    OSError
        If that cannot be told.
    """
    target = Path(os.path.realpath(path))
    try:
        mode = target.lstat().st_mode
    except FileNotFoundError:
        return target, None
    what = what_it_is(mode)
    if not what and not os.access(target, os.W_OK):
        what = "write-protected"
    if what:
        message = f"{str(path)!r} cannot be written: it is {what}."
        raise FileError(message)
    return target, stat.S_IMODE(mode)


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Write a file beside what is there, which it replaces when it is complete and on the disk.

    Only a regular file is replaced, through a link the one it leads to, and keeps its permissions.
    The draft is nobody else's: its name is new, and is refused where there is something already.
    Drafts of processes that were killed are removed.

    Parameters
    ----------
    path : Path

    Yields
    ------
    file
        Open for reading and writing.

    Raises
    ------
    FileError
        If what is there is no regular file, or it cannot be written there.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "text")
    ...     with replacing(path) as file:
    ...         _ = file.write(b"whole")
    ...     path.read_bytes()
    b'whole'
    """
    try:
        with _draft_of(path) as file:
            yield file
    except OSError as error:
        message = f"{str(path)!r} cannot be written: {error.strerror or error}."
        raise FileError(message) from error


@contextmanager
def _draft_of(path: Path) -> Iterator[IO[bytes]]:
    target, mode = file_to_replace(path)
    _clear_drafts(target)
    draft, file = _new_draft(target, mode)
    try:
        with file:
            yield file
            file.flush()
            if mode is not None and hasattr(os, "fchmod"):
                os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
            if fcntl is not None:
                draft.replace(target)  # before the lock is let go of
        if fcntl is None:
            draft.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise
    _settle(target.parent)


def _draft_prefix(target: Path) -> str:
    return "." + os.fsdecode(os.fsencode(target.name)[:_DRAFT_NAME]) + "."


def _new_draft(target: Path, mode: int | None) -> tuple[Path, IO[bytes]]:
    """A new file beside the target, which is held as long as it is open."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    # What only its owner may read is nobody else's while it is written, either.
    at_first = 0o666 if mode is None else mode & 0o600
    while True:
        draft = target.with_name(f"{_draft_prefix(target)}{secrets.token_hex(8)}.part")
        try:
            file = os.fdopen(os.open(draft, flags, at_first), "w+b")
        except FileExistsError:
            continue
        if _held(file) and _is_at(file, draft):
            return draft, file
        file.close()  # another took it for one that was left, before it was held


def _held(file: IO[bytes]) -> bool:
    """Whether this process alone has the file now, as far as the system can tell."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EWOULDBLOCK, errno.EACCES)  # no locks there
    return True


def _is_at(file: IO[bytes], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.lstat())
    except FileNotFoundError:
        return False


def _clear_drafts(target: Path) -> None:
    """Remove drafts of the target that no process holds."""
    ours = re.compile(re.escape(_draft_prefix(target)) + r"([0-9a-f]{16}|[0-9a-f]{8})\.part")
    with contextlib.suppress(OSError), os.scandir(target.parent) as entries:
        for entry in entries:
            if ours.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with contextlib.suppress(OSError):
                    _remove_if_left(Path(entry.path))


def _remove_if_left(draft: Path) -> None:
    if fcntl is None:
        draft.unlink()
        return
    flags: Any = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    handle = os.open(draft, flags)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        draft.unlink()
    finally:
        os.close(handle)


def _settle(folder: Path) -> None:
    """Have the folder's new entry survive a power cut, where that can be asked for."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
