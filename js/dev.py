"""``make dev``: the front end rebuilt as it is edited, in an open JupyterLab and on a page without.

Three processes: esbuild, which rebuilds the bundle when a file of js/src changes; JupyterLab, whose
kernels hand the new bundle to the widgets that are open (`follow`); and a server of one page, the
widget on a sample, which reloads itself.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import ipywidgets
import numpy as np

from iua_widget import IUA, IUAWidget
from iua_widget.widget import assets

ROOT = Path(__file__).resolve().parents[1]
BUNDLE = [ROOT / "iua_widget" / "static" / name for name in ("widget.js", "widget.css")]
PORT = 8765
_RELOAD = """
<script type="module">
const seen = await (await fetch("built")).text();
for (;;) {
  await new Promise((done) => setTimeout(done, 300));
  const built = await (await fetch("built")).text().catch(() => seen);
  if (built !== seen) location.reload();
}
</script>
</body>"""


def built() -> int:
    """When the bundle was built, in nanoseconds; 0 where a build has failed, or is at it."""
    try:
        return max(file.stat().st_mtime_ns for file in BUNDLE)
    except FileNotFoundError:
        return 0


def when_built(do: Callable[[], object]) -> None:
    """Call `do` after each build, on a thread of its own."""

    def watch() -> None:
        seen = built()
        while True:
            time.sleep(0.2)
            # A build that fails leaves no bundle: what is open stays as it is until the next.
            if built() not in (0, seen):
                time.sleep(0.1)  # both files are written
                seen = built()
                assets.script.cache_clear()
                assets.styles.cache_clear()
                try:
                    do()
                except (ImportError, OSError) as error:
                    print(f"make dev: {error}")

    threading.Thread(target=watch, name="iua_widget dev", daemon=True).start()


def renew_widgets() -> None:
    """Give every widget of this process the bundle as it is now; open pages show it at once."""
    for widget in list(ipywidgets.widgets.widget._instances.values()):
        if isinstance(widget, IUAWidget):
            widget.set_trait("_css", assets.styles())
            widget.set_trait("_esm", assets.script())


def follow() -> None:
    """Have the widgets of this kernel follow the bundle."""
    when_built(renew_widgets)


def sample() -> IUA:
    """Layers of a net that is dying: maps, dense ones, a lone dead unit, and no exact zeros."""
    random = np.random.default_rng(0)
    maps = np.maximum(random.normal(0.2, 1, (32, 24, 12, 12)), 0)
    maps[:, ::5] = 0
    lone = np.ones((32, 200_000), np.float32)
    lone[:, 123_456] = 0
    dense = np.maximum(random.normal(-0.5, 1, (32, 400)) - np.linspace(0, 3, 400), 0)
    return IUA.introspect(
        {
            "features.0.relu": maps,
            "wide.relu": lone,
            "head.relu": dense,
            "head.gelu": random.normal(0, 0.1, (32, 50)),
        },
        engine="reference",
    )


def write_page(folder: Path, iua: IUA) -> None:
    """Write the sample's page, with what reloads it."""
    widget = IUAWidget(iua, name="sample")
    text = widget.to_html(folder / "index.html").read_text(encoding="utf-8")
    widget.close()
    head, _, rest = text.partition('<meta http-equiv="Content-Security-Policy"')
    page = head + rest.partition(">")[2]
    (folder / "index.html").write_text(page.replace("</body>", _RELOAD), encoding="utf-8")
    (folder / "built").write_text(str(built()))


def main() -> None:
    """Run all three until Ctrl-C."""
    (BUNDLE[0].parent / "SOURCES").unlink(missing_ok=True)  # what esbuild leaves here is no release
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        run = partial(_start, stack)
        run([sys.executable, "hatch_build.py", "npm", "run", "watch"])
        iua = sample()
        write_page(folder, iua)
        when_built(lambda: write_page(folder, iua))
        startup = folder / "ipython" / "profile_default" / "startup"
        startup.mkdir(parents=True)
        start = f"import sys; sys.path.insert(0, {str(ROOT / 'js')!r}); import dev; dev.follow()\n"
        (startup / "follow_the_bundle.py").write_text(start)
        lab = [sys.executable, "-m", "jupyter", "lab", *sys.argv[1:], "notebooks/quickstart.ipynb"]
        run(lab, IPYTHONDIR=str(startup.parents[1]))
        time.sleep(5)  # below what the others print as they begin
        print(f"\nThe widget on a sample, without Jupyter: http://localhost:{PORT}\n")
        handler = partial(_Quiet, directory=str(folder))
        with ThreadingHTTPServer(("localhost", PORT), handler) as server:
            server.serve_forever()


class _Quiet(SimpleHTTPRequestHandler):
    """Serves files without a line for each."""

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def _start(stack: ExitStack, command: list[str], **environment: str) -> None:
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environment})
    stack.callback(process.terminate)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # ends the others, too
    try:
        main()
    except KeyboardInterrupt:
        sys.exit()
