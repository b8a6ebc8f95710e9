"""Makes what can go wrong on several processes happen, and tells what was lost: ``make faults``.

Each fault is real: processes are killed by SIGKILL while they count, files may not grow, ranks are
late or have other weights. What comes of it is compared with the counts of one process.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import reduce
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import nn

from iua_widget import IUA, FileError, IUAError

BATCHES, BATCH, SAVE_EVERY = 24, 8, 4
TIMEOUT = timedelta(seconds=20)
FLOATING = {"abs_sum", "square_sum"}


@dataclass(frozen=True)
class Outcome:
    """What came of a fault.

    Attributes
    ----------
    fault : str
    killed_at : int
        Batches that had been counted when it happened.
    lost : int
        Of these, batches that had to be counted again.
    same : bool
        Whether the result, once one has gone on, is that of one process: bit for bit, floating sums
        within 1e-12.
    saw : str
        The message.
    go_on : str
    """

    fault: str
    killed_at: int
    lost: int
    same: bool
    saw: str
    go_on: str


@dataclass(frozen=True)
class Bench:
    """A folder, and after how many batches a process is killed."""

    folder: Path
    killed_at: int

    def path(self, name: str) -> Path:
        return self.folder / name

    def until_killed(self, batches: list[torch.Tensor]) -> Iterator[torch.Tensor]:
        """Give some batches, tell that they have been counted, and wait for the end."""
        yield from batches[: self.killed_at]
        self.path("now").touch()
        time.sleep(60)

    def kill(self, pid: int) -> None:
        """Kill a process by SIGKILL once it has counted so many batches."""
        until(self.path("now").exists)
        os.kill(pid, signal.SIGKILL)


def a_rank_is_killed(bench: Bench) -> Outcome:
    def count(rank: int) -> None:
        own = data()[rank::2]
        given = bench.until_killed(own) if rank else own
        try:
            counted(model(), given, resume=bench.path(f"{rank}.iua"), distributed=True)
        except IUAError as error:
            took = time.monotonic() - died
            told = {"saw": told_as(error), "took": took, "probes": partial_of(error).probes}
            bench.path("told").write_text(json.dumps(told))

    died = time.monotonic()
    other, killed = job(bench, count)
    bench.kill(killed)
    assert exit_status(killed) == -signal.SIGKILL
    assert exit_status(other) == 0
    told = json.loads(bench.path("told").read_text())
    assert told["probes"] == BATCHES // 2 * BATCH
    lost = bench.killed_at - saved(bench.path("1.iua"))
    again = counted(model(), data()[1::2], resume=bench.path("1.iua"))
    whole = IUA.load(bench.path("0.iua"), engine="reference").merge(again)
    return Outcome(
        "a rank of `torch.distributed` is killed",
        bench.killed_at,
        lost,
        same(whole, alone()),
        f"on the other, {told['took']:.1f} s after both had begun, of a timeout of "
        f"{TIMEOUT.seconds} s: {told['saw']}",
        "count that rank's part again with its `resume=` file, and `IUA.merge` the files",
    )


def the_driver_is_killed(bench: Bench) -> Outcome:
    path = bench.path("run.iua")
    driver = forked(lambda: counted(model(), bench.until_killed(data()), resume=path))
    bench.kill(driver)
    end = exit_status(driver)
    lost = bench.killed_at - saved(path)
    passed: list[int] = []
    net = model()
    net.register_forward_pre_hook(lambda *_: passed.append(1))
    again = counted(net, data(), resume=path)
    # What is not lost is not given to the model again.
    assert len(passed) == BATCHES - bench.killed_at + lost
    return Outcome(
        "the one process that counts is killed",
        bench.killed_at,
        lost,
        same(again, alone()),
        f"nothing but exit status {end}",
        "run it again with the same `resume=` file",
    )


def the_disk_is_full(bench: Bench) -> Outcome:
    path, kept = bench.path("run.iua"), bench.path("kept.json")

    def filling() -> Iterator[torch.Tensor]:
        yield from data()[: bench.killed_at]
        resource.setrlimit(resource.RLIMIT_FSIZE, (1024, limits[1]))  # of each file
        yield from data()[bench.killed_at :]

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def count() -> None:
        try:
            counted(model(), filling(), resume=path)
        except FileError as error:
            before = saved(path)
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            partial = partial_of(error)
            probes = partial.probes
            partial.save(bench.path("elsewhere.iua"))
            told = {"saw": told_as(error), "before": before, "batches": probes // BATCH}
            kept.write_text(json.dumps(told))

    assert exit_status(forked(count)) == 0
    told = json.loads(kept.read_text())
    elsewhere = bench.path("elsewhere.iua")
    assert told["before"] == saved(path)
    lost = told["batches"] - saved(elsewhere)
    again = [counted(model(), data(), resume=one) for one in (path, elsewhere)]
    return Outcome(
        "no room for the file while it is saved",
        told["batches"],
        lost,
        all(same(one, alone()) for one in again),
        told["saw"].replace(str(bench.folder), ""),
        "`error.partial.save(path)` where there is room, and go on from there; the file from "
        "before is whole",
    )


def a_rank_is_slow(bench: Bench) -> Outcome:
    pause = 0.05

    def slowly(batches: list[torch.Tensor]) -> Iterator[torch.Tensor]:
        for batch in batches:
            time.sleep(pause)
            yield batch

    def count(rank: int) -> None:
        own = data()[rank::2]
        start = time.monotonic()
        iua = counted(model(), slowly(own) if rank else own)
        mine = time.monotonic()
        iua.all_reduce().save(bench.path(f"{rank}.iua"))
        bench.path(f"{rank}.txt").write_text(f"{mine - start} {time.monotonic() - mine}")

    assert [exit_status(rank) for rank in job(bench, count)] == [0, 0]
    (quick, waited), (slow, _) = (
        map(float, bench.path(f"{rank}.txt").read_text().split()) for rank in range(2)
    )
    results = [IUA.load(bench.path(f"{rank}.iua"), engine="reference") for rank in range(2)]
    return Outcome(
        "a rank is slow",
        BATCHES,
        0,
        all(same(one, alone()) for one in results),
        f"no message; one rank counted for {quick:.1f} s, then waited {waited:.1f} s for the "
        f"other, which took {slow:.1f} s",
        "nothing to do, as long as the group's timeout is longer than the wait",
    )


def a_rank_has_other_weights(bench: Bench) -> Outcome:
    def count(rank: int) -> None:
        net = model()
        nn.init.constant_(net[0].bias, float(rank))
        try:
            counted(net, data()[rank::2], distributed=True)
        except IUAError as error:
            partial_of(error).save(bench.path(f"{rank}.iua"))
            bench.path(f"{rank}.txt").write_text(told_as(error))

    assert [exit_status(rank) for rank in job(bench, count)] == [0, 0]
    saw = {bench.path(f"{rank}.txt").read_text() for rank in range(2)}
    assert len(saw) == 1
    lost = saved(bench.path("1.iua"))
    good = counted(model(), data()[::2])
    nets = [IUA.load(bench.path(f"{rank}.iua"), engine="reference") for rank in range(2)]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        IUA.merge(*nets)
    assert any("weights" in str(one.message) for one in caught)
    again = counted(model(), data()[1::2])
    return Outcome(
        "a rank has other weights",
        BATCHES // 2,
        lost,
        same(good.merge(again), alone()),
        f"on both: {saw.pop()}",
        "load the same weights on all, and count again what was counted with others",
    )


def a_process_of_a_pool_is_killed(bench: Bench) -> Outcome:
    shards = range(4)
    context = get_context("fork")
    done: dict[int, bytes] = {}
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        futures = {shard: pool.submit(count_shard, shard, bench, shard == 2) for shard in shards}
        done[0], done[1] = futures[0].result(), futures[1].result()
        (pid,) = pool._processes
        bench.kill(pid)
        try:
            futures[2].result()
        except BrokenProcessPool as error:
            saw = told_as(error)
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        left = [shard for shard in shards if shard not in done]
        again = pool.map(count_shard, left, [bench] * len(left))
        done.update(zip(left, again, strict=True))
    whole = reduce(IUA.merge, (IUA.from_bytes(done[shard]) for shard in shards), IUA())
    return Outcome(
        "a process of `concurrent.futures` is killed",
        2 * len(data()[::4]) + bench.killed_at,
        bench.path("given").stat().st_size - BATCHES,
        same(whole, alone()),
        saw,
        "run the shards that have not come back again; merge what each returns, once",
    )


FAULTS: tuple[Callable[[Bench], Outcome], ...] = (
    a_rank_is_killed,
    the_driver_is_killed,
    the_disk_is_full,
    a_rank_is_slow,
    a_rank_has_other_weights,
    a_process_of_a_pool_is_killed,
)


def count_shard(shard: int, bench: Bench, doomed: bool = False) -> bytes:
    """Count a shard; every batch that is given to the model is a byte of a file."""
    net, own = model(), data()[shard::4]
    with bench.path("given").open("ab", buffering=0) as given:

        def note(*_: object) -> None:
            given.write(b".")

        net.register_forward_pre_hook(note)
        return counted(net, bench.until_killed(own) if doomed else own).to_bytes()


def data() -> list[torch.Tensor]:
    """Batches of numbers with which sums of products are exact, whatever the order."""
    random_numbers = torch.Generator().manual_seed(1)
    values = torch.randn(BATCHES * BATCH, 12, generator=random_numbers)
    return list(((values * 8).round() / 8).split(BATCH))


def model() -> nn.Sequential:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(12, 50), nn.ReLU(), nn.Linear(50, 20), nn.ReLU())
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_((parameter * 32).round() / 32)
    return net


def counted(net: nn.Module, batches: Any, **options: Any) -> IUA:
    if "resume" in options:
        options["save_every"] = SAVE_EVERY
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return IUA.introspect(net, batches, engine="reference", **options)


def alone() -> IUA:
    """What one process counts."""
    return counted(model(), data())


def same(one: IUA, other: IUA) -> bool:
    """Whether all counts are the same bit for bit, and floating sums within 1e-12."""
    if (one.layers, one.probes) != (other.layers, other.probes):
        return False
    for layer in one.layers:
        here, there = (iua._run.tallies[layer].state().arrays for iua in (one, other))
        if here.keys() != there.keys():
            return False
        for name, array in here.items():
            if name in FLOATING:
                alike = np.allclose(array, there[name], rtol=1e-12, atol=0)
            elif name == "inactive":  # of each probe, in the order of the ranks
                alike = np.array_equal(np.sort(array), np.sort(there[name]))
            else:
                alike = np.array_equal(array, there[name])
            if not alike:
                return False
    return True


def partial_of(error: IUAError) -> IUA:
    """What had been counted when there was an error."""
    partial: IUA | None = error.partial
    assert partial is not None
    return partial


def saved(path: Path) -> int:
    """Batches of a file, which must be whole."""
    return IUA.load(path, engine="reference").probes // BATCH


def job(bench: Bench, count: Callable[[int], object]) -> list[int]:
    """Two ranks with gloo between them: their processes."""

    def work(rank: int) -> None:
        store = f"file://{bench.path('store')}"
        dist.init_process_group("gloo", store, rank=rank, world_size=2, timeout=TIMEOUT)
        count(rank)

    return [forked(lambda rank=rank: work(rank)) for rank in range(2)]  # type: ignore[misc]


def forked(work: Callable[[], object]) -> int:
    """A process of its own, which has imported everything already."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of threads, which importing has not started
        pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        torch.set_num_threads(1)
        work()
        code = 0
    except BaseException as error:  # noqa: BLE001  (whatever it is, it is shown)
        print(told_as(error), file=sys.stderr)
    finally:
        sys.stderr.flush()
        os._exit(code)


def exit_status(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 300
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.005)


def told_as(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def outcomes(rounds: int, seed: int, *, with_ray: bool) -> Iterator[Outcome]:
    moments = random.Random(seed)
    yield from _outcomes(FAULTS, rounds, moments)
    if with_ray:  # last: its threads do not go with forks
        from faults_with_ray import FAULTS as OF_RAY

        yield from _outcomes(OF_RAY, rounds, moments)


def _outcomes(
    faults: tuple[Callable[[Bench], Outcome], ...], rounds: int, moments: random.Random
) -> Iterator[Outcome]:
    for fault in faults:
        for _ in range(rounds):
            with tempfile.TemporaryDirectory() as folder:
                last = 5 if fault is a_process_of_a_pool_is_killed else BATCHES // 2 - 1
                first = 1 if last == 5 else SAVE_EVERY
                yield fault(Bench(Path(folder), moments.randint(first, last)))


def line(outcome: Outcome) -> str:
    lost = f"{outcome.lost} of {outcome.killed_at} batches" if outcome.lost else "nothing"
    alike = "as one process" if outcome.same else "OTHER COUNTS THAN ONE PROCESS"
    return f"| {outcome.fault} | {lost} | {alike} | {outcome.saw} | {outcome.go_on} |"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python tests/scale/faults.py", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often, at moments by chance")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ray", action="store_true", help="faults of Ray's workers, too")
    parser.add_argument("--json", type=Path, help="where to write the same")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"A file is saved every {SAVE_EVERY} batches; the group's timeout is {TIMEOUT}.\n")
    print("| fault | to be counted again | then | what one sees | how to go on |")
    print("|---|---|---|---|---|", flush=True)
    found = []
    for outcome in outcomes(options.rounds, options.seed, with_ray=options.ray):
        found.append(outcome)
        print(line(outcome), flush=True)
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in found]), encoding="utf-8")
    sys.exit(not all(one.same for one in found))


if __name__ == "__main__":
    main()
