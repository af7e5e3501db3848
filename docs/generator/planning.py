"""What a suite would cost, computed from its parameters: images that are trained on, MACs, bytes, stages."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from lib.cost.macs import count
from lib.networks import outline
from lib.networks.architecture import Architecture
from lib.params.named import named
from lib.params.suite import Suite, read

STEP = 3  # MACs of a training step over those of its forward pass: the backward pass has twice as many
FLOAT = 4  # bytes


@dataclass(frozen=True)
class Data:
    """A data set as it is known: training images, classes, shape (C, H, W) of what networks see, bytes in DVC's cache."""

    images: int
    classes: int
    shape: tuple[int, int, int]
    cached: int


DATA = {
    "cifar10": Data(50_000, 10, (3, 32, 32), 60_000 * 3 * 32 * 32),
    "imagenet": Data(1_281_167, 1_000, (3, 224, 224), 0),  # its images stay in their folder
}


@dataclass(frozen=True)
class Size:
    """params, macs: of a network and of one image."""

    params: int
    macs: int


@dataclass(frozen=True)
class Plan:
    """What a suite costs. images: that are trained on, in all; macs: of training on them. stored: bytes in DVC's cache.

    longest: MACs of the trainings that lie behind a cell, at most, its teacher's included. chains: that workers run. timing_s:
    that the stage latency may take, alone on a machine.
    """

    suite: Suite
    epochs: int
    images: int
    macs: int
    stored: int
    longest: int
    chains: int
    timing_s: float

    @property
    def cells(self) -> int:
        """How many."""
        return len(self.suite.cells)


@dataclass(frozen=True)
class Pass:
    """So many epochs of training; macs: of one image in a step."""

    epochs: int
    macs: int


def plan(document: Mapping[str, Any]) -> Plan:
    """Of the whole parameter file of a suite whose data set is known here."""
    suite, data = read(document), DATA[document["data"]["name"]]
    teachers = list(_teachers(document, data))
    prunes, cells = list(_pruned(document, suite, data)), list(_cells(document, suite, data))
    passes = [*teachers, *prunes, *cells]
    images = round(data.images * (1 - document["data"]["validation_fraction"]))
    epochs = sum(one.epochs for one in passes)
    network, seeds = size(document, suite.benchmark.network, data), len(suite.benchmark.seeds)
    prunings = len({cell.pruned_key for cell in suite.cells})
    trained = sum(size(document, name, data).params for name in suite.benchmark.trained) * seeds
    # of a cell the distilled network and the compact one, which is smaller
    stored = data.cached + FLOAT * (trained + network.params * (prunings + 2 * len(suite.cells)))
    return Plan(
        suite=suite,
        epochs=epochs,
        images=images * epochs,
        macs=images * sum(one.epochs * one.macs for one in passes),
        stored=stored,
        longest=images * sum(map(_most, (teachers, prunes, cells[::2], cells[1::2]))),
        chains=len(suite.cells) + prunings + seeds * len(suite.benchmark.trained),
        timing_s=_timing(document["latency"]) * len(suite.timed),
    )


def size(document: Mapping[str, Any], name: str, data: Data) -> Size:
    """Of a network by its name in the parameter file."""
    settings = named(document, name)
    dense = Architecture(settings.builder, data.classes, data.shape[0], data.shape[1:])
    return counted(dense.with_arguments(settings.arguments))


@cache
def counted(architecture: Architecture) -> Size:
    """Of a network, from its shapes."""
    cost = count(outline(architecture), architecture.shape)
    return Size(cost.params, cost.total_macs)


def _teachers(document: Mapping[str, Any], data: Data) -> Iterable[Pass]:
    for name in document["benchmark"]["trained"]:
        weights = named(document, name).weights
        given = weights is not None and weights.epochs is not None
        epochs = 0 if given else document["teacher"]["epochs"]
        for _ in document["benchmark"]["seeds"]:
            yield Pass(epochs, STEP * size(document, name, data).macs)


def _pruned(document: Mapping[str, Any], suite: Suite, data: Data) -> Iterable[Pass]:
    settings, own = document["prune"], STEP * size(document, suite.benchmark.network, data).macs
    for method, _ in sorted({(cell.method, cell.pruned_key) for cell in suite.cells}):
        chosen = settings["methods"][method]
        longer = settings["scratch_epochs"] if chosen["start"] == "scratch" else 0
        guide = _guides(document, data) if chosen["guide"] else 0
        yield Pass(settings["training"]["epochs"] + longer, own + guide)


def _cells(document: Mapping[str, Any], suite: Suite, data: Data) -> Iterable[Pass]:
    """Of each cell its distillation, then its encoding."""
    own, later = STEP * size(document, suite.benchmark.network, data).macs, document["encode"]["training"]
    for cell in suite.cells:
        guided = document["distill"]["distillers"][cell.distiller]["terms"]
        yield Pass(document["distill"]["training"]["epochs"], own + (_guides(document, data) if guided else 0))
        yield Pass(0 if later is None else later["epochs"], own)


def _most(passes: Iterable[Pass]) -> int:
    return max(one.epochs * one.macs for one in passes)


def _guides(document: Mapping[str, Any], data: Data) -> int:
    """MACs of the teachers' forward passes."""
    return sum(size(document, name, data).macs for name in document["distill"]["teachers"])


def _timing(latency: Mapping[str, Any]) -> float:
    """The most seconds that timing a shape takes."""
    axes = ("runtimes", "batch_sizes", "threads")
    settings = 1
    for axis in axes:
        settings *= len(latency[axis])
    return float(latency["seconds"]) * settings
