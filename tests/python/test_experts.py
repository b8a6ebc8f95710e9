"""Mixtures of experts: what is told apart by expert, and what is not taken for routing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers
from torch import nn

from iua_widget import IUA
from iua_widget.capture.experts import routing_of

TOKENS = {"vocab_size": 60, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}


class Called(nn.Module):
    """A module that says it has four experts, and may hold their parameters."""

    def __init__(self, *, holds: bool = False) -> None:
        super().__init__()
        self.num_experts = 4
        if holds:
            self.up_proj = nn.Parameter(torch.zeros(4, 8, 16))


STATES = torch.zeros(12, 16)
CHOSEN = torch.zeros(12, 2, dtype=torch.long)
WEIGHTS = torch.zeros(12, 2)
IDS = torch.zeros(3, 4, dtype=torch.long)


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((STATES, CHOSEN, WEIGHTS), {}),
        ((STATES, WEIGHTS, CHOSEN), {}),
        ((STATES,), {"weights": WEIGHTS, "index": CHOSEN}),
        ((), {"top_k_weights": WEIGHTS, "top_k_index": CHOSEN, "hidden_states": STATES}),
        ((STATES.view(3, 4, 16), CHOSEN.int(), WEIGHTS), {}),
        ((WEIGHTS, CHOSEN, WEIGHTS.clone()), {}),  # as wide as the choices
    ],
)
def test_routing_is_known_by_what_is_given_not_by_its_place(
    args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    routing = routing_of(Called(), args, kwargs)
    assert routing is not None
    assert routing.experts == 4


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((IDS, torch.ones_like(IDS)), {}),
        ((), {"input_ids": IDS, "attention_mask": torch.ones_like(IDS)}),
        ((), {"attention_mask": IDS, "position_ids": IDS, "inputs_embeds": STATES.view(3, 4, 16)}),
        ((), {"attention_mask": IDS, "inputs_embeds": torch.zeros(3, 1, 16)}),  # in `generate`
        ((STATES, IDS), {}),  # a router by the hash of ids
        ((STATES,), {"mask": CHOSEN.bool()}),
        ((STATES, WEIGHTS), {}),
    ],
)
def test_ids_masks_and_positions_are_no_routing(
    args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    assert routing_of(Called(), args, kwargs) is None


def test_experts_without_weights_are_known_by_their_parameters() -> None:
    assert routing_of(Called(holds=True), (STATES, CHOSEN), {}) is not None
    assert routing_of(Called(), (STATES, CHOSEN), {}) is None
    assert routing_of(nn.Linear(16, 2), (STATES, CHOSEN, WEIGHTS), {}) is None


@pytest.fixture(scope="module")
def qwen() -> nn.Module:
    torch.manual_seed(0)
    config = transformers.Qwen2MoeConfig(
        hidden_size=16, intermediate_size=32, moe_intermediate_size=8,
        shared_expert_intermediate_size=8, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, num_experts=4, num_experts_per_tok=2, **TOKENS,
    )  # fmt: skip
    return transformers.Qwen2MoeForCausalLM(config)


@pytest.mark.parametrize("call", ["mapping", "positional", "embeddings", "generate"])
def test_a_shared_expert_keeps_its_name_and_its_tokens(qwen: nn.Module, call: str) -> None:
    ids = torch.randint(3, 60, (4, 6))
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    batch["attention_mask"][:, 4:] = 0
    probes, forward = 16, None
    if call == "positional":

        def forward(model: nn.Module, batch: dict[str, torch.Tensor]) -> Any:
            return model(batch["input_ids"], batch["attention_mask"])

    elif call == "generate":
        batch["attention_mask"] = torch.ones_like(ids)
        probes = 4 * (6 + 2)

        def forward(model: nn.Module, batch: dict[str, torch.Tensor]) -> Any:
            return model.generate(**batch, max_new_tokens=3, min_new_tokens=3, do_sample=False)

    elif call == "embeddings":
        batch["inputs_embeds"] = qwen.get_input_embeddings()(batch.pop("input_ids")).detach()
    iua = IUA.introspect(qwen, [batch], forward=forward, engine="reference")
    shared = [layer for layer in iua.layers if "shared" in layer]
    assert shared == [f"model.layers.{n}.mlp.shared_expert.act_fn" for n in range(2)]
    assert {iua.results[layer].probes for layer in shared} == {probes}
    for n in range(2):
        experts = [layer for layer in iua.layers if f"layers.{n}.mlp.experts." in layer]
        assert sum(iua.results[layer].probes for layer in experts) == 2 * probes
