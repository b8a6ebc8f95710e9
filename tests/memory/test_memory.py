"""A run stays within its memory, and shows what it takes."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iua_widget import IUA, IUAWarning, IUAWidget, MemoryBudgetError
from iua_widget.common import amounts
from iua_widget.common.amounts import format_bytes, free_memory, memory_budget
from iua_widget.memory.plan import LayerNeed, plan_memory, thinned_columns
from iua_widget.run.loop import count
from iua_widget.run.open import open_source
from iua_widget.tally.store import BYTES_PER_UNIT
from iua_widget.tolerances import Stops, default_stops

pytestmark = pytest.mark.slow


RNG = np.random.default_rng(0)
STOPS = default_stops()
ALL = tuple(range(len(STOPS) + 1))


def responses(units: int, probes: int = 12) -> np.ndarray:
    return np.maximum(RNG.normal(size=(probes, units)), 0).astype(np.float32)


@pytest.mark.parametrize(
    ("asked", "number"),
    [
        ("2 GiB", 2 * 2**30),
        ("2GiB", 2 * 2**30),
        (" 1.5 mib ", 1_572_864),
        ("500 MB", 500_000_000),
        ("64kb", 64_000),
        ("1e", None),
        ("4096", 4096),
        (4096, 4096),
        (1e6, 1_000_000),
        (np.int64(7), 7),
    ],
)
def test_an_amount_is_read_as_it_is_written(asked: object, number: int | None) -> None:
    if number is None:
        with pytest.raises(MemoryBudgetError):
            memory_budget(asked)
    else:
        assert memory_budget(asked) == number


@pytest.mark.parametrize(
    "wrong", ["", "lots", "2 XB", "-1 GiB", 0, -5, 0.2, True, [1], float("nan")]
)
def test_what_is_no_amount_is_refused_saying_how_to_write_one(wrong: object) -> None:
    with pytest.raises(
        MemoryBudgetError, match=r"must be an amount of memory, such as memory='2 GiB'"
    ):
        IUA(memory=wrong)  # type: ignore[arg-type]


def test_by_default_a_run_may_hold_half_of_what_is_free() -> None:
    free = free_memory()
    assert 2**26 < free < 2**50
    assert IUA().memory == pytest.approx(free / 2, rel=0.2)


@pytest.mark.parametrize(
    ("limit", "free"),
    [("1000000", 600_000), ("300000", 0), ("max", None), (str(2**63 - 4096), None)],
)
def test_a_container_has_free_what_its_limit_leaves(
    limit: str, free: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = tmp_path / "most", tmp_path / "used"
    for file, text in zip(files, (limit, "400000"), strict=True):
        file.write_text(f"{text}\n")
    none = str(tmp_path / "none")
    monkeypatch.setattr(amounts, "_CGROUPS", ((none, none), tuple(map(str, files))))
    monkeypatch.setattr(amounts, "_free_on_the_machine", list)
    assert free_memory() == (2**31 if free is None else free)


def test_the_plan_is_what_the_run_then_holds() -> None:
    iua = IUA()
    assert iua.plan.empty
    iua = IUA.introspect({"a": responses(3000), "b": responses(50)}, memory="500 MB")
    plan = iua.plan.set_index("layer")
    assert list(plan.columns) == ["units", "stops", "of", "counter width", "bytes", "batch bytes"]
    assert plan.loc["a"].tolist()[:4] == [3000, len(iua.stops), len(iua.stops), 8]
    tally = iua._run.tally("a")
    held = tally.store.read_counts().counts.nbytes + 3000 * BYTES_PER_UNIT
    assert plan.loc["a", "bytes"] == held
    assert plan.loc["a", "batch bytes"] >= 12 * 3000


def test_batches_wait_to_be_counted_together_where_a_tenth_of_the_memory_holds_them() -> None:
    data = responses(20_000, probes=160)
    stepped = {}
    for memory in ("500 MB", "20 MB", "8 MB"):
        iua = IUA(memory=memory)
        steps = count(iua._run, open_source({"a": data}))
        waiting = [iua._run.tally("a").waiting for _ in zip(range(4), steps, strict=False)]
        batch_bytes = int(iua.plan["batch bytes"].iloc[0])
        assert batch_bytes >= 20_000 * (32 + max(waiting))
        assert iua._run.nbytes == 20_000 * (len(ALL) + BYTES_PER_UNIT + waiting[-1])
        stepped[memory] = waiting
        assert list(steps) == [32]
        assert not iua._run.tally("a").waiting
        counts = iua.at(atol=0.0).results["a"].unit_inactive_count
        assert counts.tolist() == (data == 0).sum(0).tolist()
    assert stepped == {
        "500 MB": [32, 64, 96, 128],
        "20 MB": [32, 64, 0, 32],
        "8 MB": [0, 0, 0, 0],
    }


def test_the_width_of_counters_is_planned_for_all_probes_to_come() -> None:
    batches = [{"a": np.zeros((8192, 4), np.float32)}] * 9
    assert IUA.introspect(batches).plan["counter width"].tolist() == [32]
    assert IUA.introspect(iter(batches[:8])).plan["counter width"].tolist() == [32]
    assert IUA.introspect(iter(batches[:7])).plan["counter width"].tolist() == [16]


def test_the_largest_layers_give_up_stops_and_say_so() -> None:
    producer = {"small": responses(100), "large": responses(20_000)}
    exact = IUA.introspect(producer)
    with pytest.warns(
        IUAWarning, match=r"fewer tolerances in 'large' \(at \d+ of 70.*memory='2.5 MB'"
    ):
        iua = IUA.introspect(producer, memory="2.5 MB")
    table = iua.at().to_pandas().set_index("response")
    stops = table["stops"].to_dict()
    assert stops["small"] == len(iua.stops)
    assert 3 <= stops["large"] < len(iua.stops)
    assert iua.plan.set_index("layer")["stops"].to_dict() == stops
    assert iua.plan[["bytes", "batch bytes"]].sum().sum() <= 2_500_000
    for atol in (0.0, iua.tolerances.atol, 3e-8, 0.05, 1.0, 10.0):
        for layer in producer:
            here, there = iua.at(atol=atol).results[layer], exact.at(atol=atol).results[layer]
            assert (here.mean_inactive, here.std_inactive, here.dead) == (
                there.mean_inactive, there.std_inactive, there.dead,
            )  # fmt: skip
            assert (here.lower <= there.lower).all()
            assert (here.upper >= there.upper).all()
            if here.exact:
                np.testing.assert_array_equal(here.lower, there.lower)
            dead = iua.units(layer, atol=atol)["dead"]
            assert dead.tolist() == exact.units(layer, atol=atol)["dead"].tolist()
    assert iua.at(atol=0.0).results["large"].exact
    assert iua.at(atol=iua.tolerances.atol).results["large"].exact
    assert not all(iua.at(atol=stop).results["large"].exact for stop in iua.stops)


def test_a_budget_that_cannot_do_names_the_layer_and_the_choices() -> None:
    with pytest.raises(MemoryBudgetError) as caught:
        IUA.introspect({"small": responses(10), "large": responses(50_000)}, memory="1 MB")
    for part in ("'large'", "50,000 units", "units='channel'", "layers=", "memory="):
        assert part in str(caught.value)
    assert caught.value.layer == "large"
    assert caught.value.partial is not None
    assert caught.value.partial.probes == 0


def test_a_batch_that_cannot_be_taken_in_leaves_what_was_counted() -> None:
    def producer(_size: int):  # noqa: ANN202
        yield {"a": responses(1000, probes=4)}
        yield {"a": responses(1000, probes=4)}
        yield {"a": responses(1000, probes=20_000)}

    with pytest.raises(MemoryBudgetError, match=r"layer 'a' has 1,000 units.*batch_size") as caught:
        IUA.introspect(producer, memory="5 MB")
    assert caught.value.partial is not None
    assert caught.value.partial.probes == 8
    result = caught.value.partial.at(atol=10.0).results["a"]
    assert result.unit_inactive_count.tolist() == [8] * 1000


def test_a_layer_that_comes_late_is_planned_for_then() -> None:
    torch = pytest.importorskip("torch")

    class Late(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = torch.nn.ReLU(), torch.nn.ReLU()

        def forward(self, x):  # noqa: ANN001, ANN202
            x = self.first(x)
            return self.second(x.repeat(1, 4)) if x[0, 0] == 7 else x

    inputs = torch.zeros(3, 2, 5000)
    inputs[2, 0, 0] = 7
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        iua = IUA.introspect(Late(), list(inputs), memory="2.8 MB", layers=["first", "second"])
    assert any("fewer tolerances in 'second'" in str(warning.message) for warning in caught)
    stops = iua.plan.set_index("layer")["stops"]
    assert 3 <= stops["second"] < stops["first"] <= len(iua.stops)
    assert iua.at(atol=0.0).results["second"].unit_inactive_count.sum() == 2 * 20_000 - 4


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 10**6), st.sampled_from([2, 4]), st.integers(0, 10**6)),
             min_size=1, max_size=6),
    st.integers(0, 10**9),
)  # fmt: skip
def test_a_plan_keeps_to_its_budget_or_refuses(
    layers: list[tuple[int, int, int]], budget: int
) -> None:
    needs = [
        LayerNeed(f"layer {number}", units, ALL, 2, width, batch)
        for number, (units, width, batch) in enumerate(layers)
    ]
    least = sum(need.bytes_with(4) + need.batch_bytes for need in needs)
    try:
        plans = plan_memory(needs, budget, STOPS, [1e-8])
    except MemoryBudgetError:
        assert least + max(need.transient(4) for need in needs) > budget
        return
    held = sum(plan.need.bytes_with(len(plan.columns)) + plan.need.batch_bytes for plan in plans)
    assert held <= budget
    for plan in plans:
        assert {0, STOPS.index(1e-8), len(STOPS)} <= set(plan.columns)
        assert plan.stops >= 3
        # Nobody gives up a stop while a smaller layer has room that would do for it.
        if plan.stops < len(STOPS):
            assert all(
                len(other.columns) >= len(plan.columns)
                for other in plans
                if other.need.units * other.need.final_width
                <= plan.need.units * plan.need.final_width
            )


def test_stops_that_are_left_spread_evenly_on_the_logarithmic_scale() -> None:
    for most in range(5, len(ALL)):
        columns = thinned_columns(ALL, STOPS, [1e-8], most)
        assert len(columns) == most
        logs = np.log10([STOPS[column] for column in columns[1:-1]])
        assert logs[0] == -8
        assert logs[-1] == 1
        # One halving of the widest gap may be left to do, and the grid's own gaps are up to 0.53.
        assert np.diff(logs).max() <= 2 * 9 / (most - 3) + 0.53


def test_thinning_again_keeps_to_what_is_held() -> None:
    first = thinned_columns(ALL, STOPS, [0.05], 20)
    again = thinned_columns(first, STOPS, [0.05], 8)
    assert set(again) <= set(first)
    assert STOPS.index(0.05) in again


def test_the_widget_tells_its_plan_and_what_was_thinned() -> None:
    w = IUAWidget({"a": responses(20_000)}, memory="2.2 MB")
    assert w.wait(60)
    assert w.status == "done"
    assert w.plan["stops"][0] < len(w.iua.stops)
    assert any("fewer tolerances in 'a'" in note for note in w.iua.notes)
    w.close()


def test_an_amount_of_memory_is_told_in_words() -> None:
    assert [format_bytes(size) for size in (0, 999, 2**20, 2.5 * 2**40)] == [
        "0 B", "999 B", "1 MiB", "2.5 TiB",
    ]  # fmt: skip


SCRIPT = """
import json, sys, warnings
import numpy as np
import psutil
from iua_widget import IUA, MemoryBudgetError
from iua_widget.engines.choice import choose_engine

warnings.simplefilter("ignore")
budget, units, layers, batches, probes, dtype = json.loads(sys.argv[1])
one = np.maximum(np.random.default_rng(0).normal(size=(probes, units)), 0).astype(dtype)
engine = choose_engine("cpu")  # its libraries and compiled loops are not the run's
few = np.zeros((200, 4000), dtype)
many = np.zeros((70_000, 300), dtype)  # for which counters are widened
IUA.introspect({"many": many}, engine="cpu", batch_size=200)
del many
for widths in ([4], [4000, 4]):
    for size in (200, 40):  # the second in some batches, after which layers are counted together
        layers_of = {str(width): few[:, :width] for width in widths}
        IUA.introspect(layers_of, engine="cpu", batch_size=size)
start = psutil.Process().memory_info().rss

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))

open("/proc/self/clear_refs", "w").write("5")  # the peak is measured from here
producer = ({f"layer {k}": one for k in range(layers)} for _ in range(batches))
try:
    iua = IUA.introspect(producer, memory=budget, engine="cpu")
except MemoryBudgetError as error:
    print(json.dumps([peak() - start, str(error), error.partial.probes]))
else:
    print(json.dumps([peak() - start, iua.plan["stops"].tolist(), iua.probes]))
"""


def measured(*arguments: object) -> tuple[int, list[int] | str, int]:
    """The peak of a run beside its own responses, its stops or why it was refused, its probes."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(arguments)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    peak, stops, counted = json.loads(done.stdout)
    return peak, stops, counted


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
@pytest.mark.parametrize(
    ("budget", "units", "layers", "batches", "probes", "dtype"),
    [
        (120_000_000, 100_000, 8, 3, 16, "float32"),  # stops must be given up
        (100_000_000, 1_000_000, 1, 3, 16, "float32"),  # one large layer
        (60_000_000, 4_000, 20, 400, 200, "float32"),  # counters must be widened
        (200_000_000, 20_000, 100, 3, 16, "float32"),  # many layers
        (200_000_000, 20_000, 100, 3, 16, "int8"),  # which are made float64, one by one
        (40_000_000, 4, 3000, 3, 4, "float16"),  # more of objects than of counts
    ],
)
def test_resident_memory_stays_within_the_budget(  # noqa: PLR0917
    budget: int, units: int, layers: int, batches: int, probes: int, dtype: str
) -> None:
    # A run takes the same each time; what the system adds on a busy machine differs.
    for _ in range(3):
        peak, stops, counted = measured(budget, units, layers, batches, probes, dtype)
        if peak <= budget:
            break
    assert counted == batches * probes
    assert isinstance(stops, list)
    assert min(stops) >= 3
    assert peak <= budget
    assert peak >= 0.3 * budget, "the budget was hardly used"


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
@pytest.mark.parametrize(
    ("budget", "units", "layers", "probes"),
    [(200_000_000, 20_000, 100, 32), (20_000_000, 4, 20_000, 4), (5_000_000, 10_000, 10, 1000)],
)
def test_what_does_not_fit_is_refused_before_it_takes_memory(
    budget: int, units: int, layers: int, probes: int
) -> None:
    peak, why, counted = measured(budget, units, layers, 2, probes, "float32")
    assert isinstance(why, str), "it was counted"
    assert "memory= allows" in why
    assert counted == 0
    assert peak <= budget


def test_what_is_kept_of_each_probe_is_planned_for() -> None:
    data = {"a": np.zeros((40_000, 1), np.float32)}
    with pytest.raises(MemoryBudgetError, match=r"keep_inactive=False \(layers and what is kept"):
        IUA.introspect(data, memory="300 kB")
    assert IUA.introspect(data, memory="300 kB", keep_inactive=False).probes == 40_000
    with pytest.raises(MemoryBudgetError, match="keep_inactive=False") as caught:
        IUA.introspect(({"a": data["a"][:1000]} for _ in range(200)), memory="2 MB")
    assert caught.value.partial is not None
    assert caught.value.partial.probes >= 100_000


def test_the_grid_that_is_thinned_is_the_users() -> None:
    with pytest.warns(IUAWarning, match="fewer tolerances"):
        iua = IUA.introspect(
            {"a": responses(20_000)}, stops=np.geomspace(1e-6, 1, 60), atol=0.5, memory="2 MB"
        )
    held = [Stops(iua.stops).values[column] for column in iua._run.tally("a").columns[:-1]]
    assert {0.0, 0.5} <= set(held)
    assert held[1] == pytest.approx(1e-6)
