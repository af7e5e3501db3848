"""The state of a training that can be killed at any moment: one file, whole or absent, in a folder only one process may use.

The folder is keyed by everything that decides the result, code included, so a state is never continued by another run.
"""

import fcntl
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lib.atomic import replacing

LIBRARY = Path(__file__).parents[1]


def identity(**decides: Any) -> str:
    """A key of everything that decides a training's result: the given values, this library's code and torch's version."""
    digest = hashlib.sha256(json.dumps(decides, sort_keys=True, default=str).encode())
    for path in sorted(LIBRARY.rglob("*.py")):
        digest.update(path.relative_to(LIBRARY).as_posix().encode() + path.read_bytes())
    digest.update(torch.__version__.encode())
    return digest.hexdigest()[:24]


@dataclass(frozen=True)
class Unfinished:
    """Where one training keeps its state between epochs."""

    folder: Path

    @property
    def file(self) -> Path:
        """The state after the last finished epoch."""
        return self.folder / "state.pt"

    def load(self) -> dict[str, Any] | None:
        """The state, or None where there is none. Nothing in the file is executed."""
        return torch.load(self.file, weights_only=True) if self.file.exists() else None

    def save(self, state: Mapping[str, Any]) -> None:
        """Replace the state atomically."""
        with replacing(self.file) as temporary:
            torch.save(dict(state), temporary)


@contextmanager
def claimed(root: Path, key: str) -> Iterator[Unfinished]:
    """The locked folder of one training; it goes when the work inside succeeds and stays when it is interrupted.

    Raises ValueError when another process holds it (a `dvc` that was killed leaves its stage running).
    """
    folder = root / key
    folder.mkdir(parents=True, exist_ok=True)
    with (root / f"{key}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            msg = f"another process is training this very run (lock {lock.name}); wait for it or end it, then run again"
            raise ValueError(msg) from error
        yield Unfinished(folder)
        shutil.rmtree(folder)
        Path(lock.name).unlink(missing_ok=True)
