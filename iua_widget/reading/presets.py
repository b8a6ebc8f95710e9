"""Tolerances by name: the thresholds that papers and tools use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from iua_widget.common.words import did_you_mean
from iua_widget.errors import ToleranceError
from iua_widget.tolerances import Scale


@dataclass(frozen=True, slots=True)
class Preset:
    """Tolerances with a name.

    Attributes
    ----------
    name : str
    formula : str
        What it calls inactive, dead or dormant.
    source : str
        Where it comes from.
    rtol, atol, scale, dead_at, tau
        What it sets; None where it leaves what is there.

    Examples
    --------
    >>> Preset("ours", "|x| ≤ 0.001", "this notebook", rtol=0.0, atol=1e-3).settings
    {'rtol': 0.0, 'atol': 0.001}
    """

    name: str
    formula: str
    source: str
    rtol: float | None = None
    atol: float | None = None
    scale: Scale | None = None
    dead_at: float | None = None
    tau: float | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """What it sets, by name, as keyword arguments of `IUA.at`."""
        values = {
            "rtol": self.rtol,
            "atol": self.atol,
            "scale": self.scale,
            "dead_at": self.dead_at,
            "tau": self.tau,
        }
        return {name: value for name, value in values.items() if value is not None}


def _absolute(name: str, formula: str, source: str, atol: float) -> Preset:
    return Preset(name, formula, source, rtol=0.0, atol=atol)


def _relative(name: str, formula: str, source: str, rtol: float) -> Preset:
    return Preset(name, formula, source, rtol=rtol, atol=0.0, scale="layer_mean")


def _dormant(tau: float) -> Preset:
    formula = f"mean |x| of the unit ≤ {tau:g} × mean |x| of the layer" if tau else "mean |x| = 0"
    source = "Sokar et al. 2023: the column “dormant”; in maps, of channels"
    return Preset(f"tau-dormant {tau:g}", formula, source, tau=tau)


_ALL: Final = (
    _absolute("exact zero", "x = 0", "APoZ, Hu et al. 2016", 0.0),
    _absolute("DNIKit", "|x| ≤ 1e-8", "DNIKit's Inactive Unit Analysis, 2023", 1e-8),
    _absolute("SAE", "|x| ≤ 1e-6", "dashboards of sparse autoencoders", 1e-6),
    _absolute("near zero", "|x| ≤ 0.05", "fastai's ActivationStats, unsigned", 0.05),
    _relative(
        "relative",
        "|x| ≤ 0.05 × layer mean |x|",
        "for nets without exact zeros: GELU, SiLU, tanh",
        0.05,
    ),
    _dormant(0.0),
    _dormant(0.025),
    _dormant(0.1),
    Preset(
        "rarely active",
        "dead from 99 % of probes",
        "SageMaker Debugger; Dohare et al. 2024",
        dead_at=0.99,
    ),
)


class Presets(Mapping[str, Preset]):
    """Tolerances by name, in the order of the page: ``iua.at(**PRESETS["SAE"].settings)``.

    Examples
    --------
    >>> list(PRESETS)[:3]
    ['exact zero', 'DNIKit', 'SAE']
    >>> PRESETS["SAE"].settings
    {'rtol': 0.0, 'atol': 1e-06}
    """

    def __init__(self, presets: Iterable[Preset]) -> None:
        self._presets = {preset.name: preset for preset in presets}

    def __getitem__(self, name: str) -> Preset:
        if name not in self._presets:
            raise KeyError(_no_preset(name))
        return self._presets[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._presets)

    def __len__(self) -> int:
        return len(self._presets)

    def __repr__(self) -> str:
        names = max(map(len, self)) + 2
        formulas = max(len(preset.formula) for preset in self.values()) + 2
        return "\n".join(
            f"{preset.name:{names}}{preset.formula:{formulas}}{preset.source}"
            for preset in self.values()
        )


PRESETS: Final = Presets(_ALL)
"""All presets by name, in the order of the page."""


def find_preset(name: object) -> Preset:
    """The preset of a name.

    Raises
    ------
    ToleranceError
        If there is none.

    Examples
    --------
    >>> find_preset("near zero").settings
    {'rtol': 0.0, 'atol': 0.05}
    """
    if isinstance(name, str) and name in PRESETS:
        return PRESETS[name]
    raise ToleranceError(_no_preset(name))


def _no_preset(name: object) -> str:
    there = ", ".join(map(repr, PRESETS))
    return f"no preset is called {name!r}: there are {there}.{did_you_mean(name, PRESETS)}"
