"""Options of every sort work, or are refused in a sentence."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from iua_widget import IUA, IUAWidget, MemoryBudgetError, MergeError, ToleranceError

DATA = {"relu": np.maximum(np.random.default_rng(0).normal(size=(12, 5)), 0)}

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("make", [np.array, torch.tensor], ids=["numpy", "torch"])
def test_numbers_may_be_arrays_without_axes(tmp_path: Path, make: Any) -> None:
    options: dict[str, Any] = {
        "atol": 0.25, "rtol": 0.5, "dead_at": 0.75, "batch_size": 4, "max_probes": 8,
        "memory": 10**8, "channel_axis": 1, "keep_inactive": True,
    }  # fmt: skip
    expected = IUA.introspect(DATA, **options)
    wrapped = {
        name: make(value, dtype=torch.float64)
        if isinstance(value, float) and make is torch.tensor
        else make(value)
        for name, value in options.items()
    }
    iua = IUA.introspect(DATA, **wrapped, resume=tmp_path / "run.iua", save_every=make(2))
    assert IUA.show(iua).equals(IUA.show(expected))
    assert iua._run.options == expected._run.options
    assert iua.at(atol=make(0.5)).tolerances.atol == 0.5
    assert IUA.load(tmp_path / "run.iua")._run.options == expected._run.options
    assert IUA.introspect(DATA, scale=np.array("unit_max"), units=np.str_("channel")).probes == 12


@pytest.mark.parametrize(
    "memory", [10**39, 10**400, "9" * 400, "1" * 30 + " TiB", -(10**39), np.array([1, 2])]
)
def test_memory_that_no_machine_has_is_refused(memory: Any) -> None:
    with pytest.raises(MemoryBudgetError, match="must be an amount of memory") as caught:
        IUA(memory=memory)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    "options",
    [
        {"atol": np.array([1e-8])}, {"atol": 10**400}, {"atol": np.array("x")},
        {"stops": np.array(0.5)}, {"stops": 0.5}, {"stops": b"ab"}, {"stops": [10**400]},
        {"stops": torch.tensor(0.5)}, {"scale": np.zeros(3)}, {"scale": 3},
    ],
)  # fmt: skip
def test_what_is_no_tolerance_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ToleranceError):
        IUA(**options)


@pytest.mark.parametrize("wrong", [10**39, 0, True, np.array(True), np.array([4]), 2.0, "4"])
def test_what_counts_nothing_is_refused(wrong: Any) -> None:
    for name in ("batch_size", "max_probes"):
        with pytest.raises(ValueError, match=f"{name} must be a whole number above 0"):
            IUA.introspect(DATA, **{name: wrong})


def test_what_cannot_be_merged_is_told() -> None:
    iua = IUA.introspect(DATA)
    for wrong in (["a.iua"], [iua, "a.iua"], [[iua, iua]], [None]):
        with pytest.raises(MergeError, match=r"write IUA\.merge\(one, other\), of files IUA"):
            IUA.merge(*wrong)
    with pytest.raises(MergeError, match="nothing to merge"):
        IUA.merge()
    assert IUA.merge(iua) is iua
    assert IUA.merge(iua, iua).probes == iua.merge(iua).probes == 24


def test_what_is_no_title_or_limit_of_a_page_is_told(tmp_path: Path) -> None:
    w = IUAWidget(IUA.introspect(DATA))
    with pytest.raises(TypeError, match="title must be a string, and is 5"):
        w.to_html(tmp_path / "page.html", title=5)  # type: ignore[arg-type]
    for wrong in ("1 MB", None, True, -1, float("nan")):
        with pytest.raises(TypeError, match="limit must be a number of bytes"):
            w.to_html(tmp_path / "page.html", limit=wrong)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
    page = w.to_html(tmp_path / "page.html", title="half a \ud800 pair", limit=np.array(1e6))
    assert "half a" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: IUA.introspect(DATA, max_probe=3), "IUA.introspect.*'max_probe'.*'max_probes'"),
        (lambda: IUA(keep_inactives=True), "IUA.*'keep_inactives'.*'keep_inactive'"),
        (lambda: IUA.introspect(DATA).at(rtool=0.5), "IUA.at.*'rtool'.*'rtol'"),
        (lambda: IUA.introspect(DATA).recount(DATA, scales="zero"), "'scales'.*'scale'"),
        (lambda: IUA.introspect(DATA).units("relu", xyz=1), r"unexpected argument 'xyz'\.$"),
    ],
    ids=["introspect", "IUA", "at", "recount", "units"],
)
def test_an_unknown_argument_is_answered_with_the_nearest(call: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        call()


def test_functions_that_refuse_unknown_arguments_keep_their_signatures() -> None:
    assert "max_probes: 'int | None' = None" in str(inspect.signature(IUA.introspect))
    assert list(inspect.signature(IUA.at).parameters)[:2] == ["self", "atol"]
