"""`Alarms`: rules that are checked at each look, and told of when they come to be true."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from iua_widget.common.words import listed
from iua_widget.errors import AlarmError, IUAWarning
from iua_widget.history.alarm_event import AlarmEvent
from iua_widget.reading.table_rows import rows_of
from iua_widget.training.alarm_rules import AlarmRule, Match

if TYPE_CHECKING:
    import pandas as pd


_TrueOf = dict[str, dict[str, np.ndarray]]
"""By rule and layer: the units of which it is true, none for a rule about layers."""


class Alarms:
    """The rules that are checked at each look, and of what each of them is true already.

    An alarm is raised where a rule comes to be true of a layer, or of a unit; while it stays true
    it is not raised again, and where it has been false at a look in between, it is.

    Parameters
    ----------
    rules : str or iterable of str, optional
        Lines that `AlarmRule.parsed` takes.
    on_alarm : callable, optional
        Called with each `AlarmEvent`. Where it returns True, training is to stop.

    Attributes
    ----------
    should_stop : bool
        Whether `on_alarm` has returned True.
    idle : dict of str to str
        By rule: why it can be true of nothing.

    Raises
    ------
    AlarmError
        If a rule cannot be used, or `on_alarm` cannot be called.

    Examples
    --------
    >>> import pandas as pd
    >>> alarms = Alarms("dead-units>0")
    >>> table = pd.DataFrame({"response": ["a"], "kind": ["ReLU"], "units": [4], "dead units": [1]})
    >>> [event.layers for event in alarms.check(100, table)], alarms.check(200, table)
    ([('a',)], [])
    """

    def __init__(
        self,
        rules: str | Iterable[str] | None = None,
        on_alarm: Callable[[AlarmEvent], object] | None = None,
    ) -> None:
        if on_alarm is not None and not callable(on_alarm):
            message = (
                "on_alarm must be a callable, such as on_alarm=lambda event: print(event.message); "
                f"got {on_alarm!r:.60}."
            )
            raise AlarmError(message)
        self.rules = tuple(AlarmRule.parsed(rule) for rule in _several(rules))
        self.should_stop = False
        self._on_alarm = on_alarm
        self._is_telling = False
        self._true_of: _TrueOf = {rule.text: {} for rule in self.rules}
        self._before: tuple[int | None, _TrueOf] = None, self._true_of
        self.idle: dict[str, str] = {}
        self._told: set[str] = set()

    def check(
        self,
        step: int,
        table: pd.DataFrame,
        units: Callable[[str], pd.DataFrame] | None = None,
        *,
        look_before: bool = True,
    ) -> list[AlarmEvent]:
        """What the rules have come to be true of since the look before.

        A second look at a step replaces the first, with what came to be true at it.

        Parameters
        ----------
        step : int
        table : pandas.DataFrame
            The layers at this look, as `Reading.to_pandas`, and what has changed since the look
            before.
        units : callable, optional
            Gives the units of a layer, as `IUA.units`; without it rules about units are true of
            none.
        look_before : bool
            Whether there is one of a step before, without which nothing is newly dead.
        """
        at, true_before = self._before
        rows = rows_of(table)
        look_before = look_before and at is not None
        idle = ((rule, rule.idle(rows, look_before=look_before)) for rule in self.rules)
        self.idle = {rule.text: f"{why[0].upper()}{why[1:]}" for rule, why in idle if why}
        if step != at:
            true_before = self._true_of
            self._before = step, true_before
        self._true_of = dict(true_before)
        events = []
        for rule in self.rules:
            matches = rule.matches(rows, units)
            before = true_before[rule.text]
            self._true_of[rule.text] = {match.layer: match.units for match in matches}
            if new := [one for match in matches if (one := _new_of(match, before)) is not None]:
                events.append(_event(step, rule, new))
        return events

    def tell(self, events: Iterable[AlarmEvent], stacklevel: int = 3) -> None:
        """Warn of events, and hand them to `on_alarm`, whose own errors become warnings.

        What a look within `on_alarm` raises is warned of, and does not call it again.

        Warns
        -----
        IUAWarning
            The message of each; once of each rule that it can be true of nothing; and that
            `on_alarm` failed.
        """
        for rule, why in self.idle.items():
            if rule not in self._told:
                self._told.add(rule)
                warnings.warn(why, IUAWarning, stacklevel=stacklevel)
        for event in events:
            warnings.warn(event.message, IUAWarning, stacklevel=stacklevel)
            if self._on_alarm is None or self._is_telling:
                continue
            self._is_telling = True
            try:
                self.should_stop |= self._on_alarm(event) is True
            except Exception as error:  # noqa: BLE001  (training does not end by it)
                message = (
                    f"on_alarm failed at step {event.step:,}, and training goes on: "
                    f"{type(error).__name__}: {error}. To stop training return True."
                )
                warnings.warn(message, IUAWarning, stacklevel=stacklevel)
            finally:
                self._is_telling = False

    def state_dict(self) -> dict[str, Any]:
        """Of what each rule is true now, as plain values: for a checkpoint of training."""
        return {
            "true_of": {
                rule: {layer: units.tolist() for layer, units in layers.items()}
                for rule, layers in self._true_of.items()
            },
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave; rules that it has not begin anew.

        Who goes on after an alarm has stopped training wants to: `should_stop` is not kept.
        """
        self.should_stop = False
        self._true_of = {
            rule: {
                layer: np.asarray(units, int)
                for layer, units in state["true_of"].get(rule, {}).items()
            }
            for rule in self._true_of
        }
        self._before = None, self._true_of


def _event(step: int, rule: AlarmRule, matches: Sequence[Match]) -> AlarmEvent:
    """The event of a rule that has come to be true."""
    layers = listed([match.in_words for match in matches], most=3)
    return AlarmEvent(
        step,
        rule.text,
        rule.level,
        tuple(match.layer for match in matches),
        {match.layer: dict(match.figures) for match in matches},
        f"Alarm at step {step:,}, {rule.text}: {layers}.",
        {match.layer: tuple(match.told_units) for match in matches if rule.level == "unit"},
    )


def _several(rules: object) -> Iterable[object]:
    if rules is None:
        return ()
    if isinstance(rules, str) or not isinstance(rules, Iterable):
        return (rules,)
    return rules


def _new_of(match: Match, before: Mapping[str, np.ndarray]) -> Match | None:
    """What of a match was not so before."""
    if match.layer not in before:
        return match
    units = np.setdiff1d(match.units, before[match.layer])
    return Match(match.layer, {"units": units.size}, units) if units.size else None
