"""The state of a training that can be killed at any moment: one file, whole or absent, in a folder only one process may use.

The folder is keyed by everything that decides the result, the code's meaning included, so a state is never continued by
another run. A state goes when what its training makes is written, or when nobody has come back to it for weeks.
"""

import ast
import fcntl
import functools
import hashlib
import io
import json
import logging
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import torch

from lib.atomic import write_bytes
from lib.training.processes import of_first, share

LIBRARY = Path(__file__).parents[1]
AFTER = ("graph", "plots", "report", "runtimes", "tables")  # rooms that no training uses
OUTDATED_DAYS = 30
KEY = re.compile("[0-9a-f]{24}")
DIGEST_BYTES = 32

log = logging.getLogger(__name__)


def identity(**decides: Any) -> str:
    """A key of everything that decides a training's result: the given values, the library's meaning, torch's version."""
    digest = hashlib.sha256(json.dumps(decides, sort_keys=True, default=str).encode())
    for path in sorted(LIBRARY.rglob("*.py")):
        name = path.relative_to(LIBRARY)
        if name.parts[0] not in AFTER:
            digest.update(name.as_posix().encode() + meaning(path.read_text()))
    digest.update(torch.__version__.encode())
    return digest.hexdigest()[:24]


@functools.cache
def meaning(code: str) -> bytes:
    """The sha256 of Python code without what does not run: comments, layout and docstrings."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(node):
            del node.body[0]
    return hashlib.sha256(ast.dump(tree).encode()).digest()


@dataclass(frozen=True)
class Unfinished:
    """Where one training keeps its state between epochs; the folder's name is the training's key."""

    folder: Path

    @property
    def file(self) -> Path:
        """The state after the last finished epoch, after a checksum of it and of the key."""
        return self.folder / "state.pt"

    def load(self) -> dict[str, Any] | None:
        """The state, or None where there is none. Nothing in the file is executed.

        A state that is damaged, or of another training, is set aside (one a training) and told in the log.
        """
        if not self.file.exists():
            return None
        content = self.file.read_bytes()
        if content[:DIGEST_BYTES] != self._digest(content[DIGEST_BYTES:]):
            self._set_aside()
            return None
        state: dict[str, Any] = torch.load(io.BytesIO(content[DIGEST_BYTES:]), "cpu", weights_only=True)
        return state

    def save(self, state: Mapping[str, Any]) -> None:
        """Replace the state atomically. Raises ValueError when the disk is full; the state before is then intact.

        Of several processes the first writes, and all wait for it.
        """
        if share().process == 0:
            self._write(state)
        of_first(None)

    def _write(self, state: Mapping[str, Any]) -> None:
        content = io.BytesIO()
        torch.save(dict(state), content)
        write_bytes(self.file, self._digest(content.getbuffer()) + content.getbuffer())

    def _digest(self, content: bytes | memoryview) -> bytes:
        digest = hashlib.sha256(self.folder.name.encode())
        digest.update(content)
        return digest.digest()

    def _set_aside(self) -> None:
        aside = self.file.with_name("damaged.pt")
        if aside.exists():
            aside.unlink()
        self.file.replace(aside)
        log.warning("%s is damaged or of another training; it is set aside as %s, the training starts again", self.file, aside)


@contextmanager
def claimed(root: Path, key: str) -> Iterator[Unfinished]:
    """The locked folder of one training; it goes when the work inside succeeds and stays when it is interrupted.

    Write what the training makes inside: a disk that is full then costs no training. Folders that nobody has used for
    OUTDATED_DAYS (of trainings that failed, or of other settings or code) go too.
    Raises ValueError when another process holds the folder.
    """
    root.mkdir(parents=True, exist_ok=True)
    lock = _locked(root, key)
    if lock is None:
        msg = f"another process is training this very run (lock {root / key}.lock); wait for it or end it, then run again"
        raise ValueError(msg)
    with lock:
        (root / key).mkdir(exist_ok=True)
        yield Unfinished(root / key)
        _forget(root, key)
    _remove_outdated(root)


def _locked(root: Path, key: str) -> TextIO | None:
    """The lock file of a key, locked for this process; None where another has it."""
    path = root / f"{key}.lock"
    while True:
        lock = path.open("a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(lock.fileno()), path.stat()):
                return lock
        except BlockingIOError:
            lock.close()
            return None
        except FileNotFoundError:  # who had it finished just now, and removed it
            pass
        lock.close()


def _forget(root: Path, key: str) -> None:
    if (root / key).exists():
        shutil.rmtree(root / key)
    (root / f"{key}.lock").unlink()


def _remove_outdated(root: Path) -> None:
    """Remove what nobody has used for weeks and nobody holds; what is not named as ours is let alone."""
    for folder in root.iterdir():
        if KEY.fullmatch(folder.name) and _outdated(folder) and (lock := _locked(root, folder.name)):
            with lock:
                _forget(root, folder.name)


def _outdated(folder: Path) -> bool:
    try:
        return folder.stat().st_mtime < time.time() - OUTDATED_DAYS * 24 * 3600
    except FileNotFoundError:  # its training has just finished
        return False
