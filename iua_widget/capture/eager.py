"""Running without compilation and without fused layers, on one thread only."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from typing import Any, Final

import torch

from iua_widget.common.forks import free_in_child

_here: Final = threading.local()
_lock: Final = free_in_child(threading.Lock())
_users = 0
_installed: list[tuple[Any, str, Any, Any]] = []


@contextlib.contextmanager
def eager() -> Iterator[None]:
    """Run every operation by itself on this thread; other threads go on as they did.

    PyTorch's switches for it are the process's: while a thread is in here, something stands in
    their place that answers each thread for itself. See ``docs/finding-functions.md``.
    """
    global _users  # noqa: PLW0603  (the switches are the process's, too)
    with _lock:
        _users += 1
        if _users == 1:
            _install()
    depth = getattr(_here, "depth", 0)
    _here.depth = depth + 1
    try:
        yield
    finally:
        _here.depth = depth
        with _lock:
            _users -= 1
            if not _users:
                _uninstall()


def _install() -> None:
    mha = getattr(torch.backends, "mha", None)
    if mha is not None and mha.get_fastpath_enabled():
        _replace(mha, "_is_fastpath_enabled", _FastElsewhere(1))
    dynamo = sys.modules.get("torch._dynamo.eval_frame")
    if dynamo is not None and hasattr(dynamo, "_stance"):
        _replace(dynamo, "_stance", _EagerHere(dynamo._stance))  # noqa: SLF001


def _replace(holder: Any, name: str, value: Any) -> None:
    _installed.append((holder, name, getattr(holder, name), value))
    setattr(holder, name, value)


def _uninstall() -> None:
    while _installed:
        holder, name, before, ours = _installed.pop()
        if getattr(holder, name) is ours:  # and not what the user has set meanwhile
            setattr(holder, name, before)


def _is_here() -> bool:
    return bool(getattr(_here, "depth", 0))


class _FastElsewhere(int):
    """True on every thread but those that run eagerly."""

    def __bool__(self) -> bool:
        return not _is_here()


class _EagerHere:
    """A stance of `torch.compiler.set_stance`: that of the program, on other threads."""

    def __init__(self, program: Any) -> None:
        self._program = program

    def __getattr__(self, name: str) -> Any:
        return "force_eager" if name == "stance" and _is_here() else getattr(self._program, name)
