"""Counts do not depend on the mode that a thread, or NumPy, computes in."""

from __future__ import annotations

import ctypes
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from iua_widget import IUA, IUAWidget
from iua_widget.common import arithmetic
from iua_widget.common.arithmetic import as_ieee, flushes
from iua_widget.engines import threads

torch = pytest.importorskip("torch")

ENGINES = ["auto", "cpu", "device", "reference"]
UPWARD, NEAREST = 0x800, 0


@pytest.fixture
def flushing() -> Iterator[None]:
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor does not flush")
    yield
    torch.set_flush_denormal(False)


def subnormal(dtype: Any, probes: int, units: int) -> np.ndarray:
    """Zeros, and what is smaller than any number of full precision."""
    info = np.finfo(dtype)
    values = np.zeros((probes, units), dtype)
    values[::2, 1::2] = info.smallest_subnormal * 3
    values[1::2, ::4] = -info.tiny / 2
    return values


def counts(engine: str, data: dict[str, np.ndarray], atol: float) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        iua = IUA.introspect(data, engine=engine, atol=atol, batch_size=64)
    return {
        name: (result.unit_inactive_count.tolist(), result.inactive)
        for name, result in iua.results.items()
    }


@pytest.mark.usefixtures("flushing")
@pytest.mark.parametrize("atol", [0.0, 1e-8, 1e-310])
def test_every_engine_counts_the_smallest_numbers_as_they_are(
    atol: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "cores", lambda: 2)
    data = {
        np.dtype(dtype).name: subnormal(dtype, 70, units)
        for dtype, units in ((np.float16, 40), (np.float32, 1100), (np.float64, 1100))
    }
    data["maps"] = subnormal(np.float16, 70, 3 * 4 * 4).reshape(70, 3, 4, 4)
    torch.set_flush_denormal(False)
    expected = {name: np.isclose(values, 0, rtol=0, atol=atol) for name, values in data.items()}
    torch.set_flush_denormal(True)
    for engine in ENGINES:
        for name, (by_unit, by_probe) in counts(engine, data, atol).items():
            rows = expected[name].reshape(70, -1)
            assert np.ravel(by_unit).tolist() == rows.sum(0).tolist(), (engine, name)
            assert by_probe == rows.sum(1).tolist(), (engine, name)
    assert flushes()


@pytest.mark.usefixtures("flushing")
def test_the_run_says_that_the_mode_changes_what_zero_is(tmp_path: Path) -> None:
    data = {"a": np.full((64, 1), 1e-6, np.float16)}
    with pytest.warns(UserWarning, match=r"flushed to zero.*set_flush_denormal"):
        iua = IUA.introspect(data, engine="cpu", atol=0.0)
    assert iua.results["a"].unit_inactive_count.tolist() == [0]
    assert any("flushed to zero" in note for note in IUA.load(iua.save(tmp_path / "r")).notes)
    w = IUAWidget(data)
    assert w.wait(60)
    assert any("flushed to zero" in note for note in w.iua.notes)
    w.close()
    torch.set_flush_denormal(False)
    assert IUA.introspect(data, engine="cpu", atol=0.0).notes == []


@pytest.mark.usefixtures("flushing")
def test_the_mode_is_put_back_and_is_the_models_own() -> None:
    seen: list[bool] = []

    def producer() -> Iterator[dict[str, np.ndarray]]:
        for _ in range(3):
            seen.append(flushes())
            yield {"a": np.ones((4, 3))}

    @as_ieee
    def failing() -> None:
        seen.append(flushes())
        raise KeyError

    with pytest.warns(UserWarning, match="flushed to zero"):
        IUA.introspect(producer())
    with pytest.raises(KeyError):
        failing()
    assert seen == [True, True, True, False]
    assert flushes()


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "fesetround"), reason="no fesetround")
@pytest.mark.skipif(sys.platform != "linux", reason="numbers of modes are those of Linux")
def test_how_a_thread_rounds_does_not_matter() -> None:
    values = np.random.default_rng(0).normal(size=(33, 50))
    expected = IUA.introspect({"a": values}, engine="reference", stops=[0.1, 0.3])
    found: list[IUA] = []

    def work() -> None:
        process = ctypes.PyDLL(None)
        process.fesetround(UPWARD)
        try:
            found.extend(
                IUA.introspect({"a": values}, engine=engine, stops=[0.1, 0.3]) for engine in ENGINES
            )
        finally:
            process.fesetround(NEAREST)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    for iua in found:
        here, there = iua._run.tally("a").state(), expected._run.tally("a").state()
        for name, array in here.arrays.items():
            np.testing.assert_array_equal(array, there.arrays[name], err_msg=name)
    assert len(found) == len(ENGINES)


def test_where_no_mode_can_be_set_it_counts_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arithmetic, "_library", lambda: None)
    monkeypatch.setattr(arithmetic, "flushes", lambda: True)
    assert as_ieee(lambda: 3)() == 3


def everything(values: np.ndarray, folder: Path) -> None:
    for engine in ENGINES:
        iua = IUA.introspect({"a": values, "b": values[:, :, None]}, engine=engine, stops=[1e300])
        for scale in ("zero", "layer_mean", "unit_rms", "unit_max"):
            reading = iua.at(atol=0.3, rtol=1e-300, scale=scale)  # type: ignore[arg-type]
            reading.to_pandas()
            iua.units("a", atol=0.3, rtol=1e300, scale=scale)  # type: ignore[arg-type]
            iua.channels("b", atol=0.3, rtol=1e300, scale=scale)  # type: ignore[arg-type]
        IUA.show(iua, vis_type=IUA.VisType.CHART)
        IUA.merge(iua, IUA.load(iua.save(folder / "run.iua"))).results  # noqa: B018
        iua.recount({"a": values, "b": values[:, :, None]}, atol=1e-310)
    w = IUAWidget({"a": values, "b": values[:, :, None]}, background=False)
    w.scale, w.rtol = "unit_rms", 1e-300
    w.table()
    w.to_html(folder / "page.html")
    w.close()


@pytest.mark.parametrize(
    "make",
    [
        lambda: np.full((5, 4), 1e200),
        lambda: np.full((5, 4), 1e-200),
        lambda: np.full((5, 4), 5e-324),
        lambda: np.full((5, 4), np.float32(1e38)),
        lambda: np.full((5, 4), np.float16(6e4)),
        lambda: np.array([[np.nan, np.inf, -np.inf, 0.0], [1e308, 1e308, 0, 0]]),
        lambda: np.zeros((5, 4)),
    ],
)
def test_numpy_may_be_set_to_raise(make: Callable[[], np.ndarray], tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with np.errstate(all="raise"):
            everything(make(), tmp_path)
