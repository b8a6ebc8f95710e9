"""Top probes of models' layers: which inputs of the loader, and where in them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from top_by_numpy import by_numpy, same

from iua_widget import IUA

torch = pytest.importorskip("torch")
nn = torch.nn

pytestmark = pytest.mark.filterwarnings("ignore::iua_widget.IUAWarning")


class SmallConv(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Conv2d(4, 6, 3),
            nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 5), nn.ReLU(),
        )  # fmt: skip

    def forward(self, x: Any) -> Any:
        return self.body(x)


def by_hand(model: Any, inputs: Any, name: str) -> np.ndarray:
    kept: list[Any] = []
    handle = model.get_submodule(name).register_forward_hook(
        lambda _module, _args, output: kept.append(output.detach().clone())
    )
    with torch.no_grad():
        model(inputs)
    handle.remove()
    return np.asarray(kept[0])


@pytest.fixture(scope="module", autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("engine", ["reference", "device"])
def test_a_convolutional_net(engine: Any) -> None:
    model, images = SmallConv().eval(), torch.randn(23, 1, 9, 9)
    for units in ("channel", "auto"):
        iua = IUA.introspect(
            model, images, batch_size=4, units=units, top_probes=3, engine=engine, stops=[0.5]
        )
        for name in ("body.2", "body.4", "body.8"):
            values = by_hand(model, images, name)
            found = iua.top_probes(name)
            assert len(found)
            if units == "channel" and values.ndim > 2:
                same(found, by_numpy(values.reshape(*values.shape[:2], -1), 3))
                row = found.iloc[0]
                place = int(row.probe), int(row.unit), int(row.row), int(row.column)
                assert values[place] == row.value
            else:
                same(found, by_numpy(values.reshape(len(values), -1, 1), 3))


def test_a_device_finds_what_the_host_finds_among_equals() -> None:
    rng = np.random.default_rng(1)
    values = rng.choice([0, 0.5, -0.5, 2, -2, np.nan, np.inf], (40, 3, 4)).astype("f4")
    batches = [{"a": torch.from_numpy(values[start : start + 7])} for start in range(0, 40, 7)]
    for units in ("channel", "token", "element"):
        found = [
            IUA.introspect(
                batches, engine=engine, units=units, channel_axis=1, top_probes=5, stops=[0.5]
            ).top_probes("a")
            for engine in ("reference", "device")
        ]
        assert found[0].equals(found[1])


def test_a_bert_of_random_weights_with_padding() -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=24, hidden_act="relu",
    )  # fmt: skip
    model = transformers.BertModel(config).eval()
    ids = torch.randint(1, 50, (9, 6))
    real = torch.arange(6) < torch.randint(2, 7, (9, 1))
    loader = [
        {"input_ids": ids[part], "attention_mask": real[part].long()}
        for part in (slice(0, 4), slice(4, 8), slice(8, 9))
    ]
    iua = IUA.introspect(model, loader, top_probes=4)
    name = next(name for name in iua.layers if "intermediate" in name)
    kept: list[Any] = []
    handle = model.encoder.layer[0].intermediate.register_forward_hook(
        lambda _module, _args, output: kept.append(output.detach())
    )
    with torch.no_grad():
        for batch in loader:
            model(**batch)
    handle.remove()
    values = np.concatenate([np.asarray(one) for one in kept])
    same(iua.top_probes(name), by_numpy(values.transpose(0, 2, 1), 4, np.asarray(real)))


def test_batches_of_arrays_may_have_other_lengths() -> None:
    model, images = SmallConv().eval(), torch.randn(23, 1, 9, 9)
    parts = torch.split(images, [8, 3, 8, 4])
    loaders: list[list[Any]] = [list(parts), [np.asarray(part) for part in parts]]
    loaders.append([{"x": np.asarray(part)} for part in parts])
    of_tensors, *others = (IUA.introspect(model, one, top_probes=3) for one in loaders)
    assert not any("Which input" in note for note in of_tensors.notes)
    for one in others:
        assert one.top_probes("body.8").equals(of_tensors.top_probes("body.8"))
        assert one.notes == of_tensors.notes


def test_time_may_come_before_the_inputs() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0).eval()
    model = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False).eval()
    inputs = torch.randn(5, 3, 8)  # positions, inputs
    iua = IUA.introspect(model, [inputs, 2 * inputs], top_probes=2)
    name = next(one for one in iua.layers if "relu" in one.lower())
    with torch.no_grad():
        hidden = [
            torch.relu(layer_of(model).linear1(after_attention(model, one)))
            for one in (inputs, 2 * inputs)
        ]
    values = np.concatenate([np.asarray(one).transpose(1, 2, 0) for one in hidden])
    found, expected = iua.top_probes(name), by_numpy(values, 2)
    assert found[["unit", "rank", "probe", "position"]].to_numpy().tolist() == (
        expected[["unit", "rank", "probe", "position"]].to_numpy().tolist()
    )


def layer_of(model: Any) -> Any:
    return model.layers[0]


def after_attention(model: Any, x: Any) -> Any:
    layer = layer_of(model)
    return layer.norm1(x + layer.self_attn(x, x, x, need_weights=False)[0])


def test_calls_that_are_one_layer_tell_which_call() -> None:
    class Cell(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.relu = nn.Linear(3, 4), nn.ReLU()

        def forward(self, x: Any) -> Any:
            outputs = [self.relu(self.inner(x[:, step])) for step in range(x.shape[1])]
            return torch.stack(outputs).sum(0)

    model, inputs = Cell().eval(), torch.randn(7, 5, 3)
    iua = IUA.introspect(
        model, inputs, batch_size=3, layers=nn.ReLU, calls="merge", top_probes=6, units="element"
    )
    with torch.no_grad():
        values = np.asarray(torch.relu(model.inner(inputs))).transpose(0, 2, 1)
    found = iua.top_probes("relu")
    same(found, by_numpy(values, 6))
    assert found["position"].notna().all()


def test_rows_that_are_no_inputs_are_noted() -> None:
    class Windows(nn.Module):
        def forward(self, x: Any) -> Any:
            return torch.relu(x.reshape(-1, 2, 3)).sum()

    iua = IUA.introspect(Windows(), torch.randn(4, 6, 3), top_probes=2)
    (name,) = iua.layers
    assert iua.top_probes(name).empty
    assert any("Which input a response is of is not known" in note for note in iua.notes)
