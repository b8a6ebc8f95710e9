"""What a test starts on several ranks: each checks that it has the counts of one process.

Called as `on_ranks` says; prints the names of the checks that held.
"""

from __future__ import annotations

import itertools
import os
import time
import warnings
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import monitor_on_ranks
import numpy as np
import torch
import torch.distributed as dist
import widget_on_ranks
from on_ranks import (
    CHECKS,
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
    exact,
    raised,
    rounded,
    told_by_all,
)
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    RowwiseParallel,
    parallelize_module,
)
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

from iua_widget import IUA, DistributedError, MergeError, ProducerError
from iua_widget.scale import all_reduce
from iua_widget.scale.ranks import job_store

TIMEOUT = timedelta(seconds=3)
PAIRS = [dist.new_group(ranks) for ranks in ([0, 1], [2, 3])]


@check
def samples_that_a_sampler_repeats_are_left_out() -> None:
    alone = counted(Net(), IMAGES)
    for shuffle, size in ((False, 42), (True, 42), (True, 3)):
        data = TensorDataset(IMAGES[:size])
        loader = DataLoader(data, 5, sampler=DistributedSampler(data, shuffle=shuffle))
        whole = counted(Net(), loader, distributed=True)
        if size == 42:
            assert_same(whole, alone, in_order=False)
        assert whole.probes == size
        assert_same_on_all(whole)


@check
def groups_that_only_some_ranks_have_are_summed() -> None:
    labels = np.array([*range(3)] * 13 + [9] * 3)  # the last rank alone has a 9
    batches = [(IMAGES[n : n + 7], labels[n : n + 7]) for n in range(0, 42, 7)]
    own = [batches[:2], [], batches[2:4], batches[4:]][RANK]
    options: dict[str, Any] = {"groups": 1, "top_probes": 2}
    whole, alone = (
        counted(Net(), own, distributed=True, **options),
        counted(Net(), batches, **options),
    )
    assert whole.groups == ["0", "1", "2", "9"]
    for name in whole.groups:
        assert_same(whole.group(name), alone.group(name), in_order=False)
        assert whole.group(name).top_probes("relu").equals(alone.group(name).top_probes("relu"))
    assert_same_on_all(whole.group(9))


@check
def of_those_that_cannot_be_left_out_a_note_tells() -> None:
    data = TensorDataset(IMAGES)
    loader = DataLoader(data, 5, sampler=DistributedSampler(data), collate_fn=lambda rows: torch.stack([row[0] for row in rows]))  # fmt: skip # noqa: E501
    whole = counted(Net(), loader, distributed=True)
    assert whole.probes == 44
    assert sum("DistributedSampler repeats" in note for note in whole.notes) == 1


@check
def a_wrapped_model_is_counted_as_the_model_with_unequal_batches_or_none() -> None:
    wrapped = nn.parallel.DistributedDataParallel(Net())
    own = [IMAGES[:20], IMAGES[20:21], [], IMAGES[21:]][RANK]
    whole = counted(wrapped, own, distributed=True, batch_size=4)
    assert_same(whole, counted(Net(), IMAGES, batch_size=4))
    assert whole.weights == counted(Net(), IMAGES[:1]).weights
    assert_same_on_all(whole)


@check
def evidence_of_causes_is_that_of_all_ranks() -> None:
    own = [IMAGES[:20], IMAGES[20:21], [], IMAGES[21:]][RANK]
    whole = counted(Net(), own, distributed=True, causes=True)
    alone = counted(Net(), IMAGES, causes=True)
    assert_same(whole, alone)
    assert "max pre-activation" in whole.units("out")
    assert_same_on_all(whole)


@check
def a_model_that_fsdp_shards_is_counted_as_the_model() -> None:
    model = Net()
    fully_shard(model, mesh=init_device_mesh("cpu", (SIZE,)))
    own = IMAGES[RANK * 10 : RANK * 10 + 10]
    assert_same(counted(model, own, distributed=True), counted(Net(), IMAGES[:40]))


@check
def a_model_whose_layers_are_split_among_ranks_is_refused_on_every_rank() -> None:
    mesh = init_device_mesh("cpu", (2, SIZE // 2), mesh_dim_names=("data", "tensor"))
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    parallelize_module(model, mesh["tensor"], {"0": ColwiseParallel(), "2": RowwiseParallel()})
    words = "tensor parallel", "iua.all_reduce(group)"
    assert_raised_on_all(lambda: counted(model, [], distributed=True), *words)
    fully_shard(model, mesh=mesh["data"])
    assert_raised_on_all(lambda: counted(model, [], distributed=True), *words)


@check
def collectives_are_few_and_of_one_shape() -> None:
    calls: list[tuple[Any, ...]] = []
    sum_of_ranks, exchange = dist.all_reduce, dist.all_gather_object

    def counting(values: torch.Tensor, op: Any, group: Any) -> None:
        calls.append((tuple(values.shape), str(values.dtype), str(op)))
        sum_of_ranks(values, op, group)

    def counting_exchange(*arguments: Any) -> None:
        calls.append(("exchange",))
        exchange(*arguments)

    iua = counted(Net(), IMAGES[RANK::SIZE])
    before = iua.to_bytes()
    dist.all_reduce, dist.all_gather_object = counting, counting_exchange
    try:
        whole = iua.all_reduce()
        few, calls = calls, []
        all_reduce.BUCKET_BYTES = 256
        in_pieces = iua.all_reduce()
    finally:
        dist.all_reduce, dist.all_gather_object = sum_of_ranks, exchange
        all_reduce.BUCKET_BYTES = 2**26
    assert [call[0] == "exchange" for call in few] == [True, False, False, False, False]
    assert all(one == few for one in told_by_all(few))
    assert len(calls) > 20
    assert all(np.prod(shape) <= 256 for shape, *_ in calls[1:])
    for one in (whole, in_pieces):
        assert_same(one, counted(Net(), torch.cat([IMAGES[r::SIZE] for r in range(SIZE)])))
    assert iua.to_bytes() == before
    assert iua.probes == len(IMAGES[RANK::SIZE])


@check
def ranks_of_a_group_sum_among_themselves() -> None:
    group = PAIRS[RANK // 2]
    own = IMAGES[RANK % 2 :: 2]
    whole = counted(Net(), own).all_reduce(group)
    assert_same(whole, counted(Net(), torch.cat([IMAGES[::2], IMAGES[1::2]])))
    assert_same_on_all(whole, group)
    error = raised(lambda: counted(Net(), own).all_reduce(PAIRS[1 - RANK // 2]))
    assert "not in the group" in str(error)


@check
def stages_of_a_pipeline_become_one_and_a_note_tells() -> None:
    stage, part = divmod(RANK, 2)
    torch.manual_seed(stage)
    name = ("first", "second")[stage]
    model = nn.Sequential()
    model.add_module(name, exact(nn.Sequential(nn.Linear(4, 5 + stage), nn.ReLU())))
    inputs = rounded(torch.linspace(-2, 2, 4 * 30).reshape(30, 4), 8)
    whole = counted(model, inputs[part::2]).all_reduce()
    alone = counted(model, torch.cat([inputs[::2], inputs[1::2]]))
    assert whole.layers == ["first.1", "second.1"]
    assert whole.probes == alone.probes == 30
    layer = f"{name}.1"
    assert whole.units(layer).equals(alone.units(layer)) or np.allclose(
        whole.units(layer), alone.units(layer), rtol=1e-12
    )
    assert any("Only some of the ranks had 'first.1', 'second.1'" in one for one in whole.notes)
    assert len(whole.weights) == 2
    assert_same_on_all(whole)
    IUA.from_bytes(whole.to_bytes())


@check
def what_is_counted_differently_on_ranks_comes_together() -> None:
    arrays = np.maximum(np.linspace(-1, 1, 60), 0).reshape(20, 3).astype(np.float32)
    iua = counted({"a": arrays[RANK::SIZE]})
    if RANK == 1:
        iua._run.tallies["a"].thin([0, 10, len(iua.stops)])
    whole = iua.all_reduce()
    order = np.concatenate([arrays[r::SIZE] for r in range(SIZE)])
    alone = counted({"a": order})
    alone._run.tallies["a"].thin([0, 10, len(iua.stops)])
    assert_same(whole, alone)
    assert_same(whole.all_reduce(dist.new_group([RANK], use_local_synchronization=True)), alone)
    probes = [300, 0, 1, 70_000][RANK]
    whole = counted({"a": np.ones((probes, 1))}, keep_inactive=False).all_reduce()
    counts = whole._run.tallies["a"].state().arrays["counts"]
    assert (counts.dtype, int(counts.sum())) == (np.uint32, 70_301)


@check
def top_probes_of_ranks_are_those_of_their_inputs_in_order() -> None:
    options: dict[str, Any] = {"top_probes": 3, "units": "channel"}
    images = IMAGES[5 * RANK : 5 * RANK + 5] if RANK < 2 else IMAGES[10 + RANK :: 2][: 3 * RANK]
    told: list[Any] = [None] * SIZE
    dist.all_gather_object(told, images)
    whole = counted(Net(), images, **options).all_reduce()
    assert_same(whole, counted(Net(), torch.cat(told), **options))
    assert_same_on_all(whole)
    assert len(whole.top_probes("relu"))


@check
def a_rank_that_has_counted_nothing_has_what_the_others_have() -> None:
    iua = IUA(**OPTIONS) if RANK == 0 else counted(Net(), IMAGES[RANK::SIZE])
    whole = iua.all_reduce()
    assert_same(whole, counted(Net(), torch.cat([IMAGES[r::SIZE] for r in range(1, SIZE)])))
    assert IUA(**OPTIONS).all_reduce().layers == []
    assert_raised_on_all(lambda: counted(Net(), [], distributed=True), "no rank had a batch")


@check
def other_options_weights_and_layers_are_an_error_on_every_rank() -> None:
    own = IMAGES[RANK::SIZE]

    def options() -> None:
        counted(Net(), own, distributed=True, dead_at=0.5 if RANK == 2 else 1.0)

    def weights() -> None:
        model = Net()
        nn.init.constant_(model.head.bias, float(RANK == 3))
        counted(model, own, distributed=True)

    def units() -> None:
        counted({"a": np.zeros((4, 3 + RANK % 2))}, distributed=True)

    def names() -> None:
        counted({"a": np.zeros((4, 3)), f"b{RANK // 3}": np.zeros((4, 3))}, distributed=True)

    error = assert_raised_on_all(options, "dead_at is 1.0 on rank 0 and 0.5 on rank 2")
    assert isinstance(error, MergeError)
    assert error.partial.probes == len(own)
    assert_raised_on_all(weights, "other weights on some ranks", "on rank 3")
    assert_raised_on_all(units, "layer 'a', on ranks 0 and 1", "the units differ")
    assert_raised_on_all(names, "the layers differ: 'b1', 'b0' are not on all ranks", "same names")


@check
def a_rank_that_fails_tells_the_others() -> None:
    def breaking() -> Iterator[torch.Tensor]:
        yield IMAGES[:4]
        if RANK == 1:
            raise ValueError("bad disk")
        yield IMAGES[4:8]

    error = raised(lambda: counted(Net(), breaking(), distributed=True))
    assert "bad disk" in str(error)
    assert isinstance(error, ProducerError if RANK == 1 else DistributedError)
    assert ("1 of 4 ranks could not count their part (rank 1: " in str(error)) == (RANK != 1)
    assert error.partial.probes == (4 if RANK == 1 else 8)
    error = raised(lambda: counted(Net(), IMAGES, distributed=True, atol=-1.0 if RANK == 2 else 0))
    assert "atol" in str(error)
    assert isinstance(error, DistributedError) == (RANK != 2)


@check
def ranks_go_on_from_files_of_their_own_which_merge_to_the_same() -> None:
    path = FOLDER / f"part{RANK}.iua"
    data = TensorDataset(IMAGES)
    sampler = DistributedSampler(data, shuffle=False)
    loader = DataLoader(data, 4, sampler=sampler)
    if RANK:
        counted(Net(), loader, resume=path, max_probes=4 * min(RANK, 2))  # and was killed
    whole = counted(Net(), loader, resume=path, distributed=True)
    order = torch.cat([IMAGES[r::SIZE] for r in range(SIZE)])
    assert_same(whole, counted(Net(), order))
    dist.barrier()
    parts = [IUA.load(FOLDER / f"part{r}.iua", engine="reference") for r in range(SIZE)]
    assert_same(IUA.merge(*parts), whole)


@check
def a_rank_that_dies_while_a_widget_counts_is_told_within_the_timeout() -> None:
    def endless() -> Iterator[torch.Tensor]:
        for number, batch in enumerate(itertools.cycle(IMAGES.split(7))):
            if RANK == 3 and number == 20:
                print(*(one.__name__ for one in CHECKS), flush=True)
                os._exit(7)
            time.sleep(0.01)
            yield batch

    widget = widget_on_ranks.widget_of(Net(), endless())
    assert widget_on_ranks.ended(widget) == "failed"
    assert "nothing was heard of rank 3 for 3 seconds" in str(widget.error)
    assert widget._runs.counted.probes > 20 * 7
    if RANK == 0:
        shown = IUA.load(widget.iua.save(FOLDER / "shown.iua"))
        assert shown.probes > widget._runs.counted.probes + 2 * 20 * 7


@check
def a_rank_that_has_died_or_does_not_come_is_an_error_and_nothing_is_lost() -> None:
    iua = counted(Net(), IMAGES[RANK::SIZE])
    before = iua.to_bytes()
    if RANK == 1:
        time.sleep(TIMEOUT.total_seconds() + 1)
        return  # does not come to the others of its pair
    error = raised(lambda: iua.all_reduce(DOOMED[RANK // 2]))
    assert isinstance(error, DistributedError)
    assert "save it with iua.save" in str(error)
    assert iua.to_bytes() == before
    assert iua.save(FOLDER / f"{RANK}.iua").stat().st_size
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert MONITOR.look(1) is None
        assert MONITOR.look(2) is None  # at once
    assert "heard nothing from the others" in str(caught[0].message)
    assert (MONITOR.steps, len(caught)) == ([0], 1)
    assert any(note.startswith("2 looks, at steps 1 to 2, failed") for note in MONITOR.notes)


if __name__ == "__main__":
    for one in CHECKS[:-2]:
        one()
    DOOMED = [dist.new_group(ranks, timeout=TIMEOUT) for ranks in ([0, 1], [2, 3])]
    job_store().set_timeout(TIMEOUT)
    MONITOR = monitor_on_ranks.monitor_of(Net(), IMAGES[RANK::SIZE], distributed=True)
    MONITOR.look()
    for one in CHECKS[-2:]:
        one()
    print(*(one.__name__ for one in CHECKS), flush=True)
    os._exit(0)  # the groups have lost a rank
