"""Copies a cell's thread-local settings (autocast, modes, context variables) to a run's thread."""

from __future__ import annotations

import contextlib
import contextvars
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import Any, Final, ParamSpec, TypeVar

_Params = ParamSpec("_Params")
_Result = TypeVar("_Result")

_DEVICES: Final = ("cpu", "cuda", "xpu", "mps", "hpu")


class CellContext:
    """What holds where it is made: context variables, and PyTorch's modes.

    Of PyTorch, those are the default device, modes for functions and operators, autocast, gradient
    and inference mode, the current CUDA device and stream.

    Attributes
    ----------
    notes : list of str
        What could not be carried over.

    Examples
    --------
    >>> shift = contextvars.ContextVar("shift", default=0)
    >>> token = shift.set(1)
    >>> context = CellContext()
    >>> shift.reset(token)
    >>> shift.get(), context.run(shift.get)
    (0, 1)
    """

    def __init__(self) -> None:
        self.notes: list[str] = []
        self._thread = threading.get_ident()
        self._variables = contextvars.copy_context()
        self._torch = _TorchState(self.notes) if _torch() is not None else None

    def run(
        self, function: Callable[_Params, _Result], *args: _Params.args, **kwargs: _Params.kwargs
    ) -> _Result:
        """Call a function with the context variables as they were."""
        return self._variables.copy().run(function, *args, **kwargs)

    @contextlib.contextmanager
    def torch_modes(self) -> Iterator[None]:
        """Have PyTorch's modes as they were; on the thread of the cell itself they are."""
        if self._torch is None or threading.get_ident() == self._thread:
            yield
            return
        with self._torch.restored():
            yield


def plain_torch() -> AbstractContextManager[object]:
    """Without the modes of the user's, for tensors that do not concern them."""
    torch = _torch()
    if torch is None:
        return contextlib.nullcontext()
    plain: AbstractContextManager[object] = torch._C.DisableTorchFunction()  # noqa: SLF001
    if not torch._C._len_torch_dispatch_stack():  # noqa: SLF001
        return plain
    exits = ExitStack()
    exits.enter_context(torch.utils._python_dispatch._disable_current_modes())  # noqa: SLF001
    exits.enter_context(plain)
    return exits


def outside_transforms() -> AbstractContextManager[object]:
    """Outside of the transforms of torch.func that are at work here, which then go on."""
    torch = _torch()
    if torch is None or torch._C._functorch.peek_interpreter_stack() is None:  # noqa: SLF001
        return contextlib.nullcontext()
    from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack

    outside: AbstractContextManager[object] = temporarily_clear_interpreter_stack()
    return outside


class _TorchState:
    def __init__(self, notes: list[str]) -> None:
        torch = self._library = _torch()
        dispatch = torch.utils._python_dispatch  # noqa: SLF001
        self._functions = list(torch.overrides._get_current_function_mode_stack())  # noqa: SLF001
        self._operators = list(dispatch._get_current_dispatch_mode_stack())  # noqa: SLF001
        self._inference = torch.is_inference_mode_enabled()
        self._grad = torch.is_grad_enabled()
        self._casts = dict(self._casts_now())
        started = torch.cuda.is_available() and torch.cuda.is_initialized()
        self._stream = torch.cuda.current_stream() if started else None
        if torch._C._functorch.peek_interpreter_stack() is not None:  # noqa: SLF001
            notes.append(
                "The cell is inside a transform of torch.func (vmap, grad, ...), which does not "
                "hold on the run's thread: count with background=False."
            )

    def _casts_now(self) -> Iterator[tuple[str, Any]]:
        for device in _DEVICES:
            with contextlib.suppress(RuntimeError):  # a device this build does not know
                if self._library.is_autocast_enabled(device):
                    yield device, self._library.get_autocast_dtype(device)

    @contextlib.contextmanager
    def restored(self) -> Iterator[None]:
        torch = self._library
        with ExitStack() as exits:
            if self._stream is not None:
                exits.enter_context(torch.cuda.stream(self._stream))
            if self._inference:
                exits.enter_context(torch.inference_mode())
            exits.enter_context(torch.set_grad_enabled(self._grad and not self._inference))
            self._cast(exits)
            for module, modes in (
                (torch.overrides, self._functions),
                (torch.utils._python_dispatch, self._operators),  # noqa: SLF001
            ):
                for mode in modes:  # by their stacks: `__enter__` of a mode may do more, once
                    module._push_mode(mode)  # noqa: SLF001
                    exits.callback(module._pop_mode)  # noqa: SLF001
            yield

    def _cast(self, exits: ExitStack) -> None:
        """Autocast by its switches: leaving the context would empty a cache of all threads."""
        torch = self._library
        if not self._casts:
            return
        exits.callback(torch.set_autocast_cache_enabled, torch.is_autocast_cache_enabled())
        torch.set_autocast_cache_enabled(False)
        for device, dtype in self._casts.items():
            exits.callback(torch.set_autocast_dtype, device, torch.get_autocast_dtype(device))
            exits.callback(torch.set_autocast_enabled, device, torch.is_autocast_enabled(device))
            torch.set_autocast_enabled(device, True)  # noqa: FBT003
            torch.set_autocast_dtype(device, dtype)


def _torch() -> Any:
    torch = sys.modules.get("torch")
    return torch if hasattr(torch, "overrides") else None
