"""Build every network, method and distiller of the suite once, on images as the data set has them, before any training.

Reads the data folder; writes a file that says so, always the same, so that a change of parameters re-runs only what it
concerns. Warns where compute.precision is slow on this machine.
"""

import logging
from pathlib import Path
from typing import Annotated

from stages.command import PARAMS, Data, Params, read_params, run


def main(data: Data, out: Annotated[Path, "the file to write"], params: Params = PARAMS) -> None:
    """One parameter file on its data."""
    from lib.atomic import write_text
    from lib.images.dataset import load
    from lib.steps.document import check
    from lib.steps.rehearse import rehearse, seen
    from lib.training.precision import slow

    sections = read_params(params)
    document = check(sections)
    rehearse(document, sections, seen(load(data)))
    if told := slow(document.compute):
        logging.warning(told)
    write_text(out, "every method and distiller of the parameter file fits the data\n")


if __name__ == "__main__":
    run(main)
