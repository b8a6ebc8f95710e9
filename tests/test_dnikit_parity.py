"""DNIKit itself beside us, on the same producers, result by result."""

from __future__ import annotations

import numpy as np
import pytest
from dnikit.base import pipeline
from dnikit.introspectors import IUA as DNIKitIUA  # noqa: N811
from dnikit.processors import FieldRenamer, Pooler, Transposer
from dnikit.samples import StubProducer

from iua_widget import IUA

pytestmark = pytest.mark.filterwarnings("ignore:.*below the smallest float16")

RNG = np.random.default_rng(3)


def stub(dtype: str = "float64") -> StubProducer:
    data = {
        "z_dense": np.maximum(RNG.normal(size=(84, 17)), 0).astype(dtype),
        "a_maps": np.maximum(RNG.normal(size=(84, 6, 5, 3)), 0).astype(dtype),
        "m_matrix": (RNG.normal(size=(84, 4, 9)) * 1e-6).astype(dtype),
        "k_alive": RNG.normal(size=(84, 5)).astype(dtype),
    }
    data["z_dense"][:, 3] = 0
    return StubProducer(data)


def assert_parity(ours: IUA, theirs: DNIKitIUA) -> None:
    assert list(ours.results) == list(theirs.results)
    for layer, expected in theirs.results.items():
        result = ours.results[layer]
        assert result.mean_inactive == expected.mean_inactive
        assert result.std_inactive == expected.std_inactive
        assert result.inactive == expected.inactive
        np.testing.assert_array_equal(result.unit_inactive_count, expected.unit_inactive_count)
        np.testing.assert_array_equal(
            result.unit_inactive_proportion, expected.unit_inactive_proportion
        )


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"batch_size": 1},
        {"batch_size": 84},
        {"batch_size": 13, "atol": 1e-3},
        {"rtol": 0.5, "atol": 1e-6},
        {"rtol": 10.0, "atol": 0.0},
        {"atol": 0.73},
    ],
)
def test_every_figure_is_dnikits(dtype: str, settings: dict[str, float]) -> None:
    producer = stub(dtype)
    assert_parity(IUA.introspect(producer, **settings), DNIKitIUA.introspect(producer, **settings))


def test_dnikit_pipelines_work_as_they_are() -> None:
    producer = pipeline(
        stub(),
        FieldRenamer({"a_maps": "maps"}),
        Transposer(dim=(0, 3, 1, 2), fields="maps"),
        Pooler(dim=(2, 3), method=Pooler.Method.MAX, fields="maps"),
    )
    assert_parity(IUA.introspect(producer), DNIKitIUA.introspect(producer))


def test_our_table_holds_dnikits_table_row_for_row() -> None:
    producer = stub()
    theirs = DNIKitIUA.show(DNIKitIUA.introspect(producer))
    ours = IUA.show(IUA.introspect(producer))
    assert list(ours.columns[:3]) == list(theirs.columns)
    sorted_by_name = ours.sort_values("response").reset_index(drop=True)
    assert sorted_by_name[list(theirs.columns)].equals(theirs)


def test_the_shape_of_what_show_returns_is_dnikits() -> None:
    iua = IUA.introspect(stub())
    one = IUA.show(iua, vis_type=IUA.VisType.CHART, response_names=["a_maps"])
    assert not isinstance(one, np.ndarray)
    with pytest.raises(TypeError):
        len(one)
    several = IUA.show(iua, vis_type=IUA.VisType.CHART, response_names=["a_maps", "z_dense"])
    assert isinstance(several, np.ndarray)
    assert len(several) == 2
    assert len(IUA.show(iua, vis_type=IUA.VisType.CHART)) == 4
    for names in (["a_maps", "bad"], []):
        with pytest.raises(ValueError, match="layer"):
            IUA.show(iua, vis_type=IUA.VisType.CHART, response_names=names)


def test_results_are_named_as_in_dnikit() -> None:
    assert (IUA.VisType.TABLE, IUA.VisType.CHART) == (
        DNIKitIUA.VisType.TABLE,
        DNIKitIUA.VisType.CHART,
    )
    assert isinstance(IUA.introspect(stub()).results["z_dense"], IUA.Result)
