"""Ranks of `torch.distributed` have the counts of one process, or all of them an error."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from iua_widget import IUA, DistributedError

CHECKS = Path(__file__).with_name("checks_on_ranks.py")


@pytest.mark.slow
def test_every_check_holds_on_each_of_four_ranks(tmp_path: Path) -> None:
    ranks = [
        subprocess.Popen(
            [sys.executable, "-W", "error", CHECKS, tmp_path, str(rank), "4"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(4)
    ]
    ends = [rank.communicate(timeout=150) for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0, 0, 7], "\n".join(end[1] for end in ends)
    held = {printed.split()[0]: printed.split() for printed, _ in ends}
    assert len(held) == 1
    assert len(next(iter(held.values()))) == CHECKS.read_text(encoding="utf-8").count("\n@check\n")


def test_without_a_group_the_error_says_how_there_is_one() -> None:
    iua = IUA.introspect({"a": np.eye(3)}, engine="reference")
    for call in (iua.all_reduce, lambda: IUA.introspect({"a": np.eye(3)}, distributed=True)):
        with pytest.raises(DistributedError, match=r"start the script with torchrun, and call torch\.distributed\.init_process_group\(\) first"):  # fmt: skip # noqa: E501
            call()
