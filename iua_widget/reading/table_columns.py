"""The columns of the layer table: their names in DataFrames, in sorts and in filters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the layer table.

    Attributes
    ----------
    name : str
        In DataFrames and sorts.
    is_text : bool
        Whether it holds texts, and not numbers.
    is_share : bool
        Whether its numbers are shares, which may be compared with a percentage.
    """

    name: str
    is_text: bool = False
    is_share: bool = False

    @property
    def key(self) -> str:
        """Its name in one word, as in filters and on the page."""
        return self.name.replace(" ", "-")


# The page has the same, in js/src/reading/columns.ts; a test holds them together.
_ALL: Final = (
    Column("response", is_text=True),
    Column("kind", is_text=True),
    Column("units"),
    Column("mean inactive"),
    Column("inactive share", is_share=True),
    Column("std inactive"),
    Column("dead units"),
    Column("dead share", is_share=True),
    Column("newly dead"),
    Column("revived"),
    Column("dead channels"),
    Column("channels"),
    Column("dormant"),
    Column("load"),
    Column("share at bound", is_share=True),
    Column("probes"),
    Column("masked"),
    Column("stops"),
    Column("nan"),
    Column("infinite"),
    Column("share over tolerance", is_share=True),
    Column("mean inactive upper"),
    Column("dead units upper"),
    Column("dead in both"),
    Column("newly dead share", is_share=True),
    Column("unit", is_text=True),
    Column("shape", is_text=True),
)

COLUMNS: Final[Mapping[str, Column]] = MappingProxyType({column.name: column for column in _ALL})
"""All columns by name. Not every table has all of them; what a row lacks sorts last."""

UNIT_COLUMNS: Final[Mapping[str, Column]] = MappingProxyType(
    {
        column.name: column
        for column in (
            Column("inactive count"),
            Column("inactive share", is_share=True),
            Column("dead"),
            Column("dormant"),
            Column("mean |x|"),
            Column("rms"),
            Column("max |x|"),
            Column("nan"),
            Column("infinite"),
        )
    }
)
"""Those of `IUA.units` that rules about units compare, by name; "dead" and "dormant" are 1 or 0."""

_DORMANT: Final = re.compile(r"^dormant[ _-]\(tau[ _-][0-9.e+-]+\)$")
_PAGE_NAMES: Final = {"layer": "response"}


def dormant_heading(tau: float) -> str:
    """What the column "dormant" is called in DataFrames, which says what it stands for.

    Examples
    --------
    >>> dormant_heading(0.025)
    'dormant (tau 0.025)'
    """
    return f"dormant (tau {tau!r})"


def find_column(name: str, columns: Mapping[str, Column] = COLUMNS) -> Column | None:
    """The column of a name in DataFrames, with blanks, hyphens or underscores.

    Examples
    --------
    >>> find_column("dead channels") == find_column("Dead-Channels") == COLUMNS["dead channels"]
    True
    """
    plain = _DORMANT.sub("dormant", name.lower())
    spelled = " ".join(plain.replace("_", " ").replace("-", " ").split())
    return columns.get(_PAGE_NAMES.get(spelled, spelled))
