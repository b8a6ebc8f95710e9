"""Has the CPU engine's loops compiled by a process of its own, into numba's cache on disk.

As a script it is that process: it reads, on standard input, a folder and the calls for whose loops
there is a need, and marks in the folder which are done.
"""

from __future__ import annotations

import atexit
import functools
import hashlib
import os
import pickle
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Final

import llvmlite.binding  # type: ignore[import-untyped]
import numba
import numpy as np

from iua_widget.common.forks import free_in_child, in_child
from iua_widget.engines.cpu import kernels
from iua_widget.engines.marks import PREFIX
from iua_widget.engines.needs import Need

_NICER: Final = 15
"""Of a core that the run wants for itself, this leaves a thirtieth to the compiler."""


class LoopCompiler:
    """Knows which loops numba's cache on disk has, and has those compiled that it lacks.

    They are compiled in the order in which there is a need, by one process at a time, which takes
    what the run leaves of the processor. What it does serves this run if that lasts, and later ones
    in any case: where this process ends first, it comes to the end of what it has been given.

    Parameters
    ----------
    folder : Path
        Numba's cache. An empty file in it marks that the loops of a `Need` are there.

    Attributes
    ----------
    failure : str
        Why they could not be compiled, and will not be; empty where all is well.
    """

    def __init__(self, folder: Path) -> None:
        self.failure = ""
        self._folder = folder
        self._compiled: set[str] = set()
        self._asked: set[str] = set()
        self._queue: list[Need] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._complaints: IO[bytes] | None = None
        self._lock = free_in_child(threading.Lock())

    def has(self, needs: Iterable[Need]) -> bool:
        """Whether the cache has the loops of all these calls; those it lacks are asked for."""
        missing = [need for need in needs if need.name not in self._compiled]
        if not missing:
            return True
        with self._lock:
            for need in missing:
                if (self._folder / mark(need)).exists():
                    self._compiled.add(need.name)
                elif need.name not in self._asked:
                    self._asked.add(need.name)
                    self._queue.append(need)
            self._see_to_process()
        return all(need.name in self._compiled for need in missing)

    def wait(self) -> bool:
        """Wait until all that was asked for is compiled, or has failed; whether there was any."""
        waited = False
        while self._process is not None:
            waited = True
            self._process.wait()
            with self._lock:
                self._see_to_process()
        return waited

    def _see_to_process(self) -> None:
        if self._process is not None and self._process.poll() is not None:
            if self._process.returncode and self._complaints is not None:
                self._complaints.seek(0)
                lines = self._complaints.read().decode(errors="replace").strip().splitlines()
                self.failure = lines[-1] if lines else f"exit status {self._process.returncode}"
            self.forget_process()
        if self._queue and self._process is None and not self.failure:
            try:
                self._begin()
            except OSError as error:
                self.failure = str(error)

    def _begin(self) -> None:
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115  (until the process has ended)
        self._process = subprocess.Popen(  # noqa: S603  (this very interpreter)
            [sys.executable, "-W", "ignore", "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._complaints,
            env=_environment(),
            # Ctrl-C is for this process. In a session of its own it would get half of a core that
            # both want, however nice it is: on Linux, niceness counts within a session.
            process_group=0,
            creationflags=getattr(subprocess, "BELOW_NORMAL_PRIORITY_CLASS", 0),  # Windows
        )
        if hasattr(os, "setpriority"):
            niceness = min(os.getpriority(os.PRIO_PROCESS, 0) + _NICER, 19)
            os.setpriority(os.PRIO_PROCESS, self._process.pid, niceness)
        if self._process.stdin is not None:
            with self._process.stdin as stdin:
                pickle.dump((self._folder, self._queue), stdin)
        self._queue = []

    def forget_process(self) -> None:
        """It has ended, or is left to itself."""
        if self._process is not None:
            self._process.returncode = self._process.returncode or 0
        if self._complaints is not None:
            self._complaints.close()
        self._process = self._complaints = None

    def begin_anew(self) -> None:
        """In a forked process: the one that compiles is the parent's."""
        self._asked.clear()
        self.forget_process()


def _environment() -> dict[str, str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    if numba.config.CACHE_DIR:  # type: ignore[attr-defined]
        environment["NUMBA_CACHE_DIR"] = numba.config.CACHE_DIR  # type: ignore[attr-defined]
    return environment


def mark(need: Need) -> str:
    """The name of the file that marks that loops have been compiled by this very code."""
    return f"{PREFIX}{_edition()}-{need.name}"


@functools.cache
def _edition() -> str:
    """What tells apart all that numba's cache keeps apart: sources, numba, and the processor."""
    folders = Path(__file__).parent, Path(kernels.__file__).parent
    sources = [source for folder in folders for source in sorted(folder.glob("*.py"))]
    facts = [
        *((source.name, source.stat().st_size, source.stat().st_mtime_ns) for source in sources),
        (sys.version, numba.__version__, np.__version__, llvmlite.binding.llvm_version_info),
        (llvmlite.binding.get_host_cpu_name(), llvmlite.binding.get_host_cpu_features().flatten()),
    ]
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


@functools.cache
def loop_compiler() -> LoopCompiler | None:
    """The one of this process; None where nothing is compiled, or nothing could be kept."""
    folder = kernels.cache_folder()
    if folder is None:
        return None
    compiler = LoopCompiler(folder)
    atexit.register(compiler.forget_process)
    in_child(compiler.begin_anew)
    return compiler


def _compile(folder: Path, needs: Sequence[Need]) -> None:
    """Compile what no other process has compiled meanwhile: they take turns at a folder."""
    with (folder / "compiling").open("a") as turn:
        if sys.platform != "win32":
            import fcntl

            fcntl.flock(turn, fcntl.LOCK_EX)
        for need in needs:
            if not (folder / mark(need)).exists():
                need.call()
                (folder / mark(need)).touch()


if __name__ == "__main__":
    _compile(*pickle.load(sys.stdin.buffer))  # noqa: S301  (from the process that has begun it)
