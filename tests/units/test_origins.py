"""Kinds and channels of a model's responses, through the stages of a pipeline behind it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dnikit import processors
from dnikit.base import Batch as DNIKitBatch
from dnikit.base import ResponseInfo
from dnikit.base import pipeline as dnikit_pipeline
from dnikit.introspectors import IUA as DNIKitIUA  # noqa: N811
from dnikit.samples import StubProducer
from torch import nn

from iua_widget import IUA, IUAWarning, LayerKind, ProducerError, TorchModel
from iua_widget.stages import Batch, pipeline, pool, rename, transpose

MAX = processors.Pooler.Method.MAX
DATA = np.random.default_rng(0).standard_normal((8, 3, 16, 16)).astype("f4")


def maps(channels: int = 32) -> nn.Module:
    """Five of the channels are dead."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, channels, 3, padding=1), nn.ReLU()).eval()
    with torch.no_grad():
        net[0].weight[:5] = 0  # type: ignore[index,operator]
        net[0].bias[:5] = -1  # type: ignore[index,operator]
    return net


def told(*stages: Any, net: nn.Module | None = None, **options: Any) -> tuple[Any, ...]:
    producer = pipeline({"x": DATA}, TorchModel(net or maps())(["1"]), *stages)
    return row(IUA.introspect(producer, batch_size=4, **options))


def row(iua: IUA) -> tuple[Any, ...]:
    first = IUA.show(iua).iloc[0]
    columns = [name for name in ("kind", "unit", "channels", "dead channels") if name in first]
    counts = iua.results[iua.layers[0]].unit_inactive_count
    return (*(first[name] for name in columns), counts.sum())


def fields(function: Callable[[Any], Any]) -> Callable[[Batch], dict[str, Any]]:
    return lambda batch: {name: function(field) for name, field in batch.fields.items()}


def values(channels: int = 32) -> np.ndarray:
    with torch.no_grad():
        return maps(channels)(torch.from_numpy(DATA)).numpy()


def zeros(axis: Any = (), channels: int = 32) -> int:
    return int((values(channels).max(axis) == 0).sum())


WHOLE = ("ReLU", "element", 32, 5, zeros())
MOVES = {
    "transpose": transpose((0, 2, 3, 1)),
    "transpose twice": [transpose((0, 2, 3, 1)), transpose((0, 3, 2, 1))],
    "rename": rename({"1": "relu"}),
    "both": [rename({"1": "relu"}), transpose((0, 3, 1, 2), names="relu")],
    "its own name": fields(lambda field: field),
    "another name": lambda batch: {"relu": batch.fields["1"]},
    "normalized": fields(lambda field: field * 2.0),
    "permuted": fields(lambda field: field.permute(0, 2, 3, 1)),
    "permuted and copied": fields(lambda field: field.permute(0, 2, 3, 1).contiguous()),
    "permuted and doubled": fields(lambda field: field.permute(0, 2, 3, 1) * 2),
    "copied and doubled": fields(lambda field: field.permute(0, 2, 3, 1).contiguous() * 2),
    "as lists": fields(lambda field: field.permute(0, 2, 3, 1).tolist()),
    "as an array": fields(lambda field: np.ascontiguousarray(field.numpy().transpose(0, 3, 2, 1))),
    "ours in a function": lambda batch: transpose((0, 2, 3, 1))(batch),  # noqa: PLW0108
    "DNIKit's": processors.Transposer(dim=[0, 2, 3, 1]),
    "DNIKit's twice": [processors.Transposer(dim=[0, 2, 3, 1]), transpose((0, 2, 1, 3))],
    "DNIKit's, normalized": [
        processors.Transposer(dim=[0, 2, 3, 1]),
        processors.MeanStdNormalizer(mean=0, std=2),
    ],
    "DNIKit's renamer": processors.FieldRenamer({"1": "relu"}),
}


@pytest.mark.parametrize("stages", MOVES.values(), ids=MOVES)
@pytest.mark.parametrize("channels", [32, 16])
def test_kind_and_channels_follow_their_axis(stages: Any, channels: int) -> None:
    ambiguous = stages is MOVES["copied and doubled"] and channels == 16
    expected = ("ReLU", "element", channels, 0 if ambiguous else 5, zeros((), channels))
    assert told(stages, net=maps(channels)) == expected


POOLED = {
    "pool": pool("max"),
    "of the last axis": [transpose((0, 2, 3, 1)), pool("max")],
    "with axes": [transpose((0, 2, 3, 1)), pool("max", axes=(1, 2))],
    "DNIKit's": processors.Pooler(dim=(2, 3), method=MAX),
    "DNIKit's, of the last axis": [
        transpose((0, 2, 3, 1)),
        processors.Pooler(dim=(1, 2), method=MAX, fields="1"),
    ],
}


@pytest.mark.parametrize("stages", POOLED.values(), ids=POOLED)
@pytest.mark.parametrize("channels", [32, 16])
def test_a_pooled_channel_is_a_unit_of_its_kind(stages: Any, channels: int) -> None:
    expected = ("ReLU", "element", zeros((2, 3), channels))
    assert told(stages, net=maps(channels)) == expected


@pytest.mark.filterwarnings("ignore:Hardly any exact zero")  # pooled over channels
def test_what_is_left_of_maps_pooled_in_part_keeps_its_channels() -> None:
    assert told(transpose((0, 2, 3, 1)), pool(axes=1)) == ("ReLU", "element", 32, 5, zeros(2))
    assert told(processors.Pooler(dim=3, method=MAX)) == ("ReLU", "element", 32, 5, zeros(3))
    assert told(pool(axes=1))[:2] == ("ReLU", "element")


def test_flattened_maps_are_of_their_kind() -> None:
    flat = ("ReLU", "element", zeros())
    assert told(processors.Flattener()) == flat
    assert told(fields(lambda field: field.flatten(1))) == flat


UNTOLD = {
    "some channels": lambda field: field[:, [0, 3]],
    "two of everything": lambda field: np.concatenate([field, field], axis=1),
}


@pytest.mark.parametrize("function", UNTOLD.values(), ids=UNTOLD)
def test_what_is_not_known_is_noted_and_not_guessed(function: Callable[[Any], Any]) -> None:
    with pytest.warns(IUAWarning, match=r"stage 1 of the pipeline \(<lambda>\) changed '1' so"):
        assert told(fields(function))[0] == "array"


def test_what_is_no_longer_of_channels_needs_no_note() -> None:
    assert told(fields(lambda field: field.amax((2, 3))))[0] == "array"


def test_a_function_that_changes_the_batch_itself_is_followed() -> None:
    def stage(batch: Batch) -> Batch:
        batch.fields["1"] = batch.fields["1"].permute(0, 2, 3, 1)
        return batch

    assert told(stage, net=maps(16)) == ("ReLU", "element", 16, 5, zeros((), 16))


def test_what_the_user_says_comes_first() -> None:
    move = transpose((0, 2, 3, 1))
    assert told(move, units="channel") == ("ReLU", "channel", zeros((2, 3)))
    assert told(move, channel_axis=1)[2] == 16


class Words(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.e, self.l, self.relu = nn.Embedding(30, 8), nn.Linear(8, 5), nn.ReLU()

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return self.relu(self.l(self.e(input_ids))) + 0 * attention_mask[..., None]


@pytest.fixture
def texts() -> list[dict[str, torch.Tensor]]:
    torch.manual_seed(0)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 0]])
    return [{"input_ids": torch.randint(1, 30, (4, 5)), "attention_mask": mask}] * 2


@pytest.mark.parametrize(
    "stages",
    [
        transpose((0, 2, 1)),
        fields(lambda field: field.permute(0, 2, 1)),
        processors.Transposer(dim=[0, 2, 1]),
        [processors.FieldRenamer({"relu": "r"}), processors.Transposer(dim=[0, 2, 1])],
    ],
)
def test_tokens_stay_tokens_and_padding_stays_out(stages: Any, texts: Any) -> None:
    net = Words()
    (alone,) = IUA.introspect(net, texts).results.values()
    (through,) = IUA.introspect(pipeline(texts, TorchModel(net)("relu"), stages)).results.values()
    assert (through.unit, through.masked, through.probes) == ("token", 24, 16)
    assert through.unit_inactive_count.tolist() == alone.unit_inactive_count.tolist()


PARTS = [
    fields(lambda field: field[:, 1:]),
    fields(lambda field: field[1:]),
    fields(lambda field: field[1::2, ::2]),
    fields(lambda field: field[:2, :4, 1:].numpy()),
    [transpose((0, 2, 1)), fields(lambda field: field[..., 2:])],
]


@pytest.mark.parametrize("stages", PARTS)
def test_a_part_of_a_response_keeps_its_part_of_the_mask(stages: Any, texts: Any) -> None:
    net = Words()
    iua = IUA.introspect(pipeline(texts, TorchModel(net)("relu"), stages))
    values = np.where(texts[0]["attention_mask"][..., None] == 1, net(**texts[0]).detach(), np.nan)
    for stage in stages if isinstance(stages, list) else [stages]:
        values = stage(Batch({"relu": torch.from_numpy(values)}))
        values = np.asarray((values.fields if isinstance(values, Batch) else values)["relu"])
    (result,) = iua.results.values()
    channels = values.swapaxes(1, 2) if stages is PARTS[-1] else values
    expected = (channels == 0).sum(axis=(0, 1)) * 2
    assert (result.kind, result.unit) == ("ReLU", "token")
    assert result.unit_inactive_count.tolist() == expected.tolist()
    assert result.probes == 2 * np.isfinite(channels[..., 0]).sum()


def test_padding_is_left_out_of_what_is_pooled(texts: Any) -> None:
    net = Words()
    with pytest.warns(IUAWarning, match="6 responses for 8 inputs"):  # two have no word
        iua = IUA.introspect(pipeline(texts, TorchModel(net)("relu"), pool("max")))
    values = net(**texts[0]).detach().numpy()
    pooled = [values[0].max(axis=0), values[1, :2].max(axis=0), values[2, 0]]
    (result,) = iua.results.values()
    assert (result.unit, result.probes) == ("element", 6)
    assert result.unit_inactive_count.tolist() == (2 * (np.stack(pooled) == 0).sum(axis=0)).tolist()


def test_dnikits_processors_are_stages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = DNIKitBatch.StdKeys.LABELS
    dataset = StubProducer({"image": DATA}, metadata={labels: {"digit": ["odd", "even"] * 4}})
    cacher = processors.Cacher(tmp_path / "cache")
    producer = pipeline(
        dataset,
        processors.SnapshotSaver(),
        (processors.MeanStdNormalizer(mean=0.1, std=2.0), rename({"image": "x"})),
        TorchModel(maps())(["0", "1"]),
        processors.PipelineDebugger(),
        processors.Composer.from_dict_metadata(labels, "digit", "odd"),
        processors.FieldRenamer({"1": "relu", "0": "conv"}),
        processors.Concatenator(dim=1, output_field="all", fields=["conv", "relu"]),
        cacher,
        processors.SnapshotRemover(),
        processors.Transposer(dim=[0, 2, 3, 1], fields="relu"),
        processors.FieldRemover(fields="conv"),
    )
    computed = IUA.introspect(producer, batch_size=4)
    assert "Snapshots:" in capsys.readouterr().out
    assert cacher.cached
    read = IUA.introspect(producer, batch_size=3)
    normal = torch.from_numpy((DATA[::2] - np.float32(0.1)) / np.float32(2))
    expected = maps()(normal).permute(0, 2, 3, 1).detach().numpy()
    for iua in (computed, read):
        assert (iua.probes, sorted(iua.layers)) == (4, ["all", "relu"])
        result = iua.results["relu"]
        assert (result.kind, iua.results["all"].kind) == ("ReLU", "array")
        assert result.unit_inactive_count.tolist() == (expected == 0).sum(axis=0).tolist()
        assert IUA.show(iua, response_names=["relu"])["dead channels"].tolist() == [5]


@pytest.mark.parametrize(
    "stages",
    [
        [processors.Transposer(dim=[0, 2, 3, 1])],
        [transpose((0, 2, 3, 1))],
        [rename({"1": "relu"}), processors.Transposer(dim=[0, 2, 3, 1], fields="relu")],
    ],
)
def test_a_model_is_a_stage_of_dnikits_pipeline(stages: Any) -> None:
    model = TorchModel(maps())
    key = DNIKitBatch.MetaKey("number")
    dataset = StubProducer({"image": DATA}, metadata={key: list(range(8))})
    producer = dnikit_pipeline(dataset, processors.SnapshotSaver(), model(["1"]), *stages)
    assert row(IUA.introspect(producer, batch_size=4)) == WHOLE
    theirs = DNIKitIUA.introspect(producer, batch_size=4)
    ours = IUA.introspect(producer, batch_size=4)
    for name, result in theirs.results.items():
        assert ours.results[name].unit_inactive_count.tolist() == result.unit_inactive_count
    for batch in producer(8):
        assert batch.metadata[key] == list(range(8))
        assert list(batch.snapshots["snapshot"].fields) == ["image"]


def test_a_users_arrays_stay_writeable() -> None:
    data = np.ones((4, 3), "f4")
    list(pipeline(lambda _: [{"a": data}], processors.MeanStdNormalizer(mean=0, std=1))(4))
    data[0] = 0


def test_an_error_in_a_stage_of_dnikits_names_the_stage() -> None:
    producer = pipeline({"a": DATA}, rename({}), processors.Pooler(dim=7, method=MAX))
    with pytest.raises(ProducerError, match=r"stage 1 of the pipeline \(Pooler\).*on batch 0"):
        IUA.introspect(producer)
    with pytest.raises(ProducerError, match="must be given named fields; got Tensor"):
        IUA.introspect(pipeline(torch.ones(4, 3), processors.Flattener()))


def test_an_error_of_the_dataset_is_not_blamed_on_a_stage() -> None:
    def producer(batch_size: int) -> Any:
        yield {"a": np.ones((batch_size, 3))}
        raise OSError("no such file")

    with pytest.raises(ProducerError, match="the pipeline raised OSError in batch 1: no such file"):
        IUA.introspect(pipeline(producer, processors.Flattener()))


def test_what_a_model_notes_is_noted_behind_a_pipeline() -> None:
    net = maps()
    net.add_module("2", nn.Module())
    net[2].unused = nn.ReLU()
    net[2].forward = lambda x: x
    with pytest.warns(IUAWarning, match="2.unused"):
        iua = IUA.introspect(pipeline({"x": DATA}, TorchModel(net)(nn.ReLU)))
    assert any("2.unused" in note for note in iua.notes)


def test_kinds_of_dnikits_choose_layers() -> None:
    kind = ResponseInfo.LayerKind.CONV_2D
    infos = TorchModel(maps()).response_infos(DATA)
    assert [name for name, info in infos.items() if info.layer.kind == kind] == ["0"]
    assert [name for name, info in infos.items() if kind == info.layer.kind] == ["0"]
    assert IUA.introspect(maps(), DATA, layers=kind).layers == ["0"]
    assert LayerKind.CONV_2D != LayerKind.CONV_3D
    assert LayerKind.RELU != "RELU"
