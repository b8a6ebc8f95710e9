"""The package itself: what is public, and what importing it costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import iua_widget


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
