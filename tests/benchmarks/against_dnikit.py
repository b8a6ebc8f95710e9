"""All tolerances against DNIKit's one: `IUA.introspect` on NumPy float32, from one producer."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from measure import Row, side_by_side

TITLE = "Counting all tolerances, against DNIKit counting one"

_AGAINST = "DNIKit's `IUA.introspect` at its one tolerance, same producer"


def rows(*, quick: bool = False) -> Iterator[Row]:
    batches, pairs = (2, 1) if quick else (4, 7)
    for length in (batches, 2 * batches if quick else 32):
        one_layer = {"relu": relu((length * 64, 512 if quick else 65_536), seed=0)}
        what = f"one layer, 64 probes × 65,536 units, {length} batches"
        yield _compared(one_layer, 64, pairs, what)
    layers, largest = (3, 600) if quick else (50, 100_000)
    for length, batch in ((batches, 32), (2 * batches, 64)):
        yield _compared(
            mixed_layers(layers, length * batch, largest=largest),
            batch,
            pairs,
            f"50 layers, 1,000 to 100,000 units, dense and maps, {length} batches of {batch}",
        )


def relu(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Responses of which half are exact zeros."""
    values = np.random.default_rng(seed).standard_normal(shape, np.float32)
    return np.maximum(values, 0, out=values)


def mixed_layers(layers: int, probes: int, *, largest: int) -> dict[str, np.ndarray]:
    """Every other layer dense, the others maps; sizes evenly on the logarithmic scale."""
    sizes = np.geomspace(largest / 100, largest, layers).round().astype(int)
    found = {}
    for number, units in enumerate(np.random.default_rng(1).permutation(sizes).tolist()):
        side = max(int((units / 16) ** 0.5), 1)
        shape = (16, side, side) if number % 2 else (units,)
        found[f"layer{number}"] = relu((probes, *shape), seed=number)
    return found


def _compared(responses: dict[str, np.ndarray], batch: int, pairs: int, what: str) -> Row:
    from dnikit.introspectors import IUA as DNIKitIUA  # noqa: N811
    from dnikit.samples import StubProducer

    from iua_widget import IUA

    producer = StubProducer(responses)
    assert_same(IUA.introspect(producer, batch_size=batch), producer, batch)
    times = side_by_side(
        lambda: IUA.introspect(producer, batch_size=batch),
        lambda: DNIKitIUA.introspect(producer, batch_size=batch),
        pairs=pairs,
    )
    values = sum(array.size for array in responses.values())
    rate = values / times.our_median / 1e9
    return Row(
        f"`IUA.introspect`, float32, half exact zeros: {what}",
        _AGAINST,
        times.speedup,
        f"{times.in_words('ours', 'DNIKit')}; {values / 1e6:,.0f} M values, {rate:.2f} G/s",
        must=8,
        goal=25,
        better="higher",
    )


def assert_same(ours: object, producer: object, batch: int) -> None:
    """What is timed must be right: every figure of DNIKit's is ours, too."""
    from dnikit.introspectors import IUA as DNIKitIUA  # noqa: N811

    theirs = DNIKitIUA.introspect(producer, batch_size=batch)
    for layer, expected in theirs.results.items():
        result = ours.results[layer]  # type: ignore[attr-defined]
        assert result.inactive == expected.inactive
        assert np.array_equal(result.unit_inactive_count, expected.unit_inactive_count)
