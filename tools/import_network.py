"""Import a network trained elsewhere as a checkpoint that the compact and measure stages take.

Reads a PyTorch file (tensors only: nothing in it is executed) and a YAML description of its names; writes a checkpoint whose
masks are the filters that are exactly zero. No part of the pipeline: used by hand.
"""

from pathlib import Path
from typing import Annotated

from stages.command import run


def main(
    source: Annotated[Path, "the PyTorch file"],
    description: Annotated[Path, "see suites/foreign-*.yaml"],
    out: Annotated[Path, "the checkpoint to write"],
) -> None:
    """One file."""
    from lib.formats.checkpoint import save
    from lib.formats.foreign import Description, read
    from lib.params.section import parse
    from lib.params.section import read as read_section

    described = read_section({"description": parse(description.read_text())}, "description", Description)
    save(out, read(source, described))


if __name__ == "__main__":
    run(main)
