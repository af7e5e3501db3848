"""Work in a process of its own, which may be killed."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

Work = Callable[[], None]


def killed(work: Work, said: Path, doom: Work = lambda: None) -> bool:
    """Work in a process of its own after `doom`; whether it was killed. What it says goes to the file `said`.

    Raises ValueError when the work ends by itself, and fails.
    """
    pid = os.fork()
    if pid == 0:
        _work(work, said, doom)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status > 0:
        msg = f"the work failed: {said.read_text()}"
        raise ValueError(msg)
    return status < 0


def _work(work: Work, said: Path, doom: Work) -> None:
    log = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for number in (1, 2):
        os.dup2(log, number)
    try:
        doom()
        work()
    finally:
        error = sys.exc_info()[1]
        sys.stderr.write("" if error is None else repr(error))
        sys.stderr.flush()
        os._exit(int(error is not None))
