"""Build every network, method and distiller of the suite once, on images as the data set has them, before any training.

Reads the data folder; writes a file that says so, always the same, so that a change of parameters re-runs only what it
concerns.
"""

from pathlib import Path
from typing import Annotated

from stages.command import PARAMS, Data, Params, read_params, run


def main(data: Data, out: Annotated[Path, "the file to write"], params: Params = PARAMS) -> None:
    """One parameter file on its data."""
    from lib.atomic import write_text
    from lib.images.dataset import load
    from lib.steps.document import check
    from lib.steps.rehearse import rehearse, seen

    sections = read_params(params)
    rehearse(check(sections), sections, seen(load(data)))
    write_text(out, "every method and distiller of the parameter file fits the data\n")


if __name__ == "__main__":
    run(main)
