"""Calling a benchmark's function on every rank of a job, processes of its own with gloo between.

As a script: ``python job.py MODULE FUNCTION ARGUMENTS STORE RANK SIZE``; rank 0 prints what the
call returns, as JSON.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def on_ranks(function: Callable[..., dict[str, Any]], size: int, **arguments: Any) -> Any:
    """What a function returns on rank 0, with ``start``: seconds until all ranks had found it."""
    command = [sys.executable, __file__, function.__module__, function.__name__]
    with tempfile.TemporaryDirectory() as folder:
        told = [json.dumps(arguments), str(Path(folder) / "store")]
        begun = time.time()
        ranks = [
            subprocess.Popen(
                [*command, *told, str(rank), str(size)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for rank in range(size)
        ]
        ends = [rank.communicate() for rank in ranks]
    for rank, (_, errors) in zip(ranks, ends, strict=True):
        if rank.returncode:
            message = f"{' '.join(command[2:])} failed on a rank:\n{errors}"
            raise RuntimeError(message)
    result = json.loads(ends[0][0])
    return {**result, "start": result["joined"] - begun}


def _on_this_rank() -> None:
    import torch.distributed as dist

    module, name, arguments, store, rank, size = sys.argv[1:]
    dist.init_process_group("gloo", f"file://{store}", rank=int(rank), world_size=int(size))
    dist.barrier()
    joined = time.time()
    found = getattr(importlib.import_module(module), name)(**json.loads(arguments))
    if rank == "0":
        print(json.dumps({"joined": joined, **found}))
    dist.destroy_process_group()


if __name__ == "__main__":
    _on_this_rank()
