"""The command as it is started from a shell: what it loads, prints and ends with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from importlib import import_module
from pathlib import Path

import click

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "iua_widget"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def started(
    *args: str, folder: Path, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *args],
        cwd=folder,
        env=ENVIRONMENT | (env or {}),
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_script_is_the_group_of_commands() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    module, _, name = project["scripts"]["iua-widget"].partition(":")
    assert isinstance(getattr(import_module(module), name), click.Group)


def test_help_loads_nothing_heavy() -> None:
    script = (
        "import sys\nfrom iua_widget.cli.main import main\nmain(['run', '--help'], "
        "standalone_mode=False)\nprint(*sys.modules, sep='\\n')"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    loaded = set(run.stdout.split())
    assert "click" in loaded
    assert not {"torch", "numba", "numpy", "pandas", "altair", "anywidget", "tqdm"} & loaded


def test_a_producer_in_a_file_to_a_pipe(tmp_path: Path) -> None:
    (tmp_path / "data.py").write_text(
        "import numpy as np\nprint('loading')\nresponses = {'relu': np.eye(4)}\n", encoding="utf-8"
    )
    options = ["--engine", "reference", "--json", "--fail-if", "inactive-share>=75%"]
    run = started("run", "data:responses", *options, folder=tmp_path)
    assert run.returncode == 3
    assert json.loads(run.stdout)["probes"] == 4
    assert run.stderr == ("loading\nAlarm: inactive-share>=75%: 'relu' (inactive share 75.0 %)\n")


def test_an_error_has_no_traceback(tmp_path: Path) -> None:
    run = started("show", "run.iua", folder=tmp_path)
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr.startswith("Error: 'run.iua' is not there")
    assert len(run.stderr.splitlines()) == 1


def test_a_shell_completes(tmp_path: Path) -> None:
    def completed(*words: str) -> list[str]:
        env = {
            "_IUA_WIDGET_COMPLETE": "bash_complete",
            "COMP_WORDS": " ".join(["iua-widget", *words]),
            "COMP_CWORD": str(len(words)),
        }
        return started(folder=tmp_path, env=env).stdout.split()

    assert completed("wo") == ["plain,worst"]
    assert completed("show", "x.iua", "--sort", "dead-c") == ["plain,dead-channels"]
    assert completed("run", "m:a", "--units", "conv*=cha") == ["plain,conv*=channel"]


SLOW = """
import time
import numpy as np

def batches():
    yield {"relu": np.zeros((3, 2))}
    open("counted", "w").close()
    time.sleep(600)

responses = batches()
"""


def test_ctrl_c_keeps_what_was_counted(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW, encoding="utf-8")
    options = ["--engine", "reference", "--save", "part.iua"]
    with subprocess.Popen(
        [*COMMAND, "run", "slow:responses", *options],
        cwd=tmp_path,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    ) as run:
        while not (tmp_path / "counted").exists() and run.poll() is None:
            time.sleep(0.05)
        run.send_signal(signal.SIGINT)
        out, told = run.communicate(timeout=60)
    assert (run.returncode, out) == (130, "")
    assert told == "Wrote part.iua, with the 3 probes counted\nInterrupted.\n"
