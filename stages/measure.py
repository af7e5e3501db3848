"""Measure a compact network: accuracy on the test split, parameters, MACs, bytes.

Reads a compact checkpoint, the numbers of its packed form (the .json of stage encode; may be left out) and the data folder;
writes flat numeric JSON.
"""

import json
from pathlib import Path

from lib.atomic import write_text
from lib.images.dataset import load
from lib.params.section import parse, read
from lib.pruning.layers import Layers
from lib.steps.measure import measure
from lib.training.device import Compute
from stages.command import arguments, run


def main() -> None:
    """One cell."""
    given = arguments(__doc__, source=Path, encoded=Path | None, data=Path, keep_ratio=float, out=Path)
    document = parse(given.params.read_text())
    compute, layers = read(document, "compute", Compute), read(document, "prune.layers", Layers)
    numbers = measure(given.source, load(given.data), given.keep_ratio, layers, compute)
    if given.encoded is not None:
        numbers |= json.loads(given.encoded.read_text())
    write_text(given.out, json.dumps(numbers, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    run(main)
