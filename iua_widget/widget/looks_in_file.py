"""What a file holds of a history: the timeline, lives of units, and other looks to show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from iua_widget.common.arithmetic import as_ieee
from iua_widget.history.history import History
from iua_widget.history.look import Look
from iua_widget.run.run import Run
from iua_widget.tolerances import Tolerances
from iua_widget.widget.history_snapshot import spread_looks
from iua_widget.widget.life_snapshot import life_snapshot
from iua_widget.widget.look_snapshot import dead_snapshot
from iua_widget.widget.looks_on_show import LooksOnShow
from iua_widget.widget.partly_kept import PartlyKept
from iua_widget.widget.snapshots import table_snapshot, units_snapshot
from iua_widget.widget.worst_snapshot import worst_snapshot

_FIGURE_BYTES = 24
"""Of a layer at a column: its mean, deviation, and dead units."""
_UNIT_BYTES = 6


@dataclass(frozen=True, slots=True)
class LookInFile:
    """One look in a file: several snapshots, one after another.

    Attributes
    ----------
    step, inputs : int
    snapshots : mapping of str to bytes
        ``table``, ``worst``, ``dead``, and ``units`` with the number of each layer.
    """

    step: int
    inputs: int
    snapshots: Mapping[str, bytes]

    @property
    def data(self) -> bytes:
        """All of them."""
        return b"".join(self.snapshots.values())

    @property
    def ends(self) -> dict[str, int]:
        """Where each ends."""
        sizes = [len(snapshot) for snapshot in self.snapshots.values()]
        return dict(zip(self.snapshots, accumulate(sizes), strict=True))


@dataclass(frozen=True, slots=True)
class HistoryInFile:
    """What a file holds of a history.

    Attributes
    ----------
    timeline : bytes
    lives : dict of str to bytes
        By layer.
    looks : list of LookInFile
    """

    timeline: bytes
    lives: dict[str, bytes] = field(default_factory=dict)
    looks: list[LookInFile] = field(default_factory=list)


@as_ieee
def history_in_file(
    on_show: LooksOnShow, layers: Sequence[str], tolerances: Tolerances, limit: int
) -> HistoryInFile:
    """What of a history fits a file: of very many looks some, evenly apart.

    Parameters
    ----------
    on_show : LooksOnShow
    layers : sequence of str
        Those of the look on show.
    tolerances : Tolerances
        On show.
    limit : int
        Bytes for all of it, before compression.
    """
    history = on_show.history
    with history.lock:
        looks = [look for look in history.looks if look.layers == list(layers)]
        whole, staying = dict(history.whole), {event.step for event in history.events}
    if on_show.shown.look is not None:
        staying.add(on_show.shown.look.step)
    timeline = on_show.snapshots.pack(tolerances, limit // 6).data
    life_bytes = limit // 6 // max(len(layers), 1)
    lives = {layer: life_snapshot(history, layer, (), life_bytes) for layer in layers}
    room = 2 * limit // 3
    if sum(run.nbytes for run in whole.values()) > room // 2:
        whole = {}
    each = max((_bytes_of(look) for look in looks), default=1)
    kept = spread_looks(looks, max(room // each, 2), staying)
    entries = [
        _in_file(looks[place], whole.get(looks[place].step), history, tolerances) for place in kept
    ]
    return HistoryInFile(timeline, lives, entries)


def _bytes_of(look: Look) -> int:
    return look.mean.size * _FIGURE_BYTES + len(look.dead_from) * _UNIT_BYTES


def _in_file(look: Look, run: Run | None, history: History, tolerances: Tolerances) -> LookInFile:
    snapshots: dict[str, bytes] = {}
    if run is None:
        partly = PartlyKept.of(look, history)
        snapshots["table"] = partly.table(tolerances)
        snapshots["worst"] = partly.worst(partly.ranked_at(tolerances))
        for number, name in enumerate(look.layers):
            snapshots[f"units {number}"] = partly.units(name, tolerances)
    else:
        tallies, grid = run.tallies, run.options.grid
        snapshots["table"] = table_snapshot(tallies, grid, tolerances)
        snapshots["worst"] = worst_snapshot(tallies, [tolerances], None)
        for number, (name, tally) in enumerate(tallies.items()):
            budget = run.nbytes
            snapshots[f"units {number}"] = units_snapshot(name, tally, tolerances, budget)
    snapshots["dead"] = dead_snapshot(look, history.stops, history.dead_at)
    return LookInFile(look.step, look.inputs, snapshots)
