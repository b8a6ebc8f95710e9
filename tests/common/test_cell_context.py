"""A cell's thread-local settings hold in the widget's run, in model and loader alike."""

from __future__ import annotations

import contextlib
import contextvars
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from iua_widget import IUAWidget, TorchModel
from iua_widget.common.cell_context import plain_torch
from iua_widget.stages import pipeline

VARIABLE = contextvars.ContextVar("VARIABLE", default="elsewhere")


class ZeroingFunctions(TorchFunctionMode):
    """Makes zeros of what `F.relu` and `torch.sin` give."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        return result * 0 if func in (F.relu, torch.sin) else result


class Zeroing(TorchDispatchMode):
    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        zeroed = (torch.ops.aten.relu.default, torch.ops.aten.sin.default)
        return result.zero_() if func in zeroed else result


@contextlib.contextmanager
def variable() -> Iterator[None]:
    token = VARIABLE.set("cell")
    try:
        yield
    finally:
        VARIABLE.reset(token)


@contextlib.contextmanager
def default_device() -> Iterator[None]:
    torch.set_default_device("meta")
    try:
        yield
    finally:
        torch.set_default_device(None)


CONTEXTS: dict[str, tuple[Callable[[], AbstractContextManager[Any]], Callable[[], Any]]] = {
    "variable": (variable, VARIABLE.get),
    "default device": (default_device, lambda: torch.get_default_device().type),
    "with device": (lambda: torch.device("meta"), lambda: torch.empty(1).device.type),
    "function mode": (ZeroingFunctions, lambda: torch.sin(torch.ones(1)).item()),
    "operator mode": (Zeroing, lambda: torch.sin(torch.ones(1)).item()),
    "autocast": (
        lambda: torch.autocast("cpu", torch.bfloat16),
        lambda: (torch.ones(1, 1) @ torch.ones(1, 1)).dtype,
    ),
    "errors of NumPy": (lambda: np.errstate(divide="raise"), lambda: np.geterr()["divide"]),
    "no gradients": (torch.no_grad, torch.is_grad_enabled),
    "inference": (torch.inference_mode, torch.is_inference_mode_enabled),
}
IN_THE_LOADER_ONLY = {"no gradients"}  # in the model there are none anyway


class Net(nn.Module):
    def __init__(self, look: Callable[[], Any], seen: list[Any]) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 8, device="cpu")
        self.look, self.seen = [look], [seen]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        seen.append(self.look[0]())
        return F.relu(self.fc(x))


seen: list[Any] = []


@pytest.mark.parametrize("how", ["generator", "loader", "pipeline"])
@pytest.mark.parametrize("name", CONTEXTS)
def test_what_holds_in_the_cell_holds_in_the_run(name: str, how: str) -> None:
    enter, look = CONTEXTS[name]
    in_loader: list[Any] = []
    seen.clear()

    def batches() -> Iterator[torch.Tensor]:
        for _ in range(3):
            in_loader.append(look())
            yield torch.ones(5, 4, device="cpu")

    class Data(torch.utils.data.IterableDataset[torch.Tensor]):
        def __iter__(self) -> Iterator[torch.Tensor]:
            return batches()

    if how == "loader" and "device" in name:
        how = "generator"  # PyTorch's own DataLoader takes no such default device
    outside, net = look(), Net(look, seen)
    with enter():
        inside = look()
        if how == "pipeline":
            widget = IUAWidget(pipeline(batches(), TorchModel(net)("*/relu")))
        else:
            data = batches() if how == "generator" else torch.utils.data.DataLoader(Data(), None)
            widget = IUAWidget(net, data, layers="*/relu")
    assert widget.wait(60)
    assert widget.error is None, widget.error
    assert outside != inside
    assert set(in_loader) == {inside}
    if name not in IN_THE_LOADER_ONLY:
        assert set(seen) == {inside}
    assert len(seen) >= 3
    expected = 8 if "mode" in name else int((net.fc(torch.ones(1, 4)) <= 0).sum())
    assert widget.iua.results["Net/relu"].dead == expected
    assert look() == outside


def test_a_restart_has_the_context_of_the_cell_too() -> None:
    def produce() -> Iterator[dict[str, np.ndarray]]:
        heard.append(VARIABLE.get())
        yield {"a": np.zeros((2, 3))}

    heard: list[str] = []
    with variable():
        widget = IUAWidget(produce)
        widget.wait()
    pressed = threading.Thread(target=widget.restart)
    pressed.start()
    pressed.join()
    widget.wait()
    assert heard == ["cell", "cell"]


def test_frames_are_sent_in_the_context_of_the_cell() -> None:
    heard = set()
    with variable():
        widget = IUAWidget({"a": np.zeros((200, 3))}, batch_size=1)
        widget.observe(lambda _change: heard.add(VARIABLE.get()), "_table")
    widget.wait()
    widget._frames._pacer.request(urgent=True)  # type: ignore[union-attr]
    threading.Event().wait(0.1)
    assert heard == {"cell"}


def test_counting_itself_is_not_the_business_of_the_cells_modes() -> None:
    with torch.device("meta"), Zeroing(), ZeroingFunctions(), plain_torch():
        assert torch.relu(torch.ones(1)).item() == 1
        assert torch.empty(1).device.type == "cpu"


def test_inside_a_transform_the_widget_says_what_does_not_hold() -> None:
    widgets = []

    def inside(x: torch.Tensor) -> torch.Tensor:
        widgets.append(IUAWidget({"a": np.zeros((2, 3))}))
        return x

    torch.func.vmap(inside)(torch.ones(2))
    widgets[0].wait()
    assert "transform of torch.func" in str(widgets[0]._run["notes"])
