"""The time that counting adds to the forward pass of a model on a GPU, once it runs.

What to run where there is one, in a few minutes: first ``pytest tests/engines/test_cuda.py``, which
sees that the kernels of its release of Triton give what the reference gives, then this.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from forward_pass import gpt2, resnet
from measure import Pairs, Row, seconds, timed

_HELD_IMAGES: Final = 64
_NOT_HELD: Final = None, None
_WARM: Final = 20
"""Batches until every launch has been prepared."""

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
        for units, what, limits in (
            ("element", "every element", (2.2, 1.5)),
            ("channel", '`units="channel"`', (1.4, 1.15)),
        ):
            name = f"ResNet-50, batch of {len(inputs)} at {inputs.shape[-1]} px: all 49 ReLUs"
            held = limits if len(inputs) == _HELD_IMAGES else _NOT_HELD
            yield _compared(network, inputs, pairs, f"{card}, {name}, {what}", held, units=units)
    text, tokens = gpt2(quick=quick)
    for times, dtype, held in ((1, torch.float32, _NOT_HELD), (4, torch.bfloat16, (1.4, 1.1))):
        ids = tokens.repeat(times, 1)
        name = f"GPT-2 small, {ids.shape[0]} × {ids.shape[1]} tokens, {str(dtype)[6:]}"
        yield _compared(text.to(dtype), ids, pairs, f"{card}, {name}", held)


def _compared(
    model: Any,
    inputs: Any,
    pairs: int,
    what: str,
    held: tuple[float | None, float | None],
    **options: Any,
) -> Row:
    import torch

    from iua_widget import IUA
    from iua_widget.engines.device.prepared import PreparedLaunch
    from iua_widget.run.loop import count
    from iua_widget.run.open import open_source

    model, inputs = model.cuda(), inputs.cuda()

    def bare() -> None:
        with torch.no_grad():
            model(inputs)

    iua = IUA(**options)
    steps = count(iua._run, open_source(model, [inputs] * (2 * pairs + _WARM)))
    for _ in range(_WARM):
        bare()
        next(steps)
    times = Pairs([], [])
    torch.cuda.reset_peak_memory_stats()
    started = time.process_time()
    for _ in range(pairs):
        next(steps)
    host = (time.process_time() - started) / pairs / len(iua.layers)
    for _ in range(pairs):
        times.theirs.append(timed(_until_done(bare)))
        times.ours.append(timed(_until_done(lambda: next(steps))))
    launches = [one for one in gc.get_objects() if isinstance(one, PreparedLaunch)]
    prepared = sum(not one.ordinary for one in launches)
    steps.close()
    model.cpu()
    assert iua.probes == len(inputs) * (2 * pairs + _WARM)
    units = sum(iua._run.tally(layer).units for layer in iua.layers)
    return Row(
        what,
        "the same pass, bare (`eval`, `no_grad`)",
        times.overhead,
        f"{len(iua.layers)} layers, {units:,} units; {times.in_words('counted', 'bare')}; at most "
        f"{torch.cuda.max_memory_allocated() / 2**30:.2f} GiB on the device; processor's time of a "
        f"counted pass {seconds(host)} a layer; {prepared} of {len(launches)} launches prepared",
        *held,
    )


def _until_done(work: Callable[[], object]) -> Callable[[], object]:
    import torch

    def done() -> None:
        torch.cuda.synchronize()
        work()
        torch.cuda.synchronize()

    return done
