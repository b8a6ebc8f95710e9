"""The result a widget shows, read at the tolerances on show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from iua_widget.iua import IUA, run_of
from iua_widget.tolerances import Tolerances


@dataclass(slots=True)
class OnShow:
    """The tolerances on show, which change."""

    tolerances: Tolerances


class IUAOnShow(IUA):
    """One and the same result as another `IUA`, with tolerances that follow a widget's.

    What is counted, recounted, saved or merged is the other's; only `tolerances` are those on
    show, and what is read without naming others is read at them.

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

    __slots__ = ("_on_show", "counted")

    counted: IUA
    """The result itself, with the tolerances it began with."""

    def __init__(self, iua: IUA, on_show: OnShow) -> None:
        # Not IUA's own: it has nothing but what it is read at.
        self.counted = iua.counted if isinstance(iua, IUAOnShow) else iua
        self._run = run_of(self.counted)
        self._on_show = on_show

    @property
    def tolerances(self) -> Tolerances:
        """Those on show."""
        return self._on_show.tolerances

    def __reduce__(self) -> tuple[Any, ...]:
        return IUAOnShow, (self.counted, self._on_show)

    def __eq__(self, other: object) -> bool:
        return self.counted is (other.counted if isinstance(other, IUAOnShow) else other)

    def __hash__(self) -> int:
        return hash(self.counted)
