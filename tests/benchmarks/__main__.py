"""Run the benchmarks, all or those named: ``python tests/benchmarks [--quick] [NAME ...]``."""

from __future__ import annotations

import argparse
import importlib
import warnings
from importlib.util import find_spec
from pathlib import Path

from measure import Row
from table import line, surroundings, write_table

BENCHMARKS = (
    "against_dnikit",
    "forward_pass",
    "steady_state",
    "plain_sum",
    "peak_memory",
    "import_time",
    "cold_start",
    "scale",
    "files",
    "monitoring",
    "several_processes",
    *(("device_host_time",) if find_spec("triton") else ()),
)
ONLY_BY_NAME = ("forward_pass_gpu", "devices")  # what not every machine or time is for
RESULTS = Path(__file__).with_name("results.md")


def run(names: list[str], path: Path, *, quick: bool = False) -> dict[str, list[Row]]:
    """Run the benchmarks named, print their rows as they come, and write the table.

    Parameters
    ----------
    names : list of str
        Of `BENCHMARKS` or `ONLY_BY_NAME`.
    path : Path
        Where the table goes.
    quick : bool
        Whether to take tiny sizes, which measure nothing but that the benchmarks run.
    """
    sections: dict[str, list[Row]] = {}
    for name in names:
        module = importlib.import_module(name)
        rows = sections[module.TITLE] = []
        for row in module.rows(quick=quick):
            rows.append(row)
            print(line(row), flush=True)
            write_table(sections, path, quick=quick)
    return sections


def main() -> None:
    known = (*BENCHMARKS, *ONLY_BY_NAME)
    parser = argparse.ArgumentParser(prog="python tests/benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(known))
    parser.add_argument("--quick", action="store_true", help="tiny sizes: only to see it run")
    parser.add_argument("--output", type=Path, help=f"by default {RESULTS.name}, when all are run")
    options = parser.parse_args()
    unknown = set(options.names) - set(known)
    if unknown:
        parser.error(f"no benchmark is named {', '.join(sorted(unknown))}")
    names = [name for name in known if name in (options.names or BENCHMARKS)]
    whole = not options.names and not options.quick
    path = options.output or (RESULTS if whole else RESULTS.with_name("results-part.md"))
    warnings.simplefilter("ignore")  # notes of runs on random weights, DNIKit's age
    print(*surroundings(), sep="\n")
    run(names, path, quick=options.quick)
    print(f"written: {path}")


if __name__ == "__main__":
    main()
