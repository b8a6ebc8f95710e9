"""`GroupedLayer`: a layer that is counted together with others on a device."""

from __future__ import annotations

from dataclasses import dataclass

from iua_widget.engines.device.blocks import Blocks
from iua_widget.engines.device.counters import DeviceCounters
from iua_widget.engines.device.edges import DeviceEdges


@dataclass(frozen=True, slots=True)
class GroupedLayer:
    """What comes of a layer with each batch, and what that is added to.

    Attributes
    ----------
    blocks : Blocks
    edges : DeviceEdges
        In `blocks.wide`.
    counters : DeviceCounters
    kept_column : int or None
        At which the inactive units of each probe are kept.
    """

    blocks: Blocks
    edges: DeviceEdges
    counters: DeviceCounters
    kept_column: int | None
