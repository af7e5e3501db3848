"""Source code without what decides no result: comments, docstrings, and empty lines between statements."""

import ast
import io
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path


def essential(file: Path) -> str:
    """The text of a Python file without comments, docstrings, empty lines and spaces at the ends of lines; strings stay whole.

    A docstring that shares a line with other code stays. The text is the same in every version of Python, which the tree or
    the tokens of a program are not. Raises ValueError for what is not Python.
    """
    try:
        with tokenize.open(file) as source:
            text = source.read()
        nodes = list(ast.walk(ast.parse(text)))
    except (SyntaxError, UnicodeDecodeError, ValueError) as error:
        line = getattr(error, "lineno", None)
        msg = f"{file}{f', line {line}' if line else ''} is not Python; correct it"
        raise ValueError(msg) from error
    lines = text.split("\n")
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    inside = {line for one in _strings(nodes) for line in range(one.lineno - 1, (one.end_lineno or one.lineno) - 1)}
    for line in {line for docstring in _docstrings(nodes) for line in _own_lines(docstring, lines)}:
        lines[line] = ""
        inside.discard(line)
    kept = (line if place in inside else line.rstrip() for place, line in enumerate(lines))
    return "".join(f"{line}\n" for place, line in enumerate(kept) if line or place in inside)


def _strings(nodes: Iterable[ast.AST]) -> Iterator[ast.expr]:
    """Literals of text: what is between their first and their last line is no code."""
    for node in nodes:
        if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)):
            yield node


def _docstrings(nodes: Iterable[ast.AST]) -> Iterator[ast.Constant]:
    for node in nodes:
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            match node.body:
                case [ast.Expr(ast.Constant(str()) as docstring), *_]:
                    yield docstring


def _own_lines(docstring: ast.Constant, lines: list[str]) -> range:
    """The places of a docstring's lines; none when other code is on them."""
    first, last = docstring.lineno - 1, (docstring.end_lineno or docstring.lineno) - 1
    before = lines[first].encode()[: docstring.col_offset]
    after = lines[last].encode()[docstring.end_col_offset :]
    return range(first, last + 1) if not before.strip() and not after.strip() else range(0)
