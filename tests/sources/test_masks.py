"""Padding masks that a batch brings along, and how they lie on a model's responses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from by_hand import assert_counts
from torch import nn
from torch.nn import functional as F  # noqa: N812

from iua_widget import IUA, IUAWarning, IUAWidget, TorchModel
from iua_widget.run.notes import notes_at
from iua_widget.stages import pipeline

PADDING = torch.tensor([[0, 0, 0, 1, 1], [0, 0, 1, 1, 1]]).bool()
WIDTH = 8


def encoder(*, batch_first: bool = True) -> nn.TransformerEncoder:
    layer = nn.TransformerEncoderLayer(WIDTH, 2, 16, batch_first=batch_first)
    return nn.TransformerEncoder(layer, 1, enable_nested_tensor=False).eval()


FORMS = {
    "bool": PADDING,
    "-inf": torch.zeros(PADDING.shape).masked_fill(PADDING, float("-inf")),
    "-1e4": torch.zeros(PADDING.shape).masked_fill(PADDING, -1e4),
    "numpy": PADDING.numpy(),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("batch_first", [True, False])
def test_pytorchs_own_padding_mask_is_used_as_attention_mask_is(
    form: str, batch_first: bool
) -> None:
    torch.manual_seed(0)
    model, x = encoder(batch_first=batch_first), torch.randn(2, 5, WIDTH)
    batch = {"src": x if batch_first else x.transpose(0, 1), "src_key_padding_mask": FORMS[form]}
    seen: list[torch.Tensor] = []
    hook = model.layers[0].linear1.register_forward_hook(lambda *args: seen.append(args[2].relu()))
    with torch.no_grad():
        model(batch["src"], src_key_padding_mask=torch.as_tensor(FORMS[form]))
    hook.remove()
    response = seen[0] if batch_first else seen[0].transpose(0, 1)
    iua = IUA.introspect(model, [batch])
    assert_counts(iua, "layers.0/relu", response[~PADDING].numpy(), 1e-8)
    assert iua.results["layers.0/relu"].masked == 5


class Words(nn.Module):
    """Takes masks under any name, and heeds none."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.relu = nn.Embedding(30, 4), nn.ReLU()

    def forward(self, ids: torch.Tensor, **_masks: torch.Tensor) -> torch.Tensor:
        return self.relu(self.embed(ids))


@pytest.mark.parametrize(
    ("name", "mask", "masked"),
    [
        ("attention_mask", [[1, 1, 0]], 1),
        ("attention_mask", [[0.0, 0.0, float("-inf")]], 1),
        ("encoder_attention_mask", [[1, 1, 0]], 1),
        ("key_padding_mask", [[False, False, True]], 1),
        ("padding_mask", [[0, 0, 1]], 1),
        ("padding_mask", [[1, 1, 0], [1, 1, 1]], 1),
        ("padding_mask", [[0, 1, 1], [0, 0, 0]], 2),
        ("src_padding_mask", [[0, 1, 1]], 2),
        ("tgt_key_padding_mask", [[False, True, True]], 2),
        ("memory_key_padding_mask", [[False, True, True]], 0),
        ("src_mask", [[False, True, True]], 0),
        ("attention_mask", [[[[0.0, 0.0, float("-inf")]]]], 1),
        ("attention_mask", [[[True, True, False]], [[True, False, False]]], 3),
        ("attention_mask", [[[[True, False, False]] * 3]], 0),
    ],
)
def test_masks_are_known_by_name_and_meaning(name: str, mask: list[Any], masked: int) -> None:
    batch = {"ids": torch.tensor([[1, 2, 3]] * len(mask)), name: torch.tensor(mask)}
    result = IUA.introspect(Words(), [batch]).results["relu"]
    assert (result.probes, result.masked) == (3 * len(mask) - masked, masked)


def test_each_part_of_a_transformer_has_its_own_mask() -> None:
    torch.manual_seed(0)
    model = nn.Transformer(WIDTH, 2, 1, 1, 16, batch_first=True).eval()
    of_target = torch.tensor([[False, False, True], [False, True, True]])
    batch = {"src": torch.randn(2, 5, WIDTH), "tgt": torch.randn(2, 3, WIDTH)}
    masks = {"src_key_padding_mask": PADDING, "tgt_key_padding_mask": of_target}
    for extra, masked in ((masks, [5, 3]), ({"memory_key_padding_mask": PADDING}, [5, 0])):
        iua = IUA.introspect(model, [batch | extra])
        assert iua.layers == ["encoder.layers.0/relu", "decoder.layers.0/relu"]
        assert [result.masked for result in iua.results.values()] == masked


class TimeMajor(nn.Module):
    """Turns to positions first by a function, as fairseq's models do."""

    def __init__(self, *, flat: bool = False) -> None:
        super().__init__()
        self.embed, self.linear, self.flat = nn.Embedding(30, 8), nn.Linear(8, 16), flat

    def forward(self, input_ids: torch.Tensor, attention_mask: Any = None) -> torch.Tensor:  # noqa: ARG002
        turned = self.embed(input_ids).transpose(0, 1)
        turned = turned.reshape(-1, 8) if self.flat else turned
        return F.relu(self.linear(turned))

    def by_hand(self, ids: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return self.linear(self.embed(ids)).clamp(min=0)


def words(items: int, positions: int, seed: int = 0) -> dict[str, torch.Tensor]:
    drawer = torch.Generator().manual_seed(seed)
    ids = torch.randint(1, 30, (items, positions), generator=drawer)
    lengths = torch.randint(1, positions, (items, 1), generator=drawer)
    return {"input_ids": ids, "attention_mask": (torch.arange(positions) < lengths).long()}


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("sizes", [[(4, 4)], [(3, 5)], [(4, 4), (3, 4)], [(2, 6), (5, 5), (5, 5)]])
def test_a_mask_is_laid_the_way_the_model_has_its_axes(
    sizes: list[tuple[int, int]], flat: bool
) -> None:
    torch.manual_seed(0)
    model = TimeMajor(flat=flat)
    batches = [words(*size, seed) for seed, size in enumerate(sizes)]
    expected = [model.by_hand(b["input_ids"])[b["attention_mask"].bool()] for b in batches]
    iua = IUA.introspect(model, batches)
    assert_counts(iua, "TimeMajor/relu", torch.cat(expected).numpy(), 1e-8)
    assert not iua.notes
    if not flat:
        staged = IUA.introspect(pipeline(batches, TorchModel(model)()))
        counts = [run.results["TimeMajor/relu"].unit_inactive_count for run in (iua, staged)]
        np.testing.assert_array_equal(*counts)


def test_channels_of_a_time_major_model_are_inactive_at_the_real_positions_of_an_item() -> None:
    torch.manual_seed(0)
    model, batch = TimeMajor(), words(4, 4)
    response = model.by_hand(batch["input_ids"])
    real = batch["attention_mask"].bool()
    expected = np.array(
        [np.isclose(one[here], 0).all(0) for one, here in zip(response, real, strict=True)]
    )
    iua = IUA.introspect(model, [batch], units="channel")
    np.testing.assert_array_equal(
        iua.results["TimeMajor/relu"].unit_inactive_count, expected.sum(axis=0)
    )


def test_a_square_batch_leaves_randomness_and_counters_as_an_oblong_one_does() -> None:
    class Counting(TimeMajor):
        calls = 0

        def forward(self, input_ids: torch.Tensor, attention_mask: Any = None) -> torch.Tensor:
            self.calls += 1
            return F.relu(super().forward(input_ids, attention_mask) - torch.rand(()))

    model, batch = Counting(), words(4, 4)
    torch.manual_seed(1)
    drawn = torch.rand(())
    torch.manual_seed(1)
    iua = IUA.introspect(model, [batch], layers="Counting/relu:1")
    values = (model.by_hand(batch["input_ids"]) - drawn).clamp(min=0)
    real = batch["attention_mask"].bool()
    assert_counts(iua, "Counting/relu:1", values[real].numpy(), 1e-8)
    assert model.calls == 0


def test_where_it_cannot_be_told_which_axis_counts_items_a_note_says_so() -> None:
    class OnlyWhole(TimeMajor):
        def forward(self, input_ids: torch.Tensor, attention_mask: Any = None) -> torch.Tensor:
            if len(input_ids) < 4:
                raise RuntimeError
            return super().forward(input_ids, attention_mask)

    with pytest.warns(IUAWarning, match="fits 'OnlyWhole/relu' both ways"):
        IUA.introspect(OnlyWhole(), [words(4, 4)])
    symmetric = words(4, 4) | {"attention_mask": torch.ones(4, 4)}
    assert not IUA.introspect(OnlyWhole(), [symmetric]).notes


@pytest.mark.parametrize(("cache", "probes"), [(True, 12 + 3 * 3), (False, 12 + 15 + 18 + 21)])
def test_the_note_on_generating_says_of_which_calls(*, cache: bool, probes: int) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=50,
        n_embd=16,
        n_layer=1,
        n_head=2,
        n_positions=64,
        bos_token_id=1,
        eos_token_id=2,
    )
    model = GPT2LMHeadModel(config).eval()
    batch = {"input_ids": torch.randint(3, 50, (3, 5)), "attention_mask": torch.ones(3, 5)}
    batch["attention_mask"][0, :2] = batch["attention_mask"][1, :1] = 0

    def generate(model: Any, batch: Any) -> Any:
        more = {"min_new_tokens": 4, "do_sample": False, "pad_token_id": 0, "use_cache": cache}
        return model.generate(**batch, max_new_tokens=4, **more)

    w = IUAWidget(model, [batch], forward=generate)
    assert w.wait()
    (note,) = notes_at(w.iua._run, 0.05)
    assert "up to 4 times a batch" in note
    assert "calls 2 to 4 all count in 'transformer.h.0.mlp.act'" in note
    assert w.iua.results["transformer.h.0.mlp.act"].probes == probes
