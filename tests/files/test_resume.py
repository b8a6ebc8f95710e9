"""A run that was killed goes on where it was saved, and counts nothing twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_files import assert_same
from torch import nn

from iua_widget import IUA, FileError, IUAWarning, ProducerError
from iua_widget.sources.position import add_to_checksum

pytestmark = pytest.mark.slow


DATA = np.maximum(np.random.default_rng(0).normal(size=(90, 6)), 0).astype(np.float32)
BATCHES = [{"a": DATA[start : start + 10]} for start in range(0, 90, 10)]


class BrokenOffError(Exception):
    """The stream broke off."""


def breaking_off(after: int) -> Iterator[dict[str, np.ndarray]]:
    yield from BATCHES[:after]
    raise BrokenOffError


@pytest.mark.parametrize("after", [0, 1, 5, 9])
def test_a_run_that_broke_off_goes_on_to_the_same_result(tmp_path: Path, after: int) -> None:
    path = tmp_path / "run.iua"
    with pytest.raises(ProducerError) as caught:
        IUA.introspect(breaking_off(after), resume=path)
    assert caught.value.partial is not None
    assert caught.value.partial.probes == 10 * after
    resumed = IUA.introspect(iter(BATCHES), resume=path)
    assert_same(resumed, IUA.introspect(iter(BATCHES)))
    assert resumed.results["a"].inactive == IUA.introspect(iter(BATCHES)).results["a"].inactive
    assert_same(IUA.load(path), resumed)


def test_a_run_that_is_complete_counts_nothing_again(tmp_path: Path) -> None:
    first = IUA.introspect(BATCHES, resume=tmp_path / "run.iua")
    before = (tmp_path / "run.iua").read_bytes()
    assert_same(IUA.introspect(BATCHES, resume=tmp_path / "run.iua"), first)
    assert (tmp_path / "run.iua").read_bytes() == before


@pytest.mark.parametrize("before", [1, 2])
def test_layers_that_were_counted_before_are_not_said_to_be_never_called(
    tmp_path: Path, before: int
) -> None:
    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.relu, self.gelu = nn.ReLU(), nn.GELU()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.relu(x) if x[0, 0] > 0 else self.gelu(x)

    batches = [torch.ones(4, 3), -torch.ones(4, 3)]
    for some in (batches[:before], batches):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", IUAWarning)
            iua = IUA.introspect(Branches(), some, resume=tmp_path / "a.iua", engine="reference")
    assert iua.probes == 8
    assert "ever called" not in " ".join(iua.notes)


def test_more_data_at_the_end_are_counted(tmp_path: Path) -> None:
    IUA.introspect(BATCHES[:4], resume=tmp_path / "run.iua")
    assert_same(IUA.introspect(BATCHES, resume=tmp_path / "run.iua"), IUA.introspect(BATCHES))


@pytest.mark.parametrize(
    ("stream", "words"),
    [
        (BATCHES[::-1], "9 batches had been counted when .* the stream gave others"),
        (BATCHES[:3], "now the stream gave only 3"),
        ([*BATCHES[:8], {"a": BATCHES[8]["a"] + 1}], "gave others"),
    ],
)  # fmt: skip
def test_another_stream_is_refused(tmp_path: Path, stream: list[Any], words: str) -> None:
    path = tmp_path / "run.iua"
    IUA.introspect(BATCHES, resume=path)
    before = path.read_bytes()
    with pytest.raises(ProducerError, match=words):
        IUA.introspect(stream, resume=path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"atol": 1e-3}, "atol was 1e-08 and is 0.001 now"),
        (
            {"stops": [0.0, 1.0]},
            r"it has 70 stops, and here there are 3: they first differ at 3e-08",
        ),
        ({"units": "channel"}, "units was 'auto' and is 'channel' now"),
        ({"channel_axis": 1}, "channel_axis was None and is 1 now"),
        ({"keep_inactive": False}, "keep_inactive was True and is False now"),
    ],
)
def test_other_settings_are_refused(tmp_path: Path, options: dict[str, Any], words: str) -> None:
    IUA.introspect(BATCHES, resume=tmp_path / "run.iua")
    with pytest.raises(FileError, match=words):
        IUA.introspect(BATCHES, resume=tmp_path / "run.iua", **options)


@pytest.mark.parametrize("kind", ["numpy", "torch"])
@pytest.mark.parametrize("size", [10, 4096, 4097, 100_003])
def test_a_batch_is_known_by_a_sample_of_all_of_it(kind: str, size: int) -> None:
    values = np.random.default_rng(0).normal(size=size)
    torch = pytest.importorskip("torch") if kind == "torch" else None

    def checksum(values: np.ndarray) -> int:
        return add_to_checksum(0, torch.from_numpy(values) if torch else values)

    assert checksum(values) == checksum(values.copy())
    fewest = -(-size // 32)
    for start in range(0, size - fewest, fewest):
        other = values.copy()
        other[start : start + fewest] += 1
        assert checksum(other) != checksum(values)


def test_merged_runs_have_no_place_to_go_on_from(tmp_path: Path) -> None:
    one = IUA.introspect(BATCHES)
    path = one.merge(one).save(tmp_path / "run.iua")
    with pytest.raises(FileError, match="several runs"):
        IUA.introspect(BATCHES, resume=path)


def test_where_no_file_can_be_written_is_told_at_once(tmp_path: Path) -> None:
    def never() -> Iterator[dict[str, np.ndarray]]:
        raise AssertionError
        yield {}

    for path in (tmp_path / "no" / "run.iua", tmp_path):
        with pytest.raises(FileError, match="a run cannot be saved to"):
            IUA.introspect(never(), resume=path)
    with pytest.raises(ProducerError, match="name the file, too"):
        IUA.introspect(never(), save_every=3)
    with pytest.raises(ProducerError, match="save_every"):
        IUA.introspect(never(), resume=tmp_path / "run.iua", save_every=0)


def test_it_is_saved_every_so_many_batches(tmp_path: Path) -> None:
    path, seen = tmp_path / "run.iua", []

    def watching() -> Iterator[dict[str, np.ndarray]]:
        for batch in BATCHES:
            seen.append(IUA.load(path).probes if path.exists() else 0)
            yield batch

    IUA.introspect(watching(), resume=path, save_every=4)
    assert seen == [0, 0, 0, 0, 40, 40, 40, 40, 80]
    assert IUA.load(path).probes == 90


def test_max_probes_counts_from_the_beginning(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    model = torch.nn.Sequential(torch.nn.Linear(6, 4), torch.nn.ReLU())
    inputs = [torch.from_numpy(batch["a"]) for batch in BATCHES]
    path = tmp_path / "run.iua"
    IUA.introspect(model, inputs, max_probes=40, resume=path)
    resumed = IUA.introspect(model, inputs, max_probes=75, resume=path)
    assert resumed.probes == 75
    assert_same(resumed, IUA.introspect(model, inputs, max_probes=75))


def test_a_seeded_loader_that_shuffles_goes_on(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    model = torch.nn.Sequential(torch.nn.Linear(6, 4), torch.nn.ReLU())

    def loader(seed: int) -> Any:
        generator = torch.Generator().manual_seed(seed)
        data = torch.utils.data.TensorDataset(torch.from_numpy(DATA))
        return torch.utils.data.DataLoader(data, 8, shuffle=True, generator=generator)

    path = tmp_path / "run.iua"
    IUA.introspect(model, loader(1), max_probes=32, resume=path)
    with pytest.raises(ProducerError, match="shuffles a seeded generator"):
        IUA.introspect(model, loader(2), resume=path)
    assert_same(IUA.introspect(model, loader(1), resume=path), IUA.introspect(model, loader(1)))


def full(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_disk_that_is_full_keeps_what_was_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(np.lib.format, "write_array", full)
    with pytest.raises(FileError, match="No space left on device") as caught:
        IUA.introspect(BATCHES, resume=tmp_path / "run.iua", save_every=4)
    assert caught.value.partial is not None
    assert caught.value.partial.probes == 40
    with pytest.raises(FileError, match="No space left on device") as caught:
        IUA.introspect(BATCHES, resume=tmp_path / "run.iua")
    assert caught.value.partial is not None
    assert_same(caught.value.partial, IUA.introspect(BATCHES))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "error", [BrokenOffError, KeyboardInterrupt, SystemExit, GeneratorExit, BaseException]
)
def test_a_disk_that_is_full_does_not_hide_what_ended_the_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    monkeypatch.setattr(np.lib.format, "write_array", full)

    def breaking_off() -> Iterator[dict[str, np.ndarray]]:
        yield from BATCHES[:3]
        raise error("of its own")

    wrapped = error in (BrokenOffError, GeneratorExit)
    with pytest.raises(ProducerError if wrapped else error, match="of its own") as caught:
        IUA.introspect(breaking_off(), resume=tmp_path / "run.iua")
    assert caught.value.partial.probes == 30  # type: ignore[union-attr]
    assert any("is not saved: " in note for note in caught.value.__notes__)
    if wrapped:
        assert f"raised {error.__name__} in batch 3" in str(caught.value)
    monkeypatch.undo()
    with pytest.raises(ProducerError if wrapped else error):
        IUA.introspect(breaking_off(), resume=tmp_path / "run.iua")
    assert IUA.load(tmp_path / "run.iua").probes == 30


SCRIPT = """
import sys, time
import numpy as np
from iua_widget import IUA

data = np.load(sys.argv[1])

def producer():
    for number in range(60):
        print(number, flush=True)
        time.sleep(float(sys.argv[3]))
        yield {"a": data[number % 9]}

iua = IUA.introspect(producer(), resume=sys.argv[2], save_every=2)
print("done", iua.probes, flush=True)
"""


def _until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.skipif(sys.platform == "win32", reason="ends a process by signals")
@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("sign", ["SIGKILL", "SIGINT"])
def test_a_process_that_is_killed_again_and_again_arrives(tmp_path: Path, sign: str) -> None:
    path, data = tmp_path / "run.iua", tmp_path / "data.npy"
    np.save(data, np.stack([batch["a"] for batch in BATCHES]))
    reached = [0]
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", SCRIPT, data, path, "0.01"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        ) as process:  # fmt: skip
            target = reached[-1] // 10 + 8
            assert process.stdout is not None
            given = next(int(line) for line in process.stdout if int(line) >= target)
            process.send_signal(getattr(signal, sign))
            given = max([given, *(int(line) for line in process.stdout)])
        assert process.returncode != 0
        saved = IUA.load(path).probes
        assert reached[-1] < saved
        # At most the batches since the last save are lost.
        assert 10 * given - 20 <= saved <= 10 * (given + 1)
        reached.append(saved)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, data, path, "0"], capture_output=True, text=True, check=True
    )
    assert done.stdout.endswith("done 600\n")
    whole = IUA.introspect({"a": BATCHES[number % 9]["a"]} for number in range(60))
    assert_same(IUA.load(path), whole)
    assert os.listdir(tmp_path).count("run.iua") == 1  # noqa: PTH208
