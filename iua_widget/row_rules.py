"""Order and filter of the layer table, by the rules of the page.

They are told in ``js/src/core/row_order.ts`` and ``js/src/core/row_filter.ts``; both sides are
tested on the cases of ``tests/fixtures/table_rules.json``.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

Row = Mapping[str, Any]
"""Texts ``name`` and ``kind``; every other column a number, or None where there is none."""

_TEXTS: Final = ("name", "kind")
_PART: Final = re.compile(r'(kind:)?(?:"([^"]*)"?|([^ \t\r\n]+))')
_TEST: Final = re.compile(
    r"(units|mean|share|std|dead|dead-share|dormant)(<=|>=|<|>|=)"
    r"([0-9]+(?:\.[0-9]+)?(?:e-?[0-9]+)?)(%?)"
)
_COMPARE: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    ">=": operator.ge,
    ">": operator.gt,
}
_SMALL: Final = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")


def shown_rows(rows: Sequence[Row], sort: Mapping[str, Any] | None, text: str) -> list[int]:
    """Which rows are shown, in which order.

    Parameters
    ----------
    rows : sequence of mappings
        In the order of the network.
    sort : mapping or None
        As the widget's `sort`.
    text : str
        As the widget's `filter`.

    Returns
    -------
    list of int
        Indices into `rows`.

    Examples
    --------
    >>> rows = [{"name": f"conv{n}", "kind": "ReLU", "dead": n % 3} for n in (10, 9, 8)]
    >>> shown_rows(rows, {"column": "name", "ascending": True}, "dead<2")
    [1, 0]
    """
    row_filter = RowFilter.parsed(text)
    shown = [index for index, row in enumerate(rows) if row_filter.passes(row)]
    if sort is None:
        return shown
    column, ascending = sort["column"], sort["ascending"]
    values = {index: _sort_value(rows[index], column) for index in shown}
    with_value = [index for index in shown if values[index] is not None]
    without = [index for index in shown if values[index] is None]
    # Equal rows keep the order of the network both ways: reverse=True does that, too.
    with_value.sort(key=lambda index: values[index], reverse=not ascending)
    return with_value + without


def _sort_value(row: Row, column: str) -> Any:
    if column in _TEXTS:
        # By UTF-16 code units, as JavaScript compares: the bytes of big-endian ones sort the same.
        return text_key(row[column]).encode("utf-16-be", "surrogatepass")
    return _number(row, column)


def _number(row: Row, column: str) -> float | None:
    value = row.get(column)
    return None if value is None or value != value else value  # noqa: PLR0124  (NaN)


def text_key(text: str) -> str:
    """A text as it sorts: "conv2" before "conv10", whatever the case of ASCII letters.

    Examples
    --------
    >>> text_key("Conv2") < text_key("conv10")
    True
    """

    def counted(run: re.Match[str]) -> str:
        digits = run[0].lstrip("0") or "0"
        return f"0{len(digits):05}{digits}"

    return re.sub("[0-9]+", counted, text.translate(_SMALL))


@dataclass(frozen=True, slots=True)
class RowFilter:
    """What a line of filter text asks for.

    Attributes
    ----------
    words, kinds : tuple of str
        Their ASCII letters small.
    tests : tuple of (column, comparison, value)
    """

    words: tuple[str, ...]
    kinds: tuple[str, ...]
    tests: tuple[tuple[str, str, float], ...]

    @classmethod
    def parsed(cls, text: str) -> RowFilter:
        """Take a line of text apart: no text is wrong, at worst it is a word to look for."""
        words: list[str] = []
        kinds: list[str] = []
        tests: list[tuple[str, str, float]] = []
        for kind, quoted, bare in _PART.findall(text):
            test = _TEST.fullmatch(bare) if bare and not kind else None
            if test is not None:
                column, comparison, number, percent = test.groups()
                tests.append((column, comparison, float(number) / (100 if percent else 1)))
            elif quoted or bare:
                (kinds if kind else words).append((quoted or bare).translate(_SMALL))
        return cls(tuple(words), tuple(kinds), tuple(tests))

    def passes(self, row: Row) -> bool:
        """Whether a row is shown."""
        name, kind = row["name"].translate(_SMALL), row["kind"].translate(_SMALL)
        if self.kinds and kind not in self.kinds:
            return False
        if not all(word in name or word in kind for word in self.words):
            return False
        for column, comparison, value in self.tests:
            figure = _number(row, column)
            if figure is None or not _COMPARE[comparison](figure, value):
                return False
        return True
