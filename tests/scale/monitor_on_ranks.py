"""Checks that ranks which look together keep the looks of one process: see `checks_on_ranks`."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from on_ranks import (
    IMAGES,
    OPTIONS,
    RANK,
    SIZE,
    Net,
    assert_raised_on_all,
    assert_same,
    check,
    told_by_all,
)
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

from iua_widget import IUAMonitor
from iua_widget.training.driven_monitor import DrivenMonitor

IN_ORDER = torch.cat([IMAGES[r::SIZE] for r in range(SIZE)])


def monitor_of(model: Any, *probes: Any, **options: Any) -> IUAMonitor:
    return IUAMonitor(model, *probes, **{**OPTIONS, "every": 2, **options})


def train_a_step(model: Net) -> None:
    with torch.no_grad():
        model.conv.bias -= 0.25


def same_looks(together: IUAMonitor, alone: IUAMonitor) -> None:
    assert together.steps == alone.steps
    for step in alone.steps:
        assert_same(together.iua(step), alone.iua(step))
    one, other = together.history(), alone.history()
    floating = [name for name in one if "inactive" in name]
    np.testing.assert_allclose(one[floating], other[floating], rtol=1e-12)
    assert one.drop(columns=floating).equals(other.drop(columns=floating))
    assert together.events == alone.events
    assert len(set(told_by_all(one.to_json()))) == 1


@check
def looks_at_shares_of_the_probes_are_those_at_all() -> None:
    model = Net()
    options = {"alarm": "newly-dead>0"}
    together = monitor_of(model, IMAGES[RANK::SIZE], distributed=True, **options)
    alone = monitor_of(model, IN_ORDER, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for monitor in (together, alone):
            monitor.look()
        for step in range(1, 5):
            train_a_step(model)
            assert together.step() == alone.step() == (step % 2 == 0)
    assert together.steps == [0, 2, 4]
    assert together.events
    same_looks(together, alone)


@check
def a_look_takes_one_exchange_and_four_sums() -> None:
    monitor = monitor_of(Net(), IMAGES[RANK::SIZE], distributed=True)
    calls: list[str] = []
    sum_of_ranks, exchange = dist.all_reduce, dist.all_gather_object

    def counting(*given: Any) -> None:
        calls.append("sum")
        sum_of_ranks(*given)

    def counting_exchange(*given: Any) -> None:
        calls.append("exchange")
        exchange(*given)

    dist.all_reduce, dist.all_gather_object = counting, counting_exchange
    try:
        monitor.look()
    finally:
        dist.all_reduce, dist.all_gather_object = sum_of_ranks, exchange
    assert calls == ["exchange", "sum", "sum", "sum", "sum"]


@check
def batches_of_training_are_summed_of_ranks_that_had_any() -> None:
    model, other = Net().train(), Net().train()
    together = monitor_of(model, on="train", distributed=True)
    alone = monitor_of(other, on="train")
    for step in (2, 4):
        for rank in range(1, SIZE):
            batch = IMAGES[rank * 10 : rank * 10 + step + rank]
            other(batch)
            if rank == RANK:
                model(batch)
        together.look(step)
        alone.look(step)
    same_looks(together, alone)
    assert together.iua().probes == sum(4 + rank for rank in range(1, SIZE))
    together.close()
    alone.close()


@check
def a_sharded_model_is_looked_at_in_shares_by_what_drives_a_monitor() -> None:
    model, data = Net(), TensorDataset(IMAGES[:40])
    alone = monitor_of(Net(), IMAGES[:40])
    alone.look()
    fully_shard(model, mesh=init_device_mesh("cpu", (SIZE,)))
    loader = DataLoader(data, 4, sampler=DistributedSampler(data, shuffle=False))
    driven = DrivenMonitor(loader, {**OPTIONS, "distributed": True}, "first", "iua", None)
    driven.begin(model, 0, is_first=RANK == 0)
    assert driven.made
    assert driven.monitor.iua().probes == 40
    assert driven.monitor.iua().show().equals(alone.iua().show())
    assert len(set(told_by_all(str(driven.take_unlogged())))) == 1


@check
def looks_that_disagree_are_told_on_every_rank() -> None:
    class Probes:
        times = 0

        def __iter__(self) -> Iterator[torch.Tensor]:
            self.times += 1
            yield IMAGES[:4]
            if RANK == 1 and self.times == 2:
                raise ValueError("bad disk")

    monitor = monitor_of(nn.parallel.DistributedDataParallel(Net()), Probes(), distributed=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert monitor.look(1) is not None
        assert monitor.look(2) is None
        assert "bad disk" in str(caught[-1].message)
        assert ("1 of 4 ranks could not count their part (rank 1: " in str(caught[-1].message)) == (
            RANK != 1
        )
        assert monitor.look(3 + RANK // 3) is None
        assert "at step 3 on rank 0, at step 4 on rank 3" in str(caught[-1].message)
    assert monitor.steps == [1]
    assert len(set(told_by_all(monitor.notes[1].partition(" failed: ")[2]))) == 1


@check
def monitors_that_are_not_alike_are_refused_on_every_rank() -> None:
    own = IMAGES[RANK::SIZE]
    every = 5 if RANK == 2 else 10
    words = "every is 10 on rank 0 and 5 on rank 2"
    assert_raised_on_all(lambda: monitor_of(Net(), own, distributed=True, every=every), words)
    mode: Any = "off" if RANK == 2 else "eval"
    told = told_by_all(str(_error_of(lambda: monitor_of(Net(), own, distributed=True, mode=mode))))
    assert all("mode" in one for one in told)


def _error_of(call: Any) -> Exception | None:
    try:
        call()
    except Exception as error:  # noqa: BLE001  (told to the others)
        return error
    return None
