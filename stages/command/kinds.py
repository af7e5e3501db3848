"""A parameter of a command as argparse wants it told."""

import inspect
from argparse import ArgumentTypeError
from functools import partial
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin

BARE = "bare"  # a third word of Annotated: no option, but words without a name; a tuple takes any number of them
NAMES = {Path: "PATH", int: "N", float: "X", str: "NAME"}
WANTED = {Path: "a path", int: "a whole number", float: "a number", str: "a name"}


def option(parameter: inspect.Parameter) -> dict[str, Any]:
    """The keywords of `add_argument` for a parameter that is annotated as Annotated[kind, "what it is"]."""
    kind, words, *marks = get_args(parameter.annotation)
    if get_origin(kind) is UnionType:  # with None: it may be left out
        (kind,) = (part for part in get_args(kind) if part is not NoneType)
    required = parameter.default is parameter.empty
    found = {"required": required, "default": None if required else parameter.default, "help": words.replace("%", "%%")}
    if BARE in marks:
        several = get_origin(kind) is tuple
        one = get_args(kind)[0] if several else kind
        named = {"metavar": parameter.name.rstrip("s").upper(), "help": found["help"]}
        bare = named | (_choice(one) if get_origin(one) is Literal else {"type": partial(_one, one)})
        return bare | {"nargs": "*"} if several else bare
    if kind is bool:  # a flag
        return {"action": "store_true", "help": found["help"]}
    if get_origin(kind) is Literal:
        return found | _choice(kind)
    if get_origin(kind) is tuple:
        kind = get_args(kind)[0]
        return found | {"metavar": f"{NAMES[kind]},{NAMES[kind]}", "type": partial(_several, kind)}
    return found | {"metavar": NAMES[kind], "type": partial(_one, kind)}


def is_bare(parameter: inspect.Parameter) -> bool:
    """Whether a parameter has no name on the command line."""
    return BARE in get_args(parameter.annotation)[2:]


def _choice(kind: Any) -> dict[str, Any]:
    return {"choices": get_args(kind), "type": partial(_one, type(get_args(kind)[0]))}


def _one(kind: type, text: str) -> Any:
    try:
        if text:
            return kind(text)
    except ValueError:
        pass
    msg = f"wants {WANTED[kind]}, got {text!r}"
    raise ArgumentTypeError(msg)


def _several(kind: type, text: str) -> tuple[Any, ...]:
    return tuple(_one(kind, part) for part in text.split(","))
