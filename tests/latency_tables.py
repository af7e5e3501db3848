"""Tables of layer times that nobody measured."""

import json
from dataclasses import asdict
from pathlib import Path

from lib.cost.latency_table import LatencyTable, LayerTimes, Whole
from lib.cost.layer_shapes import LayerShape, layer_shapes
from lib.images.checksum import sha256_of
from lib.networks.network import Network
from lib.pruning.layers import Table


def invented(network: Network) -> LatencyTable:
    """Times of every layer: its multiplications, and a little for being called."""
    shapes = layer_shapes(network)
    layers = {str(shape): _times(shape) for shape in shapes.values()}
    dense = sum(layers[str(shape)](shape.inputs, shape.outputs) for shape in shapes.values())
    whole = tuple(Whole(mode, dense, dense) for mode in ("coupled", "scatter"))
    architecture = network.architecture
    return LatencyTable(architecture.name, architecture.size, 1, 1, {"processor": "none"}, 0.001, whole, layers)


def _times(shape: LayerShape) -> LayerTimes:
    inputs, outputs = shape.grid
    each = 1e-6 * shape.kernel[0] * shape.kernel[1] * shape.after[0] * shape.after[1]
    return LayerTimes(inputs, outputs, tuple(tuple(1e-5 + each * one * other for other in outputs) for one in inputs))


def written(table: LatencyTable, folder: Path) -> Table:
    """A file of it, as params.yaml names it."""
    path = folder / f"{len(list(folder.iterdir()))}.json"
    path.write_text(json.dumps(asdict(table)))
    return Table(str(path), sha256_of(path))
