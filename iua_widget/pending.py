"""One batch on its way into the tallies: all of it checked and classified, then counted at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from iua_widget.counting.engine import BatchCounts
from iua_widget.errors import ProducerError
from iua_widget.responses import Response, as_response
from iua_widget.tally import Tally

NewTally = Callable[[str, tuple[int, ...]], Tally]
"""Makes the tally of a layer seen for the first time, from its name and unit shape."""


class PendingBatch:
    """Collects the classified responses of one batch.

    Nothing of it is counted until all of it has proved countable, so a batch that breaks off half
    way leaves every tally as it was.

    Parameters
    ----------
    number : int
        The batch, counted from 0.
    tallies : mapping of str to Tally
        The tallies so far; where there are none, this batch decides the layers and their shapes.
    new_tally : callable
        Used where there are none.
    """

    def __init__(self, number: int, tallies: Mapping[str, Tally], new_tally: NewTally) -> None:
        self.number = number
        self._known = tallies
        self._new_tally = new_tally
        self._layers: dict[str, tuple[Tally, BatchCounts, str]] = {}

    def record(self, layer: str, value: Any) -> None:
        """Check and classify one layer's response; nothing refers to `value` afterwards.

        Raises
        ------
        ProducerError
            If it is not an array of numbers, comes twice, comes late, or has another shape than in
            the batches before.
        """
        response = as_response(value, layer=layer, batch=self.number)
        tally = self._tally(layer, response)
        self._layers[layer] = (tally, tally.classify(response.values), response.dtype)

    def check_complete(self) -> None:
        """Check that every layer of the batches before has come.

        Raises
        ------
        ProducerError
            If one has not.
        """
        missing = [layer for layer in self._known if layer not in self._layers]
        if missing:
            more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
            message = (
                f"layer {missing[0]!r}{more} vanished: batch {self.number} has no response of it, "
                "and the batches before had one. Every batch must give the same layers."
            )
            raise ProducerError(message, layer=missing[0], batch=self.number)

    def commit(self) -> dict[str, Tally]:
        """Count the batch, and return all tallies in the order the layers came."""
        for tally, counts, dtype in self._layers.values():
            tally.add(counts)
            tally.dtypes.add(dtype)
        return {layer: tally for layer, (tally, _, _) in self._layers.items()}

    def _tally(self, layer: str, response: Response) -> Tally:
        if layer in self._layers:
            message = f"layer {layer!r} comes twice in batch {self.number}."
            raise ProducerError(message, layer=layer, batch=self.number)
        if layer not in self._known:
            if self._known:
                message = (
                    f"layer {layer!r} appears late: batch {self.number} has a response of it, and "
                    "the batches before had none. Every batch must give the same layers."
                )
                raise ProducerError(message, layer=layer, batch=self.number)
            return self._new_tally(layer, response.unit_shape)
        tally = self._known[layer]
        if tally.unit_shape != response.unit_shape:
            message = (
                f"layer {layer!r}: a probe's response has shape {response.unit_shape} in batch "
                f"{self.number} and had {tally.unit_shape} before. Units can be followed only "
                "where the shape stays: crop or pad the inputs to one size."
            )
            raise ProducerError(message, layer=layer, batch=self.number)
        return tally
