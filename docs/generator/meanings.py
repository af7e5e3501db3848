"""What settings mean: read from the docstrings of their classes, and from the comments of a parameter file."""

import inspect
import re
from collections.abc import Iterable
from dataclasses import fields
from itertools import zip_longest
from typing import Any

KEY = re.compile(r"(?P<indent> *)(?P<key>[\w-]+):(?:.*?\s#\s+(?P<comment>.*))?")


def meanings(kind: Any) -> dict[str, str]:
    """Field -> what the docstrings of a settings class and of those it extends say of it (`name, other: text.`)."""
    names = [field.name for field in fields(kind)]
    found: dict[str, str] = {}
    for ancestor in reversed(kind.__mro__[:-1]):
        for paragraph in (inspect.cleandoc(ancestor.__doc__ or "")).split("\n\n"):
            found |= _said(" ".join(paragraph.split()), names)
    return found


def comments(text: str) -> dict[str, str]:
    """Dotted key -> the comment behind it in a parameter file."""
    found: dict[str, str] = {}
    above: list[tuple[int, str]] = []
    for line in text.splitlines():
        if match := KEY.fullmatch(line):
            indent = len(match["indent"])
            above = [*(one for one in above if one[0] < indent), (indent, match["key"])]
            if match["comment"]:
                found[".".join(key for _, key in above)] = match["comment"].strip()
    return found


def _said(paragraph: str, names: Iterable[str]) -> dict[str, str]:
    """`temperature_*` stands for all names that begin so."""
    name = "|".join([*map(re.escape, names), r"[a-z_]+_\*"])
    heads = list(re.finditer(rf"(?:^|(?<=\. ))((?:{name})(?:, (?:{name}))*): ", paragraph))
    found: dict[str, str] = {}
    for head, after in zip_longest(heads, heads[1:]):
        text = paragraph[head.end() : after.start() if after else None].strip().removesuffix(".")
        for word in head[1].split(", "):
            found |= {one: text for one in names if one == word or (word.endswith("*") and one.startswith(word[:-1]))}
    return found
