"""Base class for engines that handle one layer at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import partial

import numpy as np

from iua_widget.engines.device_batch import DeviceBatch
from iua_widget.engines.engine import BatchCounts, LayerBins, LayerResponses, RunningSums
from iua_widget.engines.threads import all_in_parallel


class LayerByLayer(ABC):
    """An `Engine` but for `classify` and `accumulate`, of which the rest is made."""

    @abstractmethod
    def classify(
        self, values: np.ndarray, thresholds: np.ndarray, running: RunningSums | None = None
    ) -> BatchCounts | DeviceBatch:
        """See `Engine.classify`."""

    @abstractmethod
    def accumulate(self, batches: Sequence[np.ndarray], counts: np.ndarray) -> None:
        """See `Engine.accumulate`."""

    def classify_all(self, layers: Sequence[LayerResponses]) -> list[BatchCounts | DeviceBatch]:
        """Classify several layers; see `Engine.classify_all`."""
        found: dict[int, BatchCounts | DeviceBatch] = {}

        def do(number: int, one: LayerResponses) -> None:
            found[number] = self.classify(one.values, one.thresholds, one.running)

        all_in_parallel([(one.values.size, partial(do, n, one)) for n, one in enumerate(layers)])
        return [found[number] for number in range(len(layers))]

    def accumulate_all(self, layers: Sequence[LayerBins]) -> None:
        """Count in several layers; see `Engine.accumulate_all`."""
        all_in_parallel(
            [(one.size, partial(self.accumulate, one.batches, one.counts)) for one in layers]
        )

    def takes(self, tensor: object) -> bool:  # noqa: ARG002
        """No tensor: see `Engine.takes`."""
        return False
