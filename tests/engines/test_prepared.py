"""Launches that are made again without Triton's checks: of kernels that only note what they get."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from iua_widget.engines.device.prepared import Launch, PreparedLaunch, stream_of


class Compiled:
    """What a kernel gives back once it was launched: launched by itself it takes everything."""

    def __init__(self, into: list[Any], error: Exception | None = None) -> None:
        self._into, self._error = into, error

    def __getitem__(self, grid: tuple[int, int, int]) -> Callable[..., None]:
        assert len(grid) == 3  # or Triton's would fail

        def launch(*args: Any, stream: int | None = None) -> None:
            if self._error is not None:
                raise self._error
            self._into.append(("again", grid, args, stream))

        return launch


class Kernel:
    """A kernel of two arrays, a number and a constant."""

    def __init__(self, compiled: Any, into: list[Any]) -> None:
        self._compiled, self._into = compiled, into

    @staticmethod
    def fn(values: Any, bins: Any, units: int, width: int) -> None: ...

    def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., Any]:
        def launch(*args: Any, **options: Any) -> Any:
            self._into.append(("ordinary", grid, args, options))
            return self._compiled

        return launch


VALUES, BINS = torch.zeros(3), torch.zeros(3)
OPTIONS = {"width": 16, "num_warps": 4}


def launched(compiled: Any, noted: list[Any], times: int = 3) -> PreparedLaunch:
    launch = PreparedLaunch(Launch(Kernel(compiled, noted), (2, 1), (BINS, 3), OPTIONS))
    for time in range(times):
        launch(100 + time, stream=7, tensors=lambda: (VALUES,))
    return launch


def test_from_the_second_time_on_only_the_compiled_kernel_is_launched() -> None:
    noted: list[Any] = []
    launch = launched(Compiled(noted), noted)
    assert not launch.ordinary
    assert noted[0] == ("ordinary", (2, 1), (VALUES, BINS, 3), OPTIONS)
    assert noted[1:] == [
        ("again", (2, 1, 1), (100 + time, BINS.data_ptr(), 3, 16), 7) for time in (1, 2)
    ]


@pytest.mark.parametrize("error", [TypeError("takes 9 arguments"), RuntimeError("other release")])
def test_a_release_that_cannot_do_it_launches_as_ever(error: Exception) -> None:
    noted: list[Any] = []
    launch = launched(Compiled(noted, error), noted)
    assert launch.ordinary
    assert [kind for kind, *_ in noted] == ["ordinary"] * 3


@pytest.mark.parametrize("compiled", [None, object()])
def test_so_does_what_gives_back_no_compiled_kernel(compiled: object) -> None:
    noted: list[Any] = []
    assert launched(compiled, noted).ordinary
    assert [kind for kind, *_ in noted] == ["ordinary"] * 3


def test_on_the_host_there_are_no_streams() -> None:
    assert stream_of(torch.device("cpu"))() is None
