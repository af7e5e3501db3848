"""How much memory a piece of work takes at its peak."""

import ctypes
import gc
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

CLEAR, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")
RESET_PEAK = "5"
KIB = 1024


def peak_mib(work: Callable[[], Any]) -> float | None:
    """By how many MiB this process grows at most while it works; None where the system does not tell (all but Linux)."""
    if sys.platform != "linux" or not CLEAR.exists():
        return None
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what was freed before must not be there for the taking
    CLEAR.write_text(RESET_PEAK)
    before = _kib("VmRSS")
    work()
    return max(0.0, (_kib("VmHWM") - before) / KIB)


def _kib(name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB$", STATUS.read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])
