"""What may happen to a JSON header, drawn at random."""

import copy
import random
from typing import Any

from tests.fuzzing.hostile_values import HOSTILE

STEPS = 6  # down into a document, at most


def mutated(document: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """A copy with one to three changes: a value replaced, moved by one, gone, doubled, or more of them."""
    changed = copy.deepcopy(document)
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        _change(changed, chance)
    return changed


def _change(document: dict[str, Any], chance: random.Random) -> None:
    holder, key = _place(document, chance)
    if key is None:
        return
    value = holder[key]
    way = chance.choice(("replace", "replace", "move", "gone", "more"))
    if way == "gone":
        del holder[key]
    elif way == "move" and isinstance(value, (int, float)):
        holder[key] = value + chance.choice((-1, 1))
    elif way == "move" and isinstance(value, list):
        chance.shuffle(value)
    elif way == "more" and isinstance(value, list):
        value.extend(value[:1] * chance.choice((1, 2, 10_000)))
    elif way == "more" and isinstance(value, dict):
        value["surplus"] = chance.choice(HOSTILE)
    else:
        holder[key] = copy.deepcopy(chance.choice(HOSTILE))


def _place(document: dict[str, Any], chance: random.Random) -> tuple[Any, Any]:
    """What holds a value, and its key or index there; None where there is nothing left to change."""
    holder: Any = document
    for _ in range(STEPS):
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        if not keys:
            return holder, None
        key = chance.choice(keys)
        if not isinstance(holder[key], (dict, list)) or chance.random() < 0.2:
            break
        holder = holder[key]
    return holder, key
