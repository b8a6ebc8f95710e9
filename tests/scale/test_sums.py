"""What ranks sum is what merging their runs gives, whatever each has counted."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from iua_widget import IUA
from iua_widget.iua import run_of
from iua_widget.run.merge import merged
from iua_widget.run.run import Run
from iua_widget.scale import all_reduce
from iua_widget.scale.all_reduce import all_reduced

pytestmark = [
    pytest.mark.filterwarnings("ignore:Not finite:iua_widget.IUAWarning"),
    pytest.mark.filterwarnings("ignore:No input reached:iua_widget.IUAWarning"),
]

LAST = 70
FLOATING = {"abs_sum", "square_sum"}


class Group:
    """Threads in the place of processes."""

    def __init__(self, size: int) -> None:
        self.barrier = threading.Barrier(size, timeout=30)
        self.told: list[Any] = [None] * size


class Rank:
    def __init__(self, group: Group, rank: int) -> None:
        self.group, self.rank = group, rank

    def exchange(self, told: Any) -> list[Any]:
        self.group.told[self.rank] = told
        self.group.barrier.wait()
        answers = list(self.group.told)
        self.group.barrier.wait()
        return answers

    def sum(self, values: np.ndarray, *, largest: bool = False) -> None:
        parts = self.exchange(values.copy())
        assert len({(one.shape, one.dtype) for one in parts}) == 1
        values[:] = (np.maximum if largest else np.add).reduce(parts)


def on_all_ranks(runs: list[Run]) -> list[Run]:
    group = Group(len(runs))
    with ThreadPoolExecutor(len(runs)) as pool:
        ranks = [Rank(group, rank) for rank in range(len(runs))]
        return list(pool.map(all_reduced, runs, ranks))


def counted(values: np.ndarray, columns: list[int], units: str) -> IUA:
    iua = IUA.introspect(
        {"a": values, "b": values[:, 0, :2]}, units={"a": units}, engine="reference"
    )
    iua._run.tallies["a"].thin(columns)
    return iua


responses = hnp.arrays(
    np.float32,
    st.tuples(st.integers(0, 4), st.integers(1, 3), st.just(4)),
    elements=st.sampled_from([0.0, 1e-8, 1e-3, -0.02, 1.0, 3e30, np.nan, np.inf]),
)
columns = st.sampled_from([list(range(LAST + 1)), [0, 5, 20, LAST], [0, 20, LAST], [0, LAST]])


def parts_of(units: str) -> st.SearchStrategy[list[IUA]]:
    nothing = st.builds(lambda: IUA(units={"a": units}, engine="reference"))
    one = st.builds(counted, responses, columns, st.just(units))
    return st.lists(st.one_of(nothing, one), min_size=1, max_size=4)


@pytest.mark.parametrize("bucket", [all_reduce.BUCKET_BYTES, 40])
@settings(max_examples=25, deadline=None)
@given(st.sampled_from(["token", "channel"]).flatmap(parts_of))
def test_ranks_have_what_merging_gives(bucket: int, iuas: list[IUA]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(all_reduce, "BUCKET_BYTES", bucket)
        runs = on_all_ranks([run_of(iua) for iua in iuas])
    whole = merged([run_of(iua) for iua in iuas])
    for run in runs:
        assert list(run.tallies) == list(whole.tallies)
        assert (run.probes, run.weights, run.steady) == (whole.probes, whole.weights, whole.steady)
        assert run.source_notes == whole.source_notes
        for layer, tally in run.tallies.items():
            here, there = tally.state(), whole.tallies[layer].state()
            assert here.facts == there.facts
            assert here.arrays.keys() == there.arrays.keys()
            for name, array in here.arrays.items():
                if name in FLOATING:
                    np.testing.assert_allclose(array, there.arrays[name], rtol=1e-12)
                elif name == "counts":  # wide enough each
                    np.testing.assert_array_equal(array, there.arrays[name])
                else:
                    assert array.dtype == there.arrays[name].dtype, name
                    np.testing.assert_array_equal(array, there.arrays[name])


def test_a_run_that_is_being_counted_is_an_error_for_all() -> None:
    run = run_of(IUA.introspect({"a": np.eye(3)}, engine="reference"))
    counting = run_of(IUA.introspect({"a": np.eye(3)}, engine="reference"))
    counting.check_not_counted = _refuse  # type: ignore[method-assign]
    group = Group(2)
    with ThreadPoolExecutor(2) as pool:
        ends = [
            pool.submit(all_reduced, one, Rank(group, rank))
            for rank, one in enumerate((run, counting))
        ]
        words = [str(end.exception()) for end in ends]
    assert "1 of 2 ranks could not count their part (rank 1: ValueError: counting" in words[0]
    assert words[1] == "counting"


def _refuse() -> None:
    message = "counting"
    raise ValueError(message)
