"""`ComparedWith`: a result from before, that a widget compares with the one on show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from iua_widget.common.layer_names import choose_layers
from iua_widget.errors import ComparisonError, IUAError
from iua_widget.iua import IUA, iua_of, run_of
from iua_widget.reading.comparison import Compared, Comparison, comparison_notes
from iua_widget.reading.dead_from import DeadFrom, dead_exactly
from iua_widget.reading.recount import Recount
from iua_widget.reading.results import Reading
from iua_widget.reading.statistics import finite_probes
from iua_widget.run.compare import comparable, compared
from iua_widget.run.read import read
from iua_widget.run.run import Run
from iua_widget.tally.tally import Tally
from iua_widget.tolerances import Scale, Tolerances
from iua_widget.widget.comparison_snapshot import ResultBefore

_UNNAMED: Final = "another result"


class ComparedWith:
    """A result with which another is compared.

    Parameters
    ----------
    iua : IUA
    name : str
        What the page calls it; empty for the words it has where there is none.
    layers : str or iterable of str, optional
        Names of layers, or globs; all where left out.
    """

    def __init__(self, iua: IUA, name: str = "", layers: str | Iterable[str] | None = None) -> None:
        self.run, self.name = run_of(iua), name or _UNNAMED
        self._layers = layers if layers is None or isinstance(layers, str) else tuple(layers)
        self._lacks: str | None = None
        self._of_groups: dict[str, ComparedWith] = {}
        self._recount: Recount | None = None
        self._read_for: tuple[Any, ...] = ()
        self._read: ResultBefore | None = None

    @classmethod
    def given(
        cls, other: Any, name: str = "", layers: str | Iterable[str] | None = None
    ) -> ComparedWith:
        """What a user names: a result, or the file of one.

        Raises
        ------
        FileError
            If the file cannot be read.
        TypeError
            If it is neither.
        """
        if isinstance(other, (str, Path)):
            return cls(IUA.load(other), name or Path(other).name, layers)
        if not isinstance(other, IUA):
            message = (
                "compare takes the result that came before, an IUA or the path of a saved one, or "
                f"None to compare no more; got {type(other).__name__}. Of a widget `w` give "
                "`w.iua`, of a monitor `monitor.iua()`."
            )
            raise TypeError(message)
        return cls(other, name, layers)

    def of_group(self, group: str | None) -> ComparedWith:
        """It in a group of the probes, to compare with the same group; of all probes for None."""
        if group is None:
            return self
        if group not in self._of_groups:
            run = (self.run.groups or {}).get(group)
            one = ComparedWith(iua_of(self.run if run is None else run), self.name, self._layers)
            one._lacks = group if run is None else None
            self._of_groups[group] = one
        return self._of_groups[group]

    def check(self, after: Run) -> list[str]:
        """The layers that are compared; what cannot be compared is refused.

        Raises
        ------
        ComparisonError, LayerSelectionError, NoProbesError
            See `iua_widget.IUA.compare`; and if it was not counted for the group on show.
        """
        if self._lacks is not None:
            message = (
                f"the result before has no group {self._lacks!r}: count both by group, or compare "
                "all probes."
            )
            raise ComparisonError(message)
        return comparable(self.run, after, self._layers)

    def info(self, after: Run) -> dict[str, Any]:
        """What the page says of the comparison: with what, and why it is refused where it is."""
        refused = ""
        if after.probes:
            try:
                self.check(after)
            except IUAError as error:
                refused = str(error)
        return {"with": self.name, "probes": self.run.probes, "refused": refused}

    def check_counted(self) -> None:
        """Refuse a result of nothing: a NoProbesError."""
        with self.run.being_read():
            pass

    def reading(self, after: Run, at: Tolerances) -> Reading | None:
        """It at tolerances; None where it cannot be compared with what is on show."""
        try:
            layers = self.check(after)
        except IUAError:
            return None
        return read(self.run, at, layers)

    def comparison(self, after: Run, at: Tolerances) -> Comparison:
        """What became of the units, at tolerances."""
        self.check(after)
        return compared(self.run, after, self._layers, at)

    def read(
        self, at: Tolerances, *, scales: Sequence[Scale] = (), recount: Recount | None = None
    ) -> ResultBefore:
        """What the page needs of it; `recount` is that of the result on show."""
        chosen = set(choose_layers(self._layers, list(self.run.tallies)))
        with self.run.lock:
            run = self.run
            recounts = [given for given in (run.recount, recount) if given is not None]
            exact_at = [replace(given.tolerances, dead_at=at.dead_at) for given in recounts]
            over_rtol = (at.rtol, at.atol, *scales) if scales else ()
            read_for = (run.probes, chosen, at.dead_at, over_rtol, exact_at)
            same = read_for == self._read_for and run.recount is self._recount
            if self._read is None or not same:
                layers = {
                    name: DeadFrom.of(
                        tally,
                        at,
                        scales=scales,
                        exactly=dead_exactly(name, tally, exact_at, run.recount),
                    )
                    for name, tally in run.tallies.items()
                    if name in chosen
                }
                self._read = ResultBefore(run.options.grid.values, layers, exact_at)
                self._read_for, self._recount = read_for, run.recount
            return self._read


def notes_between(before: ResultBefore, after: Mapping[str, Tally]) -> list[str]:
    """What `Comparison.notes` tell, of layers that both have."""
    layers = {}
    for name, tally in after.items():
        then = before.layers.get(name)
        if then is None:
            continue
        reached = then.probes and tally.probes
        left_out = (~(then.known & (np.asarray(finite_probes(tally)) > 0))).sum() if reached else 0
        layers[name] = Compared(then.probes, tally.probes, int(left_out), then.kind, tally.kind)
    return comparison_notes(layers)
