"""`AlarmEvent`: when a rule came to be true, of which layers and units."""

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
    >>> import warnings
    >>> import torch
    >>> from iua_widget import IUAMonitor
    >>> model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU())
    >>> _ = torch.nn.init.constant_(model[0].bias, -100)
    >>> monitor = IUAMonitor(model, torch.ones(4, 2), alarm="dead-share>=50%")
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")  # it warns, too
    ...     _ = monitor.look()
    >>> monitor.events[0].message
    "Alarm at step 0, dead-share>=50%: '1' (dead share 100.0 %)."
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
            It may come from anywhere, and is checked.

        Returns
        -------
        AlarmEvent

        Raises
        ------
        ValueError
            If it is not what `plain` gave.
        """
        step, layers, figures, units = (
            plain.get(name) for name in ("step", "layers", "figures", "units")
        )
        checks = {
            "step": _is_count(step),
            "level": plain.get("level") in ("layer", "unit"),
            "rule": isinstance(plain.get("rule"), str),
            "message": isinstance(plain.get("message"), str),
            "layers": isinstance(layers, list) and all(isinstance(one, str) for one in layers),
            "figures": isinstance(figures, dict) and all(map(_are_figures, figures.values())),
            "units": isinstance(units, dict) and all(map(_are_counts, units.values())),
        }
        if set(plain) != set(checks):
            message = (
                f"an event of an alarm has {', '.join(checks)}; got {', '.join(sorted(plain))}"
            )
            raise ValueError(message)
        wrong = {name: plain[name] for name, fits in checks.items() if not fits}
        if wrong:
            message = f"an event of an alarm cannot have {wrong!r:.200}"
            raise ValueError(message)
        told = {layer: tuple(here) for layer, here in plain["units"].items()}
        return cls(**{**plain, "layers": tuple(plain["layers"]), "units": told})


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _are_counts(values: object) -> bool:
    return isinstance(values, list) and all(map(_is_count, values))


def _are_figures(figures: object) -> bool:
    return isinstance(figures, dict) and all(
        isinstance(figure, (int, float, str)) for figure in figures.values()
    )
