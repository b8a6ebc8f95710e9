"""Watching a forward pass that goes as one before: one light hook for each response."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple, Self

import torch
from torch import nn

from iua_widget.capture.captured_response import CapturedResponse
from iua_widget.capture.findings import RepeatBatch
from iua_widget.capture.innermost import Innermost, innermost
from iua_widget.capture.shadow import Shadow
from iua_widget.capture.unseeing import Unseeing
from iua_widget.common.cell_context import plain_torch
from iua_widget.sources.source import Record
from iua_widget.units.rule import Origin

_HOOK: Final = "iua_widget"
"""The key of the hook, where PyTorch has numbers."""


class Step(NamedTuple):
    """A response of a pass: the output of a module, the name of its layer, and what is known."""

    module: nn.Module
    layer: str
    origin: Origin


class Steps:
    """The responses of a pass, in their order, as long as each is the whole output of a module.

    Attributes
    ----------
    steps : list of Step or None
        None where something else is wanted of the pass, or where more must be seen than outputs.
    """

    def __init__(self) -> None:
        self.steps: list[Step] | None = []

    def note(self, captured: CapturedResponse, tensor: torch.Tensor, origin: Origin) -> None:
        """Note a response, as it was captured and as it is recorded."""
        as_captured = captured.module is not None and tensor is captured.tensor
        if not as_captured or captured.tokens is not None or not origin.tells_only_units:
            self.steps = None
        elif self.steps is not None and captured.module is not None:
            self.steps.append(Step(captured.module, captured.name, origin))


class SteadyPass:
    """A context in which a model's pass is watched, on this thread, for known responses.

    Parameters
    ----------
    steps : list of Step
        What comes, in this order, if the pass goes as before.
    wanted : iterable of torch.nn.Module
        Whose calls are wanted, should there be others.
    shadow : Shadow
        What is watched.
    record : callable
        Given each response.
    """

    def __init__(
        self, steps: list[Step], wanted: Iterable[nn.Module], shadow: Shadow, record: Record
    ) -> None:
        self._shadow = shadow
        self._watched = [shadow.of(module) for module in wanted]
        self._left = iter([(shadow.of(step.module), step) for step in steps])
        self._record = record
        self._differs = False
        self._failure: Exception | None = None
        self._innermost = Innermost(self)
        self._thread = threading.get_ident()

    def __enter__(self) -> Self:
        self._innermost.__enter__()
        for module in self._watched:
            # As `register_forward_hook` does, in a tenth of its time; last, as it were.
            module._forward_hooks[_HOOK] = self._see  # type: ignore[index]  # noqa: SLF001
            module._forward_hooks_always_called[_HOOK] = True  # type: ignore[index]  # noqa: SLF001
        return self

    def __exit__(self, _: object, error: object, _traceback: object) -> None:
        for module in self._watched:
            module._forward_hooks.pop(_HOOK, None)  # type: ignore[call-overload]  # noqa: SLF001
            module._forward_hooks_always_called.pop(_HOOK, None)  # type: ignore[call-overload]  # noqa: SLF001
        self._innermost.__exit__()
        if self._differs and isinstance(error, Exception):
            raise RepeatBatch  # what the model made of the first

    def __deepcopy__(self, memo: dict[int, Any]) -> SteadyPass:
        """One that sees nothing, for copies that the model makes of its modules."""
        return SteadyPass([], [], self._shadow, self._record)

    def __reduce__(self) -> tuple[type[Unseeing], tuple[()]]:
        return Unseeing, ()

    def check(self) -> None:
        """Check, after the pass, that it went as before.

        Raises
        ------
        RepeatBatch
            If it did not, and must be watched with care.
        Exception
            What was wrong with a response, even where the model has swallowed that error.
        """
        if self._failure is not None:
            raise self._failure
        if self._differs or next(self._left, None) is not None:
            raise RepeatBatch

    def _see(self, module: nn.Module, _args: Any, output: Any) -> None:
        if innermost() is not self:
            self._differs |= threading.get_ident() != self._thread
            return
        if output is None:  # also where it has raised, and the model may swallow that
            self._differs = True
            return
        expected, step = next(self._left, (None, None))
        if expected is not module or step is None or not _is_plain(output):
            self._differs = True
            raise RepeatBatch
        try:
            if _has_modes():
                with Innermost(None), plain_torch():
                    self._record(step.layer, output, step.origin)
            else:
                self._record(step.layer, output, step.origin)
        except Exception as error:
            self._failure = error
            raise


def _is_plain(output: Any) -> bool:
    """Whether an output is a tensor that stands for nothing else."""
    return type(output) is torch.Tensor and not _is_wrapped(output)


_is_wrapped: Final[Callable[[torch.Tensor], bool]] = torch._C._functorch.is_functorch_wrapped_tensor  # noqa: SLF001


def _has_modes() -> bool:
    """Whether modes of the user's see PyTorch's functions, or its operators."""
    return bool(torch._C._len_torch_function_stack() or torch._C._len_torch_dispatch_stack())  # noqa: SLF001
