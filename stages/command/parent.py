"""Ending with who started the command, so that a killed `dvc` leaves no training behind that holds the lock."""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # of linux/prctl.h


def die_with_dvc() -> None:
    """End this process when its parent ends, if DVC runs it (DVC_STAGE is set); started by hand it lives on.

    Raises ValueError when the parent is gone already.
    """
    if "DVC_STAGE" not in os.environ:
        return
    parent = os.getppid()
    die_with_parent()
    if not _lives(parent):
        msg = "the dvc that started this stage is gone; run it again"
        raise ValueError(msg)


def die_with_parent() -> None:
    """Have Linux end this process when the thread that started it ends; elsewhere nothing is done."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _lives(parent: int) -> bool:
    """Whether `parent`, this process's at the start, still is; who adopts orphans is of another session than who made them."""
    try:
        return os.getppid() == parent and os.getsid(parent) == os.getsid(0)
    except ProcessLookupError:
        return False
