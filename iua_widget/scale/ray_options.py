"""`ray_options=`: what of it Ray's `map_batches` is given, checked."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from typing import Any, Final

from iua_widget.common.words import did_you_mean, named
from iua_widget.errors import ProducerError

_OURS: Final = (
    "fn",
    "fn_args",
    "fn_kwargs",
    "fn_constructor_args",
    "fn_constructor_kwargs",
    "batch_format",
    "zero_copy_batch",
    "udf_modifying_row_count",
)
"""Arguments of `map_batches` that are settled by what is counted, and how."""


def is_ray_dataset(loader: object) -> bool:
    """Whether it is a `ray.data.Dataset`; Ray is not imported to tell."""
    module = sys.modules.get("ray.data")
    return module is not None and isinstance(loader, module.Dataset)


def checked_options(given: Mapping[str, Any] | None, dataset: Any) -> dict[str, Any]:
    """Options for `map_batches` of a dataset.

    Raises
    ------
    ProducerError
        If they are no mapping, or one of them is not the user's to set, or there is none of
        that name.
    """
    import ray

    if given is None:
        return {}
    if not isinstance(given, Mapping):
        message = (
            "ray_options must be a mapping of arguments of ray.data.Dataset.map_batches, such as "
            f"ray_options={{'num_gpus': 1}}; got {type(given).__name__}."
        )
        raise ProducerError(message)
    for name in given:
        if name in _OURS:
            message = (
                f"ray_options has {name!r}, which iua_widget sets itself: leave it out. Options "
                "are those that say who counts, such as compute, num_cpus, num_gpus, batch_size."
            )
            raise ProducerError(message)
    parameters = inspect.signature(dataset.map_batches).parameters.values()
    known = [one.name for one in parameters if one.kind is one.KEYWORD_ONLY]
    of_actors = {name: value for name, value in given.items() if name not in known}
    if of_actors:
        try:
            ray.remote(**of_actors)(_Actor)
        except (ValueError, TypeError) as error:
            names = [name for name in known if name not in _OURS]
            hint = did_you_mean(next(iter(of_actors)), names)
            message = (
                f"ray_options has {named(list(of_actors))}, which neither map_batches nor an actor "
                f"of Ray takes so.{hint} Ray says: {error}"
            )
            raise ProducerError(message) from None
    return dict(given)


class _Actor:
    """Stands for what is counted on, to have Ray check options."""
