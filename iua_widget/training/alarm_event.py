"""`AlarmEvent`: what an alarm tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class AlarmEvent:
    """An alarm: a rule that has come to be true of layers, or of units of them.

    Attributes
    ----------
    step : int
        The step of training at which it was seen.
    rule : str
        As it was given.
    level : {"layer", "unit"}
        What the rule is about.
    layers : tuple of str
        Of which it was not true at the look before, in the order of the network.
    figures : mapping of str to mapping of str to float
        What it compares in each of them; of a rule about units how many, as ``"units"``.
    message : str
        All this in a sentence.
    units : mapping of str to tuple of int
        Of a rule about units the first hundred in each layer of which it was not true before, by
        their index in C order; empty for other rules.

    Examples
    --------
    >>> import pandas as pd
    >>> from iua_widget.training.alarms import Alarms
    >>> table = pd.DataFrame({"response": ["a"], "kind": ["ReLU"], "units": [4], "dead units": [2]})
    >>> (event,) = Alarms("dead-units>1").check(300, table)
    >>> event.message
    "Alarm at step 300, dead-units>1: 'a' (dead units 2)."
    """

    step: int
    rule: str
    level: Literal["layer", "unit"]
    layers: tuple[str, ...]
    figures: Mapping[str, Mapping[str, Any]]
    message: str
    units: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def plain(self) -> dict[str, Any]:
        """As JSON can hold it."""
        units = {layer: list(units) for layer, units in self.units.items()}
        return {**asdict(self), "layers": list(self.layers), "units": units}

    @classmethod
    def of_plain(cls, plain: Mapping[str, Any]) -> AlarmEvent:
        """Make the event again of what `plain` gave.

        Parameters
        ----------
        plain : mapping

        Returns
        -------
        AlarmEvent
        """
        units = {layer: tuple(units) for layer, units in plain["units"].items()}
        return cls(**{**plain, "layers": tuple(plain["layers"]), "units": units})
