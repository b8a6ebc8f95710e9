"""Real architectures of `transformers`, with random weights: what is captured, and its counts.

For each the number of activations is worked out from its configuration, and every layer is compared
with a plain NumPy count of the same module's outputs, padding left out where there is some.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from by_hand import assert_counts, assert_untouched, everything, outputs_by_hand
from torch import nn

from iua_widget import IUA, IUAWarning

pytestmark = pytest.mark.slow


ATOL = 0.02
VOCABULARY = 60
TOKENS = {"vocab_size": VOCABULARY, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}


@dataclass(frozen=True)
class Case:
    """A model, batches for it, and how many activations its configuration promises."""

    model: nn.Module
    batches: list[dict[str, torch.Tensor]]
    activations: int


def images(size: int) -> list[dict[str, torch.Tensor]]:
    return [{"pixel_values": torch.randn(count, 3, size, size)} for count in (3, 2)]


def texts(*, decoder: bool = False) -> list[dict[str, torch.Tensor]]:
    batches = []
    for count, length in ((3, 7), (2, 9)):
        batch = {"input_ids": torch.randint(3, VOCABULARY, (count, length))}
        batch["attention_mask"] = torch.ones(count, length, dtype=torch.long)
        batch["attention_mask"][1, 4:] = 0
        if decoder:
            batch["decoder_input_ids"] = torch.randint(3, VOCABULARY, (count, length - 2))
            batch["decoder_attention_mask"] = batch["attention_mask"][:, :-2]
        batches.append(batch)
    return batches


def resnet() -> Case:
    config = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16], depths=[2, 1], layer_type="bottleneck"
    )
    # One in the embedder; in each layer one after the first two convolutions and one at its end.
    return Case(transformers.ResNetModel(config), images(32), 1 + 3 * sum(config.depths))


def vit() -> Case:
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=24,
        image_size=32, patch_size=8,
    )  # fmt: skip
    # One in each layer's MLP, and the pooler's tanh.
    return Case(transformers.ViTModel(config), images(32), config.num_hidden_layers + 1)


def convnext() -> Case:
    config = transformers.ConvNextConfig(hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 2, 1])
    return Case(transformers.ConvNextModel(config), images(64), sum(config.depths))


def swin() -> Case:
    config = transformers.SwinConfig(
        image_size=32, patch_size=2, embed_dim=8, depths=[2, 1], num_heads=[2, 2], window_size=4
    )
    return Case(transformers.SwinModel(config), images(32), sum(config.depths))


def bert() -> Case:
    config = transformers.BertConfig(
        hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=24, **TOKENS
    )
    return Case(transformers.BertModel(config), texts(), config.num_hidden_layers + 1)


def gpt2() -> Case:
    config = transformers.GPT2Config(n_embd=16, n_layer=3, n_head=2, n_positions=32, **TOKENS)
    return Case(transformers.GPT2LMHeadModel(config), texts(), config.n_layer)


def t5() -> Case:
    config = transformers.T5Config(
        d_model=16, d_kv=8, d_ff=24, num_layers=2, num_decoder_layers=3, num_heads=2,
        decoder_start_token_id=0, **TOKENS,
    )  # fmt: skip
    layers = config.num_layers + config.num_decoder_layers
    return Case(transformers.T5Model(config), texts(decoder=True), layers)


def llama() -> Case:
    config = transformers.LlamaConfig(
        hidden_size=16, intermediate_size=24, num_hidden_layers=3, num_attention_heads=2,
        num_key_value_heads=2, **TOKENS,
    )  # fmt: skip
    return Case(transformers.LlamaForCausalLM(config), texts(), config.num_hidden_layers)


def whisper() -> Case:
    config = transformers.WhisperConfig(
        d_model=16, encoder_layers=2, decoder_layers=3, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=24, decoder_ffn_dim=24, num_mel_bins=8,
        max_source_positions=20, max_target_positions=20, decoder_start_token_id=1, **TOKENS,
    )  # fmt: skip
    batches = [
        {
            "input_features": torch.randn(count, 8, 40),
            "decoder_input_ids": torch.randint(3, VOCABULARY, (count, 5)),
        }
        for count in (3, 2)
    ]
    # Two functions after the encoder's convolutions, and one module in each layer.
    activations = 2 + config.encoder_layers + config.decoder_layers
    return Case(transformers.WhisperModel(config), batches, activations)


CASES: list[Callable[[], Case]] = [
    resnet, vit, convnext, swin, bert, gpt2, t5, llama, whisper,
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_every_activation_is_captured_and_counted_as_numpy_counts_it(
    case: Callable[[], Case],
) -> None:
    torch.manual_seed(0)
    made = case()
    before = everything(made.model)
    iua = IUA.introspect(made.model, made.batches, atol=ATOL)
    assert_untouched(before, everything(made.model))
    assert len(iua.layers) == made.activations
    modules = [layer for layer in iua.layers if "/" not in layer]
    expected = outputs_by_hand(made.model, made.batches, modules)
    for layer in modules:
        outputs = expected[layer]
        if iua.results[layer].unit == "token":
            assert_tokens(iua, layer, outputs, made.batches)
        else:
            assert_counts(iua, layer, np.concatenate(outputs), ATOL)


def assert_tokens(
    iua: IUA, layer: str, outputs: list[np.ndarray], batches: list[dict[str, Any]]
) -> None:
    rows, masked = [], 0
    for output, batch in zip(outputs, batches, strict=True):
        decoder = ".decoder." in f".{layer}" and "decoder_attention_mask" in batch
        mask = batch.get("decoder_attention_mask" if decoder else "attention_mask")
        real = np.ones(output.shape[:2], bool) if mask is None else mask.numpy().astype(bool)
        rows.append(output[real])
        masked += real.size - real.sum()
    assert_counts(iua, layer, np.concatenate(rows), ATOL)
    assert iua.results[layer].masked == masked


def test_text_of_several_lengths_takes_what_is_as_long_as_the_text_by_channel() -> None:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, **TOKENS}
    mamba = transformers.MambaModel(transformers.MambaConfig(state_size=4, **sizes))
    with pytest.warns(IUAWarning, match=r"Never called.*'layers.0.mixer.act'"):
        iua = IUA.introspect(
            mamba, texts(), atol=ATOL
        )  # convolutions over the tokens: channels second
    assert {iua.results[layer].unit for layer in iua.layers} == {"token"}
    assert {iua.results[layer].probes for layer in iua.layers} == {3 * 7 - 3 + 2 * 9 - 5}
    config = transformers.Gemma2Config(
        num_attention_heads=2, num_key_value_heads=2, head_dim=8, intermediate_size=24, **sizes
    )
    iua = IUA.introspect(transformers.Gemma2Model(config), texts(), atol=ATOL)
    maps = iua.results["layers.0.self_attn/tanh"]  # softcapped scores: (items, heads, text, text)
    assert (maps.unit, maps.units, maps.probes) == ("channel", 2, 5)


def test_an_encoder_decoder_takes_the_mask_of_each_side() -> None:
    torch.manual_seed(0)
    made = t5()
    iua = IUA.introspect(made.model, made.batches)
    masked = {layer.split(".")[0]: iua.results[layer].masked for layer in iua.layers}
    assert masked == {"encoder": 8, "decoder": 4}


@pytest.mark.parametrize("implementation", ["eager", "grouped_mm", "batched_mm"])
def test_every_expert_of_a_mixture_is_a_layer_of_its_own(implementation: str) -> None:
    torch.manual_seed(0)
    config = transformers.MixtralConfig(
        hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, num_local_experts=4, num_experts_per_tok=2, **TOKENS,
    )  # fmt: skip
    config._experts_implementation = implementation
    model = transformers.MixtralModel(config).eval()
    batches = texts()
    iua = IUA.introspect(model, batches, atol=ATOL)
    expected: dict[str, list[np.ndarray]] = {}
    mask = np.empty(0)

    def by_hand(index: int) -> Callable[..., None]:
        def hook(module: Any, args: Any) -> None:
            hidden, chosen = args[0], args[1]
            for expert in range(config.num_local_experts):
                rows = (chosen == expert).any(dim=1) & torch.as_tensor(mask.ravel() > 0)
                gate_up = hidden[rows] @ module.gate_up_proj[expert].T
                gate = torch.nn.functional.silu(gate_up.chunk(2, dim=-1)[0])
                name = f"layers.{index}.mlp.experts.{expert}.act_fn"
                expected.setdefault(name, []).append(gate.numpy())

        return hook

    for index, layer in enumerate(model.layers):
        layer.mlp.experts.register_forward_pre_hook(by_hand(index))
    with torch.no_grad():
        for batch in batches:
            mask = batch["attention_mask"].numpy()
            model(**batch)
    assert sorted(iua.layers) == sorted(expected)
    assert len(iua.layers) == config.num_hidden_layers * config.num_local_experts
    for name, parts in expected.items():
        responses = np.concatenate(parts)
        result = iua.results[name]
        assert (result.unit, result.probes) == ("token", len(responses))
        near = np.abs(np.abs(responses) - ATOL) < 1e-6  # rounded elsewhere, in another order
        counts = np.isclose(responses, 0, atol=ATOL).sum(axis=0)
        assert (np.abs(result.unit_inactive_count - counts) <= near.sum(axis=0)).all()


def test_experts_without_tokens_are_noted() -> None:
    torch.manual_seed(0)
    config = transformers.MixtralConfig(
        hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, num_local_experts=8, num_experts_per_tok=1, **TOKENS,
    )  # fmt: skip
    model = transformers.MixtralModel(config)
    with pytest.warns(IUAWarning, match=r"No token was routed to \d experts.*'layers.0.mlp.exp"):
        iua = IUA.introspect(model, {"input_ids": torch.full((1, 3), 5)})
    assert iua.layers == [f"layers.0.mlp.experts.{expert}.act_fn" for expert in range(8)]
    tokens = [iua.results[layer].probes for layer in iua.layers]
    assert [iua.results[layer].load for layer in iua.layers] == [n * 8 / 3 for n in tokens]


def test_generation_counts_every_pass_of_the_model() -> None:
    torch.manual_seed(0)
    model = gpt2().model
    batch = {"input_ids": torch.randint(3, VOCABULARY, (3, 4))}
    settings = {"max_new_tokens": 5, "min_new_tokens": 5, "do_sample": False, "pad_token_id": 0}
    iua = IUA.introspect(
        model, [batch], atol=ATOL, forward=lambda model, batch: model.generate(**batch, **settings)
    )
    assert iua.layers == [f"transformer.h.{layer}.mlp.act" for layer in range(3)]
    # The prompt's tokens in the first pass, then one each for all new tokens but the last.
    assert {result.probes for result in iua.results.values()} == {3 * (4 + 4)}
    assert iua.probes == 3
