"""Processes that end when they should: with their parent, however that ends, and at Ctrl-C without a traceback."""

import ctypes
import os
import signal
import sys
import threading
import time

PR_SET_PDEATHSIG = 1  # of prctl(2)
POLL_SECONDS = 1.0


def die_with_parent(parent: int | None = None) -> None:
    """Let this process be killed when its parent ends, however that ends.

    parent: the id that the parent must have, where the caller knows it; else one of this process's own session. This process
    is killed at once if it has another parent, since then its own ended before the call. Linux does this itself; elsewhere a
    thread looks every second.
    """
    if parent is None and _adopted():
        _end()
    expected = os.getppid() if parent is None else parent
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        threading.Thread(target=_watch, args=(expected,), daemon=True).start()
    if os.getppid() != expected:
        _end()


def end_at_interrupt() -> None:
    """Until `raise_at_interrupt`, let Ctrl-C end this process at once: raised within an import it would be lost or long."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def raise_at_interrupt() -> None:
    """Let Ctrl-C raise KeyboardInterrupt again."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _adopted() -> bool:
    """Whether the parent is gone: who adopts orphans is of another session than who made them."""
    try:
        return os.getsid(os.getppid()) != os.getsid(0)
    except (ProcessLookupError, PermissionError):
        return True


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    _end()


def _end() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
