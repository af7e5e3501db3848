"""Make the physically small network of a masked one, and prove on the test images that both compute the same.

Reads a checkpoint with masks and the data folder; writes a checkpoint that needs no masks, and its kept filters (.json).
Fails when the two networks are not equal.
"""

from pathlib import Path
from typing import Annotated

from stages.command import PARAMS, Compaction, Data, Params, read_params, run


def main(
    source: Annotated[Path, "the checkpoint with masks"],
    data: Data,
    compaction: Compaction,
    out: Annotated[Path, "the checkpoint to write"],
    params: Params = PARAMS,
) -> None:
    """One network."""
    from lib.images.dataset import load
    from lib.params.section import read
    from lib.steps.compact import shrink
    from lib.training.device import Compute
    from lib.training.running import Running

    document = read_params(params)
    compute, running = read(document, "compute", Compute), read(document, "running", Running)
    shrink(source, load(data, running.workers), compaction, compute, out)


if __name__ == "__main__":
    run(main)
