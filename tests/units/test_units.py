"""Units: elements, channels, tokens; masks; channel roll-ups."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from by_hand import dead_by_hand
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import nn

from iua_widget import IUA, IUAWidget, MergeError, ProducerError, UnitsError
from iua_widget.units.rule import UNKNOWN, Origin, UnitRule

RNG = np.random.default_rng(11)
VALUES = st.sampled_from([0.0, -0.0, 1e-8, -0.01, 0.05, 1.0, -3.0, np.nan, np.inf])
SHAPES = hnp.array_shapes(min_dims=3, max_dims=5, min_side=1, max_side=4)


@pytest.mark.filterwarnings("ignore::iua_widget.IUAWarning")
@settings(deadline=None, max_examples=60)
@given(data=st.data(), dtype=st.sampled_from(["float32", "float64"]))
def test_a_channel_is_inactive_where_it_is_so_at_every_position(
    data: st.DataObject, dtype: str
) -> None:
    values = data.draw(hnp.arrays(dtype, SHAPES, elements=st.one_of(VALUES)))
    axis = data.draw(st.integers(1, values.ndim - 1))
    atol = data.draw(st.sampled_from([0.0, 1e-8, 0.05, 1.0]))
    iua = IUA.introspect({"a": values}, batch_size=2, units="channel", channel_axis=axis, atol=atol)
    others = tuple(other for other in range(1, values.ndim) if other != axis)
    inactive = np.isclose(values, 0, atol=atol).all(axis=others)
    result = iua.results["a"]
    assert result.unit_inactive_count.tolist() == inactive.sum(axis=0).tolist()
    assert result.inactive == inactive.sum(axis=1).tolist()
    largest = np.abs(values).max(axis=others, initial=0)  # NaN where one position is
    assert result.dead == dead_by_hand(largest, inactive).sum()
    assert result.probes == len(values)
    assert result.response_shape == values.shape[1:]
    units = iua.units("a")
    finite = np.where(np.isfinite(values), np.abs(values.astype(float)), np.nan)
    entries = np.moveaxis(finite, axis, 0).reshape(values.shape[axis], -1)
    with np.errstate(all="ignore"):
        sums, counts = np.nansum(entries, axis=1), np.isfinite(entries).sum(axis=1)
        np.testing.assert_allclose(units["mean |x|"], sums / counts)
        np.testing.assert_allclose(units["rms"], np.sqrt(np.nansum(entries**2, axis=1) / counts))
    assert units["nan"].tolist() == _along(np.isnan(values), axis)
    assert units["infinite"].tolist() == _along(np.isinf(values), axis)


def _along(mask: np.ndarray, axis: int) -> list[int]:
    sums: np.ndarray = np.moveaxis(mask, axis, 0).reshape(mask.shape[axis], -1).sum(axis=1)
    return sums.tolist()


@pytest.mark.filterwarnings("ignore::iua_widget.IUAWarning")
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_a_token_layer_counts_every_real_token_as_a_probe(data: st.DataObject) -> None:
    lengths = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=3))
    batches, rows, masked = [], [], 0
    for length in lengths:
        items = data.draw(st.integers(1, 3))
        values = data.draw(hnp.arrays("float32", (items, length, 4), elements=VALUES))
        mask = data.draw(hnp.arrays(bool, (items, length)))
        batches.append({"values": values, "mask": mask})
        rows.append(values[mask])
        masked += int((~mask).sum())
    real = np.concatenate(rows)
    stream = [{"a": batch["values"]} for batch in batches]
    masks = iter([batch["mask"] for batch in batches])
    iua = IUA.introspect(stream, units="token", mask=lambda _: next(masks), atol=0.01)
    tally = iua._run.tally("a")
    assert (tally.probes, tally.masked) == (len(real), masked)
    assert tally.response_shape == (lengths[0] if len(set(lengths)) == 1 else None, 4)
    if len(real):
        inactive = np.isclose(real, 0, atol=0.01)
        assert iua.results["a"].unit_inactive_count.tolist() == inactive.sum(axis=0).tolist()
        assert iua.results["a"].inactive == inactive.sum(axis=1).tolist()
        assert iua.to_pandas()["masked"].tolist() == [masked]


def test_a_channel_layer_leaves_padding_out_of_its_positions_and_its_means() -> None:
    values = RNG.normal(size=(5, 6, 3)).astype(np.float32)
    mask = RNG.random((5, 6)) < 0.5
    mask[2] = False
    values[mask] *= 0.001
    iua = IUA.introspect({"a": values}, units="channel", mask=lambda _: mask, atol=0.01)
    result = iua.results["a"]
    some = mask.any(axis=1)
    assert result.probes == some.sum()
    assert result.masked == (~mask).sum()
    assert result.unit_inactive_count.tolist() == [some.sum()] * 3
    np.testing.assert_allclose(
        iua.units("a")["mean |x|"], np.abs(values[mask]).mean(axis=0), rtol=1e-5
    )


def test_feature_maps_tell_which_channels_are_dead_at_every_position() -> None:
    maps = np.maximum(RNG.normal(size=(40, 6, 5, 4)), 0)
    maps[:, 2] = 0
    maps[:, 4] = 0
    maps[7, 4, 3, 1] = 0.03
    iua = IUA.introspect({"conv": maps}, batch_size=7)
    table = iua.channels("conv")
    assert table["dead"].tolist() == [False, False, True, False, False, False]
    inactive = np.isclose(maps, 0)
    assert table["dead units"].tolist() == inactive.all(axis=0).sum(axis=(1, 2)).tolist()
    np.testing.assert_allclose(table["inactive share"], inactive.mean(axis=(0, 2, 3)))
    assert iua.results["conv"].dead_channels == 1
    assert iua.at(atol=0.05).results["conv"].dead_channels == 2
    between = iua.at(atol=0.029).results["conv"]
    assert (between.dead_channels, between.dead_channels_upper) == (1, 2)
    assert iua.channels("conv", atol=0.029)["dead upper"].sum() == 2
    row = iua.to_pandas().iloc[0]
    assert (row["channels"], row["dead channels"]) == (6, 1)


def test_channels_last_roll_up_by_the_axis_given() -> None:
    maps = np.maximum(RNG.normal(size=(10, 4, 5, 3)), 0)
    maps[..., 1] = 0
    iua = IUA.introspect({"conv": maps}, channel_axis=-1)
    assert iua.channels("conv")["dead"].tolist() == [False, True, False]
    units = iua.units("conv")
    assert units.columns[1:4].tolist() == ["row", "column", "channel"]
    assert set(units.loc[units["dead"], "channel"]) == {1}
    channel = IUA.introspect({"conv": maps}, channel_axis=-1, units="channel")
    assert channel.results["conv"].dead == 1
    assert channel.channels("conv")["dead"].tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("shape", "origin", "choice", "axis"),
    [
        ((8,), UNKNOWN, "element", None),
        ((8, 10), UNKNOWN, "element", 1),
        ((8, 5, 10), UNKNOWN, "element", 2),
        ((8, 3, 5, 5), UNKNOWN, "element", 1),
        ((8, 10), Origin(traced=True), "element", 1),
        ((8, 5, 10), Origin(traced=True), "token", 2),
        ((8, 5, 10), Origin(traced=True, channel_axis=1), "element", 1),
        ((8, 5, 10), Origin(traced=True, channel_axis=1, length=10), "token", 1),
        ((8, 5, 10), Origin(traced=True, length=10), "token", 1),
        ((8, 5, 10), Origin(traced=True, channel_axis=2, length=10), "token", 1),
        ((8, 10, 10), Origin(traced=True, length=10), "token", 2),
        ((8, 5, 10), Origin(traced=True, length=5), "token", 2),
        ((8, 2, 5, 5), Origin(traced=True, length=5), "channel", 1),
        ((8, 2, 5, 5), Origin(traced=True, length=6), "element", 1),
        ((8, 2, 5, 5), Origin(length=5), "element", 1),
        ((8, 5, 5, 3), Origin(traced=True, channel_axis=3), "element", 3),
        ((8, 5, 10), Origin(channel_axis=2), "element", 2),
        ((24, 10), Origin(traced=True, mask=np.ones((8, 3), bool)), "token", 1),
        ((8, 10), Origin(traced=True, mask=np.ones((8, 3), bool)), "element", 1),
        ((24, 10), Origin(traced=True, tokens=True), "token", 1),
    ],
)
def test_auto_picks_by_the_written_rule(
    shape: tuple[int, ...], origin: Origin, choice: str, axis: int | None
) -> None:
    plan = UnitRule().plan("layer", shape, origin)
    assert (plan.choice, plan.channel_axis) == (choice, axis)


def test_a_mapping_chooses_by_name_first_then_by_glob_and_leaves_the_rest_to_auto() -> None:
    maps = RNG.normal(size=(4, 3, 2, 2))
    data = {"conv1": maps, "conv2": maps, "fc": maps[:, :, 0, 0], "other": maps}
    iua = IUA.introspect(data, units={"conv*": "channel", "conv2": "token"})
    assert {name: iua.results[name].unit for name in data} == {
        "conv1": "channel",
        "conv2": "token",
        "fc": "element",
        "other": "element",
    }
    assert iua.results["conv2"].probes == 16
    assert iua.to_pandas()["unit"].tolist() == ["channel", "token", "element", "element"]
    assert iua.to_pandas()["shape"].tolist() == [(3, 2, 2), (3, 2, 2), (3,), (3, 2, 2)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"units": "chanel"},
            "units must be one of 'element', .*; got 'chanel'. Did you mean 'channel'",
        ),
        ({"units": 3}, "units must be one of"),
        ({"units": {"cnv": "channel"}}, r"units=\{'cnv': ...\} matches no layer.*'conv'"),
        ({"channel_axis": {"cnv": 1}}, r"channel_axis=\{'cnv': ...\} matches no layer.*'conv'"),
        ({"units": {3: "token"}}, "name layers by strings; got 3"),
        ({"channel_axis": 0}, "not 0, which counts the probes; got 0"),
        ({"channel_axis": "last"}, "channel_axis must be the number.*got 'last'"),
        ({"channel_axis": 7}, "channel_axis=7 is not an axis of channels: the response has 4 axes"),
    ],
)
def test_an_unknown_choice_of_units_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UnitsError, match=message):
        IUA.introspect({"conv": np.zeros((2, 3, 4, 4))}, **options)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (lambda _: "text", "the mask of batch 0 must be numbers of shape"),
        (lambda _: np.ones(3), r"shape \(3,\)"),
        (lambda batch: batch["mask"], "mask= raised KeyError on batch 0, which is dict"),
        (lambda _: {"b*": np.ones((3, 2))}, r"mask= names 'b\*', which matches no layer.*'a'"),
        ([[1, 0]], "mask must be a callable.*; got list"),
    ],
)
def test_an_unusable_mask_is_refused(mask: Any, message: str) -> None:
    with pytest.raises(ProducerError, match=message):
        IUA.introspect([{"a": np.zeros((3, 2, 4))}], units="token", mask=mask)


def test_sequences_of_several_lengths_say_what_to_choose_for_elements() -> None:
    stream = [{"a": np.zeros((2, length, 4))} for length in (3, 5)]
    with pytest.raises(ProducerError, match=r"shape \(5, 4\).*\(3, 4\).*'token'.*'channel'"):
        IUA.introspect(stream)
    for units in ("token", "channel"):
        iua = IUA.introspect(stream, units=units)
        assert iua.results["a"].response_shape == (None, 4)
        assert iua.results["a"].probes == (16 if units == "token" else 4)


def test_channels_that_change_in_number_are_refused() -> None:
    stream = [{"a": np.zeros((2, 3, channels))} for channels in (4, 5)]
    with pytest.raises(ProducerError, match=r"number of channels must stay"):
        IUA.introspect(stream, units="token")


def test_runs_that_mean_different_things_by_a_unit_cannot_be_merged() -> None:
    data = {"a": np.zeros((2, 3, 3))}
    one = IUA.introspect(data, units="token")
    with pytest.raises(
        MergeError, match=r"'a': what a unit is differs.*'token'.*'channel'.*`units=`"
    ):
        one.merge(IUA.introspect(data, units="channel"))
    twice = one.merge(IUA.introspect(data, units="token"))
    assert (twice.probes, twice.results["a"].probes) == (4, 12)


def test_a_model_tells_where_its_channels_are() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv1d(3, 6, 3, padding=1)
            self.mlp = nn.Linear(6, 12)
            self.act = nn.ReLU()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.act(self.conv(x))  # (N, 6, 6): channels second, though the axes are as long
            x = self.act(self.mlp(x.transpose(1, 2)))
            gate, value = self.mlp(x[..., :6]).chunk(2, dim=-1)
            return self.act(gate) * value

    iua = IUA.introspect(Net(), torch.randn(4, 3, 6))
    plans = {name: (iua._run.tally(name).plan.choice, iua._run.tally(name).plan.channel_axis)
             for name in iua.layers}  # fmt: skip
    assert plans == {"act": ("element", 1), "act:1": ("token", 2), "act:2": ("token", 2)}


def test_the_widget_takes_the_same_options_and_sends_what_a_unit_is() -> None:
    data = {"conv": np.zeros((4, 3, 2, 2)), "text": np.zeros((4, 5, 2))}
    widget = IUAWidget(
        data, units={"text": "token"}, channel_axis={"conv": 1}, max_probes=3, background=False
    )
    assert widget.iua.probes == 3
    assert widget.iua.results["text"].probes == 15
    assert widget._run["probes"] == widget._run["total"] == 3
    widget.restart()
    widget.wait()
    assert widget.iua.results["text"].unit == "token"
    with pytest.raises(ProducerError, match=r"shown as it is, and takes no `units`"):
        IUAWidget(widget.iua, units="token")
