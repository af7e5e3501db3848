"""Pieces of Markdown."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence

CODE = re.compile(r"(`[^`]*`)")
SPECIAL = re.compile(r"(\*|<(?=[a-z/!]))")
NOTE = "<!-- Written by `python -m tools.docs` from {source}. -->"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; a bar within a cell is escaped."""
    lines = [list(header), ["---"] * len(header), *(list(row) for row in rows)]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def rows(text: str) -> list[list[str]]:
    """The cells of the first table in a text, the header first; the rule below it is left out."""
    first = re.search(r"(?:^\|.*\|\n)+", f"{text}\n", re.MULTILINE)
    lines = first[0].splitlines() if first else []
    split = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return split[:1] + split[2:]


def prose(text: str) -> str:
    """Plain text so that nothing in it is taken for Markdown, but for code in back-quotes."""
    parts = CODE.split(text)
    return "".join(part if place % 2 else SPECIAL.sub(r"\\\1", part) for place, part in enumerate(parts))


def _cell(text: str) -> str:
    return text.replace("\n", " ").replace("|", "\\|")


def written(value: object) -> str:
    """A value as a parameter file writes it, on one line."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {written(one)}' for key, one in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(written, value))}]"
    return str(value) if isinstance(value, str) else json.dumps(value)
