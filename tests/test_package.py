"""The package itself: what is public, and what importing it costs."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from numpydoc.docscrape import NumpyDocString

import iua_widget
from iua_widget import stages


def loaded_after(code: str) -> set[str]:
    script = f"{code}\nimport sys; print(*sys.modules, sep='\\n')"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = {"torch", "pandas", "altair", "ipywidgets", "anywidget", "numpy", "IPython"}
    assert not heavy & loaded_after("import iua_widget")


def test_counting_arrays_loads_neither_torch_nor_widgets() -> None:
    code = "import numpy as np; from iua_widget import IUA; IUA.introspect({'a': np.ones((2, 3))})"
    assert not {"torch", "altair", "ipywidgets", "anywidget", "pandas"} & loaded_after(code)


def test_importing_the_widget_loads_no_tables() -> None:
    assert not {"pandas", "altair", "torch"} & loaded_after("from iua_widget import IUAWidget")


def test_the_widget_does_not_load_torch() -> None:
    code = (
        "import numpy as np; from iua_widget import IUAWidget; "
        "IUAWidget({'a': np.ones((2, 3))}).wait()"
    )
    assert "torch" not in loaded_after(code)


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
from iua_widget import *
import iua_widget
assert IUA.introspect({"a": [[0.0, 1.0]]}).results["a"].dead == 1
assert set(iua_widget.__all__) < set(globals())
print({"TorchModel", "response_infos"} & {*globals(), *iua_widget.__all__})
from iua_widget import TorchModel
"""


def test_without_torch_what_needs_it_says_so() -> None:
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH], capture_output=True, text=True, check=False
    )
    assert run.stdout == "set()\n"
    *_, last = run.stderr.splitlines()
    assert last == "ImportError: TorchModel needs PyTorch: pip install 'iua-widget[torch]'"
    assert run.stderr.count("File") == 2  # the user's line, and where it is said


@pytest.mark.parametrize("name", iua_widget.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(iua_widget, name)
    assert name in dir(iua_widget)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'IAU'"):
        _ = iua_widget.IAU


def public_methods(thing: type) -> Iterator[tuple[str, Any]]:
    for name in vars(thing):
        method = getattr(thing, name)
        if inspect.isroutine(method) and (name == "__call__" or not name.startswith("_")):
            yield name, method


def docs_of(thing: Any) -> list[NumpyDocString]:
    """Its own, and those of the classes of ours that it comes from."""
    ours = [
        one
        for one in (inspect.getmro(thing) if inspect.isclass(thing) else [thing])
        if one.__module__.startswith("iua_widget.")
    ]
    return [NumpyDocString(inspect.getdoc(one) or "") for one in ours]


def untold(thing: Any, docs: list[NumpyDocString]) -> set[str]:
    """The parameters that no entry tells of, be it with another's: "also for `units`"."""
    entries = [entry for doc in docs for entry in (*doc["Parameters"], *doc["Attributes"])]
    told = {name.strip("* ") for entry in entries for name in entry.name.split(",")}
    told |= {name for entry in entries for name in re.findall(r"`(\w+)`", " ".join(entry.desc))}
    names = {name for name in inspect.signature(thing).parameters if not name.startswith("_")}
    return names - {"self", "args", "kwargs"} - told


def missing_from(name: str, thing: Any) -> Iterator[str]:
    """What users would look for in vain."""
    docs = docs_of(thing)
    if not any(doc["Examples"] for doc in docs):
        yield f"{name}: an example"
    made = inspect.isclass(thing) and "__init__" in vars(thing)
    if made and not issubclass(thing, Exception):
        yield from (f"{name}: {one}" for one in sorted(untold(thing.__init__, docs)))
    methods = public_methods(thing) if inspect.isclass(thing) else [("", thing)]
    for method_name, method in methods:
        method_docs = docs_of(method)
        where = f"{name}.{method_name}".rstrip(".")
        yield from (f"{where}: {one}" for one in sorted(untold(method, docs + method_docs)))
        returned = inspect.signature(method).return_annotation
        if returned not in {"None", None} and not method_docs[0]["Returns"]:
            yield f"{where}: what it returns"


def test_the_help_of_every_public_name_has_its_parameters_returns_and_an_example() -> None:
    public = {name: getattr(iua_widget, name) for name in iua_widget.__all__}
    public |= {name: getattr(stages, name) for name in stages.__all__}
    missing = [
        one
        for name, thing in public.items()
        if inspect.isclass(thing) or inspect.isroutine(thing)
        for one in missing_from(name, thing)
    ]
    assert not missing
