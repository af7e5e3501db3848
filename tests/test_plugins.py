"""The folder is the registry."""

from pathlib import Path

import pytest

from lib import plugins
from lib.distillation import terms
from lib.pruning import methods


@pytest.mark.parametrize("package", [methods, terms])
def test_every_file_is_a_plugin_with_params(package: object) -> None:
    names = plugins.names(package)  # type: ignore[arg-type]
    folder = Path(package.__path__[0])  # type: ignore[attr-defined]
    assert sorted(f"{name}.py" for name in (*names, "__init__")) == sorted(path.name for path in folder.glob("*.py"))
    for name in names:
        module = plugins.find(package, name)  # type: ignore[arg-type]
        assert module.__name__ == f"{package.__name__}.{name}"  # type: ignore[attr-defined]
        assert isinstance(plugins.settings(module), type)


@pytest.mark.parametrize("name", ["nothing", "__init__", "", "../pruning", "l1.py"])
def test_an_unknown_name_lists_the_names(name: str) -> None:
    with pytest.raises(ValueError, match=r"lib.pruning.methods has no .*; there are: ahsg_ht, asfp, .*add one as a file"):
        plugins.find(methods, name)


def test_a_method_and_a_term_offer_what_the_loop_calls() -> None:
    assert all(callable(plugins.find(methods, name).method) for name in plugins.names(methods))
    assert all(callable(plugins.find(terms, name).term) for name in plugins.names(terms))
    assert all(callable(plugins.find(terms, name).taps) for name in plugins.names(terms))
