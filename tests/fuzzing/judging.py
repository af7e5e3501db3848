"""How a case ended: what its reader may use (memory, time), say (one message) and accept."""

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from tests.fuzzing.damage import badly_refused
from tests.fuzzing.memory import NO_MEMORY, bounded

SECONDS, PER_MEGABYTE = 5.0, 20.0  # of CPU time


class Outcome(NamedTuple):
    """word: what is counted. failure: what is wrong with it, and with which case; None for a right answer."""

    word: str
    failure: str | None = None


class Case(NamedTuple):
    """A file, and what is wrong with the value that reading it gave: a message, or None. Refusing it is always right."""

    content: bytes
    problem: Callable[[Path, Any], str | None]


def run(
    name: str, make: Callable[[random.Random], Case], read: Callable[[Path], Any], seed: int, cases: int, folder: Path
) -> Iterator[Outcome]:
    """Make cases and judge what reading them gives. The file of a failed one stays in the folder."""
    for number in range(cases):
        case, path = make(random.Random(f"{name}/{seed}/{number}")), folder / f"{name}-{seed}-{number}"
        path.write_bytes(case.content)
        outcome = judge(case, path, read)
        yield outcome if outcome.failure is None else Outcome(outcome.word, f"{path}: {outcome.failure}")
        if outcome.failure is None:
            path.unlink()


def judge(case: Case, path: Path, read: Callable[[Path], Any]) -> Outcome:
    """Read a case's file and judge the value or the error."""
    with ThreadPoolExecutor(1) as executor:
        executor.submit(int).result()  # the thread's own memory is not the reader's
        start = time.process_time()
        with bounded(path.stat().st_size):
            future: Future[Any] = executor.submit(read, path)
            error = future.exception()
    if any(sign in repr(error) for sign in NO_MEMORY):
        return Outcome("too much memory", repr(error))
    if (took := time.process_time() - start) > SECONDS + PER_MEGABYTE * len(case.content) / 1e6:
        return Outcome("too slow", f"{took:.1f} s of CPU time")
    if error is None:
        problem = case.problem(path, future.result())
        return Outcome("accepted" if problem is None else "wrongly accepted", problem)
    if not isinstance(error, ValueError):
        return Outcome("traceback", repr(error))
    problem = badly_refused(error, path.name)
    return Outcome("refused" if problem is None else "badly refused", problem)
