"""Every mixture of experts of the installed `transformers`: names, tokens and counts by hand.

By hand, each expert is given the tokens that were routed to it in a call of its own: what its
activations then give can be no other's.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from tiny_mixtures import VOCABULARY, mixtures, tiny
from torch import nn
from torch.overrides import TorchFunctionMode
from transformers.integrations.moe import ALL_EXPERTS_FUNCTIONS

from iua_widget import IUA

pytestmark = pytest.mark.slow


ATOL = 0.02
ROUNDING = 1e-6
FUNCTIONS = {"sigmoid", "silu", "relu", "gelu", "tanh", "softplus"}
KNOWN = {
    "mixtral", "qwen2_moe", "qwen3_moe", "qwen3_next", "olmoe", "gpt_oss", "jamba", "phimoe",
    "granitemoe", "granitemoeshared", "ernie4_5_moe", "deepseek_v2", "deepseek_v3", "llama4_text",
    "jetmoe", "switch_transformers", "nllb-moe", "longcat_flash", "hunyuan_v1_moe", "dbrx",
}  # fmt: skip
LEFT_OUT = {
    "doge": "an expert is one neuron, looked up for each token: no layer is an expert's",
    "vitpose_backbone": "an image's data set chooses the expert, which has no activation",
}
MIXTURES = mixtures()


def test_the_mixtures_that_are_known_are_found() -> None:
    assert KNOWN.issubset(MIXTURES)
    assert set(LEFT_OUT).issubset(MIXTURES)


@dataclass
class ByHand:
    """What a model gives, one expert at a time, padding left out.

    Attributes
    ----------
    experts : dict of str to list of int
        Tokens of each expert, by module of experts.
    responses : dict of str to list of numpy.ndarray
        Of experts' activations, by name; each of shape (tokens, units).
    others : dict of str to int
        Activations that are modules outside of experts: probes, by call.
    """

    experts: dict[str, list[int]] = field(default_factory=dict)
    responses: defaultdict[str, list[np.ndarray]] = field(default_factory=lambda: defaultdict(list))
    others: dict[str, int] = field(default_factory=dict)


class Recorder(TorchFunctionMode):
    """Keeps what the activations within a module give: modules, and functions of others."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.kept: defaultdict[str, list[torch.Tensor]] = defaultdict(list)
        self._callers = [("", module)]
        self._exits = ExitStack()
        for name, one in module.named_modules():
            if name:
                entered = functools.partial(self._entered, f".{name}")
                self._exits.callback(one.register_forward_pre_hook(entered).remove)
                self._exits.callback(one.register_forward_hook(self._left).remove)

    def _entered(self, path: str, module: nn.Module, _args: Any) -> None:
        self._callers.append((path, module))

    def _left(self, module: nn.Module, _args: Any, output: Any) -> None:
        path, _ = self._callers.pop()
        if is_activation(module):
            self.kept[path].append(output)

    def __exit__(self, *error: object) -> None:
        self._exits.close()
        super().__exit__(*error)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name, (path, caller) = getattr(func, "__name__", ""), self._callers[-1]
        if name in FUNCTIONS and not is_activation(caller):
            self.kept[f"{path}/{name}"].append(result)
        return result


def is_activation(module: nn.Module) -> bool:
    home = type(module).__module__
    return home.startswith(("transformers.activations", "torch.nn.modules.activation"))


class OneByOne:
    """Forward passes that give each expert its tokens by themselves, and then all to all.

    Parameters
    ----------
    name : str
    module : torch.nn.Module
    real : torch.Tensor of bool
        Which tokens are no padding.
    seen : ByHand
    """

    def __init__(self, name: str, module: nn.Module, real: torch.Tensor, seen: ByHand) -> None:
        self.name, self.module, self.real, self.seen = name, module, real, seen
        self.forward = module.forward

    def keep(self, expert: int, experts: int, tokens: int, kept: dict[str, Any]) -> None:
        self.seen.experts.setdefault(self.name, [0] * experts)[expert] += tokens
        for path, outputs in kept.items():
            name = f"{self.name}.{expert}{path}"
            self.seen.responses[name] += [one.numpy() for one in outputs]

    def chosen_experts(self, hidden: Any, chosen: Any, weights: Any) -> Any:
        flat = hidden.reshape(-1, hidden.shape[-1])
        names = ("num_experts", "num_routed_experts")
        experts = next(n for name in names if (n := getattr(self.module, name, None)))
        for expert in range(experts):
            tokens, _ = torch.where((chosen == expert) & self.real[:, None])
            kept: dict[str, Any] = {}
            if len(tokens):
                with Recorder(self.module) as recorder:
                    only = torch.full((len(tokens), 1), expert)
                    self.forward(flat[tokens], only, torch.ones(len(tokens), 1))
                kept = recorder.kept
            self.keep(expert, experts, len(tokens), kept)
        return self.forward(hidden, chosen, weights)

    def dictionary(self, hidden: Any, chosen: Any, weights: Any) -> Any:
        keys, real = [key for key in self.module if "expert" in key], self.real
        tokens = self.seen.experts.setdefault(self.name, [0] * len(keys))
        with Recorder(self.module) as recorder:
            self.forward(hidden[real], chosen[real], weights[real])
        for path, outputs in recorder.kept.items():
            self.seen.responses[f"{self.name}{path}"] += [one.numpy() for one in outputs]
            tokens[keys.index(path.split(".")[1])] += sum(map(len, outputs))
        return self.forward(hidden, chosen, weights)

    def llama4(self, hidden: Any) -> Any:
        gates = self.module.gate_up_proj.chunk(2, dim=-1)[0]
        for expert, given in enumerate(hidden.view(len(gates), len(self.real), -1)):
            (tokens,) = torch.where(given.abs().sum(dim=-1).gt(0) & self.real)
            response = self.module.act_fn(given[tokens] @ gates[expert])
            self.keep(expert, len(gates), len(tokens), {".act_fn": [response]})
        return self.forward(hidden)

    def shared(self, hidden: Any, gammas: Any) -> Any:
        given = hidden.reshape(len(self.real), -1)[self.real]
        for expert, gate in enumerate(self.module.gate_proj):
            response = self.module.act_fn(given @ gate.T)
            self.keep(expert, len(self.module.gate_proj), len(given), {".act_fn": [response]})
        return self.forward(hidden, gammas)

    def jetmoe(self, hidden: Any) -> Any:
        flat, router = hidden.reshape(len(self.real), -1), self.module.router
        chosen = router.layer(flat).topk(router.top_k).indices
        weights = self.module.input_linear.weight
        for expert, weight in enumerate(weights):
            (tokens,) = torch.where((chosen == expert).any(dim=-1) & self.real)
            response = self.module.activation((flat[tokens] @ weight.T).chunk(2, dim=-1)[0])
            self.keep(expert, len(weights), len(tokens), {".activation": [response]})
        return self.forward(hidden)

    @classmethod
    def of(cls, name: str, module: nn.Module, real: torch.Tensor, seen: ByHand) -> Any:
        kind, one = type(module).__name__, cls(name, module, real, seen)
        if kind == "JetMoeMoE":
            return one.jetmoe
        if "Experts" not in kind or "Parallel" in kind or "MLP" in kind:
            return None
        if isinstance(module, nn.ModuleDict):
            return one.dictionary
        if kind.startswith("Llama4"):
            return one.llama4
        return one.shared if kind == "InklingSharedExperts" else one.chosen_experts


def by_hand(model: nn.Module, batch: dict[str, torch.Tensor]) -> ByHand:
    seen = ByHand()
    decoder = batch.get("decoder_attention_mask")
    handles, patched = [], []
    calls: defaultdict[str, int] = defaultdict(int)
    for name, module in model.named_modules():
        mask = (
            decoder if decoder is not None and "decoder." in name else batch.get("attention_mask")
        )
        real = torch.ones(len(batch["pixel_values"])) if mask is None else mask.ravel()
        forward = OneByOne.of(name, module, real.bool(), seen)
        if forward is not None:
            patched.append((name, module, forward))
        elif is_activation(module) and not any(name.startswith(f"{of}.") for of, _, _ in patched):

            def count(_m: Any, _a: Any, output: Any, name: str = name, real: Any = real) -> None:
                rows = output.numel() // output.shape[-1] == len(real)
                call = f"{name}:{calls[name]}" if calls[name] else name
                calls[name] += 1
                seen.others[call] = int(real.sum()) if rows else 0

            handles.append(module.register_forward_hook(count))
    for _, module, forward in patched:
        module.forward = forward
    with torch.no_grad():
        model(**batch)
    for _, module, _ in patched:
        del module.forward
    for handle in handles:
        handle.remove()
    return seen


def batch_for(model: nn.Module) -> dict[str, torch.Tensor]:
    if type(model).__name__ == "Dots3NoteVisionModel":
        return {
            "pixel_values": torch.randn(32, 12),
            "grid_thw": torch.tensor([[1, 4, 4], [1, 4, 4]]),
        }
    ids = torch.randint(3, VOCABULARY, (3, 6))
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    batch["attention_mask"][1, 4:] = 0
    if model.config.is_encoder_decoder:
        batch["decoder_input_ids"], batch["decoder_attention_mask"] = ids, batch["attention_mask"]
    if not hasattr(model, "embed_tokens") and "Talker" in type(model).__name__:
        batch["inputs_embeds"] = torch.randn(3, 6, 32)
        del batch["input_ids"]
    return batch


def assert_counted(iua: IUA, seen: ByHand) -> None:
    within = tuple(f"{name}." for name in seen.experts) + tuple(f"{n}/" for n in seen.experts)
    of_experts = [layer for layer in iua.layers if layer.startswith(within)]
    met = {name for name, responses in seen.responses.items() if responses}
    assert met <= set(of_experts)
    table = iua.to_pandas().set_index("response")
    for layer in of_experts:
        module = next(name for name in seen.experts if layer.startswith((f"{name}.", f"{name}/")))
        result = iua.results[layer]
        responses = seen.responses.get(layer)
        if not responses:
            assert result.probes == 0
            assert table["load"][layer] == 0
            continue
        values = np.concatenate(responses)
        assert (result.unit, result.probes) == ("token", len(values)), layer
        tokens = seen.experts[module]
        share = len(values) * len(tokens) / sum(tokens)
        assert table["load"][layer] == pytest.approx(share), layer
        near = np.abs(np.abs(values) - ATOL) < ROUNDING  # rounded elsewhere, in another order
        counts = np.isclose(values, 0, atol=ATOL).sum(axis=0)
        assert (np.abs(result.unit_inactive_count - counts) <= near.sum(axis=0)).all(), layer
    others = [layer for layer in iua.layers if layer not in of_experts and "/" not in layer]
    assert set(others) == set(seen.others)
    for layer, probes in seen.others.items():
        if probes:
            assert iua.results[layer].probes == probes, layer


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # the models are too small for more to help
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("kind", [kind for kind in MIXTURES if kind not in LEFT_OUT])
@pytest.mark.filterwarnings("ignore::iua_widget.IUAWarning")
def test_every_mixture_is_counted_expert_by_expert(kind: str) -> None:
    torch.manual_seed(0)
    model = tiny(kind)
    batch = batch_for(model)
    seen = by_hand(model, batch)
    iua = IUA.introspect(model, [batch], atol=ATOL, engine="reference", stops=[0, ATOL])
    assert seen.experts
    assert_counted(iua, seen)


@pytest.mark.parametrize("implementation", ["eager", "grouped_mm", "batched_mm"])
@pytest.mark.parametrize("kind", ["mixtral", "gpt_oss", "deepseek_v3", "nemotron_h", "lfm2_moe"])
@pytest.mark.filterwarnings("ignore::iua_widget.IUAWarning")
def test_every_implementation_is_counted_expert_by_expert(kind: str, implementation: str) -> None:
    torch.manual_seed(0)
    model = tiny(kind)
    batch = batch_for(model)
    seen = by_hand(model, batch)
    model.config._experts_implementation = implementation
    iua = IUA.introspect(model, [batch], atol=ATOL, engine="reference", stops=[0, ATOL])
    assert_counted(iua, seen)


@pytest.mark.filterwarnings("ignore::iua_widget.IUAWarning")
def test_rows_in_an_unknown_order_are_noted() -> None:
    def reversed_mm(module: Any, hidden: Any, chosen: Any, weights: Any) -> Any:
        return ALL_EXPERTS_FUNCTIONS["grouped_mm"](module, hidden.flip(0), chosen.flip(0), weights)

    torch.manual_seed(0)
    model = tiny("mixtral")
    batch = batch_for(model)
    ALL_EXPERTS_FUNCTIONS.register("reversed_mm", reversed_mm)
    model.config._experts_implementation = "reversed_mm"
    iua = IUA.introspect(model, [batch, batch], engine="reference", stops=[0])
    (note,) = [note for note in iua.notes if "not told apart" in note]
    assert note.startswith("'model.layers.0.mlp.experts.act_fn', 'model.layers.1.mlp.experts")
    assert iua.layers == [f"model.layers.{n}.mlp.experts.act_fn" for n in range(2)]
    assert "load" not in iua.to_pandas()
