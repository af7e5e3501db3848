"""Wall and CPU time of `make repro` in a fresh clone, and of what finds nothing to do after it: `python -m bench.repro`.

The clone is of the last commit, has an empty DVC cache of its own, and uses the environment of this checkout, so that its
set-up does not count. CPU time is that of all processes. --nothing: here, in this checkout, only what finds nothing to do.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

from stages.command import run

ROOT = Path(__file__).parent.parent
BOUNDS = {"make repro": 1000.0, "dvc repro": 3.0}  # CPU seconds: the first in a fresh clone, the second with nothing to do

MAKE = ("make", "--old-file=.venv/ready", "repro")  # the environment is taken as it is, whatever is newer


def clone(folder: Path) -> None:
    """A fresh clone whose environment is the one of this checkout."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    (folder / ".venv").symlink_to((ROOT / ".venv").resolve())


def timed(folder: Path, jobs: int, *words: str) -> float:
    """Run a command to its end, and print what it took; its CPU seconds."""
    state = {"DVC_SITE_CACHE_DIR": str(folder / ".dvc/tmp/site"), "DVC_NO_ANALYTICS": "1"}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([*words], cwd=folder, env={**os.environ, **state, "JOBS": str(jobs), "PATH": path}, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{' '.join(words)}: {time.perf_counter() - start:.1f} s by the clock, {cpu:.1f} s CPU")
    return cpu


def main(
    jobs: Annotated[int, "how many cells at once"] = os.cpu_count() or 1,
    nothing: Annotated[bool, "only what finds nothing to do, in this checkout"] = False,
) -> None:
    """The long one, then twice nothing to do."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = ROOT if nothing else Path(temporary) / "clone"
        if not nothing:
            clone(folder)
        found = {} if nothing else {"make repro": timed(folder, jobs, *MAKE)}
        timed(folder, jobs, *MAKE)
        found["dvc repro"] = timed(folder, jobs, "dvc", "repro", "--quiet")
    exceeded = [name for name, cpu in found.items() if cpu > BOUNDS[name]]
    print(f"over the bound of CPU seconds: {', '.join(f'{name} ({BOUNDS[name]:.0f})' for name in exceeded) or 'none'}")
    sys.exit(bool(exceeded))


if __name__ == "__main__":
    run(main)
