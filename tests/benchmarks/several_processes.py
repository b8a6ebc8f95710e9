"""Several processes: counting in two against one, and what it takes to sum and to merge runs."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from against_dnikit import relu
from fresh import in_fresh_process
from job import on_ranks
from measure import (
    Pairs,
    Row,
    Spread,
    look_for_loops_at_once,
    loops_were_compiled,
    seconds,
    size,
    timed,
)

if TYPE_CHECKING:
    from iua_widget import IUA

TITLE = "Several processes: counting, sums over ranks, merging, bytes"

_UNITS, _BATCH = 256, 64
_WIDE, _PROBES = 28_672, 70_000
_STOPS = 70, 1_000
_CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]


def rows(*, quick: bool = False) -> Iterator[Row]:
    counting = {"batches": 4, "width": 32, "pairs": 1} if quick else {"batches": 128, "width": 1024, "pairs": 7}  # fmt: skip # noqa: E501
    grid = [[layers, stops] for layers in ((2,) if quick else (10, 100, 1_000)) for stops in _STOPS]
    wide = {"layers": 2, "units": 64, "probes": 2_000} if quick else {"layers": 8, "units": _WIDE, "probes": _PROBES}  # fmt: skip # noqa: E501
    sums = {"grid": grid, "wide": wide, "times": 1 if quick else 5}
    one = on_ranks(a_job, 1, **counting, **sums)
    two = on_ranks(a_job, 2, **counting, **sums)
    here = a_driver(**sums) if quick else in_fresh_process(a_driver, **sums)
    yield from _counted(one, two, counting)
    for number, (layers, stops) in enumerate(grid):
        what = f"{layers:,} layers of {_UNITS} units, {_BATCH} probes, {stops:,} stops"
        found = [told["sums"][number] for told in (one, two, here)]
        yield from _summed(what, *found, layers)
    what = f"{wide['layers']} layers of {_WIDE:,} units, {_PROBES:,} probes, 70 stops"
    yield from _summed(what, one["wide"], two["wide"], here["wide"], wide["layers"], whole=True)


def a_job(
    *,
    batches: int,
    width: int,
    pairs: int,
    grid: list[list[int]],
    wide: dict[str, int],
    times: int,
) -> dict[str, Any]:
    """What all ranks do together, each on a core of its own."""
    counted = _count_alone_and_together(batches, width, pairs)
    _compute_on(_own_core())
    sums = [_times_of_sum(_narrow_run(*one), times) for one in grid]
    return {**counted, "sums": sums, "wide": _times_of_sum(_wide_run(**wide), times)}


def a_driver(*, grid: list[list[int]], wide: dict[str, int], times: int) -> dict[str, Any]:
    """What one process does with runs of others."""
    sums = [_times_of_merge(_narrow_run(*one), times) for one in grid]
    return {"sums": sums, "wide": _times_of_merge(_wide_run(**wide), times)}


def _count_alone_and_together(batches: int, width: int, pairs: int) -> dict[str, Any]:
    """Seconds of the same data: rank 0 alone on a core, and on all, and all ranks together."""
    import torch
    import torch.distributed as dist
    from torch import nn

    from iua_widget import IUA

    look_for_loops_at_once()
    torch.manual_seed(0)
    layers = [each for _ in range(4) for each in (nn.Linear(width, width), nn.ReLU())]
    model, data = nn.Sequential(*layers), torch.randn(batches * _BATCH, width)
    own = data.chunk(dist.get_world_size())[dist.get_rank()]
    results = {}

    def count(inputs: Any, *, distributed: bool) -> Callable[[], None]:
        def work() -> None:
            iua = IUA.introspect(model, inputs, batch_size=_BATCH, distributed=distributed)
            results[distributed] = iua

        return work

    def together(work: Callable[[], object]) -> float:
        dist.barrier()
        return timed(lambda: (work(), dist.barrier()))

    def alone() -> None:
        if dist.get_rank() == 0:
            count(data, distributed=False)()

    whole = count(own, distributed=True)
    ways = {
        "alone": (_own_core(), alone),
        "alone on all": (set(_CORES), alone),
        "together": (_own_core(), whole),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for pair in range(-2, pairs):
        order = list(ways.items())
        for name, (cores, work) in order if pair % 2 else reversed(order):
            _compute_on(cores)
            took = together(work)
            loops_were_compiled()
            if pair >= 0:
                times[name].append(took)
    if dist.get_rank() == 0:
        _assert_same(results[True], results[False])
    return {"times": times}


def _own_core() -> set[int]:
    import torch.distributed as dist

    return {_CORES[dist.get_rank() % len(_CORES)]}


def _compute_on(cores: set[int]) -> None:
    import torch

    torch.set_num_threads(len(cores))
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)


def _assert_same(one: IUA, other: IUA) -> None:
    assert one.probes == other.probes
    for layer in other.layers:
        counts = [iua.results[layer].unit_inactive_count for iua in (one, other)]
        assert (counts[0] == counts[1]).all()


def _narrow_run(layers: int, stops: int) -> IUA:
    """Many layers, of which sums and merges have little to do for each."""
    import numpy as np

    from iua_widget import IUA

    responses = relu((_BATCH, _UNITS), seed=0)
    grid = None if stops == _STOPS[0] else [0, *np.geomspace(1e-8, 10, stops - 1)]
    layer = {f"layer{number}": responses for number in range(layers)}
    return IUA.introspect(layer, stops=grid, memory="8 GiB", batch_size=32)


def _wide_run(*, layers: int, units: int, probes: int) -> IUA:
    """Layers as those of a language model, with counters of four bytes."""
    import numpy as np

    from iua_widget import IUA

    random = np.random.default_rng(0)
    responses = random.standard_normal((1_000, units), np.float32)
    scale = np.exp(random.standard_normal(units)).astype(np.float32)

    def batches() -> Iterator[dict[str, Any]]:
        for _ in range(probes // 1_000):
            shift = int(random.integers(units))
            yield {
                f"layer{number}": np.roll(responses, shift + number, axis=1) * scale
                for number in range(layers)
            }

    return IUA.introspect(batches(), memory="8 GiB", keep_inactive=False)


def _times_of_sum(iua: IUA, times: int) -> dict[str, Any]:
    """Seconds of `all_reduce`, and bytes that are exchanged and summed in it."""
    import torch.distributed as dist

    from iua_widget.scale.description import Description

    told = len(pickle.dumps(Description.of(iua._run)))
    sent: list[int] = []
    sum_of_ranks = dist.all_reduce

    def counting(values: Any, *arguments: Any) -> None:
        sent.append(values.nbytes)
        sum_of_ranks(values, *arguments)

    dist.all_reduce = counting
    try:
        whole = iua.all_reduce()
    finally:
        dist.all_reduce = sum_of_ranks
    assert whole.probes == iua.probes * dist.get_world_size()
    took = []
    for _ in range(times):
        dist.barrier()
        took.append(timed(iua.all_reduce))
    return {"took": took, "told": told, "summed": sum(sent), "collectives": len(sent)}


def _times_of_merge(iua: IUA, times: int) -> dict[str, Any]:
    """Seconds of merging two runs, of making bytes of one and a run of these, and how many."""
    from iua_widget import IUA

    other, written = iua.merge(), iua.to_bytes()
    assert IUA.from_bytes(written).merge(other).probes == 2 * iua.probes
    works: dict[str, Callable[[], object]] = {
        "merge": lambda: iua.merge(other),
        "to_bytes": iua.to_bytes,
        "from_bytes": lambda: IUA.from_bytes(written),
    }
    held = iua._run.nbytes
    return {
        **{name: [timed(work) for _ in range(times)] for name, work in works.items()},
        "written": len(written),
        "held": held,
    }


def _counted(one: dict[str, Any], two: dict[str, Any], sizes: dict[str, int]) -> Iterator[Row]:
    what = (
        f"an MLP of 4 layers of {sizes['width']:,} units, {sizes['batches'] * _BATCH:,} inputs in "
        f"batches of {_BATCH}"
    )
    pairs = Pairs(one["times"]["together"], one["times"]["alone"])
    yield Row(
        f"{what}: a job of 1 process, `distributed=True`",
        "the same process without it, on one core",
        pairs.overhead,
        f"{pairs.in_words('with', 'without')}; not in it: {seconds(one['start'])} until the "
        "process had its group",
    )
    for against, name in (("one core", "alone"), ("all cores", "alone on all")):
        pairs = Pairs(two["times"]["together"], two["times"][name])
        yield Row(
            f"{what}: a job of 2 processes, each with half of them on a core of its own",
            f"one of them with all, on {against}, while the other waits; same counts",
            pairs.speedup,
            f"{pairs.in_words('two', 'one')}; not in it: {seconds(two['start'])} until the "
            "processes had their group",
            better="higher",
        )


def _summed(
    what: str,
    one: dict[str, Any],
    two: dict[str, Any],
    here: dict[str, Any],
    layers: int,
    *,
    whole: bool = False,
) -> Iterator[Row]:
    yield Row(
        f"{what}: `all_reduce`, 2 processes",
        "",
        _milliseconds(two["took"]),
        f"{_each(two['summed'], layers)} summed in {two['collectives']} collectives, after "
        f"{_each(two['told'], layers)} of description from each rank",
        unit="ms",
    )
    yield Row(
        f"{what}: `all_reduce`, 1 process",
        "",
        _milliseconds(one["took"]),
        "its own work, nothing sent",
        unit="ms",
    )
    yield Row(
        f"{what}: `IUA.merge` of two",
        "",
        _milliseconds(here["merge"]),
        f"{_each(here['held'], layers)} of counts each",
        unit="ms",
    )
    also = f"{_each(here['written'], layers)}, of {size(here['held'] / layers)} of counts"
    took = {name: seconds(Spread.of(here[name]).median) for name in ("to_bytes", "from_bytes")}
    if not whole:
        yield Row(
            f"{what}: size of `to_bytes`",
            "of the counts in memory",
            Spread.of([here["written"] / here["held"]]),
            f"{also}; `to_bytes` {took['to_bytes']}, `from_bytes` {took['from_bytes']}",
        )
        return
    for name in took:
        yield Row(f"{what}: `{name}`", "", _milliseconds(here[name]), also, unit="ms")


def _milliseconds(took: list[float]) -> Spread:
    return Spread.of([1e3 * each for each in took])


def _each(amount: int, layers: int) -> str:
    return f"{round(amount / layers):,} bytes a layer"
