"""Recounting: batches of a stream that is counted once more, each as a whole or not at all."""

from __future__ import annotations

from typing import Any

import numpy as np

from iua_widget.common.arithmetic import as_ieee
from iua_widget.errors import ProducerError
from iua_widget.reading.recount import SAME_DATA, BatchRecount, Recount
from iua_widget.run.run import Run
from iua_widget.sources.position import Position
from iua_widget.sources.source import Source
from iua_widget.tolerances import Tolerances
from iua_widget.units.arrange import arrange
from iua_widget.units.response import as_response
from iua_widget.units.rule import UNKNOWN, Origin


class Recounting:
    """Counts the batches of a source at some tolerances, for a run that has counted them before.

    Parameters
    ----------
    run : Run
        It has the recount once all is counted, and proved to be the same data.
    source : Source
    tolerances : Tolerances

    Attributes
    ----------
    position : Position
        The beginning of the stream.
    number : int
        The batch at hand, from 0.
    kept : str
        Nothing: a recount that breaks off leaves no trace.

    Raises
    ------
    NoProbesError
        If the run has counted nothing.
    ProducerError
        If the model has other weights.
    """

    kept = ""

    def __init__(self, run: Run, source: Source, tolerances: Tolerances) -> None:
        self._run = run
        with run.lock:
            self._tallies, self._probes = run.tallies, run.probes
            if not run.probes:
                so = "there is nothing to count again"
                raise run.nothing_counted(so)
            weights = source.weights if run.weights else None
            if weights is not None and weights not in run.weights:
                message = f"the model has other weights than when it was counted first. {SAME_DATA}"
                raise ProducerError(message)
            self._recount = Recount.of(run.tallies, tolerances)
        self.position = Position(merged=run.merged_calls)
        self.number = 0
        self.restart()

    def restart(self) -> None:
        """Forget what was recorded of the batch at hand."""
        self._parts: list[tuple[str, BatchRecount]] = []

    @as_ieee
    def record(self, layer: str, value: Any, origin: Origin = UNKNOWN, /) -> None:
        """Take in one layer's response in the batch at hand.

        Raises
        ------
        ProducerError
            If it has another shape than before.
        """
        tally = self._tallies.get(layer)
        if tally is None:
            return
        response = as_response(value, layer=layer, batch=self.number)
        arranged = arrange(response.values, tally.plan, origin.mask)
        if arranged.unit_shape != tally.unit_shape:
            message = (
                f"layer {layer!r} has the shape {response.values.shape[1:]} in batch "
                f"{self.number}, and had another when it was counted first. {SAME_DATA}"
            )
            raise ProducerError(message, layer=layer, batch=self.number)
        counts = self._recount.layers[layer].classify(np.asarray(arranged.values))
        self._parts.append((layer, counts))

    def commit(self, probes: int) -> None:  # noqa: ARG002  (layers know their own)
        """Count the batch at hand."""
        for layer, counts in self._parts:
            self._recount.layers[layer].add(counts)
        self.number += 1
        self.restart()

    def finish(self) -> None:
        """Give the recount to the run, if the stream was the same again.

        Raises
        ------
        ProducerError
            If it was not, or if more has been counted meanwhile.
        """
        with self._run.lock:
            self._recount.check(self._tallies, same=self._run.probes == self._probes)
            self._run.recount = self._recount

    def broke_off(self, error: BaseException) -> None:
        """Leave the run as it is."""

    def close(self) -> None:
        """Keep nothing."""
