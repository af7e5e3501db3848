"""What is essential in a source file: everything that can decide a result, and nothing else."""

import ast
import io
import tokenize
from collections.abc import Collection
from pathlib import Path

import pytest

from lib.graph.sources import essential
from tests.tiny import ROOT

DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
PLAIN = '''import math
def area(radius):
    text = """a

    # no comment
    """
    return math.pi * radius**2, text, "#", f"{radius} #"
class Empty:
    x = 1
'''
DRESSED = '''"""A module."""

# A comment.
import math  # and one more


def area(radius):
    """Of a disc.

    radius: in metres. # no comment
    """
    text = """a

    # no comment
    """
    # Pi times the square.

    return math.pi * radius**2, text, "#", f"{radius} #"   # all three\x20\x20


class Empty:
    """Nothing in it."""  # but this

    x = 1  # type: ignore
'''


def _essential(folder: Path, text: str) -> str:
    file = folder / "code.py"
    file.write_bytes(text.encode())
    return essential(file)


def test_comments_docstrings_and_empty_lines_go(tmp_path: Path) -> None:
    assert _essential(tmp_path, DRESSED) == PLAIN
    assert _essential(tmp_path, PLAIN) == PLAIN
    assert _essential(tmp_path, DRESSED.replace("\n", "\r\n")) == PLAIN


@pytest.mark.parametrize(
    "line",
    [
        'def one(): "doc"',
        '"""doc"""; x = 1',
        "x = 1; 'no docstring'",
        'def two():\n    x = 1\n    """no docstring"""',
        'x = "a  # b"',
        "x = 'ä' + '#'",
        'x = """a  \n\n  b"""',
        'x = f"""a\n\n{1}  # b"""',
        'x = b"""a\n\n# b"""',
        "x = (1,\n     2)",
    ],
)
def test_everything_else_stays(tmp_path: Path, line: str) -> None:
    assert _essential(tmp_path, f"{line}\n") == f"{line}\n"


@pytest.mark.parametrize("folder", ["lib/graph", "lib/networks", "stages/command"])
def test_the_project_s_own_code_keeps_every_token(folder: str) -> None:
    for file in sorted((ROOT / folder).glob("*.py")):
        text = file.read_text()
        documented = (node for node in ast.walk(ast.parse(text)) if isinstance(node, DOCUMENTED) and ast.get_docstring(node))
        docstrings = {(node.body[0].lineno, node.body[0].col_offset) for node in documented}
        assert _tokens(essential(file)) == _tokens(text, docstrings), file


def _tokens(text: str, left_out: Collection[tuple[int, int]] = ()) -> list[str]:
    spaces = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
    found = tokenize.generate_tokens(io.StringIO(text).readline)
    return [token.string for token in found if token.type not in spaces and token.start not in left_out]


@pytest.mark.parametrize(("content", "told"), [(b"x = (\n", ", line 1 is not Python"), (b"x = '\xff'\n", " is not Python")])
def test_what_is_not_python_is_named(tmp_path: Path, content: bytes, told: str) -> None:
    file = tmp_path / "code.py"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=f"code.py{told}; correct it"):
        essential(file)
