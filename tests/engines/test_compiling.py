"""Counting does not wait for a compiler: loops are compiled by a process of its own meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba.core.dispatcher import Dispatcher

from iua_widget import IUA, IUAWarning, default_stops
from iua_widget.common import forks
from iua_widget.engines import auto, compiling, marks
from iua_widget.engines.auto import AutoEngine
from iua_widget.engines.compiling import LoopCompiler
from iua_widget.engines.cpu import avx512_kernels, kernels
from iua_widget.engines.cpu.engine import CPUEngine
from iua_widget.engines.cpu.scale_kernel import bounds_over_rtol
from iua_widget.engines.engine import LayerBins, LayerResponses, RunningSums
from iua_widget.engines.marks import PRIVATE_FOLDER, loops_are_marked
from iua_widget.engines.needs import (
    BoundingOverRtol,
    Need,
    to_accumulate,
    to_classify,
)
from iua_widget.engines.reference import ReferenceEngine
from iua_widget.reading.curves import _curves_compiled
from iua_widget.reading.thresholds import UNIT_SCALES
from iua_widget.tolerances import Tolerances

pytestmark = pytest.mark.slow


PATIENCE = 120
SMALL = BoundingOverRtol("uint8")


@dataclass(frozen=True)
class Impossible:
    """What no process can compile."""

    name: str = "impossible"

    def call(self) -> None:
        message = "the compiler is broken"
        raise OSError(message)


@dataclass(frozen=True)
class Slow:
    """What takes a while to compile, and is noted by whoever does."""

    log: str
    name: str = "slow"

    def call(self) -> None:
        with Path(self.log).open("a") as log:
            log.write("compiled ")
        time.sleep(0.5)


def compiled_so_far() -> dict[str, int]:
    modules = (kernels, avx512_kernels)
    return {
        f"{module.__name__}.{name}": len(loop.signatures)
        for module in modules
        for name, loop in vars(module).items()
        if isinstance(loop, Dispatcher)
    }


def arrays(dtype: str) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(0)
    for shape in ((3, 40), (40, 2500), (2, 5, 40), (70, 1, 9)):
        values = rng.normal(size=shape).astype(dtype)
        yield values
        yield values[..., ::2]
        if values.ndim == 3:
            yield values.transpose(0, 2, 1)
        if dtype == "f4":
            locked = values.copy()
            locked.flags.writeable = False
            yield locked


def classified(dtype: str) -> Iterator[LayerResponses]:
    many = np.linspace(0, 1, 300)  # as many bins as take two bytes
    for stops in (default_stops(), [0.0, 1.0], *([many] if dtype == "f8" else [])):
        for values in arrays(dtype):
            thresholds = np.array(stops).astype(np.abs(values[:0]).dtype)
            units = values.shape[-1]
            yield LayerResponses(values, thresholds)
            into = np.empty((3, units))
            yield LayerResponses(values, thresholds, RunningSums(np.ones((3, units)), into))


@pytest.mark.parametrize("dtype", ["f4", "f2", "f8", ">f4", "c8", "longdouble"])
def test_a_need_names_all_loops_that_a_call_compiles(dtype: str) -> None:
    engine = CPUEngine()
    for one in classified(dtype):
        for need in to_classify(one):
            need.call()
        before = compiled_so_far()
        engine.classify(one.values, one.thresholds, one.running)
        assert compiled_so_far() == before, list(to_classify(one))


@pytest.mark.parametrize("counts", ["u1", "u2", "u4", "u8"])
def test_so_it_is_with_counting(counts: str) -> None:
    rng, engine = np.random.default_rng(0), CPUEngine()
    for bins in ("u1", "u2") if counts == "u2" else ("u1",):
        for probes in ((3,), (40, 3), (70,), (100, 60)):
            for columns in (3, 72):
                batches = [rng.integers(0, 3, (n, 70)).astype(bins) for n in probes]
                layer = LayerBins(batches, np.zeros((70, columns), counts))
                for need in to_accumulate(layer):
                    need.call()
                before = compiled_so_far()
                engine.accumulate(layer.batches, layer.counts)
                assert compiled_so_far() == before, list(to_accumulate(layer))


@pytest.mark.parametrize("probes", [20, 300])
@pytest.mark.parametrize("units", ["element", "channel"])
def test_so_it_is_with_curves_over_rtol(
    probes: int, units: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiling, "loop_compiler", Doors.opened)
    values = np.random.default_rng(0).normal(size=(probes, 3, 4, 4)).astype("f4")
    tally = IUA.introspect({"a": values}, units=units, memory="1 GB")._run.tally("a")
    BoundingOverRtol(str(tally.store.read_counts().counts.dtype)).call()
    before = len(bounds_over_rtol.signatures)
    for scale in UNIT_SCALES:
        at = Tolerances(0.0, 1e-8, scale)
        assert _curves_compiled(tally, at, [0.0, 0.5], np.full(tally.units, probes)) is not None
    assert len(bounds_over_rtol.signatures) == before


@pytest.fixture
def compiler(tmp_path: Path) -> Iterator[LoopCompiler]:
    compiler = LoopCompiler(tmp_path)
    yield compiler
    compiler.forget_process()


def until_there(compiler: LoopCompiler, *needs: Need) -> None:
    begun = time.monotonic()
    while not compiler.has(needs) and not compiler.failure:
        assert time.monotonic() - begun < PATIENCE
        time.sleep(0.05)


def test_what_the_cache_lacks_is_compiled_by_a_process_of_its_own(
    compiler: LoopCompiler, tmp_path: Path
) -> None:
    assert not compiler.wait()
    assert not compiler.has([SMALL])
    assert compiler.wait()
    assert compiler.has([SMALL])
    assert compiler.failure == ""
    later = LoopCompiler(tmp_path)
    assert later.has([SMALL]), "it is marked on disk, for every process"
    assert later._process is None


@pytest.mark.skipif(sys.platform == "win32", reason="files are not locked on Windows")
def test_of_several_processes_one_compiles(tmp_path: Path) -> None:
    slow = Slow(str(tmp_path / "log"))
    compilers = [LoopCompiler(tmp_path) for _ in range(3)]
    for compiler in compilers:
        assert not compiler.has([slow])
    for compiler in compilers:
        assert compiler.wait()
        assert compiler.has([slow])
    assert (tmp_path / "log").read_text() == "compiled "


@pytest.mark.skipif(not hasattr(os, "setpriority"), reason="processes here have no niceness")
def test_the_process_takes_what_the_run_leaves(compiler: LoopCompiler) -> None:
    compiler.has([SMALL])
    process = compiler._process
    assert process is not None
    assert os.getpriority(os.PRIO_PROCESS, process.pid) >= min(os.nice(0) + 15, 19)
    assert os.getsid(process.pid) == os.getsid(0), "niceness counts within a session"
    assert os.getpgid(process.pid) != os.getpgid(0), "Ctrl-C is for this process"
    compiler.wait()


def test_a_process_that_cannot_compile_says_why_and_is_not_begun_again(
    compiler: LoopCompiler,
) -> None:
    compiler.has([Impossible()])
    until_there(compiler, Impossible())
    assert "the compiler is broken" in compiler.failure or "Impossible" in compiler.failure
    assert not compiler.has([SMALL])
    assert compiler._process is None


class Doors:
    """A compiler that has what it is told."""

    def __init__(self) -> None:
        self.open, self.failure, self.asked = False, "", 0

    @classmethod
    def opened(cls) -> Doors:
        doors = cls()
        doors.open = True
        return doors

    def has(self, needs: Any) -> bool:
        self.asked += 1
        return self.open or not list(needs)


def test_numpy_counts_until_the_loops_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    doors, by = Doors(), []
    monkeypatch.setattr(compiling, "loop_compiler", lambda: doors)
    for kind in (CPUEngine, ReferenceEngine):
        classify = kind.classify

        def noted(self: Any, *args: Any, _classify: Any = classify, _kind: Any = kind) -> Any:
            by.append(_kind.__name__)
            return _classify(self, *args)

        monkeypatch.setattr(kind, "classify", noted)
    values = np.random.default_rng(0).normal(size=(4, 3, 100)).astype("f4")
    engine, thresholds = AutoEngine(), np.array(default_stops(), "f4")
    before = engine.classify(values, thresholds)
    doors.open = True
    after = engine.classify(values, thresholds)
    assert by == ["ReferenceEngine", "CPUEngine"]
    for name in ("bins", "inactive", "abs_sum", "square_sum", "abs_max"):
        np.testing.assert_array_equal(getattr(before, name), getattr(after, name))
    asked = doors.asked
    engine.classify(values, thresholds)
    assert doors.asked == asked, "a layer like one before is not asked about"


@pytest.mark.parametrize("marked", [True, False], ids=["loops on disk", "none"])
def test_numba_is_not_loaded_before_it_is_worth_it(
    marked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, auto._LOOPS)
    monkeypatch.setattr(auto, "loops_are_marked", lambda: marked)
    monkeypatch.setattr(AutoEngine, "_took", 0.0)
    now, beside = [0.0], []
    monkeypatch.setattr(auto.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(auto, "_beside", beside.append)

    def slow(self: Any, *args: Any, _classify: Any = ReferenceEngine.classify) -> Any:
        now[0] += 0.125
        return _classify(self, *args)

    monkeypatch.setattr(ReferenceEngine, "classify", slow)
    values, thresholds = np.zeros((4, 9), np.float32), np.zeros(1, np.float32)
    counted = 0
    while not beside:
        engine = AutoEngine()  # a run each: it is the process that may have had enough of NumPy
        engine.classify(values, thresholds)
        now[0] += 100  # the model's, which no loops would make faster
        counted += 1
    assert counted == (4 if marked else 17), "after 0.3 and 2 seconds of counting"
    for _ in range(20):
        engine.classify(values, thresholds)
    assert beside == [engine._look_for_loops], "once a run, and beside the counting"


PLACES = {
    "NUMBA_CACHE_DIR": "counting_0123",
    "XDG_CACHE_HOME": "numba/counting_0123",
    "HOME": ".cache/numba/counting_0123",
    "TMPDIR": f"{PRIVATE_FOLDER}-1000/counting_0123",
}


@pytest.mark.parametrize("variable", PLACES)
def test_loops_on_disk_are_found_without_numba(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("iua_widget.engines.marks.__file__", str(tmp_path / "nowhere/marks.py"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    if variable == "TMPDIR":
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv(variable, str(tmp_path))
    assert not loops_are_marked()
    (tmp_path / PLACES[variable]).mkdir(parents=True)
    assert not loops_are_marked(), "a cache of somebody else's loops"
    (tmp_path / PLACES[variable] / compiling.mark(SMALL)).touch()
    assert loops_are_marked()


def test_a_mark_beside_the_modules_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    assert Path(kernels.__file__).parent / "__pycache__" in dict(marks._places())
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("iua_widget.engines.marks.__file__", str(tmp_path / "marks.py"))
    (tmp_path / "cpu/__pycache__").mkdir(parents=True)
    (tmp_path / "cpu/__pycache__" / compiling.mark(SMALL)).touch()
    assert loops_are_marked()


def test_where_the_compiler_fails_numpy_counts_and_it_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    doors = Doors()
    doors.failure = "OSError: no LLVM"
    monkeypatch.setattr(compiling, "loop_compiler", lambda: doors)
    with pytest.warns(IUAWarning, match="numba is here and fails .OSError: no LLVM.") as told:
        iua = IUA.introspect([{"a": np.zeros((4, 9), np.float32)}] * 3)
    assert len(told) == 1
    assert iua.results["a"].dead == 9


PROGRAM = """
import numpy as np
from iua_widget import IUA
from iua_widget.engines.cpu import kernels
from iua_widget.engines import auto
from iua_widget.engines.compiling import loop_compiler
iua = IUA.introspect([{"a": np.zeros((64, 20_000), np.float32)}] * 3)
assert iua.results["a"].dead == 20_000
print(kernels.cache_folder(), loop_compiler() is not None)
"""


def run(program: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        capture_output=True,
        text=True,
        env={name: value for name, value in os.environ.items() if "NUMBA" not in name}
        | environment,
    )
    return done.stdout.strip()


def test_where_nothing_is_compiled_numpy_counts() -> None:
    assert run(PROGRAM, NUMBA_DISABLE_JIT="1") == "None False"


def test_where_numba_finds_no_place_for_its_cache_it_is_kept_beside_temporary_files(
    tmp_path: Path,
) -> None:
    folder = tmp_path / f"iua_widget-numba-{os.getuid()}"
    # Numba itself then looks in no other place.
    nowhere = {"NUMBA_CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator", "TMPDIR": str(tmp_path)}
    found, compiles = run(PROGRAM, **nowhere).rsplit(" ", 1)
    assert Path(found).is_relative_to(folder)
    assert compiles == "True"
    assert folder.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("planted", ["link", "open"])
def test_a_folder_that_others_can_write_to_is_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, planted: str
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    place = tmp_path / f"cache-{os.getuid()}"
    if planted == "link":
        (tmp_path / "elsewhere").mkdir()
        place.symlink_to(tmp_path / "elsewhere")
    else:
        place.mkdir()
        place.chmod(0o777)
    assert kernels.private_folder("cache") is None
    place.unlink() if planted == "link" else place.rmdir()
    assert kernels.private_folder("cache") == place


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system forks no process")
def test_a_forked_process_leaves_the_compiler_to_its_parent(compiler: LoopCompiler) -> None:
    compiler.has([SMALL])
    assert compiler._lock in forks._locks, "another thread may have it at the moment of the fork"
    compiler.begin_anew()
    assert compiler._process is None
    until_there(compiler, SMALL)
    assert compiler.has([SMALL])
