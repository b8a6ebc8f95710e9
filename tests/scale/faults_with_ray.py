"""Makes workers and drivers of Ray die while they count, and tells what was lost.

Called with a folder it is the driver that is killed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import ray
import ray.data
import torch
from faults import BATCH, BATCHES, Bench, Outcome, alone, counted, data, model, same, until

from iua_widget import IUA


def workers_are_killed(bench: Bench) -> Outcome:
    start()
    given, killed = bench.path("given"), []

    def kill() -> None:
        for at in (bench.killed_at // 2, bench.killed_at):
            until(lambda at=at: len(counted_by(given)) >= at)  # type: ignore[misc]
            worker = counted_by(given)[-1]
            os.kill(worker, signal.SIGKILL)
            killed.append(worker)

    killer = threading.Thread(target=kill)
    killer.start()
    iua = count(given)
    killer.join()
    assert len(killed) == 2
    (saw,) = (note for note in iua.notes if "was lost" in note)
    return Outcome(
        "two workers of Ray are killed",
        bench.killed_at,
        len(counted_by(given)) - BATCHES,
        same(iua, alone()),
        f"a note: {saw}",
        "nothing to do: others count those batches again",
    )


def the_driver_of_workers_is_killed(bench: Bench) -> Outcome:
    given, path = bench.path("given"), bench.path("run.iua")
    driver = subprocess.Popen([sys.executable, __file__, str(bench.folder)])
    until(lambda: path.exists() and len(counted_by(given)) >= bench.killed_at)
    driver.kill()
    end, killed = driver.wait(), time.monotonic()
    until(lambda: not any(map(is_running, counted_by(given))))
    gone = time.monotonic() - killed
    start()
    iua = count(given, resume=path)
    return Outcome(
        "the driver of Ray's workers is killed",
        bench.killed_at,
        len(counted_by(given)) - BATCHES,
        same(iua, alone()),
        f"nothing but exit status {end}; its workers had ended {gone:.1f} s later",
        "run it again with the same `resume=` file",
    )


FAULTS: tuple[Callable[[Bench], Outcome], ...] = (
    the_driver_of_workers_is_killed,
    workers_are_killed,
)


def start() -> None:
    """Start Ray on this machine, once."""
    if not ray.is_initialized():
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        ray.data.DataContext.get_current().enable_progress_bars = False


def count(given: Path, **options: Any) -> IUA:
    """Count on two workers; each notes its process in a file, batch by batch."""

    def forward(net: Any, batch: Any) -> Any:
        with given.open("ab", buffering=0) as file:
            file.write(f"{os.getpid()}\n".encode())
        time.sleep(0.2)
        return net(batch["data"])

    rows = ray.data.from_numpy([batch.numpy() for batch in data()])
    compute = {"compute": ray.data.ActorPoolStrategy(size=2)}
    options |= {"batch_size": BATCH, "forward": forward, "ray_options": compute}
    return counted(model(), rows, **options)


def counted_by(given: Path) -> list[int]:
    """The process of each batch that was given to a model."""
    return [int(line) for line in given.read_text().split()] if given.exists() else []


def is_running(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


if __name__ == "__main__":
    torch.set_num_threads(1)
    start()
    count(Path(sys.argv[1], "given"), resume=Path(sys.argv[1], "run.iua"))
