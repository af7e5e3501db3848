"""Feed damaged and hostile inputs to the product; fail when one is answered by anything but the right value or one message.

python -m tools.fuzz --cases 10000 [--kind containers] [--seed 0] [--keep FOLDER]
"""

import sys
import tempfile
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Annotated

from lib import plugins
from lib.progress import steps
from stages.command import run
from tools import fuzz

SHOWN = 20  # failures of a kind


def main(
    cases: Annotated[int, "of each kind"],
    kind: Annotated[str | None, "one kind; all if left out"] = None,
    seed: Annotated[int, "another one makes other cases"] = 0,
    keep: Annotated[Path | None, "a folder for the files of failed cases; none if left out"] = None,
) -> None:
    """All kinds, or one."""
    modules = [plugins.find(fuzz, name) for name in plugins.names(fuzz) if name != "__main__"]
    kinds = {module.NAME: module for module in modules if hasattr(module, "NAME")}
    if kind is not None and kind not in kinds:
        msg = f"--kind: there is no {kind!r}; there are: {', '.join(sorted(kinds))}"
        raise ValueError(msg)
    with tempfile.TemporaryDirectory() as temporary:
        folder = keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        chosen = [kind] if kind else sorted(kinds)
        failures = sum(_run(kinds[name], seed, cases, folder) for name in chosen)
    if failures:
        msg = f"{failures} cases failed, see above"
        raise ValueError(msg)


def _run(kind: ModuleType, seed: int, cases: int, folder: Path) -> int:
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


if __name__ == "__main__":
    run(main)
