"""The host's time to count on a GPU, without one: launches are replaced by nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from measure import Row, Spread

TITLE = "The host's time to count a layer on a GPU, with launches replaced by nothing"


def rows(*, quick: bool = False) -> Iterator[Row]:
    layers, batches = (3, 3) if quick else (100, 60)
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # others would spin while they wait
    for shape, units, what in (
        ((32, 64), "element", "64 units"),
        ((4, 64, 7, 7), "channel", "64 channels of 7 × 7"),
        ((4, 16, 64), "token", "4 × 16 tokens of 64 channels"),
    ):
        spread, launches = _measured(shape, units, layers=layers, batches=batches)
        yield Row(
            f"{layers} ReLUs, {what}, on the host by Triton's kernels, none of which is started",
            "the bare pass (`eval`, `no_grad`), processor's time",
            spread,
            f"a layer and batch; {launches:.2f} launches a batch; {batches} batches",
            must=80,
            goal=30,
            unit="µs",
        )
    torch.set_num_threads(threads)


def _measured(
    shape: tuple[int, ...], units: str, *, layers: int, batches: int
) -> tuple[Spread, float]:
    """Microseconds of each layer, and launches of each batch."""
    import torch
    from noted_launches import launches_noted
    from torch import nn

    from iua_widget import IUA
    from iua_widget.run.loop import count
    from iua_widget.run.open import open_source

    model = nn.Sequential(*(nn.ReLU() for _ in range(layers))).eval()
    inputs = torch.randn(shape)
    warm = 8

    def bare() -> None:
        with torch.no_grad():
            model(inputs)

    with launches_noted() as launches:
        iua = IUA(engine="device", units=units)
        steps = count(iua._run, open_source(model, [inputs] * (warm + batches)))
        for _ in range(warm):
            bare()
            next(steps)
        launches.clear()
        found = []
        for _ in range(batches):
            took = _processor_time(bare)
            more = _processor_time(lambda: next(steps)) - took
            found.append(max(more, 0) / layers * 1e6)
        each = sum(launches.values()) / batches
        steps.close()
    return Spread.of(found), each


def _processor_time(work: Callable[[], Any]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start
