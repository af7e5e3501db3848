"""Obtain a data set, decode it to uint8, hold out a validation split; write one folder.

Reads section `data` of the parameter file.
"""

from pathlib import Path

from lib.images.sources import DataSettings
from lib.params.section import parse, read
from lib.progress import images
from lib.steps.download import make
from stages.command import arguments, run


def main() -> None:
    """One data set."""
    given = arguments(__doc__, cache=Path, out=Path)
    params = read(parse(given.params.read_text()), "data", DataSettings)
    for remark in make(params, given.cache, images, given.out):
        print(remark)


if __name__ == "__main__":
    run(main)
