"""Time every pruned shape of a suite as it ships, against the dense network, in each runtime.

Reads the folder of compact checkpoints and the data folder; writes one JSON a shape, and what they were timed on. Fails when a
network as it ships is not equal to the compact one on the test images.
"""

from pathlib import Path
from typing import Annotated

from stages.command import PARAMS, Data, Params, read_params, run


def main(
    compact: Annotated[Path, "the folder of compact checkpoints"],
    data: Data,
    out: Annotated[Path, "the folder to write"],
    params: Params = PARAMS,
) -> None:
    """One suite."""
    from lib.images.dataset import load
    from lib.params.section import read
    from lib.steps.latency import clock
    from lib.training.running import Running

    document = read_params(params)
    clock(document, compact, load(data, read(document, "running", Running).workers), out)


if __name__ == "__main__":
    run(main)
