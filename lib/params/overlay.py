"""A parameter file written as what differs from another one."""

import re
from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq, TaggedScalar
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.representer import RoundTripRepresenter
from ruamel.yaml.tokens import CommentToken

REPLACE = "!replace"
LONGEST = 300  # characters of a message of the YAML reader
_HEAD = re.compile(r"(#.*\n|\n)*")


def overlaid(base: str, overlay: str) -> str:
    """The text of a parameter file: `base` with what the overlay says instead; comments of both are kept.

    Mappings are merged key by key; lists and plain values replace what stood there. A mapping marked `!replace` replaces
    too: `schedule: !replace {kind: constant}` leaves no key of another kind of schedule. A key that the base lacks is added.
    The comment lines at the top are the overlay's, and so is a comment behind a value that it states.
    Raises ValueError where the overlay is not a YAML mapping, or states a key twice.
    """
    result, changes = document(base), document(overlay)
    _merge(result, changes)
    stream = StringIO()
    _yaml().dump(result, stream)
    return _head(overlay) + stream.getvalue()


def document(text: str) -> CommentedMap:
    """The mapping that a parameter file or an overlay holds. Raises ValueError where it is none, or states a key twice."""
    try:
        found = _yaml().load(text.removeprefix(_head(text)))
    except YAMLError as error:
        msg = f"it is not valid YAML: {' '.join(str(error).split())[:LONGEST]}"
        raise ValueError(msg) from error
    if not isinstance(found, CommentedMap):
        msg = f"it must hold sections (key: value), and holds {type(found).__name__}"
        raise ValueError(msg)
    return found


class _Representer(RoundTripRepresenter):
    """Writes null as a word: nothing behind a key looks like a mistake."""

    def represent_none(self, _: None) -> ScalarNode:
        """The word."""
        node: ScalarNode = self.represent_scalar("tag:yaml.org,2002:null", "null")
        return node


_Representer.add_representer(type(None), _Representer.represent_none)


def _yaml() -> YAML:
    yaml = YAML()
    yaml.Representer = _Representer
    yaml.preserve_quotes = True
    yaml.width = 4096  # no line is broken
    return yaml


def _head(text: str) -> str:
    found = _HEAD.match(text)
    return found[0] if found else ""


def _merge(into: CommentedMap, changes: CommentedMap) -> None:
    for key, value in changes.items():
        if isinstance(value, CommentedMap) and isinstance(into.get(key), CommentedMap) and value.tag.value != REPLACE:
            _merge(into[key], value)
        else:
            into[key] = _plain(value)
            if any("#" in token.value for token in changes.ca.items.get(key, ()) if isinstance(token, CommentToken)):
                into.ca.items[key] = changes.ca.items[key]


def _plain(value: Any) -> Any:
    """The value without its marks."""
    if isinstance(value, CommentedSeq) and value.tag.value == REPLACE:  # which a list does anyway
        plain_list = CommentedSeq(value)
        plain_list.fa.set_flow_style() if value.fa.flow_style() else plain_list.fa.set_block_style()
        return plain_list
    if isinstance(value, TaggedScalar):
        msg = f"{value.tag.value} stands before {str(value.value)[:LONGEST]!r}; mark mappings, a value replaces anyway"
        raise ValueError(msg)
    if not isinstance(value, CommentedMap):
        return value
    plain = CommentedMap((key, _plain(item)) for key, item in value.items())
    plain.ca.items.update(value.ca.items)
    if value.fa.flow_style():
        plain.fa.set_flow_style()
    return plain
