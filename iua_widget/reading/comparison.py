"""What differs between two results of one architecture: units newly dead, revived, dead in both."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from iua_widget.common.arguments import known_arguments_only
from iua_widget.common.layer_names import unknown_layer
from iua_widget.common.words import listed, named
from iua_widget.reading.layer_comparison import LayerComparison, compare_layers
from iua_widget.reading.results import Reading
from iua_widget.reading.show import TABLE, shown_as
from iua_widget.tolerances import Scale, Tolerances

if TYPE_CHECKING:
    import pandas as pd


class Compared(NamedTuple):
    """What notes on a comparison tell of one layer."""

    probes_before: int
    probes_after: int
    units_left_out: int
    kind_before: str
    kind_after: str


def comparison_notes(layers: Mapping[str, Compared]) -> list[str]:
    """What a reader should know of layers that are compared: see `Comparison.notes`."""
    notes = []
    for when, place in (("before", 0), ("after", 1)):
        missed = [name for name, layer in layers.items() if not layer[place]]
        if missed:
            notes.append(f"No probe reached {named(missed)} {when}: nothing is compared there.")
    left_out = {
        name: layer.units_left_out
        for name, layer in layers.items()
        if layer.probes_before and layer.probes_after
    }
    if odd := [f"{name!r} ({units:,})" for name, units in left_out.items() if units]:
        notes.append(
            f"Units finite on no probe, before or after, in {listed(odd)}: they are not "
            "compared, and neither newly dead nor revived."
        )
    other_kind = [
        f"{name!r} ({layer.kind_before} before, {layer.kind_after} after)"
        for name, layer in layers.items()
        if layer.kind_before != layer.kind_after
    ]
    if other_kind:
        notes.append(f"Not made by the same in both: {listed(other_kind)}.")
    return notes


@dataclass(frozen=True)
class Comparison:
    """Two results of one architecture at one set of tolerances: what `IUA.compare` returns.

    It is read like a mapping of layer to `LayerComparison`: ``comparison["relu"]``,
    ``len(comparison)``, ``"relu" in comparison``, ``for layer in comparison``. What it says stays
    as it is, though a run counts on; `at` reads both at other tolerances, without another run, and
    as they are then.

    Attributes
    ----------
    results : mapping of str to LayerComparison
        In the order of the network.
    tolerances : Tolerances
        What both were read at. With a scale other than zero, rtol is relative in each of them to
        its own: to the layer's mean before, and to that after.

    Examples
    --------
    >>> from iua_widget import IUA
    >>> before = IUA.introspect({"relu": np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])})
    >>> after = IUA.introspect({"relu": np.array([[2.0, 0.0, 0.0]])})
    >>> before.compare(after)
    Comparison(1 layer at rtol=1e-05, atol=1e-08, scale='zero': 1 newly dead, 1 revived, exact)
    >>> before.compare(after).at(atol=1.0)["relu"].newly_dead.any()
    np.False_
    """

    results: Mapping[str, LayerComparison]
    tolerances: Tolerances
    _read: Callable[[Tolerances], tuple[Reading, Reading]] = field(repr=False, compare=False)

    @classmethod
    def reading(
        cls, read: Callable[[Tolerances], tuple[Reading, Reading]], tolerances: Tolerances
    ) -> Comparison:
        """The comparison of what `read` gives, before and after, at tolerances.

        Parameters
        ----------
        read : callable
            Gives two readings of the same layers: see `iua_widget.run.compare`.
        tolerances : Tolerances

        Returns
        -------
        Comparison
        """
        before, after = read(tolerances)
        results = {
            name: compare_layers(result, after.results[name])
            for name, result in before.results.items()
        }
        return cls(results, tolerances, read)

    def __repr__(self) -> str:
        sums = [
            sum(int(mask.sum()) for mask in masks.values())
            for masks in (self.newly_dead, self.revived)
        ]
        told = f"{sums[0]:,} newly dead, {sums[1]:,} revived"
        return (
            f"Comparison({len(self)} layer{'' if len(self) == 1 else 's'} at "
            f"{self.tolerances.in_words}: "
            f"{f'{told}, exact' if self.exact else f'at least {told}, between stops'})"
        )

    def _repr_html_(self) -> str:
        return str(self.to_pandas().to_html(max_rows=60, notebook=True))

    def __len__(self) -> int:
        return len(self.results)

    def __iter__(self) -> Iterator[str]:
        return iter(self.results)

    def __contains__(self, layer: object) -> bool:
        return layer in self.results

    def __getitem__(self, layer: str) -> LayerComparison:
        if layer not in self.results:
            raise unknown_layer(layer, list(self.results))
        return self.results[layer]

    def keys(self) -> list[str]:
        """The names of the layers, so that ``dict(comparison)`` has the comparison of each.

        Returns
        -------
        list of str
        """
        return list(self.results)

    @property
    def exact(self) -> bool:
        """Whether both results are exact in every layer."""
        return all(result.exact for result in self.results.values())

    @property
    def newly_dead(self) -> dict[str, np.ndarray]:
        """Of every layer which units are newly dead: see `LayerComparison.newly_dead`."""
        return {name: result.newly_dead for name, result in self.results.items()}

    @property
    def revived(self) -> dict[str, np.ndarray]:
        """Of every layer which units revived: see `LayerComparison.revived`."""
        return {name: result.revived for name, result in self.results.items()}

    @property
    def dead_in_both(self) -> dict[str, np.ndarray]:
        """Of every layer which units are dead in both: see `LayerComparison.dead_in_both`."""
        return {name: result.dead_in_both for name, result in self.results.items()}

    @property
    def notes(self) -> list[str]:
        """What a reader should know beside the figures: one sentence or two each.

        Layers that no probe reached in one of the two, units that were finite on no probe, and
        layers that something else makes after than before. What there is to know of each result by
        itself is in its own `IUA.notes`.

        Returns
        -------
        list of str

        Examples
        --------
        >>> from iua_widget import IUA
        >>> before, after = (IUA.introspect({"relu": np.zeros((2, 3))}) for _ in range(2))
        >>> before.compare(after).notes
        []
        """
        return comparison_notes(
            {
                name: Compared(
                    result.before.probes,
                    result.after.probes,
                    int(result.compared.size - result.compared.sum()),
                    result.before.kind,
                    result.after.kind,
                )
                for name, result in self.results.items()
            }
        )

    @known_arguments_only
    def at(
        self,
        *,
        atol: float | None = None,
        rtol: float | None = None,
        scale: Scale | None = None,
        dead_at: float | None = None,
    ) -> Comparison:
        """Compare the same two results at other tolerances, without another run.

        Parameters
        ----------
        atol, rtol, scale, dead_at
            As in `IUA.at`; those of this comparison where left out.

        Returns
        -------
        Comparison
            Exact where both results are: each is read on its own grid of stops, at the threshold
            itself where that is one of them, and within bounds where it is not.

        Raises
        ------
        ToleranceError
            If a tolerance is no finite number, zero or more, or there is no such scale: give one
            of those that the message names.

        Examples
        --------
        >>> from iua_widget import IUA
        >>> before = IUA.introspect({"relu": np.array([[0.3, 1.0]])})
        >>> after = IUA.introspect({"relu": np.array([[0.05, 1.0]])})
        >>> comparison = before.compare(after)
        >>> comparison["relu"].newly_dead, comparison.at(atol=0.1)["relu"].newly_dead
        (array([False, False]), array([ True, False]))
        """
        at = self.tolerances.but(atol=atol, rtol=rtol, scale=scale, dead_at=dead_at)
        return Comparison.reading(self._read, at)

    def to_pandas(self, response_names: str | Iterable[str] | None = None) -> pd.DataFrame:
        """The layers, one row a layer in the order of the network.

        Parameters
        ----------
        response_names : str or iterable of str, optional
            The layers to show; all by default.

        Returns
        -------
        pandas.DataFrame
            Columns: ``response``, as DNIKit calls the layer; ``units``; ``dead units before`` and
            ``dead units after``; ``newly dead``, ``revived`` and ``dead in both``, of the units
            compared; ``inactive share before``, ``inactive share after`` and ``change of inactive
            share``, the second less the first; ``kind``, ``unit`` (what one is), ``probes before``
            and ``probes after``. Where a channel of some layer has several units, also
            ``channels``, ``newly dead channels``, ``revived channels`` and ``channels dead in
            both``; where units were finite on no probe in one of the two, ``not compared``, how
            many. Where figures are not exact, there are ``... upper`` of all that can be more: the
            true figure lies between. Of a layer that no probe reached in one of the two there is
            nothing to say: what would compare it is missing (NaN, or ``<NA>`` in columns that are
            then of dtype ``Int64``).

        Raises
        ------
        LayerSelectionError
            If a name is not among the layers, or none is asked for.

        Examples
        --------
        >>> from iua_widget import IUA
        >>> before = IUA.introspect({"relu": np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])})
        >>> after = IUA.introspect({"relu": np.array([[2.0, 0.0, 0.0]])})
        >>> before.compare(after).to_pandas()[["response", "newly dead", "revived"]]
          response  newly dead  revived
        0     relu           1        1
        """
        from iua_widget.reading.comparison_tables import layer_table

        return layer_table(self.results, response_names)

    def units(self, layer: str) -> pd.DataFrame:
        """One layer's units, one row a unit.

        Parameters
        ----------
        layer : str
            One of those compared.

        Returns
        -------
        pandas.DataFrame
            Columns: ``unit`` (index in C order), one column for each axis of a response of several
            axes, as in `IUA.units`; ``dead before``, ``dead after``; ``newly dead``, ``revived``,
            ``dead in both``; ``inactive share before``, ``inactive share after``, ``change of
            inactive share``; ``compared``, False where the unit was finite on no probe in one of
            the two: then the change is NaN, and the three are False. Where counts are not exact
            also ``... upper`` of all these.

        Raises
        ------
        LayerSelectionError
            If there is no such layer: the message has the names that come nearest.

        Examples
        --------
        >>> from iua_widget import IUA
        >>> before = IUA.introspect({"relu": np.array([[0.0, 1.0], [0.0, 0.0]])})
        >>> after = IUA.introspect({"relu": np.array([[2.0, 0.0]])})
        >>> before.compare(after).units("relu")[["unit", "newly dead", "revived"]]
           unit  newly dead  revived
        0     0       False     True
        1     1        True    False
        """
        from iua_widget.reading.comparison_tables import unit_table

        return unit_table(self[layer])

    def channels(self, layer: str) -> pd.DataFrame:
        """One layer's channels, one row a channel: dead is one of which every unit is.

        Parameters
        ----------
        layer : str
            One of those compared.

        Returns
        -------
        pandas.DataFrame
            Columns: ``channel``, ``units`` in it, ``newly dead units`` and ``revived units`` among
            them, ``dead before``, ``dead after``, ``newly dead``, ``revived``, ``dead in both``,
            ``compared`` (every unit of it was); where counts are not exact also ``... upper`` of
            these. Where a channel is one unit, the columns of `units`.

        Raises
        ------
        LayerSelectionError
            If there is no such layer: the message has the names that come nearest.

        Examples
        --------
        >>> from iua_widget import IUA
        >>> before, after = np.zeros((2, 5, 2, 4, 4))  # probes, channels, rows, columns
        >>> before[3, :, 2, 2] = after[3, 1, 2, 2] = 1
        >>> comparison = IUA.introspect({"conv": before}).compare(IUA.introspect({"conv": after}))
        >>> comparison.channels("conv")[["units", "newly dead units", "newly dead"]]
           units  newly dead units  newly dead
        0     16                 1        True
        1     16                 0       False
        """
        from iua_widget.reading.comparison_tables import channel_table

        return channel_table(self[layer])

    @known_arguments_only
    def show(
        self, *, vis_type: str = TABLE, response_names: str | Iterable[str] | None = None
    ) -> Any:
        """Show it as a table or as pictures of the units, as `IUA.show` does.

        Parameters
        ----------
        vis_type : {IUA.VisType.TABLE, IUA.VisType.CHART}
        response_names : str or iterable of str, optional
            The layers to show; all by default.

        Returns
        -------
        pandas.DataFrame
            For a table: see `to_pandas`.
        altair.Chart or numpy.ndarray of altair.Chart
            For charts: one picture for one layer, an array of them for several. Each unit has the
            color of what became of it.

        Raises
        ------
        LayerSelectionError
            A ValueError: if a layer is not there, or none is asked for.
        ValueError
            If `vis_type` is neither.

        Examples
        --------
        >>> from iua_widget import IUA
        >>> before = IUA.introspect({"relu": np.array([[0.0, 1.0], [0.0, 0.0]])})
        >>> after = IUA.introspect({"relu": np.array([[2.0, 0.0]])})
        >>> type(before.compare(after).show(vis_type=IUA.VisType.CHART)).__name__
        'Chart'
        """

        def pictures() -> Any:
            from iua_widget.reading.comparison_charts import pictures_of_changes

            return pictures_of_changes(self.results, response_names)

        return shown_as(vis_type, table=lambda: self.to_pandas(response_names), chart=pictures)
