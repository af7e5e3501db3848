"""The body of `tools.latency_table`: a network's layers timed over grids of channels, and whole networks."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import torch

from lib.atomic import write_text
from lib.compaction.compact import compact
from lib.cost.latency_table import LatencyTable, LayerTimes, Whole
from lib.cost.layer_shapes import LayerShape, layer_shapes
from lib.masks.kept import Kept
from lib.networks import build
from lib.networks.architecture import Architecture, Mode
from lib.networks.network import Network
from lib.params.named import Named
from lib.params.section import ParamsError, validated
from lib.progress import Bar
from lib.pruning.budgets import Budget
from lib.pruning.layers import EVERYWHERE
from lib.pruning.scores import norms
from lib.pruning.selection import Selection
from lib.randomness import stream
from lib.runtimes.engine import Shipped
from lib.runtimes.engines import onnxruntime
from lib.runtimes.layer_times import Stopwatch, points
from lib.runtimes.timing import processor

MODES: tuple[Mode, ...] = ("coupled", "scatter")
SHARES = (0.8, 0.65, 0.5, 0.35)  # of the dense network's sum of layers, of the whole networks that are timed
ROOM = 0.02  # above the smallest share possible
ROUNDS = 9  # in which whole networks take turns


@dataclass(frozen=True)
class Wanted:
    """The network, and how it is timed. name: for people. repeats: calls, of which the median counts."""

    name: str
    network: Named
    shape: tuple[int, int, int]
    classes: int
    batch: int
    threads: int
    repeats: int

    @property
    def stopwatch(self) -> Stopwatch:
        """What measures."""
        return Stopwatch(self.batch, self.threads, self.repeats)


def measure_table(wanted: Wanted, out: Path, progress: Callable[[int, int], Bar]) -> LatencyTable:
    """Time all, and write the table; what was measured before an interruption is kept beside it (`.part`)."""
    channels, *size = wanted.shape
    dense = Architecture(wanted.network.builder, wanted.classes, channels, (size[0], size[1]))
    network = build(dense.with_arguments(wanted.network.arguments), stream(0, "latency table")).eval()
    part = out.with_suffix(".part")
    layers = _layers(wanted, sorted(set(layer_shapes(network).values())), part, progress)
    table = LatencyTable(
        network=wanted.name,
        size=(size[0], size[1]),
        batch=wanted.batch,
        threads=wanted.threads,
        machine=_machine(),
        idle_ms=wanted.stopwatch.idle_ms(),
        whole=(),
        layers=layers,
    )
    found = replace(table, whole=_whole(wanted, network, table))
    write_text(out, json.dumps(asdict(found), sort_keys=True, separators=(",", ":")).replace('},"', '},\n"') + "\n")
    part.unlink(missing_ok=True)
    return found


def _layers(
    wanted: Wanted, shapes: list[LayerShape], part: Path, progress: Callable[[int, int], Bar]
) -> dict[str, LayerTimes]:
    """The times of each shape, those of `part` as they are."""
    asked = json.loads(json.dumps(asdict(wanted)))
    found = _begun(part, asked)
    bar = progress(sum(map(points, shapes)), sum(points(shape) for shape in shapes if str(shape) in found))
    idle_ms = wanted.stopwatch.idle_ms()
    for shape in shapes:
        if str(shape) not in found:
            found[str(shape)] = wanted.stopwatch.times(shape, idle_ms, bar.update)
            write_text(part, json.dumps({"wanted": asked, "layers": {name: asdict(one) for name, one in found.items()}}))
    return found


def _begun(part: Path, asked: Mapping[str, Any]) -> dict[str, LayerTimes]:
    """What an interrupted run for the same left."""
    try:
        known = json.loads(part.read_bytes())
        if known["wanted"] != asked:
            return {}
        return {name: validated(one, LayerTimes) for name, one in known["layers"].items()}
    except FileNotFoundError:
        return {}
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError, ParamsError) as error:
        msg = f"{part} is not what this tool left; remove it"
        raise ValueError(msg) from error


def _whole(wanted: Wanted, network: Network, table: LatencyTable) -> tuple[Whole, ...]:
    """The dense network and some that the table chooses, of both modes: by the sums of their layers, and timed in turns."""
    images = torch.randn(wanted.batch, *wanted.shape, generator=stream(0, "images"))
    calls, sums = {}, {}
    with TemporaryDirectory() as folder:
        for mode in MODES:
            for place, (sum_ms, one) in enumerate(_chosen(network, table, mode)):
                here = Path(folder) / f"{mode}-{place}"
                here.mkdir()
                calls[mode, place] = onnxruntime.load(Shipped(one, images), here).bind(images, wanted.threads).call
                sums[mode, place] = sum_ms
        times: dict[tuple[Mode, int], list[float]] = {key: [] for key in calls}
        for _ in range(ROUNDS):
            for key, call in calls.items():
                times[key].append(wanted.stopwatch.median_ms(call))
    return tuple(Whole(key[0], round(sums[key], 6), round(median(found), 6)) for key, found in times.items())


def _chosen(network: Network, table: LatencyTable, mode: Mode) -> Iterator[tuple[float, Network]]:
    """Sums of layers and networks: the dense one, and compact ones of some shares of its sum."""
    selection = Selection(network, 1.0, coupled=mode == "coupled", layers=replace(EVERYWHERE, linear=True))
    budget = Budget.of(network, selection.groups, selection.arrivals, "latency", table, coupled=mode == "coupled")
    scores = norms(network.filters(), 2)
    values = {group: group.gathered(scores).mean(0) for group in selection.groups}
    whole = {name: torch.ones_like(one, dtype=torch.bool) for name, one in scores.items()}
    yield budget.cost([group.width for group in budget.pruned]), network
    for share in SHARES:
        if share > budget.smallest + ROOM:
            chosen = budget.choose(values, share)
            masks = selection.spread(chosen, whole)
            yield budget.cost([int(chosen[group].sum()) for group in budget.pruned]), compact(network, Kept(masks), mode)


def _machine() -> dict[str, str]:
    """What it was measured on, without the machine's name."""
    return {"processor": processor(), "cores": str(os.cpu_count()), "onnxruntime": metadata.version("onnxruntime")}


def told(table: LatencyTable, digest: str, out: Path) -> str:
    """For the user: the whole networks that were timed, and the lines for params.yaml."""
    lines = [f"{one.mode}: {one.ms:.4f} ms measured, its layers {one.sum_ms:.4f} ms" for one in table.whole]
    return "\n".join([*lines, "prune.layers:", "  allocation: latency", f"  table: {{file: {out}, sha256: {digest}}}", ""])
