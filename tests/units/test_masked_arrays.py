"""Masked arrays are refused, with how many entries are masked, unless the mask hides nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from dnikit.processors import Concatenator
from torch import nn

from iua_widget import IUA, ProducerError, TorchModel
from iua_widget.stages import Batch, pipeline, pool, rename

DATA = np.arange(12, dtype="f4").reshape(4, 3)
MASKED = np.ma.masked_array(DATA, mask=DATA < 2)
MAPS = np.ma.masked_greater(np.arange(48.0).reshape(4, 3, 2, 2), 20)

PRODUCERS: dict[str, Any] = {
    "mapping": {"r": MASKED},
    "iterable": [{"r": DATA}, {"r": MASKED}],
    "callable": lambda batch_size: iter([{"r": MASKED[:batch_size]}]),
    "batches": lambda: iter([Batch({"r": MASKED})]),
    "rows": [{"r": list(MASKED)}],
    "nested rows": [{"r": [list(MAPS[0]), list(MAPS[1])]}],
    "stage": pipeline({"r": MASKED}, rename({"r": "q"})),
    "pool": pipeline({"r": MAPS}, pool()),
    "DNIKit's": pipeline({"r": MAPS}, Concatenator(dim=1, output_field="r", fields=["r", "r"])),
    "last": pipeline({"r": DATA}, lambda batch: {"r": np.ma.masked_less(batch.fields["r"], 2)}),
    "model": pipeline({"x": MASKED}, TorchModel(nn.ReLU())()),
}


@pytest.mark.parametrize("producer", PRODUCERS.values(), ids=PRODUCERS)
def test_a_masked_array_is_refused_with_the_number_of_its_masked_entries(producer: Any) -> None:
    with pytest.raises(ProducerError, match=r"MaskedArray|list.*") as raised:
        IUA.introspect(producer)
    assert "entries masked" in str(raised.value)


def test_masked_inputs_and_masks_are_refused() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    for loader in (MASKED, [(MASKED, 1)], [{"input": MASKED}]):
        with pytest.raises(ProducerError, match="batch 0 of the loader is a MaskedArray with 2 of"):
            IUA.introspect(model, loader)
    data = {"r": np.zeros((4, 3, 2))}
    with pytest.raises(ProducerError, match="the mask of batch 0 is a MaskedArray with 2 of 12"):
        IUA.introspect(data, mask=lambda _: MASKED, units="token")


def test_a_masked_tensor_is_refused() -> None:
    with pytest.warns(UserWarning, match="prototype"):
        masked = torch.masked.masked_tensor(torch.tensor(DATA), torch.tensor(DATA >= 2))
    with pytest.raises(ProducerError, match="a MaskedTensor with 2 of 12 entries masked"):
        IUA.introspect([{"r": masked}])


@pytest.mark.parametrize("mask", [np.ma.nomask, False], ids=["no mask", "nothing masked"])
def test_a_mask_that_hides_nothing_is_ignored(mask: Any) -> None:
    masked = np.ma.masked_array(np.maximum(DATA, 2) - 2, mask=mask)
    assert IUA.introspect({"r": masked}).results["r"].unit_inactive_count.tolist() == [1, 1, 1]
