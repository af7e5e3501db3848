"""How fast networks are as they ship: dense, ours, and torch-pruning's of as many MACs, in the same runtime, in turns.

    python -m bench.latency [--networks resnet20,resnet56] [--docs docs/speed.md]

ResNet-20 and 56 and MobileNetV2 at 32x32 pixels, ResNet-50 at 224x224; keep 0.5 and 0.7. Ours: coupled; scatter; with channels
in multiples of 8 (the default), beside one of as many MACs without; and pruned to the share of time where suites/latency has a
table of the network. One thread. Needs the group `peer` for torch-pruning's networks (Fang et al., DepGraph, CVPR 2023), their
batch norms folded too, of as many MACs as ours in eights. The last column says how many times as long ours takes as theirs.
"""

import copy
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import torch
from torch import nn
from torch.fx.experimental.optimization import fuse

from lib import plugins
from lib.atomic import write_text
from lib.compaction.compact import compact
from lib.cost.macs import count
from lib.formats.onnx import exported
from lib.images.checksum import sha256_of
from lib.masks.kept import Kept, apply_
from lib.networks import build
from lib.networks.architecture import Architecture
from lib.networks.network import Network
from lib.pruning.layers import EVERYWHERE, Layers, Table
from lib.pruning.scores import norms
from lib.pruning.selection import Selection
from lib.randomness import stream
from lib.runtimes import engines
from lib.runtimes.engine import Loaded, Shipped
from lib.runtimes.timing import in_turns, processor, speedup
from stages.command import run

BATCHES: Mapping[str, tuple[int, ...]] = {"resnet50": (1, 8)}
SIDES: Mapping[str, int] = {"resnet50": 224}
CLASSES = {"resnet50": 1000}
KEEP_RATIOS = (0.5, 0.7)
TABLES = Path("suites/latency")
EIGHTS, AS_MANY = "coupled, in eights", "coupled, as many MACs"
TO_PEER = "time of ours in eights over torch-pruning's"
HALVINGS = 7  # of the range of its ratio
BEGIN, END = "<!-- bench.latency: begin -->", "<!-- bench.latency: end -->"


@dataclass
class Peers:
    """torch-pruning's network in the place of a shipped one."""

    module: nn.Module
    network: Network  # the dense one, for its shape
    calibration: torch.Tensor

    def form(self, multiple: int) -> nn.Module:  # noqa: ARG002 (it has no such thing)
        return self.module

    def onnx(self, folder: Path, multiple: int) -> Path:  # noqa: ARG002
        path = folder / "peer.onnx"
        if not path.exists():
            path.write_bytes(exported(copy.deepcopy(self.module), self.network.architecture.shape, {}))
        return path


def peer(dense: Network, macs: int) -> nn.Module:
    """torch-pruning's network of as many MACs: its ratio, the same for every layer, is halved towards them.

    It leaves streams whole where shortcuts pad channels, so the ratio that it needs differs from ours.
    """
    low, high, best = 0.0, 1.0, dense.module
    for _ in range(HALVINGS):
        ratio = (low + high) / 2
        module = _peer(dense, ratio)
        found = count(module, dense.architecture.shape).total_macs
        low, high = (ratio, high) if found > macs else (low, ratio)
        if abs(found - macs) < abs(count(best, dense.architecture.shape).total_macs - macs):
            best = module
    return fuse(best.eval())


def _peer(dense: Network, ratio: float) -> nn.Module:
    """Without so much of every layer, the classifier left alone; random channels, as the clock does not see which."""
    import torch_pruning

    module = copy.deepcopy(dense).module
    example = torch.randn(1, *dense.architecture.shape)
    pruner = torch_pruning.pruner.BasePruner(
        module,
        example,
        importance=torch_pruning.importance.RandomImportance(),
        pruning_ratio=ratio,
        ignored_layers=[module.get_submodule(dense.description.head)],
        in_channel_groups={},  # its defaults are shared by all pruners
        out_channel_groups={},
    )
    pruner.step()
    return module


def ours(dense: Network, keep_ratio: float) -> Mapping[str, Network]:
    """Our networks by name."""
    kinds: dict[str, tuple[Layers, bool]] = {"coupled": (EVERYWHERE, True), "scatter": (EVERYWHERE, False)}
    kinds[EIGHTS] = (replace(EVERYWHERE, multiple=8, rounding="nearest"), True)
    for path in sorted(TABLES.glob(f"{dense.architecture.name}-*.json")):
        table = Table(str(path), sha256_of(path))
        kinds[f"to the time ({path.stem})"] = (replace(EVERYWHERE, allocation="latency", table=table), True)
    small = {name: pruned(dense, keep_ratio, layers, coupled=coupled) for name, (layers, coupled) in kinds.items()}
    in_eights, shape = count(small[EIGHTS], dense.architecture.shape).total_macs, dense.architecture.shape
    others = [pruned(dense, keep_ratio + step / 100, EVERYWHERE, coupled=True) for step in range(-6, 7)]
    nearest = min(others, key=lambda other: abs(count(other, shape).total_macs - in_eights))
    return small | {AS_MANY: nearest}


def pruned(dense: Network, keep_ratio: float, layers: Layers, *, coupled: bool) -> Network:
    """The compact network of the filters of largest norm."""
    network = copy.deepcopy(dense)
    kept = Kept(Selection(network, keep_ratio, coupled=coupled, layers=layers).choose(norms(network.filters(), 1)))
    apply_(network, kept)
    return compact(network, kept, "coupled" if coupled else "scatter")


def rows(name: str, repeats: int, seconds: float) -> Iterator[list[str]]:
    """One network: a row for each of its small ones, runtime and batch size."""
    side = SIDES.get(name, 32)
    dense = build(Architecture(name, CLASSES.get(name, 10), 3, (side, side)), stream(0, "initialisation")).eval()
    shape, images = dense.architecture.shape, torch.randn(16, 3, side, side, generator=stream(0, "images"))
    macs = count(dense, shape).total_macs
    for keep_ratio in KEEP_RATIOS:
        networks: dict[str, Any] = {"dense": Shipped(dense, images)}
        networks |= {kind: Shipped(small, images) for kind, small in ours(dense, keep_ratio).items()}
        sizes = {kind: count(one.network, shape).total_macs for kind, one in networks.items()}
        networks["torch-pruning"] = Peers(peer(dense, sizes[EIGHTS]), dense, images)
        sizes["torch-pruning"] = count(networks["torch-pruning"].module, shape).total_macs
        with tempfile.TemporaryDirectory() as folder:
            for runtime in plugins.names(engines):
                loaded: dict[str, Loaded] = {}
                for place, (kind, one) in enumerate(networks.items()):
                    own = Path(folder) / str(place)
                    own.mkdir(exist_ok=True)
                    loaded[kind] = plugins.find(engines, runtime).load(one, own)
                for batch in BATCHES.get(name, (1, 128)):
                    inputs = torch.randn(batch, *shape, generator=stream(1, "images"))
                    bound = {kind: one.bind(inputs, 1) for kind, one in loaded.items()}
                    taken = in_turns([one.call for one in bound.values()], 3, repeats, seconds)
                    samples = dict(zip(bound, taken, strict=True))
                    for kind, own_times in samples.items():
                        ratio, low, high = speedup(samples["dense"], own_times)
                        to_peer = speedup(own_times, samples["torch-pruning"])[0]
                        yield [
                            name,
                            f"{keep_ratio}",
                            kind,
                            f"{sizes[kind] / macs:.3f}",
                            runtime,
                            f"{batch}",
                            f"{float(sorted(own_times)[len(own_times) // 2]):.2f}",
                            f"{ratio:.2f} ({low:.2f}-{high:.2f})",
                            f"{to_peer:.2f}" if kind == EIGHTS else "",
                        ]


HEADER = ["Network", "Keep", "Form", "MACs left", "Runtime", "Batch", "ms", "Speed-up (95 %)", "Time over torch-pruning's"]


def main(
    networks: Annotated[tuple[str, ...], "to time"] = ("resnet20", "resnet56", "mobilenet_v2_cifar", "resnet50"),
    repeats: Annotated[int, "timed calls"] = 15,
    seconds: Annotated[float, "that one setting may take"] = 20.0,
    docs: Annotated[Path | None, "a page to write the table into, between its marks"] = None,
) -> None:
    before, after = ("", "") if docs is None else around(docs.read_text(), docs)
    print("\n".join(markdown([HEADER])))
    parts = [f"On an {processor()}, one thread, torch {torch.__version__}. Speed-up over dense, with its 95 % interval."]
    for name in networks:
        found = []
        for row in rows(name, repeats, seconds):
            found.append(row)
            print(f"| {' | '.join(row)} |", flush=True)
        parts += [f"**{name}**", "\n".join(wide(found))]
    if docs is not None:
        write_text(docs, "\n\n".join([f"{before}{BEGIN}", *parts, f"{END}{after}"]))


def around(page: str, path: Path) -> tuple[str, str]:
    """What stands before and behind the marks of a page. Raises ValueError where there are none."""
    if page.count(BEGIN) != 1 or page.partition(BEGIN)[2].count(END) != 1:
        msg = f"{path} has no place for the table; put {BEGIN} and {END} into it, each once"
        raise ValueError(msg)
    before, _, rest = page.partition(BEGIN)
    return before, rest.partition(END)[2]


def wide(found: Sequence[Sequence[str]]) -> list[str]:
    """The rows of one network with a column for each runtime and batch size: speed-ups, and of dense milliseconds.

    The last row of each keep ratio is the time of ours in eights over torch-pruning's.
    """
    settings = list(dict.fromkeys((row[4], row[5]) for row in found))
    lines: dict[tuple[str, str], list[str]] = {}
    for _, keep, form, macs, _, _, ms, ratio, to_peer in found:
        line = lines.setdefault((keep, form), ["1.0" if form == "dense" else keep, form, macs])
        line.append(f"{ms} ms" if form == "dense" else ratio)
        if to_peer:
            lines.setdefault((keep, TO_PEER), [keep, TO_PEER, ""]).append(to_peer)
    order = sorted(lines, key=lambda one: (one[0], one[1] == TO_PEER))  # stable: as timed
    header = ["Keep", "Form", "MACs left", *(f"{name}, batch {batch}" for name, batch in settings)]
    return markdown([header, *(lines[one] for one in order)])


def markdown(table: Sequence[Sequence[str]]) -> list[str]:
    """A header and its rows."""
    header, *body = (f"| {' | '.join(row)} |" for row in table)
    return [header, "|" + "---|" * len(table[0]), *body]


if __name__ == "__main__":
    run(main)
