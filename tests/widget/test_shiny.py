"""In Shiny the widget counts live: the page is told as the run goes on, and when it has ended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import iua_widget

pytestmark = pytest.mark.slow


def test_the_page_is_told_as_the_run_goes_on_and_when_it_has_ended() -> None:
    app = Path(__file__).with_name("shiny_app.py")
    package = Path(iua_widget.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, app],
        env=os.environ | {"PYTHONPATH": str(package)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["status"] == "done"
    assert said["told"][0] == 0
    assert said["told"] == sorted(said["told"])
    assert said["told"][-1] == 30
    assert len(set(said["told"])) > 4, f"the page was hardly ever told: {said['told']}"
