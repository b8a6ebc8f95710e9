"""Batches of a Ray dataset, counted on workers that are killed, against one process."""

from __future__ import annotations

import json
import os
import runpy
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest
import ray
import ray.data
import torch
import torch.distributed as dist
from test_scripts import assert_counted_as_in_one_process, script_with
from torch import nn
from waiting import until

from iua_widget import (
    IUA,
    IUAMonitor,
    IUAWarning,
    IUAWidget,
    MemoryBudgetError,
    MergeError,
    ProducerError,
)
from iua_widget.iua import run_of
from iua_widget.options import SourceOptions
from iua_widget.scale import ray_source
from iua_widget.scale.ray_batch_counter import ROW, BatchCounter
from iua_widget.scale.ray_execution import _Rows
from iua_widget.scale.ray_source import RaySource


@pytest.fixture(scope="module", autouse=True)
def _ray() -> Iterator[None]:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        object_store_memory=2**27,
    )
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield
    ray.shutdown()


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 16), nn.ReLU())


def data(rows: int = 240) -> torch.Tensor:
    return torch.randn(rows, 8, generator=torch.Generator().manual_seed(1))


def dataset(rows: torch.Tensor, blocks: int = 12) -> Any:
    return ray.data.from_numpy(np.array_split(rows.numpy(), blocks))


def slowly() -> Callable[[nn.Module, Mapping[str, torch.Tensor]], torch.Tensor]:
    """A function without a module to be imported from, which workers could not."""

    def forward(model: nn.Module, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        time.sleep(0.1)
        return model(batch["data"])

    return forward


def assert_counts_of_one_process(iua: IUA, rows: torch.Tensor) -> None:
    alone = IUA.introspect(net(), rows, batch_size=8, engine="reference")
    assert iua.probes == alone.probes == len(rows)
    assert iua.layers == alone.layers
    for layer in iua.layers:
        tally, other = run_of(iua).tallies[layer], run_of(alone).tallies[layer]
        assert (tally.store.read_counts().counts == other.store.read_counts().counts).all()
        if run_of(iua).options.keep_inactive:
            assert iua[layer].inactive == alone[layer].inactive


def workers_of(w: IUAWidget) -> list[int]:
    source = w._runs.source
    assert isinstance(source, RaySource)
    return list(source._processes.values())


class Local:
    """Executes in this process what `Execution` has Ray execute."""

    def __init__(self, dataset: Any, parcel: Any, after: int, options: Mapping[str, Any]) -> None:
        self._counter = BatchCounter([parcel], after)
        batches = dataset.iter_batches(batch_size=options["batch_size"], batch_format="numpy")
        self._rows = self._results(batches)

    def _results(self, batches: Any) -> Iterator[Mapping[str, Any]]:
        start = 0
        for batch in batches:
            rows = len(next(iter(batch.values())))
            result = self._counter({**batch, ROW: np.arange(start, start + rows)})
            start += rows
            yield {**json.loads(str(result["facts"][0])), "tally": result["tally"][0]}
        yield {"end": True}

    def next(self, _seconds: float) -> Mapping[str, Any]:
        return next(self._rows)

    def end(self) -> None:
        self._rows.close()  # type: ignore[attr-defined]


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers are this process."""
    monkeypatch.setattr(ray_source, "Execution", Local)


@pytest.mark.slow
def test_a_worker_killed_and_a_driver_resumed_count_each_batch_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("waiting.PATIENCE", 200.0)  # processes have to start
    rows, path = data(480), tmp_path / "run.iua"
    options: dict[str, Any] = {"batch_size": 8, "forward": slowly(), "engine": "reference"}
    options |= {"ray_options": {"compute": ray.data.ActorPoolStrategy(size=2)}}
    w = IUAWidget(net(), dataset(rows), resume=path, save_every=1, **options)
    until(lambda: bool(workers_of(w)) or w.status != "running", "a batch")
    assert any("of Ray on 1 node." in note for note in w._frames.run_info()["notes"])
    assert workers()
    os.kill(workers_of(w)[0], signal.SIGKILL)
    before = w.iua.probes
    until(lambda: w.iua.probes > before or w.status != "running", "batches after it")
    w.pause()
    assert w.status == "paused"
    assert before < w.iua.probes < len(rows)
    until(lambda: not workers(), "the end of the workers")
    w.stop()
    resumed = IUA.introspect(net(), dataset(rows), resume=path, **options)
    assert_counts_of_one_process(resumed, rows)
    until(lambda: not workers(), "the end of the workers")


def workers() -> list[str]:
    """What Ray's workers that count are called."""
    names = []
    for process in psutil.process_iter(["cmdline"]):
        name = " ".join(process.info["cmdline"] or ())
        names += [name] if "MapWorker" in name and process.status() != "zombie" else []
    return names


@pytest.mark.slow
def test_the_script_of_the_page_counts_what_one_process_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = script_with("ray.data.from_numpy", tmp_path)
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(script), run_name="__main__")
    assert_counted_as_in_one_process(tmp_path / "run.iua")


@pytest.mark.usefixtures("here")
def test_the_error_is_the_users_and_what_was_counted_is_kept() -> None:
    def forward(model: nn.Module, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        if batch["data"].sum() > 1000:
            message = "too bright"
            raise RuntimeError(message)
        return model(batch["data"])

    rows = data(32)
    rows[20] = 1000
    with pytest.raises(
        ProducerError, match=r"^Sequential raised RuntimeError in batch 2: too br"
    ) as caught:
        IUA.introspect(net(), dataset(rows), batch_size=8, forward=forward, engine="reference")
    assert "in forward" in caught.value.__notes__[0]
    assert caught.value.batch == 2
    assert_counts_of_one_process(caught.value.partial, rows[:16])


@pytest.mark.usefixtures("here")
def test_an_interrupt_ends_the_workers_and_the_file_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[bool] = []
    end = Local.end
    monkeypatch.setattr(Local, "end", lambda execution: ended.append(True) or end(execution))
    rows, path, seen = data(32), tmp_path / "run.iua", []

    def forward(model: nn.Module, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        seen.append(len(batch["data"]))
        if len(seen) == 3:
            signal.raise_signal(signal.SIGINT)
        return model(batch["data"])

    options: dict[str, Any] = {"batch_size": 8, "engine": "reference", "resume": path}
    with pytest.raises(KeyboardInterrupt) as caught:
        IUA.introspect(net(), dataset(rows), forward=forward, **options)
    assert ended == [True]
    assert caught.value.partial.probes == IUA.load(path).probes == 16  # type: ignore[attr-defined]
    assert_counts_of_one_process(IUA.introspect(net(), dataset(rows), **options), rows)


@pytest.mark.usefixtures("here")
def test_what_is_too_large_for_a_row_is_refused_with_the_arithmetic(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("iua_widget.scale.ray_batch_counter.MOST_BYTES", 100_000)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU())
    images = ray.data.from_numpy(np.zeros((40, 1, 32, 32), np.float32))
    words = (
        "a row, which here would take .*, 10 times .* in all.*"
        "'1', 3,600 units at 71 stops: .*units='channel'"
    )
    with pytest.raises(MemoryBudgetError, match=words):
        IUA.introspect(model, images, batch_size=4, engine="reference")
    by_channel = IUA.introspect(model, images, batch_size=4, units="channel", engine="reference")
    assert by_channel.probes == 40


@pytest.mark.usefixtures("here")
def test_a_worker_of_other_weights_is_told_by_the_fingerprint(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(RaySource, "weights", "0badf00d")
    with pytest.raises(MergeError, match="0badf00d here"):
        IUA.introspect(net(), dataset(data(8)), engine="reference")


@pytest.mark.usefixtures("here")
def test_columns_go_in_by_name_and_masks_are_those_of_other_loaders() -> None:
    class Text(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding, self.relu = nn.Embedding(20, 6), nn.ReLU()

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            return self.relu(self.embedding(input_ids)) * attention_mask[..., None]

    torch.manual_seed(0)
    model = Text()
    ids = torch.randint(20, (10, 5))
    mask = (torch.arange(5) < torch.randint(1, 6, (10, 1))).long()
    columns = {"input_ids": ids.numpy(), "attention_mask": mask.numpy(), "label": np.arange(10)}
    table = ray.data.from_items([{k: v[i] for k, v in columns.items()} for i in range(10)])
    of_ray = IUA.introspect(model, table, batch_size=4, engine="reference")
    alone = IUA.introspect(
        model, {"input_ids": ids, "attention_mask": mask}, batch_size=4, engine="reference"
    )
    assert of_ray["relu"].probes == alone["relu"].probes == int(mask.sum())
    assert of_ray.units("relu")["inactive count"].equals(alone.units("relu")["inactive count"])


@pytest.mark.usefixtures("here")
def test_top_probes_and_causes_are_those_of_one_process(tmp_path: Path) -> None:
    rows, path = data(60), tmp_path / "run.iua"
    options: dict[str, Any] = {"engine": "reference", "batch_size": 8}
    options |= {"top_probes": 3, "causes": True}
    IUA.introspect(net(), dataset(rows), max_probes=28, resume=path, **options)
    of_ray = IUA.introspect(net(), dataset(rows), resume=path, **options)
    alone = IUA.introspect(net(), rows, **options)
    assert run_of(of_ray).inputs_passed == run_of(alone).inputs_passed == 60
    for layer in alone.layers:
        assert of_ray.top_probes(layer)[["unit", "rank", "probe"]].equals(
            alone.top_probes(layer)[["unit", "rank", "probe"]]
        )
        pd.testing.assert_frame_equal(of_ray.units(layer), alone.units(layer), rtol=1e-5)
    assert "max pre-activation" in of_ray.units("1")
    assert of_ray.notes == alone.notes


@pytest.fixture
def _one_rank() -> Iterator[None]:
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("_one_rank")
@pytest.mark.parametrize("counted", [IUA.introspect, IUAWidget, IUAMonitor])
def test_ranks_and_workers_are_not_had_together(counted: Callable[..., object]) -> None:
    with pytest.raises(ProducerError, match=r"leave distributed= out and count in one process"):
        counted(net(), dataset(data(8)), distributed=True)


def test_what_ray_does_not_take_is_told_by_the_next_row() -> None:
    parcel = ray.put(b"")
    rows = _Rows(dataset(data(8)), [parcel], -1, {"batch_size": 0})
    assert "Batch size" in rows.next()["failure"]["message"]


@pytest.mark.usefixtures("here")
def test_another_stream_is_not_gone_on_with(tmp_path: Path) -> None:
    rows, path = data(32), tmp_path / "run.iua"
    IUA.introspect(net(), dataset(rows), max_probes=16, resume=path, engine="reference")
    with pytest.raises(ProducerError, match="16 rows had been counted before, and now"):
        IUA.introspect(net(), dataset(rows + 1), resume=path, engine="reference")
    resumed = IUA.introspect(net(), dataset(rows), resume=path, engine="reference")
    assert_counts_of_one_process(resumed, rows)
    IUA.introspect(net(), rows[:8], resume=tmp_path / "other.iua", engine="reference")
    with pytest.raises(ProducerError, match="another sort of loader"):
        IUA.introspect(net(), dataset(rows), resume=tmp_path / "other.iua", engine="reference")


@pytest.mark.usefixtures("here")
def test_where_something_is_not_finite_is_told() -> None:
    rows = data(32)
    rows[20, 3] = torch.nan
    with pytest.warns(IUAWarning, match="first in batch 2"):
        IUA.introspect(net(), dataset(rows), batch_size=8, engine="reference")


@pytest.mark.usefixtures("here")
def test_a_run_that_was_paused_goes_on_with_what_it_has_not_counted() -> None:
    rows = data(160)
    options: dict[str, Any] = {"forward": slowly(), "engine": "reference", "batch_size": 8}
    w = IUAWidget(net(), dataset(rows), **options)
    until(lambda: w.iua.probes > 8 or w.status != "running", "batches")
    w.pause()
    source = w._runs.source
    assert isinstance(source, RaySource)
    assert source._execution is None
    assert 8 < w.iua.probes < len(rows)
    w.resume()
    assert w.wait()
    assert w.status == "done", w.error
    assert_counts_of_one_process(w.iua, rows)


def test_a_worker_that_was_lost_is_told() -> None:
    source = RaySource(net(), dataset(data(8)), SourceOptions())
    for actor, process in (("a", 1), ("b", 2), ("a", 1)):
        source._note_worker({"actor": actor, "process": process, "node": "n"})
    assert (source.workers, source.notes) == ("Counted by 2 workers of Ray on 1 node.", [])
    source._note_worker({"actor": "a", "process": 3, "node": "m"})
    assert source.workers == "Counted by 2 workers of Ray on 2 nodes."
    assert [note[:32] for note in source.notes] == ["A worker of Ray was lost once. T"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fn_constructor_kwargs": {}}, "'fn_constructor_kwargs', which iua_widget sets itself"),
        ({"num_gpu": 1}, r"'num_gpu', which neither .* Did you mean 'num_gpus'"),
        (["num_gpus"], "must be a mapping"),
    ],
    ids=["ours", "unknown", "list"],
)
def test_options_that_are_not_rays_are_refused(options: Any, words: str) -> None:
    with pytest.raises(ProducerError, match=words):
        IUA.introspect(net(), dataset(data(8)), ray_options=options)


@pytest.mark.usefixtures("here")
def test_options_go_with_a_dataset_and_recounts_without_one() -> None:
    with pytest.raises(ProducerError, match="`ray_options` goes with a model and a ray"):
        IUA.introspect(net(), data(8), ray_options={"num_cpus": 1})
    w = IUAWidget(net(), dataset(data(8)), engine="reference", background=False)
    assert w.status == "done", w.error
    with pytest.raises(ProducerError, match="not recounted"):
        w.recount()
