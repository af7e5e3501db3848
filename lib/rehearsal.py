"""Building every method of a suite once, without data, so that what it refuses is told before any training."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from lib import plugins
from lib.networks import build
from lib.networks.network import Architecture
from lib.params import ParamsError, read
from lib.pruning import methods
from lib.pruning.method import Common, Request
from lib.pruning.selection import Layers
from lib.randomness import stream
from lib.suite import Benchmark
from lib.training import Training

SHAPE = (3, 32, 32)
CLASSES = 10
IMAGES = 4


def rehearse(document: Mapping[str, Any]) -> None:
    """Build every method at every keep ratio of a checked parameter file. Raises one ParamsError with all refusals."""
    benchmark = read(document, "benchmark", Benchmark)
    found = []
    for name in benchmark.methods:
        for keep_ratio in benchmark.keep_ratios:
            try:
                _build(document, benchmark, name, keep_ratio)
            except ValueError as error:
                found.append(f"prune.{name} at keep ratio {keep_ratio}: {error}")
    if found:
        raise ParamsError("\n".join(dict.fromkeys(found)))


def _build(document: Mapping[str, Any], benchmark: Benchmark, name: str, keep_ratio: float) -> None:
    module = plugins.find(methods, name)
    params: Common = read(document, f"prune.{name}", module.Params)
    longer = read(document, "prune.scratch_epochs", int) if params.start == "scratch" else 0
    generator = stream(0, "rehearsal")
    network = build(Architecture(benchmark.network, CLASSES, SHAPE[0]), generator)
    request = Request(
        keep_ratio=keep_ratio,
        coupled=benchmark.compaction == "coupled",
        epochs=read(document, "prune.training", Training).epochs + longer,
        generator=generator,
        layers=read(document, "prune.layers", Layers),
        shape=SHAPE,
        sample=_sample,
    )
    module.method(network, params, request)


def _sample(count: int, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Noise instead of training images, and few of it."""
    few = min(count, size, IMAGES)
    yield torch.randn(few, *SHAPE, generator=stream(0, "sample")), torch.arange(few)
