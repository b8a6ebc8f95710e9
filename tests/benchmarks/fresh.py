"""Calling a benchmark's function in a process of its own, for its peak memory and its imports.

As a script: ``python fresh.py MODULE FUNCTION ARGUMENTS`` prints what the call returns, as JSON.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def in_fresh_process(function: Callable[..., dict[str, Any]], **arguments: Any) -> dict[str, Any]:
    """What a function returns in a new process, with the ``peak`` memory of that, in bytes."""
    command = [sys.executable, __file__, function.__module__, function.__name__]
    run = subprocess.run(
        [*command, json.dumps(arguments)], check=False, capture_output=True, text=True
    )
    if run.returncode:
        message = f"{' '.join(command[2:])} failed in its process:\n{run.stderr}"
        raise RuntimeError(message)
    result: dict[str, Any] = json.loads(run.stdout)
    return result


def peak_memory() -> int:
    """The most resident memory this process has had so far, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():
        lines = status.read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def forget_peak_memory() -> None:
    """Let `peak_memory` begin again from what is resident now, where the system can (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


if __name__ == "__main__":
    module, name, arguments = sys.argv[1:]
    found = getattr(importlib.import_module(module), name)(**json.loads(arguments))
    print(json.dumps({"peak": peak_memory(), **found}))
