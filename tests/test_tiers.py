"""Which tests the quick run leaves out."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.tiers import slow_but
from tests.tiny import ROOT

TESTS = """
import pytest

@pytest.mark.grid
@pytest.mark.parametrize("letter", ["a", "b"])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_grid(number, letter): ...

@pytest.mark.grid
@pytest.mark.parametrize(("number", "letter"), [(1, "a"), (1, "b"), (2, "a")])
def test_list(number, letter): ...

@pytest.mark.slow
def test_slow(): ...

def test_quick(): ...
"""
GRID = [f"test_grid[{number}-{letter}]" for letter in "ab" for number in (1, 2, 3)]
LIST = ["test_list[1-a]", "test_list[1-b]", "test_list[2-a]"]


@pytest.mark.parametrize(
    ("words", "collected"),
    [
        ([], ["test_grid[1-a]", "test_grid[2-b]", "test_grid[3-a]", *LIST, "test_quick"]),
        (["--all"], [*GRID, *LIST, "test_slow", "test_quick"]),
        (["test_here.py::test_slow"], ["test_slow"]),
        (["test_here.py::test_grid"], GRID),
    ],
    ids=str,
)
def test_a_grid_is_covered_and_what_is_slow_waits_for_being_asked(
    tmp_path: Path, words: list[str], collected: list[str]
) -> None:
    (tmp_path / "conftest.py").write_text((ROOT / "tests/conftest.py").read_text())
    (tmp_path / "test_here.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "--collect-only", "--quiet", "-p", "no:cacheprovider", "-W", "ignore", *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert {line.partition("::")[2] for line in done.stdout.splitlines() if "::" in line} == set(collected)


def test_a_quick_case_that_is_none_is_found() -> None:
    first, second = slow_but(["b"], ["a", ("b", 1)])
    assert (first.values, [mark.name for mark in first.marks]) == (("a",), ["slow"])
    assert (second.values, second.marks) == (("b", 1), ())
    with pytest.raises(AssertionError, match=r"no cases: \{'c'\}"):
        slow_but(["c"], ["a"])
