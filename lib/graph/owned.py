"""Folders that belong to a living process; those of a process that was killed go."""

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

SUFFIX = ".lock"


@contextmanager
def owned(parent: Path) -> Iterator[Path]:
    """A new folder of this process in `parent`, which goes at the end. Folders there whose process is gone go first."""
    parent.mkdir(parents=True, exist_ok=True)
    for path in parent.glob(f"*{SUFFIX}"):
        if (lock := _locked(path)) is not None:
            _remove(path.with_suffix(""), lock)
    folder, lock = _begin(parent)
    try:
        yield folder
    finally:
        _remove(folder, lock)


def _begin(parent: Path) -> tuple[Path, TextIO]:
    while True:
        folder = parent / secrets.token_hex(8)
        if (lock := _locked(folder.with_suffix(SUFFIX))) is not None:  # else somebody took it for one of a killed process
            folder.mkdir()
            return folder, lock


def _locked(path: Path) -> TextIO | None:
    """A file, locked for this process; None where another has it or has removed it."""
    lock = path.open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(lock.fileno()), path.stat()):
            return lock
    except (BlockingIOError, FileNotFoundError):
        pass
    lock.close()
    return None


def _remove(folder: Path, lock: TextIO) -> None:
    with lock:
        shutil.rmtree(folder, ignore_errors=True)  # a killed process's last child may still write
        if not folder.exists():
            folder.with_suffix(SUFFIX).unlink(missing_ok=True)
