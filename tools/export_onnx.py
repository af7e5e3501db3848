"""Write a compact network as ONNX, and prove with onnxruntime on up to 1,000 test images that it computes the same.

Reads a compact checkpoint (.safetensors) or a packed network (.bin) and the data folder. --int8 FILE: write it in 8-bit
integers too, calibrated on 256 training images, and tell both accuracies. No part of the pipeline: used by hand.
"""

import sys
from pathlib import Path
from typing import Annotated

from stages.command import PARAMS, Data, Params, run


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
    from lib.params.section import parse, read
    from lib.quantization.integers import to_int8
    from lib.training.device import Compute, prepare

    prepare(read(parse(params.read_text()), "compute", Compute))
    checkpoint, dataset = packed.opened(source), load(data)
    images, _ = next(onnx.evenly(dataset, "test", 1000, checkpoint).plain(1000))
    found = onnx.export(checkpoint, images, out)
    sys.stderr.write(f"{out}: {out.stat().st_size:,} bytes, {found}\n")
    if int8 is not None:
        calibration = onnx.evenly(dataset, "train", 256, checkpoint).plain(64)
        to_int8(out, (batch for batch, _ in calibration), int8)
        test = onnx.evenly(dataset, "test", None, checkpoint)
        before, after = (onnx.top1(onnx.Session(path), test.plain(64)) for path in (out, int8))
        said = f"top-1 on {len(test):,} test images {after:.2f} %, in float32 {before:.2f} %"
        sys.stderr.write(f"{int8}: {int8.stat().st_size:,} bytes; {said}\n")


if __name__ == "__main__":
    run(main)
