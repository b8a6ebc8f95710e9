"""Rows are filtered by the rules that the page has, on the same cases."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from iua_widget.reading.row_filter import RowFilter
from iua_widget.reading.table_columns import COLUMNS, find_column

CASES = json.loads(
    (Path(__file__).parents[1] / "fixtures" / "table_rules.json").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("case", CASES["filters"], ids=lambda case: repr(case["filter"]))
def test_rows_are_left_out_as_on_the_page(case: dict[str, Any]) -> None:
    row_filter = RowFilter.parsed(case["filter"])
    passing = [place for place, row in enumerate(CASES["rows"]) if row_filter.passes(row)]
    assert passing == case["rows"]


@pytest.mark.parametrize("case", CASES["refused"], ids=lambda case: repr(case["filter"]))
def test_what_cannot_be_a_filter_is_refused_with_the_figures(case: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="dead-channels") as refusal:
        RowFilter.parsed(case["filter"])
    assert f"Figures are {case['nearest'] or 'units'}, " in str(refusal.value)
    assert RowFilter.parsed(f'"{case["filter"]}"').words == (case["filter"],)


def test_the_page_has_the_same_columns() -> None:
    page = (Path(__file__).parents[2] / "js/src/reading/columns.ts").read_text(encoding="utf-8")
    keys, texts = (
        re.findall('"([a-z-]+)"', page.split(f"export type {name} =")[1].split(";")[0])
        for name in ("NumericKey", "TextKey")
    )
    assert {*keys, *texts} == {column.key for column in COLUMNS.values()}
    assert {*texts} == {column.key for column in COLUMNS.values() if column.is_text}
    for column in COLUMNS.values():
        assert find_column(column.key) == find_column(column.name) == column
