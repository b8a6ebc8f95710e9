"""The fixture the TypeScript tests read is what Python writes today."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

FIXTURES = Path(__file__).parents[1] / "fixtures"


def test_the_committed_fixture_is_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FIXTURES))
    import write_core

    monkeypatch.delitem(sys.modules, "write_core")
    committed = json.loads(write_core.FIXTURE.read_text(encoding="utf-8"))
    assert committed == json.loads(json.dumps(write_core.fixture())), (
        "the format or the counts changed: run `python tests/fixtures/write_core.py`"
    )
