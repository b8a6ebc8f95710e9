"""Inactive Unit Analysis: which units of a network are dead, at any tolerance, live in a notebook.

The public names are `IUA` (DNIKit's interface: `IUA.introspect`, `IUA.show`), `IUAWidget` (the
notebook widget) and the errors they raise; stages of pipelines are in `iua_widget.stages`. Each is
imported when first used, so that ``import iua_widget`` costs next to nothing.

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
import importlib.util
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from iua_widget.capture.infos import response_infos
    from iua_widget.capture.model import TorchModel
    from iua_widget.engines.choice import EngineName
    from iua_widget.errors import (
        AlarmError,
        ComparisonError,
        DistributedError,
        EngineError,
        FileError,
        GroupError,
        IUAError,
        IUAWarning,
        LayerSelectionError,
        MemoryBudgetError,
        MergeError,
        NoProbesError,
        ProducerError,
        RemedyError,
        ToleranceError,
        UnitsError,
    )
    from iua_widget.history.alarm_event import AlarmEvent
    from iua_widget.history.history import History
    from iua_widget.iua import IUA
    from iua_widget.options import CallsOption, GroupsOption, MaskOption, Mode
    from iua_widget.reading.comparison import Comparison
    from iua_widget.reading.layer_comparison import LayerComparison
    from iua_widget.reading.presets import PRESETS, Preset
    from iua_widget.reading.results import LayerResult, Reading
    from iua_widget.remedies.prune import Pruned, prune
    from iua_widget.remedies.reinitialize import Reinitialized, reinitialize
    from iua_widget.sources.response_info import LayerInfo, LayerKind, ResponseInfo, ResponseInfos
    from iua_widget.tolerances import Scale, Tolerances, default_stops
    from iua_widget.training.monitor import IUAMonitor
    from iua_widget.units.rule import UnitChoice
    from iua_widget.widget.widget import IUAWidget

__all__ = [
    "IUA",
    "PRESETS",
    "AlarmError",
    "AlarmEvent",
    "CallsOption",
    "Comparison",
    "ComparisonError",
    "DistributedError",
    "EngineError",
    "EngineName",
    "FileError",
    "GroupError",
    "GroupsOption",
    "History",
    "IUAError",
    "IUAMonitor",
    "IUAWarning",
    "IUAWidget",
    "LayerComparison",
    "LayerInfo",
    "LayerKind",
    "LayerResult",
    "LayerSelectionError",
    "MaskOption",
    "MemoryBudgetError",
    "MergeError",
    "Mode",
    "NoProbesError",
    "Preset",
    "ProducerError",
    "Pruned",
    "Reading",
    "Reinitialized",
    "RemedyError",
    "ResponseInfo",
    "ResponseInfos",
    "Scale",
    "ToleranceError",
    "Tolerances",
    "TorchModel",
    "UnitChoice",
    "UnitsError",
    "__version__",
    "default_stops",
    "prune",
    "reinitialize",
    "response_infos",
]

_HOMES = {
    "IUA": "iua",
    "PRESETS": "reading.presets",
    "AlarmError": "errors",
    "AlarmEvent": "history.alarm_event",
    "CallsOption": "options",
    "Comparison": "reading.comparison",
    "ComparisonError": "errors",
    "DistributedError": "errors",
    "EngineError": "errors",
    "EngineName": "engines.choice",
    "FileError": "errors",
    "GroupError": "errors",
    "GroupsOption": "options",
    "History": "history.history",
    "IUAError": "errors",
    "IUAMonitor": "training.monitor",
    "IUAWarning": "errors",
    "IUAWidget": "widget.widget",
    "LayerComparison": "reading.layer_comparison",
    "LayerInfo": "sources.response_info",
    "LayerKind": "sources.response_info",
    "LayerResult": "reading.results",
    "LayerSelectionError": "errors",
    "MaskOption": "options",
    "MemoryBudgetError": "errors",
    "MergeError": "errors",
    "Mode": "options",
    "NoProbesError": "errors",
    "Preset": "reading.presets",
    "ProducerError": "errors",
    "Pruned": "remedies.prune",
    "Reading": "reading.results",
    "Reinitialized": "remedies.reinitialize",
    "RemedyError": "errors",
    "ResponseInfo": "sources.response_info",
    "ResponseInfos": "sources.response_info",
    "Scale": "tolerances",
    "ToleranceError": "errors",
    "Tolerances": "tolerances",
    "TorchModel": "capture.model",
    "UnitChoice": "units.rule",
    "UnitsError": "errors",
    "default_stops": "tolerances",
    "prune": "remedies.prune",
    "reinitialize": "remedies.reinitialize",
    "response_infos": "capture.infos",
}


_NEED_TORCH = {
    *("Pruned", "Reinitialized", "TorchModel", "prune", "reinitialize", "response_infos"),
}

if importlib.util.find_spec("torch") is None:
    __all__ = [name for name in __all__ if name not in _NEED_TORCH]  # what `import *` gives


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("iua-widget")
    if name in _HOMES:
        try:
            home = importlib.import_module(f"{__name__}.{_HOMES[name]}")
        except ModuleNotFoundError as error:
            if name not in _NEED_TORCH or error.name != "torch":
                raise
            message = f"{name} needs PyTorch: pip install 'iua-widget[torch]'"
            raise ImportError(message) from None
        value = getattr(home, name)
        globals()[name] = value
        return value
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)


def __dir__() -> list[str]:
    return sorted(__all__)
