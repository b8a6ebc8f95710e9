"""Starts the checks on several ranks, as processes that share what importing PyTorch takes.

Called with a folder, a port and the number of ranks; prints how each has ended, as JSON.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
import traceback
import warnings
from pathlib import Path

import torch.distributed.device_mesh
import torch.distributed.fsdp
import torch.distributed.tensor.parallel  # noqa: F401  (for all of them)

import iua_widget  # noqa: F401

CHECKS = Path(__file__).with_name("checks_on_ranks.py")


def run(rank: int) -> None:
    folder, port, size = sys.argv[1:]
    printed = os.open(f"{folder}/{rank}.txt", os.O_WRONLY | os.O_CREAT)
    os.dup2(printed, 1)
    os.dup2(printed, 2)
    sys.argv = [str(CHECKS), folder, port, str(rank), size]
    try:
        runpy.run_path(str(CHECKS), run_name="__main__")
    except BaseException:  # noqa: BLE001  (whatever it is, it is shown)
        traceback.print_exc()
        sys.stderr.flush()
    os._exit(1)


if __name__ == "__main__":
    pids = []
    for rank in range(int(sys.argv[3])):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of threads, which importing has not started
            pids.append(os.fork())
        if not pids[-1]:
            run(rank)
    print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]))
