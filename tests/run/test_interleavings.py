"""Reading, saving and stopping at any moment of a run see whole batches only."""

from __future__ import annotations

import copy
import pickle
import random
import subprocess
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from torch import nn

from iua_widget import IUA
from iua_widget.reading.statistics import mean_inactive
from iua_widget.run.loop import count
from iua_widget.sources.producers import MappingSource
from iua_widget.widget.background import BackgroundRun

pytestmark = pytest.mark.slow


BATCH = 4
BATCHES = 12
LAYERS = ("first", "second", "third")
VALUES = np.where(
    np.random.default_rng(0).random((BATCHES * BATCH, 6)) < 0.5, 0.0, 1.0
)  # the same for all layers
EXPECTED = [(VALUES[: n * BATCH] == 0).sum(axis=0).tolist() for n in range(BATCHES + 1)]


def check_whole(iua: IUA) -> int:
    """Check that a result is that of the first so many batches, and return how many."""
    with iua._run.lock:
        number, rest = divmod(iua.probes, BATCH)
        assert rest == 0
        if number:
            assert iua.layers == list(LAYERS)
        for layer in iua.layers:
            tally = iua._run.tally(layer)
            assert tally.probes == iua.probes
            assert tally.store.read_counts().up_to(0).tolist() == EXPECTED[number]
            assert mean_inactive(tally)[0] * tally.probes == sum(EXPECTED[number])
    return number


def batches(chance: random.Random) -> Iterator[dict[str, np.ndarray]]:
    for start in range(0, len(VALUES), BATCH):
        if chance.random() < 0.1:
            threading.Event().wait(chance.random() * 1e-3)
        yield dict.fromkeys(LAYERS, VALUES[start : start + BATCH])


def model() -> nn.Module:
    """What gives these responses of its inputs."""
    return nn.Sequential(OrderedDict((layer, nn.ReLU()) for layer in LAYERS))


@pytest.fixture
def busy_switching() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("busy_switching")
@pytest.mark.parametrize(("engine", "rounds"), [("auto", 1000), ("device", 200)])
def test_a_thousand_interleavings_of_counting_reading_pausing_and_stopping(
    engine: str, rounds: int
) -> None:
    seen = set()
    stopped = 0
    for seed in range(rounds):
        chance = random.Random(seed)
        iua = IUA(keep_inactive=False, engine=engine)
        source = MappingSource(lambda chance=chance: batches(chance), label="batches")
        run = BackgroundRun(lambda iua=iua, source=source: count(iua._run, source))
        failures: list[BaseException] = []

        def read(
            iua: IUA = iua, run: BackgroundRun = run, failures: list[BaseException] = failures
        ) -> None:
            try:
                while run.active:
                    seen.add(check_whole(iua))
                    if iua.probes:
                        shares = {r.mean_inactive for r in iua.at().results.values()}
                        assert len(shares) == 1
            except BaseException as error:  # noqa: BLE001  (raised below)
                failures.append(error)

        run.start()
        readers = [threading.Thread(target=read) for _ in range(2)]
        for reader in readers:
            reader.start()
        for _ in range(chance.randrange(4)):
            threading.Event().wait(chance.random() * 1e-3)
            action = chance.choice([run.pause, run.resume, run.stop])
            action(wait=chance.random() < 0.5)
        run.resume(wait=False)
        assert run.wait(30)
        for reader in readers:
            reader.join(30)
            assert not reader.is_alive()
        assert run.error is None, run.error
        assert not failures, failures
        number = check_whole(iua)
        assert run.progress.probes == number * BATCH
        assert number == BATCHES or run.status == "stopped"
        stopped += number < BATCHES
    assert len(seen) > BATCHES // 2, "the readers hardly ever met the run"
    assert rounds * 0.02 < stopped < rounds * 0.98


INTERRUPTED = """
import os, random, signal, sys, threading, torch, traceback
sys.path.insert(0, sys.argv[1])
from test_interleavings import BATCH, BATCHES, LAYERS, VALUES, check_whole, model
from iua_widget import IUA
from iua_widget.capture import randomness
from iua_widget.capture.innermost import innermost

net = model() if sys.argv[2] == "model" else None
chance = random.Random(0)
ends = []
for _ in range(300):
    iua = IUA()
    armed = threading.Event()

    def strike(delay):
        armed.wait()
        threading.Event().wait(delay)
        os.kill(os.getpid(), signal.SIGINT)

    def batches():
        armed.set()
        for start in range(0, len(VALUES), BATCH):
            values = VALUES[start : start + BATCH]
            yield dict.fromkeys(LAYERS, values) if net is None else torch.from_numpy(values)

    striker = threading.Thread(target=strike, args=(chance.random() * 8e-3,))
    striker.start()
    try:
        try:
            given = (batches(),) if net is None else (net, batches())
            iua = IUA.introspect(*given)
        except KeyboardInterrupt as error:
            if not hasattr(error, "partial"):  # came when all was counted, on the way out
                frames = traceback.extract_tb(error.__traceback__)
                assert {one.name for one in frames} <= {"<module>", "checked", "introspect"}
                raise
            iua = error.partial
        striker.join()
        threading.Event().wait(1e-3)
    except KeyboardInterrupt:  # came when all was counted
        pass
    ends.append(check_whole(iua))
    assert innermost() is None and not randomness._inside
    assert net is None or not any(one._forward_hooks for one in net.modules())
print(sorted(set(ends)))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there are no signals to send")
@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("of", ["arrays", "model"])
def test_ctrl_c_at_any_moment_leaves_whole_batches(of: str) -> None:
    here = __file__.rpartition("/")[0]
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, here, of], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(done.stdout.split(",")) > 3, f"always interrupted at the same place: {done.stdout}"


@pytest.mark.parametrize(
    "copied",
    [copy.deepcopy, lambda iua: pickle.loads(pickle.dumps(iua))],
    ids=["deepcopy", "pickle"],
)
def test_copies_made_while_counting_are_of_whole_batches(copied: Callable[[IUA], IUA]) -> None:
    iua = IUA(engine="reference")
    stream = [dict.fromkeys(LAYERS, VALUES[:BATCH])] * 60
    source = MappingSource(lambda: iter(stream), label="batches")
    counting = threading.Thread(target=lambda: [*count(iua._run, source)])
    counting.start()
    copies = [copied(iua)]
    while counting.is_alive():
        copies.append(copied(iua))
    counting.join()
    assert len({one.probes for one in copies}) > 1, "copied before or after it all only"
    for one in copies:
        for layer in one.layers:
            assert one._run.tally(layer).probes == one.probes
