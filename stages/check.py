"""Check a whole parameter file, all sections and all problems at once, before any work starts.

Writes a file that says so, always the same, so that a change of parameters re-runs only what it concerns.
"""

from pathlib import Path
from typing import Annotated

from stages.command import PARAMS, Params, run


def main(out: Annotated[Path, "the file to write"], params: Params = PARAMS) -> None:
    """One parameter file."""
    from lib.atomic import write_text
    from lib.params.section import parse
    from lib.steps.check import check

    check(parse(params.read_text()))
    write_text(out, "every section of the parameter file is valid\n")


if __name__ == "__main__":
    run(main)
