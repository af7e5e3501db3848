"""dvc.lock as text: an entry a stage, each as DVC wrote it.

Reading the file as YAML and writing it anew takes a second for 150 stages, and DVC does so after every stage. Entries
need not be understood to be put together, only told apart.
"""

import re
from collections.abc import Mapping, Sequence

HEADER = "schema: '2.0'\nstages:\n"
EMPTY = ("", "schema: '2.0'\n", "schema: '2.0'\nstages: {}\n")
START = re.compile(r"^  (?! |:)(?:\? )?(['\"]?)(?P<name>[^'\"\s]+?)\1:?$")


def entries(text: str) -> dict[str, str]:
    """The text of each stage's entry in the text of a dvc.lock, by stage.

    Raises ValueError where the text is not as DVC writes it.
    """
    if text in EMPTY:
        return {}
    head = HEADER.splitlines(keepends=True)
    lines = text.splitlines(keepends=True)
    if strange := [line for line, wanted in zip(lines, head, strict=False) if line != wanted]:
        raise ValueError(_foreign(strange[0]))
    found: dict[str, list[str]] = {}
    for line in lines[len(head) :]:
        if start := START.match(line):
            name = start["name"]
            if name in found:
                raise ValueError(_foreign(line))
            found[name] = []
        elif not found or (not line.startswith("  ") and line.strip()):
            raise ValueError(_foreign(line))
        found[name].append(line)
    return {name: "".join(lines) for name, lines in found.items()}


def whole(blocks: Mapping[str, str], order: Sequence[str]) -> str:
    """The text of a dvc.lock of these entries: in the order of the stages given, then those that are no stage any more."""
    position = {name: index for index, name in enumerate(order)}
    ordered = sorted(blocks, key=lambda name: position.get(name, len(position)))
    return HEADER + "".join(blocks[name] for name in ordered)


def _foreign(line: str) -> str:
    return f"dvc.lock: this line is not as DVC writes it: {line.strip()[:80]!r}; restore the file with git and run again"
