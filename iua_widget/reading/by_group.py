"""One layer's units in each group of the probes: where each is inactive, and what it answers to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from iua_widget.common.arithmetic import as_ieee
from iua_widget.common.text_column import text_column
from iua_widget.common.words import did_you_mean
from iua_widget.reading.bounds import read_bounds
from iua_widget.reading.results import shares
from iua_widget.reading.statistics import finite_probes, unit_mean_abs
from iua_widget.reading.tables import axes_of_units
from iua_widget.tally.tally import Tally
from iua_widget.tolerances import Tolerances

if TYPE_CHECKING:
    import pandas as pd

FIGURES: Final = ("inactive share", "mean |x|")
"""What there is of each unit in each group."""


@dataclass(frozen=True, slots=True)
class UnitsByGroup:
    """The units of one layer in each group of the probes.

    Attributes
    ----------
    names : tuple of str
        Of the groups, in their order.
    inactive, inactive_upper : numpy.ndarray of float64, shape (groups, units)
        Bounds on the share of the group's probes on which the unit was inactive; the same where
        `exact`. NaN in a group of which no probe has reached the layer.
    active : numpy.ndarray of float64, shape (groups, units)
        Share of its finite probes on which it was active; NaN where it was finite on none.
    mean_abs : numpy.ndarray of float64, shape (groups, units)
        Mean finite ``abs(x)``; NaN where there is none.
    dead : numpy.ndarray of bool, shape (groups, units)
        Whether it is dead in the group.
    known : numpy.ndarray of bool, shape (groups, units)
        Whether it was finite on a probe of the group at all.
    exact : bool
    """

    names: tuple[str, ...]
    inactive: np.ndarray
    inactive_upper: np.ndarray
    active: np.ndarray
    mean_abs: np.ndarray
    dead: np.ndarray
    known: np.ndarray
    exact: bool

    @property
    def dead_only_in(self) -> np.ndarray:
        """The one group in which a unit is dead while it is not in others: -1 where there is none.

        Returns
        -------
        numpy.ndarray of int64, shape (units,)
        """
        return _only(self.dead, self.known & ~self.dead)

    @property
    def active_only_in(self) -> np.ndarray:
        """The one group in which it is not dead while it is dead in others, likewise."""
        return _only(self.known & ~self.dead, self.dead)

    def answers_to(self, by: str = FIGURES[0]) -> np.ndarray:
        """The group in which a unit is active the most, or has the largest mean ``abs(x)``.

        Equals are told apart by the other of the two; -1 where it is active, or other than zero, in
        none.

        Returns
        -------
        numpy.ndarray of int64, shape (units,)
        """
        first, second = self._ranked_by(by)
        largest = first.max(axis=0, initial=0)
        among = np.where(first == largest, second, -1)
        most = among.argmax(axis=0) if len(among) else -1
        return np.where(largest > 0, most, -1)

    def selectivity(self, by: str = FIGURES[0]) -> np.ndarray:
        """How much more a unit answers to one group than to the others: 0 to 1.

        ``(m - r) / (m + r)``, with ``m`` the largest of the groups' active shares (or mean
        ``abs(x)``), and ``r`` the mean over the other groups: Morcos et al. 2018, who take the mean
        activity.

        Returns
        -------
        numpy.ndarray of float64, shape (units,)
            NaN where it is active in no group, or there are no two.
        """
        first, _ = self._ranked_by(by)
        many = self.known.sum(axis=0)
        largest = first.max(axis=0, initial=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            rest = (first.sum(axis=0) - largest) / (many - 1)
            index = (largest - rest) / (largest + rest)
        return np.where((many > 1) & (largest > 0), np.clip(index, 0, 1), np.nan)

    def _ranked_by(self, by: str) -> tuple[np.ndarray, np.ndarray]:
        """What ranks groups, and what tells equals apart; 0 where it is not known."""
        figures = np.nan_to_num(self.active), np.nan_to_num(self.mean_abs)
        return figures if by == FIGURES[0] else figures[::-1]


@as_ieee
def units_by_group(
    groups: Mapping[str, Tally | None], units: int, tolerances: Tolerances
) -> UnitsByGroup:
    """Read one layer in each group.

    Parameters
    ----------
    groups : mapping of str to Tally or None
        What was counted of the layer in each group; None where none of its probes has reached it.
    units : int
        Of the layer.
    tolerances : Tolerances
    """
    shape = len(groups), units
    lower, upper, active, mean_abs = (np.full(shape, np.nan) for _ in range(4))
    dead, known = np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
    exact = True
    for row, tally in enumerate(groups.values()):
        if tally is None or not tally.probes:
            continue
        bounds, finite = read_bounds(tally, tolerances), np.asarray(finite_probes(tally))
        lower[row] = shares(bounds.lower, tally.probes)
        upper[row] = shares(bounds.upper, tally.probes)
        known[row], dead[row] = finite > 0, bounds.dead
        active[row] = (finite - bounds.lower) / np.where(finite > 0, finite, np.nan)
        mean_abs[row] = unit_mean_abs(tally)
        exact = exact and bounds.exact
    return UnitsByGroup(tuple(groups), lower, upper, active, mean_abs, dead, known, exact)


def group_table(
    groups: Mapping[str, Tally | None], tally: Tally, tolerances: Tolerances, by: object
) -> pd.DataFrame:
    """One row a unit; columns as `IUA.by_group` says.

    Raises
    ------
    ValueError
        If there is no such figure.
    """
    import pandas as pd

    figure = _checked(by)
    read = units_by_group(groups, tally.units, tolerances)
    cells = read.inactive if figure == FIGURES[0] else read.mean_abs
    columns: dict[str, object] = {"unit": np.arange(tally.units)}
    columns |= axes_of_units(tally.unit_shape, tally.channel_axis)
    columns |= {
        "answers to": _named(read.answers_to(figure), read.names),
        "selectivity": read.selectivity(figure),
        "dead groups": read.dead.sum(axis=0),
        "dead only in": _named(read.dead_only_in, read.names),
        "active only in": _named(read.active_only_in, read.names),
    }
    for name, row, upper in zip(read.names, cells, read.inactive_upper, strict=True):
        heading = f"group {name}" if name in columns else name
        columns[heading] = row
        if not read.exact and figure == FIGURES[0]:
            columns[f"{heading} upper"] = upper
    return pd.DataFrame(columns)


def _only(ones: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Where there is one of these in a column, and the rest are others: which row; -1 elsewhere."""
    only = (ones.sum(axis=0) == 1) & others.any(axis=0)
    return np.where(only, ones.argmax(axis=0) if len(ones) else -1, -1)


def _named(places: np.ndarray, names: Sequence[str]) -> pd.Series[str]:
    """The groups of these places as a column, "" for none."""
    known = np.array([*names, ""], dtype=object)
    return text_column(known[places])


def _checked(by: object) -> str:
    if isinstance(by, str) and by in FIGURES:
        return by
    message = (
        f"by must be {FIGURES[0]!r} or {FIGURES[1]!r}; got {by!r:.60}.{did_you_mean(by, FIGURES)}"
    )
    raise ValueError(message)
