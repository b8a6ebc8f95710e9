"""What ranks tell each other before they count: which of them cannot, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from iua_widget.errors import DistributedError
from iua_widget.options import CountOptions
from iua_widget.scale.description import Description, check_alike, options_of
from iua_widget.scale.ranks import Ranks


@contextmanager
def failures_told(ranks: Ranks | None) -> Iterator[None]:
    """Have the other ranks be told of an error; there are none where there is one process."""
    try:
        yield
    except Exception as error:
        if ranks is not None:
            tell_failure(error, ranks)
        raise


def tell_failure(error: Exception, ranks: Ranks) -> None:
    """Tell the other ranks, which wait for this one, that there is an error here."""
    failed = f"{type(error).__name__}: {error!s:.300}"
    try:
        ranks.exchange(Description(failed=failed))
    except DistributedError as untold:
        error.add_note(f"The other ranks could not be told: {untold}")


def check_begun_alike(ranks: Ranks, counting: CountOptions, options: Mapping[str, Any]) -> None:
    """Check that all ranks can begin, with the same options.

    Parameters
    ----------
    ranks : Ranks
    counting : CountOptions
    options : mapping of str to object
        Further ones that must be the same on all.

    Raises
    ------
    DistributedError
        If a rank does not come within the group's timeout, or cannot begin.
    MergeError
        If options differ, which the message names.
    """
    check_alike(ranks.exchange(Description(options={**options_of(counting), **options})))
