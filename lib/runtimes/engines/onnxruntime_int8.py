"""ONNX Runtime on the CPU, in 8-bit integers: see `lib.quantization.integers`."""

from pathlib import Path

from lib.formats.onnx import BLOCK
from lib.quantization.integers import to_int8
from lib.runtimes.engine import Shipped
from lib.runtimes.engines.onnxruntime import OnnxFile

BATCH = 64


def load(network: Shipped, folder: Path) -> OnnxFile:
    """Quantised from the float32 file, with ranges from the calibration images."""
    path = folder / "int8.onnx"
    to_int8(network.onnx(folder, BLOCK), iter(network.calibration.split(BATCH)), path)
    return OnnxFile(path)
