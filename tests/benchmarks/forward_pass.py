"""The time that counting adds to the forward pass of a model, once it runs."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any

from measure import Pairs, Row, look_for_loops_at_once, loops_were_compiled, seconds, timed

TITLE = "Counting while a model runs, against the bare forward pass"

THREADS = 2


def rows(*, quick: bool = False) -> Iterator[Row]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1 if quick else THREADS)
    try:
        # So many that counters of one byte, where there are any, are full once at the least.
        pairs = 1 if quick else 18
        network, images = resnet(quick=quick)
        shown = f"ResNet-50, batch of {len(images)} at {images.shape[-1]} px, CPU, 2 threads"
        every = "all 49 ReLUs, every element"
        yield _compared(network, images, pairs, f"{shown}: {every}", (1.25, 1.08))
        what = f'{shown}: all 49 ReLUs, `units="channel"`'
        yield _compared(network, images, pairs, what, (1.08, 1.03), units="channel")
        del network
        text, tokens = gpt2(quick=quick)
        what = f"GPT-2 small, {tokens.shape[0]} × {tokens.shape[1]} tokens, CPU, 2 threads"
        yield _compared(text, tokens, pairs, what, (1.05, 1.02))
    finally:
        torch.set_num_threads(before)


def resnet(*, quick: bool = False) -> tuple[Any, Any]:
    """ResNet-50 with random weights, and a batch of noise."""
    import torch
    from transformers import ResNetConfig, ResNetModel

    torch.manual_seed(0)
    small = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1]} if quick else {}
    model = ResNetModel(ResNetConfig(**small)).eval()
    return model, torch.randn(*((2, 3, 32, 32) if quick else (16, 3, 224, 224)))


def gpt2(*, quick: bool = False) -> tuple[Any, Any]:
    """GPT-2 small with random weights, and a batch of random tokens."""
    import torch
    from transformers import GPT2Config, GPT2Model

    torch.manual_seed(0)
    small = {"n_layer": 2, "n_embd": 32, "n_head": 2, "vocab_size": 100} if quick else {}
    config = GPT2Config(**small)
    model = GPT2Model(config).eval()
    return model, torch.randint(config.vocab_size, (2, 8) if quick else (4, 256))


def _compared(
    model: Any, inputs: Any, pairs: int, what: str, limits: tuple[float, float], **options: Any
) -> Row:
    import torch

    def bare() -> None:
        with torch.no_grad():
            model(inputs)

    bare()
    warm_up(model, inputs, pairs, options)
    iua, first, times = steady(model, inputs, bare, pairs, options)
    watched = watched_only(model, inputs, bare, (pairs + 2) // 3)
    units = sum(iua._run.tally(layer).units for layer in iua.layers)
    together = sum(times.ours) / sum(times.theirs)
    return Row(
        what,
        "the same pass, bare (`eval`, `no_grad`)",
        times.overhead,
        f"{len(iua.layers)} layers, {units:,} units; {times.in_words('counted', 'bare')}, all "
        f"together {together:.3f}×; the first batch, which copies the parameters and allocates, "
        f"{seconds(first)}; watched and nothing counted {watched.overhead.median:.3f}×",
        must=limits[0],
        goal=limits[1],
    )


def warm_up(model: Any, inputs: Any, pairs: int, options: dict[str, Any]) -> None:
    """Have the counting loops compiled, also those for wider counters."""
    from iua_widget import IUA

    look_for_loops_at_once()
    IUA.introspect(model, [inputs] * (pairs + 2), **options)
    while loops_were_compiled():
        IUA.introspect(model, [inputs] * (pairs + 2), **options)


def steady(
    model: Any, inputs: Any, bare: Callable[[], None], pairs: int, options: dict[str, Any]
) -> tuple[Any, float, Pairs]:
    """A run, seconds of its first batch, and of each batch from the third on beside a bare pass."""
    from iua_widget import IUA
    from iua_widget.run.loop import count
    from iua_widget.run.open import open_source

    iua = IUA(**options)
    steps = count(iua._run, open_source(model, [inputs] * (pairs + 2)))
    first = timed(lambda: next(steps))
    next(steps)
    times = _in_turn(steps, bare, pairs)
    assert iua.probes == len(inputs) * (pairs + 2)
    return iua, first, times


def watched_only(model: Any, inputs: Any, bare: Callable[[], None], pairs: int) -> Pairs:
    """What taking hold of the responses costs by itself: a run that does nothing with them."""
    from iua_widget.run.open import open_source

    steps = open_source(model, [inputs] * (pairs + 2)).batches(lambda *_: None)
    for _ in range(2):
        next(steps)
    return _in_turn(steps, bare, pairs)


def _in_turn(steps: Generator[int], bare: Callable[[], None], pairs: int) -> Pairs:
    times = Pairs([], [])
    for _ in range(pairs):
        times.theirs.append(timed(bare))
        times.ours.append(timed(lambda: next(steps)))
    steps.close()
    return times
