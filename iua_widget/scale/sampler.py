"""What a DistributedSampler repeats, so that all ranks have equally many samples: left out."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import Any

from iua_widget.errors import ProducerError
from iua_widget.options import SourceOptions
from iua_widget.scale.ray_options import is_ray_dataset


@dataclass(frozen=True, slots=True)
class OwnSamples:
    """A loader without the samples that another rank has as well.

    Attributes
    ----------
    loader : Any
    options : SourceOptions
    note : str
        Of samples that are counted twice, where they cannot be left out; empty elsewhere.
    """

    loader: Any
    options: SourceOptions
    note: str = ""


def own_samples(loader: Any, options: SourceOptions) -> OwnSamples:
    """Leave out what the sampler of a loader has added at this rank's end.

    Parameters
    ----------
    loader : Any
        Only a DataLoader with a DistributedSampler is another one afterwards.
    options : SourceOptions

    Raises
    ------
    ProducerError
        If it is a Ray dataset, all of which each rank would have Ray's workers count.
    """
    if is_ray_dataset(loader):
        message = (
            "the batches of a Ray dataset are counted on Ray's workers, all of them for each rank "
            "that asks: leave distributed= out and count in one process, or give each rank's part, "
            "such as dataset.split(2)[rank].iter_torch_batches()."
        )
        raise ProducerError(message)
    torch = sys.modules.get("torch")
    sampler = getattr(loader, "sampler", None)
    if torch is None or not isinstance(sampler, torch.utils.data.DistributedSampler):
        return OwnSamples(loader, options)
    dataset: Any = sampler.dataset
    own = len(range(sampler.rank, len(dataset), sampler.num_replicas))
    repeated = sampler.num_samples - own
    if sampler.drop_last or repeated <= 0:
        return OwnSamples(loader, options)
    collate = getattr(loader, "collate_fn", None)
    if loader.batch_size is None or collate is not torch.utils.data.default_collate:
        note = (
            f"{repeated} of this rank's samples may be counted twice: DistributedSampler repeats "
            "them so that all ranks have equally many. Give it drop_last=True, or a dataset that "
            "the number of ranks divides."
        )
        return OwnSamples(loader, options, note)
    most = own if options.max_probes is None else min(own, options.max_probes)
    return OwnSamples(loader, replace(options, max_probes=most)) if own else OwnSamples([], options)
