"""Where results come from: the commit, and the hours that `make repro` took for a suite."""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lib.atomic import write_text
from lib.graph import suites

WRITTEN = ("dvc.lock", "suites/*.lock", "metrics", "models")  # by runs

CODE = ("*.py", "suites")  # what runs may use before git knows it


def commit(root: Path) -> str:
    """The commit of a work tree, marked -dirty where other code or parameters run there; empty outside of a repository.

    What runs write does not count, and params.yaml does not where it is what the file of its suite gives.
    """
    git = ("git", "-C", str(root))
    done = subprocess.run([*git, "rev-parse", "--verify", "HEAD"], capture_output=True, text=True, check=False)
    if done.returncode:
        return ""
    aside = [f":(exclude){path}" for path in (*WRITTEN, *(() if _edited(root) else ("params.yaml",)))]
    same = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", ".", *aside], capture_output=True, check=False)
    words = [*git, "ls-files", "--others", "--exclude-standard", "--", *CODE, *aside]
    new = subprocess.run(words, capture_output=True, text=True, check=False).stdout
    return done.stdout.strip() + ("-dirty" if same.returncode or new else "")


def _edited(root: Path) -> bool:
    """Whether params.yaml may be something else than its suite gives."""
    try:
        return suites.of(root).edited()
    except (FileNotFoundError, ValueError):
        return True


@contextmanager
def counted(path: Path, suite: str) -> Iterator[None]:
    """Add the time of what is done inside to a file of hours, also where it fails or is interrupted."""
    start = time.monotonic()
    try:
        yield
    finally:
        known = _read(path)
        hours = known.get(suite, 0.0) + (time.monotonic() - start) / 3600
        write_text(path, json.dumps(known | {suite: round(hours, 3)}, indent=2, sort_keys=True) + "\n")


def facts(root: Path, hours: Path | None, suite: str) -> dict[str, str]:
    """In words; what is not known is left out."""
    spent = _read(hours).get(suite) if hours else None
    told = {
        "Commit": commit(root),
        "Hours": f"{round(spent, 1 if spent >= 1 else 2):g} by the clock, all runs on this machine" if spent else "",
    }
    return {name: text for name, text in told.items() if text}


def _read(path: Path) -> dict[str, float]:
    """Nothing where there is no file, or one that was edited into something else: no result depends on it."""
    try:
        found = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) and all(isinstance(value, int | float) for value in found.values()) else {}
