"""The layer table is sorted by the rules that the page has, on the same cases, and filtered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from iua_widget.reading.table_rows import shown_rows

CASES = json.loads(
    (Path(__file__).parents[1] / "fixtures" / "table_rules.json").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("case", CASES["sorts"], ids=lambda case: str(case["sort"]))
def test_rows_come_in_the_order_of_the_page(case: dict[str, Any]) -> None:
    assert shown_rows(CASES["rows"], case["sort"], "") == case["rows"]


def test_a_figure_that_is_no_number_is_none() -> None:
    rows = [
        {"response": name, "kind": "", "std inactive": value}
        for name, value in (("a", float("nan")), ("b", 1.0))
    ]
    assert shown_rows(rows, {"column": "std inactive", "ascending": False}, "") == [1, 0]
    assert shown_rows(rows, None, "std-inactive>=0") == [1]
