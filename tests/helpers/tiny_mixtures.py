"""Every mixture of experts that `transformers` has, small enough to be counted in a moment."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, Final

import transformers
from transformers import CONFIG_MAPPING, PretrainedConfig, PreTrainedModel

VOCABULARY: Final = 60
COUNTS: Final = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")

SIZES: Final[Mapping[str, Any]] = {
    "vocab_size": VOCABULARY, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
    "max_position_embeddings": 64, "use_cache": False,
    "hidden_size": 32, "d_model": 32, "embed_dim": 32,
    "num_hidden_layers": 2, "n_layers": 2, "num_layers": 2, "num_decoder_layers": 2,
    "encoder_layers": 2, "decoder_layers": 2,
    "num_attention_heads": 4, "n_heads": 4, "num_heads": 4, "encoder_attention_heads": 4,
    "decoder_attention_heads": 4, "num_key_value_heads": 4, "num_global_key_value_heads": 4,
    "head_dim": 8, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "qk_head_dim": 16,
    "v_head_dim": 8, "q_lora_rank": 8, "kv_lora_rank": 8, "d_kv": 8,
    "index_n_heads": 2, "index_head_dim": 16, "index_topk": 4,
    "intermediate_size": 16, "moe_intermediate_size": 16, "ffn_hidden_size": 16, "d_ff": 16,
    "encoder_ffn_dim": 16, "decoder_ffn_dim": 16, "expert_ffn_hidden_size": 16,
    "shared_expert_intermediate_size": 16, "moe_shared_expert_intermediate_size": 16,
    "num_experts": 4, "num_local_experts": 4, "n_routed_experts": 4, "moe_num_experts": 4,
    "num_experts_per_tok": 2, "num_experts_per_token": 2, "moe_topk": 2, "moe_top_k": 2,
    "moe_k": 2, "top_k_experts": 2, "num_nextn_predict_layers": 0, "first_k_dense_replace": 0,
    "n_group": 1, "topk_group": 1, "num_expert_group": 1,
    "linear_num_key_heads": 2, "linear_num_value_heads": 2, "linear_key_head_dim": 8,
    "linear_value_head_dim": 8, "linear_head_dim": 8, "linear_num_heads": 2,
    "shared_intermediate_size": 16, "share_expert_dim": 16,
}  # fmt: skip

SPECIAL: Final[Mapping[str, Mapping[str, Any]]] = {
    "beam": {"mlp_layer_types": ["sparse"] * 2},
    "dbrx": {
        "attn_config": {"kv_n_heads": 4, "clip_qkv": 8, "rope_theta": 1e4},
        "ffn_config": {
            "hidden_size": 32, "ffn_hidden_size": 16, "moe_num_experts": 4, "moe_top_k": 2,
        },
    },
    "deepseek_ocr2_text": {"num_experts_per_tok": 2, "mlp_layer_types": ["sparse"] * 2},
    "deepseek_v2": {"num_experts_per_tok": 2},
    "nllb-moe": {"encoder_sparse_step": 1, "decoder_sparse_step": 1},
    "switch_transformers": {"num_sparse_encoder_layers": 2, "num_sparse_decoder_layers": 2},
    "dots3_note_vision_encoder": {
        "mlp_layer_types": ["sparse"] * 2, "adapter_in_dim": 32, "num_experts_per_tok": 2,
        "patch_size": 2,
    },
    "ernie4_5_vl_moe_text": {
        "moe_intermediate_size": [16, 16],
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1, 2]}
    },
    "flint": {"mlp_only_layers": []},
    "glm4v_moe_text": {"rope_parameters": {"rope_type": "default", "mrope_section": [0, 1, 1]}},
    "glm5_next_text": {
        "qk_rope_head_dim": 0, "index_kpool": 2, "mlp_layer_types": ["sparse"] * 2,
    },
    "granitemoehybrid": {"mamba_n_heads": 4},
    "hunyuan_v1_moe": {"head_dim": 8},
    "hy_v4_vl_text": {
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 1, 1]}
    },
    "lfm2_moe": {"layer_types": ["conv", "full_attention"], "num_dense_layers": 0},
    "mimo_v2_flash": {
        "layer_types": ["full_attention"] * 2,
        "rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 1e4}},
    },
    "qwen3_omni_moe_talker_text": {"shared_expert_intermediate_size": 16},
    "step3p5": {"num_experts_per_tok": 2, "mlp_layer_types": ["sparse"] * 2, "sliding_window": 4},
    "unlimited_ocr_text": {"mlp_layer_types": ["sparse"] * 2},
    "zaya": {"num_experts_per_tok": 1},
}  # fmt: skip
"""What fits together only otherwise."""


def mixtures() -> dict[str, type[PretrainedConfig]]:
    """Configurations that say how many experts there are, by model type."""
    found = {}
    for kind in CONFIG_MAPPING:
        config = CONFIG_MAPPING[kind]
        # Parts that have a model of their own are found by themselves.
        parts = [
            one for one in config.sub_configs.values() if not getattr(one, "model_type", "auto")
        ]
        if any(
            type(getattr(one, name, None)) is int for one in (config, *parts) for name in COUNTS
        ):
            found[kind] = config
    return found


def _defaults(config: type[PretrainedConfig]) -> Mapping[str, Any]:
    return {name: getattr(config, name, None) for name in (*SIZES, *COUNTS)}


def tiny(kind: str) -> PreTrainedModel:
    """A model of a kind, with random weights."""
    config_class = CONFIG_MAPPING[kind]
    defaults = _defaults(config_class)
    sizes = {name: size for name, size in SIZES.items() if type(defaults[name]) in (int, bool)}
    config = config_class(**{**sizes, **SPECIAL.get(kind, {})})
    try:
        return _model_class(config_class)(config).eval()
    except ModuleNotFoundError:  # built of another kind's modules
        return transformers.AutoModelForCausalLM.from_config(config).eval()


def _model_class(config: type[PretrainedConfig]) -> type[PreTrainedModel]:
    """The class of models for a configuration, with a head for text where there is one."""
    home = config.__module__.replace(".configuration_", ".modeling_")
    classes = [
        one
        for one in vars(importlib.import_module(home)).values()
        if isinstance(one, type)
        and issubclass(one, PreTrainedModel)
        and one.__module__ == home
        and one.config_class is config
        and "forward" in vars(one)
    ]
    endings = ("ForCausalLM", "ForConditionalGeneration", "Model")
    by_ending = (one for end in endings for one in classes if one.__name__.endswith(end))
    return next(by_ending)
