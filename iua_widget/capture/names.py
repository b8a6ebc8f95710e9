"""The names of a model's modules, without wrappers."""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from typing import Final

from torch import nn

from iua_widget.capture.expert_modules import ListedExpert, listed_experts

_WRAPPERS: Final = {"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
"""Children under which a wrapper holds the module that the user wrote."""


class ModuleNames:
    """Names of modules as the user wrote the model, without wrappers; the root has its class's.

    Parameters
    ----------
    model : torch.nn.Module

    Examples
    --------
    >>> relu = nn.ReLU()
    >>> names = ModuleNames(nn.Sequential(relu, nn.Linear(2, 2), relu))
    >>> names.of(relu)
    ('0', '2')
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.root = type(model).__name__
        found = list(model.named_modules(remove_duplicate=False))
        if self.root in dict(found):
            self.root += "()"
        self._names: defaultdict[int, list[str]] = defaultdict(list)
        self.modules: dict[str, nn.Module] = {}
        self._paths: list[tuple[str, int]] = []
        for path, module in found:
            self._paths.append((path, id(module)))
            name = ".".join(part for part in path.split(".") if part not in _WRAPPERS) or self.root
            self._names[id(module)].append(name)
            self.modules[name] = (
                module  # a wrapper's name is the wrapped module's, which comes next
            )

    @property
    def are_of_model(self) -> bool:
        """Whether the model still has these modules, by these names."""
        found = self.model.named_modules(remove_duplicate=False)
        return self._paths == [(path, id(module)) for path, module in found]

    @cached_property
    def experts(self) -> dict[str, ListedExpert]:
        """The experts of mixtures that are modules of their own."""
        return listed_experts(self.modules)

    def of(self, module: nn.Module) -> tuple[str, ...]:
        """All names of a module; none if it is not one of the model's."""
        return tuple(self._names.get(id(module), ()))

    def called_from(self, module: nn.Module, caller: str) -> str:
        """The name by which another module calls this one, which may have several."""
        names = self._names[id(module)]
        if len(names) == 1:
            return names[0]
        prefix = "" if caller == self.root else f"{caller}."
        children = [name for name in names if name.startswith(prefix)]
        direct = (name for name in children if "." not in name[len(prefix) :])
        return next(direct, (children or names)[0])
