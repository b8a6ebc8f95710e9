"""What the documentation tells people to type is a command line."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from iua_widget.cli import failures
from iua_widget.cli.main import main

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
LINES = re.findall(r"^iua-widget .*$", PAGE, re.MULTILINE)


def test_every_command_is_told_of() -> None:
    table = re.findall(r"^\| `(\w+) ", PAGE, re.MULTILINE)
    assert {*table} >= set(main.commands)
    assert {line.split()[1] for line in LINES} == set(main.commands)


@pytest.mark.parametrize("line", LINES)
def test_an_example_is_understood(line: str) -> None:
    words = shlex.split(line, comments=True)
    end = next((place for place, word in enumerate(words) if word in {"|", ">", ">>"}), None)
    name, *arguments = words[1:end]
    with main.commands[name].make_context(name, arguments, parent=click.Context(main)):
        pass


def test_every_exit_code_is_told_of() -> None:
    told = {int(code) for code in re.findall(r"^\| (\d+) \| ", PAGE, re.MULTILINE)}
    assert told == {
        0,
        failures.FAILED,
        failures.MISUSED,
        failures.ALARMED,
        failures.INTERRUPTED,
    }
    assert {int(code) for code in re.findall(r"(\d+) ", main.epilog or "")} == told
