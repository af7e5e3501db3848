"""What a task does on its machine: run a chain of stages in a copy of the work tree of its own.

What the chain needs comes, as links, from DVC's cache, which all machines share. DVC's lock and notes are in the copy, apart
from those of other tasks. Unfinished trainings are in the shared folder, so that any machine goes on with them.
"""

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from lib.graph.chains import Chain
from lib.graph.environment import Environment, difference, here
from lib.graph.owned import owned
from lib.graph.schedule import Sent
from lib.graph.shared import Shared

REFUSED = 3  # exit status of a cell that may not run on its machine
LONGEST = 100_000  # characters of a log that travel
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class Job:
    """What all tasks of a run are told. versions: the lock file of versions; device, threads: of section compute."""

    shared: Shared
    environment: Environment
    versions: str
    device: str
    threads: int


class Outcome(NamedTuple):
    """What a task tells the driver. refused: why no cell may run on that machine, "" where one may."""

    good: bool
    sent: list[Sent]
    log: str
    refused: str


def run_chain(job: Job, chain: Chain, lock: str) -> Outcome:
    """Run a chain of stages. lock: the text of a dvc.lock with what the chain needs to know; the work tree is the current
    folder.
    """
    host = os.uname().nodename
    try:
        if why := _unfit(job):
            return Outcome(False, [], "", f"{host} {why}")
        with job.shared.at_work(chain[0], host), owned(_private(f"cells-{os.getuid()}")) as place:
            _lay_out(place / "tree", job.shared, lock, host)
            status, log = _run(job, chain, place)
            refused = f"{host}: {log.strip().rpartition(chr(10))[2]}" if status == REFUSED else ""
            return Outcome(status == 0, _sent(place / "sent"), log, refused)
    except OSError as error:  # a full disk, say: it would fail cell after cell
        return Outcome(False, [], "", f"{host} cannot run cells: {error}")


def _private(name: str) -> Path:
    """A folder for temporary ones. Raises PermissionError where others may write to it: code runs from what lies there."""
    folder = Path(tempfile.gettempdir()) / name
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        msg = f"{folder} is open to others; remove it, or set TMPDIR to a folder of your own"
        raise PermissionError(msg)
    return folder


def _unfit(job: Job) -> str:
    """Why no cell may run on this machine; "" where one may."""
    if not job.shared.seen():
        cure = "all machines must share one folder as DVC's cache, mounted at the same path"
        return f"does not see the driver's {job.shared.cache}: {cure}"
    if differs := difference(job.environment, here(Path(job.versions))):
        cure = "install the same versions on all machines: pip install --constraint requirements.lock --group run"
        return f"has another environment: {differs}; {cure}"
    return ""


def _lay_out(tree: Path, shared: Shared, lock: str, host: str) -> None:
    """Copy the current folder, and let the copy use what is shared.

    Each machine has downloads of its own: processes of one keep out of each other's way, those of two cannot.
    """
    shutil.copytree(Path(), tree, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", ".git", ".scratch", "dvc.lock"))
    if lock:
        (tree / "dvc.lock").write_text(lock)
    config = f'[core]\n    no_scm = true\n[cache]\n    dir = "{shared.cache}"\n    type = symlink\n'
    (tree / ".dvc/config.local").write_text(config)
    for name, kept in (("resume", shared.scratch / "resume"), ("downloads", shared.scratch / "downloads" / host)):
        kept.mkdir(parents=True, exist_ok=True)
        (tree / ".scratch").mkdir(exist_ok=True)
        (tree / ".scratch" / name).symlink_to(kept)


def _run(job: Job, chain: Chain, place: Path) -> tuple[int, str]:
    """Run the chain in a process that ends with this one; its exit status and its log."""
    path = place / "log.txt"
    with path.open("w") as log:
        command, environment = _command(job, chain, place), _environment(job, place)
        done = subprocess.run(
            command, cwd=place / "tree", env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False
        )
    return done.returncode, path.read_text(errors="replace")[-LONGEST:]


def _command(job: Job, chain: Chain, place: Path) -> list[str]:
    options = {
        "stages": ",".join(chain),
        "sent": place / "sent",
        "parent": os.getpid(),
        "cache": job.shared.cache,
        "run": job.shared.run,
        "device": job.device,
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return [sys.executable, "-m", "tools.cell", *words]


def _environment(job: Job, place: Path) -> dict[str, str]:
    """That of this process, with this Python's commands first, and with DVC's state in the place of the chain."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    threads = dict.fromkeys(THREADS, str(job.threads))
    return {**os.environ, **threads, "PATH": path, "DVC_SITE_CACHE_DIR": str(place / "site")}


def _sent(path: Path) -> list[Sent]:
    lines = path.read_text().splitlines() if path.exists() else []
    return [(name, entry) for name, entry in map(json.loads, lines)]
