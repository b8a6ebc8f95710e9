"""The first run on a machine: what an empty cache of compiled loops costs."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Iterator
from typing import Any

from fresh import in_fresh_process
from measure import (
    Row,
    Spread,
    look_for_loops_at_once,
    loop_compiler,
    loops_were_compiled,
    seconds,
)

TITLE = "The first run, in a fresh process"
_FILLING_AT_MOST = 20
"""Runs after which a cache has all that one of them needs."""


def rows(*, quick: bool = False) -> Iterator[Row]:
    images: dict[str, Any] = {"images": 4, "side": 16} if quick else {"images": 32, "side": 64}
    pairs = 1 if quick else 5
    every = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as warm:
        if not quick:
            for _ in range(_FILLING_AT_MOST):
                if not in_fresh_process(run, cache=warm, fill=True, batches=10, **images)[
                    "compiled"
                ]:
                    break
        # The second is there still while loops are compiled.
        for batches, cores in ((3, every),) if quick else ((10, every), (40, every), (10, 1)):
            yield from _rows(warm, pairs, cores, {"batches": batches, **images})


def _rows(warm: str, pairs: int, cores: int, size: dict[str, Any]) -> Iterator[Row]:
    cold, beside, filled = [], [], []
    for _ in range(pairs):
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as empty:
            cold.append(in_fresh_process(run, cache=empty, cores=cores, **size))
        beside.append(in_fresh_process(run, engine="reference", cache=warm, cores=cores, **size))
        filled.append(in_fresh_process(run, cache=warm, cores=cores, **size))
    what = f"{size['batches']} batches of {size['images']} images through a small conv net, "
    what += f"{cores} core{'s' if cores > 1 else ''}"
    for state, runs, must in (("an empty", cold, 1.3), ("a filled", filled, None)):
        took = [one["seconds"] for one in runs]
        yield Row(
            f"{what}, {state} cache of compiled loops",
            'the same with `engine="reference"`',
            Spread.of([one / other["seconds"] for one, other in zip(took, beside, strict=True)]),
            f"{seconds(sorted(took)[len(took) // 2])} ({pairs} pairs)",
            must=must,
        )
        yield Row(
            f"the same: until the first batch is counted, and the longest wait after it ({state})",
            "",
            Spread.of([max(one["first"], one["longest"]) for one in runs]),
            f"first {seconds(max(one['first'] for one in runs))}, "
            f"then at most {seconds(max(one['longest'] for one in runs))}",
            must=1.0,
            unit="s",
        )


def run(
    *,
    cache: str,
    batches: int,
    images: int,
    side: int,
    engine: str = "auto",
    fill: bool = False,
    cores: int | None = None,
) -> dict[str, Any]:
    """Count a conv net's channels and elements, and tell how long each batch took."""
    os.environ["NUMBA_CACHE_DIR"] = cache
    if cores is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    import torch
    from torch import nn

    from iua_widget.iua import IUA
    from iua_widget.run.loop import count
    from iua_widget.run.open import open_source

    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.LazyLinear(512),
        nn.ReLU(),
    )
    data = [torch.randn(images, 3, side, side) for _ in range(batches)]
    model(data[0])
    if fill:
        look_for_loops_at_once()
    begun = time.perf_counter()
    iua, waits, last = IUA(engine=engine), [], begun
    for _ in count(iua._run, open_source(model, data)):
        now = time.perf_counter()
        waits.append(now - last)
        last = now
    took = time.perf_counter() - begun
    return {
        "seconds": took,
        "first": waits[0],
        "longest": max(waits[1:]),
        "compiled": loops_were_compiled() if fill else _end_compiling(),
    }


def _end_compiling() -> bool:
    """End the process that compiles: what is measured next is to have the machine to itself."""
    for thread in threading.enumerate():
        if thread.name == "iua_widget look for loops":
            thread.join()
    compiler = loop_compiler()
    if compiler is None or compiler._process is None:
        return False
    compiler._process.kill()
    return True
