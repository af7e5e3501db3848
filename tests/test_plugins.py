"""The folder is the registry."""

from pathlib import Path
from types import ModuleType

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


def test_an_empty_file_is_no_plugin_yet_and_one_without_its_function_is_named(tmp_path: Path) -> None:
    for name, text in {"__init__": "", "empty": "", "bare": "X = 1", "whole": "def term(params: int): ..."}.items():
        (tmp_path / f"{name}.py").write_text(text)
    package = ModuleType("package")
    package.__path__ = [str(tmp_path)]
    assert plugins.names(package) == ("bare", "whole")
    bare = ModuleType("lib.distillation.terms.bare")
    with pytest.raises(ValueError, match=r"^lib\.distillation\.terms\.bare has no function `method"):
        plugins.settings(bare)
