"""Time the masked and the compact network of every pruned shape of a suite.

Reads the folders of distilled and compact checkpoints; writes one JSON a shape, and what they were timed on.
"""

from pathlib import Path

from lib.cost.latency import LatencySettings
from lib.params.section import parse, read
from lib.params.suite import read as read_suite
from lib.steps.latency import clock
from lib.training.device import Compute
from stages.command import arguments, run


def main() -> None:
    """One suite."""
    given = arguments(__doc__, masked=Path, compact=Path, out=Path)
    document = parse(given.params.read_text())
    params, compute = read(document, "latency", LatencySettings), read(document, "compute", Compute)
    clock(read_suite(document), given.masked, given.compact, params, compute, given.out)


if __name__ == "__main__":
    run(main)
