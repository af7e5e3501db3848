"""Import a network trained elsewhere as a checkpoint that the compact and measure stages take.

Reads a file of torch.save or safetensors (tensors only: nothing in it is executed), a YAML description of its names, and the
data folder where the description expects an accuracy; writes a checkpoint whose masks are the filters that are exactly zero.
No part of the pipeline: used by hand.
"""

import argparse
import sys
from pathlib import Path

from lib.formats.foreign import describe
from lib.images.dataset import load
from lib.steps.import_network import bring
from stages.command import run


def main() -> None:
    """One file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, required=True, metavar="FILE", help="the file of tensors")
    parser.add_argument("--description", type=Path, required=True, metavar="FILE", help="see suites/foreign-*.yaml")
    parser.add_argument("--data", type=Path, metavar="PATH", help="the data folder to score it on")
    parser.add_argument("--out", type=Path, required=True, metavar="PATH", help="the checkpoint to write")
    given = parser.parse_args()
    dataset = None if given.data is None else load(given.data)
    sys.stderr.write(f"{given.out}: {bring(given.source, describe(given.description), dataset, given.out)}\n")


if __name__ == "__main__":
    run(main)
