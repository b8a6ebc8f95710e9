"""Training beside a run: no crash, no error, no other mode, and bit for bit the same weights."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import iua_widget

pytestmark = pytest.mark.slow


ROUNDS = 10  # of two trainings each


def test_training_in_the_cell_is_as_if_the_widget_were_not_there() -> None:
    program = Path(__file__).with_name("training_beside.py")
    package = Path(iua_widget.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, program, str(ROUNDS)],
        env=os.environ | {"PYTHONPATH": str(package), "OMP_WAIT_POLICY": "passive"},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    lines = done.stdout.splitlines()
    assert len(lines) == 2 * ROUNDS
    assert all(line.endswith("True") for line in lines), done.stdout
