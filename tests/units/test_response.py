"""Responses of every dtype of PyTorch's: counted, or refused by name."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from iua_widget import IUA, ProducerError

VALUES = torch.tensor([[0.0, 0.5, 2.0], [0.0, -0.5, 0.0]])
NARROW = (
    *("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz"),
    *("bfloat16", "float16", "complex32"),
)


@pytest.mark.parametrize("engine", ["reference", "device"])
@pytest.mark.parametrize("dtype", NARROW)
@pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")
def test_narrow_numbers_are_counted(dtype: str, engine: str) -> None:
    result = IUA.introspect({"a": VALUES.to(getattr(torch, dtype))}, atol=0.5, engine=engine)
    expected = np.isclose(VALUES.numpy(), 0, rtol=0, atol=0.5).sum(axis=0)
    assert result["a"].unit_inactive_count.tolist() == expected.tolist()


@pytest.mark.parametrize("dtype", ["bits8", "float4_e2m1fn_x2"])
def test_what_is_no_number_is_refused_by_its_dtype_and_layer(dtype: str) -> None:
    bits = torch.zeros(2, 3, dtype=torch.uint8).view(getattr(torch, dtype))
    with pytest.raises(ProducerError, match=f"layer 'a'.*dtype '{dtype}'.*leave 'a' out"):
        IUA.introspect({"a": bits})
