"""Ways to die: by the clock, just before a change of a file, or in the middle of writing one."""

import os
import resource
import signal
import sys
from collections.abc import Callable
from typing import Any

CHANGES = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.chmod", "fcntl.flock")


def by_clock(seconds: float) -> None:
    """Die in so many seconds."""
    signal.setitimer(signal.ITIMER_REAL, seconds)


def at_change(number: int) -> None:
    """Die just before change `number` of a file."""
    watch(lambda before: os.kill(os.getpid(), signal.SIGKILL) if before == number else None)


def in_writing(number: int, size: int) -> None:
    """Die, from change `number` of a file on, when a file grows beyond so many bytes: it is left half written."""
    watch(lambda before: _limit(size) if before == number else None)


def watch(reached: Callable[[int], None]) -> None:
    """From now on call `reached` before every change of files, with the number of changes before."""
    seen = [0]

    def hook(event: str, given: tuple[Any, ...]) -> None:
        if event in CHANGES or (event == "open" and (given[2] or 0) & (os.O_WRONLY | os.O_RDWR)):
            seen[0] += 1
            reached(seen[0] - 1)

    sys.addaudithook(hook)


def _limit(size: int) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
