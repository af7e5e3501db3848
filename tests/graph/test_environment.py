"""What must be the same on all machines, and what may differ."""

from pathlib import Path

import torch

from lib.graph.environment import Environment, difference, here, other_gpu
from lib.graph.shared import sharing
from tests.tiny import ROOT

DRIVER = Environment("3.11.7 on x86_64", {"torch": "2.14.0+cu130", "numpy": "2.4.0", "openvino": "2026.4.1"})


def test_this_environment_is_that_of_the_lock_and_equals_itself() -> None:
    found = here(ROOT / "requirements.lock")
    assert found.packages["torch"] == torch.__version__
    assert difference(found, found) == ""


def test_versions_that_both_have_must_be_the_same() -> None:
    node = Environment("3.12.1 on x86_64", {"torch": "2.14.0+cpu", "numpy": "2.4.0"})
    told = "Python is 3.12.1 on x86_64 there and 3.11.7 on x86_64 here; torch is 2.14.0+cpu there and 2.14.0+cu130 here"
    assert difference(DRIVER, node) == told


def test_an_extra_may_be_missing_but_torch_may_not() -> None:
    assert difference(DRIVER, DRIVER._replace(packages={"torch": "2.14.0+cu130"})) == ""
    assert difference(DRIVER, DRIVER._replace(packages={})) == "torch is missing there and 2.14.0+cu130 here"


def test_long_lists_of_differences_are_cut() -> None:
    driver, node = (Environment("3.11", {"torch": version, **{f"p{n}": version for n in range(9)}}) for version in ("1", "2"))
    assert difference(driver, node).endswith("; 7 more")


def test_cells_of_a_run_have_one_type_of_gpu(tmp_path: Path) -> None:
    with sharing(tmp_path / "cache", tmp_path / "clone") as shared:
        assert other_gpu(shared, "cpu") == ""
        shared.settled("gpu", "a GPU of 2031")
        assert other_gpu(shared, "cpu") == ""
        assert other_gpu(shared, "auto").endswith("and the first cell of this run had a GPU of 2031")
