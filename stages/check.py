"""Check a whole parameter file, all sections and all problems at once, before any work starts.

Writes a file that says so, always the same, so that a change of parameters re-runs only what it concerns.
"""

from pathlib import Path

from lib.atomic import write_text
from lib.params.section import parse
from lib.steps.check import check
from stages.command import arguments, run


def main() -> None:
    """One parameter file."""
    given = arguments(__doc__, out=Path)
    check(parse(given.params.read_text()))
    write_text(given.out, "every section of the parameter file is valid\n")


if __name__ == "__main__":
    run(main)
