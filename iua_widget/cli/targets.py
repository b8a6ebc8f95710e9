"""What the arguments ``module:attribute`` and ``file.py:attribute`` stand for."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from iua_widget.cli.failures import Failure, failed_by
from iua_widget.common.words import did_you_mean


class Targets:
    """Loads what targets stand for, each file once.

    Parameters
    ----------
    whole_traceback : bool
        Whether errors of the code that is loaded are told with their traceback.
    """

    def __init__(self, *, whole_traceback: bool = False) -> None:
        self._whole = whole_traceback
        self._files: dict[Path, ModuleType] = {}

    def value(self, target: str) -> Any:
        """What a target names: an attribute of a module, or of a file.

        Raises
        ------
        Failure
            If there is no such module, file or attribute, or importing it fails.
        """
        where, _, attribute = target.rpartition(":")
        is_file = where.endswith(".py") or "/" in where or "\\" in where
        found: Any = self._file(where) if is_file else self._module(where)
        for name in attribute.split("."):
            if not hasattr(found, name):
                names = [one for one in dir(found) if not one.startswith("_")]
                hint = did_you_mean(name, names)
                message = f"{where!r} has no {attribute!r}: no attribute is called {name!r}.{hint}"
                raise Failure(message)
            found = getattr(found, name)
        return found

    def made(self, target: str, *, may_take_arguments: bool = False) -> Any:
        """What a target names, or, of a function or class, what it makes when it is called.

        Parameters
        ----------
        target : str
        may_take_arguments : bool
            Whether a function that takes arguments is what was meant.

        Raises
        ------
        Failure
            As `value`; and if it takes arguments, or fails.
        """
        found = self.value(target)
        if not (inspect.isclass(found) or inspect.isroutine(found)):
            return found
        if needed := _arguments_of(found):
            if may_take_arguments and not inspect.isclass(found):
                return found
            message = (
                f"{target!r} takes arguments ({', '.join(needed)}), and is called without: name a "
                "function without arguments that makes it, or the finished thing itself."
            )
            raise Failure(message)
        with self._told(f"{target!r} failed when it was called"):
            return found()

    def _module(self, name: str) -> ModuleType:
        _look_in(Path.cwd())
        with self._told(f"{name!r} could not be imported"):
            try:
                return importlib.import_module(name)
            except ModuleNotFoundError as error:
                if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                    raise
                here = [module.name for module in pkgutil.iter_modules([str(Path.cwd())])]
                hint = did_you_mean(name, here)
                message = (
                    f"there is no module {error.name!r}, neither in {str(Path.cwd())!r} nor among "
                    f"the packages installed. A file is named with its ending, such as "
                    f"{name.replace('.', '/')}.py:model.{hint}"
                )
                raise Failure(message) from None

    def _file(self, name: str) -> ModuleType:
        path = Path(name).expanduser().resolve()
        if path in self._files:
            return self._files[path]
        if not path.is_file():
            near = [one.name for one in path.parent.glob("*.py")] if path.parent.is_dir() else []
            what = "is no file" if path.exists() else "is not there"
            message = f"{name!r} {what}: expected a Python file.{did_you_mean(path.name, near)}"
            raise Failure(message)
        _look_in(Path.cwd())
        _look_in(path.parent)
        spec = importlib.util.spec_from_file_location(path.stem, path)
        if spec is None or spec.loader is None:
            message = f"{name!r} is no Python file: expected one that ends in .py."
            raise Failure(message)
        module = importlib.util.module_from_spec(spec)
        sys.modules.setdefault(path.stem, module)  # where pickle and dataclasses look
        with self._told(f"{name!r} could not be imported"):
            spec.loader.exec_module(module)
        self._files[path] = module
        return module

    @contextmanager
    def _told(self, doing: str) -> Iterator[None]:
        """Run code of the user's, whose errors become failures; it finds no arguments of ours."""
        arguments, sys.argv = sys.argv, sys.argv[:1]
        try:
            yield
        except Failure:
            raise
        except SystemExit as error:
            message = (
                f"{doing}: it ended the program (exit {error.code}). Put what a script does under "
                'if __name__ == "__main__":.'
            )
            raise Failure(message) from error
        except Exception as error:
            raise failed_by(error, doing, whole=self._whole) from error
        finally:
            sys.argv = arguments


def _look_in(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def _arguments_of(made_by: Any) -> list[str]:
    """The arguments without which a function or class cannot be called."""
    try:
        parameters = inspect.signature(made_by).parameters.values()
    except (TypeError, ValueError):  # built in, and silent about it
        return []
    optional = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [
        one.name
        for one in parameters
        if one.default is inspect.Parameter.empty and one.kind not in optional
    ]
