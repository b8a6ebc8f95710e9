"""The probes with the largest responses of each unit, against plain NumPy over all the data."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from top_by_numpy import by_numpy, same

from iua_widget import (
    IUA,
    FileError,
    LayerSelectionError,
    MemoryBudgetError,
    NoProbesError,
    ProducerError,
    UnitsError,
)

pytestmark = pytest.mark.filterwarnings("ignore::iua_widget.IUAWarning")
RNG = np.random.default_rng(3)
RESPONSES = st.sampled_from([0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 3.0, np.nan, np.inf, -np.inf])


def cut(values: np.ndarray, sizes: Sequence[int]) -> Iterator[dict[str, np.ndarray]]:
    start = 0
    for size in [*sizes, len(values)]:
        if start < len(values):
            yield {"a": values[start : start + size]}
        start += size


def counted(values: np.ndarray, sizes: Sequence[int] = (), **options: Any) -> IUA:
    options = {"engine": "reference", "stops": [0.5], "top_probes": 2} | options
    return IUA.introspect(list(cut(values, sizes)), **options)


FLOATS = st.sampled_from([np.float16, np.float32, np.float64])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_batching_gives_what_numpy_gives(data: st.DataObject) -> None:
    shape = data.draw(st.tuples(st.integers(1, 9), st.integers(1, 3), st.integers(1, 4)))
    values = data.draw(arrays.arrays(data.draw(FLOATS), shape, elements=RESPONSES))
    sizes = data.draw(st.lists(st.integers(1, 4), max_size=6))
    k = data.draw(st.integers(1, 5))
    for units, axis in (("channel", 1), ("token", 2), ("element", None)):
        arranged = {
            "channel": values,
            "token": values.transpose(0, 2, 1),
            "element": values.reshape(len(values), -1, 1),
        }[units]
        iua = counted(values, sizes, units=units, channel_axis=axis, top_probes=k)
        same(iua.top_probes("a"), by_numpy(arranged, k))


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_merges_in_any_grouping_are_one_run(data: st.DataObject) -> None:
    values = data.draw(arrays.arrays(np.float32, (8, 2, 3), elements=RESPONSES))
    ends = sorted(data.draw(st.sets(st.integers(1, 7), min_size=2, max_size=4)))
    parts = [counted(part, units="channel", channel_axis=1) for part in np.split(values, ends)]
    while len(parts) > 1:
        at = data.draw(st.integers(0, len(parts) - 2))
        parts[at : at + 2] = [parts[at].merge(parts[at + 1])]
    same(parts[0].top_probes("a"), by_numpy(values, 2))


def test_of_equals_the_earlier_input_and_position_come_first() -> None:
    values = np.zeros((6, 1, 3))
    values[[1, 2, 4, 5], 0, 1] = -2
    values[[1, 4], 0, 2] = 2
    for sizes in ([], [1] * 6, [2, 3]):
        iua = counted(values, sizes, units="channel", channel_axis=1)
        found = iua.top_probes("a")
        assert found["probe"].tolist() == [1, 2]
        assert found["position"].tolist() == [1, 1]
        assert found["value"].tolist() == [-2, -2]


def test_a_unit_that_is_never_active_has_no_rows() -> None:
    values = np.zeros((5, 2))
    values[3, 1] = 1
    assert counted(values).top_probes("a")["unit"].tolist() == [1]
    assert counted(values * 0).top_probes("a").empty


def test_many_inputs_with_few_places_are_ranked_alike() -> None:
    values = RNG.normal(size=(300, 5, 2)).astype("f4").round(1)
    for sizes in ([], [7] * 50, [200]):
        found = counted(values, sizes, units="channel", channel_axis=1, top_probes=4)
        same(found.top_probes("a"), by_numpy(values, 4))


def test_positions_of_maps_are_rows_and_columns() -> None:
    maps = RNG.normal(size=(6, 2, 3, 5))
    found = counted(maps, [2, 2], units="channel").top_probes("a")
    assert list(found) == ["unit", "rank", "probe", "position", "row", "column", "value"]
    same(found, by_numpy(maps.reshape(6, 2, 15), 2))
    for _, one in found.iterrows():
        assert maps[int(one.probe), int(one.unit), int(one.row), int(one.column)] == one.value
    by_element = counted(maps).top_probes("a")
    assert by_element["position"].isna().all()
    for _, one in by_element.iterrows():
        place = int(one.channel), int(one.row), int(one.column)
        assert maps[(int(one.probe), *place)] == one.value
    volumes = counted(RNG.normal(size=(2, 2, 2, 3, 2)), units="channel").top_probes("a")
    assert [name for name in volumes if name.startswith("position")] == [
        "position", "position 0", "position 1", "position 2",
    ]  # fmt: skip


def test_positions_that_vary_in_length_are_told_along_each_axis() -> None:
    maps = [np.zeros((1, 1, 2, size)) for size in (2, 7)]
    maps[0][0, 0, 1, 0], maps[1][0, 0, 1, 6] = 1, 2
    iua = IUA.introspect([{"a": one} for one in maps], units="channel", top_probes=1)
    found = iua.top_probes("a")
    assert found["position"].isna().all()
    assert found[["row", "column"]].to_numpy().tolist() == [[1, 6]]


def test_only_the_layers_that_are_asked_for_keep_some() -> None:
    data = {name: RNG.normal(size=(4, 3)) for name in ("fc1", "fc2", "head")}
    iua = IUA.introspect(data, top_probes={"head": 1, "fc*": 3, "fc2": 0})
    assert len(iua.top_probes("fc1")) == 9
    assert len(iua.top_probes("head")) == 3
    with pytest.raises(NoProbesError, match=r"no top probes of layer 'fc2'.*top_probes=8"):
        iua.top_probes("fc2")
    with pytest.raises(UnitsError, match="units 0 to 2, and no 3"):
        iua.top_probes("head", units=[1, 3])
    assert iua.top_probes("head", units=1)["unit"].tolist() == [1]
    with pytest.raises(LayerSelectionError, match=r"top_probes=\{'fcs\*': ...\} matches no layer"):
        IUA.introspect(data, top_probes={"fcs*": 3})
    for wrong in (-1, 2.0, True, "8", {"fc1": -1}, {3: 1}, 10**9):
        with pytest.raises(ProducerError, match="top_probes must be a whole number"):
            IUA.introspect(data, top_probes=wrong)  # type: ignore[arg-type]


def test_padding_is_no_top_probe() -> None:
    values = RNG.normal(size=(4, 5, 3))
    real = np.arange(5) < np.array([[5], [2], [0], [3]])
    for units in ("token", "channel"):
        iua = counted(values, units=units, channel_axis=2, mask=lambda _: real, top_probes=4)
        same(iua.top_probes("a"), by_numpy(values.transpose(0, 2, 1), 4, real))
    rows = counted(
        values.reshape(20, 3), units="token", mask=lambda _: real, top_probes=30
    ).top_probes("a")
    same(rows, by_numpy(values.reshape(20, 3, 1), 30, real.reshape(20, 1)))


def test_magnitudes_stand_for_complex_responses() -> None:
    values = RNG.normal(size=(5, 2, 3)) + 1j * RNG.normal(size=(5, 2, 3))
    same(
        counted(values, units="channel", channel_axis=1).top_probes("a"),
        by_numpy(np.abs(values), 2),
    )


@pytest.mark.parametrize("copied", ["file", "bytes", "deepcopy", "pickle"])
def test_copies_have_the_same_and_count_on(copied: str, tmp_path: Path) -> None:
    values = RNG.normal(size=(8, 3, 4))
    options: dict[str, Any] = {"units": "channel", "channel_axis": 1}
    iua = counted(values[:5], [2], **options)
    again = {
        "file": lambda: IUA.load(iua.save(tmp_path / "run.iua")),
        "bytes": lambda: IUA.from_bytes(iua.to_bytes()),
        "deepcopy": lambda: copy.deepcopy(iua),
        "pickle": lambda: pickle.loads(pickle.dumps(iua)),
    }[copied]()
    same(again.top_probes("a"), by_numpy(values[:5], 2))
    whole = again.merge(counted(values[5:], **options))
    same(whole.top_probes("a"), by_numpy(values, 2))
    assert whole.to_bytes() == IUA.from_bytes(whole.to_bytes()).to_bytes()


def test_a_resumed_run_is_one_run(tmp_path: Path) -> None:
    values = RNG.normal(size=(8, 3))

    def broken() -> Iterator[dict[str, np.ndarray]]:
        yield from list(cut(values, [2, 2, 2]))[:2]
        message = "the machine went down"
        raise OSError(message)

    options: dict[str, Any] = {"engine": "reference", "top_probes": 3}
    with pytest.raises(ProducerError, match="went down"):
        IUA.introspect(broken(), resume=tmp_path / "run.iua", **options)
    iua = IUA.introspect(list(cut(values, [2, 2, 2])), resume=tmp_path / "run.iua", **options)
    same(iua.top_probes("a"), by_numpy(values[:, :, None], 3))
    with pytest.raises(FileError, match="top_probes was 3 and is 2 now"):
        IUA.introspect({"a": values}, resume=tmp_path / "run.iua", **(options | {"top_probes": 2}))


def test_merged_runs_keep_the_fewer() -> None:
    values = RNG.normal(size=(9, 4))
    one, other = counted(values[:4], top_probes=5), counted(values[4:], top_probes=2)
    same(one.merge(other).top_probes("a"), by_numpy(values[:, :, None], 2))
    with pytest.raises(NoProbesError):
        one.merge(counted(values[4:], top_probes=0)).top_probes("a")
    empty = IUA(stops=[0.5], engine="reference")
    for whole in (empty.merge(one), one.merge(empty)):
        same(whole.top_probes("a"), by_numpy(values[:4, :, None], 5))


def test_what_no_run_can_have_kept_is_refused() -> None:
    iua = counted(RNG.normal(size=(4, 3)))
    top = iua._run.tallies["a"].top
    assert top is not None
    for name, wrong in (("values", 9.0), ("values", np.nan), ("probes", 1), ("probes", 7)):
        damaged = copy.deepcopy(iua)
        there = damaged._run.tallies["a"].top
        getattr(there, name)[0, :] = wrong
        there.latest = int(there.probes.max())
        with pytest.raises(FileError, match="top"):
            IUA.from_bytes(damaged.to_bytes())


def test_their_memory_is_planned_and_refused_with_its_sum() -> None:
    values = np.ones((2, 1000), np.float32)
    plain, kept = (counted(values, top_probes=k).plan["bytes"][0] for k in (0, 8))
    assert kept - plain == 1000 * 8 * 24
    with pytest.raises(MemoryBudgetError, match=r"1,000 units x 50 x 24 bytes are 1\.14 MiB"):
        counted(values, top_probes=50, memory="1 MB")


def test_a_batch_that_fails_leaves_no_trace() -> None:
    def batches() -> Iterator[dict[str, np.ndarray]]:
        yield {"a": np.ones((2, 3)), "b": np.ones((2, 3))}
        yield {"a": 5 * np.ones((2, 3)), "b": np.ones((2, 4))}

    with pytest.raises(ProducerError) as caught:
        IUA.introspect(batches(), top_probes=2)
    partial: Any = caught.value.partial  # type: ignore[attr-defined]
    assert partial.top_probes("a")["value"].tolist() == [1] * 6
