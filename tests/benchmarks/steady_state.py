"""What a small layer costs beside a model, in the processor time of one core."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator
from typing import Any

from measure import (
    Row,
    Spread,
    look_for_loops_at_once,
    loops_were_compiled,
    one_core,
    processor_times,
    seconds,
)

TITLE = "Small layers: processor time of one core beside a model, against plain hooks"
_HOOK = "a hook `(x.abs() <= 1e-8).sum(0)`, which counts one tolerance"


def rows(*, quick: bool = False) -> Iterator[Row]:
    look_for_loops_at_once()
    with one_core():
        yield _a_layer(layers=3 if quick else 100, turns=1 if quick else 40)
        yield _a_pass(layers=5 if quick else 2_000, turns=1 if quick else 12)
        yield from _one_batch(units=8 if quick else 512, turns=1 if quick else 100)


def _a_layer(layers: int, turns: int) -> Row:
    model, inputs = _chain(layers)
    counted = _counted_pass(model, inputs)
    hooked = copy.deepcopy(model)
    _hang_up(hooked)
    found = processor_times(turns, _bare(model, inputs), _bare(hooked, inputs), counted, times=10)
    a_layer = [
        ((ours - bare) / layers, (hook - bare) / layers)
        for bare, hook, ours in zip(*found, strict=True)
    ]
    ours, theirs = (_median(one) for one in zip(*a_layer, strict=True))
    return Row(
        f"counting, beyond the bare pass: {layers} layers of 64 units, batches of 32",
        f"{_HOOK}, beyond the bare pass",
        Spread.of([ours / hook for ours, hook in a_layer]),
        f"a layer and batch: ours {seconds(ours)}, the hook {seconds(theirs)}, the model itself "
        f"{seconds(_median(found[0]) / layers)}; {turns} turns of 10 passes each",
        must=3,
        goal=1.5,
    )


def _a_pass(layers: int, turns: int) -> Row:
    model, inputs = _chain(layers)
    bare, ours = processor_times(turns, _bare(model, inputs), _counted_pass(model, inputs), times=1)
    return Row(
        f"a counted pass: {layers:,} layers of 64 units, batches of 32",
        "the same pass, bare",
        Spread.of([one / other for one, other in zip(ours, bare, strict=True)]),
        f"counted {seconds(_median(ours))}, bare {seconds(_median(bare))}, {turns} pairs",
        must=6,
        goal=3,
    )


def _one_batch(units: int, turns: int) -> Iterator[Row]:
    from torch import nn, randn

    from iua_widget import IUA
    from iua_widget.options import CountOptions
    from iua_widget.run.counter import Counter

    layers = [nn.Linear(units, units), nn.ReLU(), nn.Linear(units, units), nn.ReLU()]
    model, inputs = nn.Sequential(*layers).eval(), randn(32, units)
    counter = Counter(model, [inputs], CountOptions())
    hooked, introspect = _hooked(model, inputs), lambda: IUA.introspect(model, [inputs])
    for _ in range(3):
        introspect()
        counter.count()
        loops_were_compiled()
    theirs, ours, look = processor_times(turns, hooked, introspect, counter.count, times=1)
    what = f"one batch of 32 through two layers of {units}"
    limits: tuple[tuple[str, list[float], float | None, float | None], ...] = (
        (f"`IUA.introspect` of {what}", ours, 4, 2),
        (f"a look of a `Counter` that has looked before: {what}", look, None, None),
    )
    for name, took, must, goal in limits:
        yield Row(
            name,
            f"{_HOOK}: hung up, one pass, taken down",
            Spread.of([one / other for one, other in zip(took, theirs, strict=True)]),
            f"ours {seconds(_median(took))}, hooks {seconds(_median(theirs))}, {turns} pairs",
            must=must,
            goal=goal,
        )


def _chain(layers: int) -> tuple[Any, Any]:
    """Small layers one after the other, and a batch of noise."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    pairs = ((nn.Linear(64, 64), nn.ReLU()) for _ in range(layers))
    return nn.Sequential(*itertools.chain.from_iterable(pairs)).eval(), torch.randn(32, 64)


def _bare(model: Any, inputs: Any) -> Callable[[], None]:
    import torch

    def bare() -> None:
        with torch.no_grad():
            model(inputs)

    return bare


def _hang_up(model: Any) -> list[Any]:
    """Give each ReLU a plain hook, and return the handles."""
    from torch import nn

    counts: dict[Any, Any] = {}

    def hook(module: Any, _: Any, output: Any) -> None:
        counts[module] = (output.abs() <= 1e-8).sum(0)

    relus = (module for module in model.modules() if isinstance(module, nn.ReLU))
    return [relu.register_forward_hook(hook) for relu in relus]


def _hooked(model: Any, inputs: Any) -> Callable[[], None]:
    """A pass with plain hooks, which are there for it only."""
    bare = _bare(model, inputs)

    def hooked() -> None:
        handles = _hang_up(model)
        bare()
        for handle in handles:
            handle.remove()

    return hooked


def _counted_pass(model: Any, inputs: Any) -> Callable[[], object]:
    """A batch of a run that goes on and on, once it is in its steady state."""
    from iua_widget import IUA
    from iua_widget.run.loop import count
    from iua_widget.run.open import open_source

    steps = count(IUA()._run, open_source(model, itertools.repeat(inputs)))
    for _ in range(10):
        next(steps)
        while loops_were_compiled():
            next(steps)
    return lambda: next(steps)


def _median(values: Any) -> float:
    return Spread.of(list(values)).median
