"""How long single layers take in ONNX Runtime, by how many channels they read and write.

Each is a model of its own: one convolution or linear layer with bias and ReLU, its weights random. Whatever the runtime does
for a layer, such as padding channels to the blocks of its kernels, is in its time.
"""

import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from lib.cost.latency_table import LayerTimes
from lib.cost.layer_shapes import LayerShape

OPSET, IR = 18, 9
INPUT, OUTPUT, BETWEEN = "x", "y", "z"
WARMUP = 3  # calls
ROUNDS = 5  # over the grid of a layer, so that a busy moment of the machine hits a point once
LEAST_MS = 1e-5  # a layer takes some time, even where a call that does nothing took longer
DIGITS = 6  # nanoseconds


@dataclass(frozen=True)
class Stopwatch:
    """batch: images at once. threads: of the runtime. repeats: calls, of which the median counts."""

    batch: int
    threads: int
    repeats: int

    def times(self, shape: LayerShape, idle_ms: float, done: Callable[[], object]) -> LayerTimes:
        """A layer's times over its grid, less `idle_ms`; done: called after each measurement."""
        inputs, outputs = shape.grid
        found: dict[tuple[int, int], list[float]] = defaultdict(list)
        for _ in range(ROUNDS):
            for point in product(inputs, outputs):
                found[point].append(self.median_ms(self._layer(shape, *point)))
                done()
        rows = [[statistics.median(found[reads, writes]) - idle_ms for writes in outputs] for reads in inputs]
        return LayerTimes(inputs, outputs, tuple(tuple(round(max(LEAST_MS, ms), DIGITS) for ms in row) for row in rows))

    def idle_ms(self) -> float:
        """Of a call that does next to nothing."""
        node = helper.make_node("Relu", [INPUT], [OUTPUT])
        return round(self.median_ms(self._call([node], [], (1, 1))), DIGITS)

    def median_ms(self, call: Callable[[], object]) -> float:
        """Of a call, in milliseconds."""
        found = []
        for _ in range(WARMUP + self.repeats):
            start = time.perf_counter()
            call()
            found.append(time.perf_counter() - start)
        return 1000.0 * statistics.median(found[WARMUP:])

    def _layer(self, shape: LayerShape, reads: int, writes: int) -> Callable[[], object]:
        if shape.kind == "linear":
            node = helper.make_node("Gemm", [INPUT, "weight", "bias"], [BETWEEN], transB=1)
            nodes, images = [node], (self.batch * shape.before[0], reads)
            return self._with_relu(nodes, (writes, reads), images)
        groups = writes if shape.kind == "depthwise" else shape.groups
        channels = writes if shape.kind == "depthwise" else reads
        node = helper.make_node(
            "Conv", [INPUT, "weight", "bias"], [BETWEEN],
            kernel_shape=shape.kernel, strides=_strides(shape), pads=_pads(shape), group=groups,
        )  # fmt: skip
        return self._with_relu([node], (writes, channels // groups, *shape.kernel), (self.batch, channels, *shape.before))

    def _with_relu(
        self, nodes: list[onnx.NodeProto], weight: tuple[int, ...], images: tuple[int, ...]
    ) -> Callable[[], object]:
        values = np.random.default_rng(0).standard_normal(weight, dtype=np.float32)
        tensors = [numpy_helper.from_array(values, "weight"), numpy_helper.from_array(np.zeros(weight[0], np.float32), "bias")]
        return self._call([*nodes, helper.make_node("Relu", [BETWEEN], [OUTPUT])], tensors, images)

    def _call(
        self, nodes: list[onnx.NodeProto], tensors: list[onnx.TensorProto], images: tuple[int, ...]
    ) -> Callable[[], object]:
        """Runs a model of these nodes on random images; the output is left where the runtime has it."""
        ends = (
            helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, images),
            helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [None] * len(images)),
        )
        graph = helper.make_graph(nodes, "layer", [ends[0]], [ends[1]], tensors)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        binding = session.io_binding()
        binding.bind_cpu_input(INPUT, np.random.default_rng(1).standard_normal(images, dtype=np.float32))
        binding.bind_output(OUTPUT)
        return lambda: session.run_with_iobinding(binding)


def points(shape: LayerShape) -> int:
    """How many measurements a layer takes."""
    inputs, outputs = shape.grid
    return ROUNDS * len(inputs) * len(outputs)


def _strides(shape: LayerShape) -> list[int]:
    """Seen from the sizes: what makes so many pixels of so many."""
    return [max(1, round(before / after)) for before, after in zip(shape.before, shape.after, strict=True)]


def _pads(shape: LayerShape) -> list[int]:
    """Pixels added before (top, left) and behind (bottom, right), seen from the sizes."""
    sizes = zip(shape.before, shape.after, shape.kernel, _strides(shape), strict=True)
    missing = [max(0, (after - 1) * stride + kernel - before) for before, after, kernel, stride in sizes]
    return [*(pixels - pixels // 2 for pixels in missing), *(pixels // 2 for pixels in missing)]
