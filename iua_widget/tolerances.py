"""Tolerances, and the stops of the tolerance grid, at which every count is exact."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Final, Literal, get_args

import numpy as np

from iua_widget.common.arithmetic import as_ieee
from iua_widget.common.plain_values import plain
from iua_widget.common.words import did_you_mean
from iua_widget.errors import ToleranceError

Scale = Literal["zero", "layer_mean", "unit_rms", "unit_max"]
"""What rtol is relative to: zero as in `numpy.isclose` and DNIKit, where it has no effect; the
layer's mean ``|x|``; the root of the unit's mean ``|x|**2``; or the unit's largest ``|x|``."""

SCALES: Final[tuple[Scale, ...]] = get_args(Scale)

DEFAULT_TAU: Final = 0.025
"""From here on down a unit is dormant, where nothing else is said: as in Sokar et al. (2023)."""

_COARSE: Final = ("1", "3")
_FINE: Final = ("1", "1.2", "1.5", "1.8", "2", "2.5", "3", "4", "5", "6", "7", "8")


def check_tolerance(name: str, value: object) -> float:
    """Return `value` as a float if it can serve as a tolerance.

    Parameters
    ----------
    name : str
        The name to use in the error, ``"rtol"`` or ``"atol"``.
    value : object
        A finite number, zero or more.

    Returns
    -------
    float

    Raises
    ------
    ToleranceError
        If `value` is not a number, negative, NaN or infinite.

    Examples
    --------
    >>> check_tolerance("atol", 1e-8)
    1e-08
    """
    given = plain(value)
    if isinstance(given, (bool, str, bytes, complex)) or getattr(given, "ndim", 0) > 0:
        number = math.nan
    else:
        try:
            number = float(given)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
    if not (math.isfinite(number) and number >= 0):
        message = (
            f"{name} must be a finite number, zero or more, such as {name}=0 or "
            f"{name}={DEFAULT_TAU if name == 'tau' else 1e-8:g}; got {value!r:.60}."
        )
        raise ToleranceError(message)
    return number + 0.0  # -0.0 becomes 0.0


def check_scale(value: object) -> Scale:
    """Return `value` if it names a scale that rtol can be relative to.

    Raises
    ------
    ToleranceError
        If `value` is none of `SCALES`.
    """
    named = plain(value)
    for scale in SCALES:
        if isinstance(named, str) and named == scale:
            return scale
    one_of = ", ".join(map(repr, SCALES))
    message = f"scale must be one of {one_of}; got {value!r}.{did_you_mean(named, SCALES)}"
    raise ToleranceError(message)


def check_dead_at(value: object, name: str = "dead_at") -> float:
    """Return `value` as a float if it can be the share of probes from which a unit is dead.

    Parameters
    ----------
    value : object
    name : str
        The name to use in the error.

    Raises
    ------
    ToleranceError
        If `value` is not a number above 0 and at most 1.
    """
    try:
        share = check_tolerance(name, value)
    except ToleranceError:
        share = 0.0
    if not 0 < share <= 1:
        message = (
            f"{name} must be above 0 and at most 1, such as {name}=1 for units that are inactive "
            f"on every probe, or 0.99 for those inactive on 99 % of them; got {value!r}."
        )
        raise ToleranceError(message)
    return share


def default_stops(*extra: float) -> tuple[float, ...]:
    """The default tolerance grid, with any further tolerances as stops of their own.

    Exact zero, then from 1e-8 to 10: two stops a decade up to 1e-4 and twelve a decade above.

    Parameters
    ----------
    *extra : float
        Tolerances at which counts must be exact too.

    Returns
    -------
    tuple of float
        Ascending, without repeats, beginning with 0.0.

    Raises
    ------
    ToleranceError
        If one of `extra` is not a finite number, zero or more.

    Examples
    --------
    >>> stops = default_stops(2e-8)
    >>> stops[:4], len(stops)
    ((0.0, 1e-08, 2e-08, 3e-08), 71)
    """
    coarse = [float(f"{digits}e{power}") for power in range(-8, -4) for digits in _COARSE]
    fine = [float(f"{digits}e{power}") for power in range(-4, 1) for digits in _FINE]
    return tuple(sorted({0.0, *coarse, *fine, 10.0, *_checked_stops(extra)}))


def _checked_stops(stops: Iterable[object]) -> Iterator[float]:
    for stop in stops:
        try:
            yield check_tolerance("stops", stop)
        except ToleranceError:
            message = (
                "stops must be finite numbers, zero or more, such as stops=[0, 1e-3, 0.05]; got "
                f"{stop!r:.60} among them."
            )
            raise ToleranceError(message) from None


@dataclass(frozen=True, slots=True)
class Tolerances:
    """When a unit is inactive on a probe, and when it is dead.

    Parameters
    ----------
    rtol, atol : float
        A unit is inactive where ``abs(x) <= atol + rtol * scale``.
    scale : {"zero", "layer_mean", "unit_rms", "unit_max"}
        What `rtol` is relative to.
    dead_at : float
        A unit is dead that is inactive on at least this share of its finite probes.
    tau : float
        A unit, in maps a channel, is dormant whose mean ``abs(x)`` is at most this times the mean
        of its layer (Sokar et al. 2023).

    Raises
    ------
    ToleranceError
        If a number is negative, NaN, infinite or none, `dead_at` is not above 0 and at most 1, or
        there is no such scale: give what the message says.

    Examples
    --------
    >>> Tolerances(rtol=0.1, atol=0.0, scale="unit_max", dead_at=0.99).probes_needed(1000)
    990
    """

    rtol: float = 1e-05
    atol: float = 1e-08
    scale: Scale = "zero"
    dead_at: float = 1.0
    tau: float = DEFAULT_TAU

    def __post_init__(self) -> None:
        set_field = object.__setattr__  # the class is frozen
        set_field(self, "rtol", check_tolerance("rtol", self.rtol))
        set_field(self, "atol", check_tolerance("atol", self.atol))
        set_field(self, "scale", check_scale(self.scale))
        set_field(self, "dead_at", check_dead_at(self.dead_at))
        set_field(self, "tau", check_tolerance("tau", self.tau))

    @property
    def in_words(self) -> str:
        """Them as text, without tau, and without `dead_at` where that is every probe.

        Examples
        --------
        >>> Tolerances(atol=0.5, dead_at=0.9).in_words
        "rtol=1e-05, atol=0.5, scale='zero', dead_at=0.9"
        """
        share = "" if self.dead_at == 1 else f", dead_at={self.dead_at:g}"
        return f"rtol={self.rtol:g}, atol={self.atol:g}, scale={self.scale!r}{share}"

    def but(self, **given: Any) -> Tolerances:
        """These, with those given in their place; what is None stays.

        Parameters
        ----------
        **given : float or str or None
            By name, as for the class.

        Returns
        -------
        Tolerances

        Raises
        ------
        ToleranceError
            If one of those given cannot be used.

        Examples
        --------
        >>> Tolerances().but(atol=0.5, scale=None)
        Tolerances(rtol=1e-05, atol=0.5, scale='zero', dead_at=1.0, tau=0.025)
        """
        return replace(self, **{name: one for name, one in given.items() if one is not None})

    @property
    def uniform(self) -> bool:
        """Whether `atol` is the threshold of every unit of every layer."""
        return self.scale == "zero" or not self.rtol

    @property
    def per_unit(self) -> bool:
        """Whether every unit has a threshold of its own."""
        return not self.uniform and self.scale != "layer_mean"

    def probes_needed(self, probes: int) -> int:
        """On how many of its finite `probes` a unit must be inactive to be dead: at least one.

        It is ``dead_at * probes`` in exact arithmetic, rounded up. `dead_at` stands for the
        decimal number it prints as: 0.07 of 100 probes are 7, though the float is a little more.

        Parameters
        ----------
        probes : int

        Returns
        -------
        int

        Examples
        --------
        >>> Tolerances(dead_at=0.07).probes_needed(100)
        7
        """
        return max(1, math.ceil(Fraction(repr(self.dead_at)) * probes))


def same_thresholds(one: Tolerances, other: Tolerances) -> bool:
    """Whether the same units are inactive at both."""
    if one.uniform and other.uniform:
        return one.atol == other.atol
    return (one.rtol, one.atol, one.scale) == (other.rtol, other.atol, other.scale)


@dataclass(frozen=True, slots=True)
class Bracket:
    """Where a threshold falls among the columns of a tally.

    Attributes
    ----------
    lower, upper : int
        Columns whose counts bound the count at the threshold. They are equal when the threshold is
        a stop. Column ``len(stops)`` stands for "any finite value", the bound above the last stop.
    """

    lower: int
    upper: int

    @property
    def exact(self) -> bool:
        """Whether the threshold is a stop, so that both columns are one."""
        return self.lower == self.upper


class Stops:
    """The stops of a tolerance grid: ascending tolerances, the first of them 0.

    Parameters
    ----------
    values : iterable of float
        Finite numbers, zero or more, in any order. 0 is added where it is missing.

    Raises
    ------
    ToleranceError
        If a value is not a finite number, zero or more.

    Examples
    --------
    >>> stops = Stops([1e-3, 1e-8])
    >>> stops.values
    (0.0, 1e-08, 0.001)
    >>> stops.locate(1e-5)
    Bracket(lower=1, upper=2)
    """

    @as_ieee
    def __init__(self, values: Iterable[float]) -> None:
        self.values: tuple[float, ...] = tuple(sorted({0.0, *_checked_stops(values)}))
        self._thresholds: dict[np.dtype[np.floating], np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.values)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stops) and self.values == other.values

    def __hash__(self) -> int:
        return hash(self.values)

    def __repr__(self) -> str:
        return f"Stops({list(self.values)!r})"

    @as_ieee
    def locate(self, threshold: float) -> Bracket:
        """Find the columns that bound the counts at `threshold`.

        Parameters
        ----------
        threshold : float
            A tolerance in the responses' own units, zero or more.

        Returns
        -------
        Bracket
        """
        lower = bisect.bisect_right(self.values, threshold) - 1
        return Bracket(lower, lower if self.values[lower] == threshold else lower + 1)

    @as_ieee
    def thresholds(self, dtype: np.dtype[np.floating]) -> np.ndarray:
        """The stops in a response's own dtype, as `numpy.isclose` compares them.

        NumPy rounds a Python float to the array's dtype before it compares (NEP 50): in float16,
        1e-8 becomes 0 and 1e6 becomes infinity.

        Parameters
        ----------
        dtype : numpy.dtype
            A real floating dtype.

        Returns
        -------
        numpy.ndarray of `dtype`, shape (len(self),)
        """
        if dtype not in self._thresholds:
            self._thresholds[dtype] = np.array(self.values, dtype=np.float64).astype(dtype)
        return self._thresholds[dtype]


def locate_each(stops: np.ndarray, thresholds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the columns that bound the counts at each threshold: `Stops.locate` for many.

    Parameters
    ----------
    stops : numpy.ndarray of float64, shape (stops,)
        Ascending from 0.
    thresholds : numpy.ndarray of float64
        Zero or more.

    Returns
    -------
    lower, upper : numpy.ndarray of int64, of the shape of the thresholds
        The same where a threshold is a stop.

    Examples
    --------
    >>> lower, upper = locate_each(np.array([0.0, 0.5, 1.0]), np.array([0.5, 0.7, 2.0]))
    >>> lower.tolist(), upper.tolist()
    ([1, 1, 2], [1, 2, 3])
    """
    lower = np.searchsorted(stops, thresholds, side="right") - 1
    return lower, lower + (stops[lower] != thresholds)
