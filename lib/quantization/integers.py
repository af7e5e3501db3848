"""8-bit integers: an ONNX file quantised by onnxruntime."""

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from torch import Tensor

from lib.atomic import replacing


def to_int8(source: Path, images: Iterable[Tensor], out: Path) -> None:
    """Write ONNX file `source` with 8-bit weights (symmetric, a scale an output channel) and 8-bit activations.

    images: normalised batches (B, C, H, W) to calibrate the activations' ranges on, by their extremes.
    """
    from onnxruntime import quantization

    class Reader(quantization.CalibrationDataReader):
        """Hands out the batches one by one, then None."""

        batches = iter(images)

        def get_next(self) -> dict[str, Any] | None:
            batch = next(self.batches, None)
            return None if batch is None else {"images": batch.numpy()}

    with replacing(out) as temporary, tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quantization.quant_pre_process(source, prepared, skip_symbolic_shape=True)
        quantization.quantize_static(
            prepared,
            temporary,
            Reader(),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            weight_type=quantization.QuantType.QInt8,
            activation_type=quantization.QuantType.QUInt8,
            extra_options={"WeightSymmetric": True},
        )
