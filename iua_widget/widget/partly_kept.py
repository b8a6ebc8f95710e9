"""`PartlyKept`: a look of which not all counts are kept, packed for the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from iua_widget.history.history import History
from iua_widget.history.look import Look
from iua_widget.tolerances import Stops, Tolerances
from iua_widget.widget.comparison_snapshot import ResultBefore
from iua_widget.widget.look_snapshot import look_table, look_units
from iua_widget.widget.look_worst import look_worst
from iua_widget.widget.worst_snapshot import ranked_at


@dataclass(frozen=True, slots=True)
class PartlyKept:
    """A look of which not all counts are kept: what is dead in it is known for one `dead_at`.

    Attributes
    ----------
    look : Look
    stops : Stops
        Of its history.
    dead_at : float
        Of its history: taken in place of that of all tolerances given here.
    """

    look: Look
    stops: Stops
    dead_at: float

    @classmethod
    def of(cls, look: Look, history: History) -> PartlyKept:
        """A look of a history."""
        return cls(look, history.stops, history.dead_at)

    def table(self, tolerances: Tolerances, before: ResultBefore | None = None) -> bytes:
        """The layer table: see `look_table`."""
        return look_table(self.look, self.stops, self.at(tolerances), before)

    def units(
        self, layer: str, tolerances: Tolerances, before: ResultBefore | None = None
    ) -> bytes:
        """One layer's units: see `look_units`."""
        return look_units(self.look, layer, self.stops, self.at(tolerances), before)

    def ranked_at(self, tolerances: Tolerances) -> list[Tolerances]:
        """At which tolerances its worst units are listed, those on show first."""
        at = self.at(tolerances)
        return [at, *ranked_at({}, self.stops, at)]

    def worst(self, several: Sequence[Tolerances]) -> bytes:
        """The worst units at tolerances of `ranked_at`: see `look_worst`."""
        return look_worst(self.look, self.stops, several)

    def at(self, tolerances: Tolerances) -> Tolerances:
        """These tolerances, but for its own `dead_at`."""
        return replace(tolerances, dead_at=self.dead_at)
