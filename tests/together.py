"""Trainings by several processes, in float64, so that rounding does not hide what differs.

`python -m tests.together FOLDER PROCESSES` takes a step with every term and trains with every method; each process writes what
it ends with to FOLDER/<processes>-<number>.pt.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lib.images.augmentation import STILL
from lib.images.batches import Batches
from lib.networks import build
from lib.networks.architecture import Architecture
from lib.networks.network import Network
from lib.params.section import read
from lib.randomness import stream
from lib.training.device import Compute
from lib.training.hooks import Hooks
from lib.training.launching import launch, launched
from lib.training.loop import Fit, Training, fit
from lib.training.objective import Objective
from lib.training.processes import joined, share, shared_batch_norms
from lib.training.resume import Unfinished
from lib.training.stepping import losses
from lib.training.taps import Tapped
from tests import tiny
from tests.distillation.test_every_term import NAMES as TERMS
from tests.distillation.test_every_term import objective
from tests.networks_for_tests import lived_in
from tests.pruning.test_every_method import NAMES as METHODS
from tests.pruning.test_every_method import make
from tests.training.test_loop import Bar

CPU = torch.device("cpu")
IMAGES, BATCH = 34, 9  # a last mini-batch of seven, and shares of other sizes than one another

Found = dict[str, Any]


class Double(Batches):
    """In float64."""

    def numbered(self, *arguments: Any, **others: Any) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        for indices, images, labels in super().numbered(*arguments, **others):
            yield indices, images.double(), labels

    def plain(self, *arguments: Any, **others: Any) -> Iterator[tuple[Tensor, Tensor]]:
        for images, labels in super().plain(*arguments, **others):
            yield images.double(), labels


def step_of(name: str) -> Found:
    """The losses and the gradients of a mini-batch with a term."""
    student, teacher = lived_in("resnet8", 0), lived_in("resnet8x2", 1)
    made = objective(name, student, teacher)
    for part in (student, teacher, *(parameter for parameter in made.parameters)):
        if isinstance(part, Network):
            part.double()
        else:
            part.data = part.data.double()
    own = share()
    whole = torch.randn(7, 3, 8, 8, generator=stream(0, "images"), dtype=torch.float64)
    labels = torch.arange(7)
    student.train()
    module = losses(student, made, Hooks())
    with shared_batch_norms(student):
        total, parts, logits = module(whole[own.process :: own.processes], labels, labels)
        total.backward()
    named = {name: parameter.grad for name, parameter in student.named_parameters()}
    named |= {f"term {number}": parameter.grad for number, parameter in enumerate(made.parameters)}
    buffers = dict(student.named_buffers())
    found = {"total": total, "logits": logits, **{f"loss {name}": value for name, value in parts.items()}, **named, **buffers}
    return {name: value.detach() for name, value in found.items() if value is not None}


def training_with(method: Callable[[Network], Hooks], folder: Path) -> Found:
    """What a short training ends with: weights, masks, the log."""
    document = tiny.document(
        teacher__epochs=3, teacher__lr=0.02, teacher__batches={"kind": "constant", "size": BATCH, "last": "merge"}
    )
    network = build(Architecture("resnet8", 10, 3, (8, 8)), stream(0, "initialisation")).double()
    images = torch.randint(0, 256, (IMAGES, 3, 8, 8), generator=stream(0, "images"), dtype=torch.uint8)
    batches = Double(images, torch.arange(IMAGES) % 10, (0.5,) * 3, (0.25,) * 3, STILL, CPU)
    settings, compute = read(document, "teacher", Training), read(document, "compute", Compute)
    hooks = method(network)
    task = Fit(network, hooks, Objective(Tapped(network), 0.1), batches, batches, settings, 3, compute, 0)
    rows = fit(replace(task, resume_every=2), Unfinished(folder), lambda *_: Bar())
    found: Found = {name: value.clone() for name, value in network.state_dict().items()}
    kept = getattr(hooks, "kept", None)
    if kept is not None:
        made = kept()
        found |= {f"mask {name}": mask for name, mask in {**made.filters, **(made.weights or {})}.items()}
    return found | {
        f"row {number} {name}": torch.tensor(value) for number, row in enumerate(rows) for name, value in row.items()
    }


def all_of(folder: Path) -> Mapping[str, Found]:
    """Every term and every method."""
    found = {f"term {name}": step_of(name) for name in TERMS}
    for name in METHODS:
        found[f"method {name}"] = training_with(lambda network, name=name: make(name, network, 0.5), folder / name)  # type: ignore[misc]
    return found


def main() -> None:
    """One process, or all of them."""
    folder, processes = Path(sys.argv[1]), int(sys.argv[2])
    if processes > 1 and not launched():
        sys.exit(launch(["-m", "tests.together", *sys.argv[1:]], processes, None))
    torch.set_num_threads(1)
    with joined(CPU):
        torch.save(all_of(folder / str(processes)), folder / f"{processes}-{share().process}.pt")


if __name__ == "__main__":
    main()
