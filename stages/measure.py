"""Measure a compact network: accuracy on the test split, parameters, MACs, bytes.

Reads a compact checkpoint, the numbers of its packed form and the data folder; writes flat numeric JSON, and the predicted
class of every test image.
"""

import json
from pathlib import Path
from typing import Annotated

from stages.command import PARAMS, Data, KeepRatio, Params, read_params, run


def main(
    source: Annotated[Path, "the compact checkpoint"],
    data: Data,
    keep_ratio: KeepRatio,
    out: Annotated[Path, "the JSON file to write"],
    encoded: Annotated[Path | None, "the numbers of its packed form, the .json of stage encode; may be left out"] = None,
    predictions: Annotated[Path | None, "the predicted classes to write, a .safetensors file; not written if left out"] = None,
    params: Params = PARAMS,
) -> None:
    """One cell."""
    from lib import json_file
    from lib.atomic import write_bytes, write_text
    from lib.images.dataset import load
    from lib.params.section import read
    from lib.pruning.layers import Layers
    from lib.steps.measure import measure
    from lib.training.device import Compute
    from lib.training.running import Running

    document = read_params(params)
    compute, layers = read(document, "compute", Compute), read(document, "prune.layers", Layers)
    packed = {} if encoded is None else json_file.load(encoded)
    dataset = load(data, read(document, "running", Running).workers)
    measured = measure(source, dataset, keep_ratio, layers, compute)
    if predictions is not None:
        write_bytes(predictions, measured.predictions)
    write_text(out, json.dumps(measured.numbers | packed, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    run(main)
