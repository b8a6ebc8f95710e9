"""Sphinx's settings for `make docs`: the pages and an API reference, built without a network.

The sources are the Markdown files where they lie: a link that works in the repository works here.
"""

from __future__ import annotations

import re
import shutil
import sys
import tomllib
from pathlib import Path
from typing import Any

import traitlets

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # the reference is of this checkout, whatever is installed

project = "iua_widget"
author = "The iua_widget authors"
release = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]

extensions = ["myst_parser", "numpydoc", "sphinx.ext.autodoc", "sphinx.ext.autosummary"]
root_doc = "README"
include_patterns = ["*.md", "docs/*.md", "tests/benchmarks/*.md"]
exclude_patterns = [".*", "docs/_build", "iua_widget", "js", "tests/benchmarks/results-part.md"]
smartquotes = False  # quotes are Python's, in the types of parameters, too
default_role = "py:obj"  # `IUA.at` in a docstring is a link, `numpy.isclose` is only set as code

autodoc_member_order = "bysource"
autodoc_mock_imports = ["pytorch_lightning", "transformers"]  # large, and only bases of callbacks
autodoc_typehints = "none"  # the sections say types, and more than types
autosummary_generate = False
myst_heading_anchors = 3
numpydoc_class_members_toctree = False
numpydoc_show_class_members = False  # autodoc shows them

html_theme = "furo"
html_title = f"{project} {release}"
html_copy_source = False

SECTIONS = {
    "Read and use": [
        *("capture", "units", "tolerances", "table", "heatmap", "worst-units"),
        *("compare", "groups", "causes", "remedies", "top-probes", "monitor", "training"),
        *("command-line", "hosts", "speed", "memory"),
        *("files", "scale", "scale-figures"),
    ],
    "Look up": ["api", "file-format", "alternatives", "references"],
}
_NAMED = {name for names in SECTIONS.values() for name in names}
_PAGES = sorted(path.stem for path in (ROOT / "docs").glob("*.md"))
CONTENTS = {
    **{title: [f"docs/{name}" for name in names] for title, names in SECTIONS.items()},
    "How it works": [f"docs/{name}" for name in _PAGES if name not in _NAMED],
    "The project": [
        *sorted(path.stem for path in ROOT.glob("*.md") if path.stem != root_doc),
        "tests/benchmarks/*",
    ],
}


def add_contents(_app: Any, docname: str, source: list[str]) -> None:
    """Put the contents behind the front page, which as a README has none."""
    if docname == root_doc:
        for title, pages in CONTENTS.items():
            listed = "\n".join(pages)
            source[0] += f"\n```{{toctree}}\n:hidden:\n:glob:\n:caption: {title}\n\n{listed}\n```\n"


def escape_magnitudes(*told: Any) -> None:
    """Have |x| outside of code be a magnitude, and not a substitution of docutils."""
    lines = told[-1]
    lines[:] = [re.sub(r"(``.*?``)|\|x\|", lambda of: of[1] or r"\|x\|", line) for line in lines]


def skip_traits(_app: Any, _what: str, _name: str, member: Any, *_: Any) -> bool | None:
    """Leave out traits, which the class's own docstring explains."""
    return True if isinstance(member, traitlets.TraitType) else None


def write_index(app: Any, error: Exception | None) -> None:
    """Have the front page at the address that browsers look for."""
    if error is None:
        shutil.copy(app.outdir / f"{root_doc}.html", app.outdir / "index.html")


def setup(app: Any) -> None:
    """Connect them to Sphinx."""
    app.connect("source-read", add_contents)
    app.connect("autodoc-process-docstring", escape_magnitudes)
    app.connect("autodoc-skip-member", skip_traits)
    app.connect("build-finished", write_index)
