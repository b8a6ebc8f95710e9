"""Runs know the weights they were counted with: merging and going on tell others apart."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from iua_widget import IUA, FileError, IUAWarning, IUAWidget, ProducerError
from iua_widget.capture.fingerprint import fingerprint
from iua_widget.files.container import write_container

DATA = torch.randn(8, 4)


def net(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3), nn.ReLU())


def test_equal_weights_have_equal_fingerprints_however_they_lie() -> None:
    model = net()
    expected = fingerprint(model)
    assert expected is not None
    assert fingerprint(copy.deepcopy(model)) == expected
    assert fingerprint(nn.Sequential(model)) == expected  # whatever modules are called
    assert fingerprint(model.eval()) == expected
    convolution = nn.Conv2d(3, 4, 2)
    before = fingerprint(convolution)
    assert fingerprint(convolution.to(memory_format=torch.channels_last)) == before
    others = [net(1), net().double(), net()[:2], nn.Sequential(nn.Linear(6, 4))]
    with torch.no_grad():
        others.append(net())
        others[-1][2].weight[2, 5] += 1e-6
    assert len({expected, *map(fingerprint, others)}) == len(others) + 1


def test_large_parameters_enter_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iua_widget.capture.fingerprint._CHUNK", 7)
    monkeypatch.setattr("iua_widget.capture.fingerprint._WHOLE", 100)
    monkeypatch.setattr("iua_widget.capture.fingerprint._BLOCKS", 10)
    monkeypatch.setattr("iua_widget.capture.fingerprint._OF_A_BLOCK", 5)
    model = nn.Linear(20, 20, bias=False)
    before = fingerprint(model)
    with torch.no_grad():
        model.weight += 1
    assert fingerprint(model) != before
    monkeypatch.setattr("iua_widget.capture.fingerprint._WHOLE", 400)
    in_pieces = fingerprint(model)
    monkeypatch.setattr("iua_widget.capture.fingerprint._CHUNK", 400)
    assert fingerprint(model) == in_pieces


def test_there_is_no_fingerprint_where_weights_have_no_values() -> None:
    assert fingerprint(nn.ReLU()) is None
    assert fingerprint(nn.Linear(2, 2, device="meta")) is None
    assert fingerprint(nn.LazyLinear(2)) is None
    assert IUA.introspect({"a": np.eye(3)}).weights == ()


def test_merging_runs_of_other_weights_warns_and_notes_it(tmp_path: Path) -> None:
    runs = [IUA.introspect(model, DATA) for model in (net(), net(), net(1))]
    assert runs[0].weights == runs[1].weights != runs[2].weights
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        same = IUA.merge(runs[0], IUA.load(runs[1].save(tmp_path / "same.iua")))
        assert same.notes == []
    loaded = IUA.load(runs[2].save(tmp_path / "other.iua"))
    with pytest.warns(IUAWarning, match="weights were not the same"):
        mixed = IUA.merge(same, loaded)
    assert "weights were not the same" in mixed.notes[0]
    assert IUA.load(mixed.save(tmp_path / "mixed.iua")).notes == mixed.notes


def test_files_without_fingerprints_are_read_and_merge_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_as_before(path: Path, version: int, facts: dict[str, Any], arrays: Any) -> None:
        assert len(facts.pop("weights")) == 1
        write_container(path, version, facts, arrays)

    monkeypatch.setattr("iua_widget.files.run_file.write_container", write_as_before)
    loaded = IUA.load(IUA.introspect(net(), DATA).save(tmp_path / "old.iua"))
    assert loaded.weights == ()
    assert IUA.merge(loaded, IUA.introspect(net(1), DATA)).probes == 16


def test_a_run_goes_on_with_the_same_weights_only(tmp_path: Path) -> None:
    batches = [torch.randn(4, 4) for _ in range(4)]

    def breaking_off() -> Iterator[torch.Tensor]:
        yield from batches[:2]
        raise OSError("the disk is gone")

    with pytest.raises(ProducerError, match="the disk is gone"):
        IUA.introspect(net(), breaking_off(), resume=tmp_path / "run.iua")
    before = (tmp_path / "run.iua").read_bytes()
    with pytest.raises(FileError, match="the model had other weights"):
        IUA.introspect(net(1), batches, resume=tmp_path / "run.iua")
    assert (tmp_path / "run.iua").read_bytes() == before
    assert IUA.introspect(net(), batches, resume=tmp_path / "run.iua").probes == 16


def test_restarting_with_other_weights_is_one_run_of_these() -> None:
    model = net()
    widget = IUAWidget(model, DATA, background=False)
    first = widget.iua.weights
    with torch.no_grad():
        model[0].weight += 1
    widget.restart()
    assert widget.wait(30)
    assert len(widget.iua.weights) == 1
    assert widget.iua.weights != first
    assert widget.iua.notes == []


def test_a_recount_of_other_weights_is_refused_though_no_count_speaks_against_it() -> None:
    model = net()
    iua = IUA.introspect(model, DATA)
    with torch.no_grad():
        model[0].weight[0, 0] += 1e-6
    with pytest.raises(ProducerError, match="other weights than when it was counted first"):
        iua.recount(model, DATA, atol=0.123)
    with torch.no_grad():
        model.load_state_dict(net().state_dict())
    assert iua.recount(model, DATA, atol=0.123).exact
