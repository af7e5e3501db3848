"""Tabulate a suite: read its cells, latencies and training logs, write its tables and pictures.

What the parameter file asks for and is not there yet is named, in the tables and here.
"""

import sys
from pathlib import Path

from lib.params.section import parse
from lib.steps import tabulate
from stages.command import arguments, run


def main() -> None:
    """All tables and pictures of one suite."""
    given = arguments(__doc__, cells=Path, latency=Path, logs=Path, published=Path, out=Path)
    gathered = tabulate.gather(
        document=parse(given.params.read_text()),
        cells=given.cells,
        latencies=given.latency,
        training_logs=given.logs,
        published_document=parse(given.published.read_text()),
    )
    tabulate.write(gathered, given.out)
    sys.stderr.write(gathered.complaints)


if __name__ == "__main__":
    run(main)
