"""A bound on the memory that a reader may ask for."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TIMES, ROOM = 10, 100 * 10**6  # so many times the file, and so many bytes more
STATM = Path("/proc/self/statm")
NO_MEMORY = ("allocate memory", "MemoryError", "os error 12")  # of torch, Python and numpy, Rust


@contextmanager
def bounded(size: int) -> Iterator[None]:
    """Deny this process more address space than reading a file of so many bytes may take; what is asked for and never touched
    counts too. Linux only: elsewhere a process may take what it wants.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    if STATM.exists():
        used = int(STATM.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + TIMES * size + ROOM, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
