"""The result a widget shows, read at the tolerances on show."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, fields
from typing import Any, Final

from iua_widget.iua import IUA
from iua_widget.sources.source import Source
from iua_widget.tolerances import Tolerances

_TOLERANCES: Final = frozenset(field.name for field in fields(Tolerances))


@dataclass(slots=True)
class OnShow:
    """The tolerances on show, which change."""

    tolerances: Tolerances


class IUAOnShow(IUA):
    """One and the same result as another `IUA`, with tolerances that follow a widget's.

    What is counted, recounted, saved or merged is the other's; only `rtol`, `atol`, `scale`,
    `dead_at` and `tau` are those on show, and what is read without naming others is read at
    them.

    Parameters
    ----------
    iua : IUA
        It keeps its own tolerances.
    on_show : OnShow

    Examples
    --------
    >>> import numpy as np
    >>> iua = IUA.introspect({"relu": np.array([[0.0, 0.5], [0.0, 0.0]])})
    >>> shown = IUAOnShow(iua, OnShow(Tolerances(0.0, 0.5, "zero")))
    >>> shown.results["relu"].dead, iua.results["relu"].dead
    (2, 1)
    """

    def __init__(self, iua: IUA, on_show: OnShow) -> None:
        # Not IUA's own: it has nothing but what it is read at.
        base = iua.counted if isinstance(iua, IUAOnShow) else iua
        self.__dict__.update(counted=base, _on_show=on_show)

    counted: IUA
    """The result itself, with the tolerances it began with."""

    _on_show: OnShow

    def __getattribute__(self, name: str) -> Any:
        if name in _TOLERANCES:
            return getattr(self._on_show.tolerances, name)
        return super().__getattribute__(name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["counted"], name)

    def __setattr__(self, name: str, value: object) -> None:
        if name in _TOLERANCES:
            message = f"`{name}` follows the widget: set it there, as in w.{name} = {value!r}."
            raise AttributeError(message)
        setattr(self.counted, name, value)

    def __reduce__(self) -> tuple[Any, ...]:
        return IUAOnShow, (self.counted, self._on_show)

    def __eq__(self, other: object) -> bool:
        return self.counted is (other.counted if isinstance(other, IUAOnShow) else other)

    def __hash__(self) -> int:
        return hash(self.counted)

    def count(self, source: Source, *, onward: bool = False) -> Generator[int]:
        """Count on, as `IUA.count`."""
        return self.counted.count(source, onward=onward)

    def _settings(self) -> dict[str, Any]:
        return self.counted._settings()  # noqa: SLF001  (of its own class)
