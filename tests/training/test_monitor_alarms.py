"""A monitor raises alarms at its looks: warnings, notes, events, a callback that may stop."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from iua_widget import AlarmError, AlarmEvent, IUAMonitor, IUAWarning, ToleranceError

PROBES = torch.linspace(-1, 1, 40).reshape(10, 4)


class Net(nn.Module):
    """Two layers of which one says which units are dead."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.relu = nn.Linear(4, 8), nn.ReLU()
        self.second, self.gelu = nn.Linear(8, 3), nn.GELU()
        nn.init.constant_(self.second.weight, 0.01)
        nn.init.constant_(self.second.bias, 1)
        self.set_dead()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.gelu(self.second(self.relu(self.first(x))))

    @torch.no_grad()
    def set_dead(self, *units: int) -> None:
        self.first.bias.fill_(100)
        self.first.bias[list(units)] = -100


def monitor_of(net: nn.Module, alarm: Any, **options: Any) -> IUAMonitor:
    return IUAMonitor(net, PROBES, engine="reference", atol=0, alarm=alarm, **options)


def looked(monitor: IUAMonitor, net: Net, *dead: tuple[int, ...]) -> list[tuple[int, str]]:
    """Steps and rules of the events after a look at each of these."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", IUAWarning)
        for step, units in enumerate(dead):
            net.set_dead(*units)
            monitor.look(step)
    return [(event.step, event.rule) for event in monitor.events]


def test_an_alarm_is_raised_when_it_becomes_true() -> None:
    net = Net()
    monitor = monitor_of(net, "dead-share>=50% kind:ReLU")
    found = looked(monitor, net, (0,), (0, 1, 2, 3), (0, 1, 2, 3, 4), (), (4, 5, 6, 7))
    assert found == [(1, "dead-share>=50% kind:ReLU"), (4, "dead-share>=50% kind:ReLU")]
    event = monitor.events[0]
    assert isinstance(event, AlarmEvent)
    assert (event.layers, event.figures) == (("relu",), {"relu": {"dead share": 0.5}})
    assert monitor.notes[:2] == [event.message for event in monitor.events]


def test_what_is_new_since_the_look_before_is_a_figure() -> None:
    net = Net()
    monitor = monitor_of(net, ["newly-dead>=2", "revived>0", "newly-dead-share>=25%"])
    assert looked(monitor, net, (0, 1, 2), (0, 1, 3, 4), (0, 1, 3, 4)) == [
        (1, "newly-dead>=2"),
        (1, "revived>0"),
        (1, "newly-dead-share>=25%"),
    ]
    assert len(monitor.notes) == 3


def test_rules_about_units_tell_which() -> None:
    net = Net()
    monitor = monitor_of(net, "units: dead=1 relu")
    looked(monitor, net, (), (2, 5), (2, 5, 6), (5,), (2, 5))
    assert [event.units for event in monitor.events] == [
        {"relu": (2, 5)},
        {"relu": (6,)},
        {"relu": (2,)},
    ]


def test_a_warning_is_where_the_user_is() -> None:
    net = Net()
    net.set_dead(0)
    monitor = monitor_of(net, "dead-units>0", every=1)
    for look in (monitor.look, monitor.step):
        net.set_dead(0)
        with pytest.warns(IUAWarning, match="Alarm at step .*'relu'") as told:
            look()
        assert told[0].filename == __file__
        net.set_dead()
        monitor.look()


def test_a_callback_stops_a_loop() -> None:
    net, heard = Net(), []

    def on_alarm(event: AlarmEvent) -> bool:
        heard.append(event)
        return event.step >= 4

    monitor = monitor_of(net, ["dead-units>0", "dead-units>1"], on_alarm=on_alarm, every=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", IUAWarning)
        for step in range(100):
            net.set_dead(*range(step))
            monitor.step()
            if monitor.should_stop:
                break
    assert [(event.step, event.rule) for event in heard] == [
        (2, "dead-units>0"),
        (4, "dead-units>1"),
    ]
    assert heard == monitor.events
    assert step == 3


def test_a_callback_that_fails_ends_no_training() -> None:
    net = Net()
    net.set_dead(0)
    monitor = monitor_of(net, "dead-units>0", on_alarm=lambda event: event.nothing)
    with pytest.warns(IUAWarning) as told:
        assert monitor.look() is not None
    assert "on_alarm failed at step 0, and training goes on: AttributeError" in str(told[1].message)
    assert not monitor.should_stop
    assert len(monitor.events) == 1


@pytest.mark.filterwarnings("ignore::iua_widget.IUAWarning")
def test_a_callback_may_look_itself() -> None:
    net, heard = Net(), []

    def on_alarm(event: AlarmEvent) -> None:
        heard.append(event)
        monitor.look()
        net.set_dead(0, 1)
        monitor.look(1)

    net.set_dead(0)
    monitor = monitor_of(net, ["dead-units>0", "dead-units>1"], on_alarm=on_alarm)
    monitor.look()
    assert [event.step for event in heard] == [0]
    assert [event.step for event in monitor.events] == [0, 1]
    monitor.look(2)
    assert len(heard) == 1
    net.set_dead()
    monitor.look(3)
    net.set_dead(0)
    monitor.look(4)
    assert [event.step for event in heard] == [0, 4]


def test_no_rule_is_idle_for_want_of_a_look_before() -> None:
    monitor = monitor_of(Net(), "newly-dead>0")
    for step in (100, 50):
        monitor.look(step)
    assert not any("newly" in note for note in monitor.notes)


def test_a_look_that_is_replaced_takes_its_events_along() -> None:
    net = Net()
    monitor = monitor_of(net, "dead-units>0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", IUAWarning)
        for units, events in (((0,), 1), ((0,), 1), ((), 0), ((1,), 1)):
            net.set_dead(*units)
            monitor.look(5)
            assert len(monitor.events) == events


def test_batches_of_training_raise_alarms_too() -> None:
    net = Net()
    rules = ["dead-units>1", "units: max-|x|>1000 relu"]
    monitor = IUAMonitor(net, on="train", every=2, engine="reference", atol=0, alarm=rules)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", IUAWarning)
        for dead in ((), (0,), (0, 1), (0, 1, 2)):
            net.set_dead(*dead)
            with torch.no_grad():
                net.first.bias[7] = 5000 if len(dead) > 2 else 100
            net(PROBES)
            monitor.step()
    assert [(event.step, event.rule, event.units) for event in monitor.events] == [
        (4, "dead-units>1", {}),
        (4, "units: max-|x|>1000 relu", {"relu": (7,)}),
    ]
    monitor.close()


def test_a_history_that_is_gone_on_with_raises_no_alarm_twice(tmp_path: Path) -> None:
    net = Net()
    net.set_dead(0, 1)
    monitor = monitor_of(net, "dead-units>1")
    looked(monitor, net, (0, 1))
    path = monitor.save(tmp_path / "run.iuah")
    assert [event.rule for event in IUAMonitor.load(path).events] == ["dead-units>1"]
    again = IUAMonitor.load(path, net, PROBES, alarm="dead-units>1")
    assert again.look(7) is not None
    assert [event.step for event in again.events] == [0]


def test_looks_with_an_alarm_are_kept_longest() -> None:
    net = Net()
    monitor = monitor_of(net, "dead-units>0", keep=20_000)
    looked(monitor, net, *[(0,) if step == 7 else () for step in range(100)])
    assert len(monitor.steps) < 100
    assert 7 in monitor.steps


@pytest.mark.parametrize("alarm", ["dead-shar>0.5", ["dead-units>1", "relu"], 0.5])
def test_what_is_no_rule_is_refused_at_once(alarm: Any) -> None:
    with pytest.raises(AlarmError, match="rule"):
        monitor_of(Net(), alarm)


def test_tolerances_of_which_a_look_keeps_too_little_are_refused_at_once() -> None:
    with pytest.raises(ToleranceError, match="scale='unit_rms' every unit has a threshold"):
        monitor_of(Net(), "dead-units>0", scale="unit_rms", rtol=0.1)


def test_rules_that_cannot_be_checked_end_no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_args: Any) -> None:
        raise MemoryError

    net = Net()
    monitor = monitor_of(net, "units: dead=1")
    monkeypatch.setattr("iua_widget.reading.tables.unit_table", fails)
    with pytest.warns(IUAWarning, match="The look at step 3 failed, .*: MemoryError"):
        monitor.look(3)
    assert monitor.steps == [3]


def test_a_rule_that_can_be_true_of_nothing_is_told_and_noted() -> None:
    net = Net()
    monitor = monitor_of(net, ["dead-units>0 encodr", "load<.1"])
    with pytest.warns(IUAWarning, match="names no layer: .* Layers are 'relu', 'gelu'") as told:
        monitor.look(0)
    assert len(told) == 1
    with pytest.warns(IUAWarning, match="compares 'load', which no layer") as told:
        monitor.look(1)
    assert len(told) == 1
    monitor.look(2)
    assert len([note for note in monitor.notes if note.startswith("The rule")]) == 2


def test_without_rules_nothing_is_raised() -> None:
    net = Net()
    monitor = monitor_of(net, None)
    assert looked(monitor, net, (0, 1, 2, 3)) == []
    assert not monitor.should_stop
