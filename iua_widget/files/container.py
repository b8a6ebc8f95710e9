"""Files of arrays and facts: a ZIP of NumPy arrays and JSON, sealed by a digest.

What `numpy.load` reads, with the member ``facts.json`` besides, and an archive comment, the last
bytes of the file, that tells whose it is, which version, and the SHA-256 of all bytes before the
digest itself. A file is read only once its digest has proved right, and then its members are held
against what the facts say before memory is taken for them.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import math
import os
import re
import stat
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

import numpy as np

from iua_widget.common.atomic_write import replacing, what_it_is
from iua_widget.errors import FileError

FACTS: Final = "facts.json"
_SUFFIX: Final = ".npy"
_COMMENT: Final = "iua_widget {version} sha256 {digest}"
_SEAL: Final = re.compile(rb"iua_widget (\d{1,9}) sha256 ([0-9a-f]{64})\Z")
_DIGEST_SIZE: Final = 64
_TAIL: Final = 128
_CHUNK: Final = 2**20
_SCANNED: Final = 2**16
_LEVEL: Final = 1
"""Counts shrink to within a few per cent of what higher levels reach, several times faster."""

_LARGEST_FACTS: Final = 2**26
_FACTS_PER_BYTE: Final = 4
_FEW: Final = 100_000
_CONTAINERS_PER_ARRAY: Final = 4
_BYTES_PER_VALUE: Final = 8
"""How much of what the facts may hold, for what there is of arrays: far more than a run writes,
whose layers have eight arrays or more, and three numbers of eight bytes for every column."""

_MOST_DIGITS: Final = 20
_READERS: Final = {
    "iua_widget run": ("IUA.load", "IUA.from_bytes"),
    "iua_widget history": ("IUAMonitor.load", "IUAMonitor.load_state_dict"),
}
"""By what is written, who reads it from a file, and from bytes."""

_AT_ONCE: Final = (
    getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
)
_DEFLATE_RATIO: Final = 1032
_HEADER_SLACK: Final = 2**12


def write_container(
    path: Path, version: int, facts: dict[str, Any], arrays: Iterable[tuple[str, np.ndarray]]
) -> None:
    """Write a file as a whole or not at all: until it is complete, what was there stays.

    Parameters
    ----------
    path : Path
    version : int
        Of the layout of what is in it.
    facts : dict
        What JSON can hold.
    arrays : iterable of (str, numpy.ndarray)
        Names, and numbers of any dtype but object.

    Raises
    ------
    FileError
        If the file cannot be written there: see `iua_widget.common.atomic_write`.
    """
    with replacing(path) as file:
        _write(file, version, facts, arrays)
        _seal(file)


def container_bytes(
    version: int, facts: dict[str, Any], arrays: Iterable[tuple[str, np.ndarray]]
) -> bytes:
    """The bytes of such a file: see `write_container`."""
    file = io.BytesIO()
    _write(file, version, facts, arrays)
    _seal(file)
    return file.getvalue()


class Container:
    """A file that is being read: its facts, and its arrays one by one.

    Parameters
    ----------
    path : Path or bytes
        A file, or what `container_bytes` gives.
    version : int
        The newest that is understood.

    Attributes
    ----------
    called : str
        What it is called in messages.
    facts : dict
    names : set of str
        Of the arrays.

    Raises
    ------
    FileError
        If it is no such file, is damaged, or of a newer version.
    """

    def __init__(self, path: Path | bytes, version: int) -> None:
        self._in_memory = isinstance(path, bytes)
        self.called = "the data" if isinstance(path, bytes) else repr(str(path))
        self._file = io.BytesIO(path) if isinstance(path, bytes) else _file_at(path)
        try:
            self._check_seal(version)
            with self._damage_told():
                self._zip = zipfile.ZipFile(self._file)
                self._members = self._checked_members()
                self.facts = self._read_facts()
        except BaseException:
            self._file.close()
            raise
        self.names = {name.removesuffix(_SUFFIX) for name in self._members} - {FACTS}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._zip.close()
        self._file.close()

    def array(self, name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> np.ndarray:
        """Read an array that must be of this dtype and shape.

        Raises
        ------
        FileError
            If it is missing or another.
        """
        self.require(name in self.names, f"{name} is missing")
        info = self._members[name + _SUFFIX]
        size = math.prod([*shape, dtype.itemsize])
        fits = size <= info.file_size <= size + _HEADER_SLACK
        self.require(fits, f"{name} takes {info.file_size} bytes and should take {size}")
        with self._damage_told(), self._zip.open(info) as member:
            form = np.lib.format.read_magic(member)
            self.require(form == (1, 0), f"{name} is of array format {form}")
            found = np.lib.format.read_array_header_1_0(member)
            fits = found == (shape, False, dtype) and info.file_size - member.tell() == size
            self.require(fits, f"{name} is {found}, and should be {dtype} of shape {shape}")
            result = np.empty(size, np.uint8)
            _fill(member, result.data)
        return result.view(dtype).reshape(shape)

    def check_format(self, expected: str) -> None:
        """Check that it holds what is to be read.

        Raises
        ------
        FileError
            If it is another sort of file: the message says how to read that.
        """
        found = self.facts.get("format", expected)
        if found != expected:
            unknown = ("what has written it",) * 2
            reader = _READERS.get(str(found), unknown)[self._in_memory]
            message = f"{self.called} holds {found!r:.60}: read it with {reader}."
            raise FileError(message)

    def require(self, holds: bool, what: str) -> None:  # noqa: FBT001
        """Check that contents do not contradict each other.

        Raises
        ------
        FileError
            If this does not hold.
        """
        if not holds:
            message = f"{self.called} holds what no run can have written: {what}."
            raise FileError(message)

    def _check_seal(self, version: int) -> None:
        size = self._size = self._file.seek(0, os.SEEK_END)
        self._file.seek(max(0, size - _TAIL))
        seal = _SEAL.search(self._file.read(min(size, _TAIL)))
        if seal is None:
            self._file.seek(0)
            what = (
                "is truncated, or was not written by IUA.save or IUAMonitor.save"
                if size and self._file.read(2) == b"PK"
                else "was not written by IUA.save or IUAMonitor.save"
            )
            message = f"{self.called} {what}: it does not end as such a file does."
            raise FileError(message)
        if int(seal[1]) > version:
            message = (
                f"{self.called} is of format version {int(seal[1])}, and this iua_widget "
                f"reads versions up to {version}: update it with pip install -U iua-widget."
            )
            raise FileError(message)
        if _digest(self._file, size - _DIGEST_SIZE) != seal[2].decode():
            message = (
                f"{self.called} has been damaged or altered since it was saved: its contents "
                "do not fit its checksum. Use another copy of it."
            )
            raise FileError(message)

    def _checked_members(self) -> dict[str, zipfile.ZipInfo]:
        members: dict[str, zipfile.ZipInfo] = {}
        for info in self._zip.infolist():
            known = info.filename == FACTS or info.filename.endswith(_SUFFIX)
            self.require(known, f"{info.filename} is no array")
            self.require(info.filename not in members, f"{info.filename} is there twice")
            inside = info.header_offset + info.compress_size <= self._size
            self.require(inside, f"{info.filename} claims to reach beyond the end of the file")
            most = _DEFLATE_RATIO * info.compress_size + _HEADER_SLACK
            self.require(info.file_size <= most, f"{info.filename} claims {info.file_size} bytes")
            members[info.filename] = info
        held = sum(info.compress_size for info in members.values())
        self.require(held <= self._size, f"its members claim {held} bytes of {self._size}")
        return members

    def _read_facts(self) -> dict[str, Any]:
        self.require(FACTS in self._members, f"its {FACTS} is missing")
        info = self._members[FACTS]
        arrays = sum(one.file_size for one in self._members.values()) - info.file_size
        largest = max(_LARGEST_FACTS, _FACTS_PER_BYTE * arrays)
        self.require(info.file_size <= largest, f"its {FACTS} is too large")
        text = self._zip.read(info)
        # What takes many times the memory of its text: a run's facts have little of it.
        objects, lists, values = _outside_strings(text)[list(b"{[,")].tolist()
        most = _FEW + _CONTAINERS_PER_ARRAY * len(self._members)
        few = objects + lists <= most
        self.require(few, f"its {FACTS} holds {objects:,} objects and {lists:,} lists")
        most = _FEW + arrays // _BYTES_PER_VALUE
        self.require(values <= most, f"its {FACTS} holds {values:,} values")
        facts = json.loads(
            text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_int=_whole
        )
        self.require(isinstance(facts, dict), f"its {FACTS} is no object")
        return dict(facts)

    @contextlib.contextmanager
    def _damage_told(self) -> Iterator[None]:
        try:
            yield
        except FileError:
            raise
        except Exception as error:  # no list of what libraries raise at such bytes is complete
            message = f"{self.called} is damaged: {type(error).__name__}: {error}."
            raise FileError(message) from error


def _write(
    file: IO[bytes], version: int, facts: dict[str, Any], arrays: Iterable[tuple[str, np.ndarray]]
) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as archive:
        told = json.dumps(facts, allow_nan=False, indent=1)
        dateless = zipfile.ZipInfo(FACTS)  # so that equal contents are equal bytes
        archive.writestr(dateless, told, zipfile.ZIP_DEFLATED, _LEVEL)
        for name, array in arrays:
            little = array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)
            with archive.open(name + _SUFFIX, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, little, version=(1, 0), allow_pickle=False)
        comment = _COMMENT.format(version=version, digest="0" * _DIGEST_SIZE)
        archive.comment = comment.encode()


def _seal(file: IO[bytes]) -> None:
    end = file.seek(-_DIGEST_SIZE, os.SEEK_END)
    digest = _digest(file, end)
    file.seek(end)
    file.write(digest.encode())


def _digest(file: IO[bytes], size: int) -> str:
    file.seek(0)
    digest = hashlib.sha256()
    while size > 0 and (chunk := file.read(min(_CHUNK, size))):
        digest.update(chunk)
        size -= len(chunk)
    return digest.hexdigest()


def _fill(member: IO[bytes], into: memoryview) -> None:
    done = 0
    while done < len(into):
        chunk = member.read(min(_CHUNK, len(into) - done))
        if not chunk:
            message = "the data end too soon"
            raise EOFError(message)
        into[done : done + len(chunk)] = chunk
        done += len(chunk)
    if member.read(1):  # the end is where the CRC is compared
        message = "there are more data than there should be"
        raise EOFError(message)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        message = "a key is there twice"
        raise ValueError(message)
    return result


def _outside_strings(text: bytes) -> np.ndarray:
    r"""How often each character occurs in JSON, but for its strings.

    Examples
    --------
    >>> _outside_strings(rb'{"a[\"{": [1, "\\"]}')[list(b"{[,")].tolist()
    [1, 1, 1]
    """
    characters = np.frombuffer(text.replace(rb"\\", b"").replace(rb"\"", b""), np.uint8)
    inside, counts = np.bool_(0), np.zeros(2**8, np.int64)
    for start in range(0, len(characters), _SCANNED):
        part = characters[start : start + _SCANNED]
        within = np.logical_xor.accumulate(part == ord('"')) ^ inside
        counts += np.bincount(part[~within], minlength=2**8)
        inside = within[-1]
    return counts


def _whole(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        message = f"{digits:.20}... is no number of a run"
        raise ValueError(message)
    return int(digits)


def _file_at(path: Path) -> IO[bytes]:
    try:
        return _opened(path)
    except FileNotFoundError:
        message = f"there is no file {str(path)!r}."
        raise FileError(message) from None
    except OSError as error:
        message = f"{str(path)!r} cannot be read: {error.strerror or error}."
        raise FileError(message) from error


def _opened(path: Path) -> IO[bytes]:
    """A file opened for reading, if it is one: to open a device or a pipe may do or wait for much.

    Raises
    ------
    OSError
        If it cannot be opened, or is no regular file.
    """
    _refuse_special(path.stat().st_mode)
    file = os.fdopen(os.open(path, os.O_RDONLY | _AT_ONCE), "rb")
    try:
        _refuse_special(os.fstat(file.fileno()).st_mode)
    except OSError:
        file.close()
        raise
    return file


def _refuse_special(mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if what := what_it_is(mode):
        raise OSError(errno.EINVAL, f"it is {what}")


def _no_constant(name: str) -> Any:
    message = f"{name} is no number"
    raise ValueError(message)
