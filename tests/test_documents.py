"""README and docs: their code runs, targets and links are there, figures are measured."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from scale_figures import page_with
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch.utils.data import DataLoader, TensorDataset

import iua_widget
from iua_widget import IUA, stages
from iua_widget.memory.plan import LayerNeed
from iua_widget.tally.unit_counts import counter_bytes

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
IMAGES = torch.randn(40, 3, 8, 8, generator=torch.Generator().manual_seed(0))


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.relu = nn.Conv2d(4, 4, 3, padding=1), nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu(self.conv(x))


class Net(nn.Module):
    """Has what the documents name."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3)
        self.layer1, self.encoder = nn.Sequential(Block()), nn.Sequential(Block(), Block())
        self.fc2 = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.encoder(self.layer1(self.conv1(x)))
        return F.softmax(F.gelu(self.fc2(x.mean(dim=(2, 3)))), dim=-1)


def stand_ins(folder: Path) -> dict[str, Any]:
    """What a reader has before the first block."""
    torch.manual_seed(0)
    responses = {"conv1": np.maximum(IMAGES.numpy(), 0), "relu": np.maximum(IMAGES.numpy(), 0)}
    shards = [folder / "one.iua", folder / "two.iua"]
    for path in shards:
        IUA.introspect(responses).save(path)
    IUA.introspect(responses).save(folder / "run.iua")
    return {
        "model": Net(),
        "loader": DataLoader(TensorDataset(IMAGES), batch_size=8),
        "batch": IMAGES[:8],
        "images": IMAGES,
        "normalize": lambda images: images / 2,
        "producer": responses,
        "shards": shards,
    }


def of_a_trainer() -> dict[str, Any]:
    """What a reader of the page on training has besides."""
    from transformers import GPT2Config, GPT2LMHeadModel

    ids = torch.randint(31, (24, 12), generator=torch.Generator().manual_seed(0))
    config = GPT2Config(
        vocab_size=31, n_positions=12, n_embd=16, n_layer=2, n_head=2, activation_function="relu"
    )
    return {
        "language_model": GPT2LMHeadModel(config),
        "texts": [{"input_ids": one, "labels": one} for one in ids[:16]],
        "held_out": {"input_ids": ids[16:]},
    }


def blocks(document: Path, language: str) -> list[tuple[int, str]]:
    """Line number and text of each."""
    text = document.read_text(encoding="utf-8")
    found = re.finditer(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [(text[: match.start(1)].count("\n"), match[1]) for match in found]


@pytest.mark.filterwarnings("ignore:Hardly any exact zero")  # among softmax and GELU
@pytest.mark.filterwarnings("ignore:'pin_memory' argument")  # without an accelerator
@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)
def test_the_blocks_of_a_document_run_in_order(
    document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = stand_ins(tmp_path) | (of_a_trainer() if document.stem == "training" else {})
    if document.stem in {"groups", "README"}:
        labels = torch.arange(len(IMAGES)) % 5
        names["loader"] = DataLoader(TensorDataset(IMAGES, labels), batch_size=8)
    for line, block in blocks(document, "python"):
        exec(compile("\n" * line + block, str(document), "exec"), names)
    widget = names.get("w")
    if widget is not None:
        widget.close()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)
def test_every_target_of_make_is_there(document: Path) -> None:
    made = set(
        re.findall(r"\bmake ([a-z]+)", "\n".join(block for _, block in blocks(document, "sh")))
    )
    made |= set(re.findall(r"`make ([a-z]+)`", document.read_text(encoding="utf-8")))
    targets = re.findall(
        r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert made <= set(targets)


def anchors(document: Path) -> set[str]:
    """What the headings of a page can be linked to by."""
    titles = re.findall(r"^#+ (.*)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}


@pytest.mark.parametrize(
    "document",
    sorted({*DOCUMENTS, *ROOT.glob("*.md"), *ROOT.glob("tests/**/*.md")}),
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_every_link_to_a_file_leads_somewhere(document: Path) -> None:
    text = re.sub(r"```.*?```|`[^`]*`", "", document.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link, fragment in re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)\)", text):
        target = document.parent / link if link else document
        assert link.startswith("https://") or target.exists(), link
        assert not fragment or fragment in anchors(target), fragment


RESULTS = ["results.md", "browser_results.md", "findings.md"]
NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?(?![\w.]*\.\d)")


def measured(*names: str) -> set[str]:
    """Every number of the results files, as it is there and rounded to two digits and to one."""
    text = " ".join(
        (ROOT / "tests/benchmarks" / name).read_text(encoding="utf-8") for name in names
    )
    found = {number.replace(",", "") for number in re.findall(r"\d[\d,]*(?:\.\d+)?", text)}
    rounded = {f"{float(number):.{digits}f}" for number in found for digits in (0, 1, 2, 3)}
    return found | rounded


def section(document: str, title: str) -> str:
    text = (ROOT / document).read_text(encoding="utf-8")
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_the_table_of_figures_is_that_of_the_results() -> None:
    lines = (ROOT / "tests/benchmarks/results.md").read_text(encoding="utf-8").splitlines()
    rows = [[float(x.rstrip("×s ")) for x in found] for line in lines
            if (found := re.findall(r"(?<=\| )[\d.]+(?:×| s)?(?= \|)", line))]  # fmt: skip
    quoted = re.findall(
        r"^\| .*\| ([^|]*\d[^|]*) \|$", section("docs/speed.md", "Counting"), re.MULTILINE
    )
    assert len(quoted) > 8
    for cell in quoted:
        wanted = re.findall(r"\d+(?:\.\d+)?", cell)
        median, *spread = wanted
        wanted = [spread[0], median, spread[1]] if spread else [median]
        assert any(
            all(f"{value:.{len(want.partition('.')[2])}f}" == want
                for want, value in zip(wanted, row[-3:] if spread else row[-2:-1], strict=True))
            for row in rows
        ), cell  # fmt: skip


@pytest.mark.parametrize(
    ("document", "title", "names"),
    [
        ("docs/speed.md", "Counting", RESULTS),
        ("docs/speed.md", "On a GPU", RESULTS),
        ("docs/speed.md", "On the page", ["browser_results.md"]),
        ("README.md", "Read on", RESULTS),
    ],
)
def test_figures_in_prose_are_measured(document: str, title: str, names: list[str]) -> None:
    lines = section(document, title).splitlines()
    prose = "\n".join(line for line in lines if not line.startswith("|"))
    plain = re.sub(r"`[^`]*`|\([^)]*\.md\)|AVX-512", "", prose)
    found = [number.replace(",", "") for number in NUMBER.findall(plain)]
    assert found
    assert not set(found) - measured(*names) - {"70"}


def test_figures_of_64_workers_are_worked_out_from_those_measured() -> None:
    page = (ROOT / "docs/scale-figures.md").read_text(encoding="utf-8")
    text = (ROOT / "tests/benchmarks/results.md").read_text(encoding="utf-8")
    assert page == page_with(page, text), "python tests/benchmarks/scale_figures.py"


def test_memory_of_a_million_units_is_what_is_planned() -> None:
    planned = [
        LayerNeed("", 10**6, tuple(range(71)), width, width, 0).bytes_with(71)
        for width in (counter_bytes(probes) for probes in (255, 65_535, 65_536))
    ]
    text = (ROOT / "docs/memory.md").read_text(encoding="utf-8")
    quoted = re.search(r"takes\s+([\d.]+), ([\d.]+) or ([\d.]+) GB", text)
    assert quoted is not None
    assert [f"{size / 1e9:.2f}" for size in planned] == list(quoted.groups())


def test_the_readme_is_read_in_minutes() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.split()) < 1_400, "reference goes to docs/"
    assert {path.name for path in DOCUMENTS[1:]} <= set(re.findall(r"docs/([\w-]+\.md)", text))


def test_the_readme_opens_with_the_widget_moving() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    opening, _, rest = text.partition("```sh")
    assert "](docs/widget.webp)" in opening
    assert rest, "and then the commands"
    path = ROOT / "docs/widget.webp"
    assert path.stat().st_size < 3_000_000
    with Image.open(path) as picture:
        assert 1_000 <= picture.width <= 1_200
        durations = []
        for frame in range(picture.n_frames):
            picture.seek(frame)
            picture.load()
            durations.append(picture.info["duration"])
    assert len(durations) > 40
    assert 7_000 <= sum(durations) <= 15_000, "milliseconds"


@pytest.mark.parametrize("document", DOCUMENTS[1:], ids=lambda path: path.stem)
def test_a_page_says_first_what_is_in_it(document: Path) -> None:
    title, blank, first = document.read_text(encoding="utf-8").split("\n")[:3]
    assert title.startswith("# ")
    assert blank == ""
    assert re.match(r"[A-Z`]", first)


@pytest.mark.slow
def test_the_pages_become_html_without_a_warning_and_need_no_network(tmp_path: Path) -> None:
    options = ["--fail-on-warning", "--keep-going", "--quiet", "--conf-dir", "docs"]
    folders = ["--doctree-dir", tmp_path / "trees", ".", tmp_path / "html"]
    run = subprocess.run(
        [sys.executable, "-m", "sphinx", *options, *folders],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    front, index = (tmp_path / "html" / f"{name}.html" for name in ("README", "index"))
    assert front.read_bytes() == index.read_bytes()
    for page in (tmp_path / "html").rglob("*.html"):
        loads = re.findall(
            r"""<(?:script|img|link rel="stylesheet")[^>]* (?:src|href)="([^"]*)""",
            page.read_text(encoding="utf-8"),
        )
        assert loads
        assert not [one for one in loads if "//" in one]


def test_the_reference_has_every_public_name() -> None:
    text = (ROOT / "docs/api.md").read_text(encoding="utf-8")
    listed = re.findall(r"^   (\w+)$", text, re.MULTILINE)
    in_full = re.findall(
        r"^\.\. auto(?:class|data|exception|function):: (\w+)$", text, re.MULTILINE
    )
    public = sorted({*iua_widget.__all__, *stages.__all__} - {"__version__"})
    assert sorted(listed) == public
    assert sorted(in_full) == public


def test_the_citation_is_of_this_package() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    made = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (cited["cff-version"], cited["title"]) == ("1.2.0", "iua_widget")
    assert (cited["version"], cited["license"]) == (made["version"], made["license"])
    assert cited["authors"] == made["authors"]


def test_the_code_that_pages_name_is_there() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([\w/]+\.(?:py|ts))(?::([\w.]+))?`", text))
    assert len(named) > 30
    for path, name in named:
        file = ROOT / path if path.startswith("js/") else ROOT / "iua_widget" / path
        assert file.is_file(), path
        for part in name.split("."):
            assert (
                re.search(rf"\b(def|class) {part}\b", file.read_text(encoding="utf-8")) or not part
            )
