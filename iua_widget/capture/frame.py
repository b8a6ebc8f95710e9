"""`Frame`: a module call that is running, and the call that made it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from iua_widget.capture.expert_modules import ListedExpert
from iua_widget.capture.routing import Routing, Tokens
from iua_widget.capture.token_rows import rows_of


@dataclass(slots=True)
class Frame:
    """A call of a module; `caller` is None for what calls the model itself."""

    module: nn.Module
    name: str
    caller: Frame | None = None
    inside_activation: bool = False
    """Whether the module is an activation, or within one."""

    own_leaf: bool = False
    """Whether the module is PyTorch's own and has no children, so that it is one function."""

    time_major: bool = False
    given: tuple[Any, Any] = ((), {})
    """The arguments, by place and by name."""

    before: Any = None
    """The input of an activation, where that is asked for."""

    routing: Routing | None = None
    listed: ListedExpert | None = None
    tokens: Tokens | None = None
    """Which tokens an expert that is `listed` is given, where that is known."""

    number: int = 0
    """How many calls of this module of experts came before in the pass."""

    calls: Counter[str] = field(default_factory=Counter)
    """Calls within it of what computes for several experts, by response."""

    @property
    def rows(self) -> torch.Tensor | None:
        """Its input, one row a token."""
        return rows_of(*self.given)

    def experts(self) -> Frame | None:
        """The call of an expert, or of a module of experts, that this one is within, or itself."""
        frame: Frame | None = self
        while frame is not None and frame.routing is None and frame.listed is None:
            frame = frame.caller
        return frame

    def is_for_several(self) -> bool:
        """Whether what is called here may compute for several experts."""
        experts = self.experts()
        return experts is not None and experts.listed is None
