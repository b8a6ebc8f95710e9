"""``iua-widget show`` of a history of training: looks, figures, rules, errors."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from command_line import called

from iua_widget import IUAMonitor

SCHEMA = json.loads(
    (Path(__file__).parents[2] / "docs" / "command-line.schema.json").read_text(encoding="utf-8")
)


def document(*args: str | Path, code: int = 0) -> dict[str, Any]:
    result = called("show", *map(str, args), "--json")
    assert result.exit_code == code, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    jsonschema.validate(found, SCHEMA)
    return found


def test_it_has_the_figures_of_the_library_at_any_tolerance(history: Path) -> None:
    monitor = IUAMonitor.load(history)
    for at in ({}, {"atol": 0.5}, {"atol": 150.0, "tau": 0.5}):
        options = [word for name, value in at.items() for word in (f"--{name}", str(value))]
        found = document(history, *options)
        table = monitor.history(**at)
        for column in ("step", "response", "dead units", "mean inactive"):
            assert [row[column] for row in found["looks"]] == table[column].tolist()
        newly = table["newly dead"].astype(object).where(table["newly dead"].notna(), None)
        assert [row["newly dead"] for row in found["looks"]] == newly.tolist()
    assert found["steps"] == [0, 100, 200, 300, 400]


def test_a_table_to_read(history: Path) -> None:
    text = called("show", str(history), "--layers", "1").stdout
    assert text.startswith("step  response  mean inactive")
    assert re.search(r"^ 300  1 .* 4 +50.0 % +2 +2 +2 ", text, re.MULTILINE)
    assert text.endswith(
        "5 looks at steps 0 to 400; 2 of 8 units dead (25.0 %) at the newest, at rtol=0, atol=0, "
        "scale='layer_mean'\n"
    )
    assert len(called("show", str(history), "--table", "csv").stdout.splitlines()) == 11


def test_rows_are_chosen_filtered_and_sorted(history: Path) -> None:
    def steps(*options: str) -> list[int]:
        return [row["step"] for row in document(history, *options)["looks"]]

    assert steps("--step", "300") == [300, 300]
    assert steps("--layers", "1", "--filter", "newly-dead>0") == [100, 200, 300]
    assert steps("--filter", "revived>0") == [300, 400]
    assert steps("--layers", "1", "--sort", "dead-units") == [200, 300, 400, 100, 0]


def test_a_rule_is_checked_at_each_look(history: Path) -> None:
    found = document(history, "--fail-if", "dead-share>=50%", "--fail-if", "revived>0", code=3)
    assert [(alarm["rule"], alarm["step"]) for alarm in found["alarms"]] == [
        ("dead-share>=50%", 200),
        ("revived>0", 300),
    ]
    assert [event["step"] for event in found["events"]] == [200]
    result = called("show", str(history), "--fail-if", "dead-units>3")
    assert result.exit_code == 3
    assert "Alarm at step 200: dead-units>3: '1' (dead units 4)\n" in result.stderr
    assert called("show", str(history), "--fail-if", "dead-units>4").exit_code == 0


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        (["--step", "150"], 1, "there is no look at step 150. Those next to it are at"),
        (["--layers", "relu"], 1, "no layer is named 'relu'"),
        (["--scale", "unit_rms", "--rtol", "0.1"], 1, "unit_rms"),
        (["--dead-at", "0.5"], 1, "dead_at=1 only"),
        (["--fail-if", "units: dead=1"], 2, "a history has no figures of single units"),
        (["--fail-if", "dead-units>0 encodr"], 2, "names no layer"),
        (["--fail-if", "load>1"], 2, "compares 'load'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_error_is_a_sentence(history: Path, options: list[str], code: int, told: str) -> None:
    result = called("show", str(history), *options)
    assert result.exit_code == code, result.output
    assert re.search(told, result.stderr.replace("\n", " "))


def test_it_is_written_as_a_page(history: Path) -> None:
    page = history.with_suffix(".html")
    assert called("html", str(history), "--step", "200", "--title", "Dying").stderr == (
        f"Wrote {page}\n"
    )
    text = page.read_text(encoding="utf-8")
    assert "<title>Dying</title>" in text
    state = json.loads(text.split('id="payload">')[1].split("</script>")[0])["state"]
    assert (state["look"], state["atol"]) == (200, 0.0)
    result = called("html", str(history), "--step", "150")
    assert result.exit_code == 1
    assert "there is no look at step 150" in result.stderr


def test_files_of_the_other_sort_are_told_of(history: Path, saved: Path) -> None:
    result = called("worst", str(history))
    assert result.exit_code == 1
    assert "a run is expected (.iua). `iua-widget show" in result.stderr
    result = called("compare", str(saved / "before.iua"), str(history))
    assert result.exit_code == 1
    assert "training.iuah' is a history" in result.stderr
    result = called("show", str(history.with_name("trainin.iuah")))
    assert "Did you mean 'training.iuah'?" in result.stderr
    result = called("show", str(saved / "before.iua"), "--step", "3")
    assert result.exit_code == 2
    assert "--step is for histories" in result.stderr
