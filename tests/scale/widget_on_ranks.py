"""Checks that a widget on rank 0 is live over all ranks: see `checks_on_ranks`."""

from __future__ import annotations

import itertools
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.distributed as dist
from on_ranks import (
    FOLDER,
    IMAGES,
    OPTIONS,
    RANK,
    SIZE,
    Net,
    assert_raised_on_all,
    assert_same,
    assert_same_on_all,
    check,
    counted,
    told_by_all,
)
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

from iua_widget import IUA, IUAWidget, ProducerError
from iua_widget.widget import live_ranks
from iua_widget.widget.live_ranks import LiveRanks

# Quickly, as the checks are few batches each.
live_ranks._POLL, live_ranks._BETWEEN_PARTS, live_ranks.COST_SHARE = 0.01, 0.02, 1.0


def widget_of(model: Any, *inputs: Any, **options: Any) -> IUAWidget:
    return IUAWidget(model, *inputs, **{**OPTIONS, "distributed": True, **options})


def ended(widget: IUAWidget) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert widget.wait(30)
    return widget.status


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def live_counts(widget: IUAWidget) -> list[tuple[int, int, int]]:
    """What was on show of a run, as it went: in all, and in two layers."""
    seen = [(0, 0, 0)]
    while not widget.wait(0):
        run = widget._runs.run
        with run.lock:  # to read counts is to count what waits
            counts = [int(one.store.read_counts().counts.sum()) for one in run.tallies.values()]
            seen.append((run.probes, *counts)[:3])
        time.sleep(0.005)
    return [one for one in seen if len(one) == 3]


@check
def rank_0_is_live_and_all_have_the_counts_of_one_process() -> None:
    go = [False]

    def inputs() -> Iterator[torch.Tensor]:
        own = [IMAGES[:20], IMAGES[20:21], IMAGES[:0], IMAGES[21:]][RANK]
        for number, batch in enumerate(own.split(2)):
            if RANK == 3 and number == 5:
                until(lambda: go[0])  # a slow one
            yield batch

    widget = widget_of(nn.parallel.DistributedDataParallel(Net()), inputs(), top_probes=2)
    if RANK == 0:
        until(lambda: widget.iua.probes == 31)
        assert (widget.status, widget._run["probes"] <= 31) == ("running", True)
        assert widget.table()["probes"].tolist() == [31, 31]
        until(lambda: widget._runs.progress.probes == 31)
    dist.barrier()
    go[0] = True
    assert ended(widget) == "done"
    assert_same(widget.iua, one_process(Net(), IMAGES, top_probes=2))
    assert_same_on_all(widget.iua)
    assert widget._runs.progress.probes == (42 if RANK == 0 else [20, 1, 0, 21][RANK])
    assert f"rank {RANK} of {SIZE}, done" in repr(widget)
    assert ("is shown by rank 0" in str(widget._repr_mimebundle_())) == (RANK != 0)
    raises(ProducerError, widget.restart, "make a new one on every rank")


@check
def what_is_on_show_only_grows_and_nothing_is_counted_twice() -> None:
    data = TensorDataset(IMAGES)
    slow = (time.sleep(0.01) or row[0] for row in DataLoader(data, 1, sampler=DistributedSampler(data, shuffle=False)))  # fmt: skip # noqa: E501
    widget = widget_of(Net(), list_of(slow), max_probes=10 + (RANK < 2))
    seen = live_counts(widget)
    assert ended(widget) == "done"
    for before, after in itertools.pairwise(seen):
        assert all(one <= other for one, other in zip(before, after, strict=True))
    whole = widget.iua._run
    last = [int(tally.store.read_counts().counts.sum()) for tally in whole.tallies.values()]
    assert whole.probes == 42
    assert all(one <= other for one, other in zip(seen[-1][1:], last, strict=True))
    if RANK == 0:
        assert len({one[0] for one in seen}) > 3
    assert_same(widget.iua, one_process(), in_order=False)


@check
def a_pause_and_a_stop_on_rank_0_are_those_of_all() -> None:
    passed = [0]

    def endless() -> Iterator[torch.Tensor]:
        for batch in itertools.cycle(IMAGES.split(7)):
            passed[0] += 1
            time.sleep(0.002)
            yield batch

    widget = widget_of(Net(), endless())
    if RANK == 0:
        until(lambda: all(other.run is not None for other in live(widget)._others.values()))
        widget.pause()
        assert widget.status == "paused"
    else:
        raises(ProducerError, widget.pause, "by the widget of rank 0")
        until(lambda: widget.status == "paused")
    dist.barrier()
    before = passed[0]
    time.sleep(0.05)
    assert passed[0] == before
    told = sum(told_by_all(widget._runs.counted.probes))
    if RANK == 0:
        until(lambda: widget.iua.probes == told)  # what came before the pause is on show
        widget.resume()
        until(lambda: widget.iua.probes > told)
        widget.stop()
    assert ended(widget) == "stopped"
    assert widget.iua.probes == sum(told_by_all(widget._runs.counted.probes))
    assert_same_on_all(widget.iua)


@check
def an_error_on_one_rank_ends_all_and_rank_0_can_save_what_all_had() -> None:
    def breaking() -> Iterator[torch.Tensor]:
        for number, batch in enumerate(itertools.cycle(IMAGES.split(7))):
            if RANK == 2 and number == 5:
                raise ValueError("bad disk")
            time.sleep(0.002)
            yield batch

    widget = widget_of(Net(), breaking())
    assert ended(widget) == "failed"
    words = str(widget.error)
    assert "bad disk" in words
    assert ("1 of 4 ranks could not count their part (rank 2: ProducerError" in words) == (
        RANK != 2
    )
    told = told_by_all(widget._runs.counted.probes)
    if RANK == 0:
        assert IUA.load(widget.iua.save(FOLDER / "all.iua")).probes >= told[0] + told[2]
        assert "bad disk" in widget._run["error"]["message"]
        assert widget._run["error"]["title"] == "The run broke off"


@check
def a_rank_that_does_not_wait_is_told_and_rank_0_closes_for_all() -> None:
    def endless() -> Iterator[torch.Tensor]:
        for batch in itertools.cycle(IMAGES.split(7)):
            time.sleep(0.002)
            yield batch

    widget = widget_of(Net(), endless())
    if RANK == 1:
        widget.close()
    assert ended(widget) == ("stopped" if RANK == 1 else "failed")
    assert ("rank 1: its run was ended before" in str(widget.error)) == (RANK != 1)
    widget = widget_of(Net(), endless())
    if RANK == 0:
        widget.close()
    assert ended(widget) == "stopped" or RANK == 0
    assert widget._runs.status == "stopped"
    assert_same_on_all(widget.iua)


@check
def what_cannot_begin_alike_is_refused_on_every_rank() -> None:
    assert_raised_on_all(
        lambda: widget_of(Net(), IMAGES, dead_at=0.5 if RANK == 2 else 1.0),
        "dead_at is 1.0 on rank 0 and 0.5 on rank 2",
    )
    words = told_by_all(error_of(lambda: widget_of(Net(), IMAGES, atol=-1.0 if RANK == 1 else 0)))
    assert all("atol" in one for one in words)
    whole = counted(Net(), IMAGES)
    assert_raised_on_all(lambda: widget_of(whole), "takes no `distributed`")


@check
def a_sharded_model_is_counted_live_and_cannot_be_paused() -> None:
    seen, refused = [0], list[str]()

    class Watched(IUAWidget):
        def _counted(self) -> None:
            super()._counted()
            seen.append(self._runs.run.probes)
            refused.append(error_of(self.pause))

    def inputs() -> Iterator[torch.Tensor]:
        for number, batch in enumerate(IMAGES[RANK * 10 : RANK * 10 + 10].split(2)):
            if RANK == 0 and number == 4:
                until(lambda: seen[-1] >= 32)
            yield batch

    model = Net()
    fully_shard(model, mesh=init_device_mesh("cpu", (SIZE,)))
    widget = Watched(model, inputs(), background=False, distributed=True, **OPTIONS)
    assert ended(widget) == "done"
    assert all("(FSDP) cannot pause" in one for one in refused)
    assert len(refused) == (len(seen) - 1 if RANK == 0 else 0)
    assert_same(widget.iua, one_process(Net(), IMAGES[:40]))


@check
def layers_that_are_too_large_to_be_sent_are_told_and_in_the_end_exact() -> None:
    go = [False]

    def arrays(_: int) -> Iterator[dict[str, torch.Tensor]]:
        values = IMAGES[RANK::SIZE].flatten(1)
        yield {"small": values[:, :2], "middle": values[:, :9], "large": values.repeat(1, 40)}
        until(lambda: go[0])

    largest, live_ranks._LARGEST_PART = live_ranks._LARGEST_PART, 32_000
    widget = widget_of(arrays)
    live_ranks._LARGEST_PART = largest
    if RANK == 0:
        until(lambda: widget.iua.probes == 42)
        assert any("of large: what the other ranks" in one for one in widget._runs.notes)
        probes = widget.table().set_index("response")["probes"]
        assert probes.to_dict() == {"small": 42, "middle": 42, "large": 11}
    dist.barrier()
    go[0] = True
    assert ended(widget) == "done"
    order = torch.cat([IMAGES[r::SIZE] for r in range(SIZE)]).flatten(1)
    whole = {"small": order[:, :2], "middle": order[:, :9], "large": order.repeat(1, 40)}
    assert_same(widget.iua, one_process(whole, batch_size=42))
    assert not widget._runs.notes


def one_process(model: Any = None, *inputs: Any, **options: Any) -> IUA:
    """As a widget counts, where it is alone."""
    given = (Net(), IMAGES) if model is None else (model, *inputs)
    return counted(*given, rtol=0.0, scale="layer_mean", keep_inactive=False, **options)


def list_of(rows: Any) -> Iterator[torch.Tensor]:
    yield from rows


def live(widget: IUAWidget) -> LiveRanks:
    assert widget._runs._live is not None
    return widget._runs._live


def raises(kind: type[Exception], call: Callable[[], Any], words: str) -> None:
    try:
        call()
    except kind as error:
        assert words in str(error)  # noqa: PT017
        return
    raise AssertionError


def error_of(call: Callable[[], Any]) -> str:
    try:
        call()
    except Exception as error:  # noqa: BLE001  (told to the others)
        return str(error)
    return ""
