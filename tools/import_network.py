"""Import a network trained elsewhere as a checkpoint that the compact and measure stages take.

Reads a file of torch.save or safetensors (tensors only: nothing in it is executed), a YAML description of its names, and the
data folder where the description expects an accuracy; writes a checkpoint whose masks are the filters that are exactly zero.
No part of the pipeline: used by hand.
"""

import sys
from pathlib import Path
from typing import Annotated

from stages.command import run


def main(
    source: Annotated[Path, "the file of tensors"],
    description: Annotated[Path, "see suites/foreign-*.yaml"],
    out: Annotated[Path, "the checkpoint to write"],
    data: Annotated[Path | None, "the data folder to score it on"] = None,
) -> None:
    """One file."""
    from lib.formats.foreign import describe
    from lib.images.dataset import load
    from lib.networks.builders import allow
    from lib.steps.import_network import bring

    dataset, described = None if data is None else load(data), describe(description)
    allow([described.network])  # the description is the user's own word
    sys.stderr.write(f"{out}: {bring(source, described, dataset, out)}\n")


if __name__ == "__main__":
    run(main)
