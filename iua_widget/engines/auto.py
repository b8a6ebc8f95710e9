"""The default engine: NumPy at first, compiled loops as soon as they are ready."""

from __future__ import annotations

import functools
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

import numpy as np

from iua_widget.common.forks import no_fork_within
from iua_widget.common.tensors import is_tensor
from iua_widget.engines.device_batch import DeviceBatch
from iua_widget.engines.engine import (
    BatchCounts,
    Engine,
    LayerBins,
    LayerResponses,
    ProbeSums,
    RunningSums,
)
from iua_widget.engines.marks import loops_are_marked
from iua_widget.engines.reference import ReferenceEngine
from iua_widget.errors import IUAError, IUAWarning

if TYPE_CHECKING:
    from iua_widget.engines.compiling import LoopCompiler
    from iua_widget.engines.needs import Need

_LOOPS: Final = "iua_widget.engines.cpu.kernels"
_WORTH_LOADING: Final = 0.3
"""Seconds of counting with NumPy after which loops on disk are loaded: numba takes as long."""
_WORTH_COMPILING: Final = 2.0
"""The same where there are none: what a run pays for them is small beside what it took before."""


_Layer = TypeVar("_Layer", LayerResponses, LayerBins)
_Classified = TypeVar("_Classified")


class AutoEngine:
    """The reference engine, and the CPU engine for what it has compiled loops for.

    Once counting has taken this process long enough to be worth it, loops are looked for in numba's
    cache. Those that are not there are compiled by a process of its own, while the reference engine
    counts: see `iua_widget.engines.compiling`. Tensors on a CUDA device are counted there, by the
    device engine. All give the same to the last bit, so it does not show which of them counted.

    Examples
    --------
    >>> import numpy as np
    >>> AutoEngine().classify(np.zeros((2, 3)), np.array([0.0])).inactive
    array([[3, 3],
           [3, 3]])
    """

    _took: ClassVar[float] = 0.0
    """Seconds that runs of this process have counted with NumPy."""

    def __init__(self) -> None:
        self._reference = ReferenceEngine()
        self._worth_looking_after: float | None = None
        self._looked = self._told = False
        self._failure = ""
        self._compiled: _Compiled | None = None
        self._device: Engine | None = None

    def __reduce__(self) -> tuple[type[AutoEngine], tuple[()]]:
        """A copy looks for itself: it may be in another process, on another machine."""
        return AutoEngine, ()

    def takes(self, tensor: Any) -> bool:
        """Tensors on a CUDA device: see `Engine.takes`."""
        return bool(tensor.is_cuda) and self._on_device().takes(tensor)

    def classify(
        self, values: Any, thresholds: np.ndarray, running: RunningSums | None = None
    ) -> BatchCounts | DeviceBatch:
        """Sort every magnitude of a batch into its bin; see `Engine.classify`."""
        if is_tensor(values):
            return self._on_device().classify(values, thresholds)
        one = LayerResponses(values, thresholds, running)
        return self._classified([one], lambda to: to.classify(values, thresholds, running))

    def classify_all(self, layers: Sequence[LayerResponses]) -> list[BatchCounts | DeviceBatch]:
        """Classify several layers' arrays; see `Engine.classify_all`."""
        return self._classified(layers, lambda to: to.classify_all(layers))

    def accumulate(self, batches: Sequence[np.ndarray], counts: np.ndarray) -> None:
        """Add classified batches to `counts`, in place; see `Engine.accumulate`."""
        self._to_accumulate([LayerBins(batches, counts)]).accumulate(batches, counts)

    def accumulate_all(self, layers: Sequence[LayerBins]) -> None:
        """Add classified batches to several layers' counts; see `Engine.accumulate_all`."""
        self._to_accumulate(layers).accumulate_all(layers)

    def sum_probes(self, bins: np.ndarray, ends: np.ndarray, columns: int, kept: int) -> ProbeSums:
        """Sum inactive units over the probes of several layers; see `Engine.sum_probes`."""
        compiled = self._compiled
        ready = compiled is not None and compiled.can_sum_probes(bins)
        engine = compiled.engine if ready and compiled is not None else self._reference
        return engine.sum_probes(bins, ends, columns, kept)

    def _classified(
        self, layers: Sequence[LayerResponses], classify: Callable[[Engine], _Classified]
    ) -> _Classified:
        if not self._looked and self._is_worth_looking():
            self._looked = True
            if _LOOPS in sys.modules:
                self._look_for_loops()
            else:
                _beside(self._look_for_loops)
        self._tell_failure()
        if self._compiled is None or not self._compiled.can_classify(layers):
            begun = time.perf_counter()
            counted = classify(self._reference)
            AutoEngine._took += time.perf_counter() - begun
            return counted
        try:
            return classify(self._compiled.engine)
        except (MemoryError, IUAError):
            raise
        except Exception as error:  # noqa: BLE001  (a compiler's: it can be any)
            # Nothing has been counted yet. Where it is for want of memory or of sense, this fails.
            found = classify(self._reference)
            self._compiled, self._failure = None, f"{type(error).__name__}: {error}"
            self._tell_failure()
            return found

    def _is_worth_looking(self) -> bool:
        if _LOOPS in sys.modules:
            return True
        if self._took < _WORTH_LOADING:
            return False
        if self._worth_looking_after is None:
            self._worth_looking_after = _WORTH_LOADING if loops_are_marked() else _WORTH_COMPILING
        return self._took >= self._worth_looking_after

    def _look_for_loops(self) -> None:
        try:
            with no_fork_within():
                from iua_widget.engines.compiling import loop_compiler

                compiler = loop_compiler()
        except ImportError:
            return
        except Exception as error:  # noqa: BLE001  (broken libraries raise anything)
            self._failure = f"{type(error).__name__}: {error}"
            return
        self._compiled = None if compiler is None else _compiled_by(compiler)

    def _tell_failure(self) -> None:
        failure = self._failure or (self._compiled.failure if self._compiled else "")
        if failure and not self._told:
            self._told = True
            message = (
                f"numba is here and fails ({failure}); NumPy counts in its place: as exactly, but "
                "several times slower. Install it again with "
                "`pip install --force-reinstall numba llvmlite`."
            )
            warnings.warn(message, IUAWarning, stacklevel=2)

    def _to_accumulate(self, layers: Sequence[LayerBins]) -> Engine:
        compiled = self._compiled
        if compiled is None or not compiled.can_accumulate(layers):
            return self._reference
        return compiled.engine

    def _on_device(self) -> Engine:
        if self._device is None:
            from iua_widget.engines.device.engine import DeviceEngine

            self._device = DeviceEngine()
        return self._device


class _Compiled:
    """The CPU engine, and what it has loops for."""

    def __init__(self, compiler: LoopCompiler) -> None:
        self._compiler = compiler
        self._engine: Engine | None = None
        self._alike: set[tuple[Any, ...]] = set()

    @property
    def failure(self) -> str:
        """Why there will be no more loops; empty where all is well."""
        return self._compiler.failure

    @property
    def engine(self) -> Engine:
        """The CPU engine; not made before it has loops to count with."""
        if self._engine is None:
            with no_fork_within():
                from iua_widget.engines.cpu.engine import CPUEngine

                self._engine = CPUEngine()
        return self._engine

    def can_classify(self, layers: Sequence[LayerResponses]) -> bool:
        from iua_widget.engines.needs import to_classify

        return self._can(layers, _classified_alike, to_classify)

    def can_accumulate(self, layers: Sequence[LayerBins]) -> bool:
        from iua_widget.engines.needs import to_accumulate

        return self._can(layers, _accumulated_alike, to_accumulate)

    def can_sum_probes(self, bins: np.ndarray) -> bool:
        from iua_widget.engines.needs import SummingProbes

        return self._compiler.has([SummingProbes(str(bins.dtype))])

    def _can(
        self,
        layers: Sequence[_Layer],
        alike: Callable[[_Layer], tuple[Any, ...]],
        needs_of: Callable[[_Layer], Iterable[Need]],
    ) -> bool:
        # To find out takes longer than to count a small layer: those alike are not asked about.
        new = {alike(one): one for one in layers}
        new = {key: one for key, one in new.items() if key not in self._alike}
        if not new:
            return True
        needs = [need for one in new.values() for need in needs_of(one)]
        if not self._compiler.has(needs):
            return False
        self._alike |= set(new)
        return True


@functools.lru_cache(maxsize=1)
def _compiled_by(compiler: LoopCompiler) -> _Compiled:
    """One for all runs: what there are loops for stays so."""
    return _Compiled(compiler)


def _classified_alike(one: LayerResponses) -> tuple[Any, ...]:
    values, running = one.values, one.running
    return (
        values.dtype,
        values.shape[1:],
        values.strides,
        values.flags.writeable,
        len(values) > 0,
        one.thresholds.tobytes(),
        running is not None and running.onto is not None,
    )


def _accumulated_alike(layer: LayerBins) -> tuple[Any, ...]:
    bins = [(one.dtype, one.strides, len(one), one.flags.writeable) for one in layer.batches]
    return (*bins, layer.counts.dtype, layer.counts.shape)


def _beside(work: Callable[[], None]) -> None:
    """Call `work` on a thread, which the interpreter's exit waits for: it may be importing."""
    threading.Thread(target=work, name="iua_widget look for loops").start()
