"""A file replaces a regular file only, as a whole, and leaves nothing else behind."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from iua_widget import IUA, FileError, IUAWidget
from iua_widget.common.atomic_write import as_path, replacing
from iua_widget.widget import export as html

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links, modes and pipes of POSIX")

Write = Callable[[Any], Path]


@pytest.fixture(scope="module")
def iua() -> IUA:
    return IUA.introspect({"relu": np.zeros((3, 4))})


@pytest.fixture(params=["save", "to_html"])
def write(request: pytest.FixtureRequest, iua: IUA) -> Write:
    return iua.save if request.param == "save" else IUAWidget(iua).to_html


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_a_link_stays_and_its_target_is_replaced(tmp_path: Path, write: Write) -> None:
    (tmp_path / "runs").mkdir()
    target, link = tmp_path / "runs" / "one", tmp_path / "latest"
    target.write_bytes(b"old")
    link.symlink_to(Path("runs", "one"))
    write(link)
    assert link.is_symlink()
    assert target.stat().st_size > 1000
    assert names(tmp_path / "runs") == ["one"]
    target.unlink()
    write(link)
    assert target.is_file()
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(FileError, match="a link that leads nowhere"):
        write(tmp_path / "circle")


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666, 0o751])
def test_a_file_keeps_its_permissions(tmp_path: Path, write: Write, mode: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(mode)
    write(path)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert path.stat().st_size > 1000


def test_a_new_file_has_the_umasks_permissions(tmp_path: Path, write: Write) -> None:
    before = os.umask(0o027)
    try:
        write(tmp_path / "file")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def test_what_is_no_regular_file_is_left_alone(
    tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("socket")  # whose names are short
    (tmp_path / "link").symlink_to("pipe")
    before = {name: os.lstat(tmp_path / name) for name in names(tmp_path)}
    for name, words in {
        "folder": "a folder", "pipe": "a named pipe", "socket": "a socket", "link": "a named pipe",
    }.items():  # fmt: skip
        with pytest.raises(FileError, match=rf"{name}' cannot be written: it is {words}"):
            write(tmp_path / name)
        with pytest.raises(FileError, match="a run cannot be saved"):
            IUA.introspect({"relu": np.zeros((3, 4))}, resume=tmp_path / name)
    master, device = os.openpty()
    with pytest.raises(FileError, match="cannot be written: it is a device"):
        write(os.ttyname(device))
    os.close(master)
    os.close(device)
    assert {name: os.lstat(tmp_path / name).st_ino for name in names(tmp_path)} == {
        name: found.st_ino for name, found in before.items()
    }
    for name in ("pipe", "socket", "link", "/dev/zero"):
        with pytest.raises(FileError, match="cannot be read: it is a"):
            IUA.load(tmp_path / name)


def test_a_draft_does_not_follow_what_was_planted(
    tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    tokens = iter(["0" * 16, "1" * 16])
    monkeypatch.setattr("secrets.token_hex", lambda _: next(tokens))
    (tmp_path / f".file.{'0' * 16}.part").symlink_to(victim)
    (tmp_path / ".file.part").symlink_to(victim)
    write(tmp_path / "file")
    assert victim.read_bytes() == b"precious"
    assert (tmp_path / "file").is_file()
    assert not (tmp_path / "file").is_symlink()


def test_several_threads_write_one_file(tmp_path: Path, iua: IUA) -> None:
    path = tmp_path / "page.html"
    pages = [f"<!doctype html>{letter * 10**6}" for letter in "abcd"]
    errors: list[BaseException] = []

    def work(page: str) -> None:
        try:
            for _ in range(5):
                html.write_page(path, page)
                iua.save(tmp_path / "run.iua")
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=work, args=(page,)) for page in pages]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert path.read_text() in pages
    assert IUA.load(tmp_path / "run.iua").probes == 3
    assert names(tmp_path) == ["page.html", "run.iua"]


KILLED = """
import os, sys
from pathlib import Path
from iua_widget.common.atomic_write import replacing
with replacing(Path(sys.argv[1])) as file:
    file.write(b"half")
    file.flush()
    os._exit(9)
"""


def test_drafts_of_killed_processes_are_cleared_and_those_in_use_are_not(
    tmp_path: Path, write: Write
) -> None:
    path = tmp_path / "file"
    subprocess.run([sys.executable, "-c", KILLED, path], check=False)
    (tmp_path / ".file.backup.part").write_bytes(b"another's")
    (tmp_path / ".other.0123456789abcdef.part").write_bytes(b"another's")
    left = names(tmp_path)
    assert len(left) == 3
    with replacing(path) as file:
        file.write(b"first")
        write(path)
        assert len(names(tmp_path)) == 4
        assert not set(left) <= set(names(tmp_path))
    assert path.read_bytes() == b"first"
    assert names(tmp_path) == [".file.backup.part", ".other.0123456789abcdef.part", "file"]


def test_a_write_protected_file_and_a_name_of_full_length(
    tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "ä" * 127
    write(tmp_path / name)
    assert names(tmp_path) == [name]
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK or path == tmp_path)
    with pytest.raises(FileError, match="it is write-protected"):
        write(tmp_path / name)


@pytest.mark.parametrize("wrong", ["", "a\0b", b"a\0b", 3, None, ["run.iua"]])
def test_what_can_be_no_path_is_told(write: Write, wrong: Any) -> None:
    with pytest.raises(FileError, match=r"path must be a path, such as 'run\.iua'"):
        write(wrong)
    with pytest.raises(FileError, match="path must be a path"):
        IUA.load(wrong)
    if wrong is not None:
        with pytest.raises(FileError, match="path must be a path"):
            IUA.introspect({"relu": np.zeros((3, 4))}, resume=wrong)


def test_paths_of_every_sort(tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for path in (str(tmp_path / "a"), os.fsencode(tmp_path / "b"), tmp_path / "c", "~/d"):
        assert write(path).is_file()
    assert names(tmp_path) == ["a", "b", "c", "d"]
    assert as_path("~nobody-of-this-name/x") == Path("~nobody-of-this-name/x")
