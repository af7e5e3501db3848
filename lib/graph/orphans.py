"""Processes that end when they should: with their parent, however that ends, and at Ctrl-C without a traceback."""

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

PR_SET_PDEATHSIG = 1  # of prctl(2)
POLL_SECONDS = 1.0
IMPORTING = "<frozen importlib._bootstrap>"  # the code of every import is a frame of this file
INTERRUPTED = 130  # exit status of what Ctrl-C ended
SHELLS = ("sh", "dash", "bash", "zsh", "ksh", "fish")


def die_with_parent(parent: int | None = None) -> None:
    """Let this process be killed when its parent ends, however that ends.

    parent: the id that the parent must have, where the caller knows it; else one of this process's own session. This process
    is killed at once if it has another parent, since then its own ended before the call. Linux does this itself; elsewhere,
    and where a shell stands between this process and who asked for it, a thread looks every second.
    """
    if parent is None and _adopted():
        _end()
    expected = os.getppid() if parent is None else parent
    if parent is None and (asker := _behind_a_shell(expected)) is not None:
        threading.Thread(target=_watch, args=(asker, lambda: _parent_of(expected)), daemon=True).start()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        threading.Thread(target=_watch, args=(expected, os.getppid), daemon=True).start()
    if os.getppid() != expected:
        _end()


def end_at_interrupt() -> None:
    """Until `raise_at_interrupt`, let Ctrl-C end this process at once: raised within an import it would be lost or long."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def raise_at_interrupt(last_words: str) -> None:
    """Let Ctrl-C raise KeyboardInterrupt again; within an import it ends this process at once, with its last words."""

    def interrupted(_: int, frame: FrameType | None) -> None:
        while frame is not None:
            if frame.f_code.co_filename == IMPORTING:
                os.write(sys.stderr.fileno(), last_words.encode())
                os._exit(INTERRUPTED)
            frame = frame.f_back
        raise KeyboardInterrupt

    if signal.getsignal(signal.SIGINT) in (signal.SIG_DFL, signal.default_int_handler):  # else a parent wants it ignored
        signal.signal(signal.SIGINT, interrupted)


def _adopted() -> bool:
    """Whether the parent is gone: who adopts orphans is of another session than who made them."""
    try:
        return os.getsid(os.getppid()) != os.getsid(0)
    except (ProcessLookupError, PermissionError):
        return True


def _watch(expected: int, look: Callable[[], int | None]) -> None:
    while look() == expected:
        time.sleep(POLL_SECONDS)
    _end()


def _behind_a_shell(process: int) -> int | None:
    """The parent of a process that is a shell; None for anything else. A shell outlives who started it."""
    try:
        name = Path(f"/proc/{process}/comm").read_text().strip()
    except OSError:  # gone, or no Linux
        return None
    return _parent_of(process) if name in SHELLS else None


def _parent_of(process: int) -> int | None:
    try:
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def _end() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
