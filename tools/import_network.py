"""Import a network trained elsewhere as a checkpoint that the compact and measure stages take.

Reads a PyTorch file (tensors only: nothing in it is executed) and a YAML description of its names; writes a checkpoint whose
masks are the filters that are exactly zero. No part of the pipeline: used by hand.
"""

import argparse
from pathlib import Path

from lib.formats.checkpoint import save
from lib.formats.foreign import Description, read
from lib.params.section import parse
from lib.params.section import read as read_section
from stages.command import run


def main() -> None:
    """One file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, required=True, metavar="FILE", help="the PyTorch file")
    parser.add_argument("--description", type=Path, required=True, metavar="FILE", help="see suites/foreign-*.yaml")
    parser.add_argument("--out", type=Path, required=True, metavar="PATH", help="the checkpoint to write")
    given = parser.parse_args()
    description = read_section({"description": parse(given.description.read_text())}, "description", Description)
    save(given.out, read(given.source, description))


if __name__ == "__main__":
    run(main)
