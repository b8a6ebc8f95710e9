"""Large runs: time and memory at one size over those at a quarter of it, which is 1 if linear."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

from against_dnikit import relu
from fresh import forget_peak_memory, in_fresh_process, peak_memory
from measure import Row, Spread, look_for_loops_at_once, seconds, side_by_side, size, timed

TITLE = "Scale: time and memory for each unit, layer or probe, over those at a quarter of the size"


def rows(*, quick: bool = False) -> Iterator[Row]:
    pairs = 0 if quick else 3
    shrink = 10_000 if quick else 1
    yield from _growth(
        one_large_layer, 10_000_000 // shrink, pairs, "unit", "one layer of {} units"
    )
    yield from _growth(many_layers, 2_000 // (shrink // 50 or 1), pairs, "layer", "{} layers")
    yield from _growth(
        class_head,
        200_000 // (shrink // 20 or 1),
        pairs,
        "probe",
        "a head of 1,000 classes, {} probes",
    )
    yield from _growth(
        sparse_latents,
        1_000_000 // (shrink // 10 or 1),
        pairs,
        "latent",
        "a sparse autoencoder of {} latents, 0.01 % active",
    )
    yield _thinned(10_000_000 // shrink, "2 MB" if quick else "1 GiB")
    yield _doubled(4 if quick else 20, pairs=3 if quick else 15)


def one_large_layer(*, units: int, memory: str | None = None) -> dict[str, Any]:
    """Batches of two probes."""
    return _counted({"layer": relu((2, units), seed=0)}, batches=8, memory=memory)[1]


def many_layers(*, units: int) -> dict[str, Any]:
    """So many layers of 256 units, batches of 32 probes; what the page is sent is timed, too."""
    from iua_widget.widget.snapshots import table_snapshot

    one = relu((32, 256), seed=0)
    batch = {f"layer{number}": one for number in range(units)}
    iua, found = _counted(batch, batches=8)
    start = time.perf_counter()
    tallies = {layer: iua._run.tally(layer) for layer in iua.layers}
    table_snapshot(tallies, iua._run.options.grid, iua.tolerances)
    middle = time.perf_counter()
    iua.to_pandas()
    found["also"] = (
        f"what the page is sent {seconds(middle - start)}, "
        f"the table {seconds(time.perf_counter() - middle)}"
    )
    return found


def class_head(*, units: int) -> dict[str, Any]:
    """Logits of 1,000 classes; the size is the number of probes."""
    import numpy as np

    batch = {"head": np.random.default_rng(0).standard_normal((1000, 1000), np.float32)}
    return _counted(batch, batches=max(units // 1000, 2), whole=True, keep_inactive=False)[1]


def sparse_latents(*, units: int) -> dict[str, Any]:
    """Batches of 64 probes, of whose latents one in ten thousand is active."""
    import numpy as np

    random = np.random.default_rng(0)
    latents = np.zeros((64, units), np.float32)
    active = max(units // 10_000, 1)
    latents[np.arange(64)[:, None], random.integers(units, size=(64, active))] = 1.5
    return _counted({"latents": latents}, batches=8)[1]


def _counted(
    batch: dict[str, Any], *, batches: int, whole: bool = False, **options: Any
) -> tuple[Any, dict[str, Any]]:
    """Count a batch again and again: seconds of the first, which allocates, and of one, or all."""
    from iua_widget import IUA
    from iua_widget.run.loop import count
    from iua_widget.run.open import open_source

    look_for_loops_at_once()
    IUA.introspect({"to compile": relu((64, 2**14), seed=0)})
    forget_peak_memory()
    before = peak_memory()
    iua = IUA(**options)
    steps = count(iua._run, open_source(iter([batch] * batches)))
    first = timed(lambda: next(steps))
    others = [timed(lambda: next(steps)) for _ in range(batches - 1)]
    held = max(peak_memory() - before, 0)  # the process may have given back some of what it had
    layer, responses = next(iter(batch.items()))
    zeros = batches * int((responses == 0).sum())
    assert iua.results[layer].unit_inactive_count.sum() == zeros
    stops = iua.plan["stops"]
    return iua, {
        "first": first,
        "seconds": sum(others) if whole else statistics.median(others),
        "held": held,
        "stops": int(stops.min()),
        "budget": iua.memory,
    }


def _growth(
    function: Callable[..., dict[str, Any]], units: int, pairs: int, each: str, what: str
) -> Iterator[Row]:
    call = in_fresh_process if pairs else _here
    small, large = [], []
    for _ in range(pairs or 1):
        small.append(call(function, units=units // 4))
        large.append(call(function, units=units))
    last = large[-1]
    then = "those after it, in all," if function is class_head else "one of those after it"
    also = f"; {last['also']}" if "also" in last else ""
    yield Row(
        f"{what.format(f'{units:,}')}: time a {each}",
        f"{units // 4:,}",
        _spread(small, large, "seconds"),
        f"first batch {seconds(last['first'])}, {then} {seconds(last['seconds'])}; counted "
        f"at {last['stops']} stops{also}",
    )
    if function is not class_head:
        yield Row(
            f"{what.format(f'{units:,}')}: memory a {each}",
            f"{units // 4:,}",
            _spread(small, large, "held"),
            f"{size(last['held'])} beyond the responses, {size(last['held'] / units)} a {each}; "
            f"`memory` by default {size(last['budget'])}",
        )


def _here(function: Callable[..., dict[str, Any]], **arguments: Any) -> dict[str, Any]:
    """In this process, where the figures do not matter."""
    return function(**arguments)


def _spread(small: list[dict[str, Any]], large: list[dict[str, Any]], key: str) -> Spread:
    ratios = [b[key] / max(a[key], 1e-9) / 4 for a, b in zip(small, large, strict=True)]
    return Spread.of(ratios)


def _thinned(units: int, memory: str) -> Row:
    found = in_fresh_process(one_large_layer, units=units, memory=memory)
    share = found["held"] / found["budget"]
    return Row(
        f'one layer of {units:,} units, `memory="{memory}"`: memory beyond the responses',
        "the budget",
        Spread.of([share]),
        f"{size(found['held'])} held; counts of units at {found['stops']} of 70 stops",
        must=1.1,
    )


def _doubled(times: int, pairs: int) -> Row:
    """A run merged with itself until it has seen 10^10 probes."""
    from iua_widget import IUA

    responses = {"head": relu((10_000, 1_000), seed=0)}
    iua = IUA.introspect(responses, batch_size=1_000, keep_inactive=False)
    counts, probes = iua.results["head"].unit_inactive_count, iua.probes
    runs = [iua]
    start = time.perf_counter()
    for _ in range(times):
        runs.append(runs[-1].merge(runs[-1]))
    took = time.perf_counter() - start
    few, many = runs[3], runs[-1]
    assert many.probes == probes * 2**times
    assert (many.results["head"].unit_inactive_count == counts * 2**times).all()
    merges = side_by_side(lambda: many.merge(many), lambda: few.merge(few), pairs=pairs)
    held = [size(run._run.tally("head").store.read_counts().counts.nbytes) for run in (few, many)]
    return Row(
        f"{many.probes:.3g} probes of 1,000 units, reached in {seconds(took)} by {times} merges "
        "of a run with itself: one merge more",
        f"a merge at {few.probes:,} probes",
        merges.overhead,
        f"{merges.in_words('there', 'here')}; counters {held[1]} and {held[0]}; counts exact",
    )
