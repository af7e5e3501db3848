"""Zero filters or a gather: scatter networks as they ship, by the most multiplications an element that zeros may cost.

    python -m bench.zero_rows

ResNet-56 at 32x32 pixels and ResNet-18 at 224x224, two keep ratios, in ONNX Runtime on one thread, in turns with dense.
"""

import copy
import tempfile
from pathlib import Path

import torch

from lib.compaction import shipping
from lib.compaction.compact import compact
from lib.masks.kept import Kept, apply_
from lib.networks import build
from lib.networks.architecture import Architecture
from lib.networks.network import Network
from lib.pruning.scores import norms
from lib.pruning.selection import Selection
from lib.randomness import stream
from lib.runtimes.engine import Bound, Shipped
from lib.runtimes.engines import onnxruntime
from lib.runtimes.timing import in_turns, speedup
from stages.command import run

NETWORKS = {"resnet56": (32, 128), "resnet18": (224, 8)}  # side of the images, batch
LIMITS = (0, 300, 1000, 10**9)


def bound(network: Network, batch: int, folder: Path) -> Bound:
    """The network in ONNX Runtime."""
    folder.mkdir()
    images = torch.randn(batch, *network.architecture.shape, generator=stream(0, "images"))
    return onnxruntime.load(Shipped(network, images), folder).bind(images, 1)


def main() -> None:
    for name, (side, batch) in NETWORKS.items():
        dense = build(Architecture(name, 10, 3, (side, side)), stream(0, "initialisation")).eval()
        for keep_ratio in (0.5, 0.2):
            network = copy.deepcopy(dense)
            kept = Kept(Selection(network, keep_ratio, coupled=False).choose(norms(network.filters(), 1)))
            apply_(network, kept)
            small = compact(network, kept, "scatter")
            with tempfile.TemporaryDirectory() as folder:
                calls = [bound(dense, batch, Path(folder) / "dense").call]
                for limit in LIMITS:
                    shipping.MACS_FOR_AN_ELEMENT = limit
                    calls.append(bound(small, batch, Path(folder) / str(limit)).call)
                times = in_turns(calls, 3, 15, 15.0)
            told = [f"{limit:,}: {speedup(times[0], own)[0]:.2f}" for limit, own in zip(LIMITS, times[1:], strict=True)]
            print(f"{name} keep {keep_ratio}, times as fast as dense  {'   '.join(told)}")


if __name__ == "__main__":
    run(main)
