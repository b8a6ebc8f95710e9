"""Commands that read saved files: figures, forms, order, rules, errors."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner
from command_line import called

from iua_widget import IUA, PRESETS
from iua_widget.cli.main import main

pytestmark = pytest.mark.usefixtures("runs")
SCHEMA = json.loads(
    (Path(__file__).parents[2] / "docs" / "command-line.schema.json").read_text(encoding="utf-8")
)


def document(*args: str, code: int = 0) -> dict[str, Any]:
    """What is printed with ``--json``, which is as the schema says."""
    result = called(*args, "--json")
    assert result.exit_code == code, result.output
    found = json.loads(result.stdout)
    jsonschema.validate(found, SCHEMA)
    return found


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_show_has_the_figures_of_the_library(runs: Path) -> None:
    iua = IUA.load(runs / "before.iua")
    found = document("show", "before.iua", "--atol", "0.5", "--dead-at", "0.8")
    table = iua.at(atol=0.5, dead_at=0.8).to_pandas()
    for row, (_, expected) in zip(found["layers"], table.iterrows(), strict=True):
        assert list(row) == [name.replace("dormant (tau 0.025)", "dormant") for name in table]
        assert list(row.values()) == [
            list(value) if isinstance(value, tuple) else value
            for value in expected.astype(object).where(expected.notna(), None)
        ]
    assert found["tolerances"] == {
        "rtol": 1e-05, "atol": 0.5, "scale": "zero", "dead_at": 0.8, "tau": 0.025
    }  # fmt: skip
    assert (found["probes"], found["exact"], found["files"]) == (5, True, {})


def test_a_preset_is_meant_by_its_name_and_single_tolerances_win() -> None:
    found = document("show", "before.iua", "--preset", "near zero", "--rtol", "0.5")
    assert found["tolerances"]["atol"] == PRESETS["near zero"].atol
    assert found["tolerances"]["rtol"] == 0.5


def test_a_table_to_read() -> None:
    text = called("show", "before.iua").stdout
    assert re.search(r"^conv +16 +33.3 % +48 +16 +33.3 % +1  array +1$", text, re.MULTILINE)
    assert text.endswith(
        "\n\n2 layers, 56 units, 17 dead (30.4 %); 5 probes at rtol=1e-05, atol=1e-08, "
        "scale='zero'\n"
    )
    between = called("show", "before.iua", "--atol", "0.7777").stdout
    assert re.search(r"^conv +[\d.]+-[\d.]+ ", between, re.MULTILINE)


def test_other_forms_of_the_table(runs: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(called("show", "before.iua", "--table", "csv").stdout)))
    assert [row["dead units"] for row in rows] == ["16", "1"]
    assert set(rows[0]) == set(IUA.load(runs / "before.iua").to_pandas())
    alone = json.loads(called("show", "before.iua", "--table", "json").stdout)
    assert alone == document("show", "before.iua")["layers"]
    head, rule, conv, _, _, summary = called(
        "show", "before.iua", "--table", "md"
    ).stdout.splitlines()
    assert head.startswith("| response | mean inactive |")
    assert rule.startswith("| :-- | --: |")
    assert conv.startswith("| conv | 16 | 33.3 % |")
    assert summary.startswith("2 layers")
    both = called("show", "before.iua", "--table", "md", "--json")
    assert both.exit_code == 2
    assert "--table md the table alone: give one of them" in both.stderr


def layers(*args: str) -> list[str]:
    return [row["response"] for row in document("show", "before.iua", *args)["layers"]]


def test_rows_are_filtered_sorted_and_chosen() -> None:
    assert layers() == ["conv", "head.relu"]
    assert layers("--filter", "dead-units<5") == ["head.relu"]
    assert layers("--filter", "HEAD dead-share>1%") == ["head.relu"]
    assert layers("--sort", "dead-units") == ["conv", "head.relu"]
    assert layers("--sort", "dead_units", "--ascending") == ["head.relu", "conv"]
    assert layers("--sort", "response") == ["conv", "head.relu"]
    assert layers("--sort", "share-over-tolerance", "--ascending") == ["conv", "head.relu"]
    assert layers("--layers", "*.relu") == ["head.relu"]
    assert layers("--layers", "*.relu", "--layers", "conv") == ["conv", "head.relu"]


def test_a_rule_that_is_true_has_an_exit_code_of_its_own() -> None:
    found = document("show", "before.iua", "--fail-if", "dead-share>=30% kind:array", code=3)
    assert found["alarms"] == [
        {
            "rule": "dead-share>=30% kind:array",
            "level": "layer",
            "layers": [{"layer": "conv", "figures": {"dead share": 1 / 3}, "units": []}],
        }
    ]
    several = ["--fail-if", "dead-units>100", "--fail-if", "units: dead=1 head"]
    found = document("show", "before.iua", *several, "--filter", "conv", code=3)
    assert found["alarms"] == [
        {
            "rule": "units: dead=1 head",
            "level": "unit",
            "layers": [{"layer": "head.relu", "figures": {"units": 1}, "units": [0]}],
        }
    ]
    result = called("show", "before.iua", *several, "-q")
    assert result.exit_code == 3
    assert result.stderr == "Alarm: units: dead=1 head: 1 unit of 'head.relu' (0)\n"
    assert called("show", "before.iua", "--fail-if", "dead-units>100").exit_code == 0


def test_a_rule_that_can_be_true_of_nothing_is_an_error() -> None:
    result = called("show", "before.iua", "--fail-if", "dead-units>0 encodr")
    assert result.exit_code == 2
    assert "names no layer" in result.stderr
    assert "'conv', 'head.relu'" in result.stderr
    result = called("show", "before.iua", "--fail-if", "newly-dead>0")
    assert result.exit_code == 2
    assert "compares 'newly dead', which no layer that it names has" in result.stderr


def test_compare_says_what_died_and_what_revived() -> None:
    found = document("compare", "before.iua", "after.iua")
    assert [
        (row["newly dead"], row["revived"], row["dead in both"]) for row in found["layers"]
    ] == [
        (0, 0, 16),
        (3, 1, 0),
    ]
    assert found["before"]["file"] == "before.iua"
    text = called("compare", "before.iua", "after.iua", "--filter", "revived>0").stdout
    assert "head.relu" in text
    assert "\nconv " not in text
    assert "3 newly dead, 1 revived, 16 dead in both at " in text
    found = document(
        "compare", "before.iua", "after.iua", "--fail-if", "newly-dead-share>25%", code=3
    )
    assert found["alarms"][0]["layers"][0]["figures"] == {"newly dead share": 0.375}
    # A rule sees the figures after.
    rule = ["--fail-if", "dead-units=3 dead-share<.5"]
    assert called("compare", "before.iua", "after.iua", *rule).exit_code == 3
    assert called("compare", "after.iua", "before.iua", *rule).exit_code == 0
    wide = document("compare", "before.iua", "after.iua", "--atol", "10", "--layers", "head*")
    assert [row["dead in both"] for row in wide["layers"]] == [8]


def test_compare_writes_a_page(tmp_path: Path) -> None:
    path = str(tmp_path / "changes.html")
    found = document("compare", "before.iua", "after.iua", "--html", path, "--title", "Changes")
    assert found["files"] == {"html": path}
    page = Path(path).read_text(encoding="utf-8")
    assert "<title>Changes</title>" in page
    payload = json.loads(page.split('id="payload">')[1].split("</script>")[0])
    assert payload["state"]["_run"]["compared"]["with"] == "before"


def test_worst_is_that_of_the_library() -> None:
    found = document("worst", "before.iua", "-n", "2")
    assert [(row["response"], row["unit"], row["unit is"]) for row in found["units"]] == [
        ("conv", 1, "channel"),
        ("head.relu", 0, "unit"),
    ]
    text = called("worst", "before.iua", "-n", "1", "--layers", "head*", "--positions").stdout
    assert re.search(r"^ +1  head.relu +0  unit +100.0 %", text, re.MULTILINE)
    rows = json.loads(called("worst", "before.iua", "--by", "max |x|", "--table", "json").stdout)
    assert len(rows) == 10


def test_merge_writes_and_shows_the_whole(tmp_path: Path) -> None:
    path = str(tmp_path / "all.iua")
    found = document("merge", "before.iua", "after.iua", "-o", path)
    assert (found["probes"], found["files"]) == (10, {"save": path})
    assert IUA.load(path).probes == 10


def test_html_writes_a_page(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    result = called(
        "html", "before.iua", "-o", str(path), "--title", "Dead < alive", "--atol", ".01"
    )
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == f"Wrote {path}\n"
    page = path.read_text(encoding="utf-8")
    assert "<title>Dead &lt; alive</title>" in page
    assert '"atol": 0.01' in page or '"atol":0.01' in page
    quiet = called("html", "before.iua", "-o", str(path), "-q")
    assert (quiet.exit_code, quiet.output) == (0, "")
    assert "<title>Inactive units of before</title>" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("args", "code", "told"),
    [
        (["show", "befor.iua"], 1, "'befor.iua' is not there.*Did you mean 'before.iua'?"),
        (["show", "nowhere/x.iua"], 1, "nowhere/x.iua"),
        (["show", "junk.iua"], 1, "'junk.iua' was not written by IUA.save"),
        (["show", "."], 2, "is a directory"),
        (["show", "before.iua", "--layers", "heed*"], 1, r"no layer is named 'heed\*'"),
        (["show", "before.iua", "--atol", "-1"], 2, "--atol"),
        (["show", "before.iua", "--atol", "nan"], 1, "atol must be a finite number"),
        (["show", "before.iua", "--scale", "layer-mean"], 2, "layer_mean"),
        (["show", "before.iua", "--preset", "near zer"], 2, "Did you mean 'near zero'?"),
        (["show", "before.iua", "--sort", "ded-units"], 2, "Did you mean 'dead-units'?"),
        (["show", "before.iua", "--filter", "ded>1"], 2, "Figures are dead-units, "),
        (["show", "before.iua", "--fail-if", "newly-ded>1"], 2, "Figures are newly-dead, "),
        (["show", "before.iua", "--fail-if", "relu"], 2, "compares no figure"),
        (["compare", "before.iua", "other.iua"], 1, "the layers differ"),
        (["merge", "before.iua", "other.iua", "-o", "x.iua"], 1, "layer"),
        (["merge", "before.iua"], 2, "Missing option '-o' / '--save'"),
        (["worst", "before.iua", "--by", "size"], 2, "inactive share"),
        (["html", "before.iua", "-o", "nowhere/x.html"], 1, "cannot be written"),
        (["html", "before.iua", "-o", "./before.iua"], 2, "take the place of .*'before.iua'"),
        (["compare", "before.iua", "after.iua", "--html", "after.iua"], 2, "take the place of"),
        (["run", "m:x", "--save", "a.iua", "--html", "a.iua"], 2, "take the place of"),
        (["shwo"], 2, "No such command 'shwo'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_error_is_a_sentence(args: list[str], code: int, told: str) -> None:
    result = called(*args)
    assert result.exit_code == code, result.output
    assert re.search(told, result.stderr.replace("\n", " "))
    assert "Traceback" not in result.output
    assert result.stdout == ""


def test_notes_go_to_stderr_and_a_quiet_command_leaves_them_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.warns(match="Not finite"):
        IUA.introspect({"a": [[float("nan"), 1.0]]}, engine="reference").save("nan.iua")
    result = called("show", "nan.iua")
    assert result.stderr.startswith("Note: Not finite: 1 NaN")
    assert called("show", "nan.iua", "--quiet").stderr == ""
    assert document("show", "nan.iua")["notes"] == IUA.load("nan.iua").notes


def test_a_name_commands_no_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    IUA.introspect({"a\x1b[2J|b": [[0.0, 1.0]]}, engine="reference").save("odd.iua")
    for form in ("text", "md", "json"):
        result = called("show", "odd.iua", "--table", form, "--fail-if", "dead-units>0")
        assert "\x1b" not in result.output
        assert result.exit_code == 3
    assert "| a�[2J\\|b |" in called("show", "odd.iua", "--table", "md").stdout
    assert document("show", "odd.iua")["layers"][0]["response"] == "a\x1b[2J|b"


def test_colors_are_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["show", "before.iua", "--fail-if", "dead-units>10"]
    assert "\x1b" not in CliRunner().invoke(main, command).stdout
    colored = CliRunner().invoke(main, command, color=True).stdout
    assert re.search(r"\x1b\[31mconv .*\x1b\[0m", colored)
    assert "\x1b[31mhead" not in colored
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in CliRunner().invoke(main, command, color=True).stdout
