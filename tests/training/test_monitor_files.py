"""A monitor's history is saved whole or not at all, and training goes on from it."""

from __future__ import annotations

import copy
import io
import json
import os
import pickle
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from iua_widget import IUA, FileError, IUAError, IUAMonitor, IUAWarning, ProducerError
from iua_widget.files import container, history_file

PROBES = torch.randn(24, 6, generator=torch.Generator().manual_seed(7))


def net() -> nn.Sequential:
    torch.manual_seed(0)
    maps = nn.Unflatten(1, (1, 6)), nn.Conv1d(1, 4, 3), nn.ReLU(), nn.Flatten()
    return nn.Sequential(*maps, nn.Linear(16, 5), nn.ReLU())


def monitor_of(model: nn.Module, **options: Any) -> IUAMonitor:
    return IUAMonitor(model, PROBES, **{"engine": "reference", "every": 2, **options})


def train(model: nn.Module, monitor: IUAMonitor, steps: int) -> None:
    for _ in range(steps):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.sub_(0.2 * torch.ones_like(parameter))
        monitor.step()


def watched(**options: Any) -> IUAMonitor:
    model = net()
    monitor = monitor_of(model, **options)
    monitor.look()
    train(model, monitor, 5)
    return monitor


def assert_same(one: IUAMonitor, other: IUAMonitor) -> None:
    assert one.steps == other.steps
    for at in ({}, {"atol": 0.1}, {"rtol": 0.3, "tau": 0.5}):
        assert one.history(**at).equals(other.history(**at))
    for here, there in zip(one.history_data.looks, other.history_data.looks, strict=True):
        for name in ("mean_abs", "dead_from", "channel_mean_abs", "std"):
            np.testing.assert_array_equal(getattr(here, name), getattr(there, name))
        assert here.counted == there.counted
        assert here.inputs == there.inputs


@pytest.mark.parametrize("options", [{}, {"dead_at": 0.9, "stops": [0, 0.1]}], ids=str)
def test_what_is_saved_is_read(tmp_path: Path, options: dict[str, Any]) -> None:
    monitor = watched(**options)
    loaded = IUAMonitor.load(monitor.save(tmp_path / "run.iuah"))
    assert_same(monitor, loaded)
    assert repr(loaded) == repr(monitor)
    assert (loaded.every, loaded.name, loaded.notes) == (2, "Sequential", monitor.notes)
    for step in monitor.steps:
        assert loaded.iua(step).to_pandas().equals(monitor.iua(step).to_pandas())
    assert loaded.compare(0, 4).to_pandas().equals(monitor.compare(0, 4).to_pandas())
    with pytest.raises(IUAError, match=r"load\(path, model, probes\)"):
        loaded.step()
    assert_same(monitor, IUAMonitor.load(loaded.save(tmp_path / "again.iuah")))


@pytest.mark.parametrize("way", ["file", "state"])
def test_it_goes_on_as_if_it_had_not_been_interrupted(tmp_path: Path, way: str) -> None:
    model = net()
    whole = monitor_of(model)
    whole.look()
    train(model, whole, 9)
    model = net()
    first = monitor_of(model)
    first.look()
    train(model, first, 5)
    if way == "file":
        second = IUAMonitor.load(first.save(tmp_path / "run.iuah"), model, PROBES)
    else:
        buffer = io.BytesIO()
        torch.save(first.state_dict(), buffer)
        buffer.seek(0)
        second = monitor_of(model)
        second.look(100)
        second.load_state_dict(torch.load(buffer, weights_only=True))
        assert not second.history_data.whole
    train(model, second, 4)
    assert second.steps == [0, 2, 4, 6, 8]
    assert_same(whole, second)


def test_what_a_file_cannot_hold_is_asked_for(tmp_path: Path) -> None:
    model = net()
    monitor = monitor_of(model, layers=nn.ReLU, mask=lambda _: None)
    monitor.look()
    path = monitor.save(tmp_path / "run.iuah")
    asked = "layers=, mask=, which no file can hold: give layers=, mask= again, or as None"
    with pytest.raises(FileError, match=asked):
        IUAMonitor.load(path, model, PROBES)
    again = IUAMonitor.load(path, model, PROBES, layers=nn.ReLU, mask=None, every=7)
    assert again.every == 7
    with pytest.raises(FileError, match="same stops, atol and dead_at"):
        IUAMonitor.load(path, model, PROBES, layers=None, mask=None, dead_at=0.5)
    with pytest.raises(TypeError, match="evry"):
        IUAMonitor.load(path, model, PROBES, layers=None, mask=None, evry=0.5)
    other = monitor_of(model, stops=[0.0])
    with pytest.raises(FileError, match="counted at 70 stops"):
        other.load_state_dict(monitor.state_dict())
    with pytest.raises(FileError, match=r"state_dict gives; it has \['step'\]"):
        other.load_state_dict({"step": 3})


def test_what_is_only_read_takes_options_and_asks_for_the_rest_when_saved_again(
    tmp_path: Path,
) -> None:
    model = net()
    monitor = monitor_of(model, mask=lambda _: None)
    monitor.look()
    path = monitor.save(tmp_path / "run.iuah")
    loaded = IUAMonitor.load(path, atol=0.5, name="other")
    assert loaded.history().equals(monitor.history(atol=0.5))
    assert loaded.name == "other"
    for option, error in ({"evry": 2}, TypeError), ({"every": "x"}, ProducerError):
        with pytest.raises(error, match=next(iter(option))):
            IUAMonitor.load(path, **option)
    loaded.save(path)
    with pytest.raises(FileError, match="mask=, which no file can hold"):
        IUAMonitor.load(path, model, PROBES)
    passing = IUAMonitor(model, on="train", engine="reference")
    model(PROBES)
    passing.look()
    assert IUAMonitor.load(passing.save(path)).on == "train"


@pytest.mark.parametrize(
    "copied",
    [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))],
    ids=["deepcopy", "pickle"],
)
def test_a_copy_can_be_read_and_looks_no_more(copied: Callable[[Any], Any]) -> None:
    model: Any = net()
    model.monitor = monitor_of(model, alarm="dead-units>100", on_alarm=lambda _: True)
    model.monitor.look()
    assert model.monitor.widget is not None  # which cannot be copied
    twin = copied(model)
    assert_same(model.monitor, twin.monitor)
    with pytest.raises(IUAError, match=r"to look, make another, .*copy\.state_dict"):
        twin.monitor.look()
    again = monitor_of(twin, alarm="dead-units>100")
    again.load_state_dict(twin.monitor.state_dict())
    again.look(1)
    assert again.steps == [0, 1]


def test_runs_and_histories_are_told_apart(tmp_path: Path) -> None:
    history = watched().save(tmp_path / "run.iuah")
    run = IUA.introspect({"relu": np.eye(3)}).save(tmp_path / "run.iua")
    with pytest.raises(FileError, match=r"'iua_widget history': read it with IUAMonitor\.load"):
        IUA.load(history)
    with pytest.raises(FileError, match=r"'iua_widget run': read it with IUA\.load"):
        IUAMonitor.load(run)
    with pytest.raises(FileError, match=r"read it with IUAMonitor\.load_state_dict"):
        IUA.from_bytes(history.read_bytes())
    with pytest.raises(FileError, match="there is no file"):
        IUAMonitor.load(tmp_path / "nothing.iuah")


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    path = watched().save(tmp_path / "run.iuah")
    data = path.read_bytes()
    damaged = tmp_path / "damaged.iuah"
    for size in (0, 1, len(data) // 2, len(data) - 1):
        damaged.write_bytes(data[:size])
        with pytest.raises(FileError):
            IUAMonitor.load(damaged)
    for place in range(0, len(data), len(data) // 40):
        damaged.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(FileError):
            IUAMonitor.load(damaged)


def rewritten(path: Path, change: Callable[[dict[str, Any], dict[str, np.ndarray]], None]) -> Path:
    """A file that is sound but for what was changed in it."""
    with zipfile.ZipFile(path) as archive:
        facts = json.loads(archive.read("facts.json"))
    with np.load(path) as arrays:
        held = {name: arrays[name].copy() for name in arrays.files if name != "facts.json"}
    change(facts, held)
    other = path.with_name("other.iuah")
    container.write_container(other, 1, facts, list(held.items()))
    return other


def fact(*path: Any, to: Any) -> Callable[[Any, Any], None]:
    def change(facts: Any, _: Any) -> None:
        for key in path[:-1]:
            facts = facts[key]
        facts[path[-1]] = to

    return change


def entry(name: str, place: Any, to: float) -> Callable[[Any, Any], None]:
    def change(_: Any, arrays: Any) -> None:
        arrays[name][place] = to

    return change


def swapped(facts: Any, _: Any) -> None:
    facts["looks"][0]["step"], facts["looks"][1]["step"] = 2, 0


@pytest.mark.parametrize(
    "change",
    [
        swapped,
        fact("stops", to=[0.0, 3.0, 2.0]),
        fact("scale", to="unit"),
        fact("made", to=1),
        fact("budget", to=-1),
        fact("looks", 0, "layers", to=1),
        fact("looks", 0, "step", to="0"),
        fact("looks", 0, "counted", to={"5": [0, 70]}),
        fact("looks", 0, "counted", to={"0": [0, 3]}),
        fact("layers", 0, 0, "shape", to=[2**20, 2**20]),
        fact("layers", 0, 0, "channel_axis", to=2),
        fact("layers", 0, 0, "choice", to="unit"),
        fact("layers", 0, 1, "name", to="2"),
        fact("whole", 0, "step", to=1),
        fact("events", to=[{"step": 1}]),
        fact("settings", to={}),
        fact("settings", "options", "every", to=0),
        fact("settings", "options", "nothing", to=0),
        fact("settings", "step", to=-1),
        fact("settings", "failures", to={"a": 3}),
        fact("notes", to=[3]),
        entry("looks/0/counts", (0, 0), -1),
        entry("looks/0/counts", (0, 0), 0),
        entry("looks/0/counts", (2, 1), -3),
        entry("looks/1/means", (0, 0), np.nan),
        entry("looks/0/inactive", (0, 0, 4), 99),
        entry("looks/0/inactive", (0, 0, 0), np.nan),
        entry("looks/0/inactive", (1, 0, 0), -1),
        entry("looks/0/dead_from", 3, 72),
        entry("looks/0/mean_abs", 3, -1),
        entry("looks/0/channel_mean_abs", 1, -1),
        lambda _, arrays: arrays.pop("looks/1/dead_from"),
        lambda _, arrays: arrays.update({"looks/9/dead_from": np.zeros(3)}),
        lambda _, arrays: arrays.update({"looks/0/mean_abs": np.zeros(21)}),
    ],
    ids=[f"contradiction{number}" for number in range(34)],
)
def test_contradictions_are_refused(tmp_path: Path, change: Callable[[Any, Any], None]) -> None:
    path = watched().save(tmp_path / "run.iuah")
    assert IUAMonitor.load(rewritten(path, lambda *_: None)).steps == [0, 2, 4]
    with pytest.raises(FileError, match=r"other\.iuah"):
        IUAMonitor.load(rewritten(path, change))


def test_a_save_that_fails_or_is_killed_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monitor = watched()
    path = monitor.save(tmp_path / "run.iuah")
    before = path.read_bytes()
    arrays_of = history_file._arrays_of

    def failing(look: Any, prefix: str) -> Any:
        if look.step == 4:
            raise KeyboardInterrupt
        return arrays_of(look, prefix)

    with monkeypatch.context() as patched:
        patched.setattr(history_file, "_arrays_of", failing)
        with pytest.raises(KeyboardInterrupt):
            monitor.save(path)
    assert path.read_bytes() == before
    script = (
        "import os, signal\n"
        "from iua_widget import IUAMonitor\n"
        "from iua_widget.files import history_file\n"
        f"monitor = IUAMonitor.load({str(path)!r})\n"
        "arrays_of = history_file._arrays_of\n"
        "def killed(look, prefix):\n"
        "    if look.step == 4:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return arrays_of(look, prefix)\n"
        "history_file._arrays_of = killed\n"
        f"monitor.save({str(path)!r})\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert path.read_bytes() == before
    assert IUAMonitor.load(path).steps == [0, 2, 4]
    monitor.save(path)
    assert os.listdir(tmp_path) == ["run.iuah"]  # noqa: PTH208


def test_an_old_look_of_other_layers_is_kept(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(6, 4), nn.ReLU())
    monitor = monitor_of(model)
    monitor.look(0)
    before = copy.deepcopy(monitor.history())
    model.append(nn.Linear(4, 3)).append(nn.ReLU())
    monitor.look(1)
    loaded = IUAMonitor.load(monitor.save(tmp_path / "run.iuah"))
    assert_same(monitor, loaded)
    assert loaded.history(layers="1").query("step == 0")["units"].tolist() == [4]
    assert before["units"].tolist() == [4]


def test_alarms_are_kept_with_the_history_and_told_once(tmp_path: Path) -> None:
    model, told = net(), []

    def stop(event: Any) -> bool:
        told.append((event.step, event.layers))
        return event.layers == ("5",)

    rules = ["dead-share>=100%", 'units: mean-|x|<1e-9 "2"']
    monitor = monitor_of(model, alarm=rules, on_alarm=stop, every=1)
    monitor.look()
    assert not monitor.events
    with torch.no_grad():
        model[1].bias.fill_(-100)
    layers = pytest.warns(IUAWarning, match="Alarm at step 1, dead-share>=100%: '2'")
    with layers, pytest.warns(IUAWarning, match="16 units of '2'"):
        monitor.step()
    assert not monitor.should_stop
    monitor.step()
    with torch.no_grad():
        model[4].bias.fill_(-100)
    path = monitor.save(tmp_path / "run.iuah")
    with pytest.warns(IUAWarning, match="dead-share>=100%: '5'"):
        monitor.step()
    assert monitor.should_stop
    assert [step for step, layers in told if layers == ("2",)] == [1, 1]
    loaded = IUAMonitor.load(path)
    assert [event.plain for event in loaded.events] == [e.plain for e in monitor.events[:2]]
    with pytest.raises(FileError, match="on_alarm="):
        IUAMonitor.load(path, model, PROBES)
    again = IUAMonitor.load(path, model, PROBES, on_alarm=None)
    with pytest.warns(IUAWarning, match="dead-share>=100%: '5'"):
        again.step()
    assert [event.plain for event in again.events] == [event.plain for event in monitor.events]
    assert not again.should_stop
    with pytest.warns(IUAWarning, match="names no layer"):
        monitor_of(model, alarm="dead-units>1 kind:GELU").look()
    state = monitor.state_dict()
    resumed = monitor_of(model, alarm=rules)
    resumed.load_state_dict(state)
    assert not resumed.should_stop  # who goes on wants to
    assert len(resumed.events) == len(monitor.events)
