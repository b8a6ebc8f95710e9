"""Which models are split among ranks; where each has other units of a layer, they are refused."""

from __future__ import annotations

import sys
from typing import Any

from iua_widget.common.words import named
from iua_widget.errors import ProducerError


def passes_together(producer: Any) -> bool:
    """Whether a pass of a model takes all ranks, each of which has a part of it (FSDP)."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(producer, torch.nn.Module):
        return False
    from iua_widget.capture.refusals import is_sharded

    return is_sharded(producer)


def check_layers_whole(producer: Any) -> None:
    """Check that a model's parameters are whole in each pass, as FSDP gathers them.

    Raises
    ------
    ProducerError
        If a rank has a part of a layer only: sums over ranks would mix units.
    """
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(producer, torch.nn.Module):
        return
    gathered = 1 if passes_together(producer) else 0
    split = [
        name
        for name, parameter in producer.named_parameters()
        if sum(not one.is_replicate() for one in getattr(parameter, "placements", ())) > gathered
    ]
    if split:
        message = (
            f"{named(split)} of {type(producer).__name__} are split among ranks (tensor parallel), "
            "which have other units of one layer each. Leave `distributed` out, and sum among "
            "ranks that have the same part: iua.all_reduce(group)."
        )
        raise ProducerError(message)
