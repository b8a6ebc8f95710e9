"""Settings of all tests: Triton's interpreter and tests left out where there is no GPU, Ctrl-C."""

import gc
import os
import signal
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import chain, zip_longest
from pathlib import Path

import pytest
import torch

gc.disable()  # until all tests are collected
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # read when a kernel is defined

collect_ignore = ["tests/widget/shiny_app.py"]  # a process of its own
collect_ignore_glob = ["tests/scale/*on_ranks.py"]  # several
if not find_spec("triton"):
    collect_ignore_glob.append("iua_widget/engines/device/triton_*.py")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs a GPU where there is none; order the files for two processes."""
    if not torch.cuda.is_available():
        left_out = [item for item in items if item.get_closest_marker("gpu")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item.get_closest_marker("gpu") is None]
    place = {path: number for number, path in enumerate(_in_turn(items))}
    items.sort(key=lambda item: place[item.path])


def _in_turn(items: list[pytest.Item]) -> list[Path]:
    """The files: in turn one with a browser, which waits, and a slow one; then all others."""
    with_browser, slow = (
        list(dict.fromkeys(item.path for item in items if item.get_closest_marker(name)))
        for name in ("browser", "slow")
    )
    in_turn = chain.from_iterable(zip_longest(with_browser, slow))
    return list(dict.fromkeys(path for path in (*in_turn, *(i.path for i in items)) if path))


def pytest_collection_finish() -> None:
    """Spare every garbage collection a walk through all that was imported."""
    gc.enable()
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    """Let what was imported be cleaned up as ever."""
    gc.unfreeze()


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C as a terminal has it, here and in what is started from here.

    A shell without job control starts what is in the background with SIGINT ignored.
    """
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)
