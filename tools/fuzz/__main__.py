"""Feed damaged and hostile inputs to the product; fail when one is answered by anything but the right value or one message.

python -m tools.fuzz --cases 10000 [--kind containers] [--seed 0] [--keep FOLDER]
"""

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path
from types import ModuleType

from lib import plugins
from lib.progress import steps
from stages.command import run
from tools import fuzz

SHOWN = 20  # failures of a kind


def main() -> None:
    """All kinds, or one."""
    modules = [plugins.find(fuzz, name) for name in plugins.names(fuzz) if name != "__main__"]
    kinds = {module.NAME: module for module in modules if hasattr(module, "NAME")}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, required=True, metavar="N", help="of each kind")
    parser.add_argument("--kind", choices=sorted(kinds), help="default: all")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="another one makes other cases; default: 0")
    parser.add_argument("--keep", type=Path, metavar="PATH", help="a folder for the files of failed cases; default: none")
    given = parser.parse_args()
    chosen = [given.kind] if given.kind else sorted(kinds)
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        failures = sum(_run(kinds[name], given.seed, given.cases, folder) for name in chosen)
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
