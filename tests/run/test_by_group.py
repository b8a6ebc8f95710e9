"""Counting by group: each group's counts are those of a run over its probes alone."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_nets import TwoConvolutions
from tiny_mixtures import tiny
from torch import nn

from iua_widget import (
    IUA,
    FileError,
    GroupError,
    IUAWidget,
    LayerSelectionError,
    MemoryBudgetError,
    MergeError,
    ProducerError,
)
from iua_widget.tally.tally import Tally

pytestmark = pytest.mark.filterwarnings("ignore::iua_widget.IUAWarning")

RANDOM = np.random.default_rng(0)
DATA = np.maximum(RANDOM.normal(size=(60, 7)), 0).astype(np.float32)
LABELS = RANDOM.choice([3, 1, 10], 60)
BATCHES = [{"a": DATA[n : n + 8], "b": DATA[n : n + 8, :3]} for n in range(0, 60, 8)]


def counted(**options: Any) -> IUA:
    return IUA.introspect(BATCHES, engine="reference", groups=LABELS.tolist(), **options)


def check_alike(one: IUA, other: IUA) -> None:
    """Counts to the bit, floating sums as far as their order allows."""
    assert (one.layers, one.probes) == (other.layers, other.probes)
    for layer in one.layers:
        here, there = (iua._run.tallies[layer].state() for iua in (one, other))
        apart = {"first_non_finite"}  # which tells a batch of the stream
        assert {k: v for k, v in here.facts.items() if k not in apart} == {
            k: v for k, v in there.facts.items() if k not in apart
        }
        assert here.arrays.keys() == there.arrays.keys()
        for name, array in here.arrays.items():
            if array.dtype == np.float64:
                np.testing.assert_allclose(array, there.arrays[name], rtol=1e-12, err_msg=name)
            else:
                np.testing.assert_array_equal(array, there.arrays[name], err_msg=name)


def check_sums_up(iua: IUA, *without: str) -> None:
    """The sum over the groups is the whole."""
    groups = [iua.group(name)._run for name in iua.groups]
    assert sum(group.probes for group in groups) == iua.probes
    for layer, tally in iua._run.tallies.items():
        if layer in without:
            assert not any(layer in group.tallies for group in groups)
            continue
        parts = [group.tallies[layer] for group in groups if layer in group.tallies]
        assert sum(part.entries for part in parts) == tally.entries
        for column in tally.columns:
            if all(column in part.columns for part in parts):
                np.testing.assert_array_equal(
                    sum(part.store.read_counts().up_to(column) for part in parts),
                    tally.store.read_counts().up_to(column),
                )


@settings(deadline=None, max_examples=30)
@given(
    sizes=st.lists(st.integers(0, 7), min_size=1, max_size=5).filter(sum),
    units=st.sampled_from(["element", "channel", "token"]),
    masked=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
    cut=st.none() | st.integers(1, 20),
)
def test_a_group_is_counted_as_its_probes_alone(
    sizes: list[int], units: str, masked: bool, seed: int, cut: int | None
) -> None:
    random = np.random.default_rng(seed)
    batches, labels, masks = [], [], []
    for size in sizes:
        values = random.choice(
            [0, -1e-9, 0.5, 2, np.nan], (size, 3, 2), p=[0.4, 0.1, 0.2, 0.2, 0.1]
        )
        batches.append({"a": values, "b": np.maximum(values[:, 0], 0).astype(np.float32)})
        labels.append(random.choice(["x", "y", "z"], size))
        masks.append(random.random((size, 3)) < 0.7)
    options: dict[str, Any] = {"units": {"a": units}, "engine": "reference"}
    masks_of = {id(batch): mask for batch, mask in zip(batches, masks, strict=True)}
    of = {id(batch): label for batch, label in zip(batches, labels, strict=True)}
    if masked:
        options["mask"] = lambda batch: {"a": masks_of[id(batch)], "b": None}
    iua = IUA.introspect(batches, groups=lambda batch: of[id(batch)], max_probes=cut, **options)
    check_sums_up(iua)
    left = cut or sum(sizes)
    parts: dict[str, list[Any]] = {name: [] for name in "xyz"}
    for batch, label, mask in zip(batches, labels, masks, strict=True):
        for name, of_group in parts.items():
            rows = np.flatnonzero(label[:left] == name)
            if len(rows):
                one = {layer: values[rows] for layer, values in batch.items()}
                masks_of[id(one)] = mask[rows]
                of_group.append(one)
        left = max(left - len(label), 0)
    assert iua.groups == [name for name in "xyz" if parts[name]]
    for name in iua.groups:
        check_alike(iua.group(name), IUA.introspect(parts[name], **options))


@pytest.mark.parametrize(
    "again",
    [
        copy.deepcopy,
        lambda iua: pickle.loads(pickle.dumps(iua)),
        lambda iua: IUA.from_bytes(iua.to_bytes()),
    ],
    ids=["deepcopy", "pickle", "bytes"],
)
def test_copies_and_files_have_the_groups(again: Callable[[IUA], IUA]) -> None:
    iua = counted(group_names={3: "cat"})
    copied = again(iua)
    assert copied.groups == ["1", "cat", "10"] == iua.groups
    for name in iua.groups:
        check_alike(copied.group(name), iua.group(name))
    assert copied.group(3).probes == (LABELS == 3).sum()
    assert copied.group(3)._run.lock is copied._run.lock
    assert copied.group(3)._run.budget is copied._run.budget
    assert copied.by_group("a").equals(iua.by_group("a"))
    check_alike(again(iua.group(3)), iua.group(3))  # a run of its own


def test_groups_are_merged_by_name_in_any_order() -> None:
    parts = [
        IUA.introspect(BATCHES[at : at + 3], groups=LABELS[8 * at : 8 * at + 24][: len(rows)])
        for at in (0, 3, 6)
        for rows in [np.concatenate([one["a"] for one in BATCHES[at : at + 3]])]
    ]
    late = IUA.introspect(BATCHES[:1], groups=["late"] * 8)
    whole = IUA.merge(IUA(), *parts, late)
    assert whole.groups == ["1", "3", "10", "late"]
    check_sums_up(whole)
    for name in ("1", "3", "10"):
        check_alike(whole.group(name), counted().group(name))
    turned = IUA.merge(parts[2], IUA.merge(late, parts[1]), parts[0])
    assert turned.groups == whole.groups
    assert turned.by_group("a").equals(whole.by_group("a"))
    check_sums_up(IUA.from_bytes(turned.to_bytes()))
    with pytest.raises(MergeError, match="by group"):
        IUA.merge(parts[0], IUA.introspect(BATCHES))
    with pytest.raises(MergeError, match="label 3 is of the group '3' in one and of 'cat'"):
        IUA.merge(counted(), counted(group_names={3: "cat"}))


def test_a_run_that_broke_off_goes_on_with_its_groups(tmp_path: Path) -> None:
    def labels(batch: Any) -> Any:
        (at,) = np.flatnonzero((batch["a"][0] == DATA).all(axis=1))
        return LABELS[at : at + len(batch["a"])]

    def breaking() -> Iterator[Any]:
        yield from BATCHES[:3]
        raise KeyboardInterrupt

    path = tmp_path / "run.iua"
    with pytest.raises(KeyboardInterrupt):
        IUA.introspect(breaking(), groups=labels, resume=path)
    partial = IUA.load(path)
    assert partial.probes == 24
    check_sums_up(partial)
    resumed = IUA.introspect(iter(BATCHES), groups=labels, resume=path)
    for name in counted().groups:
        check_alike(resumed.group(name), counted().group(name))
    with pytest.raises(FileError, match="was counted by group, and is not to be now"):
        IUA.introspect(iter(BATCHES), resume=path)
    assert IUA.introspect(BATCHES, groups=LABELS, resume=path).probes == 60
    with pytest.raises(FileError, match="was not counted by group, and is to be now"):
        IUA.introspect(BATCHES, resume=tmp_path / "b.iua") and IUA.introspect(
            BATCHES, groups=LABELS, resume=tmp_path / "b.iua"
        )


def test_other_names_than_in_the_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        IUA.introspect(iter(BATCHES), groups=interrupted(after=2), resume=tmp_path / "run.iua")
    with pytest.raises(ProducerError, match=r"label 0 is of the group '0' .* and of 'zero' now"):
        IUA.introspect(
            iter(BATCHES),
            groups=interrupted(after=99),
            group_names=["zero"],
            resume=tmp_path / "run.iua",
        )


def interrupted(after: int) -> Callable[[Any], list[int]]:
    """Labels 0 and 1 by turns, until Ctrl-C."""
    seen = 0

    def labels(batch: Any) -> list[int]:
        nonlocal seen
        seen += 1
        if seen > after:
            raise KeyboardInterrupt
        return [place % 2 for place in range(len(batch["a"]))]

    return labels


@pytest.mark.parametrize("at", [0, 1, 3, 5, 6, 9])
def test_a_batch_counts_whole_or_not_at_all(at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where memory cannot be had for one tally, nothing has been added to another."""
    reserve, calls = Tally.reserve, 0

    def fails(self: Tally, probes: int, device: Any = None) -> None:
        nonlocal calls
        calls += 1
        if calls == 9 + at:  # two layers, by themselves and in up to three groups
            raise MemoryError
        reserve(self, probes, device)

    monkeypatch.setattr(Tally, "reserve", fails)
    with pytest.raises(ProducerError) as caught:
        counted()
    partial = caught.value.partial
    assert partial.probes in {8, 16}
    monkeypatch.undo()
    check_sums_up(partial)
    for name in partial.groups:
        rows = np.flatnonzero(LABELS[: partial.probes] == int(name))
        np.testing.assert_array_equal(
            partial.group(name).results["a"].unit_inactive_count, (DATA[rows] == 0).sum(axis=0)
        )
        assert partial.group(name).notes == partial.notes


def test_a_batch_that_does_not_fit_leaves_no_trace() -> None:
    odd = [*BATCHES[:2], {"a": DATA[:4], "b": DATA[:4]}]
    with pytest.raises(ProducerError) as caught:
        IUA.introspect(odd, groups=["p"] * 16 + ["q"] * 4)
    assert caught.value.partial.groups == ["p"]
    assert caught.value.partial.group("p").probes == 16


def test_one_budget_is_for_all() -> None:
    wide = {"a": np.tile(DATA, (1, 3000))}
    options: dict[str, Any] = {"batch_size": 4, "keep_inactive": False, "engine": "reference"}
    whole = IUA.introspect(wide, groups=LABELS, memory="8 MB", **options)
    plan = whole.plan
    of_groups = {f"a of group {name!r}" for name in whole.groups}
    assert {*plan["layer"]} == {"a", *of_groups}
    assert plan["bytes"].sum() + plan["batch bytes"].sum() <= 8_000_000
    assert (plan["stops"] < 70).any()
    check_sums_up(whole)
    assert any("of group" in note for note in whole.notes)
    with pytest.raises(MemoryBudgetError, match="memory= allows 4 MB"):
        IUA.introspect(wide, groups=LABELS, memory="4 MB", **options)
    assert IUA.introspect(wide, memory="4 MB", **options).probes == 60


def test_labels_are_found_where_they_are_said_to_be() -> None:
    model = nn.Sequential(nn.ReLU())
    inputs, labels = torch.from_numpy(DATA), torch.from_numpy(LABELS)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(inputs, labels), 16)
    expected = IUA.introspect(model, loader, groups=1)
    assert expected.groups == ["1", "3", "10"]
    for name in expected.groups:
        check_alike(expected.group(name), IUA.introspect(model, inputs[labels == int(name)]))
    mappings = [{"input": x, "label": y} for x, y in loader]
    for of, data, groups in (
        (model, loader, lambda batch: batch[1].float()),
        (model, inputs, labels.tolist()),
        (model, inputs, pd.Series(LABELS)),
        (model, torch.utils.data.TensorDataset(inputs), labels),
        (model, mappings, "label"),
    ):
        found = IUA.introspect(of, data, groups=groups, batch_size=16)
        assert found.groups == expected.groups
        assert found.by_group("0").equals(expected.by_group("0"))
    of_field = IUA.introspect({"a": DATA, "label": LABELS}, groups="label")
    assert (of_field.layers, of_field.groups) == (["a"], expected.groups)


LOADER = [(torch.from_numpy(DATA[:8]), torch.arange(8))]


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (lambda batch: batch[1][:3], r"batch 0 has 3 labels, and the batch has 8 probes"),
        (lambda batch: batch[1].reshape(4, 2), r"one label a probe; got an array of shape \(4, 2"),
        (lambda batch: batch[1][:, None], r"\(8, 1\)\. Take its only column"),
        (lambda batch: batch[1] / 0 * 0, "nan for probe 0, which is no label"),
        (lambda _: [[0]] * 8, r"key of a dict.* got list \(\[0\]\) for probe 0.*\[:, 0\]"),
        (lambda _: [None] * 8, "None for probe 0, which is no label"),
        (lambda batch: batch["y"], "groups= raised TypeError on batch 0, which is tuple"),
        (lambda _: 3, r"one label a probe.*got int \(3\)"),
        (2, "groups=2 must be a place in the batch; batch 0 is tuple of 2"),
        ("label", "groups='label' must be a field of the batch; batch 0 is tuple"),
        ([0, 1, 2], "groups= has 3 labels, and there are 8 probes"),
        (np.zeros((8, 2)), r"groups= must be one label a probe; got an array of shape \(8, 2\)"),
        (1.5, "groups= must be one label a probe"),
    ],
)  # fmt: skip
def test_what_are_no_labels_is_refused(groups: Any, message: str) -> None:
    with pytest.raises(ProducerError, match=message):
        IUA.introspect(nn.ReLU(), LOADER, groups=groups)


def test_values_to_be_predicted_are_no_groups() -> None:
    with pytest.raises(ProducerError, match=r"1,500 different labels.*at most 1,000 groups.* MiB"):
        IUA.introspect({"a": np.eye(1500, 4)}, groups=np.arange(1500) / 7, batch_size=1500)


def test_lists_of_labels_are_for_what_comes_in_order() -> None:
    data = torch.utils.data.TensorDataset(torch.from_numpy(DATA))
    with pytest.raises(ProducerError, match="A loader or producer may shuffle"):
        IUA.introspect(nn.ReLU(), torch.utils.data.DataLoader(data, 8, shuffle=True), groups=LABELS)
    with pytest.raises(ProducerError, match="group_names= names what groups= tells apart"):
        IUA.introspect({"a": DATA}, group_names={3: "cat"})
    for names in ("cat", 3, {3: 4}):
        with pytest.raises(ProducerError, match="group_names must"):
            IUA.introspect({"a": DATA}, groups=LABELS, group_names=names)  # type: ignore[arg-type]


def test_groups_are_named_and_in_the_order_of_their_labels() -> None:
    data = {"a": np.eye(6)}
    mixed = IUA.introspect(data, groups=[True, "b", 1, "a", 10, ("en", 2)])
    assert mixed.groups == ["1", "True", "10", "('en', 2)", "a", "b"]
    apart = IUA.introspect(data, groups=[1, 1, True, True, 1, True], batch_size=2)
    for iua in (apart, IUA.from_bytes(apart.to_bytes()), IUA.merge(apart, apart)):
        assert iua.groups == ["1", "True"]
        assert iua.group(True).probes == iua.group(1).probes == iua.probes / 2
    assert mixed.group(("en", 2)).probes == mixed.group("b").probes == 1
    joined = IUA.introspect(data, groups=[0, 1, 2, 0, 1, 2], group_names=["x", "y", "x"])
    assert (joined.groups, joined.group(2).probes, joined.group("x").probes) == (["x", "y"], 4, 4)
    assert IUA.from_bytes(joined.to_bytes()).group(2).probes == 4
    with pytest.raises(GroupError, match=r"there is no group 'z': there are 'x', 'y'"):
        joined.group("z")
    with pytest.raises(GroupError, match="not told apart"):
        IUA.introspect(data).group("x")
    with pytest.raises(GroupError, match="not told apart"):
        IUA.introspect(data).by_group("a")
    assert IUA.introspect(data).groups == []


def test_what_is_dead_for_one_group_only_is_found() -> None:
    values = np.ones((30, 5), np.float32)
    labels = np.repeat([1, 2, 3], 10)
    values[labels == 3, 0] = 0  # dead on 3 only
    values[labels != 2, 1] = 0  # active on 2 only
    values[:, 2] = 0  # dead
    values[labels == 1, 3] = [0, 0, 0, 0, 0, 1, 1, 1, 1, 1]
    values[:, 4] = labels  # always active
    iua = IUA.introspect({"a": values}, groups=labels, group_names={3: "three"})
    table = iua.by_group("a")
    assert table.columns.tolist() == [
        "unit", "answers to", "selectivity", "dead groups", "dead only in", "active only in",
        "1", "2", "three",
    ]  # fmt: skip
    assert table["dead only in"].tolist() == ["three", "", "", "", ""]
    assert table["active only in"].tolist() == ["", "2", "", "", ""]
    assert table["dead groups"].tolist() == [1, 2, 3, 0, 0]
    assert table["answers to"].tolist() == ["1", "2", "", "2", "three"]
    assert table["three"].tolist() == [1, 1, 1, 0, 0]
    np.testing.assert_allclose(table["selectivity"], [1 / 3, 1, np.nan, 1 / 7, 0])
    by_mean = iua.by_group("a", by="mean |x|")
    np.testing.assert_allclose(by_mean[["1", "2", "three"]].loc[4], [1, 2, 3])
    np.testing.assert_allclose(by_mean["selectivity"][4], (3 - 1.5) / (3 + 1.5))
    assert by_mean["answers to"].tolist() == ["1", "2", "", "2", "three"]
    between = iua.by_group("a", atol=0.77)
    assert {"1", "1 upper"} <= {*between}
    with pytest.raises(ValueError, match="by must be 'inactive share' or"):
        iua.by_group("a", by="mean")
    with pytest.raises(LayerSelectionError):
        iua.by_group("b")


def test_a_table_has_all_groups_whatever_they_are_called() -> None:
    data = [{"a": np.array([[np.nan, 1.0]])}, {"a": np.array([[2.0, 0.0]])}]
    table = IUA.introspect(data, groups=["unit", "b"]).by_group("a")
    assert table.columns.tolist()[-2:] == ["b", "group unit"]
    assert table["answers to"].tolist() == ["b", "unit"]
    assert table["selectivity"].tolist()[1] == 1
    assert np.isnan(table["selectivity"][0])  # finite in one group only


class Late(nn.Module):
    """A second layer that only positive inputs reach; a third whose rows are no items later on."""

    def __init__(self, times: int = 1) -> None:
        super().__init__()
        self.times = times
        self.first, self.late, self.joined = nn.ReLU(), nn.ReLU(), nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        if bool((x > 0).all()):
            x = self.late(x)
            self.joined(torch.cat([x] * self.times))
        return self.joined(x)


def test_layers_and_groups_may_come_late_and_rows_that_are_no_probes_are_no_groups() -> None:
    loader = [
        (torch.tensor([[-1.0], [2.0]]), ["x", "y"]),
        (torch.tensor([[1.0], [2.0], [3.0]]), ["y", "y", "z"]),
    ]
    iua = IUA.introspect(Late(), loader, groups=1, calls="separate")
    assert iua.group("x").layers == ["first", "joined"]
    assert iua.group("z").layers == ["first", "late", "joined", "joined:1"]
    check_sums_up(iua)
    assert iua.by_group("late")["x"].isna().all()
    with pytest.warns(match="joined.*counted as a whole only, and not by group"):
        iua = IUA.introspect(Late(2), loader, groups=1, calls="separate")
    assert iua.group("z").layers == ["first", "late", "joined:1"]
    check_sums_up(iua, "joined")
    with pytest.raises(GroupError, match="'joined' is counted as a whole only"):
        iua.by_group("joined")
    back = IUA.from_bytes(iua.to_bytes())
    assert back.notes == iua.notes
    other = IUA.introspect(Late(), loader[:1], groups=1, calls="separate")
    assert other.group("x").layers == ["first", "joined"]
    check_sums_up(IUA.merge(other, back), "joined")


def exact(model: nn.Module) -> nn.Module:
    """The model with small whole numbers as weights: no sum depends on the order."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randint(-2, 3, parameter.shape))
    return model.double()


class Steps(nn.Module):
    """A cell in a loop over time steps."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.relu = nn.Linear(2, 2), nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for _ in range(3):
            x = self.relu(self.linear(x))
        return x


def test_calls_that_are_one_layer_are_counted_by_the_items_of_each() -> None:
    model, x, y = exact(Steps()), torch.randint(-5, 5, (9, 2)).double(), torch.arange(9) % 2
    loader = [(x[n : n + 4], y[n : n + 4]) for n in range(0, 9, 4)]
    iua = IUA.introspect(model, loader, groups=1, calls="merge")
    assert iua.results["relu"].probes == 27
    check_sums_up(iua)
    for label in range(2):
        alone = [x[y == label] for x, y in loader]
        check_alike(iua.group(label), IUA.introspect(model, alone, calls="merge"))


def test_a_network_for_images_is_counted_by_class() -> None:
    model, images = exact(TwoConvolutions()), TwoConvolutions.images(24).round().double()
    labels = torch.arange(24) % 4
    loader = [(images[n : n + 5], labels[n : n + 5]) for n in range(0, 24, 5)]
    for units in ("element", "channel"):
        options: dict[str, Any] = {"units": units, "layers": nn.ReLU}
        iua = IUA.introspect(model, loader, groups=1, max_probes=23, **options)
        check_sums_up(iua)
        for label in range(4):
            alone = IUA.introspect(model, images[:23][labels[:23] == label], **options)
            check_alike(iua.group(label), alone)
            assert iua.group(label).notes == iua.notes


def test_experts_are_not_counted_by_group() -> None:
    torch.manual_seed(0)
    texts = {"input_ids": torch.arange(40).reshape(4, 10)}
    with pytest.warns(match="not by group, since a row"):
        iua = IUA.introspect(tiny("mixtral"), texts, groups=[0, 1, 0, 1])
    routed = [name for name in iua.layers if iua[name].load is not None]
    assert routed
    check_sums_up(iua, *iua._run.not_by_group)
    assert {*routed} <= {*iua._run.not_by_group}


def test_a_widget_counts_by_group() -> None:
    w = IUAWidget({"a": DATA}, groups=LABELS, group_names={3: "cat"}, background=False)
    assert w.iua.groups == ["1", "cat", "10"]
    assert w.iua.group("cat").probes == (LABELS == 3).sum()
    w.restart()
    w.wait()
    assert w.iua.group("cat").probes == (LABELS == 3).sum()


def test_causes_and_top_probes_are_kept_by_group() -> None:
    model, x, y = exact(Steps()), torch.randint(-5, 5, (9, 2)).double(), torch.arange(9) % 2
    loader = [(x[n : n + 4], y[n : n + 4]) for n in range(0, 9, 4)]
    options: dict[str, Any] = {"calls": "merge", "causes": True, "top_probes": 2}
    iua = IUA.introspect(model, loader, groups=1, **options)
    for label in range(2):
        group = iua.group(label)
        alone = IUA.introspect(model, [x[y == label] for x, y in loader], **options)
        assert group.units("relu").equals(alone.units("relu"))
        top, of_alone = group.top_probes("relu"), alone.top_probes("relu")
        assert top["value"].tolist() == of_alone["value"].tolist()
        in_stream = np.flatnonzero(y.numpy() == label)  # indices are those of the whole stream
        assert top["probe"].tolist() == in_stream[of_alone["probe"]].tolist()
    merged = IUA.merge(iua, IUA.introspect(model, [(x + 50, y + 1)], groups=1, **options))
    assert {*merged.group(2).top_probes("relu")["probe"].dropna()} <= {*range(9, 18)}
    assert (
        IUA.from_bytes(merged.to_bytes())
        .group(1)
        .top_probes("relu")
        .equals(merged.group(1).top_probes("relu"))
    )
