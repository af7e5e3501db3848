"""Check a whole parameter file, all sections and all problems at once, before any work starts.

Writes a file that says so, always the same, so that a change of parameters re-runs only what it concerns.
"""

from pathlib import Path
from typing import Annotated

from stages.command import PARAMS, Params, read_params, run


def main(out: Annotated[Path, "the file to write"], params: Params = PARAMS) -> None:
    """One parameter file."""
    from lib.atomic import write_text
    from lib.steps.check import check

    check(read_params(params))
    write_text(out, "every section of the parameter file is valid\n")


if __name__ == "__main__":
    run(main)
