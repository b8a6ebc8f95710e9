"""The page's measures, over the raw DevTools protocol: ``python tests/benchmarks/browser.py``.

Writes browser_results.md beside itself. Everything is measured in the built bundle; what a kernel
would send is made by the same code that sends it, and only the last measure needs a server.
"""

from __future__ import annotations

import functools
import gzip
import http.server
import itertools
import json
import os
import platform
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "browser"), str(HERE.parents[1])]

import numpy as np
from browser_cdp import Tab, chromium
from servers import KERNEL_IS_READY, running_lab
from stub_page import page_state, stub_page

from iua_widget import IUA, IUAWidget
from iua_widget.widget.assets import script, styles
from iua_widget.widget.connection import LARGEST_FRAME
from iua_widget.widget.snapshots import units_snapshot

MILLION = 1_000_000
RESULTS = HERE / "browser_results.md"
READY = "window.ready && document.querySelector('canvas[data-layer]')"
RNG = np.random.default_rng(11)


@dataclass(frozen=True)
class Result:
    """One row of the table."""

    what: str
    must: str
    goal: str
    measured: str
    how: str

    def __str__(self) -> str:
        return f"| {self.what} | {self.must} | {self.goal} | {self.measured} | {self.how} |"


@functools.cache
def counted(layers: int, largest: int = MILLION, probes: int = 64) -> IUA:
    """One layer of a million units, and many small ones beside it."""

    def batches(batch_size: int) -> Iterator[dict[str, np.ndarray]]:
        for _ in range(0, probes, batch_size):
            big = RNG.standard_normal((batch_size, largest), dtype=np.float32)
            np.maximum(big, 0, out=big)
            big[:, ::997] = 0
            small = np.maximum(RNG.standard_normal((batch_size, layers, 64), np.float32), 0)
            yield {"big": big} | {
                f"blocks.{i // 10}.layer{i % 10}": small[:, i] for i in range(layers)
            }

    return IUA.introspect(batches, batch_size=16, keep_inactive=False)


@contextmanager
def served(widget: IUAWidget, units: bytes) -> Iterator[str]:
    """The page, and what a kernel would send it, on a server of its own."""
    with tempfile.TemporaryDirectory() as folder:
        state = page_state(widget)
        del state["_units"], state["_table"]
        Path(folder, "table.bin").write_bytes(widget._table)
        Path(folder, "units.bin").write_bytes(units)
        page = stub_page(state).replace(
            "window.ready = true;",
            """for (const name of ["table", "units"]) {
                const answer = await fetch(`${name}.bin`);
                window.update({ [`_${name}`]: new DataView(await answer.arrayBuffer()) });
            }
            window.ready = true;""",
        )
        Path(folder, "index.html").write_text(page, encoding="utf-8")
        handler = functools.partial(QuietHandler, directory=folder)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/index.html"
        finally:
            server.shutdown()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files and says nothing of it."""

    def log_message(self, *_: Any) -> None:
        pass


def each(tab: Tab, steps: int, act: Callable[[int], None]) -> dict[str, list[float]]:
    """Milliseconds of the main thread that each step takes until it is painted."""
    spent: dict[str, list[float]] = {"script": [], "task": []}
    for step in range(steps):
        tab.painted()
        before = tab.spent()
        act(step)
        tab.painted()
        after = tab.spent()
        for kind, values in spent.items():
            values.append(1000 * (after[kind] - before[kind]))
    return spent


def quantile(values: list[float], share: float) -> float:
    return float(np.quantile(values, share))


def figures(spent: dict[str, list[float]]) -> str:
    """The main thread's whole work beside the scripts', in words."""
    task = spent["task"]
    return f"layout and painting included {quantile(task, 0.5):.1f} / {quantile(task, 0.95):.1f} ms"


def press(tab: Tab, key: str, code: int) -> None:
    for kind in ("rawKeyDown", "keyUp"):
        tab.ask("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)


def slider_steps(tab: Tab, steps: int) -> list[Result]:
    # From 1e-4 up to 1 and back, where every step changes the figures.
    tab.evaluate(
        "(() => { const slider = document.querySelector('.iua-widget input[type=range]');"
        "slider.value = 34; slider.dispatchEvent(new Event('input', { bubbles: true }));"
        "slider.focus(); })()"
    )
    shown: list[str] = []
    half = 26

    def step(number: int) -> None:
        right = (number // half) % 2 == 0
        press(tab, "ArrowRight" if right else "ArrowLeft", 39 if right else 37)

    def step_and_look(number: int) -> None:
        step(number)
        tab.painted()
        shown.append(
            tab.evaluate("document.querySelector('tfoot [data-column=inactive-share]').textContent")
        )

    each(tab, 8, step)
    spent = each(tab, steps, step)
    script_ms = spent["script"]
    received = tab.evaluate(
        "(() => { const update = window.update; window.received = 0;"
        "window.update = (c) => { window.received++; update(c); }; return 0; })()"
    )
    each(tab, 20, step_and_look)
    received = tab.evaluate("window.received")
    return [
        Result(
            "slider step to painted table (2,000 layers) and heatmap (1M units): script time, "
            "median / p95",
            "16 / 33 ms",
            "6 / 12 ms",
            f"{quantile(script_ms, 0.5):.1f} / {quantile(script_ms, 0.95):.1f} ms",
            f"{steps} steps by key; {figures(spent)}",
        ),
        Result(
            "kernel messages needed to paint during a drag",
            "0",
            "0",
            str(received),
            f"20 steps with nobody to answer, {len(set(shown))} different tables painted",
        ),
    ]


def pan_and_zoom(tab: Tab, steps: int) -> Result:
    tab.evaluate("document.querySelector('canvas[data-layer]').scrollIntoView({ block: 'center' })")
    box = tab.evaluate(
        "(() => { const b = document.querySelector('canvas[data-layer]').getBoundingClientRect();"
        "return [b.x + b.width / 2, b.y + b.height / 2]; })()"
    )
    tab.evaluate("document.querySelector('canvas[data-layer]').focus({ preventScroll: true })")
    zoom = "document.querySelector('canvas[data-layer]').dataset.zoom"
    x, y = box
    mouse = functools.partial(tab.ask, "Input.dispatchMouseEvent")
    zooms: set[str] = set()

    def wheel(number: int) -> None:
        turn = -60 if (number // 20) % 2 == 0 else 60
        mouse(type="mouseWheel", x=x + number % 7, y=y, deltaX=0, deltaY=turn)

    def drag(number: int) -> None:
        mouse(
            type="mouseMoved",
            x=x + 6 * (number % 15),
            y=y + 4 * (number % 11),
            button="left",
            buttons=1,
        )

    each(tab, 5, wheel)
    spent = each(tab, steps, wheel)
    zooms.add(tab.evaluate(zoom))
    for _ in range(12):
        mouse(type="mouseWheel", x=x, y=y, deltaX=0, deltaY=-60)
    tab.painted()
    zooms.add(tab.evaluate(zoom))
    mouse(type="mousePressed", x=x, y=y, button="left", buttons=1, clickCount=1)
    panned = each(tab, steps, drag)
    mouse(type="mouseReleased", x=x, y=y, button="left", clickCount=1)
    if len(zooms) < 2:
        raise RuntimeError("the picture did not zoom")
    script_ms = spent["script"] + panned["script"]
    return Result(
        "pan or zoom frame at 1M units: script time, p95",
        "12 ms",
        "6 ms",
        f"{quantile(script_ms, 0.95):.1f} ms",
        f"{2 * steps} frames, median {quantile(script_ms, 0.5):.1f} ms; "
        f"zoom p95 {quantile(spent['script'], 0.95):.1f}, pan p95 "
        f"{quantile(panned['script'], 0.95):.1f} ms; {figures(panned)}",
    )


def large_scene(steps: int, layers: int = 1999, largest: int = MILLION) -> list[Result]:
    iua = counted(layers, largest)
    widget = IUAWidget(iua)
    widget.layer = "big"
    tally = iua._run.tally("big")
    everything = units_snapshot("big", tally, widget.tolerances, 2**30)
    with served(widget, everything) as address, chromium() as tab:
        tab.open(address)
        tab.until(READY)
        return [*slider_steps(tab, steps), pan_and_zoom(tab, steps)]


def page_memory(layers: int = 200, largest: int = MILLION) -> Result:
    iua = counted(layers, largest)
    widget = IUAWidget(iua)
    widget.layer = "big"
    units = units_snapshot("big", iua._run.tally("big"), widget.tolerances, LARGEST_FRAME)
    with served(widget, units) as address, chromium() as tab:
        tab.open("about:blank")
        empty = tab.memory()
        tab.open(address)
        tab.until(READY)
        tab.painted()
        taken = tab.memory() - empty
    return Result(
        "memory in the page for one 1M-unit layer and 200 others",
        "150 MB",
        "60 MB",
        f"{taken / 1e6:.0f} MB",
        f"objects and array buffers; {len(units) / 1e6:.0f} MB of them came as units",
    )


def bundle_size() -> Result:
    code = len(gzip.compress(script().encode(), 9))
    style = len(gzip.compress(styles().encode(), 9))
    return Result(
        "bundle, gzipped",
        "96 KB",
        "40 KB",
        f"{(code + style) / 1000:.1f} KB",
        f"script {code / 1000:.1f}, styles {style / 1000:.1f}",
    )


PREPARE = """
import numpy as np
from iua_widget import IUAWidget
data = {f"layer{i}": np.maximum(np.random.randn(64, 256), 0).astype("f4") for i in range(12)}
warm = IUAWidget(data); warm.wait()
"""

TIME_A_RUN = """new Promise((done) => {
    const old = new Set(document.querySelectorAll(".iua-widget"));
    const begun = performance.now();
    const look = () => {
        const fresh = [...document.querySelectorAll(".iua-widget")].find((node) => !old.has(node));
        if (fresh?.querySelector("tbody tr[data-layer]")) {
            requestAnimationFrame(() => setTimeout(() => done(performance.now() - begun)));
        } else requestAnimationFrame(look);
    };
    window.jupyterapp.commands.execute("notebook:run-cell");
    look();
})"""


def first_paint(times: int) -> Result:
    """From the press of Shift+Enter to the first painted row, with a warm kernel."""
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home,
        running_lab(Path(home)) as lab,
        chromium() as tab,
    ):
        lab.write_notebook("paint.ipynb", ("w = IUAWidget(data)\nw", PREPARE))
        tab.open(lab.page_of("paint.ipynb"))
        tab.until("document.querySelector('.jp-Notebook .jp-CodeCell')")
        tab.until(f"({KERNEL_IS_READY})()")
        tab.evaluate(
            """(async () => {
                const { content } = window.jupyterapp.shell.currentWidget;
                content.activeCellIndex = 1;
                await window.jupyterapp.commands.execute("notebook:run-cell");
                content.activeCellIndex = 0;
            })()"""
        )
        seconds = []
        for _ in range(times):
            seconds.append(tab.evaluate(TIME_A_RUN) / 1000)
            time.sleep(1)
    return Result(
        "cell run to first paint, kernel warm",
        "1.0 s",
        "0.5 s",
        f"{statistics.median(seconds):.2f} s",
        f"JupyterLab, {times} runs, {min(seconds):.2f} to {max(seconds):.2f} s, "
        "the first among them",
    )


class AnsweringComm:
    """A line to a page elsewhere, which shows each frame after a twentieth of a second."""

    comm_id = "elsewhere"

    def __init__(self, widget: IUAWidget) -> None:
        self._widget = widget
        self.frames = 0

    def send(self, data: Any = None, buffers: Any = None, **_: Any) -> None:
        json.dumps(data)
        for part in buffers or []:
            bytes(part)
        frame = (data or {}).get("state", {}).get("_run", {}).get("frame")
        if frame is not None:
            self.frames += 1
            answer = threading.Timer(0.05, self._widget.set_state, ({"_shown": frame},))
            answer.daemon = True
            answer.start()

    def close(self, *_: Any, **__: Any) -> None:
        pass

    def on_msg(self, _callback: Any) -> None:
        pass


def frames_cost(seconds: float, pairs: int) -> Result:
    """Probes counted in so long while frames are sent, over those while none are: one run."""
    batch = {
        f"layer{i}": np.maximum(RNG.standard_normal((32, 4096), np.float32), 0) for i in range(50)
    }
    widget = IUAWidget(lambda _: itertools.repeat(batch))
    comm = AnsweringComm(widget)
    widget.comm = comm
    request = widget._frames._pacer.request

    def counted(seen: bool) -> int:
        widget._frames._pacer.request = request if seen else lambda **_: None  # type: ignore[method-assign]
        time.sleep(0.2)  # what was under way
        before, begun = widget.iua.probes, time.perf_counter()
        time.sleep(seconds)
        return round((widget.iua.probes - before) / (time.perf_counter() - begun))

    time.sleep(2)
    # The other way round in every second pair: what slows down or speeds up cancels out.
    orders = [(True, False), (False, True)] * (pairs // 2)
    both = [{seen: counted(seen) for seen in order} for order in orders]
    widget.stop()
    widget.close()
    lost = [1 - rates[True] / rates[False] for rates in both]
    together = 1 - sum(rates[True] for rates in both) / sum(rates[False] for rates in both)
    return Result(
        "throughput lost to frames, with a page elsewhere that answers",
        "3 %",
        "",
        f"{100 * together:.1f} %",
        f"50 layers, {len(both)} pairs of {seconds:g} s in one run, all together; a pair's median "
        f"{100 * statistics.median(lost):.1f} %, half of them between "
        f"{100 * float(np.quantile(lost, 0.25)):.1f} and "
        f"{100 * float(np.quantile(lost, 0.75)):.1f} %; {comm.frames} frames",
    )


def throughput(seconds: float) -> Result:
    """Probes counted in so long with a page that shows them, over those without one."""
    code = f"""
import itertools, json, threading, time
import numpy as np
from iua_widget import IUAWidget
batch = {{f"layer{{i}}": np.maximum(np.random.randn(32, 4096), 0).astype("f4") for i in range(50)}}
def endless(size):
    return itertools.repeat(batch)
def rate(widget):
    time.sleep(1)
    begun, before = time.perf_counter(), widget.iua.probes
    time.sleep({seconds})
    return (widget.iua.probes - before) / (time.perf_counter() - begun)
"""
    measure = """
unseen = IUAWidget(endless); without = rate(unseen); unseen.stop(); unseen.close()
w.restart(); shown = rate(w); w.pause(); ratios.append(shown / without)
json.dump(ratios, open("ratios.json", "w"))
"""
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home,
        running_lab(Path(home)) as lab,
        chromium() as tab,
    ):
        start = code + "\nratios = []\nw = IUAWidget(endless); w.pause()\nw"
        lab.write_notebook("rate.ipynb", (start, *[measure] * 5))
        tab.open(lab.page_of("rate.ipynb"))
        tab.until("document.querySelector('.jp-Notebook .jp-CodeCell')")
        tab.until(f"({KERNEL_IS_READY})()")
        tab.evaluate("void window.jupyterapp.commands.execute('notebook:run-all-cells')")
        path = lab.folder / "ratios.json"
        deadline = time.monotonic() + 60 + 15 * (seconds + 2)
        ratios: list[float] = []
        while len(ratios) < 5 and time.monotonic() < deadline:
            time.sleep(1)
            if path.exists():
                try:
                    ratios = json.loads(path.read_text())
                except ValueError:
                    continue
    return Result(
        "the same with JupyterLab and its browser on the same cores",
        "",
        "",
        f"{100 * (1 - statistics.median(ratios)):.1f} %",
        f"{len(ratios)} pairs of {seconds:g} s, "
        f"{100 * (1 - max(ratios)):.1f} to {100 * (1 - min(ratios)):.1f} %",
    )


def main() -> None:
    """Measure all, print rows as they come, and write the table."""
    rows: list[Result] = []
    for measure in (
        bundle_size,
        functools.partial(large_scene, 100),
        page_memory,
        functools.partial(first_paint, 7),
        functools.partial(frames_cost, 1.5, 40),
        functools.partial(throughput, 4.0),
    ):
        answer = measure()
        for row in answer if isinstance(answer, list) else [answer]:
            rows.append(row)
            print(row, flush=True)
    head = "| measured | must | goal | reached | figures |\n|---|---|---|---|---|\n"
    RESULTS.write_text(
        "# The page, measured\n\nWritten by `python tests/benchmarks/browser.py`: headless "
        "Chromium with software rendering, over the raw DevTools protocol.\n\n"
        f"- {os.cpu_count()} cores, {platform.platform(terse=True)}, "
        f"Python {platform.python_version()}\n\n" + head + "\n".join(map(str, rows)) + "\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
