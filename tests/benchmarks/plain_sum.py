"""Values counted a second against values that a sum reads a second."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from against_dnikit import relu
from measure import Row, side_by_side

from iua_widget.engines.choice import choose_engine
from iua_widget.engines.threads import cores
from iua_widget.tally.tally import Tally
from iua_widget.tolerances import Stops, default_stops

TITLE = "Values counted a second, over values a plain sum reads a second"


def rows(*, quick: bool = False) -> Iterator[Row]:
    pairs = 2 if quick else 21
    for units in (256,) if quick else (65_536, 1_048_576):
        values = relu((64, units), seed=0)
        yield _compared(values, pairs, threads=1)
        if cores() > 1:
            yield _compared(values, pairs, threads=cores())


def _compared(values: np.ndarray, pairs: int, *, threads: int) -> Row:
    engine = choose_engine("cpu")
    tally = Tally(Stops(default_stops()), values.shape[1:], engine=engine)

    def count() -> None:
        tally.add(tally.classify(values, running=True))

    with ThreadPoolExecutor(threads) as pool:
        parts = np.array_split(values.ravel(), threads)

        def total() -> float:
            if threads == 1:
                return float(np.sum(values))
            return sum(pool.map(lambda part: float(np.sum(part)), parts))

        times = side_by_side(count, total, pairs=pairs, warm=2)
    assert tally.store.read_counts().up_to(0).sum() == (values == 0).sum() * (pairs + 2)
    counted, read = values.size / times.our_median / 1e9, values.size / times.their_median / 1e9
    plain = threads == 1
    return Row(
        f"64 probes × {values.shape[1]:,} units, float32, half exact zeros, classified and added "
        f"to the tally, {cores()} threads",
        "`numpy.sum` of the same array, 1 thread"
        if plain
        else f"the same sum in {threads} threads",
        times.speedup,
        f"{counted:.2f} G values/s counted, {read:.2f} G/s summed ({pairs} pairs)",
        must=0.1 if plain else None,
        goal=1 / 3 if plain else None,
        better="higher",
    )
