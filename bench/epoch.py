"""A training epoch of the pipeline against a bare forward + backward + SGD loop on tensors already in memory.

    python -m bench.epoch [--precision float32] [--threads 2]

ResNet-20 on 50,000 CIFAR-sized images (random pixels: speed does not depend on them). The two take turns in blocks of steps;
medians over the blocks. Ours includes drawing, cropping, mirroring and normalising the images, the schedule, the log and the
saved state. Peak memory is that of this process, data included.
"""

import resource
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Annotated, Literal

import torch
from torch.nn import functional

from lib.images.augmentation import STILL
from lib.images.batches import Batches
from lib.networks import build
from lib.networks.architecture import Architecture
from lib.networks.network import Network
from lib.progress import Bar
from lib.training.device import Compute, autocast, prepare
from lib.training.hooks import Hooks
from lib.training.loop import Fit, Training, fit
from lib.training.objective import Objective
from lib.training.resume import Unfinished
from lib.training.schedules import Constant, Cosine
from lib.training.sgd import sgd
from lib.training.taps import Tapped
from stages.command import run

BATCH, STEPS, BLOCKS = 128, 30, 5
TRAINING = Training(
    lr=0.1,
    momentum=0.9,
    nesterov=True,
    weight_decay=5e-4,
    decayed="all",
    epochs=1,
    batches=Constant("constant", BATCH, "drop"),
    schedule=Cosine("cosine", 0.0, 1.0, 0.0),
    label_smoothing=0.0,
    averaging=None,
    validate_every=1,
)


class Silent:
    """A progress bar that shows nothing."""

    def update(self, n: float = 1) -> None: ...

    def set_postfix_str(self, s: str) -> None: ...


def silent(total: int, done: int) -> Bar:  # noqa: ARG001
    return Silent()


def network() -> Network:
    return build(Architecture("resnet20", 10, 3), torch.Generator().manual_seed(0))


def split(count: int, device: torch.device) -> Batches:
    images = torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8)
    labels = torch.randint(0, 10, (count,))
    return Batches(images, labels, (0.5,) * 3, (0.25,) * 3, replace(STILL, flip="random", crop_padding=4), device)


def ours(compute: Compute, train: Batches, validation: Batches) -> float:
    made = network().to(train.device)
    task = Fit(made, Hooks(), Objective(Tapped(made), 0.0), train, validation, TRAINING, 1, compute, 0)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        fit(task, Unfinished(Path(folder)), silent)
        return time.perf_counter() - start


def bare(compute: Compute, images: torch.Tensor, labels: torch.Tensor) -> float:
    made = network().to(images.device).train()
    optimizer = sgd(list(made.parameters()), TRAINING)
    start = time.perf_counter()
    for _ in range(STEPS):
        with autocast(compute, images.device):
            loss = functional.cross_entropy(made(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    loss.item()
    return time.perf_counter() - start


def main(
    precision: Annotated[Literal["bfloat16", "float32"], "of the steps"] = "bfloat16",
    threads: Annotated[int, "of torch"] = 1,
) -> None:
    compute = Compute("auto", threads, precision, train_remaining=True, processes=1, rendezvous=None, compile=False)
    device = prepare(compute)
    everything = split(50_000, device)
    block, validation = split(BATCH * STEPS, device), split(2, device)
    images, labels = next(everything.epoch([BATCH], torch.Generator().manual_seed(0)))
    times = {"ours": [ours(compute, block, validation)], "bare loop": [bare(compute, images, labels)]}
    for _ in range(BLOCKS):
        times["ours"].append(ours(compute, block, validation))
        times["bare loop"].append(bare(compute, images, labels))
    middle = {name: median(values[1:]) for name, values in times.items()}  # the first block of each warms up
    for name, seconds in middle.items():
        print(f"{name}: {1000 * seconds / STEPS:.1f} ms a step of {BATCH} images")
    print(f"ratio: {middle['ours'] / middle['bare loop']:.3f}")
    print(f"peak memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


if __name__ == "__main__":
    run(main)
