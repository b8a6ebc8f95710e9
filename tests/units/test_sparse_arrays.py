"""Sparse and nested responses are refused with what makes arrays of them; sparse inputs go in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from iua_widget import IUA, IUAWarning, ProducerError, TorchModel
from iua_widget.stages import pipeline

DENSE = torch.tensor([[0.0, 1.0, -2.0], [0.0, 0.0, 3.0], [0.0, 0.0, 0.0]])


def scipy_matrix(name: str) -> Any:
    sparse = pytest.importorskip("scipy.sparse")
    return getattr(sparse, name)(DENSE.numpy())


def nested() -> torch.Tensor:
    return torch.nested.nested_tensor([DENSE[:1], DENSE[:2]])


KINDS: dict[str, tuple[Callable[[], Any], str]] = {
    "COO": (DENSE.to_sparse, r"is sparse \(torch\.sparse_coo\): give `\.to_dense\(\)`"),
    "CSR": (DENSE.to_sparse_csr, r"is sparse \(torch\.sparse_csr\): give `\.to_dense\(\)`"),
    "nested": (nested, r"is nested: give `\.to_padded_tensor"),
    "matrix": (lambda: scipy_matrix("csr_matrix"), r"is sparse \(csr_matrix\): give `\.toarray"),
    "array": (lambda: scipy_matrix("coo_array"), r"is sparse \(coo_array\): give `\.toarray"),
}


@pytest.mark.filterwarnings("ignore:Sparse CSR:UserWarning", "ignore:.*nested tensors:UserWarning")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batched", [False, True], ids=["mapping", "batches"])
def test_a_sparse_response_is_refused_with_what_to_give(kind: str, batched: bool) -> None:
    make, message = KINDS[kind]
    response = {"fine": DENSE.numpy(), "odd": make()}
    with pytest.raises(ProducerError, match=rf"layer 'odd', batch 0: the response {message}"):
        IUA.introspect([response] if batched else response)


@pytest.mark.filterwarnings("ignore:Sparse CSR:UserWarning", "ignore:.*nested tensors:UserWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_a_sparse_loader_or_mask_is_refused_too(kind: str) -> None:
    make, message = KINDS[kind]
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    with pytest.raises(ProducerError, match=message):
        IUA.introspect(model, make())
    with pytest.raises(ProducerError, match=message):
        IUA.introspect(model, {"input": make(), "other": DENSE})
    with pytest.raises(ProducerError, match=message):
        IUA.introspect([{"a": DENSE.numpy()}], mask=lambda _: make())


@pytest.mark.parametrize("kind", ["matrix", "array"])
def test_a_batch_of_scipy_is_refused_where_a_module_would_get_it(kind: str) -> None:
    make, message = KINDS[kind]
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    for batch in (make(), (make(), DENSE), {"input": make()}):
        with pytest.raises(ProducerError, match=f"batch 0 of the loader {message}"):
            IUA.introspect(model, [batch])
    iua = IUA.introspect(
        model, [make()], forward=lambda net, batch: net(torch.as_tensor(batch.toarray()))
    )
    assert iua.probes == 3


@pytest.mark.filterwarnings("ignore:Sparse CSR:UserWarning")
@pytest.mark.parametrize("kind", ["COO", "CSR"])
def test_a_model_may_take_sparse_inputs_and_not_give_sparse_responses(kind: str) -> None:
    class Net(nn.Module):
        def __init__(self, *, gives_sparse: bool) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.eye(3))
            self.relu, self.last = nn.ReLU(), nn.Identity()
            self.gives_sparse = gives_sparse

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            given: torch.Tensor = self.last(x if self.gives_sparse else DENSE)
            return self.relu(torch.sparse.mm(x, self.weight)) + 0 * given.sum()

    make, message = KINDS[kind]
    iua = IUA.introspect(Net(gives_sparse=False), [make(), make()])
    assert iua.results["relu"].unit_inactive_count.tolist() == [6, 4, 4]
    assert iua.probes == 6
    stages = pipeline([{"x": make()}], TorchModel(Net(gives_sparse=False))(["relu"]))
    assert IUA.introspect(stages).results["relu"].unit_inactive_count.tolist() == [3, 2, 2]
    with pytest.raises(ProducerError, match=rf"layer 'last', batch 0: the response {message}"):
        IUA.introspect(Net(gives_sparse=True), [make()], layers=["relu", "last"])


def test_dense_responses_are_counted_as_before() -> None:
    assert IUA.introspect({"a": np.eye(3)}).results["a"].mean_inactive == 2


@pytest.mark.filterwarnings("ignore:.*nested tensors:UserWarning")
def test_a_model_may_take_nested_inputs() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.relu = nn.ReLU()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = self.relu(torch.cat(x.unbind()))
            return out

    with pytest.warns(IUAWarning, match="3 responses for 2 inputs"):
        iua = IUA.introspect(Net(), [nested()])
    assert (iua.probes, iua.results["relu"].unit_inactive_count.tolist()) == (2, [3, 1, 2])
