"""Ranks of `torch.distributed` have the counts of one process, or all of them an error."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from iua_widget import IUA, DistributedError

CHECKS = Path(__file__).with_name("checks_on_ranks.py")
OTHERS = [Path(__file__).with_name(name) for name in ("monitor_on_ranks.py", "widget_on_ranks.py")]


@pytest.mark.slow
def test_every_check_holds_on_each_of_four_ranks(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    start = [sys.executable, "-W", "error", CHECKS.with_name("fork_ranks.py")]
    ran = subprocess.run(
        [*start, tmp_path, str(port), "4"], capture_output=True, text=True, timeout=150, check=True
    )
    ends = [(tmp_path / f"{rank}.txt").read_text(encoding="utf-8") for rank in range(4)]
    assert json.loads(ran.stdout) == [0, 0, 0, 7], "\n".join(ends)
    held = {end.splitlines()[-1] for end in ends}
    assert len(held) == 1
    texts = [one.read_text(encoding="utf-8") for one in (CHECKS, *OTHERS)]
    checks = sum(text.count("\n@check\n") for text in texts)
    assert len(held.pop().split()) == checks


def test_without_a_group_the_error_says_how_there_is_one() -> None:
    iua = IUA.introspect({"a": np.eye(3)}, engine="reference")
    for call in (iua.all_reduce, lambda: IUA.introspect({"a": np.eye(3)}, distributed=True)):
        with pytest.raises(DistributedError, match=r"start the script with torchrun, and call torch\.distributed\.init_process_group\(\) first"):  # fmt: skip # noqa: E501
            call()
