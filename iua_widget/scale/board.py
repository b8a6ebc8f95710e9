"""`Board`: what ranks post for each other in the job's store, so that none waits for another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from iua_widget.errors import DistributedError
from iua_widget.scale.ranks import Ranks, job_store


class Board:
    """Notices of the ranks, each under a name: a new one takes the place of the one before.

    Parameters
    ----------
    ranks : Ranks
        Of a group of their own (`Ranks.apart`), which the board is called after.

    Attributes
    ----------
    timeout : float
        Seconds that ranks of the job wait for each other.

    Raises
    ------
    DistributedError
        If the job's store cannot be posted in.
    """

    def __init__(self, ranks: Ranks) -> None:
        from torch._C._distributed_c10d import FileStore, PrefixStore

        store = job_store()
        if isinstance(_innermost(store), FileStore):
            message = (
                "the job's store is a file, which grows with all that is posted: start the job "
                "with torchrun, or give init_process_group an address such as "
                '"tcp://127.0.0.1:29500".'
            )
            raise DistributedError(message)
        self.timeout = float(store.timeout.total_seconds())
        # A connection of its own, where there can be one: a call in another thread may wait in it.
        own = store.clone() if hasattr(store, "clone") else store
        self._store = PrefixStore(f"iua_widget {ranks.name}", own)

    def post(self, name: str, notice: bytes) -> None:
        """Post a notice, of 8 MiB at the most.

        Raises
        ------
        DistributedError
            If the store is not there any more.
        """
        self._do("set", name, notice)

    def read(self, names: Sequence[str]) -> list[bytes]:
        """The notices of these names, which have been posted.

        Raises
        ------
        DistributedError
            If the store is not there any more.
        """
        found: list[bytes] = self._do("multi_get", list(names)) if names else []
        return found

    def remove(self, name: str) -> None:
        """Take a notice down.

        Raises
        ------
        DistributedError
            If the store is not there any more.
        """
        self._do("delete_key", name)

    def _do(self, call: str, *given: Any) -> Any:
        try:
            return getattr(self._store, call)(*given)
        except RuntimeError as error:
            message = (
                "the job's store does not answer: the process that has it, of rank 0 or of "
                f"torchrun, may have ended: {type(error).__name__}: {error!s:.200}."
            )
            raise DistributedError(message) from error


def _innermost(store: Any) -> Any:
    """The store itself, of one whose names are given prefixes."""
    while hasattr(store, "underlying_store"):
        store = store.underlying_store
    return store
