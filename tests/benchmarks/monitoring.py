"""A monitor over training: a look over a training step, and a long history's memory and file."""

from __future__ import annotations

import copy
import itertools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fresh import forget_peak_memory, in_fresh_process, peak_memory
from measure import (
    Row,
    Spread,
    look_for_loops_at_once,
    loops_were_compiled,
    one_core,
    processor_times,
    seconds,
    size,
    timed,
)

_EVERY = 100
TITLE = "Over training: processor time of one core beside a step, and long histories"


def rows(*, quick: bool = False) -> Iterator[Row]:
    pairs = 2 if quick else 41
    with one_core():
        yield from _looks("an MLP, 64-512-512-512-10, batch of 128", _mlp, pairs)
        yield from _looks("a small ResNet, batch of 32 at 32 px, by channel", _resnet, pairs)
    layers, looks, units = (20, 30, 1_000) if quick else (200, 1_000, 100_000)
    yield from _history(layers, looks, units, quick=quick)


def _mlp() -> tuple[Any, Any, Any]:
    import torch
    from torch import nn

    widths = (64, 512, 512, 512)
    hidden = [one for pair in itertools.pairwise(widths) for one in (nn.Linear(*pair), nn.ReLU())]
    return nn.Sequential(*hidden, nn.Linear(512, 10)), torch.randn(128, 64), torch.randn(512, 64)


def _resnet() -> tuple[Any, Any, Any]:
    import torch
    from transformers import ResNetConfig, ResNetForImageClassification

    config = ResNetConfig(
        num_channels=3,
        embedding_size=32,
        hidden_sizes=[32, 64, 128, 256],
        depths=[2, 2, 2, 2],
        layer_type="basic",
    )
    model = ResNetForImageClassification(config)
    return model, torch.randn(32, 3, 32, 32), torch.randn(128, 3, 32, 32)


def _looks(what: str, make: Callable[[], tuple[Any, Any, Any]], pairs: int) -> Iterator[Row]:
    import torch

    from iua_widget import IUAMonitor

    torch.manual_seed(0)
    look_for_loops_at_once()
    model, batch, probes = make()
    units = "channel" if probes.ndim > 2 else "auto"
    watched = copy.deepcopy(model)
    passing = IUAMonitor(watched, on="train", units=units)
    train, train_watched = _step(model, batch), _step(watched, batch)
    monitor = IUAMonitor(model, probes.split(len(batch)), units=units)
    for _ in range(3):
        monitor.look()
        train_watched()
        loops_were_compiled()
    looks, steps, counted = processor_times(pairs, monitor.look, train, train_watched)
    passing.look()
    yield Row(
        f"{what}: a look at {len(probes)} probes every {_EVERY} steps",
        f"{_EVERY} steps of training (AdamW)",
        Spread.of([look / step / _EVERY for look, step in zip(looks, steps, strict=True)]),
        f"{len(monitor.layers)} layers; a look {_median(looks)}, a step {_median(steps)}, "
        f"{pairs} pairs",
    )
    yield Row(
        f'{what}: a step of training counted by `on="train"`',
        "the same step, not counted",
        Spread.of([one / step for one, step in zip(counted, steps, strict=True)]),
        f"counted {_median(counted)}, not counted {_median(steps)}, {pairs} pairs",
    )


def _median(times: list[float]) -> str:
    return seconds(Spread.of(times).median)


def _step(model: Any, batch: Any) -> Callable[[], None]:
    """A step of training."""
    import torch

    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def train() -> None:
        output = model(batch)
        loss = getattr(output, "logits", output).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return train


def long_history(*, layers: int, looks: int, units: int) -> dict[str, Any]:
    """A history of as many looks, made by hand, saved, and loaded again."""
    import numpy as np

    from iua_widget.files.history_file import read_history, write_history
    from iua_widget.history.history import History
    from iua_widget.history.look import Look
    from iua_widget.tally.tally import Tally
    from iua_widget.tolerances import Stops, Tolerances, default_stops

    forget_peak_memory()
    before = peak_memory()
    random = np.random.default_rng(0)
    stops, each = Stops(default_stops()), units // layers
    history = History(stops, Tolerances(), 2**30)
    adding = 0.0
    for step in range(looks):
        tallies = {}
        for layer in range(layers):
            tally = Tally(stops, (each,), kind="ReLU")
            values, dead = random.standard_normal((4, each)), random.random(each) < 0.3
            tally.add(tally.classify(np.where(dead, 0, np.maximum(values, 0))))
            tallies[f"layer{layer}"] = tally
        adding += timed(
            lambda step=step, tallies=tallies: history.add(  # type: ignore[misc]
                Look.of(100 * step, tallies, stops, history.tolerances, 4)
            )
        )
    kept, table = len(history.looks), timed(history.table)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.iuah"
        save = timed(lambda: write_history(path, history, {}))
        peak = max(peak_memory() - before, 0)  # it may have given back some of what it had
        written = path.stat().st_size
        load = timed(lambda: read_history(path))
    return {
        "kept": kept,
        "held": history.nbytes,
        "peak_beyond": peak,
        "written": written,
        "add": adding / looks,
        "table": table,
        "save": save,
        "load": load,
    }


def _history(layers: int, looks: int, units: int, *, quick: bool) -> Iterator[Row]:
    arguments = {"layers": layers, "looks": looks, "units": units}
    found = long_history(**arguments) if quick else in_fresh_process(long_history, **arguments)
    what = f"{layers} layers × {looks:,} looks × {units:,} units in all"
    told = (
        f"{found['kept']:,} looks kept; {size(found['held'])} of figures; kept of a run in "
        f"{seconds(found['add'])}; history() {seconds(found['table'])}, "
        f"save {seconds(found['save'])}, load {seconds(found['load'])}"
    )
    yield Row(
        f"{what}: memory of the process beyond its start, saving included",
        "1 GiB",
        Spread.of([found["peak_beyond"] / 2**30]),
        told,
        must=1.0,
    )
    yield Row(
        f"{what}: size of the file",
        "1 GiB",
        Spread.of([found["written"] / 2**30]),
        size(found["written"]),
        must=1.0,
    )
