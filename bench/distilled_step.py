"""A distilled training step against a plain one, for each term: ResNet-56 follows a ResNet-56 at batch 128.

    python -m bench.distilled_step [--precision bfloat16] [--threads 1] [--turns 9]

A step is forward, loss, backward and SGD; the teacher's forward counts. The terms, each added to kd as in the sources, take
turns step by step; medians over all turns. `remembered` is kd with the teacher's outputs kept (distill.cache_gib).
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from statistics import median
from typing import Annotated, Any, Literal

import torch

from lib import plugins
from lib.distillation import terms
from lib.distillation.building import distilled
from lib.networks import build
from lib.networks.architecture import Architecture
from lib.networks.network import Network
from lib.training.device import Compute, autocast, prepare
from lib.training.objective import Objective
from lib.training.sgd import Sgd, sgd
from lib.training.taps import Outputs, Tapped
from stages.command import run

BATCH, WARM_UP = 128, 2
SGD = Sgd(lr=1e-4, momentum=0.9, nesterov=True, weight_decay=5e-4, decayed="all")
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "afd": {"dim": 128},
    "asp": {},
    "at": {},
    "feature": {"where": "penultimate", "distance": "mse"},
    "hap": {"teacher_blocks": 3},
    "kd": {"temperature": 4.0},
    "lskd": {"temperature": 2.0},
    "lsp": {"teacher_maps": 4},
    "lsp2": {"window": 4},
    "mat": {"window": 3},
    "rc": {},
    "sp": {"stages": 1},
}


def network(seed: int) -> Network:
    made = build(Architecture("resnet56", 10, 3), torch.Generator().manual_seed(seed))
    return made.to(memory_format=torch.channels_last)


def objective(names: tuple[str, ...], example: torch.Tensor) -> Objective:
    student = network(0).train()
    if not names:
        return Objective(Tapped(student), 0.0)
    return distilled(student, network(1), dict.fromkeys(names, 1.0), SETTINGS, 0.0, example)


def stepper(made: Objective, images: torch.Tensor, labels: torch.Tensor, precision: torch.autocast) -> Callable[[], None]:
    """One training step with an objective, as lib.training.loop does it."""
    optimizer = sgd([*made.student.network.parameters(), *made.parameters], SGD)
    indices = torch.arange(len(labels))

    def step() -> None:
        with precision:
            total = made(images, labels, indices).total
        optimizer.zero_grad()
        total.backward()
        optimizer.step()

    return step


def main(
    precision: Annotated[Literal["bfloat16", "float32"], "of the steps"] = "bfloat16",
    threads: Annotated[int, "of torch"] = 1,
    turns: Annotated[int, "of each combination"] = 9,
) -> None:
    compute = Compute(
        device="cpu", threads=threads, precision=precision, train_remaining=True, processes=1, rendezvous=None, compile=False
    )
    context = autocast(compute, prepare(compute))
    images = torch.randn(BATCH, 3, 32, 32).to(memory_format=torch.channels_last)
    labels = torch.arange(BATCH) % 10
    combinations = {"plain": (), "kd": ("kd",)}
    combinations |= {f"kd + {name}": ("kd", name) for name in plugins.names(terms) if name != "kd"}
    steps = {name: stepper(objective(some, images[:2]), images, labels, context) for name, some in combinations.items()}
    logits = torch.zeros(BATCH, 10)
    recalling = replace(objective(("kd",), images[:2]), recall=lambda *_: Outputs(logits, {}))
    steps["kd, remembered"] = stepper(recalling, images, labels, context)
    times: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(WARM_UP + turns):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            if turn >= WARM_UP:
                times[name].append(time.perf_counter() - start)
    middle = {name: median(values) for name, values in times.items()}
    for name, seconds in middle.items():
        print(
            f"{name:<16} {1e3 * seconds:7.0f} ms   {seconds / middle['plain']:.2f} x plain   {seconds / middle['kd']:.2f} x kd"
        )


if __name__ == "__main__":
    run(main)
