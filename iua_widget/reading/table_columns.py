"""The columns of the layer table: their names on the page, in DataFrames and in filters."""

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
    key : str
        Its name on the page, in filters and in sorts.
    heading : str
        Its name in DataFrames.
    is_text : bool
        Whether it holds texts, and not numbers.
    is_share : bool
        Whether its numbers are shares, which may be compared with a percentage.
    """

    key: str
    heading: str
    is_text: bool = False
    is_share: bool = False


# The page has the same, in js/src/reading/columns.ts; a test holds them together.
_ALL: Final = (
    Column("name", "response", is_text=True),
    Column("kind", "kind", is_text=True),
    Column("units", "units"),
    Column("mean", "mean inactive"),
    Column("share", "inactive share", is_share=True),
    Column("std", "std inactive"),
    Column("dead", "dead units"),
    Column("dead-share", "dead share", is_share=True),
    Column("dead-channels", "dead channels"),
    Column("channels", "channels"),
    Column("dormant", "dormant"),
    Column("load", "load"),
    Column("probes", "probes"),
    Column("masked", "masked"),
    Column("stops", "stops"),
    Column("nan", "nan"),
    Column("infinite", "infinite"),
    Column("curve", "share over tolerance", is_share=True),
    Column("mean-upper", "mean inactive upper"),
    Column("dead-upper", "dead units upper"),
    Column("unit", "unit", is_text=True),
    Column("shape", "shape", is_text=True),
)

COLUMNS: Final[Mapping[str, Column]] = MappingProxyType({column.key: column for column in _ALL})
"""All columns by key. Not every table has all of them; what a row lacks sorts last."""

_DORMANT: Final = re.compile(r"^dormant \(tau [0-9.e+-]+\)$")
_BY_SPELLING: Final[Mapping[str, Column]] = MappingProxyType(
    {
        **{column.heading.replace(" ", "-"): column for column in _ALL},
        **COLUMNS,
        "layer": COLUMNS["name"],
        "dormant-units": COLUMNS["dormant"],
    }
)


def dormant_heading(tau: float) -> str:
    """What the column "dormant" is called in DataFrames, which says what it stands for.

    Examples
    --------
    >>> dormant_heading(0.025)
    'dormant (tau 0.025)'
    """
    return f"dormant (tau {tau!r})"


def find_column(name: str) -> Column | None:
    """The column of a name: its key, or its heading in DataFrames, with blanks or hyphens.

    Examples
    --------
    >>> find_column("dead channels") == find_column("dead-channels") == COLUMNS["dead-channels"]
    True
    """
    plain = _DORMANT.sub("dormant", name.lower())
    return _BY_SPELLING.get("-".join(plain.replace("_", " ").replace("-", " ").split()))
