"""The gain from each special device of the CPU engine: runs without it over runs with it.

As a script, a process that takes turns: ``python devices.py DEVICE CASE SMALL``.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Self

import numpy as np
from against_dnikit import mixed_layers, relu
from forward_pass import THREADS, gpt2
from measure import Pairs, Row, look_for_loops_at_once, loops_were_compiled, timed

TITLE = "Devices of the CPU engine: time without each, over the time with it"

_PROCESSES: Final = 2
"""How often each is started anew: where memory lies is chance, and stays so in a process."""


@dataclass(frozen=True)
class _Case:
    what: str
    prepare: Callable[..., Callable[[], object]]
    """Given whether sizes are to be tiny, what is timed."""

    pairs: int
    without: Sequence[str]
    """The devices that do anything here."""

    arguments: dict[str, Any] = field(default_factory=dict)
    first: bool = False
    """Whether a process is timed once only, before it has held any memory to speak of."""


def rows(*, quick: bool = False) -> Iterator[Row]:
    for name in ("many",) if quick else _CASES:
        case = _CASES[name]
        pairs = {device: Pairs([], []) for device in case.without}
        turns = 1 if quick else case.pairs
        if case.first:
            _take_turns(pairs, turns, partial(_first_run, case=name, quick=quick))
        for _ in range(0 if case.first else 1 if quick else _PROCESSES):
            _take_turns_in_processes(name, pairs, turns, quick=quick)
        for device, times in pairs.items():
            yield Row(
                f"{case.what}: without {_DEVICES[device][0]}",
                "the same with it",
                times.overhead,
                times.in_words("without", "with"),
            )


def _take_turns(pairs: dict[str, Pairs], turns: int, time: Callable[[str], float]) -> None:
    """Time what has everything, and in turn with it what lacks one device."""
    for turn in range(turns):
        for device, times in pairs.items():
            order = [("", times.theirs), (device, times.ours)]
            for name, into in order if turn % 2 else reversed(order):
                into.append(time(name))


def _take_turns_in_processes(
    case: str, pairs: dict[str, Pairs], turns: int, *, quick: bool
) -> None:
    """The same in processes that stay alive, one for each device and one that has everything."""
    with ExitStack() as running:
        workers = {
            device: running.enter_context(_Worker(device, case, quick=quick))
            for device in ("", *pairs)
        }
        for worker in workers.values():
            worker.wait()
        _take_turns(pairs, turns, lambda device: workers[device].turn())


def _first_run(device: str, case: str, *, quick: bool) -> float:
    with _Worker(device, case, quick=quick) as worker:
        worker.wait()
        return worker.turn()


class _Worker:
    def __init__(self, device: str, case: str, *, quick: bool) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, device, case, str(int(quick))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def wait(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            message = f"{' '.join(map(str, self._process.args))} has ended"  # type: ignore[arg-type]
            raise RuntimeError(message)
        return line

    def turn(self) -> float:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return float(self.wait())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._process:
            self._process.kill()


def _serve(device: str, case: str, small: str) -> None:
    warnings.simplefilter("ignore")
    look_for_loops_at_once()
    if device:
        _DEVICES[device][1]()
    chosen = _CASES[case]
    work = chosen.prepare(small=chosen.first or small == "1", **chosen.arguments)
    work()
    while loops_were_compiled():
        work()
    if chosen.first:
        work = chosen.prepare(small=small == "1", **chosen.arguments)
    else:
        work()
    print("ready", flush=True)
    for _ in sys.stdin:
        print(timed(work), flush=True)


def _producer(batches: list[dict[str, np.ndarray]], length: int) -> Callable[[], object]:
    from iua_widget import IUA

    return lambda: IUA.introspect(itertools.islice(itertools.cycle(batches), length))


def _one_layer(*, small: bool) -> Callable[[], object]:
    units = 512 if small else 65_536
    return _producer([{"relu": relu((64, units), seed=seed)} for seed in range(4)], 16)


def _fifty_layers(*, small: bool) -> Callable[[], object]:
    layers = mixed_layers(3 if small else 50, 64, largest=6_000 if small else 100_000)
    halves = [{name: one[at : at + 32] for name, one in layers.items()} for at in (0, 32)]
    return _producer(halves, 4)


def _many_layers(*, small: bool) -> Callable[[], object]:
    one = relu((32, 64), seed=0)
    return _producer([{f"layer{number}": one for number in range(3 if small else 100)}], 16)


def _resnet(*, small: bool, images: int = 16, **options: Any) -> Callable[[], object]:
    import torch
    from transformers import ResNetConfig, ResNetModel

    torch.manual_seed(0)
    sizes = {"embedding_size": 8, "hidden_sizes": [8, 16]} if small else {}
    depths = [1, 1] if small else [2, 2, 2, 2]
    basic = {"hidden_sizes": [64, 128, 256, 512], "layer_type": "basic", "depths": depths}
    model = ResNetModel(ResNetConfig(**{**basic, **sizes})).eval()
    inputs = torch.randn(*((2, 3, 32, 32) if small else (images, 3, 224, 224)))
    return _passes(model, inputs, 128 // images, options)


def _gpt2(*, small: bool) -> Callable[[], object]:
    return _passes(*gpt2(quick=small), 2, {})


def _passes(model: Any, inputs: Any, passes: int, options: dict[str, Any]) -> Callable[[], object]:
    """So many counted passes of a run that goes on and on."""
    import torch

    from iua_widget import IUA
    from iua_widget.run.loop import count
    from iua_widget.run.open import open_source

    torch.set_num_threads(THREADS)
    steps = count(IUA(**options)._run, open_source(model, itertools.repeat(inputs)))
    return lambda: [next(steps) for _ in range(passes)]


def _without_waiting() -> None:
    from iua_widget.memory import budget

    budget.with_waiting = lambda plans, *_: list(plans)  # type: ignore[assignment]


def _without_kept_buffers() -> None:
    from iua_widget.engines.cpu import buffers

    buffers.keep_at_most(0)
    buffers.keep_at_most = lambda _: None


def _without_buffers() -> None:
    from iua_widget.engines.cpu import buffers

    buffers._SMALL = sys.maxsize  # type: ignore[misc]


def _without_vectors() -> None:
    from iua_widget.engines.cpu import avx512

    avx512.available = lambda: False  # type: ignore[assignment]


_DEVICES: Final[dict[str, tuple[str, Callable[[], None]]]] = {
    "waiting": ("batches that wait to be counted together", _without_waiting),
    "kept": ("memory kept for the next batch and run", _without_kept_buffers),
    "memory": ("memory of its own (NumPy's)", _without_buffers),
    "avx512": ("AVX-512", _without_vectors),
}
_MEMORY: Final = ("kept", "memory")
_ALL: Final = ("waiting", *_MEMORY, "avx512")
_CASES: Final = {
    "one": _Case("one layer of 65,536 units, 16 batches of 64", _one_layer, 15, _ALL),
    "fifty": _Case("50 layers of 1,000 to 100,000 units, 4 batches of 32", _fifty_layers, 12, _ALL),
    "first": _Case(
        "50 layers, 4 batches of 32, the first run of a process",
        _fifty_layers,
        9,
        _MEMORY,
        first=True,
    ),
    "many": _Case("100 layers of 64 units, 16 batches of 32", _many_layers, 15, _ALL),
    "elements": _Case("ResNet-18, 16 images, every element", _resnet, 4, _ALL),
    "few": _Case("ResNet-18, 4 images, every element", _resnet, 4, ("waiting",), {"images": 4}),
    "channels": _Case("ResNet-18, 16 images, channels", _resnet, 4, _ALL, {"units": "channel"}),
    "tokens": _Case("GPT-2 small, 4 × 256 tokens", _gpt2, 4, _ALL),
}

if __name__ == "__main__":
    _serve(*sys.argv[1:])
