"""Traps of watching a model carelessly: first each trap, then that it is avoided."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from by_hand import assert_counts, assert_untouched, everything, outputs_by_hand
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, Dataset

from iua_widget import IUA, IUAWarning, IUAWidget, ProducerError


def careless(model: nn.Module, x: torch.Tensor, *names: str) -> list[torch.Tensor]:
    """What hooks that keep references are left with."""
    kept: list[torch.Tensor] = []
    handles = [
        model.get_submodule(name).register_forward_hook(lambda _m, _a, out: kept.append(out))
        for name in names
    ]
    with torch.no_grad():
        model(x)
    for handle in handles:
        handle.remove()
    return kept


def zeros(tensor: torch.Tensor) -> float:
    return float((tensor == 0).float().mean())


def conv_net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True)).eval()


def test_in_place_relu_after_batch_norm() -> None:
    model, x = conv_net(), torch.randn(8, 1, 7, 7)
    assert zeros(careless(model, x, "1")[0]) > 0.3, "the trap: a kept reference shows the ReLU"
    iua = IUA.introspect(model, x, layers=["1", "2"])
    assert iua.results["1"].mean_inactive == 0
    expected = outputs_by_hand(model, [x], ["2"])
    assert_counts(iua, "2", expected["2"][0], 1e-8)


def test_reuse_with_equal_shapes() -> None:
    class Block(nn.Module):
        """As in ResNet-18: one ReLU, two calls, one shape."""

        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(2, 2, 3, padding=1)
            self.relu = nn.ReLU(inplace=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.relu(self.conv(self.relu(self.conv(x))) + x)

    torch.manual_seed(0)
    model, x = Block().eval(), torch.randn(9, 2, 5, 5)
    outputs = outputs_by_hand(model, [x], ["relu"])["relu"]
    assert outputs[0].shape == outputs[1].shape, "the trap: they could be merged silently"
    iua = IUA.introspect(model, x)
    assert iua.layers == ["relu", "relu:1"]
    for layer, values in zip(iua.layers, outputs, strict=True):
        assert_counts(iua, layer, values, 1e-8)


@pytest.mark.parametrize("units", ["element", "channel", "token"])
@pytest.mark.parametrize("form", ["channels_last", "transposed", "sliced", "expanded", "flipped"])
def test_outputs_that_are_not_contiguous(form: str, units: str) -> None:
    shapes: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
        "channels_last": lambda x: x.to(memory_format=torch.channels_last),
        "transposed": lambda x: x.transpose(2, 3),
        "sliced": lambda x: x[:, ::2, 1:, ::2],
        "expanded": lambda x: x[:, :1].expand(-1, 3, -1, -1),
        "flipped": lambda x: torch.flip(x, dims=[1]),
    }

    class Net(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return shapes[form](x)

    x = F.relu(torch.randn(6, 4, 5, 6))
    response = shapes[form](x)
    if form == "channels_last":
        with pytest.raises(RuntimeError, match="view"):
            response.view(6, -1)
    iua = IUA.introspect(Net(), x, layers="*", units=units)
    values = response.numpy()
    if units == "channel":
        values = np.abs(values).max(axis=(2, 3))
    elif units == "token":
        values = np.moveaxis(values, 1, -1).reshape(-1, values.shape[1])
    assert_counts(iua, "Net", values, 1e-8)


@pytest.mark.parametrize("how", ["introspect", "forward=", "widget"])
def test_autocast_counts_what_the_model_computes_in_bfloat16(how: str) -> None:
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(8, 16), nn.ReLU()).eval(), torch.randn(20, 8)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        expected = model(x)
    assert expected.dtype == torch.bfloat16
    with pytest.raises(TypeError, match="BFloat16"):
        expected.numpy()

    def cast(model: nn.Module, batch: torch.Tensor) -> None:
        with torch.autocast("cpu", torch.bfloat16):
            model(batch)

    if how == "forward=":
        iua = IUA.introspect(model, x, forward=cast, atol=0.01)
    else:
        with torch.autocast("cpu", torch.bfloat16):
            if how == "widget":
                widget = IUAWidget(model, x, atol=0.01)
                widget.wait()
                iua = widget.iua
            else:
                iua = IUA.introspect(model, x, atol=0.01)
    assert iua._run.tally("1").dtypes == {"bfloat16"}
    assert_counts(iua, "1", expected.float().numpy(), 0.01)


def test_float16_tells_where_a_tolerance_vanishes() -> None:
    assert np.float16(1e-8) == 0, "the trap"
    tiny = np.array([[0, 6e-8, 1]], np.float16)
    with pytest.warns(IUAWarning, match=r"atol=1e-08 is below the smallest float16.*'half'"):
        iua = IUA.introspect({"half": tiny, "single": tiny.astype(np.float32)})
    assert iua.results["half"].unit_inactive_count.tolist() == [1, 0, 0]
    IUA.introspect({"half": tiny}, atol=1e-7)
    IUA.introspect({"half": tiny}, atol=0)
    widget = IUAWidget({"half": tiny}, background=False)
    assert "rounds to 0" in widget._run["notes"][0]
    widget.atol = 1e-3
    widget._frames._pacer.flush()  # type: ignore[union-attr]
    assert widget._run["notes"] == []


class Compiled(nn.Module):
    """A module and a function, either of which may be compiled, or the whole."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.body: Any = nn.Sequential(nn.Linear(4, 6), nn.ReLU())
        self.fc = nn.Linear(6, 3)
        self.last = F.gelu
        if how == "a part":
            self.body = torch.compile(self.body, backend="eager")
        if how == "a function":
            self.last = torch.compile(lambda x: F.gelu(x), backend="eager")  # noqa: PLW0108

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.fc(self.body(x)))


def test_the_trap_of_compiling_hooks_that_come_late_are_not_called() -> None:
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU())
    compiled, x = torch.compile(model, backend="eager"), torch.randn(3, 4)
    seen: list[int] = []
    with torch.no_grad():
        compiled(x)
        model[1].register_forward_hook(lambda *_: seen.append(1))
        compiled(x)
    assert not seen
    torch._dynamo.reset()


@pytest.mark.parametrize("called_before", [False, True])
@pytest.mark.parametrize("how", ["torch.compile", "model.compile", "a part", "a function"])
def test_a_compiled_model_is_watched_as_it_was_written(how: str, called_before: bool) -> None:
    torch.manual_seed(0)
    model: Any = Compiled(how)
    x = torch.randn(12, 4)
    with torch.no_grad():
        hidden = model.body(x) if how != "a part" else model.body._orig_mod(x)
        expected = {"body.1": hidden, "Compiled/gelu": F.gelu(model.fc(hidden))}
    if how == "torch.compile":
        model = torch.compile(model, backend="eager")
    if how == "model.compile":
        model.compile(backend="eager")
    if called_before:
        with torch.no_grad():
            model(x)
    iua = IUA.introspect(model, x, atol=1e-3)
    assert iua.layers == list(expected)
    for layer, values in expected.items():
        assert_counts(iua, layer, values.numpy(), 1e-3)
    torch._dynamo.reset()


@pytest.mark.filterwarnings("ignore:.*torch.jit.:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*torch.jit.:FutureWarning")
def test_script_modules_are_refused_by_name() -> None:
    eager = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    x = torch.randn(5, 3)
    scripted = torch.jit.trace(eager, x)
    for model in (scripted, torch.jit.script(eager)):
        with pytest.raises(ProducerError, match=r"TorchScript.*before torch.jit"):
            IUA.introspect(model, x)
    mixed = nn.Sequential(scripted, nn.Linear(4, 4), nn.ReLU())
    with pytest.warns(IUAWarning, match=r"2 modules inside a ScriptModule cannot be watched"):
        assert IUA.introspect(mixed, x).layers == ["2"]
    with pytest.raises(ValueError, match=r"'0.1' is inside a ScriptModule"):
        IUA.introspect(mixed, x, layers="0.1")
    assert IUA.introspect(mixed, x, layers="0").layers == ["0"]


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
@pytest.mark.parametrize("reentrant", [False, True])
def test_activation_checkpointing_counts_once(reentrant: bool) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Linear(4, 6), nn.ReLU())

        def forward(self, x: torch.Tensor) -> Any:
            return checkpoint(self.body, x, use_reentrant=reentrant)

    torch.manual_seed(0)
    model, x = Net(), torch.randn(5, 4, requires_grad=True)
    calls: list[int] = []
    handle = model.body[1].register_forward_pre_hook(lambda *_: calls.append(1))
    model(x).sum().backward()
    assert len(calls) == 2, "the trap: the backward pass calls it again"
    handle.remove()
    iua = IUA.introspect(model, x.detach())
    assert iua.layers == ["body.1"]
    assert_counts(iua, "body.1", outputs_by_hand(model, [x.detach()], ["body.1"])["body.1"][0], 0)


def test_a_model_in_data_parallel_is_refused_and_the_message_says_what_to_pass() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    with pytest.raises(ProducerError, match=r"DataParallel.*model\.module"):
        IUA.introspect(nn.DataParallel(model), torch.zeros(2, 3))
    with pytest.raises(ProducerError, match=r"'0' of Sequential is nn.DataParallel"):
        IUA.introspect(nn.Sequential(nn.DataParallel(model)), torch.zeros(2, 3))


@pytest.fixture
def process_group() -> Iterator[None]:
    with tempfile.TemporaryDirectory() as folder:
        torch.distributed.init_process_group(
            "gloo", init_method=f"file://{folder}/store", rank=0, world_size=1
        )
        try:
            yield
        finally:
            torch.distributed.destroy_process_group()


@pytest.mark.usefixtures("process_group")
def test_a_distributed_model_counts_its_own_rank() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    wrapped = nn.parallel.DistributedDataParallel(model)
    x = torch.randn(7, 3)
    before = everything(wrapped)
    iua = IUA.introspect(wrapped, x)
    assert_untouched(before, everything(wrapped))
    assert iua.layers == ["1"]
    assert_counts(iua, "1", outputs_by_hand(model, [x], ["1"])["1"][0], 1e-8)


@pytest.mark.filterwarnings("ignore:.*quant:UserWarning")
@pytest.mark.filterwarnings("ignore:.*quant:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:torch.ao.quantization")
def test_quantized_tensors_count_as_the_numbers_they_stand_for() -> None:
    class Net(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(torch.quantize_per_tensor(x, 0.1, 5, torch.quint8))

    x = torch.randn(9, 6) * 0.2
    quantized = Net()(x)
    assert zeros(quantized.int_repr()) != zeros(quantized.dequantize()), "the trap"
    iua = IUA.introspect(Net(), x)
    assert iua._run.tally("Net/relu").dtypes == {"quint8"}
    assert_counts(iua, "Net/relu", quantized.dequantize().numpy(), 1e-8)


def test_a_smaller_last_batch_counts_as_many_probes_as_it_has() -> None:
    model, x = conv_net(), torch.randn(10, 1, 5, 5)
    outputs = outputs_by_hand(model, x.split(4), ["2"])["2"]
    assert [len(part) for part in outputs] == [4, 4, 2]
    by_batch = np.mean([(part == 0).mean() for part in outputs])
    whole = np.concatenate(outputs)
    assert by_batch != (whole == 0).mean(), "the trap: a mean of means"
    iua = IUA.introspect(model, x, batch_size=4)
    assert_counts(iua, "2", whole, 0)


def test_a_model_that_raises_in_the_middle_keeps_whole_batches_only() -> None:
    class Fails(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.ReLU(), nn.ReLU()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.first(x)
            if x.sum() > 100:
                raise ValueError("too much")
            return self.second(x)

    batches = [torch.ones(3, 2), torch.ones(3, 2), torch.full((3, 2), 99.0)]
    with pytest.raises(ProducerError, match=r"Fails raised ValueError in batch 2: too much") as e:
        IUA.introspect(Fails(), batches)
    partial = e.value.partial
    assert partial is not None
    assert {result.probes for result in partial.results.values()} == {6}


class Dies(Dataset[torch.Tensor]):
    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> torch.Tensor:
        if index == 9 and torch.utils.data.get_worker_info() is not None:
            os._exit(3)
        return torch.ones(3)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_loader_whose_worker_dies_keeps_what_was_counted() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    loader = DataLoader(Dies(), batch_size=4, num_workers=1, prefetch_factor=1)
    before = everything(model)
    with pytest.raises(ProducerError, match=r"the loader raised RuntimeError at batch") as caught:
        IUA.introspect(model, loader)
    assert_untouched(before, everything(model))
    assert caught.value.partial is not None
    assert caught.value.partial.probes % 4 == 0


def test_meta_tensors_are_refused_and_say_what_to_do() -> None:
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    with pytest.raises(ProducerError, match=r"2 of Sequential's parameters.*meta.*'0.weight'"):
        IUA.introspect(model, torch.zeros(2, 3))
    real = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    with pytest.raises(ProducerError, match="meta"):
        IUA.introspect(nn.ReLU(), torch.zeros(2, 3, device="meta"))
    assert IUA.introspect(real, torch.zeros(2, 3)).probes == 2


def test_modules_without_a_shape_yet_are_refused() -> None:
    model = nn.Sequential(nn.LazyLinear(3), nn.ReLU())
    with pytest.raises(ProducerError, match=r"in the first forward pass \('0.weight', '0.bias'\)"):
        IUA.introspect(model, torch.zeros(2, 3))


def test_the_fused_encoder_layer_is_taken_apart() -> None:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    x = torch.randn(3, 5, 8)
    hooked: list[int] = []
    enabled = torch.backends.mha.get_fastpath_enabled()
    assert enabled
    with torch.no_grad(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(layer, "activation", lambda x: hooked.append(1) or x)
        expected = layer(x)
    assert not hooked, "the trap: no activation is called at all"
    iua = IUA.introspect(layer, x, layers=["*/relu", "TransformerEncoderLayer"], batch_size=1)
    assert torch.backends.mha.get_fastpath_enabled() == enabled
    assert iua.layers == ["TransformerEncoderLayer/relu", "TransformerEncoderLayer"]
    assert iua.results["TransformerEncoderLayer"].probes == expected.shape[0] * expected.shape[1]


def test_the_users_own_hooks_are_part_of_the_model() -> None:
    model, x = nn.Sequential(nn.Linear(3, 4), nn.ReLU()), torch.randn(6, 3)
    model[1].register_forward_hook(lambda _module, _args, output: output * 0)
    assert IUA.introspect(model, x).results["1"].dead == 4


def test_an_image_without_a_batch_axis_is_not_taken_for_a_batch() -> None:
    model = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU())
    samples = [torch.randn(3, 8, 8) for _ in range(4)]
    assert model(samples[0]).shape == (5, 6, 6), "the trap: five channels for five probes"
    with pytest.raises(ProducerError, match=r"'0' \(Conv2d\).*without a batch axis.*unsqueeze"):
        IUA.introspect(model, samples)


def test_exported_and_traced_graphs_are_models_too(tmp_path: Path) -> None:
    del tmp_path
    model, x = nn.Sequential(nn.Linear(3, 4), nn.ReLU()).eval(), torch.randn(6, 3)
    expected = outputs_by_hand(model, [x], ["1"])["1"][0]
    traced = torch.fx.symbolic_trace(model)
    assert_counts(IUA.introspect(traced, x), "1", expected, 1e-8)
    exported = torch.export.export(model, (x,)).module()
    iua = IUA.introspect(exported, x, forward=lambda model, batch: model(batch), batch_size=6)
    (layer,) = iua.layers
    assert layer.endswith("/relu")
    assert_counts(iua, layer, expected, 1e-8)


def test_responses_inside_a_transform_are_refused_by_name() -> None:
    class Mapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.relu = nn.ReLU()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.vmap(self.relu)(x)

    with pytest.raises(ProducerError, match=r"'relu' is computed inside torch.func.*layers="):
        IUA.introspect(Mapped(), torch.randn(4, 3))
    assert IUA.introspect(Mapped(), torch.randn(4, 3), layers="Mapped").layers == ["Mapped"]


def test_modules_run_on_a_thread_of_the_models_own_are_refused_by_name() -> None:
    class Threaded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.relu = nn.ReLU()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with ThreadPoolExecutor(1) as pool:
                return pool.submit(self.relu, x).result()

    with pytest.raises(ValueError, match=r"Threaded calls 'relu' on a thread of its own"):
        IUA.introspect(Threaded(), torch.randn(4, 3))


@pytest.mark.parametrize("form", ["tensor", "array", "list", "loader"])
def test_inputs_are_not_changed_by_a_model_that_begins_in_place(form: str) -> None:
    x = torch.randn(20, 3)
    kept = x.clone()
    data: Any = {
        "tensor": x,
        "array": x.numpy(),
        "list": list(x.split(5)),
        "loader": DataLoader([(row,) for row in x], batch_size=20, collate_fn=lambda _: (x,)),
    }[form]
    model = nn.Sequential(nn.ReLU(inplace=True))
    first = IUA.introspect(model, data)
    assert torch.equal(x, kept)
    again = IUA.introspect(model, data)
    assert_counts(first, "0", kept.clamp(min=0).numpy(), 1e-8)
    assert_counts(again, "0", kept.clamp(min=0).numpy(), 1e-8)


def test_a_model_that_takes_gradients_is_told_how() -> None:
    class Energy(nn.Module):
        def __init__(self, *, enabled: bool) -> None:
            super().__init__()
            self.softplus, self.enabled = nn.Softplus(), enabled

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with torch.set_grad_enabled(self.enabled):
                x = x.clone().requires_grad_()
                return torch.autograd.grad(self.softplus(x).sum(), x)[0]

    assert IUA.introspect(Energy(enabled=True), torch.randn(4, 3)).layers == ["softplus"]
    with pytest.raises(ProducerError, match=r"let it do so in torch.enable_grad\(\)"):
        IUA.introspect(Energy(enabled=False), torch.randn(4, 3))
