"""Evidence of why units are dead or stuck, against plain NumPy over the whole data."""

from __future__ import annotations

import copy
import itertools
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from by_hand import assert_untouched, everything
from careful_way import seen
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_mixtures import tiny
from torch import nn
from torch.nn import functional as F  # noqa: N812

from iua_widget import IUA, FileError
from iua_widget.tally.store import EVIDENCE_BYTES

OPTIONS: dict[str, Any] = {"engine": "reference", "causes": True}


def counted(model: Any, *inputs: Any, **options: Any) -> IUA:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return IUA.introspect(model, *inputs, **{**OPTIONS, **options})


def assert_evidence(
    iua: IUA,
    layer: str,
    given: np.ndarray,
    made: np.ndarray,
    bounds: tuple[Any, Any] = (None, None),
) -> None:
    """Whether a layer's columns are those of rows by units, finite ones."""
    table = iua.units(layer)
    for unit in range(given.shape[1]):
        before, after = (values[:, unit] for values in (given, made))
        before, after = before[np.isfinite(before)], after[np.isfinite(after)]
        highest = before.max() if len(before) else np.nan
        mean = before.mean(dtype=np.float64) if len(before) else np.nan
        row = table.iloc[unit]
        assert row["max pre-activation"] == pytest.approx(highest, rel=0, abs=0, nan_ok=True)
        assert row["mean pre-activation"] == pytest.approx(mean, rel=1e-6, abs=1e-9, nan_ok=True)
        constant = len(after) > 1 and after.max() - after.min() <= iua.tolerances.atol
        assert row["constant"] == constant
        lower, upper = bounds
        if lower is not None or upper is not None:
            at = (after <= (-np.inf if lower is None else lower)).sum()
            at += (after >= (np.inf if upper is None else upper)).sum()
            share = at / len(after) if len(after) else np.nan
            assert row["share at bound"] == pytest.approx(share, nan_ok=True)
        else:
            assert "share at bound" not in table


ACTIVATIONS: dict[str, tuple[Any, tuple[Any, Any]]] = {
    "ReLU": (nn.ReLU(), (None, None)),
    "in place": (nn.ReLU(inplace=True), (None, None)),
    "ReLU6": (nn.ReLU6(inplace=True), (None, 6)),
    "Hardtanh": (nn.Hardtanh(-0.5, 2, inplace=True), (-0.5, 2)),
    "Hardtanh from 0": (nn.Hardtanh(0, 2), (None, 2)),
    "Hardsigmoid": (nn.Hardsigmoid(), (0, 1)),
    "Hardswish": (nn.Hardswish(inplace=True), (None, None)),
    "sigmoid": (nn.Sigmoid(), (0.01, 0.99)),
    "tanh": (nn.Tanh(), (-0.99, 0.99)),
    "gelu": (nn.GELU(), (None, None)),
}
VALUES = [
    -7.0,
    -3.0,
    -1.0,
    -0.5,
    -0.25,
    0.0,
    0.125,
    0.5,
    2.0,
    3.0,
    6.0,
    7.5,
    np.nan,
    np.inf,
    -np.inf,
]


@settings(deadline=None, max_examples=40)
@given(
    name=st.sampled_from(list(ACTIVATIONS)),
    engine=st.sampled_from(["reference", "device"]),
    cuts=st.lists(st.integers(0, 11), max_size=3),
    draw=st.integers(0, 2**32 - 1),
    finite=st.booleans(),
)
def test_it_is_that_of_the_whole_data_in_any_batches_merged_in_any_groups(
    name: str, engine: Any, cuts: list[int], draw: int, finite: bool
) -> None:
    activation, bounds = ACTIVATIONS[name]
    rng = np.random.default_rng(draw)
    values = rng.choice(VALUES[: 12 if finite else None], size=(11, 3)).astype(np.float32)
    values[:, 0] = values[0, 0]
    model = nn.Sequential(nn.Identity(), activation)
    made = activation(torch.from_numpy(values.copy())).numpy()
    places = [0, *sorted(cuts), 11]
    parts = [
        counted(model, torch.from_numpy(values[a:b]), batch_size=2, engine=engine)
        for a, b in itertools.pairwise(places)
        if b > a
    ]
    grouped = parts
    if len(parts) > 2:
        grouped = [parts[0], IUA.merge(*parts[1:])]
    assert_evidence(IUA.merge(*grouped), "1", values, made, bounds)


@settings(deadline=None, max_examples=25)
@given(
    units=st.sampled_from(["token", "channel"]),
    engine=st.sampled_from(["reference", "device"]),
    lengths=st.lists(st.integers(0, 4), min_size=3, max_size=5),
    in_place=st.booleans(),
    draw=st.integers(0, 2**32 - 1),
)
def test_padding_is_left_out_of_it(
    units: str, engine: Any, lengths: list[int], in_place: bool, draw: int
) -> None:
    values = np.random.default_rng(draw).normal(size=(len(lengths), 4, 3)).astype(np.float32)
    mask = np.arange(4) < np.array(lengths)[:, None]
    if not mask.any():
        return
    batches = [
        {"input": torch.from_numpy(values[i : i + 2]), "mask": torch.from_numpy(mask[i : i + 2])}
        for i in range(0, len(lengths), 2)
    ]
    model = nn.ReLU(inplace=in_place)
    iua = counted(
        nn.Sequential(nn.Identity(), model),
        batches,
        forward=lambda model, batch: model(batch["input"]),
        mask=lambda batch: batch["mask"],
        units=units,
        channel_axis=2,
        engine=engine,
    )
    rows = values[mask]
    table = iua.units("1")
    assert list(table["max pre-activation"]) == list(rows.max(axis=0))
    np.testing.assert_allclose(
        table["mean pre-activation"], rows.mean(axis=0), rtol=1e-5, atol=1e-7
    )


class HalvedSwish(nn.Module):
    """Named like an activation, and writes over its input, which nothing tells before."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mul_(0.5)


class Functions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.swish = HalvedSwish()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(x - 0.25)
        x = torch.relu_(x - 0.5)
        x = (x - 0.125).relu_()
        x = F.hardtanh(x - 0.25, 0.0, max_val=0.5, inplace=True)
        x = F.relu(x - 0.0625, True)
        return self.swish(x).relu()


def test_functions_are_as_modules_whether_they_write_over_their_input_or_not() -> None:
    x = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32) * 3
    iua = counted(Functions(), torch.from_numpy(x), batch_size=8)
    bounds: tuple[Any, Any]
    for name, less, bounds in (
        ("Functions/relu", 0.25, (None, None)),
        ("Functions/relu:1", 0.5, (None, None)),
        ("Functions/relu:2", 0.125, (None, None)),
        ("Functions/hardtanh", 0.25, (None, 0.5)),
        ("Functions/relu:3", 0.0625, (None, None)),
    ):
        before = x - np.float32(less)
        x = np.clip(before, 0, bounds[1])
        assert_evidence(iua, name, before, x, bounds)
    assert_evidence(iua, "swish", x, x / 2)
    assert_evidence(iua, "Functions/relu:4", x / 2, x / 2)


def test_fused_ones_and_layers_that_are_no_activations_have_no_pre_activations() -> None:
    class Odd(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.fft.fft(x)

    iua = counted(nn.Sequential(nn.Linear(3, 2), nn.ReLU()), torch.randn(4, 3), layers="0")
    assert "max pre-activation" not in iua.units("0")
    assert "constant" in iua.units("0")
    arrays = counted({"relu": np.array([[0.0, 1.0], [0.0, 2.0]])})
    assert list(arrays.units("relu")["constant"]) == [True, False]
    of_complex = counted(Odd(), torch.randn(4, 3), layers="*/fft_fft")
    assert "constant" not in of_complex.units(of_complex.layers[0])


@pytest.mark.parametrize("batch_first", [True, False])
def test_layouts_are_those_of_the_responses(batch_first: bool) -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 12, activation="relu", batch_first=batch_first)
    model = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
    mask = torch.zeros(3, 5, dtype=torch.bool)
    mask[1, 3:] = True
    x = torch.randn(3, 5, 8)
    batch = {"src": x if batch_first else x.transpose(0, 1), "src_key_padding_mask": mask}
    table = counted(model, [batch]).units("layers.0/relu")
    assert list(table["max |x|"]) == list(table["max pre-activation"].clip(lower=0))


class Loop(nn.Module):
    """One cell for many steps, whose calls are one layer."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.relu = nn.Linear(3, 3), nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for _ in range(20):
            x = self.relu(self.cell(x) + x)
        return x


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("inference", [False, True])
def test_calls_that_are_one_layer_are_all_in_it(dtype: torch.dtype, inference: bool) -> None:
    def forward(model: Any, batch: torch.Tensor) -> Any:
        with torch.inference_mode(inference):
            return model(batch)

    x = torch.randn(12, 3, generator=torch.Generator().manual_seed(0)).to(dtype)
    iua = counted(Loop().to(dtype), x, batch_size=5, forward=forward)
    table = iua.units("relu")
    assert iua._run.tallies["relu"].entries == 12 * 20
    assert list(table["max |x|"]) == list(table["max pre-activation"].clip(lower=0))
    assert set(table["finding"]) <= {"", "no cause seen", "just below"}


def test_experts_have_the_pre_activations_of_their_own_tokens() -> None:
    for kind in ("mixtral", "llama4_text"):
        model = tiny(kind)
        for module in model.modules():
            if hasattr(module, "act_fn"):
                module.act_fn = nn.ReLU(inplace=False)
        ids = torch.randint(0, 30, (4, 6), generator=torch.Generator().manual_seed(0))
        mask = torch.ones_like(ids)
        mask[1, 4:] = 0
        iua = counted(model, [{"input_ids": ids, "attention_mask": mask}])
        layers = [
            name for name in iua.layers if "experts" in name and iua._run.tallies[name].probes
        ]
        assert layers
        for layer in layers:
            table = iua.units(layer)
            assert list(table["max |x|"]) == list(table["max pre-activation"].clip(lower=0))


def test_it_is_saved_copied_and_resumed_and_takes_what_is_planned(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU6())
    x = torch.randn(40, 4, generator=torch.Generator().manual_seed(0))
    whole = counted(model, x, batch_size=8)
    for twin in (copy.deepcopy(whole), IUA.from_bytes(whole.to_bytes())):
        assert twin.units("1").equals(whole.units("1"))
        assert twin.to_bytes() == whole.to_bytes()
    path = tmp_path / "run.iua"
    counted(model, x, batch_size=8, resume=path, max_probes=16, save_every=1)
    resumed = counted(model, x, batch_size=8, resume=path, save_every=1)
    assert resumed.units("1").equals(whole.units("1"))
    with pytest.raises(FileError, match="causes was True and is False now"):
        counted(model, x, batch_size=8, resume=path, causes=False)
    plain = counted(model, x, batch_size=8, causes=False)
    assert whole.plan["bytes"][0] - plain.plan["bytes"][0] == 6 * EVIDENCE_BYTES
    mixed = IUA.merge(whole, plain)
    assert "constant" not in mixed.units("1")
    assert IUA.from_bytes(mixed.to_bytes()).units("1").equals(mixed.units("1"))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_bounds_of_either_sign_are_saved(name: str) -> None:
    iua = counted(nn.Sequential(copy.deepcopy(ACTIVATIONS[name][0])), torch.randn(9, 3))
    read = IUA.from_bytes(iua.to_bytes())
    assert read.to_bytes() == iua.to_bytes()
    assert read.units("0").equals(iua.units("0"))


def test_it_costs_nothing_where_it_is_not_asked_for() -> None:
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU())
    with seen() as steady:
        iua = counted(model, torch.randn(90, 4), batch_size=8, causes=False)
    assert steady.taken
    assert steady.passes
    assert iua._run.tallies["1"].store.evidence.nbytes == 0
    assert "constant" not in iua.units("1")


def test_the_model_stays_as_it_is() -> None:
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(inplace=True), Functions())
    x = torch.randn(6, 1, 5, 5)
    before = everything(model)
    counted(model, x, batch_size=2)
    assert_untouched(before, everything(model))


def test_the_table_of_layers_tells_how_much_is_at_its_bound() -> None:
    model = nn.Sequential(nn.ReLU6(), nn.ReLU())
    table = counted(model, torch.tensor([[7.0, 1.0], [8.0, -1.0]])).at().to_pandas()
    assert table["share at bound"][0] == 0.5
    assert np.isnan(table["share at bound"][1])
