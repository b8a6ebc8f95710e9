"""Faults that really happen cost what the page says, and no count is another than one process's."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("faults.py")
PAGE = Path(__file__).parents[2] / "docs/scale.md"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="forks processes, and kills them by signals")
def test_nothing_is_lost_but_batches_since_the_last_save(tmp_path: Path) -> None:
    told = tmp_path / "told.json"
    start = [sys.executable, SCRIPT, "--rounds", "1", "--json", told]
    ran = subprocess.run(start, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found = json.loads(told.read_text(encoding="utf-8"))
    assert all(one["same"] for one in found)
    rank, alone, disk, slow, weights, pool = found
    for one in (rank, alone):
        assert one["lost"] == one["killed_at"] % 4, "batches since the last save"
    assert disk["lost"] == slow["lost"] == 0
    assert weights["lost"] == weights["killed_at"], "all that was counted with others"
    assert pool["lost"] == pool["killed_at"] - 12, "those of the shard at hand"
    section = PAGE.read_text(encoding="utf-8").partition("\n## When something fails\n")[2]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line[:2] == "| "][1:]
    assert [row[0] for row in rows[: len(found)]] == [one["fault"] for one in found]
    of_ray = SCRIPT.with_name("faults_with_ray.py").read_text(encoding="utf-8")
    assert all(f'"{row[0]}"' in of_ray and f'"{row[3]}"' in of_ray for row in rows[len(found) :])
    for row, one in zip(rows[: len(found)], found, strict=True):
        assert row[3] == one["go_on"]
        for words in re.findall("`([^`]*)`", row[2]):
            assert words in one["saw"], one["saw"]
