"""The scripts of the page on several processes run as they are there, and count what one does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from iua_widget import IUA

PAGE = Path(__file__).parents[2] / "docs/scale.md"


def script_with(words: str, folder: Path) -> Path:
    """The page's block of Python in which these words are, as a file."""
    text = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    (block,) = (block for block in blocks if words in block)
    path = folder / "script.py"
    path.write_text(block, encoding="utf-8")
    return path


def in_one_process() -> IUA:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 64), nn.ReLU())
    return IUA.introspect(model, torch.randn(400, 8))


def assert_counted_as_in_one_process(path: Path) -> None:
    iua, alone = IUA.load(path), in_one_process()
    assert iua.probes == alone.probes == 400
    columns = ["unit", "inactive count", "dead"]
    for atol in (1e-8, 0.05):
        assert iua.units("1", atol=atol)[columns].equals(alone.units("1", atol=atol)[columns])


@pytest.mark.slow
def test_processes_of_concurrent_futures_count_what_one_does(tmp_path: Path) -> None:
    script = script_with("ProcessPoolExecutor", tmp_path)
    subprocess.run([sys.executable, script], cwd=tmp_path, check=True, timeout=120)
    assert_counted_as_in_one_process(tmp_path / "run.iua")


@pytest.mark.slow
def test_two_ranks_of_torchrun_count_what_one_process_does(tmp_path: Path) -> None:
    script = script_with("init_process_group", tmp_path)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    subprocess.run([*torchrun, "--nproc-per-node=2", script], cwd=tmp_path, check=True, timeout=120)
    assert_counted_as_in_one_process(tmp_path / "run.iua")
