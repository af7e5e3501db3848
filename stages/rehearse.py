"""Build every network, method and distiller of the suite once, on images as the data set has them, before any training.

Reads the data folder; writes a file that says so, always the same, so that a change of parameters re-runs only what it
concerns.
"""

from pathlib import Path

from lib.atomic import write_text
from lib.images.dataset import load
from lib.params.section import parse
from lib.steps.document import check
from lib.steps.rehearse import rehearse, seen
from stages.command import arguments, run


def main() -> None:
    """One parameter file on its data."""
    given = arguments(__doc__, data=Path, out=Path)
    sections = parse(given.params.read_text())
    rehearse(check(sections), sections, seen(load(given.data)))
    write_text(given.out, "every method and distiller of the parameter file fits the data\n")


if __name__ == "__main__":
    run(main)
