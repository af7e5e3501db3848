"""Read sections of params.yaml into frozen, checked dataclasses; report every problem at once.

There are no defaults: params.yaml is the whole truth, so a missing, unknown, mistyped or out-of-range key is an error that
names the section, the key, the value found and what is allowed.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, dataclass_transform

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

T = TypeVar("T")


class ParamsError(ValueError):
    """One or more problems in a parameter file, one line each."""


@dataclass_transform(frozen_default=True)
def section(cls: type[T]) -> type[T]:
    """Make a class a parameter section: frozen, strictly typed, unknown keys refused."""
    checked: type[T] = dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))(cls)  # type: ignore[assignment]
    return checked


class _Loader(yaml.SafeLoader):
    """PyYAML reads `1e-5` as text (YAML 1.1); DVC writes floats that way, so read numbers as YAML 1.2 does."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


def parse(text: str) -> dict[str, Any]:
    """The mapping written in a parameter file. Raises ParamsError where it is not YAML or not a mapping."""
    try:
        document = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        msg = f"the parameter file is not valid YAML: {error}"
        raise ParamsError(msg) from error
    if not isinstance(document, dict):
        msg = f"the parameter file must hold sections (key: value), got {type(document).__name__}"
        raise ParamsError(msg)
    return document


def problems(document: Mapping[str, Any], name: str, kind: type[T]) -> list[str]:
    """What is wrong with section `name` (dotted) read as `kind`: one line a problem, empty when nothing is."""
    try:
        _validate(document, name, kind)
    except ParamsError as error:
        return str(error).splitlines()
    return []


def read(document: Mapping[str, Any], name: str, kind: type[T]) -> T:
    """Section `name` (dotted, e.g. `prune.methods.l1`) as `kind`. Raises ParamsError listing every problem of the section."""
    return _validate(document, name, kind)


def check(document: Mapping[str, Any], sections: Mapping[str, type]) -> None:
    """Check several sections together. Raises one ParamsError with the problems of all of them."""
    found = [line for name, kind in sections.items() for line in problems(document, name, kind)]
    if found:
        raise ParamsError("\n".join(found))


def _validate(document: Mapping[str, Any], name: str, kind: type[T]) -> T:
    value: Any = document
    for key in name.split("."):
        if not isinstance(value, Mapping) or key not in value:
            msg = f"{name}: this section is missing; add it (see suites/digits.yaml)"
            raise ParamsError(msg)
        value = value[key]
    try:
        # As JSON, strict means strict of values, yet a mapping may become a section and a list a tuple.
        return TypeAdapter(kind).validate_json(json.dumps(value, default=str))
    except ValidationError as error:
        # An item that is wrong also makes its list too short; only the first of the two helps.
        told = [problem for problem in error.errors() if not (problem["type"] == "too_short" and problem["input"])]
        raise ParamsError("\n".join(_line(name, problem) for problem in told)) from error


def _line(name: str, problem: Any) -> str:
    explain: Mapping[str, Callable[[], str]] = {
        "missing": lambda: "is missing; every key must be written, there are no defaults",
        "unexpected_keyword_argument": lambda: f"is unknown (value {problem['input']!r}); remove it or correct its name",
    }
    say = explain.get(problem["type"], lambda: f"is {problem['input']!r}; {problem['msg'][0].lower()}{problem['msg'][1:]}")
    key = ".".join(str(part) for part in problem["loc"])
    return f"{name}.{key}: {say()}" if key else f"{name}: {say()}"
