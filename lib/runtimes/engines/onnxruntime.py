"""ONNX Runtime on the CPU, in float32. https://onnxruntime.ai"""

from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from lib.formats.onnx import BLOCK, INPUT, OUTPUT
from lib.runtimes.engine import Bound, Shipped


class OnnxFile:
    """An ONNX file; every binding is a session of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file_bytes = path.stat().st_size

    def bind(self, images: Tensor, threads: int) -> Bound:
        """A session with so many threads; it optimises the graph for this processor as far as it can."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3  # errors: warnings tell what the optimiser leaves out
        session = onnxruntime.InferenceSession(self.path, options, providers=["CPUExecutionProvider"])
        inputs = {INPUT: np.ascontiguousarray(images.cpu().numpy())}

        def call() -> Tensor:
            return torch.from_numpy(session.run([OUTPUT], inputs)[0])

        return Bound(call)


def load(network: Shipped, folder: Path) -> OnnxFile:
    """Exported once, its channels in whole blocks."""
    return OnnxFile(network.onnx(folder, BLOCK))
