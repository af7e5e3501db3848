"""Building every method and distiller of a suite once, without data, so that what they refuse is told before any training."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from lib import plugins
from lib.distillation.building import distilled
from lib.distillation.classifier import share_classifier_
from lib.distillation.teachers import verified
from lib.formats.checkpoint import load
from lib.networks import build
from lib.networks.description import Architecture
from lib.networks.ensemble import Ensemble
from lib.params.section import ParamsError, read
from lib.params.suite import DENSE, Benchmark, Given, Teachers
from lib.pruning import methods
from lib.pruning.layers import Layers
from lib.pruning.method import Common, Request
from lib.quantization.sharing import bits_by_layer
from lib.randomness import stream
from lib.steps.encode import EncodeSettings
from lib.training.loop import Training

SHAPE = (3, 32, 32)
CLASSES = 10
IMAGES = 4


def rehearse(document: Mapping[str, Any]) -> None:
    """Build every method at every keep ratio, and every distiller, of a checked parameter file.

    Raises one ParamsError with all refusals.
    """
    benchmark = read(document, "benchmark", Benchmark)
    jobs: dict[str, Callable[[], object]] = {
        f"prune.methods.{name} at keep ratio {ratio}": partial(_build, document, benchmark, name, ratio)
        for name in benchmark.methods
        for ratio in benchmark.keep_ratios
    }
    for name in (DENSE, *benchmark.methods):
        jobs[f"prune.methods.{name}.guide"] = partial(
            _distil, document, benchmark, document["prune"]["methods"][name]["guide"]
        )
    for name in benchmark.distillers:
        chosen = document["distill"]["distillers"][name]
        jobs[f"distill.distillers.{name}"] = partial(_distil, document, benchmark, **chosen)
    network = build(Architecture(benchmark.network, CLASSES, SHAPE[0]))
    jobs["encode.bits"] = partial(bits_by_layer, network, read(document, "encode", EncodeSettings).patterns)
    found = []
    for place, job in jobs.items():
        try:
            job()
        except ValueError as error:
            found.append(f"{place}: {error}")
    if found:
        raise ParamsError("\n".join(dict.fromkeys(found)))


def _build(document: Mapping[str, Any], benchmark: Benchmark, name: str, keep_ratio: float) -> None:
    module = plugins.find(methods, name)
    params: Common = read(document, f"prune.methods.{name}", plugins.settings(module))
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


def _distil(
    document: Mapping[str, Any], benchmark: Benchmark, terms: Mapping[str, float], share_classifier: bool = False
) -> None:
    """Pair the student with its teachers; those from elsewhere decide what images look like."""
    if not (terms or share_classifier):
        return
    chosen = read(document, "distill.teachers", Teachers)
    given = [load(verified(teacher)) for teacher in chosen if isinstance(teacher, Given)]
    shape, classes = SHAPE, CLASSES
    for checkpoint in given:
        shape, classes = checkpoint.shape, checkpoint.network.architecture.num_classes
    names = (benchmark.network, *(teacher for teacher in chosen if isinstance(teacher, str)))
    student, *teachers = (build(Architecture(name, classes, shape[0])) for name in names)
    teachers += [checkpoint.network for checkpoint in given]
    teacher = teachers[0] if len(teachers) == 1 else Ensemble(teachers)
    if share_classifier:
        share_classifier_(student, teacher)
    distilled(student, teacher, terms, document["distill"]["terms"], 0.0, torch.zeros(2, *shape))


def _sample(count: int, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Noise instead of training images, and few of it."""
    few = min(count, size, IMAGES)
    yield torch.randn(few, *SHAPE, generator=stream(0, "sample")), torch.arange(few)
