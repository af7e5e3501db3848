"""Trainings of a kind that are killed, run again, and compared with one that was left alone."""

import mmap
import random
import shutil
import time
from functools import partial
from pathlib import Path

from tests.fuzzing import doom
from tests.fuzzing.children import Work, killed
from tests.fuzzing.doom import watch
from tests.fuzzing.trainings import train

SAID = "{}: {} killed by the clock, {} at changes of files, {} in writing; all ended in the same bits\n"


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


def killed_one_by_one(victims: Victims, draw: random.Random, moments: range, stride: int) -> str:
    """Kill trainings of one kind; what to tell of it."""
    times = [draw.uniform(0.0, victims.seconds) for _ in moments]
    changes = range(draw.randrange(stride), victims.changes, stride)
    clock = sum(victims.kill(partial(doom.by_clock, moment)) for moment in times)
    at = sum(victims.kill(partial(doom.at_change, change)) for change in changes)
    half = sum(victims.kill(partial(doom.in_writing, change, draw.randrange(500_000))) for change in changes)
    return SAID.format(victims.kind, clock, at, half)
