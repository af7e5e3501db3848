"""What killed processes left: unfinished files and folders, named .<name>.<process>.tmp."""

import os
import re
import shutil
from pathlib import Path

UNFINISHED = re.compile(r"\..+\.(\d{1,9})\.tmp")


def remove_leftovers(folder: Path) -> None:
    """Remove what processes that are no more left unfinished in a folder; the folder itself may be missing."""
    for path in folder.glob(".*.tmp"):
        match = UNFINISHED.fullmatch(path.name)
        if match is None or _runs(int(match[1])):
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return process != os.getpid()  # this process has begun nothing yet: a killed one had the same number
