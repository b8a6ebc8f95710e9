"""`Ranks`: the processes of a group of `torch.distributed`, and what they sum together."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from iua_widget.errors import DistributedError

if TYPE_CHECKING:
    import torch
    from torch.distributed import ProcessGroup

KEPT: Final = "What was counted on this rank is as it was: save it with iua.save(path)."


class Ranks:
    """The ranks of a group: what they exchange.

    Parameters
    ----------
    group : torch.distributed.ProcessGroup, optional
        All ranks of the job where left out.
    kept : str
        What becomes of the counts of this rank where another is lost, to end a message.

    Attributes
    ----------
    rank : int
        This process in the group.
    size : int
        How many there are.
    device : torch.device
        Where what is summed must lie.

    Raises
    ------
    DistributedError
        If there is no such group here.
    """

    def __init__(self, group: ProcessGroup | None = None, kept: str = KEPT) -> None:
        self._group, self._kept = group, kept
        self._lost = ""
        loaded = sys.modules.get("torch")
        distributed = None if loaded is None else loaded.distributed
        if distributed is None or not distributed.is_available():
            reason = "PyTorch's process groups are not there"
            raise _no_group(reason)
        if not distributed.is_initialized():
            reason = "no process group is initialized"
            raise _no_group(reason)
        self.rank: int = distributed.get_rank(group)
        if self.rank < 0:
            message = (
                f"rank {distributed.get_rank()} of the job is not in the group that was given: "
                "call all_reduce on the ranks of the group only."
            )
            raise DistributedError(message)
        self.size: int = distributed.get_world_size(group)
        self.device: torch.device = _device(distributed.get_backend_config(group))

    @property
    def name(self) -> str:
        """What the group is called, the same on all ranks."""
        return str(getattr(self._group, "group_name", ""))

    @classmethod
    def apart(cls, kept: str) -> Ranks:
        """All ranks of the job in a gloo group of their own, which each of them makes here.

        Nothing that is exchanged in it comes between what the model exchanges, whatever the backend
        of the job. Its timeout is that of the job.

        Raises
        ------
        DistributedError
            If no process group is initialized, or one of them does not come within the timeout.
        """
        ranks = cls(None, kept)
        import torch.distributed as dist

        with ranks._failures_told():
            group = dist.new_group(backend="gloo", timeout=job_store().timeout)
        return cls(group, kept)

    def exchange(self, told: Any) -> list[Any]:
        """What every rank tells, in the order of the ranks.

        Raises
        ------
        DistributedError
            If a rank does not answer within the group's timeout.
        """
        import torch.distributed as dist

        answers: list[Any] = [None] * self.size
        with self._failures_told():
            dist.all_gather_object(answers, told, self._group)
        return answers

    def sum(self, values: np.ndarray, *, largest: bool = False) -> None:
        """Put the sums over all ranks, or the largest values, in the place of these.

        Parameters
        ----------
        values : numpy.ndarray of uint8, int32, int64 or float64
            Of the same shape and dtype on all ranks.
        largest : bool

        Raises
        ------
        DistributedError
            If a rank does not answer within the group's timeout.
        """
        import torch
        import torch.distributed as dist

        here = torch.from_numpy(values)
        with self._failures_told():
            there = here.to(self.device)
            dist.all_reduce(there, dist.ReduceOp.MAX if largest else dist.ReduceOp.SUM, self._group)
            if there is not here:
                here.copy_(there)

    @contextmanager
    def _failures_told(self) -> Iterator[None]:
        if self._lost:  # a group that has lost a rank does not find it again
            raise DistributedError(self._lost)
        try:
            yield
        except RuntimeError as error:
            self._lost = (
                f"rank {self.rank} heard nothing from the others, of which one may have died, or "
                f"may take longer than the group's timeout: {type(error).__name__}: "
                f"{error!s:.300}. {self._kept}"
            )
            raise DistributedError(self._lost) from error


def job_store() -> Any:
    """What the ranks of the job have found each other by, which all of them can write and read."""
    from torch.distributed.distributed_c10d import _get_default_store

    return _get_default_store()


def _no_group(reason: str) -> DistributedError:
    message = (
        f"{reason}: start the script with torchrun, and call "
        "torch.distributed.init_process_group() first."
    )
    return DistributedError(message)


def _device(backends: str) -> torch.device:
    """Where the tensors of a group must lie, of such as ``"cpu:gloo,cuda:nccl"``: the host, if so.

    Examples
    --------
    >>> _device("cpu:gloo,cuda:gloo")
    device(type='cpu')
    """
    import torch

    kinds = [one.partition(":")[0] for one in backends.split(",")]
    if "cpu" in kinds:
        return torch.device("cpu")
    return torch.device(kinds[0], getattr(torch, kinds[0]).current_device())
