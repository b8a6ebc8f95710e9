"""Launches of Triton's kernels, and launches that are made again without its checks."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True, slots=True)
class Launch:
    """A launch of a kernel, all but its first arguments.

    Attributes
    ----------
    kernel : triton.JITFunction
    grid : tuple of int
    arguments : sequence
        By place, after those that change.
    options : mapping
        Constants by name, and how to compile.
    """

    kernel: Any
    grid: tuple[int, ...]
    arguments: Sequence[Any]
    options: Mapping[str, Any]

    def __call__(self, *changing: Any) -> Any:
        """Make it, and return what Triton does: the compiled kernel."""
        return self.kernel[self.grid](*changing, *self.arguments, **self.options)


class PreparedLaunch:
    """A launch that is made again and again, with other first arguments of the same kind.

    Triton binds, checks and hashes all arguments whenever a kernel is launched, which takes longer
    than to launch it. That is done once here: what `Launch` gives back, the compiled kernel, can be
    launched by itself. Where a release of Triton has it otherwise (or where its interpreter runs
    the kernel) all launches are ordinary ones.

    What the compiler has taken for granted must stay so: that an address is a multiple of 16, and
    the type of a number.

    Parameters
    ----------
    launch : Launch

    Attributes
    ----------
    ordinary : bool
        Whether Triton's checks are not passed by.
    """

    __slots__ = ("_again", "_launch", "_packed", "ordinary")

    def __init__(self, launch: Launch) -> None:
        self.ordinary = False
        self._launch = launch
        self._again: Callable[..., object] | None = None
        self._packed: tuple[Any, ...] = ()

    def __call__(
        self,
        *changing: int,
        stream: int | None,
        tensors: Callable[[], Sequence[Any]] | None = None,
    ) -> None:
        """Launch it.

        Parameters
        ----------
        *changing : int
            The first arguments: numbers, and addresses of tensors.
        stream : int or None
            The current stream, None where there are none.
        tensors : callable, optional
            What gives the same with the tensors themselves, as an ordinary launch takes them.
        """
        if self._again is not None:
            try:
                self._again(*changing, *self._packed, stream=stream)
            except Exception:  # noqa: BLE001  (another release; what is wrong is raised below)
                self._again, self.ordinary = None, True
            else:
                return
        compiled = self._launch(*(changing if tensors is None else tensors()))
        if not self.ordinary:
            self._prepare(compiled, len(changing))

    def _prepare(self, compiled: Any, changing: int) -> None:
        try:
            x, y, z = (*self._launch.grid, 1, 1)[:3]  # which are all used here
            self._again = compiled[x, y, z]
            names = list(inspect.signature(self._launch.kernel.fn).parameters)[changing:]
        except Exception:  # noqa: BLE001  (it is not what it is taken for)
            self._again, self.ordinary = None, True
            return
        by_place = [
            one.data_ptr() if isinstance(one, torch.Tensor) else one
            for one in self._launch.arguments
        ]
        constants = [self._launch.options[name] for name in names[len(by_place) :]]
        self._packed = (*by_place, *constants)


def stream_of(device: torch.device) -> Callable[[], int | None]:
    """What tells on which stream of a device a launch would be; -1 on none, of another device.

    Examples
    --------
    >>> stream_of(torch.device("cpu"))() is None
    True
    """
    if device.type != "cuda":
        return lambda: None
    from triton.runtime import driver

    active, index = driver.active, device.index
    return lambda: active.get_current_stream(index) if active.get_current_device() == index else -1
