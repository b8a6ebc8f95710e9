"""Runs saved to a file and loaded again."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from against_dnikit import relu
from measure import Row, Spread, size, timed

TITLE = "Files"


def rows(*, quick: bool = False) -> Iterator[Row]:
    from iua_widget import IUA

    units, repeats = (1_000, 1) if quick else (1_000_000, 3)
    iua = IUA.introspect({"relu": relu((128, units), seed=0)}, batch_size=64)
    state = iua._run.tally("relu").state().arrays
    held = sum(array.nbytes for array in state.values())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.iua"
        save, load = [], []
        for _ in range(repeats):
            save.append(timed(lambda: iua.save(path)))
            load.append(timed(lambda: IUA.load(path)))
        written = path.stat().st_size
        again = IUA.load(path).results["relu"].unit_inactive_count
    assert (again == iua.results["relu"].unit_inactive_count).all()
    shown = f"a run of {units:,} units, 128 probes, 70 stops"
    yield Row(
        f"{shown}: size of the file",
        "of the tally in memory",
        Spread.of([written / held]),
        f"{size(written)} and {size(held)}",
    )
    for name, times in (("`save`", save), ("`IUA.load`", load)):
        spread = Spread.of(times)
        yield Row(
            f"{shown}: {name}",
            "",
            spread,
            f"{size(held / spread.median)} of tally a second ({repeats} times)",
            unit="s",
        )
