"""The filter of the layer table, by the rules of the page.

They are told in ``js/src/table/row_filter.ts``; both sides are tested on the cases of
``tests/fixtures/table_rules.json``.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from iua_widget.common.words import nearest_first
from iua_widget.reading.table_columns import COLUMNS, Column, find_column

Row = Mapping[str, Any]
"""By the names of columns: texts for those of texts, for others a number, or None for none."""

_TOKEN: Final = re.compile(
    r'"(?P<quoted>[^"]*)"?'
    r"|(?P<comparison>!?[<>=≤≥≠]+)"
    r'|(?P<bare>(?:[^ \t\r\n"<>=≤≥≠!]|!(?![<>=≤≥≠]))+)'
)
_NUMBER: Final = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)(%?)")
COMPARE: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    "≤": operator.le,
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
    "≠": operator.ne,
    ">=": operator.ge,
    "≥": operator.ge,
    ">": operator.gt,
}
"""What compares, as it is written."""
_FOR_TEXTS: Final = ("=", "==", "!=", "≠")
_KIND: Final = "kind:"
_WORDS_OF_A_HEADING: Final = 3
SMALL: Final = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")
"""Makes ASCII letters small, as both sides do."""


def number_in(row: Row, column: str) -> float | None:
    """What a row has in a column of numbers; None where it has none, and for NaN."""
    value = row.get(column)
    return None if value is None or value != value else value  # noqa: PLR0124  (NaN)


@dataclass(frozen=True, slots=True)
class RowFilter:
    """What a line of filter text asks for.

    Attributes
    ----------
    words, kinds : tuple of str
        Their ASCII letters small.
    tests : tuple of (column, comparison, value)
        Figures compared with numbers, and columns of texts with texts.
    """

    words: tuple[str, ...]
    kinds: tuple[str, ...]
    tests: tuple[tuple[str, str, float | str], ...]

    @classmethod
    def parsed(
        cls, text: str, columns: Mapping[str, Column] = COLUMNS, called: str = "filter"
    ) -> RowFilter:
        """Take a line of text apart.

        Parameters
        ----------
        text : str
        columns : mapping of str to Column
            What can be compared, by name.
        called : str
            What the text is, for the error.

        Raises
        ------
        ValueError
            If it compares what is no figure, or a figure with what is no number; with the figures
            there are.

        Examples
        --------
        >>> RowFilter.parsed('encoder kind:ReLU "dead channels" > 0').tests
        (('dead channels', '>', 0.0),)
        """
        return _Parser(text, columns, called).parse()

    def passes(self, row: Row) -> bool:
        """Whether a row is shown."""
        if not self.names(row["response"], row["kind"]):
            return False
        for column, comparison, value in self.tests:
            figure = (
                _as_compared(column, row.get(column) or "")
                if isinstance(value, str)
                else number_in(row, column)
            )
            if figure is None or not COMPARE[comparison](figure, value):
                return False
        return True

    def names(self, layer: str, kind: str) -> bool:
        """Whether the words and kinds are those of a layer, whatever its figures."""
        layer, kind = layer.translate(SMALL), kind.translate(SMALL)
        is_of_kind = not self.kinds or kind in self.kinds
        return is_of_kind and all(word in layer or word in kind for word in self.words)


class _Parser:
    """Takes one line of filter text apart: words, kinds, and comparisons with what is around."""

    def __init__(self, text: str, columns: Mapping[str, Column], called: str) -> None:
        self._text = text
        self._columns = columns
        self._called = called
        self._tokens = list(_TOKEN.finditer(text))
        self._words: list[re.Match[str]] = []
        self._behind: list[re.Match[str]] = []  # words that nothing else has followed yet
        self._kinds: list[str] = []
        self._tests: list[tuple[str, str, float | str]] = []

    def parse(self) -> RowFilter:
        at = 0
        while at < len(self._tokens):
            token = self._tokens[at]
            following = self._tokens[at + 1] if at + 1 < len(self._tokens) else None
            if token["comparison"] is not None:
                value = None if following is None or following["comparison"] else following
                self._compare(token, value)
                at += value is not None
            elif token["bare"] is None or not token["bare"].startswith(_KIND):
                self._behind.append(token)
            elif token["bare"] != _KIND:
                self._kind(token["bare"].removeprefix(_KIND))
            elif following and following["quoted"] is not None and following.start() == token.end():
                self._kind(_content(following))
                at += 1
            else:
                self._behind.append(token)
            at += 1
        self._settle()
        words = [_content(token).translate(SMALL) for token in self._words]
        kinds = [kind.translate(SMALL) for kind in self._kinds]
        return RowFilter(
            tuple(word for word in words if word),
            tuple(kind for kind in kinds if kind),
            tuple(self._tests),
        )

    def _settle(self) -> None:
        self._words += self._behind
        self._behind.clear()

    def _kind(self, kind: str) -> None:
        self._settle()
        self._kinds.append(kind)

    def _compare(self, sign: re.Match[str], value: re.Match[str] | None) -> None:
        column, subject = self._subject()
        end = sign.end() if value is None else value.end()
        start = sign.start() if subject is None else subject.start()
        source = self._text[start:end]
        name = "" if subject is None else _content(subject)
        if column is None:
            what = f"no figure is called {name!r}" if name else "nothing is compared"
            raise self._refusal(source, what, name)
        written, comparison = ("" if value is None else _content(value)), sign["comparison"]
        if comparison not in COMPARE:
            raise self._refusal(source, f"{comparison!r} is no comparison", name)
        if column.is_text:
            if comparison not in _FOR_TEXTS or not written:
                what = f"{column.key} is a text: write {column.key}=… for those that are so"
                raise self._refusal(source, what, name)
            self._tests.append((column.name, comparison, _as_compared(column.name, written)))
            return
        number = _NUMBER.fullmatch(written)
        if number is None:
            with_what = f"with {written!r}, which is no number" if written else "with nothing"
            raise self._refusal(source, f"{column.key} is compared {with_what}", name)
        if number[2] and not column.is_share:
            what = f"{column.key} is no share, and is compared with {written}"
            raise self._refusal(source, what, f"{column.key.removesuffix('-units')}-share")
        self._tests.append((column.name, comparison, float(number[1]) / (100 if number[2] else 1)))

    def _subject(self) -> tuple[Column | None, re.Match[str] | None]:
        """What is compared: the heading of a column, in several words, or the last word."""
        words = self._behind
        for several in range(min(_WORDS_OF_A_HEADING, len(words)), 0, -1):
            if several > 1 and any(word["bare"] is None for word in words[-several:]):
                continue
            heading = " ".join(_content(word) for word in words[-several:])
            column = find_column(heading, self._columns)
            if column is not None or several == 1:
                subject = words[-several]
                del words[-several:]
                self._settle()
                return column, subject
        return None, None

    def _refusal(self, source: str, what: str, name: str) -> ValueError:
        figures = [column.key for column in self._columns.values() if not column.is_text]
        example = next(column.key for column in self._columns.values() if column.is_share)
        return ValueError(
            f"the {self._called} {source!r} is invalid: {what}. Figures are "
            f"{', '.join(nearest_first(name, figures))}; they are compared by <, <=, =, !=, >= or "
            f"> with a number, shares also with a percentage: {example}>=50%. What is looked for "
            f"in names goes into double quotes: '\"{source}\"'."
        )


def _content(token: re.Match[str]) -> str:
    return str(token["bare"] if token["quoted"] is None else token["quoted"])


def _as_compared(column: str, text: str) -> str:
    """A text, small; a shape as "64x56x56", also where it is written "(64, 56, 56)"."""
    small = text.translate(SMALL)
    if column != "shape":
        return small
    return re.sub("[×,]", "x", re.sub("[ ()]", "", small)).strip("x")
