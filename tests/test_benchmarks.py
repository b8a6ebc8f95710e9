"""The benchmarks run, at tiny sizes: nothing is said here of how fast anything is."""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from runpy import run_path

import numpy as np
import pytest
from against_dnikit import assert_same, mixed_layers
from dnikit.samples import StubProducer
from fresh import in_fresh_process
from measure import Row, Spread, side_by_side
from peak_memory import run as count_batches

from iua_widget import IUA

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

BENCHMARKS = Path(__file__).parent / "benchmarks"
MAIN = run_path(str(BENCHMARKS / "__main__.py"), run_name="benchmarks")


@pytest.mark.parametrize("name", MAIN["BENCHMARKS"])
def test_every_benchmark_gives_rows_and_a_table(name: str, tmp_path: Path) -> None:
    path = tmp_path / "results.md"
    sections = MAIN["run"]([name], path, quick=True)
    title = importlib.import_module(name).TITLE
    assert list(sections) == [title]
    assert sections[title]
    for row in sections[title]:
        spread = row.spread
        assert 0 <= spread.lowest <= spread.median <= spread.highest < math.inf
        assert spread.median > 0 or "memory" in row.what  # of which tiny sizes may take none
    text = path.read_text(encoding="utf-8")
    assert f"## {title}" in text
    lines = text.splitlines()
    table = lines[next(i for i, line in enumerate(lines) if line.startswith("| measured")) :]
    assert len({line.count(" | ") for line in table if line.startswith("| ")}) == 1
    assert sum(line.startswith("| ") for line in table) == 1 + len(sections[title])
    assert f"numpy {np.__version__}" in text


def test_what_is_timed_beside_dnikit_is_compared_with_it() -> None:
    responses = mixed_layers(3, 64, largest=200)
    producer = StubProducer(responses)
    iua = IUA.introspect(producer)
    assert_same(iua, producer, 32)
    with pytest.raises(AssertionError):
        assert_same(IUA.introspect(producer, atol=0.5), producer, 32)


def test_both_sides_are_timed_in_turn() -> None:
    calls: list[str] = []
    times = side_by_side(lambda: calls.append("A"), lambda: calls.append("B"), pairs=4, warm=1)
    assert "".join(calls) == "ABBAABBAAB"
    assert len(times.ours) == len(times.theirs) == 4


def test_a_row_says_what_it_reaches() -> None:
    def reached(median: float, better: str) -> str:
        spread = Spread(median, median, median)
        limits = (1.02, 1.0) if better == "lower" else (8, 25)
        return Row("", "", spread, "", *limits, better=better).reached

    assert [reached(value, "lower") for value in (1.001, 1.02, 1.1)] == ["goal", "must", "missed"]
    assert [reached(value, "higher") for value in (30, 24.9, 7)] == ["goal", "must", "missed"]


def test_a_fresh_process_tells_its_peak_memory() -> None:
    found = in_fresh_process(count_batches, batches=1, units=50)
    assert found["probes"] == 64
    assert found["peak"] > 2**20


def test_an_error_in_a_fresh_process_is_seen() -> None:
    with pytest.raises(RuntimeError, match="negative dimensions"):
        in_fresh_process(count_batches, batches=1, units=-5)
