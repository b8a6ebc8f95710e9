"""Inactive Unit Analysis: which units of a network are dead, at any tolerance, live in a notebook.

The public names are `IUA` (DNIKit's interface: `IUA.introspect`, `IUA.show`), `IUAWidget` (the
notebook widget) and the errors they raise. Each is imported when first used, so that
``import iua_widget`` costs next to nothing.

Examples
--------
>>> import numpy as np
>>> from iua_widget import IUA
>>> iua = IUA.introspect({"relu": np.array([[0.0, 1.0], [0.0, 0.0]])})
>>> iua.results["relu"].unit_inactive_count
array([2, 1])
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from iua_widget.errors import (
        IUAError,
        LayerSelectionError,
        MergeError,
        NoProbesError,
        ProducerError,
        ToleranceError,
    )
    from iua_widget.introspect import IUA
    from iua_widget.results import LayerResult, Reading
    from iua_widget.tolerances import default_stops
    from iua_widget.widget import IUAWidget

__all__ = [
    "IUA",
    "IUAError",
    "IUAWidget",
    "LayerResult",
    "LayerSelectionError",
    "MergeError",
    "NoProbesError",
    "ProducerError",
    "Reading",
    "ToleranceError",
    "__version__",
    "default_stops",
]

_HOMES = {
    "IUA": "introspect",
    "IUAError": "errors",
    "IUAWidget": "widget",
    "LayerResult": "results",
    "LayerSelectionError": "errors",
    "MergeError": "errors",
    "NoProbesError": "errors",
    "ProducerError": "errors",
    "Reading": "results",
    "ToleranceError": "errors",
    "default_stops": "tolerances",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("iua-widget")
    if name in _HOMES:
        value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)


def __dir__() -> list[str]:
    return sorted(__all__)
