"""Looking before running, and pipelines as DNIKit's documentation has them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from by_hand import assert_counts, assert_untouched, everything, outputs_by_hand
from dnikit.base import ResponseInfo as DNIKitResponseInfo
from dnikit.samples import StubProducer
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from iua_widget import (
    IUA,
    LayerKind,
    LayerSelectionError,
    ProducerError,
    ResponseInfo,
    TorchModel,
    response_infos,
)
from iua_widget.stages import Batch, Producer, pipeline, pool, rename, transpose


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3)
        self.conv2 = nn.Conv2d(4, 5, 3)
        self.relu = nn.ReLU()
        self.fc = nn.Linear(5, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.conv2(self.relu(self.conv1(x))))
        return torch.tanh(self.fc(x.mean(dim=(2, 3))))


IMAGES = torch.randn(25, 3, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def model() -> Net:
    torch.manual_seed(0)
    return Net()


def test_the_flow_of_the_reference_documentation_works_as_it_reads_there(model: Net) -> None:
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


def test_kinds_are_dnikits_by_name_and_value() -> None:
    theirs = DNIKitResponseInfo.LayerKind.__members__
    assert {name: LayerKind[name].value for name in theirs} == {
        name: kind.value for name, kind in theirs.items()
    }
    assert LayerKind.DENSE is LayerKind.LINEAR


@pytest.mark.parametrize("example", [IMAGES[:2], IMAGES[:2].numpy(), (IMAGES[:2], None)])
def test_infos_tell_name_kind_class_shape_and_dtype(model: Net, example: Any) -> None:
    before = everything(model)
    infos = response_infos(model, example)
    assert_untouched(before, everything(model))
    responses = [name for name in infos if not name.startswith("input")]
    assert responses == ["conv1", "relu", "conv2", "relu:1", "fc", "Net/tanh", "Net"]
    relu = infos["relu:1"]
    assert (relu.shape, relu.dtype) == ((None, 5, 4, 4), np.dtype("float32"))
    assert (relu.layer.name, relu.layer.kind, relu.layer.typename) == (
        "relu",
        LayerKind.RELU,
        "ReLU",
    )
    assert infos["Net/tanh"].layer.kind is LayerKind.TANH
    table = infos.to_pandas()
    assert table.columns.tolist() == ["name", "kind", "typename", "shape", "dtype"]
    assert table.loc[table["name"] == "fc", "kind"].item() == "LINEAR"
    assert "relu:1" in infos._repr_html_()


def test_infos_compute_nothing_where_the_model_allows_it(model: Net) -> None:
    seen: list[str] = []
    model.relu.register_forward_hook(lambda _m, _a, out: seen.append(type(out).__name__))
    response_infos(model, IMAGES[:2])
    assert set(seen) == {"FakeTensor"}


def test_infos_tell_of_a_model_on_the_meta_device_what_they_tell_of_a_real_one(model: Net) -> None:
    real = response_infos(model, IMAGES[:2])
    with torch.device("meta"):
        meta = response_infos(Net(), IMAGES[:2])
    assert dict(meta) == dict(real)
    assert list(response_infos(model.to("meta"))) == ["Net", "conv1", "conv2", "relu", "fc"]
    with pytest.raises(ProducerError, match=r"on the meta device.*response_infos\(model, batch\)"):
        IUA.introspect(model, IMAGES)


def test_infos_run_one_batch_where_the_values_decide_the_course() -> None:
    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up, self.down = nn.ReLU(), nn.Tanh()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.up(x) if x.sum() > 0 else self.down(x)

    assert list(response_infos(Branches(), torch.ones(2, 3))) == ["input", "up", "Branches"]
    assert list(response_infos(Branches(), -torch.ones(2, 3))) == ["input", "down", "Branches"]
    biased = nn.Sequential(Branches(), nn.Linear(3, 3, device="meta"))
    with pytest.raises(ProducerError, match=r"on the meta device, without values: '1\.weight'"):
        response_infos(biased, torch.ones(2, 3))


def test_infos_without_an_example_list_the_modules(model: Net) -> None:
    infos = response_infos(model)
    assert list(infos) == ["Net", "conv1", "conv2", "relu", "fc"]
    assert infos["conv1"].shape is None


def test_an_example_that_does_not_fit_is_refused(model: Net) -> None:
    with pytest.raises(ProducerError, match=r"Net raised RuntimeError on the example.*Tensor"):
        response_infos(model, torch.zeros(2, 5, 8, 8))
    with pytest.raises(ProducerError, match=r"str"):
        response_infos(model, "image")


def test_names_of_infos_choose_layers(model: Net) -> None:
    infos = response_infos(model, IMAGES[:2])
    names = [name for name, info in infos.items() if info.layer.kind is LayerKind.RELU]
    assert names == ["relu", "relu:1"]
    assert IUA.introspect(model, IMAGES, layers=names).layers == names
    assert IUA.introspect(model, IMAGES, layers="Net/tanh").layers == ["Net/tanh"]


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
def test_a_pipeline_begins_with_any_dataset(model: Net, dataset: Any) -> None:
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
    (lambda: pipeline({"a": np.ones((2, 2))}, "relu"), "stage 0 of the pipeline is str"),
    (lambda: rename({"b": "c"}), r"no field 'b' in the batch.*\['a', 'd'\]"),
    (lambda: rename({"a": "d"}), "one name"),
    (lambda: transpose((1, 0)), "the first, of the probes, first"),
    (lambda: transpose((0, 2, 1), names="a"), r"field 'a' has shape \(4, 2\)"),
    (lambda: pool("median"), "'max' or 'mean'"),  # type: ignore[arg-type]
    (lambda: pool("max", axes=5, names="a"), r"field 'a' has shape \(4, 2\)"),
    (lambda: pool("max", names=["b"]), "no field 'b'"),
    (lambda: lambda batch: batch["a"], r"stage 0 .*<lambda>.* raised TypeError on batch 0"),
    (lambda: TorchModel(Net())("cnv1"), r"layers='cnv1' matches no module.*'conv1'"),
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


@pytest.mark.parametrize("model", [3, Net, "net"])
def test_what_is_not_a_model_is_refused(model: Any) -> None:
    with pytest.raises(ProducerError, match=r"the model must be a torch.nn.Module; got"):
        response_infos(model, IMAGES[:2])
    with pytest.raises(ProducerError, match=r"the model must be a torch.nn.Module; got"):
        TorchModel(model)("relu")


def test_an_input_is_refused_as_a_layer(model: Net) -> None:
    with pytest.raises(LayerSelectionError, match=r"'input' is an input of the model"):
        IUA.introspect(model, IMAGES, layers="input")
