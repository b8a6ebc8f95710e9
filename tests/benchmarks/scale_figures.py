"""Works out what 64 workers and a large model come to, and writes it into docs/scale-figures.md.

All of it is plain arithmetic on the figures that `several_processes` measured, as they stand in
results.md: ``python tests/benchmarks/scale_figures.py [results-part.md]``. Given another table, it
first puts that benchmark's section into results.md.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from several_processes import TITLE

RESULTS = Path(__file__).with_name("results.md")
PAGE = Path(__file__).parents[2] / "docs/scale-figures.md"
BEGIN, END = "<!-- worked out by tests/benchmarks/scale_figures.py -->\n", "<!-- end -->\n"

BLOCKS, WORKERS, UNITS, HIDDEN = 80, 64, 28_672, 8_192
NETWORK, PIECE, STOPS = 1.25e9, 2**26, 70


def section_of(text: str) -> str:
    """What a table of results has of several processes, its heading included."""
    heading = f"## {TITLE}\n"
    return heading + text.partition(heading)[2].partition("\n## ")[0].rstrip() + "\n"


def spliced(into: str, part: str) -> str:
    """A table of results with the section of another one."""
    return into.replace(section_of(into), section_of(part))


def figures(text: str) -> dict[str, float]:
    """Milliseconds a layer, and bytes a layer, of the widest layers measured."""
    rows: dict[str, list[str]] = {}
    for row in section_of(text).splitlines():
        cells = row.strip("| ").split(" | ")
        found = re.match(rf"(\d+) layers of {UNITS:,} units.*: (.*)", cells[0])
        if found:
            rows[found[2]] = [found[1], *cells]

    def took(name: str) -> float:
        layers, *cells = rows[name]
        (median,) = re.findall(r"([\d.]+) ms \| [\d.]+ ms \|", " | ".join(cells[-4:]))
        return float(median) / int(layers)

    def told(name: str) -> list[int]:
        return [int(x.replace(",", "")) for x in re.findall(r"([\d,]+) bytes", rows[name][-1])]

    summed, described = told("`all_reduce`, 2 processes")
    return {
        "summed": summed,
        "described": described,
        "held": told("`IUA.merge` of two")[0],
        "written": told("`to_bytes`")[0],
        "sum": took("`all_reduce`, 1 process"),
        "merge": took("`IUA.merge` of two"),
        "to_bytes": took("`to_bytes`"),
        "from_bytes": took("`from_bytes`"),
    }


def worked_out(text: str) -> str:
    """Both tables of the page."""
    of = figures(text)
    measured = [
        ("counts of it in memory", f"{of['held']:,} bytes"),
        ("summed by `all_reduce`", f"{of['summed']:,} bytes"),
        ("description from each rank", f"{of['described']:,} bytes"),
        ("`to_bytes`, a file", f"{of['written']:,} bytes"),
        ("`all_reduce`: its own work, nothing sent", f"{of['sum']:.2f} ms"),
        ("`IUA.merge` of two", f"{of['merge']:.2f} ms"),
        ("`to_bytes`", f"{of['to_bytes']:.1f} ms"),
        ("`from_bytes`", f"{of['from_bytes']:.1f} ms"),
    ]
    parts = ["| measured, a layer | |", "|---|---|", *(f"| {a} | {b} |" for a, b in measured), ""]
    parts += ["| what it comes to | how | |", "|---|---|---|"]
    parts += [f"| {what} | {how} | {result} |" for what, how, result in _rows(of)]
    return "\n".join(parts) + "\n"


def _rows(of: dict[str, float]) -> Iterator[tuple[str, str, str]]:
    held, summed, written = (BLOCKS * of[name] for name in ("held", "summed", "written"))
    own, merge = (BLOCKS * of[name] / 1e3 for name in ("sum", "merge"))
    to_bytes, from_bytes = (BLOCKS * of[name] / 1e3 for name in ("to_bytes", "from_bytes"))
    yield "units", f"{BLOCKS} × {UNITS:,}", f"{BLOCKS * UNITS:,}"
    yield "memory of a rank: counts", f"{BLOCKS} × {of['held']:,}", _bytes(held)
    peak = 2 * held + PIECE
    yield (
        "the same during `all_reduce`",
        "2 × that, as the result is a new one, and a piece of 64 MiB",
        _bytes(peak),
    )
    yield (
        "descriptions that a rank is sent",
        f"{WORKERS} × {BLOCKS} × {of['described']:,}",
        _bytes(WORKERS * BLOCKS * of["described"]),
    )
    yield "summed over ranks", f"{BLOCKS} × {of['summed']:,}", _bytes(summed)
    sent = 2 * (WORKERS - 1) / WORKERS * summed
    yield (
        "sent, and received, by each rank, in a ring",
        f"2 × {WORKERS - 1} / {WORKERS} × {_bytes(summed)}",
        _bytes(sent),
    )
    yield (
        "seconds of the sums at 10 Gbit/s, 1.25 GB/s",
        f"{_bytes(sent)} / 1.25 GB/s + own work of {BLOCKS} × {of['sum']:.2f} ms",
        _added(sent / NETWORK, own),
    )
    yield "at 100 Gbit/s", "a tenth of the first", _added(sent / NETWORK / 10, own)
    yield (
        "a file of each rank",
        f"{BLOCKS} × {of['written']:,}",
        f"{_bytes(written)}, {WORKERS} of them {_bytes(WORKERS * written)}",
    )
    yield "seconds to save one", f"{BLOCKS} × {of['to_bytes']:.1f} ms", f"{to_bytes:.1f} s"
    yield (
        "seconds between two saves with `resume=`, by default, whose batches are at risk",
        "20 × that, as saving may take a twentieth of the time",
        f"{20 * to_bytes:.0f} s",
    )
    yield (
        "seconds to merge all of them, one after another, on a driver",
        f"{WORKERS} × {BLOCKS} × ({of['from_bytes']:.1f} + {of['merge']:.2f}) ms",
        f"{WORKERS * (from_bytes + merge):.0f} s",
    )
    yield (
        "memory of the driver, however many there are",
        "3 × the counts: the sum, one that came, the new sum",
        _bytes(3 * held),
    )
    inactive = 8 * BLOCKS * 10**6
    yield (
        "`inactive` of a million tokens on each rank, in all, unless `keep_inactive=False`",
        f"{WORKERS} × 8 × {BLOCKS} × 1,000,000, on each rank",
        _bytes(WORKERS * inactive),
    )
    unit = of["held"] / UNITS
    few = unit - 4 * (STOPS - 10)
    yield (
        "counts at 10 stops",
        f"{unit:.0f} - 60 × 4 bytes a unit",
        _bytes(few * BLOCKS * UNITS),
    )
    yield (
        f"the {HIDDEN:,} of each block's output, too",
        f"× (1 + {HIDDEN:,} / {UNITS:,})",
        _bytes(held * (1 + HIDDEN / UNITS)),
    )


def _bytes(count: float) -> str:
    """In powers of ten, as networks and disks have it: three digits.

    Examples
    --------
    >>> _bytes(1_234_567_890), _bytes(45_600_000)
    ('1.23 GB', '45.6 MB')
    """
    value, unit = (count / 1e9, "GB") if count >= 1e9 else (count / 1e6, "MB")
    return f"{value:.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"


def _added(one: float, other: float) -> str:
    """A sum of seconds as it is written down: that of the rounded ones."""
    one, other = round(one, 2), round(other, 2)
    return f"{one:.2f} + {other:.2f} = {one + other:.2f} s"


def page_with(page: str, text: str) -> str:
    """The page with its figures worked out anew."""
    before, _, rest = page.partition(BEGIN)
    return before + BEGIN + worked_out(text) + END + rest.partition(END)[2]


def main() -> None:
    text = RESULTS.read_text(encoding="utf-8")
    for part in map(Path, sys.argv[1:]):
        text = spliced(text, part.read_text(encoding="utf-8"))
        RESULTS.write_text(text, encoding="utf-8")
    PAGE.write_text(page_with(PAGE.read_text(encoding="utf-8"), text), encoding="utf-8")
    print(f"written: {PAGE}")


if __name__ == "__main__":
    main()
