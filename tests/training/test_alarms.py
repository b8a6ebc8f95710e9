"""Rules of alarms are true of what they say, and are told when they come to be true."""

from __future__ import annotations

import json
import re
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

from iua_widget import IUA
from iua_widget.errors import AlarmError, IUAWarning
from iua_widget.history.alarm_event import AlarmEvent
from iua_widget.reading.table_rows import rows_of
from iua_widget.training.alarm_rules import AlarmRule
from iua_widget.training.alarms import Alarms


def table(**dead: int) -> pd.DataFrame:
    """Layers of ten units, of which so many are dead."""
    return pd.DataFrame(
        {
            "response": list(dead),
            "kind": ["GELU" if name == "gelu" else "ReLU" for name in dead],
            "units": 10,
            "dead units": list(dead.values()),
            "dead share": [count / 10 for count in dead.values()],
            "newly dead": pd.array([None, *list(dead.values())[1:]], dtype="Int64"),
        }
    )


def layers_of(events: list[AlarmEvent]) -> list[tuple[str, ...]]:
    return [event.layers for event in events]


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        ("dead-share>=50%", ["a", "gelu"]),
        ("dead share >= 0.5 kind:relu", ["a"]),
        ("newly-dead>1", ["gelu"]),
        ("newly-dead-share>=.5", ["gelu"]),
        ("gelu dead-units>0 kind:ReLU", []),
    ],
)
def test_a_rule_is_true_of_the_layers_that_the_filter_leaves(rule: str, found: list[str]) -> None:
    layers = table(a=5, b=0, gelu=9)
    matches = AlarmRule.parsed(rule).matches(rows_of(layers), IUA().units)
    assert [match.layer for match in matches] == found


@pytest.mark.filterwarnings("ignore:Not finite")
def test_a_rule_about_units_is_true_of_units() -> None:
    responses = np.array([[0.0, 200.0, np.nan, 1.0], [0.0, 1.0, 1.0, 0.0]])
    iua = IUA.introspect({"a": responses, "b": np.ones((2, 3))}, engine="reference", atol=0)
    layers = iua.to_pandas()
    for rule, found in (
        ("units: max-|x|>100", {"a": [1]}),
        ("units: inactive share >= 50%", {"a": [0, 3]}),
        ("units: nan>0", {"a": [2]}),
        ("units: dead=1", {"a": [0]}),
        ("units: dead!=1 mean-|x|<2", {"a": [2, 3], "b": [0, 1, 2]}),
        ("units: rms>0 b", {"b": [0, 1, 2]}),
    ):
        matches = AlarmRule.parsed(rule).matches(rows_of(layers), iua.units)
        assert {match.layer: match.units.tolist() for match in matches} == found, rule


@pytest.mark.filterwarnings("ignore:Not finite")
def test_a_unit_without_the_figure_passes_no_test_of_it() -> None:
    iua = IUA.introspect({"a": np.full((2, 3), np.nan)}, engine="reference")
    assert not AlarmRule.parsed("units: mean-|x|!=7").matches(rows_of(iua.to_pandas()), iua.units)


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ("dead-shar>=50%", "the rule 'dead-shar>=50%' is invalid: .* Figures are dead-share, "),
        ("newly-ded>1", "Figures are newly-dead, "),
        ("units: max-x>1", r"Figures are max-\|x\|, "),
        ("units: dead-share>1%", "Figures are inactive-share, "),
        ("load<1%", "load is no share, and is compared with 1%"),
        ("relu", "'relu' compares no figure with a number"),
        ("kind=relu", "compares no figure"),
        ("", "'' compares no figure"),
        ("units:", "'units:' compares no figure"),
        (0.5, "a rule must compare figures .* got 0.5"),
    ],
)
def test_what_is_no_rule_is_refused(rule: Any, told: str) -> None:
    with pytest.raises(AlarmError, match=told):
        Alarms(rule)
    with pytest.raises(AlarmError, match=told):
        Alarms(["dead-units>0", rule])


def test_what_cannot_be_called_is_refused() -> None:
    with pytest.raises(AlarmError, match=r"on_alarm must be a callable.* got 'stop'"):
        Alarms("dead-units>0", "stop")  # type: ignore[arg-type]


def test_an_alarm_is_raised_when_a_rule_comes_to_be_true() -> None:
    alarms = Alarms("dead-share>=50%")
    looks = [table(a=0, b=5), table(a=6, b=7), table(a=6, b=4), table(a=6, b=9), table(a=0, b=0)]
    found = [layers_of(alarms.check(step, look)) for step, look in enumerate(looks)]
    assert found == [[("b",)], [("a",)], [], [("b",)], []]


def test_a_look_that_replaces_another_at_its_step_raises_what_that_raised() -> None:
    alarms = Alarms("dead-units>3")
    for step, dead, expected in (
        (1, 5, [("a",)]),
        (1, 5, [("a",)]),
        (1, 0, []),
        (2, 5, [("a",)]),
        (3, 5, []),
        (3, 5, []),
        (3, 0, []),
        (4, 4, [("a",)]),
    ):
        assert layers_of(alarms.check(step, table(a=dead))) == expected


def test_an_alarm_about_units_is_raised_for_units_that_are_new_to_it() -> None:
    alarms = Alarms("units: dead=1")
    seen = []
    for step, dead in enumerate(([1], [1, 2], [2], [1, 2], [])):
        responses = np.ones((2, 4))
        responses[:, dead] = 0
        iua = IUA.introspect({"a": responses}, engine="reference")
        seen.append([event.units for event in alarms.check(step, iua.to_pandas(), iua.units)])
    assert seen == [[{"a": (1,)}], [{"a": (2,)}], [], [{"a": (1,)}], []]


def test_rules_do_not_know_of_each_other() -> None:
    events = Alarms(["dead-units>0 b", "dead-units>3"]).check(7, table(a=2, b=4))
    assert [(event.rule, event.layers) for event in events] == [
        ("dead-units>0 b", ("b",)),
        ("dead-units>3", ("b",)),
    ]


def test_an_event_says_what_and_where() -> None:
    (event,) = Alarms("dead-share>=50% dead-units>1").check(1200, table(a=5, b=9))
    assert event.message == (
        "Alarm at step 1,200, dead-share>=50% dead-units>1: 'a' (dead share 50.0 %, dead units 5), "
        "'b' (dead share 90.0 %, dead units 9)."
    )
    assert event.figures == {
        "a": {"dead share": 0.5, "dead units": 5},
        "b": {"dead share": 0.9, "dead units": 9},
    }
    iua = IUA.introspect({"a": np.zeros((2, 300))}, engine="reference")
    (event,) = Alarms("units: dead=1").check(3, iua.to_pandas(), iua.units)
    assert (
        event.message == "Alarm at step 3, units: dead=1: 300 units of 'a' (0, 1, 2 and 297 more)."
    )
    assert event.figures == {"a": {"units": 300}}
    assert event.units == {"a": tuple(range(100))}


def test_an_event_survives_json() -> None:
    iua = IUA.introspect({"a": np.zeros((2, 3))}, engine="reference")
    for event in Alarms(["units: dead=1", "dead-share>.5"]).check(3, iua.to_pandas(), iua.units):
        assert AlarmEvent.of_plain(json.loads(json.dumps(event.plain))) == event


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("step", step) for step in ("7", -1, True, None)),
        ("level", "net"),
        ("rule", None),
        ("message", 3),
        *(("layers", layers) for layers in ("a", [1], None)),
        *(("figures", figures) for figures in ([], {"a": 1}, {"a": {"dead": None}})),
        *(("units", units) for units in (None, {"a": 1}, {"a": [-1]}, {"a": ["0"]})),
        ("more", 1),
    ],
)
def test_what_is_no_event_is_refused(name: str, value: object) -> None:
    (event,) = Alarms("dead-units>0").check(1, table(a=1))
    with pytest.raises(ValueError, match=f"event of an alarm .*{name}"):
        AlarmEvent.of_plain({**event.plain, name: value})
    short = {key: value for key, value in event.plain.items() if key != "units"}
    with pytest.raises(ValueError, match="units"):
        AlarmEvent.of_plain(short)


def test_a_callback_is_called_and_may_stop() -> None:
    heard: list[str] = []
    alarms = Alarms(
        ["dead-units>0", "dead-units>7"], lambda e: heard.append(e.rule) or len(heard) > 1
    )
    for dead, heard_of, stops in ((1, 1, False), (2, 1, False), (8, 2, True)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", IUAWarning)
            alarms.tell(alarms.check(dead, table(a=dead)))
        assert (len(heard), alarms.should_stop) == (heard_of, stops)


def test_an_alarm_warns_where_the_user_is() -> None:
    alarms = Alarms("dead-units>0")
    with pytest.warns(IUAWarning, match=re.escape("dead-units>0: 'a' (dead units 1)")) as told:
        alarms.tell(alarms.check(1, table(a=1)), stacklevel=2)
    assert told[0].filename == __file__


def test_a_callback_that_fails_is_told_of_and_stops_nothing() -> None:
    alarms = Alarms("dead-units>0", lambda event: 1 / event.step)
    with pytest.warns(IUAWarning) as told:
        alarms.tell(alarms.check(0, table(a=1)))
    _, failed = (str(warning.message) for warning in told)
    assert re.search("on_alarm failed at step 0, and training goes on: ZeroDivisionError", failed)
    assert not alarms.should_stop


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("dead-units>0 encodr", "names no layer.*Layers are 'a', 'gelu', kinds 'GELU', 'ReLU'"),
        ("units: dead=1 kind:tanh", "names no layer"),
        ("load<0.1", "compares 'load', which no layer that it names has"),
        ("newly-dead>1 a", "compares 'newly dead', which no layer"),
    ],
)
def test_a_rule_that_can_never_be_true_is_told_once(rule: str, why: str) -> None:
    alarms = Alarms([rule, "dead-units>3"])
    assert not alarms.check(1, table(a=0, gelu=1))
    assert not alarms.check(2, table(a=0, gelu=1))
    assert list(alarms.idle) == [rule]
    with pytest.warns(IUAWarning, match=why) as told:
        alarms.tell([])
    assert len(told) == 1
    alarms.tell([])
    assert not Alarms(rule).check(3, table(a=0, gelu=1))


def test_nothing_is_newly_dead_at_the_first_look_and_that_is_no_fault_of_a_rule() -> None:
    alarms = Alarms("newly-dead>0 a")
    alarms.check(1, table(a=5))
    assert not alarms.idle
    alarms.check(2, table(b=5, a=5))
    assert not alarms.idle
    alarms.check(3, table(a=5))
    assert alarms.idle


def test_it_goes_on_where_a_checkpoint_was_made() -> None:
    alarms, again = (Alarms(["dead-units>0", "units: dead=1"]) for _ in range(2))
    iua = IUA.introspect({"a": np.zeros((2, 3))}, engine="reference")
    assert len(alarms.check(1, iua.to_pandas(), iua.units)) == 2
    again.load_state_dict(json.loads(json.dumps(alarms.state_dict())))
    assert not again.check(2, iua.to_pandas(), iua.units)
    other = Alarms("dead-units>=1")
    other.load_state_dict(alarms.state_dict())
    assert len(other.check(2, iua.to_pandas())) == 1
