"""Files of arrays and facts: a ZIP of NumPy arrays and JSON, sealed by a digest.

What `numpy.load` reads, with the member ``facts.json`` besides, and an archive comment, the last
bytes of the file, that tells whose it is, which version, and the SHA-256 of all bytes before the
digest itself. A file is read only once its digest has proved right, and then its members are held
against what the facts say before memory is taken for them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import re
import secrets
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

import numpy as np

from iua_widget.errors import FileError

FACTS: Final = "facts.json"
_SUFFIX: Final = ".npy"
_COMMENT: Final = "iua_widget {version} sha256 {digest}"
_SEAL: Final = re.compile(rb"iua_widget (\d{1,9}) sha256 ([0-9a-f]{64})\Z")
_DIGEST_SIZE: Final = 64
_TAIL: Final = 128
_CHUNK: Final = 2**20
_LEVEL: Final = 1
"""Counts shrink to within a few per cent of what higher levels reach, several times faster."""

_LARGEST_FACTS: Final = 2**26
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
        If the file cannot be written there.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        try:
            with part.open("x+b") as file:
                _write(file, version, facts, arrays)
                _seal(file)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        _settle(path.parent)
    except OSError as error:
        message = f"{str(path)!r} cannot be written: {error.strerror or error}."
        raise FileError(message) from error


class Container:
    """A file that is being read: its facts, and its arrays one by one.

    Parameters
    ----------
    path : Path
    version : int
        The newest that is understood.

    Attributes
    ----------
    facts : dict
    names : set of str
        Of the arrays.

    Raises
    ------
    FileError
        If it is no such file, is damaged, or of a newer version.
    """

    def __init__(self, path: Path, version: int) -> None:
        self._path = path
        try:
            self._file = path.open("rb")
        except FileNotFoundError:
            message = f"there is no file {str(path)!r}."
            raise FileError(message) from None
        except OSError as error:
            message = f"{str(path)!r} cannot be read: {error.strerror or error}."
            raise FileError(message) from error
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

    def require(self, holds: bool, what: str) -> None:  # noqa: FBT001
        """Check that contents do not contradict each other.

        Raises
        ------
        FileError
            If this does not hold.
        """
        if not holds:
            message = f"{str(self._path)!r} holds what no run can have written: {what}."
            raise FileError(message)

    def _check_seal(self, version: int) -> None:
        size = self._size = self._file.seek(0, os.SEEK_END)
        self._file.seek(max(0, size - _TAIL))
        seal = _SEAL.search(self._file.read())
        self._file.seek(0)
        if seal is None:
            what = (
                "is truncated, or was not written by IUA.save"
                if self._file.read(2) == b"PK"
                else "was not written by IUA.save"
            )
            message = f"{str(self._path)!r} {what}: it does not end as such a file does."
            raise FileError(message)
        if int(seal[1]) > version:
            message = (
                f"{str(self._path)!r} is of format version {int(seal[1])}, and this iua_widget "
                f"reads versions up to {version}: update it with pip install -U iua-widget."
            )
            raise FileError(message)
        if _digest(self._file, size - _DIGEST_SIZE) != seal[2].decode():
            message = (
                f"{str(self._path)!r} has been damaged or altered since it was saved: its contents "
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
        return members

    def _read_facts(self) -> dict[str, Any]:
        self.require(FACTS in self._members, f"its {FACTS} is missing")
        info = self._members[FACTS]
        self.require(info.file_size <= _LARGEST_FACTS, f"its {FACTS} is too large")
        facts = json.loads(
            self._zip.read(info), object_pairs_hook=_unique, parse_constant=_no_constant
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
            message = f"{str(self._path)!r} is damaged: {type(error).__name__}: {error}."
            raise FileError(message) from error


def _write(
    file: IO[bytes], version: int, facts: dict[str, Any], arrays: Iterable[tuple[str, np.ndarray]]
) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as archive:
        archive.writestr(FACTS, json.dumps(facts, allow_nan=False, indent=1))
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


def _settle(folder: Path) -> None:
    """Have the folder's new entry survive a power cut, where that can be asked for."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        message = "a key is there twice"
        raise ValueError(message)
    return result


def _no_constant(name: str) -> Any:
    message = f"{name} is no number"
    raise ValueError(message)
