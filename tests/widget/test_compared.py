"""A widget that compares two results: from Python's side, and what it sends, writes and keeps."""

from __future__ import annotations

import base64
import gzip
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from unpacking import unpack
from waiting import until

from iua_widget import (
    IUA,
    ComparisonError,
    FileError,
    IUAWidget,
    LayerSelectionError,
    NoProbesError,
    ProducerError,
)
from iua_widget.widget.compared_with import ComparedWith

RNG = np.random.default_rng(5)


def responses(probes: int) -> dict[str, np.ndarray]:
    dense = np.maximum(RNG.normal(size=(probes, 12)), 0) * (RNG.random(12) < 0.6)
    maps = np.maximum(RNG.normal(size=(probes, 3, 4, 4)), 0) * (RNG.random((3, 4, 4)) < 0.8)
    return {"dense": dense, "maps": maps}


def introspect(data: Any) -> IUA:
    return IUA.introspect(data, engine="reference")


BEFORE, AFTER = introspect(responses(20)), introspect(responses(30))


def sent(w: IUAWidget) -> dict[str, Any] | None:
    return unpack(w._table)[0].get("comparison")


def test_two_results_are_compared_the_second_on_show() -> None:
    w = IUAWidget(BEFORE, AFTER, name="epoch 2", color="change")
    assert w.iua == AFTER
    comparison = w.comparison
    assert comparison is not None
    assert comparison.tolerances == w.tolerances
    assert comparison["dense"].before.probes == 20
    assert w._run["compared"] == {"with": "another result", "probes": 20, "refused": ""}
    assert sent(w) is not None
    assert "comparison" in unpack(w._units)[0]


@pytest.mark.parametrize("scale", ["zero", "layer_mean", "unit_rms"])
def test_the_table_has_what_died_and_what_revived_at_the_tolerances_on_show(scale: str) -> None:
    w = IUAWidget(BEFORE, AFTER)
    for atol, rtol in ((1e-8, 0.0), (0.3, 0.0), (0.123, 0.1)):
        w.atol, w.rtol, w.scale = atol, rtol, scale
        table, comparison = w.table(), w.comparison
        assert comparison is not None
        by_hand = comparison.to_pandas()
        upper = [] if comparison.exact else ["newly dead upper", "revived upper"]
        for column in ("newly dead", "revived", *upper):
            assert table[column].tolist() == by_hand[column].tolist()
        assert [column for column in table if "revived" in column] == ["revived", *upper[1:]]


def test_the_table_is_sorted_and_filtered_by_them() -> None:
    w = IUAWidget(BEFORE, AFTER)
    comparison = w.comparison
    assert comparison is not None
    newly = {name: int(mask.sum()) for name, mask in comparison.newly_dead.items()}
    w.sort = {"column": "newly-dead", "ascending": True}
    assert w.table()["response"].tolist() == sorted(newly, key=lambda name: newly[name])
    most = max(newly.values())
    w.filter = f"newly-dead>={most}"
    assert w.table()["response"].tolist() == [name for name in newly if newly[name] == most]
    w.sort = None
    for figure, masks in (
        ("dead-in-both>0", comparison.dead_in_both),
        ("newly-dead-share>0", comparison.newly_dead),
    ):
        w.filter = figure
        assert w.table()["response"].tolist() == [name for name in masks if masks[name].any()]


def test_a_file_is_compared_under_its_name_until_none_is(tmp_path: Path) -> None:
    path = BEFORE.save(tmp_path / "epoch1.iua")
    w = IUAWidget(AFTER)
    assert w.comparison is None
    assert "newly dead" not in w.table()
    for other, options, name in (
        (path, {}, "epoch1.iua"),
        (str(path), {"name": "first"}, "first"),
        (IUAWidget(BEFORE).iua, {}, "another result"),
    ):
        w.compare(other, **options)
        until(lambda name=name: (w._run["compared"] or {}).get("with") == name)
        assert sent(w) is not None
        assert "revived" in w.table()
    w.compare(None)
    until(lambda: sent(w) is None)
    assert (w._run["compared"], w.comparison) == (None, None)
    assert "revived" not in w.table()


def test_what_became_of_units_is_colored_where_no_other_color_was_chosen() -> None:
    assert IUAWidget(BEFORE, AFTER).color == "change"
    assert IUAWidget(BEFORE, AFTER, color="share").color == "share"
    w = IUAWidget(AFTER)
    w.compare(BEFORE)
    assert w.color == "change"
    w.color = "share"
    w.compare(BEFORE, name="again")
    assert w.color == "share", "chosen while it is compared"
    dead = IUAWidget(AFTER, color="dead")
    dead.compare(BEFORE)
    assert dead.color == "dead"


def test_layers_that_both_have_are_compared_where_they_are_named() -> None:
    more = introspect({**responses(6), "head": np.eye(6)})
    w = IUAWidget(more)
    with pytest.raises(ComparisonError, match="only after there is 'head'"):
        w.compare(BEFORE)
    with pytest.raises(LayerSelectionError):
        w.compare(BEFORE, layers="none.*")
    w.compare(BEFORE, layers=["dense", "map*"])
    comparison = w.comparison
    assert comparison is not None
    assert list(comparison) == ["dense", "maps"]
    table = w.table().set_index("response")
    assert table["newly dead"].isna().to_dict() == {"dense": False, "maps": False, "head": True}
    until(lambda: sent(w) is not None)
    found = sent(w)
    assert found is not None
    assert [layer is None for layer in found["layers"]] == [False, False, True]
    assert "–" in w._static_table()["text/plain"].split("Layers")[1]  # noqa: RUF001


def test_a_result_that_was_recounted_twice_at_the_same_tolerances_is_read_anew() -> None:
    data, after = responses(9), introspect(responses(9))
    before = introspect(data)
    compared = ComparedWith(before)
    for _ in range(2):
        before.recount(data, atol=0.123, rtol=0.0)
        read = compared.read(after.tolerances)
        assert read is compared.read(after.tolerances)
    assert len(read.exact_at) == 1


def test_what_cannot_be_compared_is_refused_and_what_was_compared_stays(tmp_path: Path) -> None:
    other = introspect({"dens": np.zeros((2, 3))})
    w = IUAWidget(BEFORE, AFTER)
    with pytest.raises(ComparisonError, match="only before there is 'dens'"):
        w.compare(other)
    with pytest.raises(NoProbesError):
        w.compare(IUA())
    with pytest.raises(TypeError, match=r"w\.iua"):
        w.compare(w)  # type: ignore[arg-type]
    with pytest.raises(FileError):
        w.compare(tmp_path / "none.iua")
    assert w.comparison is not None
    with pytest.raises(ComparisonError, match="the layers differ"):
        IUAWidget(other, AFTER)
    with pytest.raises(ProducerError, match="`layers`"):
        IUAWidget(BEFORE, AFTER, layers="dense")
    with pytest.raises(ProducerError, match=r"an IUA is no loader.*IUAWidget\(before, after\)"):
        IUAWidget(responses(3), AFTER)


class Gated:
    """Gives a batch each time it is let to."""

    def __init__(self, data: dict[str, np.ndarray]) -> None:
        self.data, self.gate = data, threading.Semaphore(0)

    def __call__(self, batch_size: int) -> Iterator[dict[str, np.ndarray]]:
        for _ in range(2):
            self.gate.acquire()
            yield {name: values[:batch_size] for name, values in self.data.items()}


def test_a_run_is_compared_as_it_grows() -> None:
    producer = Gated(responses(8))
    w = IUAWidget(producer, engine="reference")
    w.compare(BEFORE)
    until(lambda: w._run["compared"] is not None)
    with pytest.raises(NoProbesError):
        _ = w.comparison
    producer.gate.release()
    until(lambda: w._table != b"" and sent(w) is not None)
    producer.gate.release()
    assert w.wait(60)
    assert sent(w) is not None
    comparison = w.comparison
    assert comparison is not None
    assert comparison["maps"].after.probes == 16


def test_a_run_of_other_layers_says_so_as_soon_as_that_is_known() -> None:
    producer = Gated({"other": np.eye(3)})
    w = IUAWidget(producer, engine="reference")
    w.compare(BEFORE)
    producer.gate.release(2)
    assert w.wait(60)
    until(lambda: "the layers differ" in w._run["compared"]["refused"])
    assert sent(w) is None
    assert "revived" not in w.table()
    with pytest.raises(ComparisonError):
        _ = w.comparison


def test_two_runs_that_are_compared_with_each_other_do_not_wait_for_each_other() -> None:
    one, two = (Gated(responses(8)) for _ in range(2))
    w, other = (IUAWidget(producer, engine="reference") for producer in (one, two))
    for producer in (one, two):
        producer.gate.release()
    until(lambda: min(w.iua.probes, other.iua.probes) > 0)
    w.compare(other.iua)
    other.compare(w.iua)
    for producer in (one, two):
        producer.gate.release()
    assert w.wait(60)
    assert other.wait(60)
    assert w.table()["newly dead"].tolist() == other.table()["revived"].tolist()


def test_a_file_for_a_browser_holds_the_comparison_of_every_layer(tmp_path: Path) -> None:
    w = IUAWidget(BEFORE, AFTER, color="change")
    page = w.to_html(tmp_path / "change.html").read_text(encoding="utf-8")
    elements = dict(re.findall(r'id="(payload|data-[0-9]+)">(.*?)</script>', page))
    payload = json.loads(elements["payload"])

    def read(parts: list[str]) -> dict[str, Any]:
        packed = "".join(elements[part] for part in parts)
        return unpack(gzip.decompress(base64.b64decode(packed)))[0]

    assert payload["state"]["color"] == "change"
    assert payload["state"]["_run"]["compared"]["with"] == "another result"
    assert "comparison" in read(payload["table"])
    assert all("comparison" in read(parts) for parts in payload["units"].values())


def test_what_a_notebook_keeps_says_what_died() -> None:
    w = IUAWidget(BEFORE, AFTER)
    w.compare(BEFORE, name="<epoch 1>")
    text = w._static_table()
    assert "compared with &lt;epoch 1&gt;" in text["text/html"]
    head = next(line for line in text["text/plain"].splitlines() if "dead share" in line)
    assert head.split()[-3:] == ["newly", "dead", "revived"]
    w.compare(None)
    assert "newly dead" not in w._static_table()["text/html"]
