"""What the default leaves out: nonlinearities inside recurrent layers, and cuts after ReLUs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import torch

from iua_widget.capture.activations import RECURRENT_FUNCTIONS, is_recurrent
from iua_widget.capture.calls import Calls
from iua_widget.capture.cuts import RELUS, Cuts
from iua_widget.capture.frame import Frame
from iua_widget.common.words import named


class LeftOut:
    """Recurrent layers, and ReLUs whose result is cut, in the passes so far."""

    def __init__(self) -> None:
        self._recurrent: dict[str, None] = {}
        self._cuts = Cuts()
        self._calls: Counter[str] = Counter()

    def begin_pass(self) -> None:
        """Count calls anew."""
        self._calls.clear()

    def note_call(
        self, function: str, args: Iterable[Any], result: Any, frame: Frame, calls: Calls
    ) -> None:
        """Note the call of a function within a module, by its name as `function_name` gives it."""
        base = f"{frame.name}/{function}"
        if function in RECURRENT_FUNCTIONS:
            self._recurrent[frame.name if is_recurrent(frame.module) else base] = None
        number = self._calls[base]
        self._calls[base] += isinstance(result, (torch.Tensor, tuple, list))
        self._cuts.note_call(function, f"{base}:{number}" if number else base, args, result)
        if function in RELUS:
            layer = frame.name if frame.own_leaf or frame.inside_activation else base
            call = 0 if calls.is_merged(layer) else calls.number(layer)
            self._cuts.note_relu(f"{layer}:{call}" if call else layer, result)

    @property
    def notes(self) -> list[str]:
        """Notes for whoever reads the counts."""
        notes = []
        if self._recurrent:
            names = list(self._recurrent)
            notes.append(
                f"The nonlinearity of {named(names)} is inside, where the default, the outputs of "
                f"activations, does not look. Count what they give with layers={names[:5]!r}, or "
                "layers='*' for every module."
            )
        for layer, cut in self._cuts.found.items():
            left = f" Count what is left with layers={cut.response!r}." if cut.response else ""
            notes.append(
                f"What {layer!r} gives is cut by {' and '.join(cut.functions)} before anything "
                f"uses it, so that more is inactive than is counted there.{left}"
            )
        return notes
