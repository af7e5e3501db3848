"""The kinds of inputs that there are, and how the cases of one ended."""

import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

from lib import plugins
from lib.progress import steps
from tests import fuzzing

SHOWN = 20  # failures of a kind


def all_kinds() -> dict[str, ModuleType]:
    """The modules of this folder that make cases, by name."""
    modules = [plugins.find(fuzzing, name) for name in plugins.names(fuzzing) if name != "kinds"]
    return {module.NAME: module for module in modules if hasattr(module, "NAME")}


def count_failures(kind: ModuleType, seed: int, cases: int, folder: Path) -> int:
    """Run a kind, say how its cases ended, and count the failures."""
    bar, words, failures = steps(f"fuzz {kind.NAME}")(cases, 0), Counter[str](), 0
    for outcome in kind.run(seed, cases, folder):
        bar.update()
        words[outcome.word] += 1
        failures += outcome.failure is not None
        if outcome.failure is not None and failures <= SHOWN:
            sys.stderr.write(f"\n{outcome.word}: {outcome.failure}\n")
    counts = ", ".join(f"{word} {count:,}" for word, count in sorted(words.items()))
    sys.stderr.write(f"\n{kind.NAME}: {words.total():,} cases: {counts}\n")
    return failures
