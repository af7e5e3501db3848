"""A parameter file's text -> plain values, in DVC's dialect: what `010`, `1e-5`, `no` mean is the same here and there.

DVC reads params.yaml by ruamel.yaml as YAML 1.2, and refuses keys that are written twice. What is no plain value (dates,
bytes, keys that are numbers) is refused here, since it has no meaning in a parameter file.
"""

from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent

from lib.params.shown import shortened, shown

DEEPEST, LARGEST, LONGEST = (
    64,
    100_000,
    1_000_000,
)  # levels, values with aliases followed, characters: a page has 4, 700, 12,000


class ParamsError(ValueError):
    """One or more problems in a parameter file, one line each."""


def parse(text: str) -> dict[str, Any]:
    """The mapping written in a parameter file. Raises ParamsError where it is not YAML, not a mapping or not plain values."""
    if len(text) > LONGEST:
        msg = f"the parameter file has {len(text):,} characters, at most {LONGEST:,} are read; give a parameter file"
        raise ParamsError(msg)
    try:
        _refuse_depth(text)
        document = YAML(typ="safe").load(text)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1
        msg = f"the parameter file is not valid YAML: line {line}: {shortened(str(error.problem))}; correct that line"
        raise ParamsError(msg) from error
    except (YAMLError, ValueError) as error:  # a character that is not allowed; a tag such as !!int before a word
        msg = f"the parameter file is not valid YAML: {shortened(str(error))}; correct it"
        raise ParamsError(msg) from error
    if not isinstance(document, dict):
        msg = f"the parameter file must hold sections (key: value), got {type(document).__name__}"
        raise ParamsError(msg)
    _refuse_odd(document)
    return document


def _refuse_depth(text: str) -> None:
    """Raise ParamsError for nesting on which the parser, which calls itself, would exhaust the stack and crash."""
    depth = 0
    for event in YAML(typ="safe").parse(text):
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > DEEPEST:
            msg = f"the parameter file nests more than {DEEPEST} levels at line {event.start_mark.line + 1}; write it flatter"
            raise ParamsError(msg)


def _refuse_odd(document: dict[Any, Any]) -> None:
    """Raise ParamsError unless everything is what JSON knows, and not too much of it with aliases followed."""
    waiting: list[tuple[tuple[str, ...], Any]] = [((), document)]
    for _ in range(LARGEST):
        if not waiting:
            return
        place, value = waiting.pop()
        if isinstance(value, dict):
            odd = [key for key in value if not isinstance(key, str)]
            waiting += [((*place, key), inner) for key, inner in value.items()]
        else:
            odd = [] if value is None or isinstance(value, str | bool | int | float | list) else [value]
            waiting += [((*place, str(index)), inner) for index, inner in enumerate(value if isinstance(value, list) else ())]
        if odd or len(place) > DEEPEST:
            where = shortened(".".join(place[:8])) or "the parameter file"
            has = f"the {type(odd[0]).__name__} {shown(odd[0])}; put it in quotes to mean text" if odd else "an endless alias"
            msg = f"{where}: has {has}"
            raise ParamsError(msg)
    msg = f"the parameter file holds more than {LARGEST:,} values, aliases followed; write less"
    raise ParamsError(msg)
