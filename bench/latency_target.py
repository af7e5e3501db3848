"""Does a network that was pruned to a share of the dense network's time have it? Measured in turns, in ONNX Runtime.

python -m bench.latency_target resnet56 --table suites/latency/resnet56-1.json --keep-ratios 0.5,0.7
"""

import statistics
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Literal

import torch

from lib.compaction.compact import compact
from lib.cost.latency_table import parsed
from lib.images.checksum import sha256_of
from lib.masks.kept import Kept
from lib.networks import build
from lib.networks.architecture import Architecture
from lib.pruning.layers import EVERYWHERE, Table
from lib.pruning.scores import norms
from lib.pruning.selection import Selection
from lib.randomness import stream
from lib.runtimes.engine import Shipped
from lib.runtimes.engines import onnxruntime
from lib.runtimes.layer_times import Stopwatch
from stages.command import run
from stages.command.kinds import BARE

ROUNDS = 9


def main(
    network: Annotated[str, "its name", BARE],
    table: Annotated[Path, "of tools.latency_table"],
    keep_ratios: Annotated[tuple[float, ...], "shares of the dense network's time"] = (0.5, 0.7),
    compaction: Annotated[Literal["coupled", "scatter"], "whether streams lose channels"] = "coupled",
    classes: Annotated[int, "of the images"] = 10,
    multiple: Annotated[int, "of which numbers of filters are one"] = 1,
) -> None:
    """One network."""
    known = parsed(table.read_bytes(), str(table))
    dense = build(Architecture(network, classes, 3, known.size), stream(0, "initialisation")).eval()
    chosen = Table(str(table), sha256_of(table))
    layers = replace(EVERYWHERE, allocation="latency", table=chosen, multiple=multiple)
    images = torch.randn(known.batch, 3, *known.size, generator=stream(0, "images"))
    networks = {1.0: dense}
    for ratio in keep_ratios:
        masks = Selection(dense, ratio, coupled=compaction == "coupled", layers=layers).choose(norms(dense.filters(), 2))
        networks[ratio] = compact(dense, Kept(masks), compaction)
    times: dict[float, list[float]] = {ratio: [] for ratio in networks}
    watch = Stopwatch(known.batch, known.threads, 20)
    with TemporaryDirectory() as folder:
        calls = {}
        for ratio, one in networks.items():
            here = Path(folder) / str(ratio)
            here.mkdir()
            calls[ratio] = onnxruntime.load(Shipped(one, images), here).bind(images, known.threads).call
        for _ in range(ROUNDS):
            for ratio, call in calls.items():
                times[ratio].append(watch.median_ms(call))
    whole = statistics.median(times[1.0])
    for ratio in keep_ratios:
        share = statistics.median(times[ratio]) / whole
        sys.stdout.write(f"{network} {compaction}: asked {ratio:.2f}, got {share:.3f} ({share / ratio - 1.0:+.1%})\n")


if __name__ == "__main__":
    run(main)
