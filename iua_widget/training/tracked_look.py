"""`TrackedLook`: what trackers are sent of a look: six figures of the network, and histograms."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import numpy as np

from iua_widget.common.layer_names import choose_layers
from iua_widget.errors import IUAError
from iua_widget.history.look import Look
from iua_widget.history.look_figures import LookFigures, look_figures
from iua_widget.iua import IUA, run_of
from iua_widget.tolerances import Stops
from iua_widget.training.magnitude_histogram import MagnitudeHistogram
from iua_widget.training.monitor import IUAMonitor

MOST_HISTOGRAMS: Final = 50
"""Layers whose histograms are sent where none are named."""


@dataclass(frozen=True, slots=True, eq=False)
class TrackedLook:
    """A look, as trackers are sent it.

    Attributes
    ----------
    look : Look
    figures : LookFigures
        At the tolerances of the monitor, or of the result.
    stops : Stops
    """

    look: Look
    figures: LookFigures
    stops: Stops

    @classmethod
    def of(cls, looked: Any, step: int | None = None) -> TrackedLook:
        """A look of a monitor, or a result as if it were one.

        Parameters
        ----------
        looked : IUAMonitor or IUA
        step : int, optional
            Of a monitor the step of the look, by default of the last one; of a result the one to
            send it at.

        Raises
        ------
        IUAError
            If there is no look, or none at the step.
        TypeError
            If it is neither.
        """
        if isinstance(looked, IUA):
            with run_of(looked).being_read() as run:
                stops, tolerances = run.options.grid, run.options.tolerances
                look = Look.of(step or 0, run.tallies, stops, tolerances)
            return cls(look, look_figures(look, stops, tolerances), stops)
        if not isinstance(looked, IUAMonitor):
            message = (
                "what is logged must be an IUAMonitor, whose last look is taken, or an IUA; got "
                f"{type(looked).__name__}."
            )
            raise TypeError(message)
        history = looked.history_data
        with history.lock:
            if not history.looks:
                message = "the monitor has not looked yet: call monitor.look() first."
                raise IUAError(message)
            step = history.steps[-1] if step is None else step
            return cls(history.look(step), history.figures(step), history.stops)

    @property
    def step(self) -> int:
        """The step of training at which it was made."""
        return self.look.step

    def scalars(self) -> dict[str, float]:
        """Figures of the whole network, by name: those of which there is something to say.

        Counts are the bounds below where the threshold is between stops.
        """
        columns, reached = self.figures.columns, self.look.probes > 0
        units = columns["units"][reached].sum()
        if not units:
            return {}
        dead, shares = columns["dead units"][reached], columns["dead share"][reached]
        found = {
            "dead_share": float(dead.sum() / units),
            "dead_units": int(dead.sum()),
            "inactive_share": float(columns["mean inactive"][reached].sum() / units),
            "worst_layer_dead_share": float(np.nanmax(shares)),
        }
        if self.figures.since is not None:
            for name in ("newly dead", "revived"):
                found[name.replace(" ", "_")] = int(np.maximum(columns[name], 0).sum())
        return found

    def histograms(
        self, layers: str | Iterable[str] | None = None
    ) -> Iterator[tuple[str, MagnitudeHistogram]]:
        """Responses by magnitude of each layer that has any, in the order of the network.

        Parameters
        ----------
        layers : str or iterable of str, optional
            Names or globs; the first `MOST_HISTOGRAMS` by default.

        Raises
        ------
        LayerSelectionError
            If one matches no layer.
        """
        known = self.look.layers
        names = islice(known, MOST_HISTOGRAMS) if layers is None else choose_layers(layers, known)
        for name in names:
            layer = self.look.layer(name)
            if layer.probes:
                yield name, MagnitudeHistogram.of(layer, self.stops)
