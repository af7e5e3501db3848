"""Read sections of params.yaml into frozen, checked dataclasses; report every problem at once.

There are no defaults: params.yaml is the whole truth, so a missing, unknown, mistyped or out-of-range key is an error that
names the section, the key, the value found and what is allowed.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, dataclass_transform

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from lib.params.bounds import RULE, SAID
from lib.params.dialect import ParamsError, parse
from lib.params.shown import LISTED, shortened, shown

__all__ = ["STRICT", "ParamsError", "check", "parse", "problems", "read", "section"]

T = TypeVar("T")

STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
MOST = 30  # problems that are told at once
TAGS = ("union_tag_not_found", "union_tag_invalid")


@dataclass_transform(frozen_default=True)
def section(cls: type[T]) -> type[T]:
    """Make a class a parameter section: frozen, strictly typed, unknown keys refused, every number finite."""
    checked: type[T] = dataclass(frozen=True, config=STRICT)(cls)  # type: ignore[assignment]
    return checked


def problems(document: Mapping[str, Any], name: str, kind: type[T]) -> list[str]:
    """What is wrong with section `name` (dotted) read as `kind`: one line a problem, empty when nothing is."""
    try:
        read(document, name, kind)
    except ParamsError as error:
        return str(error).splitlines()
    return []


def check(document: Mapping[str, Any], sections: Mapping[str, type]) -> None:
    """Check several sections together. Raises one ParamsError with the problems of all of them."""
    found = [line for name, kind in sections.items() for line in problems(document, name, kind)]
    if found:
        raise ParamsError("\n".join(found))


def read(document: Mapping[str, Any], name: str, kind: type[T]) -> T:
    """Section `name` (dotted, e.g. `prune.methods.l1`) as `kind`. Raises ParamsError listing every problem of the section."""
    value: Any = document
    for key in name.split("."):
        if not isinstance(value, Mapping) or key not in value:
            msg = f"{name}: this section is missing; add it (see suites/digits.yaml)"
            raise ParamsError(msg)
        value = value[key]
    return validated(value, kind, name)


def validated(value: Any, kind: type[T], name: str = "", known: Mapping[str, tuple[str, ...]] | None = None) -> T:
    """Plain values as `kind`. name: where they stand (dotted; "" for a whole file). known: for references (`bounds.Known`).

    Raises ParamsError with one line for each key that is wrong, of which there may be many; the first MOST are told.
    """
    try:
        # As JSON, strict means strict of values, yet a mapping may become a section and a list a tuple.
        return TypeAdapter(kind).validate_json(json.dumps(value), context=known)
    except ValidationError as error:
        raise ParamsError("\n".join(_lines(value, name, error))) from error


def _lines(value: Any, name: str, error: ValidationError) -> list[str]:
    """One line a key. Where a value may be of two kinds, it fails as each of them: what is wanted is told together."""
    told: dict[str, dict[str, None]] = {}
    for problem in error.errors():
        # An item that is wrong also makes its list too short; only the first of the two helps.
        if problem["type"] == "too_short" and problem["input"]:
            continue
        found, wanted = _explained(problem)
        key = ".".join(part for part in (name, *_place(value, problem)) if part)
        told.setdefault(f"{shortened(key)}: {found}" if key else found, {})[wanted] = None
    lines = [f"{found}{' or '.join(wanted)}" for found, wanted in told.items()]
    more = len(lines) - MOST
    return lines[:MOST] + [f"and {more:,} more problems; correct these first"] * (more > 0)


def _place(value: Any, problem: Any) -> list[str]:
    """The keys to a problem as the file writes them: pydantic also names the kinds that it tried."""
    place = []
    for part in problem["loc"]:
        inside = part in value if isinstance(value, Mapping) else isinstance(value, list) and isinstance(part, int)
        if inside:
            value = value[part]
        if inside or (problem["type"] == "missing" and part == problem["loc"][-1]):
            place.append(str(part) or "''")
    return [*place, _chooser(problem)] if problem["type"] in TAGS else place


def _chooser(problem: Any) -> str:
    """The key whose value chooses the kind of a section."""
    return str(problem["ctx"]["discriminator"]).strip("'")


def _explained(problem: Any) -> tuple[str, str]:
    """What was found and what is wanted."""
    has, said = shown(problem["input"]), shortened(problem["msg"], 2 * LISTED)
    explain: Mapping[str, Callable[[], tuple[str, str]]] = {
        "missing": lambda: ("is missing; ", "every key must be written, there are no defaults"),
        "unexpected_keyword_argument": lambda: (f"is unknown (value {has}); ", "remove it or correct its name"),
        "union_tag_not_found": lambda: ("is missing; ", "every key must be written, there are no defaults"),
        "union_tag_invalid": lambda: (
            f"is {shown(problem['input'][_chooser(problem)])}; ",
            f"input should be one of {problem['ctx']['expected_tags']}",
        ),
        "string_pattern_mismatch": lambda: (f"is {has}; ", f"write {SAID.get(problem['ctx']['pattern'], said)}"),
        "value_error": lambda: ("", str(problem["ctx"]["error"])),
        RULE: lambda: ("", said),
    }
    say = explain.get(problem["type"], lambda: (f"is {has}; ", f"{said[0].lower()}{said[1:]}"))
    return say()
