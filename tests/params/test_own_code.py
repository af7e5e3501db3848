"""Where the user's own code lies: what Python imports."""

from pathlib import Path

import pytest

from lib.params.own_code import place


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (["net.py"], "net.py"),
        (["net/__init__.py", "net.py"], "net"),
        (["net/notes.txt", "net.py"], "net.py"),
        (["net/layers.py"], "net"),
        ([], None),
    ],
)
def test_a_module_lies_where_python_finds_it(tmp_path: Path, files: list[str], found: str | None) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert place("net.inner", tmp_path) == (None if found is None else Path(found))
