"""Are networks pruned to a latency as accurate as uniform ones that take as long?

    python -m bench.latency_accuracy --dense CHECKPOINT --data data/cifar10 --table suites/latency/resnet20-1.json

One-shot by L1 norm, coupled; then `prune.training` of the parameter file for all alike. For every asked share of the dense
network's time: the network by the table, and of uniform ones, of any ratio, the largest that takes no longer by the clock (but
for a hundredth). Times are those of onnxruntime at the table's batch size and threads, in turns.
"""

import copy
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import torch

from lib.compaction.compact import compact
from lib.cost.latency_table import parsed
from lib.cost.macs import count
from lib.formats.checkpoint import load
from lib.formats.fitting import batches_for
from lib.images.checksum import sha256_of
from lib.masks.kept import Kept, apply_
from lib.networks.network import Network
from lib.params.section import read
from lib.pruning.layers import Layers, Table
from lib.pruning.scores import norms
from lib.pruning.selection import Selection
from lib.randomness import stream
from lib.runtimes.engine import Shipped
from lib.runtimes.engines import onnxruntime
from lib.runtimes.timing import in_turns, speedup
from lib.steps.prune import PruneJob, prune
from lib.training.evaluation import evaluate
from lib.training.run import setting
from stages.command import PARAMS, Data, Params, read_params, run

SLACK = 1.01  # of the clock
UNIFORM = tuple(round(0.30 + 0.02 * step, 2) for step in range(35))


def small(dense: Network, keep_ratio: float, layers: Layers) -> Network:
    """The compact network before any training: it takes as long as after it."""
    network = copy.deepcopy(dense)
    kept = Kept(Selection(network, keep_ratio, coupled=True, layers=layers).choose(norms(network.filters(), 1)))
    apply_(network, kept)
    return compact(network, kept, "coupled")


def shares(networks: dict[str, Network], batch: int, threads: int) -> dict[str, float]:
    """Their times over that of `dense`, each in turns with it alone: more networks would push each other out of the caches."""
    shape = networks["dense"].architecture.shape
    images = torch.randn(batch, *shape, generator=stream(0, "images"))
    with tempfile.TemporaryDirectory() as folder:
        calls = []
        for place, network in enumerate(networks.values()):
            own = Path(folder) / str(place)
            own.mkdir()
            calls.append(onnxruntime.load(Shipped(network, images), own).bind(images, threads).call)
        pairs = [in_turns([calls[0], call], 20, 200, 20.0) for call in calls]
    return {name: 1.0 / speedup(*pair)[0] for name, pair in zip(networks, pairs, strict=True)}


def main(
    dense: Annotated[Path, "the checkpoint to prune"],
    data: Data,
    table: Annotated[Path, "of tools.latency_table"],
    keep_ratios: Annotated[tuple[float, ...], "shares of the dense network's time"] = (0.5, 0.7),
    params: Params = PARAMS,
) -> None:
    document = read_params(params)
    known, whole = parsed(table.read_bytes(), str(table)), load(dense)
    plain = replace(read(document, "prune.layers", Layers), multiple=1, allocation="uniform", table=None)
    timed = replace(plain, allocation="latency", table=Table(str(table), sha256_of(table)))
    networks = {"dense": whole.network}
    networks |= {f"latency {ratio}": small(whole.network, ratio, timed) for ratio in keep_ratios}
    networks |= {f"uniform {ratio}": small(whole.network, ratio, plain) for ratio in UNIFORM}
    took = shares(networks, known.batch, known.threads)
    rows: dict[str, tuple[float, Layers]] = {}
    for ratio in keep_ratios:
        asked = f"latency {ratio}"
        like = max((other for other in UNIFORM if took[f"uniform {other}"] <= SLACK * took[asked]), default=None)
        if like is None:
            msg = f"no uniform network of {min(UNIFORM)} or more of the filters is as fast as {asked}; ask for a larger share"
            raise ValueError(msg)
        rows |= {asked: (ratio, timed), f"uniform {like}": (like, plain)}
    print("| Network | Time left | MACs left | Top-1 % |\n|---|---|---|---|")
    macs = count(whole.network, whole.shape).total_macs
    for name, (ratio, layers) in rows.items():
        left = count(networks[name], whole.shape).total_macs / macs
        print(f"| {name} | {took[name]:.3f} | {left:.3f} | {top1(document, dense, data, ratio, layers):.2f} |", flush=True)


def top1(document: dict[str, Any], dense: Path, data: Path, keep_ratio: float, layers: Layers) -> float:
    """Accuracy on the test split after the training."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "pruned.safetensors"
        table = None if layers.table is None else {"file": layers.table.file, "sha256": layers.table.sha256}
        section = document["prune"]["layers"] | {"multiple": 1, "allocation": layers.allocation, "table": table}
        changed = document | {"prune": document["prune"] | {"layers": section}}
        here = setting(changed, data, 0, Path(folder))
        prune(changed, PruneJob("l1", keep_ratio, coupled=True), dense, dense, here, out, out.with_suffix(".csv"))
        made = load(out)
        assert made.kept is not None
        apply_(made.network, made.kept)
        return evaluate(made.network, batches_for(out, made, here.dataset, "test", here.device)).top1


if __name__ == "__main__":
    run(main)
