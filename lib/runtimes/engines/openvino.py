"""OpenVINO on the CPU, in float32. https://docs.openvino.ai (extra `openvino`)."""

from pathlib import Path

import torch
from torch import Tensor

from lib.runtimes.engine import Bound, Shipped

ANY = 1  # its kernels are written for the channels that there are
FLOAT32 = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}  # else bfloat16, where the processor has it


class Compiled:
    """A network that OpenVINO read from ONNX."""

    def __init__(self, path: Path) -> None:
        """Raises ValueError where OpenVINO is not installed."""
        try:
            import openvino
        except ImportError as error:
            msg = "latency.runtimes: openvino is not installed; install it (pip install openvino) or take it off the list"
            raise ValueError(msg) from error
        self.core = openvino.Core()
        self.model = self.core.read_model(path)
        self.file_bytes = path.stat().st_size

    def bind(self, images: Tensor, threads: int) -> Bound:
        """Compiled for so many images and threads."""
        self.model.reshape(list(images.shape))
        compiled = self.core.compile_model(self.model, "CPU", {**FLOAT32, "INFERENCE_NUM_THREADS": threads})
        request, inputs = compiled.create_infer_request(), images.cpu().numpy()

        def call() -> Tensor:
            return torch.from_numpy(request.infer([inputs], share_inputs=True)[0])

        return Bound(call)


def load(network: Shipped, folder: Path) -> Compiled:
    """Read from the float32 ONNX file."""
    return Compiled(network.onnx(folder, ANY))
