"""``iua-widget run``: what targets stand for, what is counted, what is written, what goes wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest
from command_line import called

from iua_widget import IUA, EngineName, Scale, UnitChoice
from iua_widget.cli import parameters
from iua_widget.reading.worst_units import RANKED_BY

pytestmark = pytest.mark.usefixtures("nets")
MODEL = ["run", "mynets:model", "mynets:loader", "--engine", "reference"]


def counted(*args: str) -> dict[str, Any]:
    result = called(*args, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_choices_are_those_of_the_library() -> None:
    assert get_args(Scale) == parameters.SCALES
    assert ("auto", *get_args(UnitChoice)) == parameters.UNITS
    assert get_args(EngineName) == parameters.ENGINES
    assert RANKED_BY == parameters.RANKED_BY


@pytest.mark.parametrize(
    "target",
    ["mynets:model", "mynets:make_model", "mynets.py:model", "./mynets.py:make_model", "{}:model"],
)
def test_a_target_is_of_a_module_or_a_file_made_or_to_be_made(nets: Path, target: str) -> None:
    where = target.format(nets / "mynets.py")
    found = counted("run", where, "mynets.py:loader", "--engine", "reference")
    assert [(row["response"], row["dead units"]) for row in found["layers"]] == [("1", 3), ("3", 0)]
    assert found["probes"] == 10


def test_a_class_is_called_and_attributes_have_attributes() -> None:
    found = counted("run", "mynets:Net", "mynets:Sizes.large", "--engine", "reference")
    assert found["probes"] == 7


def test_top_probes_are_kept_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "run.iua"
    counted(*MODEL, "--top-probes", "1=3", "--save", str(path))
    iua = IUA.load(path)
    assert iua.top_probes("1")["rank"].max() == 3
    assert iua._run.options.top_probes == {"1": 3}
    result = called(*MODEL, "--top-probes", "many")
    assert (result.exit_code, "expected a whole number" in result.stderr) == (2, True)


@pytest.mark.parametrize("groups", ["1", "-1", "mynets:parity"])
def test_groups_are_kept_in_the_file(groups: str, tmp_path: Path) -> None:
    path = tmp_path / "run.iua"
    counted("run", "mynets:model", "mynets:pairs", "--groups", groups, "--save", str(path))
    assert IUA.load(path).groups == ["0", "1"]
    result = called(*MODEL, "--groups", "label")
    assert (result.exit_code, "groups='label' must be a field" in result.stderr) == (1, True)


def test_a_producer_has_no_loader() -> None:
    for target, layers in (("mynets:responses", 2), ("mynets:batches", 1)):
        found = counted("run", target, "--batch-size", "3", "--engine", "reference")
        assert len(found["layers"]) == layers


def test_it_counts_as_the_library_does() -> None:
    options = ["--units", "channel", "--max-probes", "5", "--stops", "0,0.5", "--atol", "0.1"]
    found = counted(*MODEL, *options, "--layers", "1", "--tau", "0.5", "--memory", "100 MB")
    (row,) = found["layers"]
    assert (row["response"], row["unit"], row["stops"], row["probes"]) == ("1", "channel", 3, 5)
    assert found["tolerances"]["tau"] == 0.5
    by_layer = ["--units", "element", "--units", "3=channel", "--channel-axis", "3=1"]
    found = counted(*MODEL, *by_layer, "--mode", "train", "--calls", "separate")
    assert [row["unit"] for row in found["layers"]] == ["element", "channel"]
    found = counted(*MODEL, "--forward", "mynets:first_two", "--batch-size", "5")
    assert found["layers"][0]["probes"] == 4


def test_what_users_print_is_not_in_the_output() -> None:
    result = called("run", "mynets:Net", "mynets:loader", "--engine", "reference", "--json")
    assert json.loads(result.stdout)["probes"] == 10
    assert "imported\nforward" in result.stderr


def test_files_are_written_and_told_of() -> None:
    files = ["--save", "run.iua", "--html", "run.html", "--title", "Mine", "--resume", "on.iua"]
    found = counted(*MODEL, *files)
    assert found["files"] == {"save": "run.iua", "html": "run.html", "resume": "on.iua"}
    assert IUA.load("run.iua").probes == IUA.load("on.iua").probes == 10
    assert "<title>Mine</title>" in Path("run.html").read_text(encoding="utf-8")
    assert "Wrote run.iua" in called(*MODEL, "--save", "run.iua").stderr
    assert "Wrote" not in called(*MODEL, "--save", "run.iua", "-q").stderr


def test_a_rule_ends_it_when_all_is_written() -> None:
    result = called(*MODEL, "--save", "run.iua", "--fail-if", "dead-share>=50% kind:ReLU")
    assert result.exit_code == 3
    assert "Alarm: dead-share>=50% kind:ReLU: '1' (dead share 50.0 %)" in result.stderr
    assert IUA.load("run.iua").probes == 10
    assert called(*MODEL, "--fail-if", "dead-share>50% kind:ReLU").exit_code == 0


def test_progress_is_for_terminals_or_on_request() -> None:
    assert "probes" not in called(*MODEL).stderr
    assert "10/10" in called(*MODEL, "--progress").stderr
    assert "10/10" not in called(*MODEL, "--progress", "--quiet").stderr


def test_what_was_counted_is_saved_when_it_breaks_off() -> None:
    result = called("run", "mynets:breaks_off", "--engine", "reference", "--save", "part.iua")
    assert result.exit_code == 1
    assert "Wrote part.iua, with the 3 probes counted" in result.stderr
    assert re.search(r"OSError.*disk on fire.*\(.*mynets\.py, line \d+\)", result.stderr)
    assert IUA.load("part.iua").probes == 3


@pytest.mark.parametrize(
    ("target", "code", "told"),
    [
        ("mynets", 2, "expected module:attribute or path/to/file.py:attribute.*got 'mynets'"),
        (":model", 2, "expected module:attribute"),
        ("mynet:model", 1, "there is no module 'mynet'.*Did you mean 'mynets'?"),
        ("mynet.py:model", 1, "'mynet.py' is not there.*Did you mean 'mynets.py'?"),
        ("nowhere/mynets.py:model", 1, "'nowhere/mynets.py' is not there"),
        ("mynets:modle", 1, "no attribute is called 'modle'. Did you mean 'model'?"),
        ("mynets:Sizes.larg", 1, "no attribute is called 'larg'. Did you mean 'large'?"),
        ("mynets:fails", 1, r"failed when it was called: RuntimeError: no weights here \(.*line"),
        ("mynets:model", 2, "'mynets:model' is a model, and has no inputs: name a loader"),
        ("broken:model", 1, r"could not be imported: SyntaxError: .*\(.*broken.py, line 1\)"),
        ("broken.py:model", 1, "'broken.py' could not be imported: SyntaxError"),
        ("missing:model", 1, r"ModuleNotFoundError: No module named 'nosuch' \(.*missing.py, line"),
        ("script:model", 1, r"it ended the program \(exit 3\). Put what a script does under"),
        ("mynets:Sizes", 1, "producer"),
        (".:model", 1, "could not be imported"),
    ],
)
def test_what_is_no_target_is_told(nets: Path, target: str, code: int, told: str) -> None:
    for name, text in (
        ("broken", "x = ("),
        ("missing", "import nosuch"),
        ("script", "raise SystemExit(3)"),
    ):
        (nets / f"{name}.py").write_text(text, encoding="utf-8")
    result = called("run", target)
    assert result.exit_code == code, result.output
    assert re.search(told, result.stderr.replace("\n", " ")), result.stderr
    assert "Traceback" not in result.output


def test_code_in_a_folder_that_is_called_like_ours_is_the_users(nets: Path) -> None:
    folder = nets / "my_iua_widget"
    folder.mkdir()
    (folder / "nets.py").write_text("import json\nmodel = json.loads('{')\n", encoding="utf-8")
    result = called("run", "my_iua_widget/nets.py:model")
    assert re.search(r"nets\.py, line 2\)", result.stderr), result.stderr


@pytest.mark.parametrize(
    ("loader", "told"),
    [
        ("mynets:wide", r"'mynets:wide' takes arguments \(width\), and is called without"),
        ("mynets:lodaer", "Did you mean 'loader'?"),
    ],
)
def test_what_is_no_loader_is_told(loader: str, told: str) -> None:
    result = called("run", "mynets:model", loader)
    assert result.exit_code == 1
    assert re.search(told, result.stderr)


@pytest.mark.parametrize(
    ("option", "code", "told"),
    [
        (["--layers", "relu7"], 1, "layers='relu7' matches no module"),
        (["--units", "chanel"], 2, "expected one of auto, .*Did you mean 'channel'?"),
        (["--units", "conv*=channel"], 1, r"matches no layer"),
        (["--channel-axis", "one"], 2, "expected a whole number"),
        (["--memory", "lots"], 1, "memory must be an amount of memory"),
        (["--stops", "0;1"], 2, "expected numbers with commas between them"),
        (["--fail-if", "dead-units>0 encodr"], 2, "names no layer"),
        (["--save", "nowhere/x.iua"], 1, "cannot be written"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_no_option_is_told(option: list[str], code: int, told: str) -> None:
    result = called(*MODEL, *option)
    assert result.exit_code == code, result.output
    assert re.search(told, result.stderr.replace("\n", " "))


def test_the_way_to_an_error_is_shown_on_request() -> None:
    result = called("run", "mynets:fails", "--traceback")
    assert result.exit_code == 1
    assert 'raise RuntimeError("no weights here")' in result.stderr


def test_code_does_not_find_our_arguments(nets: Path) -> None:
    (nets / "argued.py").write_text(
        "import argparse\nargparse.ArgumentParser().parse_args()\nresponses = {'a': [[0.0]]}\n",
        encoding="utf-8",
    )
    assert called("run", "argued:responses", "--engine", "reference").exit_code == 0
