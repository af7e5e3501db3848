"""Tabulate a suite: read its cells, latencies and training logs, write its tables and pictures.

What the parameter file asks for and is not there yet is named, in the tables and here.
"""

import sys
from pathlib import Path
from typing import Annotated

from stages.command import PARAMS, Params, read_params, run


def main(
    cells: Annotated[Path, "the folder of the cells' numbers"],
    predictions: Annotated[Path, "the folder of the predicted classes"],
    latency: Annotated[Path, "the folder of latencies"],
    logs: Annotated[Path, "the folder of the training logs"],
    published: Annotated[Path, "the file of published numbers"],
    out: Annotated[Path, "the folder to write"],
    params: Params = PARAMS,
) -> None:
    """All tables and pictures of one suite."""
    from lib.steps import tabulate

    gathered = tabulate.gather(read_params(params), cells, predictions, latency, logs, read_params(published))
    tabulate.write(gathered, out)
    sys.stderr.write(gathered.complaints)


if __name__ == "__main__":
    run(main)
