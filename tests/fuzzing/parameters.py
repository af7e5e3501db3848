"""Parameter files that are wrong in one place each, with the key that a refusal must name."""

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

from ruamel.yaml import YAML

OPEN = ("prune.methods", "distill.terms", "distill.distillers", ".guide", ".terms", ".keep_ratios")  # keys may come and go
NUMBERS = (float("nan"), float("inf"), float("-inf"), 1e308, -1e308, 10**13, 10**400, -(10**13))
TEXTS = ("", "\n", "\x00", "\x1b[2J", "ä" * 5000, "../up", "x; touch PWNED; true", "$(touch PWNED)", "-rf")
ANYTHING: tuple[Any, ...] = (True, "word", [{}], -0.3)
WRONG: dict[type, tuple[Any, ...]] = {
    bool: (None, 0, "yes", [True]),
    int: (1.5, "3", [1], {}, *NUMBERS),
    float: ("1e-3x", [0.1], True, *NUMBERS),
    str: (7, None, ["a"], {}, *TEXTS),
}


def wrong_files(text: str, seed: int, count: int) -> Iterator[tuple[str, str]]:
    """So many variants of a good parameter file (its text), each with the key at fault (dotted, or its last part)."""
    draw, good = random.Random(seed), YAML(typ="safe").load(text)
    lines = [line for line in text.splitlines() if line.partition(":")[2].partition("#")[0].strip() and line[:1] != "#"]
    for _ in range(count):
        line, document = draw.choice(lines), copy.deepcopy(good)
        place, parent, key = draw.choice(list(_places(document, "")))
        kind = draw.choice(("twice", "gone", "more", "value", "value", "value"))
        if kind == "twice":
            yield text.replace(f"\n{line}\n", f"\n{line}\n{line}\n", 1), line.strip().partition(":")[0]
            continue
        if kind == "gone" and isinstance(parent, dict) and not place.rpartition(".")[0].endswith(OPEN):
            del parent[key]
        elif kind == "more" and isinstance(parent[key], dict) and not place.endswith(".keep_ratios"):
            place, parent[key]["surplus"] = f"{place}.surplus", draw.choice(ANYTHING)
        else:
            like = float if place.endswith("schedule.warmup_epochs") else type(parent[key])  # a part of an epoch will do
            parent[key] = draw.choice(TEXTS[:5] if place == "data.source" else WRONG.get(like, ANYTHING))
        yield json.dumps(document).replace("NaN", ".nan").replace("Infinity", ".inf"), place  # JSON is YAML


def _places(value: Any, place: str) -> Iterator[tuple[str, Any, Any]]:  # every key and item, and what holds it
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield f"{place}.{key}".lstrip("."), value, key
        yield from _places(inner, f"{place}.{key}".lstrip("."))
