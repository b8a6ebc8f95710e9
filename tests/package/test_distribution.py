"""The wheel and the sdist hold what they must, and the front end is built when it has to be."""

from __future__ import annotations

import gzip
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.package]

ROOT = Path(__file__).parents[2]
LARGEST_BUNDLE = 96 * 1024


def built(folder: Path, source: Path, what: str, environment: dict[str, str]) -> Path:
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", f"--{what}", "-o", folder, source],
        check=True,
        capture_output=True,
        env=environment,
    )
    (file,) = folder.glob("*.whl" if what == "wheel" else "*.tar.gz")
    return file


@pytest.fixture(scope="session")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("sdist"), ROOT, "sdist", dict(os.environ))


@pytest.fixture(scope="session")
def unpacked(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (root,) = folder.iterdir()
    return root


@pytest.fixture(scope="session")
def wheel(unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Made from the sdist with no Node in reach: the sdist brings the bundle."""
    environment = {"PATH": "/nowhere", "HOME": os.environ.get("HOME", "/")}
    return zipfile.ZipFile(built(tmp_path_factory.mktemp("wheel"), unpacked, "wheel", environment))


@pytest.fixture(scope="session")
def hook() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_wheel_holds_the_bundle_and_its_styles(wheel: zipfile.ZipFile) -> None:
    script = wheel.read("iua_widget/static/widget.js").decode()
    styles = wheel.read("iua_widget/static/widget.css").decode()
    assert "renderStatic" in script
    assert ".iua-widget" in styles
    assert "iua_widget/py.typed" in wheel.namelist()


def test_the_wheel_holds_the_package_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert tops == {"iua_widget", "iua_widget-0.1.0.dist-info"}
    assert not [name for name in wheel.namelist() if name.endswith((".map", ".ts"))]


def test_the_wheel_has_the_command(wheel: zipfile.ZipFile) -> None:
    (points,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert "iua-widget = iua_widget.cli.main:main" in wheel.read(points).decode()


def test_the_bundle_is_small(wheel: zipfile.ZipFile) -> None:
    size = len(gzip.compress(wheel.read("iua_widget/static/widget.js"), 9))
    assert size <= LARGEST_BUNDLE, f"{size} bytes gzipped"


_IMPORT = re.compile(r"""(?:^|[;}])\s*(?:import|export)\b[^;()]*["']""")


def test_the_bundle_imports_and_fetches_nothing(wheel: zipfile.ZipFile) -> None:
    script = wheel.read("iua_widget/static/widget.js").decode()
    assert "sourceMappingURL" not in script
    for way in ("fetch(", "XMLHttpRequest", "importScripts", "WebSocket", "import("):
        assert way not in script, way
    assert not _IMPORT.search(script)
    for statement in (
        'import"a"',
        ';import{b as c}from"a";',
        '}export*from"a"',
        "import d from 'a'",
    ):
        assert _IMPORT.search(statement), "what is looked for would be found"


def test_the_sdist_holds_the_sources_and_the_bundle(unpacked: Path) -> None:
    for name in (
        "js/package.json",
        "js/package-lock.json",
        "js/build.mjs",
        "js/tsconfig.json",
        "js/src/widget.ts",
        "js/src/styles.css",
        "iua_widget/static/widget.js",
        "iua_widget/static/widget.css",
        "hatch_build.py",
        "constraints.txt",
        "tests/fixtures/core.json",
        "notebooks/quickstart.ipynb",
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "Makefile",
        ".ci/run",
        ".pre-commit-config.yaml",
    ):
        assert (unpacked / name).is_file(), name
    assert not (unpacked / "js" / "node_modules").exists()
    assert not (unpacked / ".venv").exists()


def test_no_file_names_a_package_registry() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    needles = [
        b".".join(parts)
        for parts in (
            (b"registry", b"npmjs", b"org"),
            (b"registry", b"yarnpkg", b"com"),
            (b"pypi", b"org"),
            (b"files", b"pythonhosted", b"org"),
            (b"download", b"pytorch", b"org"),
        )
    ]
    files = [ROOT / name for name in listed.stdout.split("\0") if name]
    assert len(files) > 50
    guilty = [
        str(file.relative_to(ROOT))
        for file in files
        if file.is_file() and any(needle in file.read_bytes() for needle in needles)
    ]
    assert guilty == []
    assert b'"resolved"' not in (ROOT / "js" / "package-lock.json").read_bytes()


@pytest.fixture
def checkout(unpacked: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(unpacked, tmp_path / "checkout"))


def test_a_bundle_is_stale_when_a_source_changed_and_only_then(
    hook: ModuleType, checkout: Path
) -> None:
    front_end = hook.FrontEnd(checkout)
    assert not front_end.is_stale()
    source = checkout / "js" / "src" / "widget.ts"
    os.utime(source)
    assert not front_end.is_stale(), "a newer date alone is no change"
    text = source.read_text()
    source.write_text(text + "\n// changed\n")
    assert front_end.is_stale()
    source.write_text(text)
    assert not front_end.is_stale()
    (checkout / "js" / "src" / "new.ts").write_text("export {};\n")
    assert front_end.is_stale()


@pytest.mark.parametrize("name", ["widget.js", "widget.css"])
def test_a_missing_or_empty_bundle_is_stale(hook: ModuleType, checkout: Path, name: str) -> None:
    file = checkout / "iua_widget" / "static" / name
    file.write_text("")
    assert hook.FrontEnd(checkout).is_stale()
    file.unlink()
    assert hook.FrontEnd(checkout).is_stale()


def test_node_is_asked_for_only_where_it_is_needed(
    hook: ModuleType, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wanted() -> list[str]:
        built_hook = hook.FrontEndHook(str(checkout), {}, None, None, "", "wheel")
        return list(built_hook.dependencies())

    assert wanted() == []
    (checkout / "iua_widget" / "static" / "widget.js").unlink()
    monkeypatch.setenv("PATH", "/nowhere")
    assert wanted() == [hook.NODE_PACKAGE]


def test_the_front_end_builds_from_source_with_python_alone(
    hook: ModuleType, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No Node on the path: the one of the package is found, by npm's own scripts too."""
    front_end = hook.FrontEnd(checkout)
    before = front_end.bundle[0].read_bytes()
    shutil.rmtree(checkout / "iua_widget" / "static")
    tools = checkout / "tools"
    tools.mkdir()
    for tool in ("sh", "env"):
        found = shutil.which(tool)
        assert found
        (tools / tool).symlink_to(found)
    monkeypatch.setenv("PATH", str(tools))
    assert not hook.node_on_path()
    hook.FrontEndHook(str(checkout), {}, None, None, "", "wheel").initialize("standard", {})
    assert front_end.bundle[0].read_bytes() == before
    assert not front_end.is_stale()


def test_a_failing_build_says_which_command_failed(
    hook: ModuleType, checkout: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (checkout / "js" / "package.json").write_text("{")
    with pytest.raises(RuntimeError, match="`npm ci` failed"):
        hook.FrontEnd(checkout).npm("ci")
    capfd.readouterr()
