"""The time that counting adds to the forward pass of a model on a GPU, once it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from forward_pass import gpt2, resnet
from measure import Pairs, Row, timed

TITLE = "Counting while a model runs on a GPU, against the bare forward pass"


def rows(*, quick: bool = False) -> Iterator[Row]:
    import torch

    if not torch.cuda.is_available():
        message = "there is no CUDA device: nothing was measured"
        raise SystemExit(message)
    pairs = 2 if quick else 15
    card = torch.cuda.get_device_name()
    network, images = resnet(quick=quick)
    for times in (1,) if quick else (1, 4, 16):
        inputs = images.repeat(times, 1, 1, 1)
        for units, what in (("element", "every element"), ("channel", '`units="channel"`')):
            name = f"ResNet-50, batch of {len(inputs)} at {inputs.shape[-1]} px: all 49 ReLUs"
            yield _compared(network, inputs, pairs, f"{card}, {name}, {what}", units=units)
    text, tokens = gpt2(quick=quick)
    for ids, dtype in ((tokens, torch.float32), (tokens.repeat(16, 1), torch.bfloat16)):
        name = f"GPT-2 small, {ids.shape[0]} × {ids.shape[1]} tokens, {str(dtype)[6:]}"
        yield _compared(text.to(dtype), ids, pairs, f"{card}, {name}")


def _compared(model: Any, inputs: Any, pairs: int, what: str, **options: Any) -> Row:
    import torch

    from iua_widget import IUA
    from iua_widget.run.loop import count
    from iua_widget.run.open import open_source

    model, inputs = model.cuda(), inputs.cuda()

    def bare() -> None:
        with torch.no_grad():
            model(inputs)

    iua = IUA(**options)
    steps = count(iua._run, open_source(model, [inputs] * (pairs + 3)))
    for _ in range(3):
        bare()
        next(steps)
    times = Pairs([], [])
    torch.cuda.reset_peak_memory_stats()
    for _ in range(pairs):
        times.theirs.append(timed(_until_done(bare)))
        times.ours.append(timed(_until_done(lambda: next(steps))))
    steps.close()
    model.cpu()
    assert iua.probes == len(inputs) * (pairs + 3)
    units = sum(iua._run.tally(layer).units for layer in iua.layers)
    return Row(
        what,
        "the same pass, bare (`eval`, `no_grad`)",
        times.overhead,
        f"{len(iua.layers)} layers, {units:,} units; {times.in_words('counted', 'bare')}; at most "
        f"{torch.cuda.max_memory_allocated() / 2**30:.2f} GiB on the device",
    )


def _until_done(work: Callable[[], object]) -> Callable[[], object]:
    import torch

    def done() -> None:
        torch.cuda.synchronize()
        work()
        torch.cuda.synchronize()

    return done
