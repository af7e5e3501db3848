"""The folder is the registry: find a pruning method or a distillation term by the name of its file.

Looking a module up by name, instead of importing all of them into a table, keeps one method's cells independent of the
others' code, so that editing a method re-runs that method only.
"""

import importlib
import inspect
from pathlib import Path
from types import ModuleType
from typing import Any


def names(package: ModuleType) -> tuple[str, ...]:
    """The names in a plug-in package, sorted: one for each file that holds anything."""
    folder = Path(package.__path__[0])
    return tuple(sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__" and path.stat().st_size))


def find(package: ModuleType, name: str) -> ModuleType:
    """The module called `name`. Raises ValueError with the names there are when there is none."""
    known = names(package)
    if name not in known:
        msg = f"{package.__name__} has no {name!r}; there are: {', '.join(known)} (add one as a file {name}.py)"
        raise ValueError(msg)
    return importlib.import_module(f"{package.__name__}.{name}")


def settings(module: ModuleType) -> Any:
    """The section of settings that a plug-in takes: the type of `params` in its function `method` or `term`.

    Raises ValueError for a module that has no such function.
    """
    function = getattr(module, "method", None) or getattr(module, "term", None)
    parameter = inspect.signature(function).parameters.get("params") if function else None
    if parameter is None:
        msg = f"{module.__name__} has no function `method` or `term` that takes `params`; add it"
        raise ValueError(msg)
    return parameter.annotation
