"""The table of results, as Markdown."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import os
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path

from measure import Row

PACKAGES = ("iua-widget", "numpy", "numba", "torch", "transformers", "dnikit")
_HEADER = (
    "| measured | against | must | goal | min | median | max | reached | figures |\n"
    "|---|---|---|---|---|---|---|---|---|"
)
_INTRODUCTION = """\
# Benchmarks

Written by `make bench`. Ours and the other are run in turn, in one process or in fresh ones started
in turn, after a warm-up of both; a ratio is that of one such pair, and min, median and max are over
the pairs. Seconds are medians. What is not said otherwise is as it is by default: all stops, all
cores, the engine that is chosen by itself.
"""


_QUICK = """\
**Of tiny sizes, to see that the benchmarks run: not those that are named, and no figure counts.**
"""


def write_table(sections: Mapping[str, Iterable[Row]], path: Path, *, quick: bool = False) -> None:
    """Write all rows, section by section, with the machine and the versions."""
    parts = [
        _INTRODUCTION,
        *([_QUICK] if quick else []),
        "\n".join(f"- {line}" for line in surroundings()),
        "",
    ]
    for title, rows in sections.items():
        parts += [f"## {title}", "", _HEADER, *(line(row) for row in rows), ""]
    path.write_text("\n".join(parts), encoding="utf-8")


def line(row: Row) -> str:
    """One row in Markdown."""
    spread = row.spread
    cells = [
        row.what,
        row.against,
        *(_limit(limit, row) for limit in (row.must, row.goal)),
        *(_value(value, row) for value in (spread.lowest, spread.median, spread.highest)),
        row.reached,
        row.figures,
    ]
    return f"| {' | '.join(cells)} |"


def surroundings() -> list[str]:
    """The machine, and the versions of what was measured."""
    versions = [f"{name} {_version(name)}" for name in PACKAGES]
    return [
        f"{processor()}, {_cores()} cores, {_memory()} of memory",
        f"{platform.platform(terse=True)}, Python {platform.python_version()}",
        ", ".join(versions),
        f"{dt.datetime.now(dt.UTC):%Y-%m-%d}",
    ]


def processor() -> str:
    """The model of the processor, as far as the system tells."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for text in info.read_text().splitlines():
            if text.startswith("model name"):
                return text.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory() -> str:
    import psutil

    return f"{psutil.virtual_memory().total / 2**30:.0f} GiB"


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "(not there)"


def _limit(limit: float | None, row: Row) -> str:
    if limit is None:
        return ""
    return f"{limit:.3g}×" if row.unit == "x" else f"{limit:g} {row.unit}"


def _value(value: float, row: Row) -> str:
    if row.unit != "x":
        return f"{value:.3f} s" if row.unit == "s" else f"{value:.1f} {row.unit}"
    return f"{value:.3f}×" if value < 10 else f"{value:.1f}×"
