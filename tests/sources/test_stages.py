"""Pipelines: datasets, stages and models, as DNIKit's documentation has them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from by_hand import assert_counts, outputs_by_hand
from dnikit.samples import StubProducer
from small_nets import TwoConvolutions
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from iua_widget import (
    IUA,
    LayerSelectionError,
    ProducerError,
    ResponseInfo,
    TorchModel,
)
from iua_widget.stages import Batch, Producer, pipeline, pool, rename, transpose

IMAGES = TwoConvolutions.images(25)


@pytest.fixture
def model() -> TwoConvolutions:
    torch.manual_seed(0)
    return TwoConvolutions()


def test_the_flow_of_the_reference_documentation_works_as_it_reads_there(
    model: TwoConvolutions,
) -> None:
    dnikit_model = TorchModel(model)

    response_infos = dnikit_model.response_infos()
    conv_response_names = [
        info.name
        for info in response_infos.values()
        if info.layer.kind == ResponseInfo.LayerKind.CONV_2D
    ]
    assert conv_response_names == ["conv1", "conv2"]
    producer = pipeline(
        {"images": IMAGES.numpy()},
        rename({"images": "x"}),
        dnikit_model(conv_response_names),
        pool("max"),
    )
    iua = IUA.introspect(producer, batch_size=10, rtol=1e-05, atol=1e-08)
    expected = outputs_by_hand(model, [IMAGES], ["conv1", "conv2"])
    assert iua.layers == conv_response_names
    for name in conv_response_names:
        assert_counts(iua, name, expected[name][0].max(axis=(2, 3)), 1e-8)
    assert len(IUA.show(iua)) == 2
    assert IUA.show(iua, vis_type=IUA.VisType.CHART).shape == (2,)


@pytest.mark.parametrize(
    "dataset",
    [
        IMAGES,
        IMAGES.numpy(),
        {"x": IMAGES},
        TensorDataset(IMAGES, torch.zeros(25)),
        DataLoader(TensorDataset(IMAGES, torch.zeros(25)), batch_size=6),
        list(IMAGES.split(6)),
        StubProducer({"x": IMAGES.numpy()}),
        lambda batch_size: (Batch({"x": part}) for part in IMAGES.split(batch_size)),
    ],
    ids=["tensor", "array", "mapping", "dataset", "loader", "list", "DNIKit", "callable"],
)
def test_a_pipeline_begins_with_any_dataset(model: TwoConvolutions, dataset: Any) -> None:
    producer = pipeline(dataset, TorchModel(model)("relu"))
    assert isinstance(producer, Producer)
    iua = IUA.introspect(producer, batch_size=7, atol=1e-3)
    again = IUA.introspect(producer, batch_size=7, atol=1e-3)
    expected = outputs_by_hand(model, [IMAGES], ["relu"])["relu"]
    for name, values in zip(["relu", "relu:1"], expected, strict=True):
        counts = np.isclose(values, 0, atol=1e-3).sum(axis=0)
        for result in (iua.results[name], again.results[name]):
            assert result.probes == 25
            assert np.abs(result.unit_inactive_count - counts).max() <= 1


def test_any_callable_is_a_stage() -> None:
    producer = pipeline(
        {"a": np.arange(12.0).reshape(6, 2)},
        lambda batch: {"b": batch.fields["a"] * 0},
        lambda fields: SimpleNamespace(fields={"c": fields["b"]}),
    )
    assert IUA.introspect(producer).results["c"].dead == 2


def test_stages_rename_transpose_and_pool() -> None:
    fields = {"maps": np.random.default_rng(0).normal(size=(4, 5, 6, 3)), "flat": np.ones((4, 7))}
    batch = Batch(fields)
    assert (batch.batch_size, repr(batch)) == (4, "Batch(4 probes: maps (5, 6, 3), flat (7,))")
    moved = transpose((0, 3, 1, 2))(batch)
    np.testing.assert_array_equal(moved.fields["maps"], fields["maps"].transpose(0, 3, 1, 2))
    assert moved.fields["flat"] is fields["flat"]
    for how, function in (("max", np.max), ("mean", np.mean)):
        pooled = pool(how)(moved)  # type: ignore[arg-type]
        np.testing.assert_allclose(pooled.fields["maps"], function(fields["maps"], axis=(1, 2)))
        last = pool(how, axes=(1, 2), names="maps")(batch)  # type: ignore[arg-type]
        np.testing.assert_allclose(last.fields["maps"], pooled.fields["maps"])
    assert list(rename({"maps": "conv"})(batch).fields) == ["conv", "flat"]
    tensors = Batch({"maps": torch.as_tensor(fields["maps"])})
    np.testing.assert_allclose(
        pool("max")(transpose((0, 3, 1, 2))(tensors)).fields["maps"],
        fields["maps"].max(axis=(1, 2)),
    )


MISTAKES: list[tuple[Any, str]] = [
    (lambda: pipeline({"a": np.ones((2, 2))}, "relu"), "stage 0 of the pipeline must be .*got str"),
    (lambda: rename({"b": "c"}), r"no field 'b' in the batch.*\['a', 'd'\]"),
    (lambda: rename({"a": "d"}), "one name"),
    (lambda: transpose((1, 0)), "beginning with 0, of the probes"),
    (lambda: transpose((0, 2, 1), names="a"), r"field 'a' has shape \(4, 2\)"),
    (lambda: pool("median"), "'max' or 'mean'"),  # type: ignore[arg-type]
    (lambda: pool("max", axes=5, names="a"), r"field 'a' has shape \(4, 2\)"),
    (lambda: pool("max", names=["b"]), "no field 'b'"),
    (lambda: lambda batch: batch["a"], r"stage 0 .*<lambda>.* raised TypeError on batch 0"),
    (lambda: TorchModel(TwoConvolutions())("cnv1"), r"layers='cnv1' matches no module.*'conv1'"),
]


@pytest.mark.parametrize(("stage", "message"), MISTAKES)
def test_an_error_in_a_stage_names_the_stage(stage: Any, message: str) -> None:
    data = {"a": np.ones((4, 2)), "d": np.ones((4, 3))}
    with pytest.raises((ProducerError, LayerSelectionError), match=message):
        IUA.introspect(pipeline(data, stage()))


def test_a_stage_refuses_a_batch_without_named_fields() -> None:
    with pytest.raises(ProducerError, match=r"must be given named fields; got ndarray"):
        IUA.introspect(pipeline(np.ones((4, 2)), pool("max")))
    with pytest.raises(ProducerError, match=r"must begin with a mapping .*; got int"):
        IUA.introspect(pipeline(3))


def test_what_a_model_tells_of_its_responses_goes_through_a_pipeline() -> None:
    torch.manual_seed(0)
    config = transformers.MixtralConfig(
        vocab_size=50, hidden_size=16, intermediate_size=24, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=2, num_local_experts=4, num_experts_per_tok=2,
        bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    model = transformers.MixtralModel(config)
    batches = []
    for length in (6, 8):
        mask = torch.ones(2, length, dtype=torch.long)
        mask[1, 3:] = 0
        batches.append({"input_ids": torch.randint(3, 50, (2, length)), "attention_mask": mask})
    alone = IUA.introspect(model, batches, atol=0.1)
    through = IUA.introspect(pipeline(batches, TorchModel(model)(), rename({})), atol=0.1)
    assert (through.probes, through.layers) == (alone.probes, alone.layers)
    for name, result in alone.results.items():
        other = through.results[name]
        assert (other.unit, other.masked, other.probes) == ("token", result.masked, result.probes)
        assert other.unit_inactive_count.tolist() == result.unit_inactive_count.tolist()


def test_every_pass_of_a_batch_goes_through_a_pipeline() -> None:
    def twice(model: nn.Module, batch: torch.Tensor) -> None:
        model(batch)
        model(-batch)

    stage = TorchModel(nn.ReLU(), forward=twice)()
    data = torch.randn(12, 4)
    iua = IUA.introspect(pipeline(data, stage), batch_size=5, units="token")
    assert iua.results["ReLU"].probes == 24
    both = torch.cat([data, -data]).clamp(min=0)
    assert iua.results["ReLU"].unit_inactive_count.tolist() == (both == 0).sum(dim=0).tolist()
