"""The end of a run: what workers leave to DVC's own command."""

import os
import sys
from typing import NoReturn


def repro(*words: str) -> NoReturn:
    """Become `dvc repro`. What DVC tells of stages that go well is left out, and what goes wrong is told; its own `--quiet`
    leaves out both.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.execv(sys.executable, [sys.executable, "-m", "dvc", "repro", *words])
