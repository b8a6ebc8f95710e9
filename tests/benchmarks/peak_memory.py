"""Peak memory after ten times the probes, over that after one time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fresh import in_fresh_process
from measure import Row, Spread, look_for_loops_at_once, size

TITLE = "Peak memory after ten times the probes"


def rows(*, quick: bool = False) -> Iterator[Row]:
    batches, units, pairs = (2, 200, 1) if quick else (20, 50_000, 5)
    peaks: list[tuple[int, int]] = []
    for _ in range(pairs):
        once = in_fresh_process(run, batches=batches, units=units)
        tenfold = in_fresh_process(run, batches=10 * batches, units=units)
        peaks.append((once["peak"], tenfold["peak"]))
    yield Row(
        f"{640 * batches:,} probes of {units:,} and of 3 × {units // 8:,} units, "
        "`keep_inactive=False`",
        f"{64 * batches:,} probes, each in a fresh process",
        Spread.of([ten / one for one, ten in peaks]),
        f"peak resident memory {size(peaks[0][1])} after {size(peaks[0][0])} ({pairs} pairs); "
        "counters are wider above 65,535 probes",
        must=1.02,
        goal=1.0,
    )


def run(*, batches: int, units: int) -> dict[str, Any]:
    """Count batches that are made anew, as a model makes them."""
    import numpy as np

    from iua_widget import IUA

    def produce(batch_size: int) -> Iterator[dict[str, np.ndarray]]:
        random = np.random.default_rng(0)
        for _ in range(batches):
            values = random.standard_normal((batch_size, units), np.float32)
            maps = random.standard_normal((batch_size, 3, units // 8), np.float32)
            yield {"dense": np.maximum(values, 0), "maps": np.maximum(maps, 0)}

    look_for_loops_at_once()
    iua = IUA.introspect(produce, batch_size=64, keep_inactive=False)
    return {"probes": iua.probes}
