"""Tabulate a suite: read its cells, latencies and training logs, write its tables and pictures.

What the parameter file asks for and is not there yet is named, in the tables and here. Predictions and filters of cells whose
files are not here are taken from the tables of before.
"""

import sys
from pathlib import Path
from typing import Annotated

from stages.command import PARAMS, Params, read_params, run


def main(
    cells: Annotated[Path, "the folder of the cells' numbers"],
    latency: Annotated[Path, "the folder of latencies"],
    logs: Annotated[Path, "the folder of the training logs"],
    published: Annotated[Path, "the file of published numbers"],
    out: Annotated[Path, "the folder to write"],
    predictions: Annotated[Path | None, "the folder of the predicted classes; no paired tests if left out"] = None,
    compact: Annotated[Path | None, "the folder of the compact networks; their filters are not listed if left out"] = None,
    hours: Annotated[Path | None, "what `make repro` notes of its hours; may be missing"] = None,
    params: Params = PARAMS,
) -> None:
    """All tables and pictures of one suite."""
    from lib.graph import provenance
    from lib.steps import tabulate

    document = read_params(params)
    gathered = tabulate.gather(document, cells, predictions, compact, latency, logs, read_params(published), out)
    tabulate.write(gathered, out, provenance.facts(Path(), hours, gathered.suite.name))
    sys.stderr.write(gathered.complaints)


if __name__ == "__main__":
    run(main)
