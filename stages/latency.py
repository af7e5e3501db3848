"""Time the masked and the compact network of every pruned shape of a suite.

Reads the folders of distilled and compact checkpoints; writes one JSON a shape, and what they were timed on.
"""

from pathlib import Path
from typing import Annotated

from stages.command import PARAMS, Params, read_params, run


def main(
    masked: Annotated[Path, "the folder of distilled checkpoints"],
    compact: Annotated[Path, "the folder of compact checkpoints"],
    out: Annotated[Path, "the folder to write"],
    params: Params = PARAMS,
) -> None:
    """One suite."""
    from lib.runtimes.timing import LatencySettings
    from lib.params.section import read
    from lib.params.suite import read as read_suite
    from lib.steps.latency import clock
    from lib.training.device import Compute

    document = read_params(params)
    settings, compute = read(document, "latency", LatencySettings), read(document, "compute", Compute)
    clock(read_suite(document), masked, compact, settings, compute, out)


if __name__ == "__main__":
    run(main)
