"""Trainings of a kind that are killed, run again, and compared with one that was left alone."""

import mmap
import shutil
import time
from functools import partial
from pathlib import Path

from tests.fuzzing.children import Work, killed
from tests.fuzzing.doom import watch
from tests.fuzzing.trainings import train


class Victims:
    """Trainings of a kind with the files of a folder (see trainings.prepare), one of them left alone.

    changes: how often that one changed files. seconds: how long it took.
    """

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind, self.folder, self.said = kind, folder, folder / "said"
        counter, start = mmap.mmap(-1, 8), time.perf_counter()
        count = partial(watch, lambda before: counter.__setitem__(slice(0, 8), (before + 1).to_bytes(8, "little")))
        killed(partial(train, kind, folder, folder / "alone"), self.said, count)
        self.changes, self.seconds = int.from_bytes(counter[:], "little"), time.perf_counter() - start
        self.alone = _taken(folder / "alone")

    def kill(self, doom: Work) -> bool:
        """Kill one and run it again; whether it was killed. Raises ValueError when it ends differently."""
        work = partial(train, self.kind, self.folder, self.folder / "own")
        died = killed(work, self.said, doom)
        killed(work, self.said)
        found = _taken(self.folder / "own")
        if found != self.alone:
            wrong = sorted(name for name in {*found, *self.alone} if found.get(name) != self.alone.get(name))
            msg = f"{self.kind} killed by {doom} and run again differs in {', '.join(wrong)}"
            raise ValueError(msg)
        return died


def _taken(folder: Path) -> dict[str, bytes]:
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    shutil.rmtree(folder)
    return found
