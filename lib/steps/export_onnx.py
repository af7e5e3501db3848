"""The body of the command that exports ONNX, where it is in 8-bit integers too."""

from pathlib import Path

from lib.formats import onnx
from lib.formats.checkpoint import Checkpoint
from lib.images.dataset import Dataset
from lib.quantization.integers import to_int8


def in_integers(checkpoint: Checkpoint, dataset: Dataset, source: Path, out: Path) -> str:
    """Quantise ONNX file `source`, calibrated on 256 training images; returns a line that tells both accuracies."""
    to_int8(source, (batch for batch, _ in onnx.evenly(dataset, "train", 256, checkpoint).plain(64)), out)
    test = onnx.evenly(dataset, "test", None, checkpoint)
    before, after = (onnx.top1(onnx.Session(path), test.plain(64)) for path in (source, out))
    said = f"top-1 on {len(test):,} test images {after:.2f} %, in float32 {before:.2f} %"
    return f"{out}: {out.stat().st_size:,} bytes; {said}\n"
