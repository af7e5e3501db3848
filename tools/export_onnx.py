"""Write a compact network as ONNX, and prove with onnxruntime on up to 1,000 test images that it computes the same.

Reads a compact checkpoint (.safetensors) or a packed network (.bin) and the data folder. --int8 FILE: write it in 8-bit
integers too, calibrated on 256 training images, and tell both accuracies. No part of the pipeline: used by hand.
"""

import sys
from pathlib import Path
from typing import Annotated

from stages.command import PARAMS, Data, Params, read_params, run


def main(
    source: Annotated[Path, "the network"],
    data: Data,
    out: Annotated[Path, "the ONNX file to write"],
    int8: Annotated[Path | None, "the ONNX file in 8-bit integers to write"] = None,
    params: Params = PARAMS,
) -> None:
    """One network."""
    from lib.formats import onnx, packed
    from lib.images.dataset import load
    from lib.params.section import read
    from lib.steps.export_onnx import in_integers
    from lib.training.device import Compute, prepare
    from lib.training.running import Running

    document = read_params(params)
    prepare(read(document, "compute", Compute))
    checkpoint, dataset = packed.opened(source), load(data, read(document, "running", Running).workers)
    if checkpoint.kept is not None:
        msg = f"{source} holds masks, and would be exported as large as before; give the checkpoint that stage compact wrote"
        raise ValueError(msg)
    found = onnx.export(checkpoint, next(onnx.evenly(dataset, "test", 1000, checkpoint).plain(1000))[0], out)
    sys.stderr.write(f"{out}: {out.stat().st_size:,} bytes, {found}\n")
    if int8 is not None:
        sys.stderr.write(in_integers(checkpoint, dataset, out, int8))


if __name__ == "__main__":
    run(main)
