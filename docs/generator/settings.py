"""All settings of a section, walked down to its leaves."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from docs.generator.allowed import allowed
from docs.generator.markdown import written
from docs.generator.meanings import meanings
from lib.steps.document import Plugins


@dataclass(frozen=True)
class Entry:
    """One key: its dotted place, what it may be, what it is by default (as YAML), what it means."""

    place: str
    allowed: str
    default: str
    meaning: str


def entries(kind: Any, values: Any, place: str, notes: Mapping[str, str]) -> Iterator[Entry]:
    """The keys of a settings class and of the sections in it.

    values: those of the section, or None where it has none of its own. notes: comments by place, for what no docstring says.
    """
    said = meanings(kind)
    for name, hint in get_type_hints(kind, include_extras=True).items():
        here = f"{place}.{name}".lstrip(".")
        value = values.get(name) if isinstance(values, Mapping) else ...
        yield from _one(hint, value, here, said.get(name, notes.get(here, "")), notes)


def _one(hint: Any, value: Any, here: str, meaning: str, notes: Mapping[str, str]) -> Iterator[Entry]:
    inside, bare = sections(hint), get_args(hint)[0] if get_origin(hint) is Annotated else hint
    default = "" if value is ... else written(value)
    if registry := plugins(hint):
        yield Entry(here, f"a section each, see [{registry}]({registry}.md)", "", meaning)
    elif len(inside) == 1 and get_origin(bare) in (None, Union, UnionType):
        if get_origin(bare) is not None:
            yield Entry(here, "a section; or null", "", meaning)
        yield from entries(inside[0], value, here, notes)
    elif inside and get_origin(bare) not in (None, Union, UnionType, tuple):
        yield Entry(here, "a section each, by name", ", ".join(value), meaning)
        yield from entries(inside[0], None, f"{here}.*", notes)
    elif len(inside) > 1:
        yield Entry(here, f"a section of one kind: {', '.join(kinds(inside))}", default, meaning)
    else:
        yield Entry(here, allowed(hint), default, meaning)


def sections(hint: Any) -> list[Any]:
    """The settings classes that a type mentions."""
    if isinstance(hint, type) and is_dataclass(hint):
        return [hint]
    return [kind for part in get_args(hint) for kind in sections(part)]


def kinds(inside: list[Any]) -> dict[str, Any]:
    """The values of `kind` that settings classes go by, and the class of each."""
    return {name: one for one in inside for name in get_args(get_type_hints(one)["kind"])}


def plugins(hint: Any) -> str:
    """The last word of the package whose settings a type holds; empty where it holds none."""
    found = [part.package.__name__ for part in get_args(hint) if isinstance(part, Plugins)]
    return found[0].rpartition(".")[2] if found else ""
