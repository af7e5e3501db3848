"""Write a compact network as ONNX, and prove with onnxruntime on up to 1,000 test images that it computes the same.

Reads a compact checkpoint (.safetensors) or a packed network (.bin) and the data folder. --int8 FILE: write it in 8-bit
integers too, calibrated on 256 training images, and tell both accuracies. No part of the pipeline: used by hand.
"""

import argparse
import sys
from pathlib import Path

from lib.formats.onnx import Session, evenly, export, top1
from lib.formats.packed import opened
from lib.images.dataset import load
from lib.params.section import parse, read
from lib.quantization.integers import to_int8
from lib.training.device import Compute, prepare
from stages.command import run

COMPARED, CALIBRATION, BATCH = 1000, 256, 64


def main() -> None:
    """One network."""
    given = _arguments()
    prepare(read(parse(given.params.read_text()), "compute", Compute))
    checkpoint, dataset = opened(given.source), load(given.data)
    images, _ = next(evenly(dataset, "test", COMPARED, checkpoint).plain(COMPARED))
    found = export(checkpoint, images, given.out)
    sys.stderr.write(f"{_told(given.out)}, {found}\n")
    if given.int8 is not None:
        calibration = evenly(dataset, "train", CALIBRATION, checkpoint).plain(BATCH)
        to_int8(given.out, (batch for batch, _ in calibration), given.int8)
        test = evenly(dataset, "test", None, checkpoint)
        before, after = (top1(Session(path), test.plain(BATCH)) for path in (given.out, given.int8))
        sys.stderr.write(f"{_told(given.int8)}; top-1 on {len(test):,} test images {after:.2f} %, in float32 {before:.2f} %\n")


def _told(path: Path) -> str:
    return f"{path}: {path.stat().st_size:,} bytes"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), metavar="FILE", help="default: params.yaml")
    parser.add_argument("--source", type=Path, required=True, metavar="FILE", help="the network")
    parser.add_argument("--data", type=Path, required=True, metavar="PATH", help="the data folder it was trained on")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the ONNX file to write")
    parser.add_argument("--int8", type=Path, metavar="FILE", help="the ONNX file in 8-bit integers to write")
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
