"""Make the physically small network of a masked one, and prove on the test images that both compute the same.

Reads a checkpoint with masks and the data folder; writes a checkpoint that needs no masks, and its channel plan (.json).
Fails when the two networks are not equal.
"""

from pathlib import Path
from typing import Literal

from lib.images.dataset import load
from lib.params.section import parse, read
from lib.steps.compact import shrink
from lib.training.device import Compute
from stages.command import arguments, run


def main() -> None:
    """One network."""
    given = arguments(__doc__, source=Path, data=Path, compaction=Literal["scatter", "coupled"], out=Path)
    compute = read(parse(given.params.read_text()), "compute", Compute)
    shrink(given.source, load(given.data), given.compaction, compute, given.out)


if __name__ == "__main__":
    run(main)
