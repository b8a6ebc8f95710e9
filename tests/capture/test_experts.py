"""Mixtures of experts: what is told apart by expert, and what is not taken for routing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch import nn

from iua_widget import IUA, IUAWidget
from iua_widget.capture.expert_modules import routing_of
from iua_widget.capture.token_rows import places_among

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
def test_ids_masks_and_positions_are_not_routing(
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
@pytest.mark.filterwarnings("ignore::iua_widget.IUAWarning")  # of several calls a batch
def test_a_shared_expert_keeps_its_name_and_its_tokens(qwen: nn.Module, call: str) -> None:
    ids = torch.randint(3, 60, (4, 6))
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    batch["attention_mask"][:, 4:] = 0
    probes, forward = 16, None
    if call == "positional":

        def forward(model: nn.Module, batch: dict[str, torch.Tensor]) -> Any:
            return model(batch["input_ids"], batch["attention_mask"])

    elif call == "generate":
        del batch["attention_mask"]
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


class Routed(nn.Module):
    """Experts in a list, to each of which the tokens are given that a table says."""

    def __init__(self, name: str, to: list[int], experts: int = 4) -> None:
        super().__init__()
        self.num_experts = experts
        inner = [nn.Sequential(nn.Linear(4, 6), nn.ReLU()) for _ in range(experts)]
        self.add_module(name, nn.ModuleList(inner))
        self.name, self.to = name, torch.tensor(to)

    def forward(self, input: torch.Tensor, attention_mask: Any = None) -> torch.Tensor:  # noqa: A002, ARG002
        flat = input.reshape(-1, 4)
        out = torch.zeros(len(flat), 6)
        for number, expert in enumerate(getattr(self, self.name)):
            mine = self.to == number
            if mine.any():
                out[mine] = expert(flat[mine])
        return out.view(*input.shape[:-1], 6)


@pytest.mark.parametrize("name", ["experts", "expert_list", "branches"])
@pytest.mark.filterwarnings("ignore::iua_widget.IUAWarning")
def test_experts_in_a_list_are_rows_also_where_they_are_never_called(name: str) -> None:
    torch.manual_seed(0)
    model = Routed(name, [0, 0, 0, 2, 0, 3, 2, 0])
    iua = IUA.introspect(model, torch.randn(8, 4), engine="reference")
    assert iua.layers == [f"{name}.{expert}.1" for expert in range(4)]
    table = iua.to_pandas()
    assert table["load"].tolist() == [2.5, 0, 1, 0.5]
    assert table["probes"].tolist() == [5, 0, 2, 1]
    assert table["dead units"].isna().tolist() == [False, True, False, False]
    (note,) = [note for note in iua.notes if "routed" in note]
    assert note == (
        f"No token was routed to 1 expert, which has no figures but its load: '{name}.1'."
    )
    assert not [note for note in iua.notes if "Never called" in note]


@pytest.mark.filterwarnings("ignore::iua_widget.IUAWarning")
def test_padding_counts_neither_as_a_probe_nor_as_load() -> None:
    torch.manual_seed(0)
    tokens = torch.randn(2, 4, 4)
    mask = torch.tensor([[1, 1, 1, 0], [1, 0, 0, 0]])
    model = Routed("experts", [0, 0, 0, 2, 0, 3, 2, 0])
    batch = {"input": tokens, "attention_mask": mask}
    iua = IUA.introspect(model, [batch], engine="reference")
    table = iua.to_pandas()
    assert table["probes"].tolist() == [4, 0, 0, 0]
    assert table["load"].tolist() == [4, 0, 0, 0]
    assert not [note for note in iua.notes if "another shape" in note]


@pytest.mark.filterwarnings("ignore::iua_widget.IUAWarning")
def test_loads_add_up_over_batches_merges_and_files(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, data = Routed("experts", [0, 0, 1, 3]), torch.randn(8, 4)
    first = IUA.introspect(model, [data[:4]], engine="reference")
    model.to = torch.tensor([3, 3, 1, 3])
    second = IUA.introspect(model, [data[4:]], engine="reference")
    merged = IUA.load(first.save(tmp_path / "first.iua")).merge(second)
    assert [merged.results[layer].load for layer in merged.layers] == [1, 1, 0, 2]
    assert merged.layers == first.layers == [f"experts.{expert}.1" for expert in range(4)]
    loads = [merged._run.tally(layer).load for layer in merged.layers]
    assert [load.tokens for load in loads if load] == [2, 2, 0, 4]
    (note,) = [note for note in merged.notes if "routed" in note]
    assert "'experts.2'" in note


def test_a_table_without_experts_has_no_load() -> None:
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU())
    iua = IUA.introspect(model, torch.randn(8, 4), engine="reference")
    assert "load" not in iua.to_pandas()
    assert iua.results["1"].load is None


class TopOne(nn.Module):
    """Experts whose parameters are stacked, called with one expert a token."""

    def __init__(self) -> None:
        super().__init__()
        self.num_experts = 4
        self.up_proj = nn.Parameter(torch.randn(4, 4, 6))
        self.act_fn = nn.ReLU()

    def forward(self, hidden: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        out = torch.zeros(len(hidden), 6)
        for expert in range(self.num_experts):
            mine = index == expert
            if mine.any():
                out[mine] = self.act_fn(hidden[mine] @ self.up_proj[expert])
        return out


class SideBySide(nn.Module):
    """Every expert computes every token, in one product."""

    def __init__(self, product: str = "...c,ech->e...h") -> None:
        super().__init__()
        self.product = product
        self.num_experts = 3
        self.gate = nn.Linear(4, 3)
        self.up_proj = nn.Parameter(torch.randn(3, 4, 6))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        inner = torch.relu(torch.einsum(self.product, hidden, self.up_proj))
        weights = self.gate(hidden).softmax(dim=-1)
        return torch.einsum(f"{self.product[-5:]},...e->...h", inner, weights)


@pytest.mark.filterwarnings("ignore::iua_widget.IUAWarning")
def test_one_expert_a_token_and_experts_side_by_side() -> None:
    torch.manual_seed(0)
    model, tokens = nn.ModuleDict({"experts": TopOne(), "moe": SideBySide()}), torch.randn(7, 4)

    def forward(model: Any, batch: torch.Tensor) -> None:
        model["experts"](batch, torch.arange(7) % 3)
        model["moe"](batch)

    iua = IUA.introspect(model, [tokens], forward=forward, engine="reference")
    assert iua.layers == [
        *(f"experts.{expert}.act_fn" for expert in range(4)),
        *(f"moe.{expert}/relu" for expert in range(3)),
    ]
    assert [iua.results[layer].probes for layer in iua.layers] == [3, 2, 2, 0, 7, 7, 7]
    loads = [iua.results[layer].load for layer in iua.layers]
    assert loads == [12 / 7, 8 / 7, 8 / 7, 0, 1, 1, 1]
    for expert in range(3):
        by_hand = torch.relu(tokens @ model["moe"].up_proj[expert]).eq(0).sum(dim=0)
        counts = iua.results[f"moe.{expert}/relu"].unit_inactive_count
        assert counts.tolist() == by_hand.tolist()


def test_equal_tokens_are_told_apart_where_all_of_them_are_there() -> None:
    among = torch.tensor([[1.0], [2.0], [1.0], [3.0], [2.0]])
    real = np.array([True, True, False, True, True])
    assert places_among(among[[0, 2, 3]], among, real) is not None
    places = places_among(torch.tensor([[1.0], [1.0], [3.0]]), among, real)
    assert places is not None
    assert sorted(places.tolist()) == [0, 2, 3]
    assert places_among(torch.tensor([[1.0]]), among, real) is None  # padding, or not
    assert places_among(torch.tensor([[2.0]]), among, real) is not None
    assert places_among(torch.tensor([[4.0]]), among, real) is None


@pytest.mark.filterwarnings("ignore::iua_widget.IUAWarning")
def test_the_table_is_sorted_and_filtered_by_load() -> None:
    torch.manual_seed(0)
    widget = IUAWidget(Routed("experts", [0, 0, 0, 2, 0, 3, 2, 0]), torch.randn(8, 4))
    widget.wait()
    widget.filter = "load<0.6"
    assert widget.table()["response"].tolist() == ["experts.1.1", "experts.3.1"]
    widget.filter, widget.sort = "", {"column": "load", "ascending": False}
    assert widget.table()["load"].tolist() == [2.5, 1, 0.5, 0]
    widget.close()


@pytest.mark.parametrize("product", ["...c,ech->e...h", "...c,ech->...eh"])
@pytest.mark.parametrize("shape", [(5,), (2, 4)])
def test_experts_side_by_side_are_told_apart_on_whichever_axis(
    product: str, shape: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    model = SideBySide(product)
    batches = [torch.randn(*shape, 4), torch.randn(3, 4)]  # and as many tokens as experts
    iua = IUA.introspect(model, batches, engine="reference", units="token")
    assert iua.layers == [f"SideBySide.{expert}/relu" for expert in range(3)]
    tokens = torch.cat([batch.reshape(-1, 4) for batch in batches])
    for expert, layer in enumerate(iua.layers):
        by_hand = torch.relu(tokens @ model.up_proj[expert]).eq(0).sum(dim=0)
        assert iua.results[layer].unit_inactive_count.tolist() == by_hand.tolist()
        assert (iua.results[layer].probes, iua.results[layer].load) == (len(tokens), 1)
