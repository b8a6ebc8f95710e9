"""`response_infos`: names, kinds, shapes and dtypes of responses, before anything is counted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from by_hand import assert_untouched, everything
from dnikit.base import ResponseInfo as DNIKitResponseInfo
from small_nets import TwoConvolutions
from torch import nn

from iua_widget import (
    IUA,
    LayerKind,
    LayerSelectionError,
    ProducerError,
    TorchModel,
    response_infos,
)

IMAGES = TwoConvolutions.images(25)


@pytest.fixture
def model() -> TwoConvolutions:
    torch.manual_seed(0)
    return TwoConvolutions()


def test_kinds_are_dnikits_by_name_and_value() -> None:
    theirs = DNIKitResponseInfo.LayerKind.__members__
    assert {name: LayerKind[name].value for name in theirs} == {
        name: kind.value for name, kind in theirs.items()
    }
    assert LayerKind.DENSE is LayerKind.LINEAR


@pytest.mark.parametrize("example", [IMAGES[:2], IMAGES[:2].numpy(), (IMAGES[:2], None)])
def test_infos_tell_name_kind_class_shape_and_dtype(model: TwoConvolutions, example: Any) -> None:
    before = everything(model)
    infos = response_infos(model, example)
    assert_untouched(before, everything(model))
    responses = [name for name in infos if not name.startswith("input")]
    assert responses == [
        "conv1",
        "relu",
        "conv2",
        "relu:1",
        "fc",
        "TwoConvolutions/tanh",
        "TwoConvolutions",
    ]
    relu = infos["relu:1"]
    assert (relu.shape, relu.dtype) == ((None, 5, 4, 4), np.dtype("float32"))
    assert (relu.layer.name, relu.layer.kind, relu.layer.typename) == (
        "relu",
        LayerKind.RELU,
        "ReLU",
    )
    assert infos["TwoConvolutions/tanh"].layer.kind is LayerKind.TANH
    table = infos.to_pandas()
    assert table.columns.tolist() == ["name", "kind", "typename", "shape", "dtype"]
    assert table.loc[table["name"] == "fc", "kind"].item() == "LINEAR"
    assert "relu:1" in infos._repr_html_()


def test_infos_compute_nothing_where_the_model_allows_it(model: TwoConvolutions) -> None:
    seen: list[str] = []
    model.relu.register_forward_hook(lambda _m, _a, out: seen.append(type(out).__name__))
    response_infos(model, IMAGES[:2])
    assert set(seen) == {"FakeTensor"}


def test_infos_tell_of_a_model_on_the_meta_device_what_they_tell_of_a_real_one(
    model: TwoConvolutions,
) -> None:
    real = response_infos(model, IMAGES[:2])
    with torch.device("meta"):
        meta = response_infos(TwoConvolutions(), IMAGES[:2])
    assert dict(meta) == dict(real)
    assert list(response_infos(model.to("meta"))) == [
        "TwoConvolutions",
        "conv1",
        "conv2",
        "relu",
        "fc",
    ]
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


def test_infos_without_an_example_list_the_modules(model: TwoConvolutions) -> None:
    infos = response_infos(model)
    assert list(infos) == ["TwoConvolutions", "conv1", "conv2", "relu", "fc"]
    assert infos["conv1"].shape is None


def test_an_example_that_does_not_fit_is_refused(model: TwoConvolutions) -> None:
    with pytest.raises(
        ProducerError, match=r"TwoConvolutions raised RuntimeError on the example.*Tensor"
    ):
        response_infos(model, torch.zeros(2, 5, 8, 8))
    with pytest.raises(ProducerError, match=r"str"):
        response_infos(model, "image")


def test_names_of_infos_choose_layers(model: TwoConvolutions) -> None:
    infos = response_infos(model, IMAGES[:2])
    names = [name for name, info in infos.items() if info.layer.kind is LayerKind.RELU]
    assert names == ["relu", "relu:1"]
    assert IUA.introspect(model, IMAGES, layers=names).layers == names
    assert IUA.introspect(model, IMAGES, layers="TwoConvolutions/tanh").layers == [
        "TwoConvolutions/tanh"
    ]


@pytest.mark.parametrize("model", [3, TwoConvolutions, "net"])
def test_what_is_not_a_model_is_refused(model: Any) -> None:
    with pytest.raises(ProducerError, match=r"the model must be a torch.nn.Module; got"):
        response_infos(model, IMAGES[:2])
    with pytest.raises(ProducerError, match=r"the model must be a torch.nn.Module; got"):
        TorchModel(model)("relu")


def test_an_input_is_refused_as_a_layer(model: TwoConvolutions) -> None:
    with pytest.raises(LayerSelectionError, match=r"'input' is an input of the model"):
        IUA.introspect(model, IMAGES, layers="input")
