"""The notebooks and the demonstration do what they say."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(NOTEBOOKS, tmp_path / "notebooks"))


def test_the_quickstart_runs_from_top_to_bottom(folder: Path) -> None:
    book = nbformat.read(folder / "quickstart.ipynb", as_version=4)
    NotebookClient(book, timeout=240, resources={"metadata": {"path": str(folder)}}).execute()
    outputs = {
        index: output for index, cell in enumerate(book.cells) for output in cell.get("outputs", [])
    }
    mimes = {mime for output in outputs.values() for mime in output.get("data", {})}
    assert "application/vnd.jupyter.widget-view+json" in mimes
    assert "image/svg+xml" in mimes
    assert not [output for output in outputs.values() if output.output_type == "error"]
    assert "('done', 'relu2', 0.001)" in str(outputs)
    assert (folder / "digits.html").stat().st_size > 100_000


def test_plain_numpy_feeds_the_widget(folder: Path) -> None:
    book = nbformat.read(folder / "any_framework.ipynb", as_version=4)
    NotebookClient(book, timeout=240, resources={"metadata": {"path": str(folder)}}).execute()
    outputs = str([cell.get("outputs", []) for cell in book.cells])
    assert "application/vnd.jupyter.widget-view+json" in outputs
    assert "20 dead units, by hand 20" in outputs


@pytest.mark.parametrize("name", ["quickstart", "any_framework"])
def test_a_committed_notebook_holds_no_output_that_could_go_stale(name: str) -> None:
    book = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    assert all(not cell.get("outputs") for cell in book.cells)


def test_the_demonstration_finds_the_units_that_the_learning_rate_killed(folder: Path) -> None:
    run = subprocess.run(
        [sys.executable, "demo.py"], cwd=folder, capture_output=True, text=True, check=True
    )
    assert "1797/1797" in run.stderr, "no progress bar"
    assert "response  mean inactive  std inactive" in run.stdout
    healthy, dying = (
        sum(int(row[1]) for row in re.findall(r"relu\d .* (\d+) +(\d+)\n", table))
        for table in run.stdout.split("dying: ")
    )
    assert dying > 3 * healthy > 0
    page = (folder / "demo.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "dying.relu2" in page
