"""Batches as they come: every form a loader may give, cut, moved and counted."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from by_hand import assert_counts, outputs_by_hand
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_sequence
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset
from transformers import BatchEncoding

from iua_widget import IUA, IUAWarning, IUAWidget, ProducerError
from iua_widget.capture.source import TorchSource
from iua_widget.options import SourceOptions


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 6)
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
        return self.relu(self.fc(x) * scale)


X = torch.randn(23, 4, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def model() -> Net:
    torch.manual_seed(0)
    return Net()


class Stream(IterableDataset[torch.Tensor]):
    def __iter__(self) -> Iterator[torch.Tensor]:
        return iter(X)


class Named(NamedTuple):
    x: torch.Tensor
    label: torch.Tensor


class Sized:
    """A loader that is no DataLoader, and knows how many batches it has."""

    def __len__(self) -> int:
        return 3

    def __iter__(self) -> Iterator[torch.Tensor]:
        return iter(X.split(10))


def parts() -> list[torch.Tensor]:
    return list(X.split(10))


LOADERS: dict[str, Any] = {
    "tensor": lambda: X,
    "array": X.numpy,
    "float64 array": lambda: X.numpy().astype(np.float64),
    "arrays": lambda: [part.numpy() for part in parts()],
    "dataset": lambda: TensorDataset(X, torch.zeros(23)),
    "stream of items": Stream,
    "loader of a stream": lambda: DataLoader(Stream(), batch_size=10),
    "loader that drops nothing": lambda: DataLoader(TensorDataset(X), batch_size=10),
    "batch sampler": lambda: DataLoader(
        TensorDataset(X), batch_sampler=[list(range(10)), list(range(10, 23))]
    ),
    "generator": lambda: (part for part in parts()),
    "sized": Sized,
    "pairs": lambda: [(part, torch.zeros(len(part))) for part in parts()],
    "lists": lambda: [[part, torch.zeros(len(part))] for part in parts()],
    "named": lambda: [Named(part, torch.zeros(len(part))) for part in parts()],
    "mappings": lambda: [{"x": part} for part in parts()],
    "user mappings": lambda: [UserDict({"x": part}) for part in parts()],
    "with labels": lambda: [{"x": part, "labels": torch.zeros(len(part))} for part in parts()],
    "mapping and label": lambda: [({"x": part}, torch.zeros(len(part))) for part in parts()],
    "tuple and label": lambda: [((part, 1.0), torch.zeros(len(part))) for part in parts()],
    "one mapping": lambda: {"x": X},
    "one mapping of arrays": lambda: {"x": X.numpy(), "labels": np.zeros(23)},
}


@pytest.mark.parametrize("kind", LOADERS)
def test_every_form_of_batch_counts_the_same(model: Net, kind: str) -> None:
    iua = IUA.introspect(model, LOADERS[kind](), batch_size=10, atol=1e-3)
    assert iua.probes == 23
    expected = np.concatenate(outputs_by_hand(model, X.split(10), ["relu"])["relu"])
    assert_counts(iua, "relu", expected, 1e-3)


@pytest.mark.parametrize("most", [1, 9, 10, 11, 23, 99])
@pytest.mark.parametrize("kind", LOADERS)
def test_max_probes_ends_at_that_number_exactly(model: Net, kind: str, most: int) -> None:
    iua = IUA.introspect(model, LOADERS[kind](), batch_size=10, max_probes=most)
    assert iua.probes == min(most, 23)
    expected = np.concatenate(outputs_by_hand(model, [X[:most]], ["relu"])["relu"])
    result = iua.results["relu"]
    near = (np.abs(expected) < 1e-6).sum(axis=0)  # another batch size may round otherwise
    counts = (expected == 0).sum(axis=0)
    assert (np.abs(result.unit_inactive_count - counts) <= near).all()


def test_max_probes_of_arrays_cuts_every_layer() -> None:
    data = {"a": np.zeros((23, 2)), "b": np.ones((23, 3))}
    iua = IUA.introspect(data, max_probes=17, batch_size=5)
    assert {result.probes for result in iua.results.values()} == {17}
    for bad in (0, -3, 1.5, "all"):
        with pytest.raises(ProducerError, match=r"max_probes must be a whole number above 0"):
            IUA.introspect(data, max_probes=bad)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "before", "after_one"),
    [
        ("tensor", 23, 23),
        ("dataset", 23, 23),
        ("pairs", 23, 23),
        ("loader that drops nothing", 23, 23),
        ("sized", None, 30),
        ("batch sampler", None, 20),
        ("generator", None, None),
        ("stream of items", None, None),
    ],
)
def test_a_sized_loader_gives_a_total(
    model: Net, kind: str, before: int | None, after_one: int | None
) -> None:
    source = TorchSource(model, LOADERS[kind](), SourceOptions(batch_size=10))
    assert source.total == before
    batches = source.batches(lambda *_: None)
    next(batches)
    assert source.total == after_one
    for _ in batches:
        pass
    assert source.total == 23


def test_the_progress_line_shows_the_total_of_a_sized_loader(model: Net) -> None:
    widget = IUAWidget(model, Sized(), background=False)
    assert (widget._run["probes"], widget._run["total"]) == (23, 23)
    endless = IUAWidget(model, (X for _ in range(10**9)), max_probes=50, background=False)
    assert endless._run["probes"] == 50


def test_two_inputs_are_given_where_forward_requires_two() -> None:
    class Siamese(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.relu = nn.ReLU()

        def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
            return self.relu(left - right)

    triples = [(part, part * 0, torch.zeros(len(part))) for part in parts()]
    assert_counts(IUA.introspect(Siamese(), triples), "relu", X.clamp(min=0).numpy(), 1e-8)


@dataclass
class Graph:
    """As graph libraries have it: an object that can be moved."""

    nodes: torch.Tensor
    moved: bool = False

    def to(self, device: torch.device) -> Graph:
        assert device == torch.device("cpu")
        return Graph(self.nodes, moved=True)


def test_an_object_of_the_users_own_goes_to_forward_moved() -> None:
    class GraphNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.relu = nn.Linear(4, 2), nn.ReLU()

        def forward(self, graph: Graph) -> torch.Tensor:
            assert graph.moved
            return self.relu(self.fc(graph.nodes))

    iua = IUA.introspect(GraphNet(), [Graph(part) for part in parts()])
    assert iua.probes == iua.results["relu"].probes == 23


def test_forward_gets_the_whole_batch_as_the_loader_gave_it(model: Net) -> None:
    seen: list[Any] = []

    def forward(model: nn.Module, batch: Any) -> Any:
        seen.append(batch)
        return model(batch["pixels"][0])

    batches = [{"pixels": [part.numpy()], "name": ["a"] * len(part)} for part in parts()]
    iua = IUA.introspect(model, batches, forward=forward)
    assert iua.probes == 23
    assert isinstance(seen[0]["pixels"][0], torch.Tensor)
    assert seen[0]["name"] == ["a"] * 10


def test_packed_sequences_count_their_steps() -> None:
    class Packed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.GRU(4, 3)

        def forward(self, x: PackedSequence) -> Any:
            return self.rnn(x)

    batch = pack_sequence([torch.randn(length, 4) for length in (5, 3, 2)])
    model = Packed()
    iua = IUA.introspect(model, [batch], layers="rnn", units="token", atol=0.1)
    assert iua.layers == ["rnn[0]", "rnn[1]"]
    assert (iua.probes, iua.results["rnn[0]"].probes) == (3, 10)
    assert_counts(iua, "rnn[0]", model(batch)[0].data.detach().numpy(), 0.1)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ({"image": X, "label": X}, r"keys \['image', 'label'\].*takes 'x'.*forward=lambda"),
        ("text", r"batch 0 of the loader must be a tensor, .* got str"),
        (None, r"batch 0 of the loader must be a tensor, .* got NoneType"),
        ((3, X), r"batch 0 of the loader must have the input first: .* got int"),
        (X.double(), r"raised RuntimeError.*The model's parameters are torch.float32"),
        (X[:, :3], r"Net raised RuntimeError in batch 0: mat1 and mat2"),
    ],
)
def test_a_batch_that_does_not_fit_is_refused(model: Net, batch: Any, message: str) -> None:
    with pytest.raises(ProducerError, match=message) as caught:
        IUA.introspect(model, [batch])
    assert caught.value.partial is not None


@pytest.mark.parametrize("kind", ["generator", "list", "loader"])
def test_an_iterable_is_closed_when_the_run_ends_early(model: Net, kind: str) -> None:
    closed: list[bool] = []

    def generator() -> Iterator[torch.Tensor]:
        try:
            yield from parts()
        finally:
            closed.append(True)

    if kind == "generator":
        IUA.introspect(model, generator(), max_probes=5)
        assert closed == [True]
    else:
        data = parts() if kind == "list" else DataLoader(TensorDataset(X), batch_size=4)
        assert IUA.introspect(model, data, max_probes=5).probes == 5


class Broken(Dataset[torch.Tensor]):
    def __len__(self) -> int:
        return 9

    def __getitem__(self, index: int) -> torch.Tensor:
        if index > 5:
            raise OSError("no such file")
        return X[index]


def test_a_loader_that_raises_is_named_as_such_and_keeps_what_was_counted(model: Net) -> None:
    with pytest.raises(ProducerError, match=r"the loader raised OSError at batch 2: no such") as e:
        IUA.introspect(model, Broken(), batch_size=3)
    assert e.value.partial is not None
    assert e.value.partial.probes == 6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"forward": "model(x)"}, "forward must be a callable.*; got str"),
        ({"mask": 3}, "mask must be a callable.*; got int"),
        ({"stops": 0.1}, "list of tolerances.*got 0.1"),
    ],
)
def test_an_unusable_option_is_refused(model: Net, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        IUA.introspect(model, X, **options)


def test_a_class_in_place_of_a_model_is_refused() -> None:
    with pytest.raises(ProducerError, match=r"must be an instance; got the class Net itself"):
        IUA.introspect(Net, X)


def test_model_options_without_a_model_are_refused() -> None:
    for name, value in {"forward": print, "mode": "train", "layers": "relu"}.items():
        with pytest.raises(ProducerError, match=rf"`{name}` goes with a torch.nn.Module"):
            IUA.introspect({"a": np.zeros((2, 2))}, **{name: value})


@pytest.mark.parametrize("most", [None, 2])
@pytest.mark.parametrize("kind", ["LSTM", "encoder"])
def test_a_model_that_takes_time_first_counts_items_all_the_same(
    kind: str, most: int | None
) -> None:
    torch.manual_seed(0)
    encoder = nn.TransformerEncoderLayer(4, 2, 8)
    model = nn.LSTM(4, 6) if kind == "LSTM" else encoder
    layers = "LSTM" if kind == "LSTM" else None
    data = [torch.randn(5, 3, 4)]
    iua = IUA.introspect(model, data, layers=layers, max_probes=most)
    assert iua.probes == (most or 3)
    assert iua.results[iua.layers[0]].probes == 5 * (most or 3)


def test_a_tokenizers_encoding_is_left_as_it_was() -> None:
    encoding = BatchEncoding({"x": torch.randn(5, 4)})
    before = encoding["x"].clone()
    net = nn.Sequential(nn.ReLU(inplace=True))
    net.forward = lambda x: nn.Sequential.forward(net, x)  # type: ignore[method-assign]
    iua = IUA.introspect(net, [encoding])
    assert iua.probes == 5
    assert torch.equal(encoding["x"], before)
    seen: list[type] = []
    IUA.introspect(
        net, [encoding], forward=lambda m, b: (seen.append(type(b)), m(b.x if 0 else b["x"]))
    )
    assert seen == [BatchEncoding]


@pytest.mark.parametrize("form", ["reversed", "big-endian", "read-only", "Fortran"])
def test_arrays_in_any_order_of_bytes_and_strides(model: Net, form: str) -> None:
    x = X.numpy()
    array = {
        "reversed": lambda: x[:, ::-1],
        "big-endian": lambda: x.astype(">f4"),
        "read-only": lambda: np.broadcast_to(x, x.shape),
        "Fortran": lambda: np.asfortranarray(x),
    }[form]()
    expected = outputs_by_hand(model, [torch.tensor(np.array(array, "=f4"))], ["relu"])["relu"][0]
    assert_counts(IUA.introspect(model, array, batch_size=23), "relu", expected, 1e-3)


def test_a_batch_is_cut_where_part_of_it_is_not_per_probe() -> None:
    class Table(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.relu = nn.ReLU()

        def forward(self, x: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
            assert len(table) == 7
            return self.relu(x)

    batches = [{"x": part, "table": torch.zeros(7, 2)} for part in parts()]
    assert IUA.introspect(Table(), batches, max_probes=15).probes == 15
    packed = [pack_sequence([torch.randn(length, 4) for length in (5, 3, 2)])]
    iua = IUA.introspect(nn.GRU(4, 3), packed, layers="GRU", units="token", max_probes=2)
    assert (iua.probes, iua.results["GRU[0]"].probes) == (2, 8)


def test_a_batch_that_cannot_be_cut_is_noted() -> None:
    def forward(model: nn.Module, batch: Graph) -> None:
        model(batch.nodes)

    with pytest.warns(IUAWarning, match=r"could not be cut to max_probes=5"):
        iua = IUA.introspect(nn.Sequential(nn.ReLU()), [Graph(X)], forward=forward, max_probes=5)
    assert iua.probes == 23
