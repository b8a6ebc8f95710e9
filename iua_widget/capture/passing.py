"""Watching the passes that a model makes anyway, such as those of its training."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import nn
from torch.overrides import (
    TorchFunctionMode,
    _get_current_function_mode_stack,
    _pop_mode,
    _push_mode,
)
from torch.utils._device import DeviceContext

from iua_widget.capture.batch_masks import batch_masks
from iua_widget.capture.calls import Calls
from iua_widget.capture.captured_response import CapturedResponse
from iua_widget.capture.findings import Findings, RepeatBatch
from iua_widget.capture.forward_watcher import ForwardWatcher, FunctionMode
from iua_widget.capture.innermost import Beside, Innermost, is_innermost_beside
from iua_widget.capture.inputs import count_probes, text_length
from iua_widget.capture.mask_layout import MaskLayout
from iua_widget.capture.names import ModuleNames
from iua_widget.capture.refusals import is_sharded, unwrapped
from iua_widget.capture.selection import Selection
from iua_widget.capture.sequences import time_major
from iua_widget.common.interrupts import interrupts_held
from iua_widget.errors import ProducerError
from iua_widget.options import SourceOptions
from iua_widget.sources.masks import Masks, asked_masks
from iua_widget.sources.source import Record


class PassingWatcher:
    """Records the responses of a model in training mode while its owner runs it.

    It has two hooks on the model, and adds others for the time of a pass. Nothing that goes wrong
    in it reaches the pass: the batch is not counted, and `failed` is told.

    Parameters
    ----------
    model : torch.nn.Module
    options : SourceOptions
    begin : callable
        Called before a pass in training mode; returns what to record it with, or None where it is
        not to be watched.
    done : callable
        Called with the number of inputs after a pass, once all of it was recorded.
    failed : callable
        Called where a pass is not counted, with what went wrong; None where nothing did.

    Raises
    ------
    LayerSelectionError
        If one of `options.layers` matches no module.
    ProducerError
        If the model cannot be watched so.
    """

    def __init__(
        self,
        model: nn.Module,
        options: SourceOptions,
        begin: Callable[[], Record | None],
        done: Callable[[int], None],
        failed: Callable[[Exception | None], None],
    ) -> None:
        self.model = unwrapped(model)
        _check(model, self.model)
        self._options = options
        self._begin, self._done, self._failed = begin, done, failed
        self._names = ModuleNames(self.model)
        self._learn()
        self._pass: _Pass | None = None
        self._handles = [
            self.model.register_forward_pre_hook(_Hook(self, entering=True), with_kwargs=True),
            self.model.register_forward_hook(
                _Hook(self, entering=False), with_kwargs=True, always_call=True
            ),
        ]

    def _learn(self) -> None:
        """Begin with nothing known of the model's passes."""
        self._selection = Selection(self._names, self._options.layers)
        separate = self._options.calls == "auto" and self._selection.names_calls
        self._calls = Calls("separate" if separate else self._options.calls)
        self._findings, self._layout = Findings(), MaskLayout()
        self._number, self._knows = 0, False

    @property
    def notes(self) -> list[str]:
        """Notes on the passes for whoever reads the counts."""
        unseen = self._selection.unseen(list(self._findings.responses), self._findings.calls)
        return [*(unseen if self._number else []), *self._calls.notes, *self._layout.notes]

    def close(self) -> None:
        """Take the hooks off the model."""
        self.abandon()
        for handle in self._handles:
            handle.remove()

    def abandon(self) -> None:
        """Let go of a pass that was interrupted."""
        if self._pass is not None:
            self._pass.close()
            self._pass = None

    def enter(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Watch a pass that begins."""
        self.abandon()
        if not self.model.training or torch.compiler.is_compiling():
            return
        try:
            record = self._begin()
            if record is None:
                return
            if not self._names.are_of_model:
                self._names = ModuleNames(self.model)
                self._learn()
            self._pass = self._watch(kwargs or args, record)
            self._pass.watcher.enter_module(self.model, args, kwargs)
        except Exception as error:  # noqa: BLE001  (it must not reach the owner's pass)
            self._fail(error)

    def leave(self, args: tuple[Any, ...], output: Any) -> None:
        """Take note of the end of a pass."""
        one = self._pass
        if one is None or threading.get_ident() != one.thread:
            return
        try:
            one.watcher.leave_module(self.model, args, output)
            loads = [] if one.watcher.failure else list(one.watcher.loads())
            self.abandon()
            failure = one.watcher.failure
            closer = isinstance(failure, RepeatBatch)
            if failure is not None and not closer:
                raise failure  # noqa: TRY301
            for load in loads:
                one.take(load)
            again = self._calls.decide()
            self._findings = Findings() if again else self._findings
            if closer or again or output is None:
                # It must be watched closer; its calls are merged from now on; or it has raised.
                self._knows = self._knows and not (closer or again)
                self._failed(None)
                return
            self._number, self._knows = self._number + 1, True
            self._done(one.probes)
        except Exception as error:  # noqa: BLE001
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self.abandon()
        self._failed(error)

    def _watch(self, batch: Any, record: Record) -> _Pass:
        masks = self._masks(batch)
        axis = 1 if time_major(self.model) else 0
        length, inputs = text_length(batch), count_probes(batch, axis) or 1

        def take(captured: CapturedResponse) -> None:
            mask = masks.of(captured.name)
            tensor, origin = self._layout.lay(captured, mask, length, inputs, axis)
            with torch.no_grad():
                record(captured.name, tensor.detach(), origin)

        watcher = _Guarded(
            self._names,
            self._selection,
            take,
            self._findings,
            functions=not self._knows or self._findings.functions or self._calls.need_functions,
            mask_shapes=masks.shapes,
            calls=self._calls,
            real=lambda layer, tokens, positions_first, number: self._layout.real(
                masks.of(layer), layer, tokens, positions_first=positions_first, number=number
            ),
        )
        return _Pass(watcher, take, inputs)

    def _masks(self, batch: Any) -> Masks:
        if self._options.mask is not None:
            given = batch[0] if isinstance(batch, tuple) and len(batch) == 1 else batch
            return asked_masks(self._options.mask, given, self._number)
        return batch_masks(batch, self._names, self._number)


class _Pass:
    """A pass that is watched, on its thread."""

    def __init__(
        self, watcher: _Guarded, take: Callable[[CapturedResponse], None], probes: int
    ) -> None:
        self.watcher, self.take, self.probes = watcher, take, probes
        self.thread = threading.get_ident()
        watcher.__enter__()

    def close(self) -> None:
        """Stop watching, also where what came after it is left open."""
        self.watcher.__exit__(None, None, None)


class _Guarded(ForwardWatcher):
    """A watcher of somebody else's pass, which no error of ours reaches: it then sees no more.

    Several may watch one pass.
    """

    def _innermost(self) -> Innermost:
        return Beside(self)

    def _enter_mode(self, mode: FunctionMode) -> None:
        """Enter it below the modes of others: where an interrupt cuts in, each leaves its own."""
        modes = _modes()
        device = sum(isinstance(one, DeviceContext) for one in modes[:1])  # which must be lowest
        _set_modes([*modes[:device], mode, *modes[device:]])
        self._exits.callback(_leave_mode, mode)

    def _watched(self) -> Iterable[nn.Module]:
        """All but the model itself, whose hooks are being called when this one begins and ends."""
        return (one for one in super()._watched() if one is not self._names.model)

    @property
    def _here(self) -> bool:
        return self.failure is None and is_innermost_beside(self)

    def enter_module(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        """Enter the model itself, whose own hooks are already at work."""
        self._enter_module(module, args, kwargs)

    def leave_module(self, module: nn.Module, args: Any, output: Any) -> None:
        """Leave it."""
        self._leave_module(module, args, output)

    def _enter_module(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        with self._guarded():
            super()._enter_module(module, args, kwargs)

    def _leave_module(self, module: nn.Module, args: Any, output: Any) -> None:
        with self._guarded():
            super()._leave_module(module, args, output)

    def see_function(
        self, function: Any, args: Iterable[Any], result: Any, kept: Any = None
    ) -> None:
        with self._guarded():
            super().see_function(function, args, result, kept)

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        """Let no error out, and hold Ctrl-C back, which could leave a mode of PyTorch's open."""
        with interrupts_held():
            try:
                yield
            except Exception as error:  # noqa: BLE001
                self.failure = self.failure or error


def _leave_mode(mode: FunctionMode) -> None:
    _set_modes([one for one in _modes() if one is not mode])


def _modes() -> list[TorchFunctionMode]:
    """Those that are open on this thread, the innermost last."""
    return list(_get_current_function_mode_stack())  # type: ignore[no-untyped-call]


def _set_modes(modes: list[TorchFunctionMode]) -> None:
    for _ in _modes():
        _pop_mode()  # type: ignore[no-untyped-call]
    for one in modes:
        _push_mode(one)  # type: ignore[no-untyped-call]


def _check(model: nn.Module, inner: nn.Module) -> None:
    compiled = [
        name
        for name, one in model.named_modules()
        if hasattr(one, "_orig_mod") or one._compiled_call_impl is not None  # noqa: SLF001
    ]
    if compiled:
        what = "is compiled, and runs as one piece"
    elif is_sharded(inner):
        what = "is sharded by FSDP, which gathers its parameters for each module"
    else:
        return
    message = (
        f"{type(inner).__name__} {what}: its batches of training cannot be watched in passing. "
        "Look at probes: IUAMonitor(model, probes)."
    )
    raise ProducerError(message)


class _Hook:
    """A hook of a `PassingWatcher`, which copies of the model do not inherit."""

    def __init__(self, watcher: PassingWatcher | None, *, entering: bool) -> None:
        self._watcher, self._entering = watcher, entering

    def __deepcopy__(self, memo: dict[int, Any]) -> _Hook:
        return _Hook(None, entering=self._entering)

    def __reduce__(self) -> tuple[Any, ...]:
        return _idle_hook, (self._entering,)

    def __call__(self, module: nn.Module, args: Any, kwargs: Any, *output: Any) -> None:
        watcher = self._watcher
        if watcher is None or module is not watcher.model:
            return
        with interrupts_held():
            if self._entering:
                watcher.enter(args, kwargs)
            else:
                watcher.leave(args, *output)


def _idle_hook(entering: bool) -> _Hook:  # noqa: FBT001  (what is unpickled)
    return _Hook(None, entering=entering)
