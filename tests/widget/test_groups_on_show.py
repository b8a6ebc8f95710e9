"""A group of the probes on show: the page is sent, and Python reads, what is of that group."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import traitlets
from unpacking import unpack

from iua_widget import IUA, ComparisonError, IUAWidget

RNG = np.random.default_rng(0)
LABELS = np.repeat(["cat", "dog", "cow"], [10, 20, 30])
DATA = {
    "relu": np.maximum(RNG.normal(size=(60, 8)), 0),
    "fc": np.maximum(RNG.normal(size=(60, 5)), 0),
}
DATA["relu"][:10, 3] = 0
COUNTED: dict[str, Any] = {"groups": list(LABELS), "engine": "reference"}


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_is_on_show_is_that_of_the_group() -> None:
    w = IUAWidget(DATA, layer="relu", background=False, **COUNTED)
    alone = IUAWidget({name: one[LABELS == "cat"] for name, one in DATA.items()}, layer="relu")
    alone.wait()
    assert w._run["groups"] == ["cat", "cow", "dog"]
    w.group = "cat"
    until(lambda: unpack(w._units)[0]["probes"] == 10)
    for here, there in ((w._table, alone._table), (w._units, alone._units)):
        (meta, arrays), (other, expected) = unpack(here), unpack(there)
        assert meta == other
        for name, array in arrays.items():
            np.testing.assert_allclose(array, expected[name])
    pd.testing.assert_frame_equal(w.table(), alone.table())
    pd.testing.assert_frame_equal(w.worst(), alone.worst())
    assert (w.iua.probes, w._run["probes"]) == (10, 60)
    until(lambda: w._worst == alone._worst)
    w.group = None
    assert w.iua.probes == 60
    until(lambda: unpack(w._units)[0]["probes"] == 60)


def test_a_group_is_chosen_by_name_or_label_and_another_is_refused() -> None:
    w = IUAWidget(DATA, groups=list(range(6)) * 10, group_names=["a", "b"], background=False)
    w.group = 0
    assert w.group == "a"
    w.group = "5"
    assert w.iua.probes == 10
    with pytest.raises(traitlets.TraitError, match="there is no group 'c'"):
        w.group = "c"
    assert w.group == "5"
    with pytest.raises(traitlets.TraitError, match="groups=1"):
        IUAWidget(DATA, background=False).group = "a"


def test_a_group_without_a_name_is_not_all_of_them() -> None:
    w = IUAWidget(DATA, groups=["", "b", "c"] * 20, engine="reference", background=False)
    assert w.iua.probes == 60
    w.group = ""
    assert w.iua.probes == 20
    w.group = None
    assert w.iua.probes == 60


def test_the_pictures_of_a_layer_come_once_they_are_asked_for() -> None:
    w = IUAWidget(DATA, layer="relu", background=False, **COUNTED)
    assert w._groups == []
    w.by_group = True
    until(lambda: [one["group"] for one in w._groups] == ["cat", "cow", "dog"])
    shares = [w.iua.group(name)["relu"] for name in ("cat", "cow", "dog")]
    words = [f"{100 * one.mean_inactive / 8:.1f} % inactive, {one.dead:,} dead" for one in shares]
    assert [one["words"] for one in w._groups] == words
    w.layer = "fc"
    until(lambda: {one["layer"] for one in w._groups} == {"fc"})
    w.layer, w.atol = "relu", 0.33  # between two stops
    read = w.iua.group("cat").at(atol=0.33).results["relu"]
    assert read.mean_inactive < read.mean_inactive_upper
    lower, upper = (f"{100 * of / 8:.1f}" for of in (read.mean_inactive, read.mean_inactive_upper))
    until(
        lambda: (
            w._groups
            and w._groups[0]["words"].startswith(f"{lower} to {upper} % inactive, {read.dead} ")
        )
    )
    w.layer, w.atol = "fc", 10
    until(lambda: all(one["words"] == "100.0 % inactive, 5 dead" for one in w._groups))


def test_the_card_of_a_selected_unit_tells_its_share_in_each_group() -> None:
    w = IUAWidget(DATA, layer="relu", background=False, **COUNTED)
    assert w._cards == []
    w.selected = [3, 5]
    first, second = w._cards
    assert (first["layer"], first["unit"], first["probes"]) == ("relu", 3, [])
    shares = w.iua.by_group("relu").set_index("unit")[["cat", "cow", "dog"]]
    ranked = shares.loc[3].sort_values(ascending=False, kind="stable")
    told = ", ".join(f"{name}: {100 * share:.1f} %" for name, share in ranked.items())
    assert told.startswith("cat: 100.0 %, ")
    assert first["groups"] == f"Inactive in: {told}"
    assert second["unit"] == 5
    w.selected, w.atol = [5], 0.33  # between two stops
    of_cat = w.iua.by_group("relu", atol=0.33).loc[5, ["cat", "cat upper"]]
    assert of_cat["cat"] < of_cat["cat upper"]
    told = f"cat: {100 * of_cat['cat']:.1f} to {100 * of_cat['cat upper']:.1f} %"
    until(lambda: told in w._cards[0]["groups"])
    w.selected, w.atol = [3, 5], 10
    until(lambda: "dog: 100.0 %" in w._cards[0]["groups"])


def test_a_group_is_compared_with_the_same_group_of_the_result_before() -> None:
    before = IUA.introspect({name: one[:, ::-1] for name, one in DATA.items()}, **COUNTED)
    w = IUAWidget(DATA, background=False, **COUNTED)
    w.compare(before)
    w.group = "cat"
    assert w.table()["newly dead"].tolist() == [1, 0]
    w.group = "dog"
    assert w.table()["newly dead"].tolist() == [0, 0]
    w.compare(IUA.introspect(DATA, engine="reference"))
    with pytest.raises(ComparisonError, match="no group 'dog'"):
        w.comparison  # noqa: B018
    until(lambda: "no group 'dog'" in (w._run["compared"] or {}).get("refused", ""))
