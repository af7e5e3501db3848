"""The body of stage `rehearse`: build everything of a suite once, so that what does not fit is told before any training."""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from lib import plugins
from lib.compaction.compact import compact
from lib.compaction.proof import FLOAT64_LIMIT, gap_in_double
from lib.distillation.building import distilled
from lib.distillation.classifier import share_classifier_
from lib.distillation.teachers import verified
from lib.foreign_code import FAILURES
from lib.formats import values
from lib.formats.checkpoint import load
from lib.formats.fitting import refuse_size, refuse_squeezed
from lib.images.dataset import Dataset
from lib.masks.kept import Kept, apply_
from lib.networks import build
from lib.networks.architecture import Architecture, Mode
from lib.networks.ensemble import Ensemble
from lib.networks.network import Network
from lib.params.section import ParamsError
from lib.params.suite import DENSE, Given
from lib.pruning import methods
from lib.pruning.method import Common, Request
from lib.pruning.scores import uniform
from lib.pruning.selection import Selection
from lib.quantization.sharing import bits_by_layer
from lib.randomness import stream
from lib.runtimes import engines
from lib.runtimes.engine import Shipped
from lib.steps.distill import Distiller
from lib.steps.document import Document
from lib.training.epochs import problems_of_sizes
from lib.training.loop import Training, problem_of_rate
from lib.training.schedules import BatchSize
from lib.training.stepping import unshareable

FEW = 4  # images of noise

Networks = dict[str | Given, Network]
Job = tuple[str, Callable[[], object]]  # a place in the file, and what it asks for


@dataclass(frozen=True)
class View:
    """What is known of the data: shape (C, H, W), how many classes and training images (None before they are there)."""

    shape: tuple[int, int, int]
    classes: int
    images: int | None

    def noise(self) -> Tensor:
        """A few images (FEW, C, H, W)."""
        return torch.randn(FEW, *self.shape, generator=stream(0, "sample"))

    def sample(self, count: int, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Noise instead of training images, and few of it."""
        few = min(count, size, FEW)
        yield self.noise()[:few], torch.arange(few) % self.classes


def seen(dataset: Dataset) -> View:
    """What a data set is. Raises ValueError where it has one class, which leaves nothing to learn."""
    if len(dataset.classes) < 2:
        msg = f"data: {dataset.name} has {len(dataset.classes)} class; give images of two classes or more"
        raise ValueError(msg)
    return View(dataset.shape, len(dataset.classes), len(dataset.splits["train"].labels))


def rehearse(document: Document, sections: Mapping[str, Any], view: View) -> None:
    """Build every network, every method at every keep ratio and every distiller, and cut epochs into mini-batches.

    sections: the same file as plain values. Raises one ParamsError with all refusals, each with the key that it is about.
    """
    axes, teachers = document.benchmark, document.distill.teachers
    networks: Networks = {}
    found = [(f"benchmark.trained: {name}", partial(_build, networks, document, name, view)) for name in axes.trained]
    found += [("", partial(_open, networks, teacher, view)) for teacher in teachers if isinstance(teacher, Given)]
    _do(found)  # what follows needs them
    jobs: list[Job] = [
        (f"prune.methods.{name} at keep ratio {ratio}", partial(_prune, document, networks[axes.network], view, name, ratio))
        for name in axes.methods
        for ratio in axes.keep_ratios
    ]
    pair = partial(_distil, document, sections["distill"]["terms"], networks, view)
    for name in axes.distillers:
        jobs.append((f"distill.distillers.{name}", partial(pair, document.distill.distillers[name])))
    for name in (DENSE, *axes.methods):
        guide = Distiller(document.prune.methods[name].guide, share_classifier=False)
        jobs.append((f"prune.methods.{name}.guide", partial(pair, guide)))
    jobs.append((f"benchmark.network: {axes.network}", partial(_shrink, networks[axes.network], axes.compaction)))
    if axes.network in document.networks:  # tests run the networks of lib/networks in all of them
        run = partial(_run, networks[axes.network], axes.compaction)
        jobs += [(f"latency.runtimes: {runtime}", partial(run, runtime, view)) for runtime in document.latency.runtimes]
    jobs.append(("encode.bits", partial(bits_by_layer, networks[axes.network], document.encode.patterns)))
    _do(jobs + _limits(document, view))


def _do(jobs: Iterable[Job]) -> None:
    """Try all; raise one ParamsError with what was refused, each with its place."""
    found = []
    for place, job in jobs:
        try:
            job()
        except ValueError as error:
            found.append(f"{place}: {error}" if place else str(error))
    if found:
        raise ParamsError("\n".join(found))


def _build(networks: Networks, document: Document, name: str, view: View) -> None:
    """Build a network, find its channels and show it images. Raises ValueError when they are too small for it."""
    own, (channels, *size) = document.networks.get(name), view.shape
    dense = Architecture(name if own is None else own.builder, view.classes, channels, (size[0], size[1]))
    network = build(dense if own is None else dense.with_arguments(own.arguments), stream(0, "rehearsal"))
    if not network.layers:
        reasons = "; ".join(dict.fromkeys(network.description.locked.values()))
        msg = f"{name} has no layer that may lose filters: {reasons[:400]}"
        raise ValueError(msg)
    if document.compute.processes > 1 and (problem := unshareable(network)):
        raise ValueError(problem)
    values.check(network.state_dict())  # or a finished training could not be saved
    with torch.no_grad():
        network.eval()(view.noise())
    refuse_squeezed(name, network, view.noise()[:1])
    networks[name] = network.train()


def _halved(dense: Network, mode: Mode) -> tuple[Network, Kept]:
    """A network without half of its filters, and what it keeps."""
    masked = copy.deepcopy(dense).eval()
    kept = Kept(Selection(masked, 0.5, coupled=mode == "coupled").choose(uniform(masked.filters(), stream(0, "rehearsal"))))
    apply_(masked, kept)
    return masked, kept


@torch.no_grad()
def _shrink(dense: Network, mode: Mode) -> None:
    """Make a network without half of its filters small, as stage `compact` will."""
    name, (masked, kept) = dense.architecture.name, _halved(dense, mode)
    noise = torch.randn(2, *dense.architecture.shape, generator=stream(0, "sample"))
    try:
        found = gap_in_double(masked, compact(masked, kept, mode), noise)
    except FAILURES as error:
        msg = f"{name} cannot be made small ({_reason(error)}); report it with its code, or write otherwise what moves its "
        raise ValueError(msg + "channels") from error
    if not found.relative < FLOAT64_LIMIT:
        msg = f"{name} computes something else when it is made small (logits differ by {found.absolute:.1e}); report it with "
        raise ValueError(msg + "its code, or write otherwise what moves its channels")


@torch.no_grad()
def _run(dense: Network, mode: Mode, runtime: str, view: View) -> None:
    """Load a small network into a runtime and run it there, as stage `latency` will."""
    try:
        small = compact(*_halved(dense, mode), mode)
    except FAILURES:
        return  # which is told of the network itself
    try:
        with TemporaryDirectory() as folder:
            shipped = Shipped(small, view.noise())
            plugins.find(engines, runtime).load(shipped, Path(folder)).bind(view.noise(), 1).call()
    except FAILURES as error:
        msg = (
            f"{dense.architecture.name} cannot run there ({_reason(error)}); write otherwise what the runtime cannot take, or "
        )
        raise ValueError(msg + "leave the runtime out") from error


def _reason(error: BaseException) -> str:
    """What went wrong at the bottom, in a line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _open(networks: Networks, teacher: Given, view: View) -> None:
    found = load(verified(teacher))
    wanted, known = (view.shape[0], view.classes), (found.shape[0], found.network.architecture.num_classes)
    if known != wanted:
        msg = f"distill.teachers: {teacher.file} takes images of {known[0]} channels in {known[1]} classes, the data set has "
        msg += f"{wanted[0]} and {wanted[1]}; give another teacher"
        raise ValueError(msg)
    refuse_size(f"distill.teachers: {teacher.file}", found.network, view.shape)
    networks[teacher] = found.network


def _prune(document: Document, dense: Network, view: View, name: str, keep_ratio: float) -> None:
    params: Common = document.prune.methods[name]
    request = Request(
        keep_ratio=keep_ratio,
        coupled=document.benchmark.compaction == "coupled",
        epochs=_epochs(document, name),
        generator=stream(0, "rehearsal"),
        layers=document.prune.layers,
        shape=view.shape,
        sample=view.sample,
    )
    plugins.find(methods, name).method(copy.deepcopy(dense), params, request)


def _distil(document: Document, terms: Mapping[str, Any], networks: Networks, view: View, distiller: Distiller) -> None:
    """Pair the student with its teachers; terms: the settings of each."""
    if not (distiller.terms or distiller.share_classifier):
        return
    student = copy.deepcopy(networks[document.benchmark.network])
    teachers = [copy.deepcopy(networks[teacher]) for teacher in document.distill.teachers]
    teacher = teachers[0] if len(teachers) == 1 else Ensemble(teachers)
    if distiller.share_classifier:
        share_classifier_(student, teacher)
    distilled(student, teacher, distiller.terms, terms, 0.0, view.noise())


def _limits(document: Document, view: View) -> list[Job]:
    """What depends on how large the images are, and how many."""
    jobs: list[Job] = [("augmentation.crop_padding", partial(_crop, document.augmentation.crop_padding, view))]
    trainings = _trainings(document)
    jobs += [(f"{place}.lr", partial(_rate, training)) for place, (training, _) in trainings.items()]
    if view.images is None:
        return jobs
    schedules = {place: (training.batches, epochs) for place, (training, epochs) in trainings.items()}
    for name in document.benchmark.methods:
        if own := getattr(document.prune.methods[name], "batches", None):  # growing ones, of some methods
            schedules[f"prune.methods.{name}"] = (own, _epochs(document, name))
    processes = document.compute.processes
    return jobs + [(f"{place}.batches", partial(_cut, *one, view.images, processes)) for place, one in schedules.items()]


def _trainings(document: Document) -> dict[str, tuple[Training, int]]:
    """Every training by its place, with the most epochs that it has."""
    longest = max(_epochs(document, name) for name in (DENSE, *document.benchmark.methods))
    found = {"teacher": (document.teacher, document.teacher.epochs), "prune.training": (document.prune.training, longest)}
    later = {"distill.training": document.distill.training, "encode.training": document.encode.training}
    return found | {place: (one, one.epochs) for place, one in later.items() if one is not None}


def _epochs(document: Document, name: str) -> int:
    """The epochs of a method's pruning."""
    longer = document.prune.scratch_epochs if document.prune.methods[name].start == "scratch" else 0
    return document.prune.training.epochs + longer


def _rate(training: Training) -> None:
    if problem := problem_of_rate(training):
        raise ValueError(problem)


def _crop(padding: int, view: View) -> None:
    if padding >= min(view.shape[1:]):
        msg = f"is {padding}, which moves images of {view.shape[1]}x{view.shape[2]} out of sight; set it below their size"
        raise ValueError(msg)


def _cut(schedule: BatchSize, epochs: int, images: int, processes: int) -> None:
    """Every epoch has mini-batches, none of them of one image, on which batch norm cannot train, or fewer than processes."""
    if found := problems_of_sizes(schedule, images, epochs, "", processes):
        raise ValueError("\n".join(found).removeprefix(": "))
